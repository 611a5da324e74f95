//! What ends the time for which an approval is remembered, with the real store. Each test approves once, sees that nobody is
//! asked again, lets something happen, and sees that somebody is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test fails by panicking, and does not use all of what the tests share"
)]

#[path = "support/real.rs"]
mod real;
#[path = "cloud/service.rs"]
mod service;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_core::gate::{Answer, Asked, Claim, Gate as _, Permit as _};
use portcullis_core::plugin::Progress;
use portcullis_core::policy::*;
use portcullis_core::profile::Subject;
use portcullis_core::risk::{RiskChange, RiskDesk as _};
use portcullis_core::{AccountId, Operation, OperationKind, Outcome, PolicyName};
use portcullis_guard::PolicyEntry;
use portcullis_guard::cloud::{Cloud, OnBlock};
use portcullis_store::{Store, StoreOptions};
use real::Real;
use service::{Service, sign_in, source};
use support::*;
use tokio_util::sync::CancellationToken;

const DESK: &str = "10.0.0.1";
const ALICE: &str = "uid=alice,ou=people,dc=example,dc=com";
const HELPDESK: &str = "cn=admin,dc=example,dc=com";

/// A guard on a real store.
struct Place {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    scene: Scene,
}

impl Place {
    async fn new(policies: Vec<PolicyEntry>) -> Self {
        Self::open(tempfile::tempdir().unwrap(), policies, Duration::ZERO).await
    }

    async fn open(folder: tempfile::TempDir, policies: Vec<PolicyEntry>, late: Duration) -> Self {
        let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap());
        let scene = scene_among(
            policies,
            |options| {
                options.late_answer = late;
                options.challenge_budget.per_hour = 20;
            },
            |rooms| {
                (rooms.events, rooms.challenges) = (store.clone(), store.clone());
                rooms.learned = store.clone();
                // Ids and time of the made-up world begin anew with each guard.
                rooms.ids = Arc::new(Real);
                rooms.clock = Arc::new(Real);
            },
        );
        scene.phone.answer(Progress::Approved);
        Self { folder, store, scene }
    }

    /// Somebody was asked once and is remembered.
    async fn remembered(policies: Vec<PolicyEntry>) -> Self {
        let place = Self::new(policies).await;
        place.bind(DESK).await.unwrap();
        place.is_remembered(1).await;
        place
    }

    async fn bind(&self, address: &str) -> Result<&'static str, String> {
        self.scene.bind(address).await
    }

    fn rings(&self) -> u32 {
        self.scene.phone.starts.load(Ordering::SeqCst)
    }

    async fn is_remembered(&self, rings: u32) {
        self.bind(DESK).await.unwrap();
        assert_eq!(self.rings(), rings, "nobody is asked again");
    }

    async fn is_asked(&self, rings: u32) {
        let before = self.rings();
        self.bind(DESK).await.unwrap();
        assert_eq!((before, self.rings()), (rings, rings + 1), "somebody is asked again");
    }

    /// A change of a password is let through; what the directory then says of it is told, or not.
    async fn change_password(&self, who: &str, whose: Option<&str>, told: Option<u32>) {
        let asked = Asked {
            claim: Claim::Name(who.to_owned()),
            operation: Operation::PasswordChange,
            entry: whose.map(str::to_owned),
            outcome: Outcome::Pending,
            directory_result: None,
            ..bind_from("10.0.0.99")
        };
        let Answer::Permitted(mut permitted) = self.scene.guard.decide(asked, "held").await else {
            panic!("it was not let through");
        };
        let listener = permitted.take_told().expect("the gate wants to know");
        match told {
            Some(code) => listener.tell(code),
            None => drop(listener),
        }
    }
}

const HOURS: u32 = 8 * 3600;

/// Until it holds, as what is told to the guard is stored behind its back.
async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_changed_password_is_a_new_beginning() {
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    place.change_password(ALICE, None, Some(0)).await;
    place.is_asked(1).await;
    place.is_remembered(2).await;
    // By somebody else, in each form in which RFC 3062 and servers name an account.
    for (rings, whose) in (2..).zip([ALICE.to_owned(), format!("dn:{ALICE}"), "u:uid=alice".to_owned()]) {
        place.change_password(HELPDESK, Some(&whose), Some(0)).await;
        place.is_asked(rings).await;
    }
}

#[tokio::test]
async fn an_approval_of_the_future_counts_no_more_than_none() {
    use portcullis_core::store::ChallengeStore as _;
    use portcullis_core::{Clock as _, Ids as _};
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    let first = place.store.challenges_since(portcullis_core::Timestamp(0)).await.unwrap().remove(0);
    // It was given before the clock was put back by an hour.
    let later = portcullis_core::Timestamp(Real.now().0 + 3_600_000);
    let id = portcullis_core::ChallengeId(Real.event_id(later).0);
    let ahead = portcullis_core::challenge::ChallengeRecord { id, opened_at: later, ended_at: Some(later), ..first };
    place.store.put_challenge(&ahead).await.unwrap();
    place.is_remembered(1).await;
    place.change_password(ALICE, None, Some(0)).await;
    place.is_asked(1).await;
    place.is_remembered(2).await;
}

#[tokio::test]
async fn what_the_directory_refused_to_change_counts_only_until_it_says_so() {
    use portcullis_core::store::ChallengeStore as _;
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    // Nobody has said anything yet.
    place.change_password("uid=mallory", Some(ALICE), Some(50)).await;
    let (store, key) = (&place.store, key());
    eventually("a refused change goes on counting", || async {
        store.approval_within(&key, EVER, 0).await.unwrap().is_some()
    })
    .await;
    place.is_remembered(1).await;
    // Never answered: it may have happened.
    place.change_password("uid=mallory", Some(ALICE), None).await;
    place.is_asked(1).await;
}

const EVER: std::ops::RangeInclusive<portcullis_core::Timestamp> =
    portcullis_core::Timestamp(0)..=portcullis_core::Timestamp(u64::MAX);

fn key() -> portcullis_core::challenge::RememberKey {
    portcullis_core::challenge::RememberKey {
        account: AccountId::new("alice-id"),
        address: Some(DESK.parse().unwrap()),
        application: "main".to_owned(),
        policy: PolicyName::new("push"),
        connector: portcullis_core::ConnectorName::new("phone"),
    }
}

#[tokio::test]
async fn others_passwords_are_their_own_and_a_lost_directory_counts_for_all() {
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    place.change_password(HELPDESK, Some("uid=bob,ou=people,dc=example,dc=com"), Some(0)).await;
    place.is_remembered(1).await;
    place.scene.world.directory_down.store(true, Ordering::SeqCst);
    place.change_password(HELPDESK, Some(ALICE), Some(0)).await;
    place.scene.world.directory_down.store(false, Ordering::SeqCst);
    place.is_asked(1).await;
}

#[tokio::test]
async fn it_stays_ended_over_a_restart() {
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    // The process ends between the request and its answer.
    place.change_password(ALICE, None, None).await;
    let Place { folder, store, scene } = place;
    drop(scene);
    store.as_ref().clone().close().await;
    let place = Place::open(folder, vec![push_policy(HOURS)], Duration::ZERO).await;
    place.is_asked(0).await;
    place.is_remembered(1).await;
}

#[tokio::test]
async fn an_incident_of_any_policy_ends_it() {
    // A search raises an incident, and an incident that is raised again counts again.
    let alarm = policy("alarm", Mode::Enforce, FailMode::Closed, |access, _| {
        let effect = Effect::RaiseIncident { severity: Severity::Low, title: "odd".to_owned(), escalate: Vec::new() };
        let effects = if matches!(access.operation, Operation::Search(_)) { vec![effect] } else { vec![] };
        Ok(Ruling { verdict: Verdict::Abstain, reason: "because".to_owned(), effects })
    });
    let pushes =
        policy("push", Mode::Enforce, FailMode::Closed, |access, evidence| match (access.operation.kind(), evidence) {
            (OperationKind::Bind, []) => ruling(challenge(HOURS)),
            (OperationKind::Bind, [Evidence::Challenge(result), ..])
                if result.outcome != ChallengeOutcome::Approved =>
            {
                ruling(Verdict::Block)
            }
            _ => ruling(Verdict::Allow),
        });
    let place = Place::remembered(vec![alarm, pushes]).await;
    for rings in 1..3 {
        let search = Asked { operation: Operation::Search(None), outcome: Outcome::Pending, ..bind_from("10.0.0.7") };
        place.scene.decide(search).await.unwrap();
        place.is_asked(rings).await;
        place.is_remembered(rings + 1).await;
    }
}

#[tokio::test]
async fn a_risk_that_rises_ends_it() {
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    let rises = |weight| {
        let change = RiskChange::Add { name: format!("by-{weight}"), weight, reason: "stolen".to_owned() };
        let guard = Arc::clone(&place.scene.guard);
        async move { guard.change(&Subject::Account(AccountId::new("alice-id")), "admin", change).await.unwrap().score }
    };
    assert!(rises(30).await <= 40, "not by much");
    place.is_remembered(1).await;
    assert!(rises(60).await > 50);
    place.is_asked(1).await;
    // It is known now, and was no more when she approved.
    place.is_remembered(2).await;
}

#[tokio::test]
async fn a_refusal_from_anywhere_ends_it() {
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    place.scene.phone.answer(Progress::Denied);
    place.bind("10.0.0.66").await.unwrap_err();
    place.scene.phone.answer(Progress::Approved);
    place.is_asked(1 + 1).await;
}

#[tokio::test]
async fn an_answer_that_came_late_is_no_better() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder, vec![push_policy(0)], Duration::from_secs(60)).await;
    place.scene.phone.answer(Progress::Waiting);
    let hasty = tokio::time::timeout(Duration::from_millis(500), place.bind(DESK)).await;
    assert!(hasty.is_err(), "the client gives up");
    place.scene.phone.answer(Progress::Approved);
    let approved = || async {
        use portcullis_core::store::ChallengeStore as _;
        place.store.approval_within(&key(), EVER, 0).await.unwrap().is_some()
    };
    eventually("it is approved", approved).await;
    place.change_password(ALICE, None, Some(0)).await;
    place.is_asked(1).await;
}

#[tokio::test]
async fn what_a_cloud_service_tells_against_the_account_ends_it() {
    let place = Place::remembered(vec![push_policy(HOURS)]).await;
    let (service, end) = (Arc::new(Service::default()), CancellationToken::new());
    service.poll_often();
    let cloud = Arc::new(Cloud::new(place.scene.guard.clone(), place.store.clone()));
    cloud.set_sources(vec![source("okta", &service, OnBlock::None)]);
    tokio::spawn(cloud.run(end.clone()));
    let _ends = end.drop_guard();
    let named = |name: &str| Operation::Other(name.to_owned());
    let against = [
        (Operation::PasswordChange, Outcome::Success),
        (named("account-locked"), Outcome::Failure),
        (named("account-suspended"), Outcome::Success),
        (named("account-deactivated"), Outcome::Success),
        (named("account-deleted"), Outcome::Success),
        (named("sessions-ended"), Outcome::Success),
    ];
    let others = [
        (named("account-suspended"), Outcome::Failure),
        (named("account-unlocked"), Outcome::Success),
        (Operation::SignIn, Outcome::Success),
        (Operation::SignIn, Outcome::Failure),
        (Operation::PasswordChange, Outcome::Failure),
    ];
    let (mut rings, mut number) = (1, 0);
    let cases = others.into_iter().map(|case| (case, false)).chain(against.into_iter().map(|case| (case, true)));
    for ((operation, outcome), ends) in cases {
        number += 1;
        let id = format!("e{number}");
        let mut event = sign_in(&id, now(), "198.51.100.7");
        (event.operation, event.outcome) = (operation.clone(), outcome);
        service.tell(&id, vec![event]);
        let store = &place.store;
        eventually("the event is stored", || async {
            use portcullis_core::cloud::SourceStore as _;
            !store
                .known_ids(&portcullis_core::ConnectorName::new("okta"), std::slice::from_ref(&id))
                .await
                .unwrap()
                .is_empty()
        })
        .await;
        let before = place.rings();
        place.bind(DESK).await.unwrap_or_else(|why| panic!("{operation:?}: {why}"));
        rings += u32::from(ends);
        assert_eq!((before, place.rings()), (rings - u32::from(ends), rings), "{operation:?} {outcome:?}");
    }
}

#[tokio::test]
async fn what_the_service_does_for_the_gateway_ends_it() {
    let block = policy("block", Mode::Enforce, FailMode::Closed, |_, _| ruling(Verdict::Block));
    let needs = Needs { operations: vec![OperationKind::SignIn], ..Needs::default() };
    let entry = PolicyEntry { policy: Arc::new(Scripted(needs, |_: &_, _: &_| ruling(Verdict::Block))), ..block };
    let place = Place::remembered(vec![push_policy(HOURS), entry]).await;
    let (service, end) = (Arc::new(Service::default()), CancellationToken::new());
    service.poll_often();
    let cloud = Arc::new(Cloud::new(place.scene.guard.clone(), place.store.clone()));
    cloud.set_sources(vec![source("okta", &service, OnBlock::EndSessions)]);
    tokio::spawn(cloud.run(end.clone()));
    let _ends = end.drop_guard();
    // Long enough ago that what the service told makes nothing worthless that has been approved since.
    service.tell("e1", vec![sign_in("e1", now() - 600_000, "198.51.100.7")]);
    eventually("it is done", || async { !service.done.lock().unwrap().is_empty() }).await;
    // The note that it was done is stored with what it makes worthless.
    eventually("it is noted", || async {
        use portcullis_core::cloud::SourceStore as _;
        place.store.open_follow_ups(0, 9).await.unwrap().is_empty()
    })
    .await;
    place.is_asked(1).await;
}

fn now() -> u64 {
    use portcullis_core::Clock as _;
    Real.now().0
}

/// With the made-up store, which can be made to fail.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_ended_for_all_or_not_done() {
    for (without_store, is_done) in [(FailMode::Open, true), (FailMode::Closed, false)] {
        let scene = scene_with(vec![push_policy(HOURS)], without_store);
        scene.phone.answer(Progress::Approved);
        scene.bind(DESK).await.unwrap();
        scene.world.store_down.store(true, Ordering::SeqCst);
        let change = Asked {
            operation: Operation::PasswordChange,
            outcome: Outcome::Pending,
            directory_result: None,
            ..bind_from("10.0.0.9")
        };
        assert_eq!(scene.decide(change).await.is_ok(), is_done);
        scene.world.store_down.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.bind(DESK).await.unwrap();
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_restart_does_not_let_people_be_asked_anew() {
    let place = Place::new(vec![push_policy(0)]).await;
    place.scene.phone.answer(Progress::Denied);
    for number in 1..=2 {
        place.bind(&format!("10.0.0.{number}")).await.unwrap_err();
    }
    let Place { folder, store, scene } = place;
    drop(scene);
    store.as_ref().clone().close().await;
    let place = Place::open(folder, vec![push_policy(0)], Duration::ZERO).await;
    place.scene.guard.desk().recall().await.unwrap();
    place.bind("10.0.0.3").await.unwrap_err();
    assert_eq!(place.rings(), 0, "somebody who has said no twice is left alone");
}
