//! What becomes of accesses that nobody watches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_behavior::profile::{AccountProfile, Profile as _};
use portcullis_core::event::{Decision, Event};
use portcullis_core::gate::{Claim, Gate as _, Summary};
use portcullis_core::policy::{FailMode, Mode, Verdict};
use portcullis_core::profile::Subject;
use portcullis_core::summary::{Audit, Tally};
use portcullis_core::{AccountId, Operation, OperationKind, Outcome, Search, SearchScope};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::*;

const ALICE: &str = "uid=alice,ou=people,dc=example,dc=com";

fn searches(name: &str, address: &str, count: u64, continues: bool) -> Summary {
    let mut tally = Tally { entries: 10 * count, octets: 1_000, ..Tally::default() };
    tally.operations.insert(OperationKind::Search, count);
    tally.bases.push("dc=example,dc=com".to_owned());
    let claim = if name.is_empty() { Claim::Anonymous } else { Claim::Name(name.to_owned()) };
    Summary { connection: bind_from(address).connection, claim, age: Duration::from_secs(30), continues, tally }
}

/// The task that stores summaries, and how it is told that no more come.
fn writing(scene: &Scene) -> (JoinHandle<()>, CancellationToken) {
    let (guard, ended) = (Arc::clone(&scene.guard), CancellationToken::new());
    let stop = ended.clone();
    (tokio::spawn(async move { guard.write_summaries(stop).await }), ended)
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_becomes_an_event_with_account_machine_and_application() {
    let scene = scene(vec![]);
    let (_task, _ended) = writing(&scene);
    scene.bind("10.0.0.1").await.unwrap();
    // What the bind has found counts, even when the directory is gone since.
    scene.world.directory_down.store(true, Ordering::SeqCst);
    scene.guard.summarize(searches(ALICE, "10.0.0.1", 100, true));
    pass(2).await;
    let stored = scene.summaries();
    assert_eq!(stored.len(), 1);
    let summary = &stored[0];
    assert_eq!(summary.account.as_ref().unwrap().login, "alice");
    assert_eq!(summary.endpoint.address.to_string(), "10.0.0.1");
    assert_eq!((summary.application.as_str(), summary.listener.as_str()), ("main", "main"));
    assert_eq!(summary.client, Some("10.0.0.1:50000".parse().unwrap()));
    assert_eq!((summary.connections, summary.tally.total(), summary.tally.entries), (1, 100, 1_000));
    assert_eq!(summary.to.since(summary.from), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_remembered_is_looked_up_and_nobody_stays_nobody() {
    let scene = scene(vec![]);
    let (_task, _ended) = writing(&scene);
    scene.guard.summarize(searches(ALICE, "10.0.0.1", 1, true));
    scene.guard.summarize(searches("uid=gone", "10.0.0.1", 1, true));
    scene.guard.summarize(searches("", "10.0.0.1", 1, true));
    pass(2).await;
    let stored = scene.summaries();
    let ids: Vec<_> = stored.iter().map(|s| s.account.as_ref().map(|account| account.id.as_str())).collect();
    assert_eq!(ids, [Some("alice-id"), Some("name:uid=gone"), None]);
    // A directory that is down costs the account, not the summary.
    scene.world.directory_down.store(true, Ordering::SeqCst);
    scene.guard.summarize(searches("uid=bob", "10.0.0.1", 1, true));
    pass(2).await;
    assert_eq!(scene.summaries()[3].account.as_ref().unwrap().id.as_str(), "name:uid=bob");
}

#[tokio::test(start_paused = true)]
async fn who_reads_through_many_connections_at_once_reads_the_sum() {
    let scene = scene(vec![]);
    let (_task, _ended) = writing(&scene);
    // 30,000 entries each, where 50,000 are too many; each machine's are a summary of its own, and all are due at once.
    for number in 1..=3 {
        scene.guard.summarize(searches(ALICE, &format!("10.0.0.{number}"), 3_000, true));
    }
    pass(2).await;
    let stored = scene.summaries();
    let given = stored.iter().flat_map(|summary| &summary.signals).filter(|signal| signal.name == "bulk-extraction");
    assert_eq!((stored.len(), given.count()), (3, 1));
    // What was read before is known by then, and said already.
    scene.guard.summarize(searches(ALICE, "10.0.0.4", 3_000, true));
    pass(2).await;
    assert!(scene.summaries()[3].signals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_search_that_a_policy_sees_and_lets_pass_is_counted_once() {
    let watching = || policy("watch", Mode::Enforce, FailMode::Closed, |_, _| ruling(Verdict::Abstain));
    for (audit, summed_up) in [(Audit::Summary, true), (Audit::Off, false)] {
        let scene = scene_of(vec![watching()], FailMode::Closed, audit);
        let (_task, _ended) = writing(&scene);
        let mut asked = bind_from("10.0.0.1");
        let filter = "(uid=alice)".to_owned();
        let (base, attributes) = ("dc=example,dc=com".to_owned(), Vec::new());
        let search = Search { base, scope: SearchScope::Subtree, filter, attributes };
        (asked.operation, asked.outcome, asked.directory_result) =
            (Operation::Search(Some(search)), Outcome::Pending, None);
        for _ in 0..10 {
            scene.decide(asked.clone()).await.unwrap();
        }
        assert!(scene.events().is_empty());
        scene.guard.summarize(searches(ALICE, "10.0.0.1", 10, true));
        pass(2).await;
        assert_eq!(scene.summaries().len(), usize::from(summed_up));
        let end = CancellationToken::new();
        end.cancel();
        scene.guard.keep_profiles(end).await;
        let stored = scene.world.profiles.stored.lock().unwrap();
        let stored = &stored[&Subject::Account(AccountId::new("alice-id"))];
        let profile = format!("{:?}", AccountProfile::decode(&stored.value).unwrap());
        let (_, volume) = profile.split_once(" volume: Volume {").unwrap();
        assert!(volume.split_once('}').unwrap().0.contains(" today: 10,"), "{audit:?}: {profile}");
        let marks = scene.world.profiles.marks.lock().unwrap();
        assert_eq!(marks[0].ahead.len(), usize::from(summed_up), "no event will ever tell of those searches");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_come_and_go_cost_one_event_a_minute() {
    let scene = scene(vec![]);
    let (_task, _ended) = writing(&scene);
    for _ in 0..1_000 {
        scene.guard.summarize(searches(ALICE, "10.0.0.1", 1, false));
    }
    pass(28).await;
    assert_eq!(scene.summaries().len(), 0);
    pass(4).await;
    assert_eq!(scene.summaries().len(), 1);
    assert_eq!(scene.summaries()[0].tally.total(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_gateway_stores_what_waits() {
    let scene = scene(vec![]);
    let (task, ended) = writing(&scene);
    for number in 0..1_000 {
        scene.guard.summarize(searches(&format!("uid=user-{number}"), "10.0.0.1", 1, false));
    }
    ended.cancel();
    task.await.unwrap();
    assert_eq!(scene.summaries().len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn summaries_wait_for_the_store_and_losses_are_on_record() {
    let scene = scene(vec![]);
    let (task, ended) = writing(&scene);
    scene.world.store_down.store(true, Ordering::SeqCst);
    for number in 0..13_000 {
        scene.guard.summarize(searches(&format!("uid=user-{number}"), "10.0.0.1", 3, true));
    }
    pass(10).await;
    assert_eq!(scene.summaries().len(), 0);
    scene.world.store_down.store(false, Ordering::SeqCst);
    pass(120).await;
    let kept = scene.summaries().len();
    assert_eq!(kept, 8_192 + 4_096, "as many as there is room for");
    let records = scene.world.records.lock().unwrap().clone();
    let said: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Administration(event) if event.action == "summaries-lost" => Some(event.detail.clone()),
            _ => None,
        })
        .collect();
    let (lost, operations) = (13_000 - kept, 3 * (13_000 - kept));
    assert_eq!(said, [format!("{lost} summaries of {operations} operations could not be stored, and are missing.")]);
    ended.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_refused_is_tried_again_and_not_for_ever() {
    let scene = scene(vec![]);
    let (_task, _ended) = writing(&scene);
    let refuse =
        |logins: &[&str]| *scene.world.refused_logins.lock().unwrap() = logins.iter().map(|l| (*l).into()).collect();
    refuse(&["uid=late", "uid=never"]);
    for name in ["uid=late", "uid=never", "uid=first"] {
        scene.guard.summarize(searches(name, "10.0.0.1", 1, true));
    }
    pass(2).await;
    refuse(&["uid=never"]);
    for name in ["uid=second", "uid=third", "uid=fourth", "uid=fifth"] {
        scene.guard.summarize(searches(name, "10.0.0.1", 1, true));
        pass(2).await;
    }
    let logins: Vec<_> = scene.summaries().iter().map(|s| s.account.as_ref().unwrap().login.clone()).collect();
    assert_eq!(logins, ["uid=first", "uid=late", "uid=second", "uid=third", "uid=fourth", "uid=fifth"]);
    let records = scene.world.records.lock().unwrap();
    let lost = records
        .iter()
        .filter(|record| matches!(&record.event, Event::Administration(e) if e.action == "summaries-lost"));
    assert_eq!(lost.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_does_not_hold_up_the_end() {
    let scene = scene(vec![]);
    let (task, ended) = writing(&scene);
    scene.world.store_down.store(true, Ordering::SeqCst);
    scene.guard.summarize(searches(ALICE, "10.0.0.1", 1, false));
    ended.cancel();
    tokio::time::timeout(Duration::from_secs(30), task).await.expect("it ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn full_audit_makes_every_operation_an_event_and_no_summary() {
    let scene = scene_of(vec![], FailMode::Closed, Audit::Full);
    let (_task, _ended) = writing(&scene);
    assert!(!scene.guard.wants_summaries());
    for kind in OperationKind::ALL {
        assert!(scene.guard.pass(kind, ()).is_err(), "{kind:?}");
    }
    let mut asked = bind_from("10.0.0.1");
    (asked.operation, asked.outcome, asked.directory_result) = (Operation::Search(None), Outcome::Pending, None);
    for _ in 0..100 {
        scene.decide(asked.clone()).await.unwrap();
    }
    assert_eq!(scene.events().len(), 100);
    assert!(scene.events().iter().all(|event| event.decision == Decision::Allow));
    scene.guard.summarize(searches(ALICE, "10.0.0.1", 1, true));
    pass(70).await;
    assert_eq!(scene.summaries(), []);
    // What cannot be recorded does not happen.
    scene.world.store_down.store(true, Ordering::SeqCst);
    assert!(scene.decide(asked).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn without_audit_nothing_is_summed_up_and_binds_stay_events() {
    let scene = scene_of(vec![], FailMode::Closed, Audit::Off);
    let (_task, _ended) = writing(&scene);
    assert!(!scene.guard.wants_summaries());
    assert!(scene.guard.pass(OperationKind::Search, ()).is_ok());
    assert!(scene.guard.pass(OperationKind::Bind, ()).is_err());
    scene.guard.summarize(searches(ALICE, "10.0.0.1", 1, true));
    scene.bind("10.0.0.1").await.unwrap();
    pass(70).await;
    assert_eq!((scene.summaries().len(), scene.events().len()), (0, 1));
}
