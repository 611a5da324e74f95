//! Taking accounts out of groups, with the real store and a made-up directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test fails by panicking, and does not use all of what the tests share"
)]

#[path = "support/one_group.rs"]
mod one_group;
#[path = "support/real.rs"]
mod real;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use one_group::{GROUP, OneGroup};
use portcullis_core::demotion::*;
use portcullis_core::event::{AdministrationEvent, Event};
use portcullis_core::policy::*;
use portcullis_core::store::{EventStore as _, IncidentStore as _};
use portcullis_guard::PolicyEntry;
use portcullis_store::{Store, StoreOptions};
use real::Real;
use support::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Place {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    scene: Scene,
    groups: Arc<OneGroup>,
    worker: Option<(CancellationToken, JoinHandle<()>)>,
}

fn blocking(effects: Vec<Effect>) -> Vec<PolicyEntry> {
    vec![policy("guard", Mode::Enforce, FailMode::Closed, move |_, _| Ok(blocked(&effects)))]
}

fn blocked(effects: &[Effect]) -> Ruling {
    Ruling { verdict: Verdict::Block, reason: "A test.".to_owned(), effects: effects.to_vec() }
}

fn demote(group: &str, restore_after_seconds: u32, from_times: u32) -> Effect {
    Effect::Demote { group: group.to_owned(), restore_after_seconds, from_times }
}

fn incident() -> Effect {
    Effect::RaiseIncident { severity: Severity::High, title: "Refused".to_owned(), escalate: Vec::new() }
}

impl Place {
    async fn new(effects: Vec<Effect>) -> Self {
        Self::open(tempfile::tempdir().unwrap(), blocking(effects), Arc::default(), true).await
    }

    async fn open(
        folder: tempfile::TempDir,
        policies: Vec<PolicyEntry>,
        groups: Arc<OneGroup>,
        with_groups: bool,
    ) -> Self {
        let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap());
        let scene = scene_among(
            policies,
            |_| {},
            |rooms| {
                (rooms.events, rooms.demotions) = (store.clone(), store.clone());
                rooms.ids = Arc::new(Real);
                rooms.clock = Arc::new(Real);
            },
        );
        if groups.changes.lock().unwrap().is_empty() && groups.members.lock().unwrap().is_empty() {
            groups.members.lock().unwrap().push("alice-id".to_owned());
        }
        let mut place = Self { folder, store, scene, groups, worker: None };
        place.begin(with_groups);
        place
    }

    fn begin(&mut self, with_groups: bool) {
        let end = CancellationToken::new();
        let groups = with_groups.then(|| self.groups.clone() as Arc<dyn Groups>);
        let worker = tokio::spawn(self.scene.guard.clone().look_after_demotions(groups, end.clone()));
        self.worker = Some((end, worker));
    }

    async fn end(&mut self) {
        let (end, worker) = self.worker.take().unwrap();
        end.cancel();
        worker.await.unwrap();
    }

    async fn bind(&self) {
        self.scene.bind("10.0.0.1").await.unwrap_err();
    }

    /// From now on the policy wants this.
    fn want(&self, effects: Vec<Effect>) {
        self.scene.guard.set_policies(blocking(effects));
    }

    /// What is wanted is stored, and nobody does anything about it: that it is about to be done is written down.
    async fn leaving() -> Self {
        let mut place = Self::new(vec![demote("admins", 1, 0)]).await;
        place.end().await;
        place.bind().await;
        let wanted = place.only().await;
        let membership = place.groups.membership("admins", &wanted.wanted.account).await.unwrap();
        let step = DemotionStep::Leaving(membership);
        let at = wanted.wanted.at;
        assert!(place.store.step_demotion(wanted.number, DemotionState::Wanted, step, None, at).await.unwrap());
        place
    }

    /// A person wants it back.
    async fn restore(&self, number: u64) {
        let at = portcullis_core::Clock::now(&Real);
        let event = Event::Administration(AdministrationEvent {
            id: portcullis_core::Ids::event_id(&Real, at),
            at,
            actor: "ada".to_owned(),
            action: "restoration-wanted".to_owned(),
            detail: String::new(),
        });
        assert!(self.store.restore_demotion(number, "ada", at, event).await.unwrap());
    }

    async fn only(&self) -> Demotion {
        let all = self.store.demotions(None, 10).await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    /// Waits until something holds of the demotions, ten seconds at most.
    async fn until(&self, what: &str, holds: impl Fn(&[Demotion]) -> bool) {
        let begin = Instant::now();
        loop {
            let all = self.store.demotions(None, 10).await.unwrap();
            if holds(&all) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "{what}: {all:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn notes(&self) -> Vec<AdministrationEvent> {
        let all = self.store.recent(None, 100).await.unwrap();
        let notes = all.into_iter().rev().filter_map(|stored| match stored.event {
            Event::Administration(event) => Some(event),
            _ => None,
        });
        notes.collect()
    }
}

fn is(state: DemotionState) -> impl Fn(&[Demotion]) -> bool {
    move |all| all.len() == 1 && all[0].state == state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demotion_is_done_told_of_and_undone_in_time() {
    let mut place = Place::new(vec![demote("admins", 2, 0)]).await;
    place.bind().await;
    place.until("it is taken out", is(DemotionState::Demoted)).await;
    assert!(!place.groups.has("alice-id"));
    let demotion = place.only().await;
    assert_eq!(demotion.membership.unwrap().group, GROUP);
    place.until("it is put back", is(DemotionState::Restored)).await;
    assert!(place.groups.has("alice-id"));
    place.end().await;
    let notes: Vec<_> = place.notes().await.into_iter().map(|note| (note.action, note.detail)).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!((notes[0].0.as_str(), notes[1].0.as_str()), ("account-demoted", "account-restored"));
    assert!(
        notes[0].1.contains("alice was taken out of cn=admins,dc=example for 2 s, because policy guard"),
        "{notes:?}"
    );
    assert!(notes[1].1.contains("its time is over"), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_time_and_not_the_first() {
    let place = Place::new(vec![incident(), demote("admins", 0, 2)]).await;
    place.bind().await;
    place.until("the first wish is dropped", <[_]>::is_empty).await;
    assert!(place.groups.has("alice-id"));
    place.bind().await;
    place.until("the second one is done", is(DemotionState::Demoted)).await;
    assert!(!place.groups.has("alice-id"));
    assert_eq!(place.only().await.restore_at, None, "until a person wants it");
    place.restore(place.only().await.number).await;
    place.until("a person has put it back", is(DemotionState::Restored)).await;
    assert!(place.groups.has("alice-id"));
    let last = place.notes().await.pop().unwrap();
    assert!(last.detail.contains("because ada wants so"), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_monitor_mode_would_do_is_not_done() {
    let effects = vec![demote("admins", 0, 0)];
    let watching = vec![policy("guard", Mode::Monitor, FailMode::Closed, move |_, _| Ok(blocked(&effects)))];
    let place = Place::open(tempfile::tempdir().unwrap(), watching, Arc::default(), true).await;
    place.scene.bind("10.0.0.1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(place.store.demotions(None, 10).await.unwrap().is_empty());
    assert!(place.groups.has("alice-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_away_is_waited_for_and_a_restart_forgets_nothing() {
    let groups = Arc::new(OneGroup::default());
    groups.away.store(true, Ordering::SeqCst);
    let effects = vec![demote("admins", 0, 0)];
    let mut place = Place::open(tempfile::tempdir().unwrap(), blocking(effects.clone()), groups, true).await;
    place.bind().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(place.only().await.state, DemotionState::Wanted);
    place.end().await;
    place.store.close().await;
    let Place { folder, groups, .. } = place;
    groups.away.store(false, Ordering::SeqCst);
    let place = Place::open(folder, blocking(effects), groups, true).await;
    place.until("it is done after the restart", is(DemotionState::Demoted)).await;
    assert!(!place.groups.has("alice-id"));
}

/// The process ended between the directory's answer and the row that says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_ended_and_can_be_undone() {
    let mut place = Place::leaving().await;
    let begun = place.only().await;
    place.groups.leave(&begun.membership.unwrap(), &begun.wanted.account).await.unwrap();
    place.begin(true);
    place.until("it is put back in the end", is(DemotionState::Restored)).await;
    assert!(place.groups.has("alice-id"));
}

/// Between the beginning and the end the group may have lost its other members.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_looked_at_again() {
    let mut place = Place::leaving().await;
    place.groups.is_last.store(true, Ordering::SeqCst);
    place.begin(true);
    place.until("it is given up", is(DemotionState::Failed)).await;
    assert!(place.groups.has("alice-id") && place.groups.changes.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_renamed_between_beginning_and_end_is_taken_out() {
    let mut place = Place::leaving().await;
    place.groups.rename("alice-id", "alice-too");
    place.begin(true);
    place.until("it is taken out", is(DemotionState::Demoted)).await;
    assert!(!place.groups.has("alice-too"));
    assert_eq!(place.only().await.membership.unwrap().value, "alice-too");
    place.until("it is put back", is(DemotionState::Restored)).await;
    assert!(place.groups.has("alice-too"));
}

/// The directory has carried it out, and shows nobody what came of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_done_is_an_incident_and_is_undone() {
    let mut place = Place::leaving().await;
    let begun = place.only().await;
    place.groups.leave(&begun.membership.unwrap(), &begun.wanted.account).await.unwrap();
    place.groups.is_hidden.store(true, Ordering::SeqCst);
    place.begin(true);
    place.until("it is put back in the end", is(DemotionState::Restored)).await;
    assert!(place.groups.has("alice-id"));
    let incidents = place.store.incidents(10).await.unwrap();
    assert!(incidents[0].title.contains("not known whether the account is out"), "{incidents:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_by_hand_and_taken_out_again_is_not_put_back_by_the_first() {
    let place = Place::new(vec![demote("admins", 1, 0)]).await;
    place.bind().await;
    place.until("it is taken out", is(DemotionState::Demoted)).await;
    place.groups.members.lock().unwrap().push("alice-id".to_owned());
    place.want(vec![demote("admins", 0, 0)]);
    place.bind().await;
    let both = |state| move |all: &[Demotion]| all.len() == 2 && all.iter().all(|one| one.state == state);
    place.until("it is taken out again", both(DemotionState::Demoted)).await;
    place.until("the first waits for a person too", |all| all.iter().all(|one| one.restore_at.is_none())).await;
    assert!(!place.groups.has("alice-id"));
    let newest = place.store.demotions(None, 1).await.unwrap()[0].number;
    assert!(place.notes().await.last().unwrap().detail.contains(&format!("because of demotion {newest}.")));
    place.restore(newest).await;
    place.until("both are over", both(DemotionState::Restored)).await;
    assert!(place.groups.has("alice-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_beside_one_that_is_under_way_is_not_lost() {
    let place = Place::new(vec![demote("admins", 3_600, 0)]).await;
    place.groups.loses_answers.store(true, Ordering::SeqCst);
    place.bind().await;
    place.until("it is under way", is(DemotionState::Leaving)).await;
    place.want(vec![demote("admins", 0, 0)]);
    place.bind().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    place
        .until("until a person puts it back", |all| is(DemotionState::Demoted)(all) && all[0].restore_at.is_none())
        .await;
    assert!(!place.groups.has("alice-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_an_incident() {
    for (group, with_groups, refuses, why) in [
        ("nobody", true, false, "there is no group"),
        ("admins", false, false, "no account that may change groups"),
        ("admins", true, true, "insufficient rights"),
    ] {
        let groups = Arc::new(OneGroup::default());
        groups.refuses.store(refuses, Ordering::SeqCst);
        let policies = blocking(vec![demote(group, 0, 0)]);
        let place = Place::open(tempfile::tempdir().unwrap(), policies, groups, with_groups).await;
        place.bind().await;
        place.until("it fails", is(DemotionState::Failed)).await;
        assert!(place.only().await.note.contains(why), "{:?}", place.only().await);
        let incidents = place.store.incidents(10).await.unwrap();
        assert_eq!(incidents.len(), 1);
        assert!(incidents[0].title.contains(why), "{incidents:?}");
        assert_eq!(incidents[0].source.to_string(), "gateway:demotion", "what the policy raises is counted by itself");
        assert_eq!(incidents[0].account.as_str(), "alice-id");
        assert!(place.groups.has("alice-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_that_is_refused_waits_for_a_person() {
    let place = Place::new(vec![demote("admins", 1, 0)]).await;
    place.bind().await;
    place.until("it is taken out", is(DemotionState::Demoted)).await;
    place.groups.refuses.store(true, Ordering::SeqCst);
    place.until("it stays out", |all| all[0].state == DemotionState::Demoted && !all[0].note.is_empty()).await;
    assert_eq!(place.only().await.restore_at, None);
    let incidents = place.store.incidents(10).await.unwrap();
    assert!(incidents[0].title.contains("could not be put back"), "{incidents:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_out_already_stays_out_for_longer() {
    let place = Place::new(vec![demote("admins", 3_600, 0)]).await;
    place.bind().await;
    place.until("it is taken out", is(DemotionState::Demoted)).await;
    let first = place.only().await.restore_at.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    place.bind().await;
    place.until("it is prolonged", |all| all.len() == 1 && all[0].restore_at > Some(first)).await;
    assert!(place.notes().await.iter().any(|note| note.action == "demotion-prolonged"));
    assert_eq!(place.groups.changes.lock().unwrap().as_slice(), ["leave"]);
}

/// The wait for the event does not begin while somebody is asked.
#[tokio::test(start_paused = true)]
async fn a_wish_begins_when_it_is_decided() {
    let effects = vec![demote("admins", 0, 0)];
    let noting = policy("guard", Mode::Enforce, FailMode::Closed, move |_, _| {
        Ok(Ruling { verdict: Verdict::Abstain, ..blocked(&effects) })
    });
    let scene = Arc::new(scene(vec![noting, push_policy(0)]));
    let waiting = tokio::spawn({
        let scene = scene.clone();
        async move { scene.bind("10.0.0.1").await }
    });
    tokio::time::sleep(Duration::from_secs(50)).await;
    let asked_at = portcullis_core::Clock::now(&*scene.world);
    scene.phone.answer(portcullis_core::plugin::Progress::Approved);
    assert_eq!(waiting.await.unwrap(), Ok("held"));
    let demotions = scene.world.demotions.lock().unwrap();
    assert!(demotions[0].at >= asked_at, "{demotions:?}");
}
