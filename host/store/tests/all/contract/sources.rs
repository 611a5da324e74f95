use portcullis_core::cloud::{FollowUp, ForeignRecord, SourcePage, SourceState};
use portcullis_core::source::Enforcement;
use portcullis_core::store::Sequence;
use portcullis_core::{ConnectorName, PolicyName, Timestamp};

use super::*;
use crate::sample::{access, address, event_id, record, seen};

fn okta() -> ConnectorName {
    ConnectorName::new("okta")
}

fn state(cursor: &str) -> SourceState {
    SourceState { cursor: Some(cursor.to_owned()), complete_to: Some(Timestamp(7)) }
}

fn foreign(id: &str, record: portcullis_core::event::Record) -> ForeignRecord {
    ForeignRecord { id: id.to_owned(), record, follow_up: None, forget: None, is_old: false }
}

fn page(cursor: &str, records: Vec<ForeignRecord>) -> SourcePage {
    SourcePage { source: okta(), state: state(cursor), records }
}

async fn stored<S: EventStore>(store: &S) -> Vec<portcullis_core::EventId> {
    store.recent(None, 10_000).await.unwrap().iter().rev().map(|stored| stored.event.id()).collect()
}

pub async fn each_foreign_event_is_stored_once<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.source_state(&okta()).await.unwrap(), None);
    let first = vec![foreign("a", record(1)), foreign("b", record(2)), foreign("a", record(3))];
    assert_eq!(store.put_page(page("one", first)).await.unwrap(), 2, "one came twice in the page");
    let second = vec![foreign("b", record(4)), foreign("c", record(5))];
    assert_eq!(store.put_page(page("two", second)).await.unwrap(), 1, "one came before");
    assert_eq!(stored(&store).await, [event_id(1), event_id(2), event_id(5)]);
    let other = SourcePage { source: ConnectorName::new("other"), ..page("x", vec![foreign("a", record(6))]) };
    assert_eq!(store.put_page(other).await.unwrap(), 1, "another service's ids are its own");
    let ids = ["a", "c", "d"].map(str::to_owned);
    let known = store.known_ids(&okta(), &ids).await.unwrap();
    assert_eq!(known, ["a", "c"].map(str::to_owned).into());
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.source_state(&okta()).await.unwrap(), Some(state("two")));
    assert_eq!(store.put_page(page("three", vec![foreign("c", record(7))])).await.unwrap(), 0);
    assert_eq!(store.source_state(&okta()).await.unwrap(), Some(state("three")), "a page of nothing new moves on");
}

/// Far more than one statement takes, with what is learned and between other writes.
pub async fn a_page_is_stored_whole_or_not_at_all<P: Place>(place: &P) {
    let store = place.open().await;
    let many = |from: u128| {
        (from..from + 2_000).map(|n| foreign(&n.to_string(), seen(n, "alice", address(1), 1_000))).collect::<Vec<_>>()
    };
    let waiting = (0..50).map(|n| store.append(record(1_000_000 + n))).collect::<Vec<_>>();
    assert_eq!(store.put_page(page("one", many(1))).await.unwrap(), 2_000);
    for done in waiting {
        done.await.unwrap();
    }
    // The last one has the id of an event that is there.
    let mut bad = many(3_000);
    bad.push(foreign("bad", record(1)));
    store.put_page(page("two", bad)).await.unwrap_err();
    assert_eq!(store.source_state(&okta()).await.unwrap(), Some(state("one")));
    assert_eq!(stored(&store).await.len(), 2_050);
    assert!(store.known_ids(&okta(), &["3000".to_owned()]).await.unwrap().is_empty());
    let history = store.account_history(&portcullis_core::AccountId::new("alice")).await.unwrap();
    assert_eq!(history.associations.iter().map(|known| known.count).sum::<u64>(), 2_000);
    store.put_page(page("three", many(10_000).into_iter().chain(many(20_000)).collect())).await.unwrap_err();
}

pub async fn what_has_to_follow_is_kept_until_it_is_done<P: Place>(place: &P) {
    let store = place.open().await;
    let ask = FollowUp::Challenge { policy: PolicyName::new("p") };
    let act = FollowUp::Enforce {
        account: "00u1".to_owned(),
        actions: vec![Enforcement::Suspend, Enforcement::EndSessions],
        policy: PolicyName::new("p"),
    };
    let of = |n: u128| portcullis_core::event::Record { event: access(n, "mia"), learned: None, incidents: vec![] };
    let with = |n: u128| ForeignRecord { follow_up: Some(ask.clone()), ..foreign(&n.to_string(), of(n)) };
    store.put_page(page("one", vec![with(1), foreign("2", of(2)), with(3)])).await.unwrap();
    store.put_page(page("two", vec![with(1)])).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    let open = store.open_follow_ups(0, 10).await.unwrap();
    assert_eq!(open.iter().map(|open| open.event.access.id).collect::<Vec<_>>(), [event_id(1), event_id(3)]);
    assert!(open.iter().all(|open| open.what == ask && open.source == okta()));
    assert_eq!(store.open_follow_ups(open[0].number, 10).await.unwrap(), open[1..]);
    store.end_follow_up(open[0].number, of(4), Some(act.clone())).await.unwrap();
    store.end_follow_up(open[0].number, of(5), Some(act.clone())).await.unwrap();
    let left = store.open_follow_ups(0, 10).await.unwrap();
    assert_eq!(left.len(), 2, "what was done is not done again");
    assert_eq!((&left[1].what, left[1].event.access.id), (&act, event_id(4)));
    let newest = store.recent(None, 1).await.unwrap();
    assert_eq!((newest[0].event.id(), newest[0].sequence), (event_id(4), Sequence(4)));
}
