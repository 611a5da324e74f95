use std::collections::HashSet;
use std::time::Duration;

use portcullis_core::event::{Event, Record};
use portcullis_core::policy::Severity;
use portcullis_core::store::{EventStore as _, IncidentStore as _, LearnedStore as _, Sequence, SettingsStore as _};
use portcullis_core::{AccountId, Operation, Search, SearchScope};

use super::Place;
use crate::sample::{access, address, administration, event_id, raise, record, seen, summary, with_incidents};

pub async fn an_empty_log_is_empty<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.recent(None, 10).await.unwrap(), []);
    assert_eq!(store.incidents(10).await.unwrap(), []);
}

pub async fn every_event_comes_back_as_it_was<P: Place>(place: &P) {
    let store = place.open().await;
    let search = Search {
        base: "dc=exämple\u{0}".to_owned(),
        scope: SearchScope::OneLevel,
        filter: "(cn=\"\\2a\u{1f512}')".to_owned(),
        attributes: vec![],
    };
    let operations = [
        Operation::Search(Some(search)),
        Operation::Search(None),
        Operation::Modify(vec!["member".to_owned()]),
        Operation::PasswordChange,
        Operation::MixedChange(vec!["member".to_owned()]),
        Operation::Extended("1.3.6.1.4.1.1466.20037".to_owned()),
        Operation::Other(String::new()),
    ];
    let mut events = vec![administration(1), access(2, "a")];
    for (number, operation) in (3..).zip(operations) {
        let Event::Access(mut event) = access(number, "b") else { unreachable!("an access") };
        event.access.operation = operation;
        (event.access.account, event.access.endpoint, event.decided_by) = (None, None, None);
        event.access.at = portcullis_core::Timestamp(u64::MAX);
        events.push(Event::Access(event));
    }
    events.push(summary(20, "a"));
    let Event::Summary(mut nobodys) = summary(21, "") else { unreachable!("a summary") };
    (nobodys.account, nobodys.client) = (None, None);
    events.push(Event::Summary(nobodys));
    for event in &events {
        store.append(Record { event: event.clone(), learned: None, incidents: vec![] }).await.unwrap();
    }
    let mut stored: Vec<Event> =
        store.recent(None, 100).await.unwrap().into_iter().map(|stored| stored.event).collect();
    stored.reverse();
    assert_eq!(stored, events);
}

pub async fn the_newest_come_first_and_pages_meet<P: Place>(place: &P) {
    let store = place.open().await;
    for number in 1..=25 {
        store.append(record(number)).await.unwrap();
    }
    let (mut before, mut ids) = (None, vec![]);
    loop {
        let page = store.recent(before, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 10);
        before = Some(last.sequence);
        ids.extend(page.into_iter().map(|stored| stored.event.id()));
    }
    assert_eq!(ids, (1..=25).rev().map(event_id).collect::<Vec<_>>());
    assert_eq!(store.recent(None, 0).await.unwrap(), []);
}

pub async fn an_append_is_queued_when_it_is_called<P: Place>(place: &P) {
    let store = place.open().await;
    // Not one of these futures is ever polled, but the last.
    drop(store.append(record(1)));
    let second = store.append(record(2));
    store.append(record(3)).await.unwrap();
    let ids: Vec<_> = store.recent(None, 10).await.unwrap().iter().map(|stored| stored.event.id()).collect();
    assert_eq!(ids, [event_id(3), event_id(2), event_id(1)]);
    second.await.unwrap();
}

pub async fn many_writers_lose_nothing<P: Place>(place: &P) {
    const TASKS: u128 = 64;
    const EACH: u128 = 50;
    let store = place.open().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    store.append(record(task * EACH + number)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stored = store.recent(None, u32::MAX).await.unwrap();
    let ids: HashSet<_> = stored.iter().map(|stored| stored.event.id()).collect();
    assert_eq!(stored.len(), 3_200);
    assert_eq!(ids, (0..TASKS * EACH).map(event_id).collect());
    // Each task waited for one append before the next, so that its own are in order.
    for task in 0..TASKS {
        let own: Vec<_> = stored
            .iter()
            .map(|stored| stored.event.id().0.as_u128())
            .filter(|id| (task * EACH..(task + 1) * EACH).contains(id))
            .collect();
        assert!(own.is_sorted_by(|newer, older| newer > older));
    }
}

pub async fn an_id_is_stored_once<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(record(1)).await.unwrap();
    store.append(record(1)).await.unwrap_err();
    store.append(record(2)).await.unwrap();
    assert_eq!(store.recent(None, 10).await.unwrap().len(), 2);
}

pub async fn a_bad_record_leaves_its_neighbours_alone<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(record(50)).await.unwrap();
    // All are queued before the first is answered, so that they share transactions. Number 50 is there already, and
    // must leave nothing of what comes with it.
    let bad = Record { incidents: vec![raise(1, "a", Severity::Low, "t")], ..seen(50, "a", address(1), 5) };
    let waiting: Vec<_> = (1..=100)
        .map(|number| (number, store.append(if number == 50 { bad.clone() } else { record(number) })))
        .collect();
    for (number, answer) in waiting {
        assert_eq!(answer.await.is_ok(), number != 50, "record {number}");
    }
    assert_eq!(store.recent(None, 1_000).await.unwrap().len(), 100);
    assert_eq!(store.incidents(10).await.unwrap(), []);
    assert_eq!(store.account_history(&AccountId::new("a")).await.unwrap().associations, []);
}

pub async fn events_survive_reopening<P: Place>(place: &P) {
    let store = place.open().await;
    let waiting: Vec<_> = (1..=300).map(|number| store.append(record(number))).collect();
    // Closing writes what is queued, whether somebody waits for it or not.
    P::close(store.clone()).await;
    for answer in waiting {
        answer.await.unwrap();
    }
    store.append(record(999)).await.unwrap_err();
    store.recent(None, 1).await.unwrap_err();

    let store = place.open().await;
    store.append(record(301)).await.unwrap();
    let stored = store.recent(None, 1_000).await.unwrap();
    assert_eq!(
        stored.iter().map(|s| s.event.id()).collect::<Vec<_>>(),
        (1..=301).rev().map(event_id).collect::<Vec<_>>()
    );
    assert!(stored.is_sorted_by(|newer, older| newer.sequence > older.sequence));
}

pub async fn changes_wake_those_who_wait<P: Place>(place: &P) {
    const SOON: Duration = Duration::from_secs(10);
    let store = place.open().await;
    let seen = tokio::time::timeout(SOON, store.changed(Sequence(0))).await.expect("at once");
    // Nothing has happened, so this waits.
    tokio::time::timeout(Duration::from_millis(100), store.changed(seen)).await.unwrap_err();
    // A setting is neither an event nor an incident.
    store.put_setting("key", "1").await.unwrap();
    tokio::time::timeout(Duration::from_millis(100), store.changed(seen)).await.unwrap_err();

    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(seen).await }
    });
    store.append(with_incidents(1, vec![raise(1, "a", Severity::Low, "t")])).await.unwrap();
    let next = tokio::time::timeout(SOON, waiting).await.expect("woken").unwrap();
    assert_ne!(next, seen);
    // Resolving by hand changes the incidents, and nothing that happened between two calls is missed.
    let id = store.incidents(1).await.unwrap()[0].id;
    assert!(
        store
            .act(id, portcullis_core::incident::IncidentAction::Resolve(None), "ada", administration(2))
            .await
            .unwrap()
    );
    let last = tokio::time::timeout(SOON, store.changed(next)).await.expect("changed already");
    assert_ne!(last, next);
    tokio::time::timeout(Duration::from_millis(100), store.changed(last)).await.unwrap_err();
}
