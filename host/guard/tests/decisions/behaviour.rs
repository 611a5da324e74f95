//! Detections, risk and account kinds on the way of a decision.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_behavior::profile::{AccountProfile, Profile as _};
use portcullis_behavior::risk::Finding;
use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::profile::{StoredProfile, Subject, SubjectKind};
use portcullis_core::risk::{FactorOrigin, RiskChange, RiskDesk as _, RiskError, RiskReport};
use portcullis_core::{AccountId, Clock as _, Timestamp};
use tokio_util::sync::CancellationToken;

use super::*;

fn wrong_password(password: u64) -> portcullis_core::gate::Asked {
    let mut asked = bind_from("10.0.0.1");
    (asked.outcome, asked.directory_result) = (Outcome::Failure, Some(49));
    asked.tried = Tried::Password(PasswordTag(password));
    asked
}

fn alice() -> Subject {
    Subject::Account(AccountId::new("alice-id"))
}

fn names(event: &portcullis_core::event::AccessEvent) -> Vec<&str> {
    event.access.signals.iter().map(|signal| signal.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn guesses_are_noticed_raise_risks_and_policies_see_both() {
    let scene = scene(vec![policy("risky", Mode::Enforce, FailMode::Closed, |access, _| {
        let risk = access.account.as_ref().map_or(0, |account| account.risk);
        ruling(if risk >= 60 { Verdict::Block } else { Verdict::Abstain })
    })]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    for password in 0..10 {
        scene.guard.note(wrong_password(password), "wrong").await;
    }
    assert_eq!(names(&scene.last()), ["brute-force"]);
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()), "the eleventh was right");
    let event = scene.last();
    assert_eq!(names(&event), ["guessed-after-failures"]);
    // brute-force 20 and guessed-after-failures 60: 1 - 0.8 * 0.4 = 0.68
    assert_eq!(event.access.account.as_ref().unwrap().risk, 68);
    // The endpoint: 50 and 30.
    assert_eq!(event.access.endpoint.as_ref().unwrap().risk, 65);
    let risk = scene.guard.risk(&alice()).await.unwrap().unwrap();
    assert_eq!((risk.name.as_str(), risk.score), ("alice", 68));
    assert_eq!(risk.factors[0].event, Some(event.access.id));
    // A day later half of it is left.
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(scene.guard.risk(&alice()).await.unwrap().unwrap().score, 37);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_password_of_a_program_is_no_attack() {
    let scene = scene(vec![]);
    for _ in 0..100 {
        scene.guard.note(wrong_password(7), "wrong").await;
    }
    assert!(scene.last().access.signals.is_empty());
    assert_eq!(scene.guard.risk(&alice()).await.unwrap().unwrap().score, 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_adds_risk_and_a_good_second_factor_halves_it() {
    let adds = policy("push", Mode::Enforce, FailMode::Closed, |access, evidence| {
        let effects = vec![Effect::AddRisk(40)];
        let is_first = access.endpoint.as_ref().is_some_and(|endpoint| endpoint.address.to_string() == "10.0.0.1");
        Ok(match evidence {
            [] if is_first => Ruling { verdict: Verdict::Abstain, reason: "odd".to_owned(), effects },
            [] => Ruling { verdict: challenge(0), reason: "ask".to_owned(), effects: Vec::new() },
            _ => Ruling { verdict: Verdict::Allow, reason: "good".to_owned(), effects: Vec::new() },
        })
    });
    let watching = policy("watch", Mode::Monitor, FailMode::Open, |_, _| {
        let effects = vec![Effect::AddRisk(90)];
        Ok(Ruling { verdict: Verdict::Abstain, reason: "would".to_owned(), effects })
    });
    let scene = scene(vec![watching, adds]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let risk = scene.guard.risk(&alice()).await.unwrap().unwrap();
    assert_eq!((risk.score, risk.factors[0].name.as_str()), (40, "policy:push"), "monitor has no effects");
    scene.phone.answer(Progress::Approved);
    assert_eq!(scene.bind("10.0.0.2").await, Ok("held"));
    let risk = scene.guard.risk(&alice()).await.unwrap().unwrap();
    // unusual-endpoint 25, answered: 12.5; policy:push 40, answered: 20.
    assert_eq!(names(&scene.last()), ["unusual-endpoint"]);
    assert_eq!((risk.score, risk.factors.iter().map(|factor| factor.answered).max()), (30, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_person_changes_a_risk_and_is_on_record() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let add = RiskChange::Add { name: "leaver".to_owned(), weight: 50, reason: "has given notice".to_owned() };
    let report = scene.guard.change(&alice(), "ada", add.clone()).await.unwrap();
    assert_eq!((report.score, report.factors[0].reason.as_str()), (50, "has given notice"));
    assert_eq!(scene.guard.riskiest(SubjectKind::Account, 5).await.unwrap()[0].name, "alice");
    let put_out = RiskChange::PutOut { name: "leaver".to_owned() };
    assert_eq!(scene.guard.change(&alice(), "ada", put_out.clone()).await.unwrap().score, 0);
    assert!(scene.guard.riskiest(SubjectKind::Account, 5).await.unwrap().is_empty());
    let eve = Subject::Account(AccountId::new("eve-id"));
    assert_eq!(scene.guard.change(&eve, "ada", add).await, Err(RiskError::NotFound));
    let other = RiskChange::PutOut { name: "other".to_owned() };
    assert_eq!(scene.guard.change(&alice(), "ada", other).await, Err(RiskError::NotFound));
    let records = scene.world.records.lock().unwrap();
    let actions: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.event {
            portcullis_core::event::Event::Administration(event) => Some((event.actor.as_str(), event.action.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(actions, [("ada", "risk-added"), ("ada", "risk-put-out")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_on_record_does_not_change_a_risk() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let add = |weight| RiskChange::Add { name: "leaver".to_owned(), weight, reason: "has given notice".to_owned() };
    assert_eq!(scene.guard.change(&alice(), "ada", add(50)).await.unwrap().score, 50);
    scene.world.store_down.store(true, Ordering::SeqCst);
    assert!(matches!(scene.guard.change(&alice(), "ada", add(90)).await, Err(RiskError::Store(_))));
    let put_out = RiskChange::PutOut { name: "leaver".to_owned() };
    assert!(matches!(scene.guard.change(&alice(), "ada", put_out).await, Err(RiskError::Store(_))));
    assert_eq!(scene.guard.risk(&alice()).await.unwrap().unwrap().score, 50);
}

#[tokio::test(start_paused = true)]
async fn any_number_of_those_who_were_risky_once_hides_nobody_who_is_now() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let (now, half_life) = (scene.world.now(), Duration::from_secs(86_400));
    let put = |number: u32, weight: u8, days_ago: u64| {
        let subject = Subject::Account(AccountId::new(format!("account-{number:04}")));
        let at = Timestamp(now.0 - days_ago * 86_400_000);
        let mut profile = AccountProfile::default();
        let origin = FactorOrigin::Signal;
        let found = Finding { name: "password-spray", origin, reason: "it sprayed", weight, at, event: None };
        profile.risk_mut().add(found, half_life);
        let stored = StoredProfile { subject: subject.clone(), mark: 0, value: profile.encode(), risk: weight };
        scene.world.profiles.stored.lock().unwrap().insert(subject, stored);
    };
    (0..1_500).for_each(|number| put(number, 60, 30));
    (1_500..1_503).for_each(|number| put(number, 60, 1));
    put(1_503, 40, 0);
    let scores = |found: Vec<RiskReport>| found.into_iter().map(|report| report.score).collect::<Vec<_>>();
    assert_eq!(scores(scene.guard.riskiest(SubjectKind::Account, 3).await.unwrap()), [40, 30, 30]);
    assert_eq!(scores(scene.guard.riskiest(SubjectKind::Account, 9).await.unwrap()), [40, 30, 30, 30]);
    let stored = scene.world.profiles.stored.lock().unwrap();
    assert_eq!(stored.values().filter(|profile| profile.risk > 0).count(), 4, "those are not read again");
}

#[tokio::test(start_paused = true)]
async fn a_service_account_that_a_person_confirmed_is_never_asked() {
    let scene = scene(vec![push_policy(0)]);
    let id = AccountId::new("alice-id");
    assert_eq!(scene.guard.decide_kind(&id, "ada", Some(AccountKind::Service)).await, Err(RiskError::NotFound));
    scene.phone.answer(Progress::Approved);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 1);
    scene.guard.decide_kind(&id, "ada", Some(AccountKind::Service)).await.unwrap();
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()), "the policy is told that there is nobody");
    let event = scene.last();
    assert_eq!(event.challenges[0].outcome, ChallengeOutcome::NotEnrolled);
    assert_eq!(event.access.account.unwrap().kind, AccountKind::Service);
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 1);
    scene.guard.decide_kind(&id, "ada", None).await.unwrap();
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_survives_and_nothing_is_learned_twice() {
    let first = scene(vec![]);
    let end = CancellationToken::new();
    first.guard.recover_profiles().await.unwrap();
    for _ in 0..5 {
        assert_eq!(first.bind("10.0.0.1").await, Ok("held"));
    }
    end.cancel();
    first.guard.keep_profiles(end.clone()).await;
    // After that writing, and before the process is killed.
    for password in 0..12 {
        first.guard.note(wrong_password(password), "wrong").await;
    }
    assert_eq!(first.bind("10.0.0.1").await, Ok("held"));
    let before = first.guard.risk(&alice()).await.unwrap().unwrap();
    assert!(before.score > 0);

    // Another process with the same store.
    let second = scene_over(&first, vec![]);
    second.guard.recover_profiles().await.unwrap();
    let after = second.guard.risk(&alice()).await.unwrap().unwrap();
    assert_eq!((after.score, &after.factors), (before.score, &before.factors));
    let stored = second.world.profiles.stored.lock().unwrap()[&alice()].clone();
    let profile = AccountProfile::decode;
    assert_eq!(profile(&stored.value).unwrap().logins(), 6);

    // And another one, which has nothing to learn.
    let third = scene_over(&second, vec![]);
    third.guard.recover_profiles().await.unwrap();
    assert_eq!(third.guard.profiles().0, [0, 0, 0]);
    assert_eq!(third.bind("10.0.0.1").await, Ok("held"));
    end.cancel();
    third.guard.keep_profiles(end).await;
    let stored = third.world.profiles.stored.lock().unwrap()[&alice()].clone();
    assert_eq!(profile(&stored.value).unwrap().logins(), 7);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_store_for_somebody_who_is_known() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let asked = scene.world.profiles.asked.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    }
    assert_eq!(scene.world.profiles.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_stored_later() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    scene.world.store_down.store(true, Ordering::SeqCst);
    let end = CancellationToken::new();
    let keeping = tokio::spawn({
        let (guard, end) = (scene.guard.clone(), end.clone());
        async move { guard.keep_profiles(end).await }
    });
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(scene.world.profiles.stored.lock().unwrap().is_empty());
    scene.world.store_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(scene.world.profiles.stored.lock().unwrap().contains_key(&alice()));
    end.cancel();
    keeping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_was_not_stored_is_opened_by_the_next_access() {
    let trap = |options: &mut portcullis_guard::Options| {
        options.behavior.detections.honeytoken.accounts = vec!["alice".to_owned()];
    };
    let scene = scene_where(vec![], trap);
    let raised = || scene.world.records.lock().unwrap().last().map(|record| record.incidents.len());
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(raised(), Some(0), "the same adds nothing yet");
    tokio::time::sleep(Duration::from_secs(61)).await;
    scene.world.store_down.store(true, Ordering::SeqCst);
    scene.bind("10.0.0.1").await.unwrap_err();
    scene.world.store_down.store(false, Ordering::SeqCst);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(raised(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_detection_opens_an_incident_in_the_events_own_record() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    for password in 0..10 {
        scene.guard.note(wrong_password(password), "wrong").await;
    }
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let records = scene.world.records.lock().unwrap();
    let raised: Vec<_> = records
        .iter()
        .flat_map(|record| &record.incidents)
        .map(|change| match change {
            IncidentChange::Raise { account, login, source, severity, .. } => {
                (account.as_str(), login.as_str(), source.to_string(), *severity)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        raised,
        [
            ("alice-id", "alice", "detection:brute-force".to_owned(), Severity::Medium),
            ("alice-id", "alice", "detection:guessed-after-failures".to_owned(), Severity::High),
        ]
    );
    assert!(records[0].incidents.is_empty(), "an ordinary bind opens none");
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_adds_to_the_incident_once_a_minute() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let raised = || scene.world.records.lock().unwrap().iter().map(|record| record.incidents.len()).sum::<usize>();
    for password in 0..30 {
        scene.guard.note(wrong_password(password), "wrong").await;
    }
    assert_eq!(raised(), 1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    scene.guard.note(wrong_password(31), "wrong").await;
    assert_eq!(raised(), 2);
}
