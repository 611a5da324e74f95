//! What becomes of incidents with time, and what people make of them: with the real store and the real time.
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
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::escalation::Escalation;
use portcullis_core::event::{AdministrationEvent, Event};
use portcullis_core::exclusion::{ExclusionDesk as _, ExclusionError, ExclusionStore as _, Wish, network_of};
use portcullis_core::gate::{Claim, Gate as _};
use portcullis_core::incident::{Incident, IncidentState, IncidentVerdict};
use portcullis_core::policy::*;
use portcullis_core::store::{EventStore as _, IncidentStore as _};
use portcullis_core::{Clock as _, Outcome, Timestamp};
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
    worker: (CancellationToken, JoinHandle<()>),
}

impl Place {
    async fn new(policies: Vec<PolicyEntry>) -> Self {
        Self::open(tempfile::tempdir().unwrap(), policies).await
    }

    async fn open(folder: tempfile::TempDir, policies: Vec<PolicyEntry>) -> Self {
        let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap());
        let scene = scene_among(
            policies,
            |options| {
                // Alice's account is a trap, and so is that of somebody without an entry.
                options.behavior.detections.honeytoken.accounts = vec!["alice".to_owned(), "bob".to_owned()];
            },
            |rooms| {
                (rooms.events, rooms.exclusions) = (store.clone(), store.clone());
                rooms.ids = Arc::new(Real);
                rooms.clock = Arc::new(Real);
            },
        );
        scene.guard.load_exclusions().await.unwrap();
        let end = CancellationToken::new();
        let worker = tokio::spawn(scene.guard.clone().look_after_incidents(store.clone(), end.clone()));
        Self { folder, store, scene, worker: (end, worker) }
    }

    /// The process ends, and another one begins.
    async fn again(self, policies: Vec<PolicyEntry>, pause: Duration) -> Self {
        let Self { folder, store, scene, worker: (end, worker) } = self;
        end.cancel();
        worker.await.unwrap();
        drop(scene);
        store.as_ref().clone().close().await;
        tokio::time::sleep(pause).await;
        Self::open(folder, policies).await
    }

    async fn incidents(&self) -> Vec<Incident> {
        self.store.incidents(10).await.unwrap()
    }

    /// The only one that is not resolved.
    async fn open_one(&self) -> Incident {
        let open: Vec<_> =
            self.incidents().await.into_iter().filter(|one| one.state != IncidentState::Resolved).collect();
        assert_eq!(open.len(), 1, "{open:?}");
        open.into_iter().next().unwrap()
    }

    async fn until_severity(&self, severity: Severity) {
        let begun = Instant::now();
        while self.open_one().await.severity != severity {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", self.incidents().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn administration(&self) -> Vec<AdministrationEvent> {
        let all = self.store.recent(None, 100).await.unwrap();
        let notes = all.into_iter().rev().filter_map(|stored| match stored.event {
            Event::Administration(event) => Some(event),
            _ => None,
        });
        notes.collect()
    }

    /// Whether a bind of alice from there is noticed as the use of a trap.
    async fn is_noticed(&self, address: &str) -> bool {
        self.scene.bind(address).await.unwrap();
        self.last_is_noticed().await
    }

    /// The same of an attempt of bob.
    async fn is_bob_noticed(&self, address: &str) -> bool {
        let mut asked = bind_from(address);
        asked.claim = Claim::Name("bob".to_owned());
        (asked.outcome, asked.directory_result) = (Outcome::Failure, Some(49));
        self.scene.guard.note(asked, "wrong").await;
        self.last_is_noticed().await
    }

    async fn last_is_noticed(&self) -> bool {
        let newest = self.store.recent(None, 1).await.unwrap().remove(0);
        let Event::Access(event) = newest.event else { panic!("{newest:?}") };
        event.access.signals.iter().any(|signal| signal.name == "honeytoken")
    }
}

fn blocking(escalate: Vec<Escalation>) -> Vec<PolicyEntry> {
    let effect = Effect::RaiseIncident { severity: Severity::Low, title: "Refused".to_owned(), escalate };
    let ruling = Ruling { verdict: Verdict::Block, reason: "A test.".to_owned(), effects: vec![effect] };
    vec![policy("guard", Mode::Enforce, FailMode::Closed, move |_, _| Ok(ruling.clone()))]
}

fn escalation(from_times: u32, after_seconds: u32, severity: Severity) -> Escalation {
    Escalation { from_times, after_seconds, unless_taken: false, severity }
}

/// Of the account, from where the incident came.
fn wish() -> Wish {
    Wish {
        group: false,
        for_account: true,
        network: network_of("10.0.0.1"),
        until: None,
        reason: "A test of our own.".to_owned(),
        sure: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_becomes_more_severe_by_repetition_by_time_and_across_a_restart() {
    let list = vec![
        escalation(2, 0, Severity::Medium),
        escalation(0, 1, Severity::High),
        escalation(0, 3, Severity::Critical),
    ];
    let place = Place::new(blocking(list)).await;
    let guard_s = |all: Vec<Incident>| all.into_iter().find(|one| one.source.to_string() == "guard").unwrap();
    place.scene.bind("10.0.0.9").await.unwrap_err();
    // The trap has an incident of its own, which nobody has asked to become more severe.
    let trap = place.incidents().await.into_iter().find(|one| one.source.to_string() != "guard").unwrap();
    assert!(
        place
            .store
            .act(trap.id, portcullis_core::incident::IncidentAction::Resolve(None), "ada", event())
            .await
            .unwrap()
    );
    assert_eq!(guard_s(place.incidents().await).severity, Severity::Low);
    place.scene.bind("10.0.0.9").await.unwrap_err();
    assert_eq!(guard_s(place.incidents().await).severity, Severity::Medium);
    place.until_severity(Severity::High).await;
    let place = place.again(vec![], Duration::from_secs(2)).await;
    place.until_severity(Severity::Critical).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let told: Vec<_> =
        place.administration().await.into_iter().filter(|event| event.action == "incident-escalated").collect();
    assert_eq!(told.len(), 2, "once each: {told:?}");
    assert_eq!(told[0].actor, "gateway");
    assert!(told[0].detail.contains("alice (guard) is high now, because it was not resolved for 1 s"), "{told:?}");
    assert!(told[1].detail.contains("critical now"), "{told:?}");
}

fn event() -> Event {
    use portcullis_core::Ids as _;
    let at = Real.now();
    Event::Administration(AdministrationEvent {
        id: Real.event_id(at),
        at,
        actor: "ada".to_owned(),
        action: "incident-resolved".to_owned(),
        detail: String::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_silenced_is_refused_and_changes_nothing() {
    let place = Place::new(blocking(Vec::new())).await;
    place.scene.bind("10.0.0.1").await.unwrap_err();
    let all = place.incidents().await;
    let of = |source: &str| all.iter().find(|one| one.source.to_string() == source).unwrap();
    let (policy_s, trap) = (of("guard"), of("detection:honeytoken"));
    let guard = &place.scene.guard;
    assert!(guard.choice(policy_s).is_none());
    let choice = guard.choice(trap).unwrap();
    assert!(choice.has_account && choice.detection.is_grave());
    assert_eq!((choice.group.as_str(), choice.members.len()), ("reconnaissance", 6));
    let refusal = async |incident: &Incident, wish: Wish| match guard.exclude(incident, wish, "ada").await {
        Err(ExclusionError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refusal(policy_s, wish()).await.contains("is a policy's"));
    let past = Some(Timestamp(Real.now().0 - 1));
    for (wrong, why) in [
        (Wish { sure: false, ..wish() }, "honeytoken, which hardly anything but an attack gives"),
        (Wish { group: true, sure: false, ..wish() }, "secret-attributes-read"),
        (Wish { for_account: false, network: None, ..wish() }, "silence everybody"),
        (Wish { network: network_of("10.0.0.2"), ..wish() }, "does not hold the address"),
        (Wish { for_account: false, network: network_of("10.0.0.0/7"), ..wish() }, "too wide"),
        (Wish { until: past, ..wish() }, "over already"),
        (Wish { reason: " \n".to_owned(), ..wish() }, "reason is needed"),
        (Wish { reason: "a\0b".to_owned(), ..wish() }, "reason is needed"),
        (Wish { reason: "x".repeat(1_001), ..wish() }, "reason is needed"),
    ] {
        let said = refusal(trap, wrong).await;
        assert!(said.contains(why), "{said} lacks {why}");
    }
    // What is a machine's is nobody's account's.
    let machine = Incident { account: portcullis_core::AccountId::new("address:10.0.0.1"), ..trap.clone() };
    assert!(!guard.choice(&machine).unwrap().has_account);
    assert!(refusal(&machine, wish()).await.contains("a machine's"));
    assert_eq!(place.incidents().await, all);
    assert!(place.administration().await.is_empty() && place.store.exclusions(None, 1).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusion_silences_what_it_names_at_once_and_is_undone() {
    let place = Place::new(vec![]).await;
    assert!(place.is_noticed("10.0.0.1").await);
    let trap = place.open_one().await;
    assert_eq!((trap.severity, trap.address), (Severity::Critical, Some("10.0.0.1".parse().unwrap())));
    place.scene.guard.exclude(&trap, wish(), "ada").await.unwrap();
    let resolved = place.incidents().await.remove(0);
    assert_eq!((resolved.state, resolved.verdict), (IncidentState::Resolved, Some(IncidentVerdict::FalsePositive)));
    assert_eq!(place.scene.guard.exclude(&trap, wish(), "bob").await, Err(ExclusionError::TooLate));
    assert!(!place.is_noticed("10.0.0.1").await);
    assert_eq!(place.incidents().await.len(), 1);
    assert!(place.is_noticed("10.0.0.2").await, "that account from elsewhere");
    assert!(place.is_bob_noticed("10.0.0.1").await, "somebody else from there");

    // In force after a restart as well, from the first access on.
    let place = place.again(vec![], Duration::ZERO).await;
    assert!(!place.is_noticed("10.0.0.1").await);

    let number = place.scene.guard.exclusions(None, 10).await.unwrap()[0].number;
    assert!(place.scene.guard.undo(number, "bob").await.unwrap());
    assert!(!place.scene.guard.undo(number, "bob").await.unwrap());
    assert!(place.is_noticed("10.0.0.1").await, "at once");
    let told = place.administration().await;
    let told: Vec<_> = told.iter().map(|event| (event.actor.as_str(), event.action.as_str())).collect();
    assert_eq!(told, [("ada", "exclusion-made"), ("bob", "exclusion-undone")]);
    let made = &place.administration().await[0].detail;
    for part in ["honeytoken of alice (alice-id) from 10.0.0.1, until it is undone: A test of our own.", "critical"] {
        assert!(made.contains(part), "{made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn undone_the_same_opens_an_incident_within_the_minute() {
    let place = Place::new(vec![]).await;
    assert!(place.is_noticed("10.0.0.1").await);
    place.scene.guard.exclude(&place.open_one().await, wish(), "ada").await.unwrap();
    place.scene.guard.undo(1, "ada").await.unwrap();
    assert!(place.is_noticed("10.0.0.1").await);
    assert_eq!(place.open_one().await.count, 1, "a new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusion_ends_in_time_and_one_of_the_group_silences_the_group() {
    let place = Place::new(vec![]).await;
    assert!(place.is_noticed("10.0.0.1").await);
    let until = Some(Real.now().plus(Duration::from_secs(2)));
    let wish = Wish { group: true, for_account: false, network: network_of("10.0.0.0/31"), until, ..wish() };
    place.scene.guard.exclude(&place.open_one().await, wish, "ada").await.unwrap();
    assert!(!place.is_noticed("10.0.0.0").await, "the network is what is named");
    assert!(!place.is_bob_noticed("10.0.0.1").await, "whoever it is");
    assert!(place.is_noticed("10.0.0.2").await);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert!(place.is_noticed("10.0.0.0").await && place.is_bob_noticed("10.0.0.1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_undoes_is_taken_over() {
    let place = Place::new(vec![]).await;
    assert!(place.is_noticed("10.0.0.1").await);
    place.scene.guard.exclude(&place.open_one().await, wish(), "ada").await.unwrap();
    assert!(!place.is_noticed("10.0.0.1").await);
    // As the command line does it.
    assert!(place.store.undo_exclusion(1, "root", event()).await.unwrap());
    let begun = Instant::now();
    while !place.is_noticed("10.0.0.1").await {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
