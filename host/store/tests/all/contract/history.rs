use portcullis_core::event::{Event, ImportedEvent, PastEvent};
use portcullis_core::history::{HistoryStore as _, PastRecord};
use portcullis_core::learned::Observation;
use portcullis_core::profile::{ProfileMark, ProfileStore as _};
use portcullis_core::store::{EventStore as _, LearnedStore as _, Sequence, StoreError, StoredEvent};
use portcullis_core::{AccountId, Timestamp};

use super::Place;
use crate::sample::{access, address, event_id, record, summary};

/// Something of long ago, with what it teaches.
pub fn past(number: u128, account: &str, at: u64) -> PastRecord {
    let event = match access(number, account) {
        Event::Access(mut event) => {
            event.access.at = Timestamp(at);
            PastEvent::Access(event)
        }
        other => panic!("{other:?}"),
    };
    let event =
        ImportedEvent { import: event_id(1), at: Timestamp(9_000_000), origin: "old gateway".to_owned(), event };
    let learned = Some(Observation { account: AccountId::new(account), address: address(7), at: Timestamp(at) });
    PastRecord { event, learned }
}

fn sequences(found: Vec<StoredEvent>) -> Vec<u64> {
    found.into_iter().map(|stored| stored.sequence.0).collect()
}

pub async fn what_was_imported_is_stored_once_and_read_apart<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(record(1)).await.unwrap();
    // An id of the log, one that is there twice, and new ones.
    let part = vec![past(11, "a", 100), past(1, "a", 101), past(12, "a", 102), past(11, "b", 103)];
    assert_eq!(store.put_history(part.clone()).await, Ok(2));
    assert_eq!(store.put_history(part).await, Ok(0), "the same again");
    assert_eq!(store.put_history(Vec::new()).await, Ok(0));
    assert_eq!(store.put_history(vec![past(13, "a", 50)]).await, Ok(1));
    store.append(record(2)).await.unwrap();
    assert_eq!(store.put_history(vec![past(14, "a", 60)]).await, Ok(1));
    store.append(record(3)).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    // 1 live, 2 to 4 imported, 5 live, 6 imported, 7 live.
    let live = async |after| sequences(store.events_after(Sequence(after), 2).await.unwrap());
    assert_eq!((live(0).await, live(1).await, live(5).await), (vec![1], vec![5], vec![7]));
    assert!(live(7).await.is_empty());
    let imported = async |after| sequences(store.imported_after(Sequence(after), 2).await.unwrap());
    assert_eq!((imported(0).await, imported(3).await, imported(4).await), (vec![2, 3], vec![4], vec![6]));
    assert!(imported(6).await.is_empty());
    assert_eq!(sequences(store.log_after(Sequence(0), 100).await.unwrap()), [1, 2, 3, 4, 5, 6, 7]);
    let known = store.known_events(&[event_id(11), event_id(3), event_id(99)]).await.unwrap();
    assert_eq!(known, [event_id(11), event_id(3)].into());
    // What people look at is what happens here.
    assert_eq!(sequences(store.recent(None, 2).await.unwrap()), [7, 5]);
    assert_eq!(sequences(store.recent(None, 100).await.unwrap()), [7, 5, 1]);
    assert_eq!(sequences(store.recent(Some(Sequence(5)), 100).await.unwrap()), [1]);
    let stored = store.imported_after(Sequence(1), 1).await.unwrap().remove(0);
    assert_eq!(stored.event, Event::Imported(Box::new(past(11, "a", 100).event)));
}

pub async fn what_was_imported_teaches_by_its_own_time<P: Place>(place: &P) {
    let store = place.open().await;
    // More than are gathered before they are added up.
    for part in 0..3_u64 {
        let records = (0..400).map(|number| past(u128::from(part * 1_000 + number), "a", 5_000 - part * 400 - number));
        store.put_history(records.collect()).await.unwrap();
    }
    let [known] = &store.account_history(&AccountId::new("a")).await.unwrap().associations[..] else {
        panic!("one association")
    };
    assert_eq!((known.first_seen, known.last_seen, known.count), (Timestamp(3_801), Timestamp(5_000), 1_200));
}

pub async fn a_mark_says_how_far_imports_have_taught<P: Place>(place: &P) {
    let store = place.open().await;
    let mark = ProfileMark { number: 1, through: 5, ahead: vec![], imported: 77, complete: true };
    store.put_profiles(mark.clone(), vec![]).await.unwrap();
    P::close(store).await;
    assert_eq!(place.open().await.profile_marks().await.unwrap(), [mark]);
}

pub async fn a_part_that_is_too_large_is_refused<P: Place>(place: &P) {
    let store = place.open().await;
    let records: Vec<_> = (0..2_049).map(|number| past(number, "a", 1)).collect();
    assert!(matches!(store.put_history(records).await, Err(StoreError::Quota(_))));
    let Event::Summary(of) = summary(1, "a") else { unreachable!("a summary") };
    let event =
        ImportedEvent { import: event_id(9), at: Timestamp(9), origin: "x".to_owned(), event: PastEvent::Summary(of) };
    assert_eq!(store.put_history(vec![PastRecord { event, learned: None }]).await, Ok(1));
}
