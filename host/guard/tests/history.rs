//! What was imported teaches, once, as if it had been seen; with the real store and a made-up directory.
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

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_behavior::profile::{AccountProfile, Profile as _};
use portcullis_core::event::{Event, PastEvent};
use portcullis_core::gate::Gate as _;
use portcullis_core::history::{HistoryStore as _, PastRecord};
use portcullis_core::learned::EndpointHistory;
use portcullis_core::policy::*;
use portcullis_core::profile::*;
use portcullis_core::store::{EventStore as _, IncidentStore as _, LearnedStore as _, Sequence};
use portcullis_core::{
    Account, AccountId, AccountKind, BindMethod, Clock as _, EventId, Ids as _, ListenerName, Operation, Outcome,
    Timestamp,
};
use portcullis_guard::{
    ApplicationRule, Historian, NamedNetwork, PastAccess, PastError, PastOptions, Surroundings, past_record,
};
use portcullis_store::{Store, StoreOptions};
use real::Real;
use support::*;
use tokio_util::sync::CancellationToken;

const ALICE: &str = "uid=alice,ou=people,dc=example,dc=com";
const DESK: &str = "10.0.0.1";
const DAY: u64 = 86_400_000;
const ORIGIN: &str = "slapd of the old machine";

/// A guard on a real store.
struct Place {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    scene: Scene,
}

async fn open(folder: &tempfile::TempDir) -> Arc<Store> {
    Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap())
}

impl Place {
    async fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap()).await
    }

    /// After an end of which nobody knew beforehand, unless everything was written.
    async fn over(folder: tempfile::TempDir) -> Self {
        let store = open(&folder).await;
        let scene = scene_among(
            vec![],
            |options| {
                options.behavior.learning_time = Duration::from_secs(7 * 86_400);
                options.behavior.learning_accesses = 20;
            },
            |rooms| {
                (rooms.events, rooms.challenges) = (store.clone(), store.clone());
                (rooms.learned, rooms.profiles) = (store.clone(), store.clone());
                rooms.ids = Arc::new(Real);
                rooms.clock = Arc::new(Real);
            },
        );
        scene.guard.recover_profiles().await.unwrap();
        Self { folder, store, scene }
    }

    async fn killed(self) -> Self {
        let Self { folder, store, scene } = self;
        drop(scene);
        store.close().await;
        Self::over(folder).await
    }

    async fn learn(&self) -> u64 {
        self.scene.guard.learn_imported(None).await.unwrap()
    }

    async fn logins(&self) -> u64 {
        // Whatever is in memory only is written at the end.
        let end = CancellationToken::new();
        end.cancel();
        self.scene.guard.keep_profiles(end).await;
        self.stored_logins().await
    }

    async fn stored_logins(&self) -> u64 {
        let found = self.store.profiles(&[alice()]).await.unwrap().pop();
        found.map_or(0, |stored| AccountProfile::decode(&stored.value).unwrap().logins())
    }

    async fn signals(&self) -> Vec<String> {
        let stored = self.store.recent(None, 1).await.unwrap().pop().unwrap();
        let Event::Access(event) = stored.event else { panic!("an access") };
        event.access.signals.into_iter().map(|signal| signal.name).collect()
    }

    async fn profiles(&self) -> Vec<StoredProfile> {
        let mut all = Vec::new();
        for kind in [SubjectKind::Account, SubjectKind::Endpoint, SubjectKind::Application] {
            all.extend(self.store.profiles_after(kind, None, 100).await.unwrap());
        }
        all
    }
}

fn alice() -> Subject {
    Subject::Account(AccountId::new("alice-id"))
}

fn historian(scene: &Scene, surroundings: Surroundings, kinds: Vec<DecidedKind>) -> Historian {
    let options = PastOptions {
        surroundings,
        accounts_without_entry: vec!["cn=admin,dc=example,dc=com".to_owned()],
        shared_from_accounts: 3,
        listener: ListenerName::new("main"),
        kinds,
    };
    Historian::new(scene.world.clone(), options)
}

fn login(at: u64, address: &str) -> PastAccess {
    PastAccess {
        id: Real.event_id(Timestamp(at)),
        at: Timestamp(at),
        account: Some(ALICE.to_owned()),
        address: Some(address.parse().unwrap()),
        application: Some("wiki".to_owned()),
        listener: None,
        operation: Operation::Bind(BindMethod::Simple),
        entry: None,
        outcome: Outcome::Success,
    }
}

fn record(event: PastEvent) -> PastRecord {
    past_record(event, EventId(uuid::Uuid::from_u128(1)), Real.now(), ORIGIN.to_owned())
}

/// Two logins a day for two weeks.
async fn two_weeks(scene: &Scene) -> Vec<PastRecord> {
    let mut historian = historian(scene, Surroundings::default(), vec![]);
    let mut records = Vec::new();
    for half_day in 0..28 {
        let past = login(Real.now().0 - 15 * DAY + half_day * DAY / 2, DESK);
        records.push(record(PastEvent::Access(Box::new(historian.event(past).await.unwrap()))));
    }
    records
}

#[tokio::test]
async fn two_weeks_of_history_make_a_machine_usual_and_every_other_unusual() {
    let place = Place::new().await;
    assert_eq!(place.store.put_history(two_weeks(&place.scene).await).await, Ok(28));
    assert_eq!(place.learn().await, 28);
    assert_eq!(place.learn().await, 0);
    assert_eq!(place.scene.phone.starts.load(Ordering::SeqCst), 0, "nobody was asked");
    assert!(place.store.incidents(10).await.unwrap().is_empty());
    place.scene.bind(DESK).await.unwrap();
    assert!(!place.signals().await.contains(&"unusual-endpoint".to_owned()));
    place.scene.bind("10.0.0.2").await.unwrap();
    assert!(place.signals().await.contains(&"unusual-endpoint".to_owned()));
    assert_eq!(place.logins().await, 30);
}

#[tokio::test]
async fn each_event_teaches_once_whenever_the_process_ends() {
    let place = Place::new().await;
    let records = two_weeks(&place.scene).await;
    place.store.put_history(records[..10].to_vec()).await.unwrap();
    place.learn().await;
    // Written, and then killed.
    let place = place.killed().await;
    assert_eq!(place.learn().await, 0);
    assert_eq!(place.logins().await, 10);
    place.store.put_history(records[5..20].to_vec()).await.unwrap();
    // Killed before anything was learned.
    let place = place.killed().await;
    place.scene.bind(DESK).await.unwrap();
    assert_eq!(place.learn().await, 10);
    place.store.put_history(records.clone()).await.unwrap();
    let place = place.killed().await;
    assert_eq!(place.learn().await, 8);
    assert_eq!(place.logins().await, 29);
    let report = place.store.verify().await.unwrap();
    assert_eq!(report.damage, None);
}

#[tokio::test]
async fn a_writing_that_was_not_finished_teaches_nothing_twice() {
    let place = Place::new().await;
    let records = two_weeks(&place.scene).await;
    place.store.put_history(records[..10].to_vec()).await.unwrap();
    place.learn().await;
    let ten = place.profiles().await;
    place.store.put_history(records[10..20].to_vec()).await.unwrap();
    place.learn().await;
    let twenty = place.profiles().await;
    place.store.put_history(records[20..].to_vec()).await.unwrap();

    // Another store with the same events, in which a writing stopped between the account and the rest.
    let other = Place::new().await;
    other.store.put_history(records).await.unwrap();
    let mark = |number, imported, complete| ProfileMark { number, through: 0, ahead: vec![], imported, complete };
    let under = |mark, profiles: &[StoredProfile]| {
        profiles.iter().cloned().map(|profile| StoredProfile { mark, ..profile }).collect::<Vec<_>>()
    };
    other.store.put_profiles(mark(1, 10, true), under(1, &ten)).await.unwrap();
    other.store.put_profiles(mark(2, 20, false), under(2, &twenty[..1])).await.unwrap();
    assert_eq!(twenty[0].subject, alice());
    let other = other.killed().await;
    other.learn().await;
    assert_eq!(other.logins().await, 28);
    place.learn().await;
    let values = |profiles: Vec<StoredProfile>| {
        profiles.into_iter().map(|profile| (profile.subject, profile.value)).collect::<Vec<_>>()
    };
    assert_eq!(values(other.profiles().await), values(place.profiles().await));
}

#[tokio::test]
async fn what_one_gateway_has_learned_another_learns_from_its_log() {
    let first = Place::new().await;
    for round in 0..30 {
        first.scene.bind(if round % 3 == 0 { "10.0.0.3" } else { DESK }).await.unwrap();
    }
    let mut wrong = bind_from("10.0.0.9");
    (wrong.outcome, wrong.directory_result) = (Outcome::Failure, Some(49));
    first.scene.guard.note(wrong, "wrong").await;
    first.logins().await;
    let log = first.store.log_after(Sequence(0), 1_000).await.unwrap();
    let past = log.into_iter().filter_map(|stored| match stored.event {
        Event::Access(event) => Some(record(PastEvent::Access(event))),
        Event::Summary(summary) => Some(record(PastEvent::Summary(summary))),
        Event::Administration(_) | Event::Imported(_) => None,
    });
    let second = Place::new().await;
    assert_eq!(second.store.put_history(past.collect()).await, Ok(31));
    second.learn().await;
    let values = |profiles: Vec<StoredProfile>| {
        profiles.into_iter().map(|profile| (profile.subject, profile.value)).collect::<Vec<_>>()
    };
    assert_eq!(values(second.profiles().await), values(first.profiles().await));
    let id = AccountId::new("alice-id");
    let known = async |place: &Place| {
        let mut all = place.store.account_history(&id).await.unwrap().associations;
        all.sort_by_key(|one| one.address);
        all
    };
    assert_eq!(known(&second).await, known(&first).await);
}

#[tokio::test]
async fn a_gateway_that_runs_learns_what_another_process_imports() {
    let place = Place::new().await;
    place.scene.bind("10.0.0.7").await.unwrap();
    let (end, guard) = (CancellationToken::new(), place.scene.guard.clone());
    let following = tokio::spawn({
        let end = end.clone();
        async move { guard.follow_imports(end).await }
    });
    let importing = open(&place.folder).await;
    importing.put_history(two_weeks(&place.scene).await).await.unwrap();
    importing.close().await;
    let begun = Instant::now();
    // It writes what it has learned, and knows then that somebody else has written.
    while place.stored_logins().await < 28 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it was not followed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    place.scene.bind(DESK).await.unwrap();
    assert!(!place.signals().await.contains(&"unusual-endpoint".to_owned()));
    end.cancel();
    following.await.unwrap();
    assert_eq!(place.logins().await, 30);
}

#[tokio::test]
async fn whose_it_was_and_where_is_found_as_for_a_bind() {
    let scene = scene(vec![]);
    let network = |name: &str, network: &str| NamedNetwork { name: name.to_owned(), network: network.parse().unwrap() };
    let rule = |name: &str, networks: &[&str], bind_names: &[&str]| ApplicationRule {
        name: name.to_owned(),
        listener: None,
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        bind_names: bind_names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let surroundings = Surroundings {
        sites: vec![network("campus", "10.0.0.0/8")],
        endpoints: vec![network("desk", "10.0.0.1/32")],
        applications: vec![rule("alice's", &[], &["alice"]), rule("mail", &["10.0.1.0/24"], &[])],
    };
    let decided = DecidedKind {
        account: AccountId::new("alice-id"),
        login: "alice".to_owned(),
        kind: AccountKind::Service,
        person: "ada".to_owned(),
        at: Timestamp(1),
    };
    let mut historian = historian(&scene, surroundings, vec![decided]);
    let past = |address: &str| PastAccess { application: None, ..login(5, address) };
    let event = historian.event(past("::ffff:10.0.0.1")).await.unwrap();
    let account: Account = event.access.account.unwrap();
    assert_eq!((account.id.as_str(), account.kind), ("alice-id", AccountKind::Service));
    let endpoint = event.access.endpoint.unwrap();
    assert_eq!((endpoint.name.as_deref(), endpoint.site.as_deref()), (Some("desk"), Some("campus")));
    assert_eq!((endpoint.address.to_string().as_str(), endpoint.shared), (DESK, false));
    assert_eq!(event.access.target.application, "alice's", "who has bound says which application it is");
    let search = PastAccess { operation: Operation::Search(None), ..past("10.0.1.5") };
    assert_eq!(historian.event(search).await.unwrap().access.target.application, "mail");
    let named = PastAccess { listener: Some("other".to_owned()), outcome: Outcome::Failure, ..past("192.0.2.1") };
    assert_eq!(historian.event(named).await.unwrap().access.target.application, "other");

    let stranger = |outcome| PastAccess { account: Some("eve".to_owned()), outcome, ..past(DESK) };
    assert_eq!(historian.event(stranger(Outcome::Success)).await, Err(PastError::NoAccount));
    let failed = historian.event(stranger(Outcome::Failure)).await.unwrap();
    assert_eq!(failed.access.account.unwrap().id.as_str(), "name:eve");
    let admin = PastAccess { account: Some("CN=admin,dc=example,dc=com".to_owned()), ..past(DESK) };
    assert!(historian.event(admin).await.unwrap().access.account.unwrap().id.as_str().starts_with("name:"));
    let nobody = PastAccess { account: None, operation: Operation::Bind(BindMethod::Anonymous), ..past(DESK) };
    let event = historian.event(nobody).await.unwrap();
    assert_eq!(event.access.account, None);
    assert_eq!(record(PastEvent::Access(Box::new(event))).learned, None);

    historian.begin(HashMap::from([("10.0.0.1".parse().unwrap(), EndpointHistory { accounts: 3 })]));
    assert!(historian.event(past(DESK)).await.unwrap().access.endpoint.unwrap().shared);
    scene.world.directory_down.store(true, Ordering::SeqCst);
    let unknown = PastAccess { account: Some("uid=alice,dc=other".to_owned()), ..past(DESK) };
    assert!(matches!(historian.event(unknown).await, Err(PastError::Directory(_))));
}

#[tokio::test]
async fn what_nobody_had_confirmed_is_no_habit() {
    let scene = scene(vec![]);
    let mut historian = historian(&scene, Surroundings::default(), vec![]);
    let event = historian.event(login(5, DESK)).await.unwrap();
    assert!(record(PastEvent::Access(Box::new(event.clone()))).learned.is_some());
    let mut asked = event.clone();
    asked.rulings.push(portcullis_core::event::RecordedRuling {
        policy: portcullis_core::PolicyName::new("ask"),
        mode: Mode::Enforce,
        verdict: challenge(0),
        reason: String::new(),
        effects: vec![],
        fault: None,
    });
    assert_eq!(record(PastEvent::Access(Box::new(asked))).learned, None);
    let mut blocked = event;
    blocked.decision = portcullis_core::event::Decision::Block;
    assert_eq!(record(PastEvent::Access(Box::new(blocked))).learned, None);
}
