use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use portcullis_core::AccountId;
use portcullis_core::history::HistoryStore as _;
use portcullis_core::store::{EventStore as _, LearnedStore as _, StoreError};
use portcullis_store::{Store, StoreOptions};
use sqlx::{Connection as _, Executor as _};

use super::Folder;
use crate::sample::{address, event_id, record, seen};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let folder = Folder::create();
    let path = folder.path().with_file_name("a").join("b").join("p.db");
    let store = Store::open(StoreOptions::new(&path)).await.unwrap();
    store.append(record(1)).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_file_name("p.db-wal")), 0o600);
    assert_eq!(mode(&path.with_file_name("p.db-shm")), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let folder = Folder::create();
    let store = folder.store().await;
    store.append(record(1)).await.unwrap();
    store.recent(None, 1).await.unwrap();
    store.close().await;
    // Closing twice is closing.
    store.close().await;
    let names: Vec<_> = std::fs::read_dir(folder.path().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["portcullis.db"]);
    assert!(store.health().last_error.is_some());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_with_the_reason() {
    let folder = Folder::create();
    folder.store().await.close().await;
    let mut intruder = folder.intruder().await;
    intruder
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (4711, 'from the future', TRUE, x'00', 0)",
        )
        .await
        .unwrap();
    let error = Store::open(folder.options()).await.err().expect("refused");
    let StoreError::Unavailable(text) = error else { panic!("{error}") };
    assert!(text.contains("newer version") && text.contains("4711"), "{text}");
}

#[tokio::test]
async fn a_changed_schema_is_damage() {
    let folder = Folder::create();
    folder.store().await.close().await;
    folder.intruder().await.execute("UPDATE _sqlx_migrations SET checksum = x'00'").await.unwrap();
    let error = Store::open(folder.options()).await.err().expect("refused");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let folder = Folder::create();
    std::fs::write(folder.path(), "a letter to somebody, long enough to have a header in it".repeat(100)).unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let error = Store::open(folder.options()).await.err().expect("refused");
    let StoreError::Unavailable(text) = error else { panic!("{error}") };
    assert!(text.contains("backup") && text.contains("portcullis.db"), "{text}");
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::create();
    std::fs::write(folder.path(), "").unwrap();
    let error = Store::open(StoreOptions::new(folder.path().join("below a file.db"))).await.err().expect("refused");
    let StoreError::Unavailable(text) = error else { panic!("{error}") };
    assert!(text.contains("below a file.db"), "{text}");
}

/// Changes the file of a closed store and opens it again.
async fn error_after(change: impl FnOnce(&mut Vec<u8>)) -> StoreError {
    let folder = Folder::create();
    let store = folder.store().await;
    store.append(record(1)).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(folder.path()).unwrap();
    change(&mut bytes);
    std::fs::write(folder.path(), bytes).unwrap();
    match Store::open(folder.options()).await {
        Ok(store) => store.append(record(2)).await.expect_err("the change is noticed"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error_that_says_what_to_do() {
    let error = error_after(|bytes| bytes[4096..].fill(0x5a)).await;
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("put a backup")), "{error}");
}

#[tokio::test]
async fn a_read_only_database_is_an_error_that_says_what_to_do() {
    // A write version above 2 makes SQLite treat the file as read-only (https://www.sqlite.org/fileformat.html, 1.3.3).
    let error = error_after(|bytes| bytes[18] = 3).await;
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("only be read")), "{error}");
}

/// What an earlier version has stored, with an index over the identifiers and a table of what is to be learned.
#[tokio::test]
async fn a_log_from_before_it_was_settled_goes_on() {
    const BACK: &str = "
        DROP VIEW sightings;
        CREATE TABLE sightings (number INTEGER PRIMARY KEY, account TEXT NOT NULL, address TEXT NOT NULL, at INTEGER NOT NULL);
        INSERT INTO sightings (account, address, at)
            SELECT account, endpoint, learned_at FROM events WHERE learned_at IS NOT NULL;
        CREATE TABLE before (
            sequence INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, at INTEGER NOT NULL, account TEXT, endpoint TEXT,
            decision TEXT, json TEXT NOT NULL, digest BLOB NOT NULL, batch INTEGER NOT NULL);
        INSERT INTO before SELECT sequence, id, at, account, endpoint, decision, json, digest, batch FROM events;
        DROP TABLE events;
        ALTER TABLE before RENAME TO events;
        DROP TABLE event_ids;
        DROP TABLE settled;
        DELETE FROM _sqlx_migrations WHERE version = 16;";
    let folder = Folder::create();
    let store = folder.store().await;
    for number in 1..=5 {
        store.append(seen(number, "a", address(1), 10 * u64::try_from(number).unwrap())).await.unwrap();
    }
    let known = store.account_history(&AccountId::new("a")).await.unwrap();
    store.close().await;
    let mut connection = folder.intruder().await;
    sqlx::raw_sql(BACK).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let store = folder.store().await;
    let report = store.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 5));
    assert_eq!(store.account_history(&AccountId::new("a")).await.unwrap(), known);
    let found = store.known_events(&[event_id(3), event_id(9)]).await.unwrap();
    assert_eq!(found, [event_id(3)].into());
    store.append(record(3)).await.unwrap_err();
    store.append(seen(6, "a", address(1), 60)).await.unwrap();
    let history = store.account_history(&AccountId::new("a")).await.unwrap();
    assert_eq!(
        history
            .associations
            .iter()
            .map(|association| (association.count, association.first_seen.0))
            .collect::<Vec<_>>(),
        [(6, 10)]
    );
    assert_eq!(store.verify().await.unwrap().damage, None);
}
