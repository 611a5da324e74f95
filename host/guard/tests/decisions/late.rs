//! Answers that come when the client has given up, and codes that come with the bind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_core::event::Decision;
use portcullis_core::gate::Asked;
use portcullis_core::plugin::{ConnectorError, Progress};
use portcullis_core::policy::*;
use portcullis_core::{ConnectorName, Secret};
use portcullis_guard::PolicyEntry;

use crate::support::*;

const LATE: Duration = Duration::from_secs(60);

fn patient() -> Scene {
    scene_where(vec![push_policy(0)], |options| {
        options.late_answer = LATE;
        options.challenge_timeout = 2 * LATE;
    })
}

/// A client that does not wait for long.
async fn hasty_bind(scene: &Scene, address: &str) {
    assert!(tokio::time::timeout(Duration::from_secs(5), scene.bind(address)).await.is_err());
    assert_eq!(scene.last().decision, Decision::Abandoned);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_waits_for_the_same_answer() {
    let scene = Arc::new(patient());
    hasty_bind(&scene, "10.0.0.1").await;
    tokio::time::sleep(LATE - Duration::from_secs(10)).await;
    let second = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.bind("10.0.0.1").await }
    });
    // Longer than anybody would have waited for a client that stays away.
    tokio::time::sleep(Duration::from_secs(20)).await;
    scene.phone.answer(Progress::Approved);
    assert_eq!(second.await.unwrap(), Ok("held"));
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_meanwhile_is_good_once_and_not_for_long() {
    for (progress, outcome) in [(Progress::Approved, Ok("held")), (Progress::Denied, Err(()))] {
        let scene = patient();
        hasty_bind(&scene, "10.0.0.1").await;
        scene.phone.answer(progress);
        tokio::time::sleep(Duration::from_secs(10)).await;
        scene.phone.answer(Progress::Waiting);
        hasty_bind(&scene, "10.0.0.2").await;
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2, "another machine is asked for anew");
        assert_eq!(scene.bind("10.0.0.1").await.map_err(drop), outcome);
        assert!(!scene.last().challenges[0].remembered);
        hasty_bind(&scene, "10.0.0.1").await;
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 3, "an answer is good for one bind");
    }

    let scene = patient();
    hasty_bind(&scene, "10.0.0.1").await;
    scene.phone.answer(Progress::Approved);
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.phone.answer(Progress::Waiting);
    tokio::time::sleep(LATE).await;
    hasty_bind(&scene, "10.0.0.1").await;
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2, "too late");
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_nobody_comes_back_to_is_taken_back() {
    let scene = patient();
    hasty_bind(&scene, "10.0.0.1").await;
    tokio::time::sleep(LATE - Duration::from_secs(5)).await;
    assert_eq!(scene.phone.cancels.load(Ordering::SeqCst), 0);
    tokio::time::timeout(Duration::from_secs(20), scene.phone.taken_back.notified()).await.unwrap();
    hasty_bind(&scene, "10.0.0.1").await;
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2);
}

/// Asks for a code; allows when it was right. An approval is remembered for a minute.
fn code_policy() -> PolicyEntry {
    policy("code", Mode::Enforce, FailMode::Closed, |_, evidence| match evidence {
        [] => ruling(Verdict::Challenge(ChallengeRequest {
            connector: ConnectorName::new("codes"),
            remember_seconds: 60,
            timeout_seconds: 0,
        })),
        [Evidence::Challenge(result), ..] if result.outcome == ChallengeOutcome::Approved => ruling(Verdict::Allow),
        _ => ruling(Verdict::Block),
    })
}

fn with_code(code: &str) -> Asked {
    Asked { code: Some(Secret::new(code)), ..bind_from("10.0.0.1") }
}

#[tokio::test(start_paused = true)]
async fn a_code_behind_the_password_is_tried_once_and_nobody_is_waited_for() {
    let scene = scene(vec![code_policy()]);
    for wrong in ["000000", "000001", "000002"] {
        assert!(scene.decide(with_code(wrong)).await.is_err());
        let challenge = &scene.last().challenges[0];
        assert_eq!(challenge.outcome, ChallengeOutcome::Failed);
        assert!(challenge.waited_ms < 1000 && !challenge.detail.contains(wrong), "{challenge:?}");
    }
    assert_eq!(scene.decide(with_code("294871")).await, Ok("held"));
    let calls =
        ["start", "verify 000000", "start", "verify 000001", "start", "verify 000002", "start", "verify 294871"];
    assert_eq!(scene.codes.calls().into_iter().filter(|call| !call.starts_with("cancel")).collect::<Vec<_>>(), calls);

    // A client that keeps what was typed says the same again: inside the window nothing is asked, behind it the code is old.
    assert_eq!(scene.decide(with_code("294871")).await, Ok("held"));
    assert!(scene.last().challenges[0].remembered);
    tokio::time::sleep(Duration::from_secs(61)).await;
    *scene.codes.trouble.lock().unwrap() = Some(ConnectorError::Protocol("it was used".to_owned()));
    assert!(scene.decide(with_code("294871")).await.is_err());
    assert_eq!(scene.last().challenges[0].outcome, ChallengeOutcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn the_same_code_at_the_same_time_is_tried_once_and_codes_are_in_the_budget() {
    let scene = Arc::new(scene(vec![code_policy()]));
    *scene.codes.takes.lock().unwrap() = Duration::from_secs(1);
    let binds: Vec<_> = (0..50)
        .map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.decide(with_code("294871")).await })
        })
        .collect();
    for bind in binds {
        assert_eq!(bind.await.unwrap(), Ok("held"));
    }
    assert_eq!(scene.codes.calls(), ["start", "verify 294871"]);

    tokio::time::sleep(Duration::from_secs(61)).await;
    for guess in 0..20 {
        assert!(scene.decide(with_code(&format!("{guess:06}"))).await.is_err());
    }
    let tried = scene.codes.calls().iter().filter(|call| call.starts_with("verify 0")).count();
    assert_eq!(tried, 5, "six questions in an hour, of which one was answered");
}

#[tokio::test(start_paused = true)]
async fn a_code_is_of_no_use_to_a_phone() {
    let scene = Arc::new(scene(vec![push_policy(0)]));
    let bind = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.decide(with_code("294871")).await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!bind.is_finished());
    scene.phone.answer(Progress::Approved);
    assert_eq!(bind.await.unwrap(), Ok("held"));
}
