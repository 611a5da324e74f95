//! Policies and connectors that are replaced while accesses are decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_core::ConnectorName;
use portcullis_core::event::Decision;
use portcullis_core::plugin::{Authenticator, Progress};
use portcullis_core::policy::{ChallengeOutcome, Mode, Verdict};
use portcullis_guard::Connectors;

use crate::always;
use crate::support::*;

fn connectors(phone: &Arc<Phone>) -> Connectors {
    [(ConnectorName::new("phone"), Arc::clone(phone) as Arc<dyn Authenticator>)].into()
}

#[tokio::test(start_paused = true)]
async fn a_decision_ends_with_the_policies_and_the_connector_it_began_with() {
    let scene = scene(vec![push_policy(0)]);
    let (guard, old) = (Arc::clone(&scene.guard), Arc::clone(&scene.phone));
    let waiting = tokio::spawn({
        let guard = Arc::clone(&guard);
        async move { decide_with(&guard, bind_from("10.0.0.1")).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(old.starts.load(Ordering::SeqCst), 1);
    let new = Arc::new(Phone::default());
    guard.replace(connectors(&new), vec![always("second", Mode::Enforce, Verdict::Block)]);
    assert!(scene.bind("10.0.0.2").await.is_err(), "the new set counts at once");
    assert_eq!(scene.last().decided_by.unwrap().as_str(), "second");
    old.answer(Progress::Approved);
    assert_eq!(waiting.await.unwrap(), Ok("held"));
    assert_eq!(scene.last().decided_by.unwrap().as_str(), "push", "the old policy heard the old phone's answer");
    assert_eq!(new.starts.load(Ordering::SeqCst), 0);

    guard.replace(connectors(&new), vec![push_policy(0)]);
    new.answer(Progress::Approved);
    assert_eq!(scene.bind("10.0.0.3").await, Ok("held"));
    assert_eq!((old.starts.load(Ordering::SeqCst), new.starts.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn open_challenges_of_a_connector_that_goes_end_as_unavailable() {
    let scene = scene(vec![push_policy(0)]);
    let guard = Arc::clone(&scene.guard);
    let waiting = tokio::spawn(async move { decide_with(&guard, bind_from("10.0.0.1")).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    scene.guard.replace(BTreeMap::new(), vec![push_policy(0)]);
    assert!(waiting.await.unwrap().is_err());
    let event = scene.last();
    assert_eq!(event.decision, Decision::Block);
    assert_eq!(event.challenges[0].outcome, ChallengeOutcome::Unavailable);
    assert!(event.challenges[0].detail.contains("taken out of the configuration"), "{}", event.challenges[0].detail);
    tokio::time::timeout(Duration::from_secs(5), scene.phone.taken_back.notified()).await.expect("taken back");

    assert!(scene.bind("10.0.0.2").await.is_err());
    assert_eq!(scene.last().challenges[0].outcome, ChallengeOutcome::Unavailable);
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 1, "it was not asked again");
    let new = Arc::new(Phone::default());
    new.answer(Progress::Approved);
    scene.guard.replace(connectors(&new), vec![push_policy(0)]);
    assert_eq!(scene.bind("10.0.0.2").await, Ok("held"), "one of the same name that comes later is another one");
}
