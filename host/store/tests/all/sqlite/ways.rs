//! Events go into the log by two ways: alone, or with something that follows from them. Nobody can see which.

use portcullis_core::AccountId;
use portcullis_core::policy::Severity;
use portcullis_core::store::{EventStore as _, IncidentStore as _, LearnedStore as _, SettingsStore as _};
use portcullis_store::Store;
use sqlx::{Connection as _, Executor as _};

use super::Folder;
use crate::sample::{address, event_id, raise, record, seen, with_incidents};

/// Ids of all events, the oldest first.
async fn ids(store: &Store) -> Vec<u128> {
    let mut ids: Vec<_> =
        store.recent(None, u32::MAX).await.unwrap().iter().map(|stored| stored.event.id().0.as_u128()).collect();
    ids.reverse();
    ids
}

#[tokio::test]
async fn both_ways_and_another_process_make_one_log() {
    let folder = Folder::create();
    let (here, there) = (folder.store().await, folder.store().await);
    let account = AccountId::new("a");
    for round in 0..40_u128 {
        let number = round * 10;
        here.append(seen(number, "a", address(1), 10)).await.unwrap();
        here.append(seen(number + 1, "a", address(2), 10)).await.unwrap();
        match round % 4 {
            0 => here.append(with_incidents(number + 2, vec![raise(number, "a", Severity::Low, "t")])).await.unwrap(),
            1 => here.put_setting("key", "1").await.unwrap(),
            2 => there.append(seen(number + 2, "b", address(1), 10)).await.unwrap(),
            _ => there.put_setting("key", "2").await.unwrap(),
        }
        // The own write is there at once, whoever asks, and by whatever way it went.
        here.append(seen(number + 3, "a", address(1), 10)).await.unwrap();
        assert_eq!(ids(&here).await.last(), Some(&(number + 3)));
        assert_eq!(ids(&there).await.last(), Some(&(number + 3)));
        let counts: u64 = here.account_history(&account).await.unwrap().associations.iter().map(|a| a.count).sum();
        assert_eq!(u128::from(counts), 3 * (round + 1));
    }
    assert!(ids(&here).await.is_sorted());
    let report = here.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 40 * 3 + 20));
    assert_eq!(there.verify().await.unwrap(), report);
    assert_eq!(here.incidents(10).await.unwrap().len(), 1);
    // What is remembered is what somebody who remembers nothing reads.
    let fresh = folder.store().await;
    assert_eq!(fresh.endpoint_history(address(1)).await.unwrap(), here.endpoint_history(address(1)).await.unwrap());
    assert_eq!(fresh.endpoint_history(address(1)).await.unwrap().accounts, 2);
}

/// Records that share a transaction with something else are in the order in which they were handed over.
#[tokio::test]
async fn the_order_of_calls_is_the_order_of_events_by_both_ways() {
    let folder = Folder::create();
    let store = folder.store().await;
    let waiting: Vec<_> = (0..600_u128)
        .map(|number| match number % 50 {
            7 => store.append(with_incidents(number, vec![raise(number, "a", Severity::Low, "t")])),
            _ => store.append(seen(number, "a", address(1), 10)),
        })
        .collect();
    for answer in waiting {
        answer.await.unwrap();
    }
    assert_eq!(ids(&store).await, (0..600).collect::<Vec<_>>());
    assert_eq!(store.verify().await.unwrap().damage, None);
}

#[tokio::test]
async fn a_repeated_id_is_refused_by_both_ways_and_the_log_goes_on() {
    let folder = Folder::create();
    let store = folder.store().await;
    for number in 1..=3 {
        store.append(record(number)).await.unwrap();
        store.append(record(number)).await.unwrap_err();
        store.append(with_incidents(number, vec![raise(number, "a", Severity::Low, "t")])).await.unwrap_err();
    }
    store.append(record(4)).await.unwrap();
    assert_eq!(ids(&store).await, [1, 2, 3, 4]);
    assert_eq!(store.incidents(10).await.unwrap(), []);
    assert_eq!(store.health().last_error, None);
    assert_eq!(store.verify().await.unwrap().damage, None);
}

/// A log whose end was cut off by another process goes on where it ends now, whatever the writer remembers.
#[tokio::test]
async fn the_writer_goes_on_where_the_log_ends_and_not_where_it_left_it() {
    let folder = Folder::create();
    let store = folder.store().await;
    for number in 1..=4 {
        store.append(seen(number, "a", address(1), 10)).await.unwrap();
    }
    let mut intruder = folder.intruder().await;
    intruder.execute("DELETE FROM events WHERE batch = 4; DELETE FROM batches WHERE number = 4").await.unwrap();
    intruder.close().await.unwrap();
    store.append(seen(5, "a", address(1), 10)).await.unwrap();
    let stored = store.recent(None, 10).await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.sequence.0).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(stored[0].event.id(), event_id(5));
    assert_eq!(store.verify().await.unwrap().damage, None);
}

/// The writer has a thread of its own; it ends, and the file is whole, when everybody has dropped the store.
#[test]
fn a_dropped_store_is_closed_even_after_its_runtime() {
    let folder = Folder::create();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(async {
        let store = folder.store().await;
        store.append(record(1)).await.unwrap();
        store
    });
    // Queued, and nobody is left who could wait for it.
    drop(store.append(record(2)));
    drop(runtime);
    drop(store);
    let log = folder.path().with_file_name("portcullis.db-wal");
    for _ in 0..500 {
        if !log.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!log.exists(), "the writer still runs");
    let stored = tokio::runtime::Runtime::new().unwrap().block_on(async { ids(&folder.store().await).await });
    assert_eq!(stored, [1, 2]);
}

/// An identifier that was settled long ago is refused as one of a moment ago is, also behind ones that are higher than all to come.
#[tokio::test]
async fn a_settled_id_is_refused_by_both_ways() {
    let folder = Folder::create();
    let store = folder.store().await;
    let waiting: Vec<_> = (1..=2_100).map(|number| store.append(record(number << 64))).collect();
    for answer in waiting {
        answer.await.unwrap();
    }
    store.append(record(1)).await.unwrap();
    let mut intruder = folder.intruder().await;
    let settled: i64 = sqlx::query_scalar("SELECT through FROM settled").fetch_one(&mut intruder).await.unwrap();
    assert!(settled >= 1_000, "{settled}");
    let incidents = || vec![raise(1, "a", Severity::Low, "t")];
    for number in [1, 7 << 64, 1_000 << 64, 2_000 << 64] {
        store.append(record(number)).await.unwrap_err();
        store.append(with_incidents(number, incidents())).await.unwrap_err();
    }
    // Below the highest, and new.
    store.append(record(2)).await.unwrap();
    store.append(with_incidents(3, incidents())).await.unwrap();
    let report = store.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 2_103));
}
