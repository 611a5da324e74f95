//! Backtests over a real store: what they say is what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portcullis_core::backtest::{
    AccessLog, AccessReader, BacktestReport, BareRuling, Ending, ForeignPart, RecordedAccess,
};
use portcullis_core::directory::{Directory, DirectoryAccount, DirectoryError};
use portcullis_core::event::{AccessEvent, Decision, Event, RecordedChallenge};
use portcullis_core::gate::Claim;
use portcullis_core::plugin::PluginFault;
use portcullis_core::policy::*;
use portcullis_core::store::{EventStore as _, Sequence, StoreError};
use portcullis_core::{
    Access, Account, AccountFacts, AccountId, AccountKind, BindMethod, ChallengeId, ConnectorName, EventId, Operation,
    Outcome, Target, Timestamp,
};
use portcullis_guard::{BacktestOptions, BacktestProgress, PolicyEntry, backtest};
use portcullis_store::{Store, StoreOptions};
use proptest::prelude::*;

use crate::support::*;

/// Everybody by login, or by a DN that begins with `uid=`, but for those who have left; nobody is below `ou=before` any more.
#[derive(Default)]
struct People {
    gone: Mutex<BTreeSet<String>>,
    asked: Mutex<Vec<String>>,
    down: bool,
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

fn account(login: &str) -> Account {
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

fn options(threads: usize) -> BacktestOptions {
    BacktestOptions {
        since: Timestamp(0),
        days: 14,
        most: 1_000_000,
        threads,
        examples: 10_000,
        accounts_without_entry: Vec::new(),
    }
}

async fn run(log: Arc<dyn AccessLog>, people: &Arc<People>, policies: Vec<PolicyEntry>) -> BacktestReport {
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
fn ending(report: &BacktestReport, to: Ending) -> BTreeSet<EventId> {
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

/// Accesses that were made up.
struct Log(Vec<RecordedAccess>);

impl AccessLog for Log {
    fn extent(&self, _: Timestamp) -> Result<(Sequence, Sequence), StoreError> {
        Ok((Sequence(0), Sequence(self.0.len() as u64)))
    }

    fn reader(&self) -> Result<Box<dyn AccessReader>, StoreError> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl AccessReader for Log {
    fn accesses(&mut self, after: Sequence, through: Sequence) -> Result<Vec<RecordedAccess>, StoreError> {
        let range = usize::try_from(after.0).unwrap()..usize::try_from(through.0).unwrap();
        Ok(self.0[range].to_vec())
    }
}

fn recorded(number: u128, login: &str) -> RecordedAccess {
    RecordedAccess {
        access: Access {
            id: EventId(uuid::Uuid::from_u128(number)),
            at: Timestamp(1_000),
            source: "ldap".to_owned(),
            account: Some(account(login)),
            endpoint: None,
            protection: None,
            target: Target { application: format!("app of {login}"), entry: None },
            operation: Operation::Bind(BindMethod::Simple),
            outcome: Outcome::Success,
            signals: Vec::new(),
        },
        decision: Decision::Allow,
        rulings: Vec::new(),
        challenges: Vec::new(),
        foreign: None,
    }
}

fn answered(outcome: ChallengeOutcome, decision: Decision) -> RecordedAccess {
    let challenge = RecordedChallenge {
        id: Some(ChallengeId(uuid::Uuid::from_u128(1))),
        connector: ConnectorName::new("phone"),
        outcome,
        detail: String::new(),
        remembered: false,
        waited_ms: 5_000,
    };
    let rulings = vec![BareRuling { mode: Mode::Enforce, verdict: super::support::challenge(0) }];
    RecordedAccess { decision, challenges: vec![challenge], rulings, ..recorded(1, "ada") }
}

#[tokio::test]
async fn an_answer_on_record_counts_and_none_is_made_up() {
    let people = Arc::new(People::default());
    let approved = Arc::new(Log(vec![answered(ChallengeOutcome::Approved, Decision::Allow)]));
    let report = run(approved.clone(), &people, vec![push_policy(0)]).await;
    assert_eq!((report.changed, report.pushes, report.pushes_spared), (0, 0, 0));
    let strict = policy("push", Mode::Enforce, FailMode::Closed, |_, evidence| match evidence {
        [] => ruling(challenge(0)),
        [Evidence::Challenge(result)] => {
            assert_eq!((result.outcome, result.at), (ChallengeOutcome::Approved, Timestamp(6_000)));
            ruling(Verdict::Block)
        }
        _ => panic!("one answer"),
    });
    let report = run(approved.clone(), &people, vec![strict]).await;
    assert_eq!((report.changes[0].from, report.changes[0].to), (Ending::ChallengeAllow, Ending::ChallengeBlock));
    // Another connector was not asked.
    let other = policy("codes", Mode::Enforce, FailMode::Closed, |_, _| {
        let Verdict::Challenge(request) = challenge(0) else { unreachable!("a challenge") };
        ruling(Verdict::Challenge(ChallengeRequest { connector: ConnectorName::new("codes"), ..request }))
    });
    let report = run(approved.clone(), &people, vec![other]).await;
    assert_eq!((report.changes[0].from, report.changes[0].to), (Ending::ChallengeAllow, Ending::Challenge));
    assert_eq!((report.pushes, report.pushes_spared), (1, 1));
    let report = run(approved, &people, Vec::new()).await;
    assert_eq!((report.changes[0].to, report.pushes_spared, report.touched), (Ending::Allow, 1, 0));
    // One that never ends has the recorded answer once, and asks anew then.
    let denied = Arc::new(Log(vec![answered(ChallengeOutcome::Denied, Decision::Block)]));
    let endless = policy("endless", Mode::Enforce, FailMode::Open, |_, _| ruling(challenge(0)));
    let report = run(denied, &people, vec![endless]).await;
    assert_eq!((report.changes[0].to, report.pushes), (Ending::Challenge, 1));
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_counted_and_everybody_is_looked_up_once() {
    let people = Arc::new(People::default());
    people.gone.lock().unwrap().insert("eve".to_owned());
    let logins = ["ada", "eve", "bob", "ada", "eve", "ada"];
    let mut log: Vec<_> = (1..).zip(logins).map(|(number, login)| recorded(number, login)).collect();
    log.push(RecordedAccess { decision: Decision::Refused, ..recorded(7, "ada") });
    log.push(RecordedAccess { decision: Decision::Abandoned, ..recorded(8, "ada") });
    let blocking = || {
        policy("block", Mode::Enforce, FailMode::Closed, |_, _| {
            Ok(Ruling {
                verdict: Verdict::Block,
                reason: "because".to_owned(),
                effects: vec![
                    Effect::RaiseIncident { severity: Severity::Low, title: "a".to_owned(), escalate: Vec::new() },
                    Effect::ResolveIncident,
                    Effect::Demote { group: "admins".to_owned(), restore_after_seconds: 0, from_times: 0 },
                    Effect::Notify { channel: "soc".to_owned(), text: "Look.".to_owned() },
                ],
            })
        })
    };
    let progress = Arc::new(BacktestProgress::default());
    let log: Arc<dyn AccessLog> = Arc::new(Log(log));
    let report = backtest(log.clone(), people.clone(), vec![blocking()], &options(1), progress).await.unwrap();
    assert_eq!((report.read, report.evaluated, report.not_decided, report.not_evaluated), (8, 4, 2, 2));
    assert_eq!((report.touched, report.touched_percent), (4, 100.0));
    assert_eq!((report.incidents_raised, report.incidents_resolved), (4, 4));
    assert_eq!((report.demotions, report.notices), (4, 4));
    let rows: Vec<_> = report.accounts.iter().map(|row| (row.name.as_str(), row.changed, row.evaluated)).collect();
    assert_eq!(rows, [("ada", 3, 3), ("bob", 1, 1)]);
    assert_eq!(report.applications[0].name, "app of ada");
    let examples: Vec<_> = report.accounts[0].changes[0].examples.iter().map(|id| id.0.as_u128()).collect();
    assert_eq!(examples, [1, 4, 6], "in their order");
    let mut asked = people.asked.lock().unwrap().clone();
    asked.retain(|name| name != "eve");
    assert_eq!(asked.len(), 3, "ada, eve and bob: {asked:?}");

    let down = Arc::new(People { down: true, ..People::default() });
    let report = run(log, &down, vec![blocking()]).await;
    assert_eq!((report.evaluated, report.not_evaluated), (0, 6));
    assert!(report.notes.iter().any(|note| note.contains("connection refused")), "{:?}", report.notes);
    assert!(down.asked.lock().unwrap().len() <= 3, "it is left alone then");
}

/// Who was renamed is found by what has stayed, whichever access came first.
#[tokio::test]
async fn who_has_moved_is_evaluated_in_any_order() {
    let named = |number, login: &str, unit: &str| {
        let mut recorded = recorded(number, "ada");
        let account = recorded.access.account.as_mut().unwrap();
        (account.login, account.dn) = (login.to_owned(), Some(format!("uid={login},ou={unit},dc=example,dc=com")));
        recorded
    };
    let mut log = vec![named(1, "ada", "before"), named(2, "adele", "before"), named(3, "ada", "people")];
    for _ in 0..2 {
        let people = Arc::new(People::default());
        let report = run(Arc::new(Log(log.clone())), &people, Vec::new()).await;
        assert_eq!((report.evaluated, report.not_evaluated), (2, 1), "both names of adele are gone");
        log.reverse();
    }
}

/// Live, the question about what has happened at a cloud service is asked afterwards, by a second half that is not evaluated.
#[tokio::test]
async fn a_cloud_access_that_was_asked_about_later_is_no_change() {
    let asking = || vec![policy("push", Mode::Enforce, FailMode::Closed, |_, _| ruling(challenge(0)))];
    let of_cloud = |number, kind| {
        let mut recorded = recorded(number, "ada");
        recorded.access.source = "okta".to_owned();
        recorded.access.account.as_mut().unwrap().kind = kind;
        recorded.rulings = vec![BareRuling { mode: Mode::Enforce, verdict: challenge(0) }];
        recorded.foreign = Some(ForeignPart { follows: None });
        recorded
    };
    let log: Arc<dyn AccessLog> =
        Arc::new(Log(vec![of_cloud(1, AccountKind::Human), of_cloud(2, AccountKind::Service)]));
    let people = Arc::new(People::default());
    let report = run(log.clone(), &people, asking()).await;
    assert_eq!((report.evaluated, report.changed, report.pushes, report.pushes_spared), (2, 0, 0, 0));
    let report = run(log, &people, Vec::new()).await;
    assert_eq!((report.changed, report.pushes, report.pushes_spared), (2, 0, 1), "nobody can ask a service account");
    let quiet = |recorded: RecordedAccess| RecordedAccess { rulings: Vec::new(), ..recorded };
    let log = vec![quiet(of_cloud(1, AccountKind::Human)), quiet(of_cloud(2, AccountKind::Service))];
    let report = run(Arc::new(Log(log)), &people, asking()).await;
    assert_eq!((ending(&report, Ending::Challenge).len(), report.pushes), (2, 1));
}

#[tokio::test]
async fn it_can_be_ended_and_takes_the_latest() {
    let people = Arc::new(People::default());
    let log: Vec<_> = (1..=50).map(|number| recorded(number, "ada")).collect();
    let log: Arc<dyn AccessLog> = Arc::new(Log(log));
    let latest = BacktestOptions { most: 20, ..options(2) };
    let progress = Arc::new(BacktestProgress::default());
    let report = backtest(log.clone(), people.clone(), Vec::new(), &latest, progress).await.unwrap();
    assert_eq!((report.read, report.truncated, report.cancelled), (20, true, false));
    let progress = Arc::new(BacktestProgress::default());
    progress.cancelled.store(true, Ordering::Relaxed);
    let report = backtest(log, people, Vec::new(), &options(2), progress).await.unwrap();
    assert_eq!((report.read, report.cancelled), (0, true));
}
