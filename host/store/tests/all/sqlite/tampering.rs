use std::time::Duration;

use portcullis_core::event::Record;
use portcullis_core::store::{EventStore as _, Sequence, SettingsStore as _};
use portcullis_store::{Damage, Head, Store, VerifyReport};
use sqlx::{AssertSqlSafe, Executor as _};

use super::Folder;
use crate::sample::{access, record, summary};

/// Nine events in three batches of three: 1 to 3, 4 to 6, 7 to 9.
async fn log_of_nine(folder: &Folder) -> Store {
    let store = folder.store().await;
    let mut other = folder.intruder().await;
    for batch in 0..3 {
        // The writer hangs on the lock with something that is no event, and what comes meanwhile shares a transaction.
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let first = tokio::spawn({
            let store = store.clone();
            async move { store.put_setting("key", "1").await }
        });
        // With its one turn it is queued; then the writer takes it.
        tokio::task::yield_now().await;
        while store.health().queued > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // For others to join it, it waits a millisecond at most.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let waiting: Vec<_> = (1..=3)
            .map(|number| {
                let event = access(batch * 3 + number, "a");
                store.append(Record { event, learned: None, incidents: vec![] })
            })
            .collect();
        other.execute("ROLLBACK").await.unwrap();
        first.await.unwrap().unwrap();
        for answer in waiting {
            answer.await.unwrap();
        }
    }
    let report = store.verify().await.unwrap();
    assert_eq!((report.events, report.batches, report.damage), (9, 3, None));
    store
}

/// What `verify` reports after somebody has run `sql` on the file.
async fn after(sql: &'static str) -> VerifyReport {
    let folder = Folder::create();
    let store = log_of_nine(&folder).await;
    let mut intruder = folder.intruder().await;
    sqlx::raw_sql(sql).execute(&mut intruder).await.unwrap();
    let report = store.verify().await.unwrap();
    // Being asked again, or after a restart, it says the same.
    store.close().await;
    assert_eq!(folder.store().await.verify().await.unwrap(), report);
    report
}

async fn assert_damage(sql: &'static str, damage: Damage) {
    let report = after(sql).await;
    assert_eq!(report.damage, Some(damage), "{sql}");
    assert!(report.events < 9 || matches!(damage, Damage::EventAdded { .. }), "{sql}");
}

fn changed(sequence: u64) -> Damage {
    Damage::EventChanged { sequence: Sequence(sequence) }
}

#[tokio::test]
async fn a_changed_event_is_named() {
    assert_damage("UPDATE events SET json = replace(json, 'block', 'allow') WHERE sequence = 5", changed(5)).await;
    assert_damage("UPDATE events SET json = 'x' WHERE sequence = 1", changed(1)).await;
    assert_damage("UPDATE events SET json = x'00ff' WHERE sequence = 9", changed(9)).await;
}

#[tokio::test]
async fn a_summary_is_found_by_account_and_endpoint_and_is_part_of_the_chain() {
    let folder = Folder::create();
    let store = folder.store().await;
    store.append(Record { event: summary(1, "a"), learned: None, incidents: vec![] }).await.unwrap();
    assert_eq!(store.verify().await.unwrap().damage, None);
    let mut intruder = folder.intruder().await;
    let columns: (String, String, Option<String>) =
        sqlx::query_as("SELECT account, endpoint, decision FROM events").fetch_one(&mut intruder).await.unwrap();
    assert_eq!(columns, ("a".to_owned(), "192.0.2.7".to_owned(), None));
    sqlx::raw_sql("UPDATE events SET endpoint = '192.0.2.8'").execute(&mut intruder).await.unwrap();
    assert_eq!(store.verify().await.unwrap().damage, Some(changed(1)));
    let back = "UPDATE events SET endpoint = '192.0.2.7', json = replace(json, '12000', '00012')";
    sqlx::raw_sql(back).execute(&mut intruder).await.unwrap();
    assert_eq!(store.verify().await.unwrap().damage, Some(changed(1)));
}

#[tokio::test]
async fn a_changed_column_is_named() {
    for sql in [
        "UPDATE events SET account = 'b' WHERE sequence = 5",
        "UPDATE events SET account = NULL WHERE sequence = 5",
        "UPDATE events SET endpoint = '192.0.2.9' WHERE sequence = 5",
        "UPDATE events SET decision = 'allow' WHERE sequence = 5",
        "UPDATE events SET at = at + 1 WHERE sequence = 5",
        "UPDATE events SET at = 'noon' WHERE sequence = 5",
        "UPDATE events SET id = x'00' WHERE sequence = 5",
        "UPDATE events SET batch = 1 WHERE sequence = 5",
        "UPDATE events SET digest = x'00' WHERE sequence = 5",
    ] {
        assert_damage(sql, changed(5)).await;
    }
}

#[tokio::test]
async fn a_missing_event_is_named() {
    for (sql, sequence) in [
        ("DELETE FROM events WHERE sequence = 1", 1),
        ("DELETE FROM events WHERE sequence = 5", 5),
        ("DELETE FROM events WHERE sequence = 9", 9),
        ("DELETE FROM events WHERE sequence >= 6", 6),
        ("DELETE FROM events", 1),
    ] {
        assert_damage(sql, Damage::EventMissing { sequence: Sequence(sequence) }).await;
    }
}

#[tokio::test]
async fn an_added_event_is_named() {
    const COPY: &str =
        "INSERT INTO events SELECT 10, x'aa', at, account, endpoint, decision, learned_at, json, digest, 3
                        FROM events WHERE sequence = 9";
    assert_damage(COPY, Damage::EventAdded { sequence: Sequence(10) }).await;
    const BEFORE: &str =
        "INSERT INTO events SELECT 0, x'aa', at, account, endpoint, decision, learned_at, json, digest, 1
                          FROM events WHERE sequence = 1";
    assert_damage(BEFORE, Damage::EventAdded { sequence: Sequence(0) }).await;
}

#[tokio::test]
async fn an_added_event_is_still_named_when_the_log_goes_on() {
    let folder = Folder::create();
    let store = log_of_nine(&folder).await;
    let mut intruder = folder.intruder().await;
    sqlx::raw_sql(
        "INSERT INTO events SELECT 10, x'aa', at, account, endpoint, decision, learned_at, json, digest, 3
         FROM events WHERE sequence = 9",
    )
    .execute(&mut intruder)
    .await
    .unwrap();
    store.append(record(100)).await.unwrap();
    let report = store.verify().await.unwrap();
    assert_eq!(report.damage, Some(Damage::EventAdded { sequence: Sequence(10) }));
    assert_eq!((report.events, report.batches), (9, 3));
}

#[tokio::test]
async fn reordered_events_are_named() {
    const SWAP_TEXTS: &str = "
        CREATE TABLE t AS SELECT * FROM events WHERE sequence IN (2, 3);
        UPDATE events SET json = (SELECT json FROM t WHERE t.sequence = 5 - events.sequence) WHERE sequence IN (2, 3);";
    assert_damage(SWAP_TEXTS, changed(2)).await;
    const SWAP_PLACES: &str = "
        UPDATE events SET sequence = 100 WHERE sequence = 2;
        UPDATE events SET sequence = 2 WHERE sequence = 5;
        UPDATE events SET sequence = 5 WHERE sequence = 100;";
    assert_damage(SWAP_PLACES, changed(2)).await;
}

#[tokio::test]
async fn a_changed_batch_is_named() {
    for sql in [
        "UPDATE batches SET hash = zeroblob(32) WHERE number = 2",
        "UPDATE batches SET hash = x'00' WHERE number = 2",
        "UPDATE batches SET previous = zeroblob(32) WHERE number = 2",
        "UPDATE batches SET count = 2 WHERE number = 2",
        "UPDATE batches SET count = 'three' WHERE number = 2",
        "UPDATE batches SET last_sequence = 5 WHERE number = 2",
        "UPDATE batches SET first_sequence = 5 WHERE number = 2",
        "UPDATE batches SET first_sequence = 3 WHERE number = 2",
        "UPDATE batches SET count = 9223372036854775803, last_sequence = 9223372036854775806 WHERE number = 2",
    ] {
        let report = after(sql).await;
        let expected = match sql.contains("first_sequence = 5") {
            // Event 4 is then in no batch, which is what somebody who adds one looks like.
            true => Damage::EventAdded { sequence: Sequence(4) },
            false => Damage::BatchChanged { batch: 2, first: Sequence(4) },
        };
        assert_eq!((report.damage, report.events, report.batches), (Some(expected), 3, 1), "{sql}");
    }
}

#[tokio::test]
async fn a_missing_batch_is_named() {
    for (sql, batch, first) in [
        ("DELETE FROM batches WHERE number = 1", 1, 1),
        ("DELETE FROM batches WHERE number = 2", 2, 4),
        ("DELETE FROM batches WHERE number = 3", 3, 7),
        ("DELETE FROM batches", 1, 1),
        ("DELETE FROM batches WHERE number = 2; DELETE FROM events WHERE batch = 2", 2, 4),
    ] {
        let report = after(sql).await;
        assert_eq!(report.damage, Some(Damage::BatchMissing { batch, first: Sequence(first) }), "{sql}");
    }
}

/// With its own check sum made to fit, the event cannot be told any more, but its batch can.
#[tokio::test]
async fn a_forged_check_sum_does_not_help() {
    let folder = Folder::create();
    let (original, forged) = (log_of_nine(&folder).await, Folder::create());
    let other = forged.store().await;
    // Another log of the same shape gives an event whose own check sum is right at place 5.
    for number in 1..=9 {
        let event = access(if number == 5 { 5_000 } else { number }, "a");
        other.append(Record { event, learned: None, incidents: vec![] }).await.unwrap();
    }
    other.close().await;
    let mut intruder = folder.intruder().await;
    let attach = format!("ATTACH '{}' AS forged", forged.path().display());
    sqlx::query(AssertSqlSafe(attach)).execute(&mut intruder).await.unwrap();
    sqlx::raw_sql(
        "UPDATE events SET (id, at, json, digest) =
             (SELECT f.id, f.at, f.json, f.digest FROM forged.events AS f WHERE f.sequence = 5)
         WHERE sequence = 5",
    )
    .execute(&mut intruder)
    .await
    .unwrap();
    let report = original.verify().await.unwrap();
    assert_eq!(report.damage, Some(Damage::BatchChanged { batch: 2, first: Sequence(4) }));
}

/// The chain alone cannot show that its end was cut off; a head that was kept elsewhere does.
#[tokio::test]
async fn a_kept_head_shows_what_the_chain_cannot() {
    let folder = Folder::create();
    let store = log_of_nine(&folder).await;
    let head = store.verify().await.unwrap().head.unwrap();
    assert_eq!(head.batch, 3);
    assert!(store.still_holds(&head).await.unwrap());
    store.append(record(100)).await.unwrap();
    assert!(store.still_holds(&head.to_string().parse::<Head>().unwrap()).await.unwrap());

    let mut intruder = folder.intruder().await;
    sqlx::raw_sql("DELETE FROM events WHERE batch >= 3; DELETE FROM batches WHERE number >= 3")
        .execute(&mut intruder)
        .await
        .unwrap();
    let report = store.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 6));
    assert!(!store.still_holds(&head).await.unwrap());
    // Nor does it hold once the log has grown again.
    store.append(record(200)).await.unwrap();
    assert!(!store.still_holds(&head).await.unwrap());
    assert_eq!(store.verify().await.unwrap().damage, None);
}

#[tokio::test]
async fn an_empty_log_has_no_head() {
    let report = Folder::create().store().await.verify().await.unwrap();
    assert_eq!(report, VerifyReport { events: 0, batches: 0, head: None, damage: None });
}

#[tokio::test]
async fn a_chain_that_cannot_go_on_is_no_healthy_store() {
    let folder = Folder::create();
    let store = log_of_nine(&folder).await;
    let mut intruder = folder.intruder().await;
    sqlx::raw_sql("UPDATE batches SET hash = x'00' WHERE number = 3").execute(&mut intruder).await.unwrap();
    assert_eq!(store.health().last_error, None);
    store.append(record(10)).await.unwrap_err();
    assert!(store.health().last_error.is_some());
}
