use std::time::Duration;

use futures_util::FutureExt as _;
use portcullis_core::event::{Event, Record};
use portcullis_core::store::{EventStore as _, SettingsStore as _, StoreError};
use portcullis_store::{Store, StoreOptions};
use sqlx::Executor as _;

use super::Folder;
use crate::sample::{administration, record};

/// A record whose event has about `bytes` bytes.
fn large(number: u128, bytes: usize) -> Record {
    let Event::Administration(mut event) = administration(number) else { unreachable!("an administration event") };
    event.detail = "x".repeat(bytes);
    Record { event: Event::Administration(event), learned: None, incidents: vec![] }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_passes() {
    let folder = Folder::create();
    let store = Store::open(StoreOptions { max_bytes: Some(400_000), ..folder.options() }).await.unwrap();
    let mut stored = 0;
    let error = loop {
        match store.append(large(stored, 20_000)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the limit does not limit");
    };
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("no room")), "{error}");
    assert!(store.health().last_error.is_some_and(|text| text.contains("no room")));
    // Nothing of the refused record is there, and reading goes on.
    assert_eq!(store.recent(None, 100).await.unwrap().len(), usize::try_from(stored).unwrap());
    store.append(large(1_000, 20_000)).await.unwrap_err();

    store.limit_size(Some(4_000_000)).await.unwrap();
    store.append(large(1_001, 20_000)).await.unwrap();
    // A write that fails makes the store connect anew, and the new limit holds there too. It does not make it ill.
    store.append(large(1_001, 20_000)).await.unwrap_err();
    store.append(large(1_002, 20_000)).await.unwrap();
    assert_eq!(store.health().last_error, None);
    let report = store.verify().await.unwrap();
    assert_eq!((report.damage, u128::from(report.events)), (None, stored + 2));
    assert_eq!(store.health().events, report.events);
}

#[tokio::test]
async fn when_room_is_short_the_small_ones_are_stored() {
    let folder = Folder::create();
    let store = Store::open(StoreOptions { max_bytes: Some(400_000), ..folder.options() }).await.unwrap();
    let waiting = [store.append(record(1)), store.append(large(2, 1_000_000)), store.append(record(3))];
    let answers = futures_util::future::join_all(waiting).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(store.verify().await.unwrap().damage, None);
}

#[tokio::test]
async fn a_locked_database_is_waited_for_and_then_an_error() {
    let folder = Folder::create();
    let options = StoreOptions { busy_timeout: Duration::from_millis(200), ..folder.options() };
    let store = Store::open(options).await.unwrap();
    let mut other = folder.intruder().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let started = std::time::Instant::now();
    let waiting: Vec<_> = (1..=50).map(|number| store.append(record(number))).collect();
    for answer in waiting {
        let error = answer.await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("another process")), "{error}");
    }
    // Not fifty times the busy timeout.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    other.execute("ROLLBACK").await.unwrap();
    store.append(record(100)).await.unwrap();
    assert_eq!(store.health().last_error, None);
}

#[tokio::test]
async fn too_much_waiting_is_refused_at_once() {
    let folder = Folder::create();
    let store = Store::open(StoreOptions { queue: 4, ..folder.options() }).await.unwrap();
    let mut other = folder.intruder().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    // The writer takes the first and hangs on the lock.
    let first = store.append(record(1));
    for _ in 0..500 {
        if store.health().queued == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let queued: Vec<_> = (2..=5).map(|number| store.append(record(number))).collect();
    assert_eq!(store.health().queued, 4);
    assert_eq!(store.append(record(6)).now_or_never(), Some(Err(StoreError::Overloaded(4))));
    assert_eq!(store.put_setting("key", "1").now_or_never(), Some(Err(StoreError::Overloaded(4))));
    other.execute("ROLLBACK").await.unwrap();
    first.await.unwrap();
    for answer in queued {
        answer.await.unwrap();
    }
    store.append(record(6)).await.unwrap();
    assert_eq!(store.health().events, 6);
}

#[tokio::test]
async fn two_processes_keep_one_chain() {
    let folder = Folder::create();
    let (one, other) = (folder.store().await, folder.store().await);
    for number in 0..10 {
        one.append(record(2 * number)).await.unwrap();
        other.append(record(2 * number + 1)).await.unwrap();
    }
    let report = one.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 20));
    assert_eq!(other.verify().await.unwrap(), report);
}

#[tokio::test]
async fn a_write_that_the_database_refuses_fails_alone() {
    let folder = Folder::create();
    let store = folder.store().await;
    store.append(record(1)).await.unwrap();
    // A trigger fails the way a write can fail for a reason that is in the database and not in the record.
    let mut intruder = folder.intruder().await;
    intruder
        .execute("CREATE TRIGGER no_more BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'not today'); END")
        .await
        .unwrap();
    let error = store.append(record(2)).await.unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    store.put_setting("key", "1").await.unwrap();
    intruder.execute("DROP TRIGGER no_more").await.unwrap();
    store.append(record(2)).await.unwrap();
    assert_eq!(store.verify().await.unwrap().damage, None);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_damage() {
    let folder = Folder::create();
    let store = folder.store().await;
    store.append(record(1)).await.unwrap();
    folder.intruder().await.execute("UPDATE events SET json = '{}'").await.unwrap();
    let error = store.recent(None, 10).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(text) if text.contains("event 1")), "{error}");
}
