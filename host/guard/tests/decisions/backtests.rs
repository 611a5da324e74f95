//! Backtests over a real store: what they say is what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portcullis_core::backtest::{AccessLog, BacktestReport, Ending};
use portcullis_core::directory::{Directory, DirectoryAccount, DirectoryError};
use portcullis_core::event::{AccessEvent, Decision, Event};
use portcullis_core::gate::Claim;
use portcullis_core::plugin::{PluginFault, Progress};
use portcullis_core::policy::*;
use portcullis_core::store::EventStore as _;
use portcullis_core::{Account, AccountFacts, AccountId, AccountKind, EventId, Operation, Timestamp};
use portcullis_guard::{BacktestOptions, BacktestProgress, PolicyEntry, backtest};
use portcullis_store::{Store, StoreOptions};
use proptest::prelude::*;

use crate::about::{ALICE, change, mixed, on_changes};
use crate::support::*;

/// Everybody by login, or by a DN that begins with `uid=`, but for those who have left; nobody is below `ou=before` any more.
#[derive(Default)]
pub struct People {
    pub gone: Mutex<BTreeSet<String>>,
    pub asked: Mutex<Vec<String>>,
    pub down: bool,
}

#[async_trait]
impl Directory for People {
    async fn find(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError> {
        self.asked.lock().unwrap().push(name.to_owned());
        if self.down {
            return Err(DirectoryError::Unreachable("connection refused".to_owned()));
        }
        let login = name.strip_prefix("uid=").unwrap_or(name).split(',').next().filter(|_| !name.contains("ou=before"));
        let Some(login) = login.filter(|login| !self.gone.lock().unwrap().contains(*login)) else { return Ok(None) };
        let mut facts = AccountFacts::default();
        facts.attributes.insert("department".to_owned(), vec![format!("of {login}")]);
        Ok(Some(DirectoryAccount { account: account(login), facts: Arc::new(facts) }))
    }
}

pub fn account(login: &str) -> Account {
    Account {
        id: AccountId::new(format!("{login}-id")),
        login: login.to_owned(),
        dn: Some(format!("uid={login},ou=people,dc=example,dc=com")),
        mail: None,
        kind: AccountKind::Human,
        privileged: false,
        cloud_enabled: None,
        risk: 0,
    }
}

pub fn options(threads: usize) -> BacktestOptions {
    BacktestOptions {
        since: Timestamp(0),
        days: 14,
        most: 1_000_000,
        threads,
        examples: 10_000,
        accounts_without_entry: Vec::new(),
    }
}

pub async fn run(log: Arc<dyn AccessLog>, people: &Arc<People>, policies: Vec<PolicyEntry>) -> BacktestReport {
    let progress = Arc::new(BacktestProgress::default());
    let report = backtest(log, people.clone(), policies, &options(3), progress.clone()).await.unwrap();
    let done = (progress.done.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
    assert_eq!(done.0, done.1, "everything was looked at");
    report
}

/// A policy that says what a table says for the person and the machine.
fn by_table(name: &str, mode: Mode, table: &[u8]) -> PolicyEntry {
    let table = table.to_vec();
    policy(name, mode, FailMode::Closed, move |access, evidence| {
        let login = access.account.as_ref().map_or("", |account| account.login.as_str());
        let address = access.endpoint.as_ref().map(|endpoint| endpoint.address.to_string()).unwrap_or_default();
        let place = login.bytes().chain(address.bytes()).fold(7_usize, |sum, byte| sum * 31 + usize::from(byte));
        let says = table[place % table.len()];
        match (says % 6, evidence) {
            (0 | 1, _) => ruling(Verdict::Abstain),
            (2, _) => ruling(Verdict::Allow),
            (3, _) => ruling(Verdict::Block),
            (4, _) => Err(PluginFault::Trap("made to".to_owned())),
            (_, []) => ruling(challenge(0)),
            (_, _) if says % 4 == 1 => ruling(Verdict::Allow),
            _ => ruling(Verdict::Block),
        }
    })
}

struct Place {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    scene: Scene,
    people: Arc<People>,
}

impl Place {
    async fn new(policies: Vec<PolicyEntry>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap());
        let people = Arc::new(People::default());
        let scene = scene_among(
            policies,
            |options| options.challenge_budget.per_hour = 10_000,
            |rooms| {
                (rooms.events, rooms.challenges, rooms.learned) = (store.clone(), store.clone(), store.clone());
                rooms.directory = people.clone();
            },
        );
        // Nobody's phone is there, so that the answer is there at once.
        scene.phone.not_enrolled.store(true, Ordering::SeqCst);
        Self { _folder: folder, store, scene, people }
    }

    async fn decide(&self, accesses: &[(u8, u8)]) {
        for (person, machine) in accesses {
            let mut asked = bind_from(&format!("10.0.0.{machine}"));
            asked.claim = Claim::Name(format!("uid=p{person},ou=people,dc=example,dc=com"));
            let _ = self.scene.decide(asked).await;
        }
    }

    async fn events(&self) -> Vec<AccessEvent> {
        let stored = self.store.recent(None, 10_000).await.unwrap().into_iter().rev();
        let access = |event| match event {
            Event::Access(event) => Some(*event),
            Event::Administration(_) | Event::Summary(_) | Event::Imported(_) => None,
        };
        stored.filter_map(|stored| access(stored.event)).collect()
    }

    async fn backtest(&self, policies: Vec<PolicyEntry>) -> BacktestReport {
        run(self.store.clone(), &self.people, policies).await
    }
}

fn both(mode: Mode, tables: &(Vec<u8>, Vec<u8>)) -> Vec<PolicyEntry> {
    vec![by_table("first", mode, &tables.0), by_table("second", mode, &tables.1)]
}

/// Ids of the accesses that would end so.
pub fn ending(report: &BacktestReport, to: Ending) -> BTreeSet<EventId> {
    let changes = report.changes.iter().filter(|change| change.to == to);
    changes.flat_map(|change| change.examples.clone()).collect()
}

/// How often each policy said what.
fn verdicts(events: &[AccessEvent]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for ruling in events.iter().flat_map(|event| &event.rulings) {
        let verdict = match ruling.verdict {
            Verdict::Abstain => "abstain",
            Verdict::Allow => "allow",
            Verdict::Challenge(_) => "challenge",
            Verdict::Block => "block",
        };
        *all.entry(ruling.policy.to_string()).or_default().entry(verdict.to_owned()).or_default() += 1;
    }
    all
}

async fn agree(tables: (Vec<u8>, Vec<u8>), accesses: Vec<(u8, u8)>) {
    let monitored = Place::new(both(Mode::Monitor, &tables)).await;
    monitored.decide(&accesses).await;
    let enforced = Place::new(both(Mode::Enforce, &tables)).await;
    enforced.decide(&accesses).await;
    let (watched, decided) = (monitored.events().await, enforced.events().await);
    assert_eq!((watched.len(), decided.len()), (accesses.len(), accesses.len()));

    // Monitor and enforce: asked without evidence, each policy said the same about the same access.
    for (watched, decided) in watched.iter().zip(&decided) {
        assert_eq!(watched.decision, Decision::Allow);
        for ruling in &watched.rulings {
            let first = decided.rulings.iter().find(|other| other.policy == ruling.policy);
            if let Some(first) = first {
                assert_eq!((&first.verdict, &first.fault), (&ruling.verdict, &ruling.fault));
            }
        }
    }
    // Monitor and backtest of the same list: the same said as often.
    let report = enforced.backtest(both(Mode::Monitor, &tables)).await;
    let tallies = report.policies.iter().filter(|tally| !tally.verdicts.is_empty());
    let said: BTreeMap<_, _> = tallies.map(|tally| (tally.policy.to_string(), tally.verdicts.clone())).collect();
    assert_eq!(said, verdicts(&watched));
    assert_eq!(report.policies.iter().map(|tally| tally.faults).sum::<u64>(), {
        watched.iter().flat_map(|event| &event.rulings).filter(|ruling| ruling.fault.is_some()).count() as u64
    });
    // Enforce and backtest over the accesses that it has decided: nothing would be different.
    let report = enforced.backtest(both(Mode::Enforce, &tables)).await;
    assert_eq!(
        (report.evaluated, report.changed, report.pushes),
        (accesses.len() as u64, 0, 0),
        "{:?}",
        report.changes
    );
    // Enforce and backtest over those that were only watched: exactly what enforcing has done.
    let report = monitored.backtest(both(Mode::Enforce, &tables)).await;
    let ids = |wanted: &dyn Fn(&AccessEvent) -> bool| -> BTreeSet<EventId> {
        let pairs = watched.iter().zip(&decided).filter(|(_, decided)| wanted(decided));
        pairs.map(|(watched, _)| watched.access.id).collect()
    };
    let asked = |event: &AccessEvent| !event.challenges.is_empty();
    assert_eq!(ending(&report, Ending::Challenge), ids(&asked));
    assert_eq!(ending(&report, Ending::Block), ids(&|event| event.decision == Decision::Block && !asked(event)));
    assert_eq!(report.pushes, ids(&asked).len() as u64);
    let touched = |event: &AccessEvent| event.rulings.iter().any(|ruling| ruling.verdict != Verdict::Abstain);
    assert_eq!(report.touched, decided.iter().filter(|event| touched(event)).count() as u64);
}

proptest! {
    // Each case opens two databases.
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn monitor_enforce_and_backtest_of_the_same_list_agree(
        first in prop::collection::vec(any::<u8>(), 1..12),
        second in prop::collection::vec(any::<u8>(), 1..12),
        accesses in prop::collection::vec((0..4_u8, 1..6_u8), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(agree((first, second), accesses));
    }
}

#[tokio::test]
async fn what_comes_with_a_password_is_judged_too() {
    let push = on_changes("push", |_, evidence| match evidence {
        [] => challenge(0),
        [Evidence::Challenge(result), ..] if result.outcome == ChallengeOutcome::Approved => Verdict::Allow,
        _ => Verdict::Block,
    });
    let place = Place::new(vec![push.clone()]).await;
    place.scene.phone.not_enrolled.store(false, Ordering::SeqCst);
    place.scene.phone.answer(Progress::Approved);
    assert!(place.scene.decide(change(mixed(), Some(ALICE))).await.is_ok());
    let same = place.backtest(vec![push.clone()]).await;
    assert_eq!((same.evaluated, same.changed, same.pushes, same.pushes_spared), (1, 0, 0, 0), "{same:?}");
    let keys = on_changes("keys", |operation, _| match operation {
        Operation::Modify(_) => Verdict::Block,
        _ => Verdict::Abstain,
    });
    let other = place.backtest(vec![keys, push]).await;
    assert_eq!((other.changes.len(), other.changes[0].to), (1, Ending::ChallengeBlock), "{other:?}");
}
