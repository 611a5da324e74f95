use portcullis_core::OperationKind;
use portcullis_core::gate::Connection;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn summary(name: &str, client: &str, age_seconds: u64, continues: bool) -> Summary {
    let mut tally = Tally { octets: 100, entries: 1, ..Tally::default() };
    tally.operations.insert(OperationKind::Search, 2);
    Summary {
        connection: Connection {
            client: client.parse().unwrap(),
            listener: ListenerName::new("main"),
            tls: None,
            application: None,
        },
        claim: Claim::Name(name.to_owned()),
        age: Duration::from_secs(age_seconds),
        continues,
        tally,
    }
}

#[tokio::test(start_paused = true)]
async fn short_connections_of_one_kind_become_one_summary_and_long_ones_stay_apart() {
    let ledger = Ledger::default();
    for port in 1..=100 {
        ledger.take(summary("alice", &format!("10.0.0.1:{port}"), 10, false), "main", NOW);
    }
    ledger.take(summary("alice", "10.0.0.2:1", 10, false), "main", NOW);
    ledger.take(summary("bob", "10.0.0.1:1", 10, false), "main", NOW);
    for port in 1..=2 {
        ledger.take(summary("alice", &format!("10.0.0.1:{port}"), 60, true), "main", NOW);
    }
    assert_eq!(ledger.next(10, false).len(), 2, "those that go on are not kept");
    assert_eq!(ledger.waiting(), 5);
    tokio::time::advance(Duration::from_secs(49)).await;
    assert_eq!(ledger.next(10, false), []);
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut merged = ledger.next(10, false);
    merged.sort_by_key(|one| (one.connections, one.key.address));
    assert_eq!(merged.len(), 3);
    let first = merged.pop().unwrap();
    assert_eq!((first.connections, first.client, first.tally.total()), (100, None, 200));
    assert_eq!((first.from, first.to), (Timestamp(990_000), NOW));
    assert_eq!(merged[0].client, Some("10.0.0.1:1".parse().unwrap()));
    ledger.stored(5);
    assert_eq!((ledger.waiting(), ledger.lost()), (0, Lost::default()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_is_one_connection() {
    let ledger = Ledger::default();
    ledger.take(summary("alice", "10.0.0.1:1", 0, false), "main", NOW);
    ledger.take(summary("alice", "10.0.0.1:1", 0, false), "main", NOW);
    let merged = ledger.next(10, true);
    assert_eq!((merged[0].connections, merged[0].tally.total()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn what_is_full_goes_on_and_what_has_no_room_is_counted() {
    let ledger = Ledger::default();
    let many = MOST_MERGING + MOST_READY;
    for number in 0..=MOST_MERGING {
        ledger.take(summary(&format!("user-{number}"), "10.0.0.1:1", 0, false), "main", NOW);
    }
    // Not due yet, but there was no room for one more.
    assert_eq!(ledger.next(1, false).len(), 1);
    ledger.stored(1);
    for number in MOST_MERGING + 1..many + 1 {
        ledger.take(summary(&format!("user-{number}"), "10.0.0.1:1", 0, false), "main", NOW);
    }
    assert_eq!((ledger.waiting(), ledger.lost()), (many, Lost::default()));
    for number in 0..7 {
        ledger.take(summary(&format!("more-{number}"), "10.0.0.1:1", 0, number % 2 == 0), "main", NOW);
    }
    let lost = Lost { summaries: 7, operations: 14 };
    assert_eq!((ledger.waiting(), ledger.lost()), (many, lost));
    // What can be merged still has room.
    ledger.take(summary(&format!("user-{many}"), "10.0.0.1:1", 60, true), "main", NOW);
    assert_eq!((ledger.waiting(), ledger.lost()), (many, lost));
    ledger.admitted(lost);
    assert_eq!(ledger.lost(), Lost::default());
    let mut seen = 0;
    loop {
        let chunk = ledger.next(1_000, true);
        if chunk.is_empty() {
            break;
        }
        seen += chunk.len();
        ledger.stored(chunk.len());
    }
    assert_eq!((seen, ledger.waiting()), (many, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_comes_first_again() {
    let ledger = Ledger::default();
    for name in ["a", "b", "c"] {
        ledger.take(summary(name, "10.0.0.1:1", 60, true), "main", NOW);
    }
    let chunk = ledger.next(2, false);
    ledger.take(summary("d", "10.0.0.1:1", 60, true), "main", NOW);
    assert_eq!(ledger.waiting(), 4);
    ledger.give_back(chunk.clone());
    assert_eq!(ledger.next(2, false), chunk);
    ledger.give_up(&chunk);
    assert_eq!((ledger.waiting(), ledger.lost()), (2, Lost { summaries: 2, operations: 4 }));
}

#[tokio::test(start_paused = true)]
async fn names_of_any_length_take_bounded_memory() {
    let ledger = Ledger::default();
    let name = format!("uid=alice,{}ou=people", "\u{a0}".repeat(100_000));
    ledger.take(summary(&name, "10.0.0.1:1", 60, true), "main", NOW);
    let Claim::Name(kept) = &ledger.next(1, false)[0].key.claim else { panic!("a name") };
    assert!(kept.len() < LONGEST_NAME + 8 && kept.ends_with('…') && kept.starts_with("uid=alice,"), "{}", kept.len());
    let account = crate::enrich::nameless("alice");
    ledger.remember(&name, &account);
    ledger.remember("uid=alice", &account);
    assert_eq!((ledger.known(&name), ledger.known("uid=alice")), (None, Some(account)));
}
