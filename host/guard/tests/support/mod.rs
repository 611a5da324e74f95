//! A made-up world around the guard: every room is a fake that the test can look into.

mod codes;
mod demotions;
mod exclusions;
mod profiles;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::challenge::{ChallengeRecord, ChallengeState, Forget, RememberKey};
use portcullis_core::directory::{Directory, DirectoryAccount, DirectoryError};
use portcullis_core::event::{AccessEvent, Event, Record};
use portcullis_core::gate::{Answer, Asked, Claim, Connection, Gate, Permit, Tried};
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory};
use portcullis_core::plugin::{
    Authenticator, ChallengeContext, ConnectorError, Health, PluginFault, Policy, Progress, Prompt, StartError, Step,
};
use portcullis_core::policy::*;
use portcullis_core::store::*;
use portcullis_core::summary::{Audit, SessionSummary};
use portcullis_core::*;
use portcullis_guard::{ChallengeBudget, Guard, Options, PolicyEntry, Rooms, Surroundings};
use tokio::sync::Notify;

pub use codes::Codes;

#[derive(Default)]
pub struct World {
    pub records: Mutex<Vec<Record>>,
    pub challenges: Mutex<HashMap<ChallengeId, ChallengeRecord>>,
    pub forgotten: Mutex<Vec<Forget>>,
    pub demotions: Mutex<Vec<demotion::WantedDemotion>>,
    pub store_down: AtomicBool,
    /// The store refuses the events that these logins have to do with.
    pub refused_logins: Mutex<Vec<String>>,
    pub directory_down: AtomicBool,
    /// Nobody's entry is there any more.
    pub entries_gone: AtomicBool,
    pub kind: Mutex<Option<AccountKind>>,
    /// An identifier under which the directory knows an entry, and that entry's DN.
    pub by_id: Mutex<Option<(String, String)>>,
    /// Somebody else has alice's mail address.
    pub two_alices: AtomicBool,
    pub profiles: profiles::Profiles,
    pub exclusions: Mutex<Vec<exclusion::Exclusion>>,
    ids: AtomicU64,
    epoch: Mutex<Option<tokio::time::Instant>>,
}

const START: u64 = 1_800_000_000_000;

impl Clock for World {
    /// Follows tokio's clock, which the tests pause and move.
    fn now(&self) -> Timestamp {
        let epoch = *self.epoch.lock().unwrap().get_or_insert_with(tokio::time::Instant::now);
        Timestamp(START).plus(epoch.elapsed())
    }
}

impl Ids for World {
    fn event_id(&self, _: Timestamp) -> EventId {
        EventId(uuid::Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::SeqCst) + 1)))
    }
    fn random(&self) -> [u8; 16] {
        u128::from(self.ids.fetch_add(1, Ordering::SeqCst) + 1).to_be_bytes()
    }
}

#[async_trait]
impl Directory for World {
    async fn find(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError> {
        if self.directory_down.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unreachable("connection refused".to_owned()));
        }
        let by_id = self.by_id.lock().unwrap().clone();
        let name = by_id.as_ref().filter(|(id, _)| id == name).map_or(name, |(_, dn)| dn.as_str());
        let account = Account {
            id: AccountId::new("alice-id"),
            login: "alice".to_owned(),
            dn: Some(name.to_owned()),
            mail: Some("alice@example.com".to_owned()),
            kind: self.kind.lock().unwrap().unwrap_or(AccountKind::Human),
            privileged: false,
            cloud_enabled: None,
            risk: 0,
        };
        let is_there = name.starts_with("uid=alice") && !self.entries_gone.load(Ordering::SeqCst);
        Ok(is_there.then(|| DirectoryAccount { account, facts: Arc::default() }))
    }
    async fn with_value(&self, attribute: &str, value: &str) -> Result<Vec<DirectoryAccount>, DirectoryError> {
        let alice = self.find("uid=alice,ou=people,dc=example,dc=com").await?;
        let is_hers = |alice: &DirectoryAccount| attribute == "mail" && alice.account.mail.as_deref() == Some(value);
        let mut found: Vec<_> = alice.into_iter().filter(is_hers).collect();
        if self.two_alices.load(Ordering::SeqCst) {
            found.extend(found.clone().into_iter().map(|mut other| {
                other.account.id = AccountId::new("other-alice-id");
                other
            }));
        }
        Ok(found)
    }
}

#[async_trait]
impl EventStore for World {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), StoreError>> {
        if self.store_down.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Unavailable("disk full".to_owned())) });
        }
        if let Event::Summary(summary) = &record.event
            && let Some(account) = &summary.account
            && self.refused_logins.lock().unwrap().contains(&account.login)
        {
            return Box::pin(async { Err(StoreError::Overloaded(1)) });
        }
        self.records.lock().unwrap().push(record);
        Box::pin(async { Ok(()) })
    }
    async fn recent(&self, _: Option<Sequence>, _: u32) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(Vec::new())
    }
    async fn changed(&self, seen: Sequence) -> Sequence {
        seen
    }
}

#[async_trait]
impl LearnedStore for World {
    async fn account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError> {
        let mut associations: Vec<Association> = Vec::new();
        for seen in self.records.lock().unwrap().iter().filter_map(|r| r.learned.clone()) {
            if seen.account != *account {
                continue;
            }
            match associations.iter_mut().find(|a| a.address == seen.address) {
                Some(known) => (known.count, known.last_seen) = (known.count + 1, seen.at),
                None => associations.push(Association {
                    address: seen.address,
                    first_seen: seen.at,
                    last_seen: seen.at,
                    count: 1,
                }),
            }
        }
        Ok(AccountHistory { associations })
    }
    async fn endpoint_history(&self, _: IpAddr) -> Result<EndpointHistory, StoreError> {
        Ok(EndpointHistory { accounts: 1 })
    }
    async fn endpoint_histories(&self, addresses: &[IpAddr]) -> Result<HashMap<IpAddr, EndpointHistory>, StoreError> {
        Ok(addresses.iter().map(|address| (*address, EndpointHistory { accounts: 1 })).collect())
    }
}

#[async_trait]
impl ChallengeStore for World {
    async fn put_challenge(&self, challenge: &ChallengeRecord) -> Result<(), StoreError> {
        if self.store_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("disk full".to_owned()));
        }
        self.challenges.lock().unwrap().insert(challenge.id, challenge.clone());
        Ok(())
    }
    async fn approval_within(
        &self,
        key: &RememberKey,
        time: std::ops::RangeInclusive<Timestamp>,
        risk: u8,
    ) -> Result<Option<(ChallengeId, Timestamp)>, StoreError> {
        let challenges = self.challenges.lock().unwrap();
        let fits = |c: &&ChallengeRecord| {
            c.state == ChallengeState::Approved
                && c.risk >= risk
                && (&c.account, c.address, &c.application, &c.policy)
                    == (&key.account, key.address, &key.application, &key.policy)
        };
        let ended = challenges.values().filter(fits).filter_map(|c| Some((c.id, c.ended_at?)));
        let forgotten = self.forgotten.lock().unwrap();
        let counts = |at: Timestamp| {
            time.contains(&at)
                && forgotten.iter().all(|f| f.before < at || f.account.as_ref().is_some_and(|a| *a != key.account))
        };
        Ok(ended.filter(|(_, at)| counts(*at)).max_by_key(|(_, at)| *at))
    }
    async fn forget(&self, what: Forget) -> Result<(), StoreError> {
        if self.store_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("disk full".to_owned()));
        }
        self.forgotten.lock().unwrap().push(what);
        Ok(())
    }
    async fn settle(&self, event: EventId, happened: Option<Timestamp>) -> Result<(), StoreError> {
        let mut forgotten = self.forgotten.lock().unwrap();
        let (ended, mut kept): (Vec<_>, Vec<_>) = forgotten.drain(..).partition(|f| f.until_settled == Some(event));
        if let Some(before) = happened {
            kept.extend(ended.into_iter().map(|f| Forget { before, until_settled: None, ..f }));
        }
        *forgotten = kept;
        Ok(())
    }
    async fn challenges_since(&self, since: Timestamp) -> Result<Vec<ChallengeRecord>, StoreError> {
        let challenges = self.challenges.lock().unwrap();
        let mut found: Vec<_> = challenges.values().filter(|one| one.opened_at >= since).cloned().collect();
        found.sort_by_key(|one| one.opened_at);
        Ok(found)
    }
    async fn cancel_open_challenges(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A policy whose rulings are a closure.
pub struct Scripted<F>(pub Needs, pub F);

impl<F> Policy for Scripted<F>
where
    F: Fn(&Access, &[Evidence]) -> Result<Ruling, PluginFault> + Send + Sync,
{
    fn needs(&self) -> &Needs {
        &self.0
    }
    fn evaluate(&self, access: &Access, _: &Arc<AccountFacts>, evidence: &[Evidence]) -> Result<Ruling, PluginFault> {
        (self.1)(access, evidence)
    }
}

pub fn policy<F>(name: &str, mode: Mode, fail: FailMode, rule: F) -> PolicyEntry
where
    F: Fn(&Access, &[Evidence]) -> Result<Ruling, PluginFault> + Send + Sync + 'static,
{
    let needs = Needs { operations: vec![OperationKind::Bind, OperationKind::Search], ..Needs::default() };
    PolicyEntry { name: PolicyName::new(name), mode, fail, canary_of: None, policy: Arc::new(Scripted(needs, rule)) }
}

pub fn ruling(verdict: Verdict) -> Result<Ruling, PluginFault> {
    Ok(Ruling { verdict, reason: "because".to_owned(), effects: Vec::new() })
}

pub fn challenge(remember_seconds: u32) -> Verdict {
    Verdict::Challenge(ChallengeRequest {
        connector: ConnectorName::new("phone"),
        remember_seconds,
        timeout_seconds: 0,
    })
}

/// Asks for a push; allows when approved, blocks otherwise.
pub fn push_policy(remember_seconds: u32) -> PolicyEntry {
    policy("push", Mode::Enforce, FailMode::Closed, move |_, evidence| match evidence {
        [] => ruling(challenge(remember_seconds)),
        [Evidence::Challenge(result), ..] if result.outcome == ChallengeOutcome::Approved => ruling(Verdict::Allow),
        _ => ruling(Verdict::Block),
    })
}

/// A phone.
#[derive(Default)]
pub struct Phone {
    pub starts: AtomicU32,
    pub cancels: AtomicU32,
    /// The handle that each challenge has to be polled with next.
    handles: Mutex<HashMap<u32, u32>>,
    pub answer: Mutex<Option<Progress>>,
    pub not_enrolled: AtomicBool,
    pub poll_error: Mutex<Option<ConnectorError>>,
    pub panics: AtomicBool,
    /// When it was asked.
    pub polled: Mutex<Vec<tokio::time::Instant>>,
    pub taken_back: Notify,
}

impl Phone {
    fn step(&self, challenge: u32, turn: u32) -> Step {
        self.handles.lock().unwrap().insert(challenge, turn);
        Step {
            progress: self.answer.lock().unwrap().unwrap_or(Progress::Waiting),
            handle: format!("{challenge}:{turn}"),
            prompt: Prompt::Push(Some(47)),
            poll_after_ms: 1000,
            expires_in_seconds: 300,
            choices: Vec::new(),
            note: None,
        }
    }
    pub fn answer(&self, progress: Progress) {
        *self.answer.lock().unwrap() = Some(progress);
    }
}

#[async_trait]
impl Authenticator for Phone {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Ok(Health { detail: String::new(), warnings: Vec::new() })
    }
    async fn start(&self, _: &ChallengeContext) -> Result<Step, StartError> {
        if self.not_enrolled.load(Ordering::SeqCst) {
            return Err(StartError::NotEnrolled("no phone".to_owned()));
        }
        let challenge = self.starts.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "made to panic");
        Ok(Step { progress: Progress::Waiting, ..self.step(challenge, 0) })
    }
    async fn poll(&self, handle: &str) -> Result<Step, ConnectorError> {
        self.polled.lock().unwrap().push(tokio::time::Instant::now());
        if let Some(error) = self.poll_error.lock().unwrap().clone() {
            return Err(error);
        }
        let (challenge, turn) = handle.split_once(':').unwrap();
        let (challenge, turn): (u32, u32) = (challenge.parse().unwrap(), turn.parse().unwrap());
        assert_eq!(self.handles.lock().unwrap()[&challenge], turn, "the latest handle has to be used");
        Ok(self.step(challenge, turn + 1))
    }
    async fn verify(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("a push has no code".to_owned()))
    }
    async fn choose(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("a push has no choices".to_owned()))
    }
    async fn cancel(&self, _: &str) -> Result<(), ConnectorError> {
        self.cancels.fetch_add(1, Ordering::SeqCst);
        self.taken_back.notify_one();
        Ok(())
    }
}

pub struct Scene {
    pub world: Arc<World>,
    pub phone: Arc<Phone>,
    /// The connector `codes`.
    pub codes: Arc<Codes>,
    pub guard: Arc<Guard>,
}

pub fn scene(policies: Vec<PolicyEntry>) -> Scene {
    scene_with(policies, FailMode::Closed)
}

pub fn scene_with(policies: Vec<PolicyEntry>, without_store: FailMode) -> Scene {
    scene_of(policies, without_store, Audit::Summary)
}

pub fn scene_of(policies: Vec<PolicyEntry>, without_store: FailMode, audit: Audit) -> Scene {
    scene_in(policies, without_store, audit, Surroundings::default())
}

pub fn scene_in(
    policies: Vec<PolicyEntry>,
    without_store: FailMode,
    audit: Audit,
    surroundings: Surroundings,
) -> Scene {
    scene_where(policies, |options| {
        options.without_store = without_store;
        options.audit = audit;
        options.surroundings = surroundings;
    })
}

/// With other options than usual.
pub fn scene_where(policies: Vec<PolicyEntry>, choose: impl FnOnce(&mut Options)) -> Scene {
    scene_among(policies, choose, |_| {})
}

/// With other rooms than the made-up ones.
pub fn scene_among(
    policies: Vec<PolicyEntry>,
    choose: impl FnOnce(&mut Options),
    furnish: impl FnOnce(&mut Rooms),
) -> Scene {
    scene_of_world(Arc::new(World::default()), policies, choose, furnish)
}

/// Another guard over the rooms of this one.
pub fn scene_over(scene: &Scene, policies: Vec<PolicyEntry>) -> Scene {
    scene_of_world(scene.world.clone(), policies, |_| {}, |_| {})
}

fn scene_of_world(
    world: Arc<World>,
    policies: Vec<PolicyEntry>,
    choose: impl FnOnce(&mut Options),
    furnish: impl FnOnce(&mut Rooms),
) -> Scene {
    let phone = Arc::new(Phone::default());
    let mut rooms = Rooms {
        directory: world.clone(),
        events: world.clone(),
        learned: world.clone(),
        challenges: world.clone(),
        demotions: world.clone(),
        exclusions: world.clone(),
        profiles: world.clone(),
        clock: world.clone(),
        ids: world.clone(),
    };
    furnish(&mut rooms);
    let mut options = Options {
        surroundings: Surroundings::default(),
        accounts_without_entry: vec!["cn=admin,dc=example,dc=com".to_owned()],
        behavior: portcullis_behavior::Settings {
            learning_time: Duration::ZERO,
            learning_accesses: 1,
            ..portcullis_behavior::Settings::default()
        },
        positions: BTreeMap::new(),
        challenge_timeout: Duration::from_secs(60),
        challenge_timeout_limit: Duration::from_secs(120),
        challenge_budget: ChallengeBudget { per_hour: 6, denials_in_a_row: 2, ..ChallengeBudget::default() },
        late_answer: Duration::ZERO,
        without_store: FailMode::Closed,
        store_timeout: Duration::from_secs(5),
        audit: Audit::Summary,
        challenge_page: Some("https://gateway.example/challenge".to_owned()),
    };
    choose(&mut options);
    let codes = Arc::new(Codes::default());
    let connectors: BTreeMap<ConnectorName, Arc<dyn Authenticator>> = [
        (ConnectorName::new("phone"), phone.clone() as Arc<dyn Authenticator>),
        (ConnectorName::new("codes"), codes.clone()),
    ]
    .into();
    let guard = Arc::new(Guard::new(rooms, options, connectors));
    guard.set_policies(policies);
    Scene { world, phone, codes, guard }
}

pub fn bind_from(address: &str) -> Asked {
    Asked {
        connection: Connection {
            client: format!("{address}:50000").parse().unwrap(),
            listener: ListenerName::new("main"),
            tls: None,
            application: None,
        },
        claim: Claim::Name("uid=alice,ou=people,dc=example,dc=com".to_owned()),
        operation: Operation::Bind(BindMethod::Simple),
        entry: None,
        outcome: Outcome::Success,
        directory_result: Some(0),
        code: None,
        tried: Tried::Nothing,
    }
}

impl Scene {
    /// Decides; what was held when it is permitted, the diagnostic message when not.
    pub async fn bind(&self, address: &str) -> Result<&'static str, String> {
        self.decide(bind_from(address)).await
    }

    pub async fn decide(&self, asked: Asked) -> Result<&'static str, String> {
        decide_with(&self.guard, asked).await
    }

    pub fn events(&self) -> Vec<AccessEvent> {
        let records = self.world.records.lock().unwrap();
        records
            .iter()
            .filter_map(|record| match &record.event {
                Event::Access(event) => Some((**event).clone()),
                Event::Administration(_) | Event::Summary(_) | Event::Imported(_) => None,
            })
            .collect()
    }

    pub fn summaries(&self) -> Vec<SessionSummary> {
        let records = self.world.records.lock().unwrap();
        let summary = |record: &Record| match &record.event {
            Event::Summary(summary) => Some((**summary).clone()),
            Event::Access(_) | Event::Administration(_) | Event::Imported(_) => None,
        };
        records.iter().filter_map(summary).collect()
    }

    pub fn last(&self) -> AccessEvent {
        self.events().pop().expect("an event was recorded")
    }
}

/// A decision, and what the client is told where it is refused.
pub async fn decide_with(guard: &Guard, asked: Asked) -> Result<&'static str, String> {
    match guard.decide(asked, "held").await {
        Answer::Permitted(permitted) | Answer::Passed(permitted) => Ok(permitted.redeem()),
        Answer::Refused(refusal) => Err(refusal.diagnostic),
    }
}
