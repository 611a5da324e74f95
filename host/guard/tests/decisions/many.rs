//! Challenges that are open at the same time: how many there can be, and whose.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_core::challenge::ChallengeDesk as _;
use portcullis_core::event::Decision;
use portcullis_core::plugin::{ConnectorError, Progress};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_account_has_ten_at_a_time_and_the_next_rings_nobody_and_costs_no_budget() {
    let scene = Arc::new(scene_where(vec![push_policy(0)], |options| options.challenge_budget.per_hour = 12));
    let bind = |number: u32| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move { scene.bind(&format!("10.0.0.{number}")).await })
    };
    let waiting: Vec<_> = (1..=10).map(bind).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 11..=15 {
        bind(number).await.unwrap().unwrap_err();
        let event = scene.last();
        assert_eq!(event.decision, Decision::Block);
        assert_eq!(event.challenges[0].outcome, portcullis_core::policy::ChallengeOutcome::Failed);
        assert!(event.challenges[0].detail.contains("10 challenges"), "{}", event.challenges[0].detail);
    }
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 10);
    scene.phone.answer(Progress::Approved);
    for one in waiting {
        assert_eq!(one.await.unwrap(), Ok("held"));
    }
    // There is room again, and two questions are left of the hour.
    for number in 20..=21 {
        assert_eq!(bind(number).await.unwrap(), Ok("held"));
    }
    bind(22).await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn each_machine_lists_its_own_and_no_more_than_can_be_read() {
    let scene = Arc::new(scene_where(vec![push_policy(0)], |options| options.challenge_budget.per_hour = 1_000));
    scene.phone.answer(Progress::Approved);
    for _ in 0..60 {
        scene.bind("10.0.0.1").await.unwrap();
    }
    scene.bind("10.0.0.2").await.unwrap();
    let desk = scene.guard.desk();
    let of = async |address: &str| desk.of_address(address.parse().unwrap()).await;
    let shown = of("10.0.0.1").await;
    assert!(shown.len() <= 50 && !shown.is_empty(), "{}", shown.len());
    assert!(shown.is_sorted_by_key(|view| std::cmp::Reverse(view.opened_at)), "the newest first");
    assert_eq!(of("10.0.0.2").await.len(), 1);
    assert!(of("10.0.0.3").await.is_empty());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(of("10.0.0.1").await.is_empty(), "what has ended is not listed for long");
}

#[tokio::test(start_paused = true)]
async fn challenges_that_began_together_do_not_ask_the_service_together() {
    let scene = Arc::new(scene_where(vec![push_policy(0)], |options| options.challenge_budget.per_hour = 1_000));
    scene.phone.answer(Progress::Waiting);
    for number in 1..=10 {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move { scene.bind(&format!("10.0.0.{number}")).await });
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut moments = scene.phone.polled.lock().unwrap().clone();
    let polls = moments.len();
    assert!(polls > 200, "{polls} polls");
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() > polls / 2, "{polls} polls at {} moments", moments.len());
}

#[tokio::test(start_paused = true)]
async fn what_one_is_told_to_wait_all_wait() {
    let scene = Arc::new(scene_where(vec![push_policy(0)], |options| options.challenge_budget.per_hour = 1_000));
    *scene.phone.poll_error.lock().unwrap() = Some(ConnectorError::RateLimited(30_000));
    let waiting: Vec<_> = (1..=10)
        .map(|number| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.bind(&format!("10.0.0.{number}")).await })
        })
        .collect();
    let polls = || scene.phone.polled.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(polls(), 1, "the others hear of it");
    *scene.phone.poll_error.lock().unwrap() = None;
    scene.phone.answer(Progress::Approved);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(polls(), 1, "the service is left alone for as long as it wants");
    for one in waiting {
        assert_eq!(one.await.unwrap(), Ok("held"));
    }
    assert_eq!(polls(), 11);
}
