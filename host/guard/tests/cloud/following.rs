//! What follows from an event: a question, or something that is done to the account.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_core::event::Decision;
use portcullis_core::incident::IncidentChange;
use portcullis_core::plugin::{ConnectorError, PluginFault, Progress};
use portcullis_core::policy::*;
use portcullis_core::source::Enforcement::{EndSessions, Suspend};
use portcullis_core::{Timestamp, challenge::ChallengeState};
use portcullis_guard::cloud::OnBlock;

use super::service::*;
use super::support::*;
use super::{administration, on_sign_in};

const HOUR: u64 = 3_600_000;

fn ask_then_judge() -> portcullis_guard::PolicyEntry {
    on_sign_in("ask", |_, evidence| match evidence {
        [] => ruling(challenge(0)),
        [Evidence::Challenge(result), ..] if result.outcome == ChallengeOutcome::Approved => ruling(Verdict::Allow),
        _ => ruling(Verdict::Block),
    })
}

#[tokio::test(start_paused = true)]
async fn a_block_is_carried_out_as_the_source_says() {
    for (on_block, expected) in [
        (OnBlock::None, vec![]),
        (OnBlock::EndSessions, vec![EndSessions]),
        (OnBlock::Suspend, vec![Suspend, EndSessions]),
    ] {
        let cloud = cloud(vec![on_sign_in("no", |_, _| ruling(Verdict::Block))], on_block);
        cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
        cloud.settle().await;
        let done: Vec<_> = cloud.done().into_iter().map(|(account, what)| (account == "00u1", what)).collect();
        assert_eq!(done, expected.iter().map(|what| (true, *what)).collect::<Vec<_>>());
        let events = cloud.scene.events();
        assert_eq!((events.len(), events[0].decision), (1, Decision::Block));
        assert!(cloud.scene.world.records.lock().unwrap()[0].learned.is_none());
        assert_eq!(administration(&cloud, "cloud-enforced").len(), usize::from(!expected.is_empty()));
        assert_eq!(cloud.store.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_told_is_told_later_and_a_lack_of_rights_is_an_incident() {
    let cloud = cloud(vec![on_sign_in("no", |_, _| ruling(Verdict::Block))], OnBlock::Suspend);
    *cloud.service.enforcing_fails.lock().unwrap() = Some(ConnectorError::Unavailable("gone".to_owned()));
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    tokio::time::sleep(Duration::from_secs(1_800)).await;
    assert_eq!((cloud.done().len(), cloud.store.open()), (0, 1));
    *cloud.service.enforcing_fails.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((cloud.done().len(), cloud.store.open()), (2, 0));

    *cloud.service.enforcing_fails.lock().unwrap() = Some(ConnectorError::Forbidden("okta.users.manage".to_owned()));
    cloud.service.tell("c2", vec![sign_in("e2", cloud.now().0, "198.51.100.7")]);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(cloud.store.open(), 0);
    let failed = administration(&cloud, "cloud-enforcement-failed");
    assert!(failed[0].contains("okta.users.manage"), "{failed:?}");
    let records = cloud.scene.world.records.lock().unwrap();
    let raised = records.last().unwrap().incidents.first().unwrap();
    assert!(matches!(raised, IncidentChange::Raise { account, .. } if account.as_str() == "alice-id"), "{raised:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_lost_to_a_store_that_is_busy() {
    let cloud = cloud(vec![ask_then_judge()], OnBlock::None);
    cloud.store.busy.store(3, Ordering::SeqCst);
    cloud.scene.phone.answer(Progress::Denied);
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud.settle().await;
    assert_eq!((cloud.rings(), cloud.store.open()), (1, 0));
    assert_eq!(cloud.scene.last().decision, Decision::Block);
}

#[tokio::test(start_paused = true)]
async fn only_who_has_an_entry_can_be_taken_out_of_a_group() {
    let effects = vec![Effect::Demote { group: "admins".to_owned(), restore_after_seconds: 0, from_times: 0 }];
    let demoting = on_sign_in("no", move |_, _| {
        Ok(Ruling { verdict: Verdict::Block, reason: "A test.".to_owned(), effects: effects.clone() })
    });
    let cloud = cloud(vec![demoting], OnBlock::None);
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud.settle().await;
    assert_eq!(cloud.scene.world.demotions.lock().unwrap().len(), 1);
    let mut stranger = sign_in("e2", cloud.now().0, "198.51.100.7");
    stranger.identities = vec!["00u2".to_owned(), "zoe@example.com".to_owned()];
    cloud.service.tell("c2", vec![stranger]);
    cloud.settle().await;
    assert_eq!(cloud.scene.last().access.account.unwrap().dn, None);
    assert_eq!(cloud.scene.world.demotions.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_has_gone_meanwhile_is_not_judged_as_one_without_groups() {
    let cloud = cloud(vec![ask_then_judge()], OnBlock::Suspend);
    // Whose it is, is remembered for a minute.
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud.scene.phone.answer(Progress::Approved);
    cloud.settle().await;
    cloud.scene.world.entries_gone.store(true, Ordering::SeqCst);
    cloud.service.tell("c2", vec![sign_in("e2", cloud.now().0, "198.51.100.8")]);
    cloud.settle().await;
    let answer = cloud.scene.last();
    assert_eq!((answer.decision, cloud.rings()), (Decision::Block, 1));
    let fault = answer.rulings[0].fault.as_deref().unwrap_or_default();
    assert!(fault.contains("shows uid=alice,ou=people,dc=example,dc=com no more"), "{fault}");
    assert_eq!(cloud.done(), [], "a fault suspends nobody");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_an_event_of_its_own_and_only_then_is_the_machine_learned() {
    let cloud = cloud(vec![ask_then_judge()], OnBlock::Suspend);
    let at = cloud.now().0 - 60_000;
    cloud.service.tell("c1", vec![sign_in("e1", at, "198.51.100.7")]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cloud.rings(), 1);
    let first = cloud.scene.last();
    assert_eq!((first.decision, first.rulings.len()), (Decision::Allow, 1));
    assert!(first.reason.contains("second factor is asked for"), "{}", first.reason);
    assert!(cloud.scene.world.records.lock().unwrap()[0].learned.is_none());
    // The reader goes on meanwhile.
    cloud.service.tell("c2", vec![sign_in("e2", at, "198.51.100.8")]);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(cloud.rings(), 2);
    cloud.scene.phone.answer(Progress::Approved);
    cloud.settle().await;
    let answer = cloud.scene.last();
    assert_eq!((answer.decision, answer.challenges.len()), (Decision::Allow, 1));
    assert!(answer.foreign.as_ref().unwrap().follows.is_some());
    assert!(answer.access.at > first.access.at);
    let learned: Vec<_> =
        cloud.scene.world.records.lock().unwrap().iter().filter_map(|record| record.learned.clone()).collect();
    assert_eq!(learned.iter().map(|learned| learned.at).collect::<Vec<_>>(), [Timestamp(at), Timestamp(at)]);
    assert!(cloud.done().is_empty());
    assert_eq!(cloud.store.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_denied_question_is_ruled_on_again_and_its_block_carried_out() {
    let cloud = cloud(vec![ask_then_judge()], OnBlock::EndSessions);
    cloud.scene.phone.answer(Progress::Denied);
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud.settle().await;
    let answer = cloud.scene.last();
    assert_eq!((answer.decision, answer.challenges[0].outcome), (Decision::Block, ChallengeOutcome::Denied));
    assert_eq!(answer.rulings.len(), 2);
    assert_eq!(cloud.done(), [("00u1".to_owned(), EndSessions)]);
}

#[tokio::test(start_paused = true)]
async fn what_happened_long_ago_is_recorded_and_learned_and_nothing_follows() {
    let asks = on_sign_in("ask", |access, _| {
        let address = access.endpoint.as_ref().unwrap().address.to_string();
        ruling(if address.ends_with(".8") { Verdict::Block } else { challenge(0) })
    });
    let cloud = cloud(vec![asks], OnBlock::Suspend);
    let at = cloud.now().0 - HOUR - 1_000;
    cloud.service.tell("c1", vec![sign_in("e1", at, "198.51.100.7"), sign_in("e2", at, "198.51.100.8")]);
    cloud.settle().await;
    assert_eq!((cloud.rings(), cloud.done().len(), cloud.store.open()), (0, 0, 0));
    let decisions: Vec<_> = cloud.scene.events().iter().map(|event| event.decision).collect();
    assert_eq!(decisions, [Decision::Allow, Decision::Block]);
    let learned: Vec<_> =
        cloud.scene.world.records.lock().unwrap().iter().map(|record| record.learned.is_some()).collect();
    assert_eq!(learned, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_policy_opens_an_incident_and_does_not_suspend_everybody() {
    let broken = on_sign_in("broken", |_, _| Err(PluginFault::Trap("unreachable".to_owned())));
    let cloud = cloud(vec![broken], OnBlock::Suspend);
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud.settle().await;
    assert_eq!(cloud.scene.last().decision, Decision::Block);
    assert_eq!(cloud.scene.world.records.lock().unwrap()[0].incidents.len(), 1);
    assert!(cloud.done().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_at_the_end_is_done_after_the_next_start() {
    let cloud = cloud(vec![ask_then_judge()], OnBlock::Suspend);
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cloud.rings(), 1);
    let again = cloud.restart().await;
    assert_eq!((cloud.store.open(), cloud.scene.events().len()), (1, 1), "an unanswered question is no event");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cancelled =
        |challenge: &portcullis_core::challenge::ChallengeRecord| challenge.state == ChallengeState::Cancelled;
    assert!(cloud.scene.world.challenges.lock().unwrap().values().any(cancelled), "the phone is told");
    cloud.scene.phone.answer(Progress::Denied);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((cloud.rings(), cloud.done().len(), cloud.store.open()), (2, 2, 0));
    // After more than an hour nobody is asked any more.
    cloud.scene.phone.answer(Progress::Waiting);
    again.cancel();
    cloud.service.tell("c2", vec![sign_in("e2", cloud.now().0, "198.51.100.9")]);
    let again = cloud.restart().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    again.cancel();
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    let rings = cloud.rings();
    let _again = cloud.restart().await;
    cloud.settle().await;
    assert_eq!((cloud.rings(), cloud.store.open()), (rings, 0));
    assert_eq!(administration(&cloud, "cloud-challenge-given-up").len(), 1);
}

/// As many questions as there may be are open, and the phone is not asked for more; what is done to accounts goes on.
#[tokio::test(start_paused = true)]
async fn questions_are_bounded_and_do_not_hold_up_enforcement() {
    let rule = on_sign_in("ask", |access, evidence| {
        let address = access.endpoint.as_ref().unwrap().address.to_string();
        ruling(match evidence {
            [] if address.ends_with(".8") => Verdict::Block,
            [] => challenge(0),
            _ => Verdict::Allow,
        })
    });
    let cloud = cloud(vec![rule], OnBlock::EndSessions);
    let at = cloud.now().0;
    let many = (0..200).map(|n| {
        let mut event = sign_in(&format!("e{n}"), at, "198.51.100.7");
        event.identities = vec![format!("00u-{n}"), format!("user{n}@example.org")];
        event
    });
    cloud.service.tell("c1", many.chain([sign_in("blocked", at, "198.51.100.8")]).collect());
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(cloud.rings(), 64);
    assert_eq!(cloud.done().len(), 1);
    cloud.scene.phone.answer(Progress::Approved);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((cloud.rings(), cloud.store.open()), (200, 0));
}
