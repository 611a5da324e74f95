//! Everything around the guard that is not measured.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use async_trait::async_trait;
use portcullis_core::directory::{Directory, DirectoryAccount, DirectoryError};
use portcullis_core::gate::{Asked, Claim, Connection, Tried};
use portcullis_core::plugin::{
    Authenticator, ChallengeContext, ConnectorError, Health, PluginFault, Policy, Progress, Prompt, StartError, Step,
};
use portcullis_core::policy::{ChallengeRequest, Evidence, FailMode, Mode, Needs, Ruling, Verdict};
use portcullis_core::summary::Audit;
use portcullis_core::{
    Access, Account, AccountFacts, AccountId, AccountKind, BindMethod, Clock, ConnectorName, EventId, Ids,
    ListenerName, Operation, OperationKind, Outcome, PolicyName, Timestamp,
};
use portcullis_guard::{ChallengeBudget, Guard, Options, PolicyEntry, Rooms, Surroundings};
use portcullis_store::Store;
use uuid::Uuid;

/// The listener whose binds are asked for, and the one whose are not.
pub(super) const ASKED: &str = "asked";
pub(super) const QUIET: &str = "quiet";

/// How often Okta wants to be asked.
const POLL_MS: u32 = 4_000;

pub(super) fn guard(store: &Arc<Store>, phone: &Arc<Phone>, world: Arc<World>) -> Guard {
    let rooms = Rooms {
        directory: world.clone(),
        events: store.clone(),
        learned: store.clone(),
        profiles: store.clone(),
        challenges: store.clone(),
        demotions: store.clone(),
        exclusions: store.clone(),
        clock: world.clone(),
        ids: world,
    };
    let hour = Duration::from_secs(3_600);
    let options = Options {
        surroundings: Surroundings::default(),
        accounts_without_entry: vec![],
        behavior: portcullis_behavior::Settings::default(),
        positions: BTreeMap::new(),
        challenge_timeout: hour,
        challenge_timeout_limit: hour,
        challenge_budget: ChallengeBudget::default(),
        late_answer: Duration::ZERO,
        without_store: FailMode::Closed,
        store_timeout: Duration::from_secs(30),
        audit: Audit::Summary,
        challenge_page: None,
    };
    let connectors = [(ConnectorName::new("phone"), Arc::clone(phone) as Arc<dyn Authenticator>)];
    let guard = Guard::new(rooms, options, connectors.into());
    let needs = Needs { operations: vec![OperationKind::Bind], ..Needs::default() };
    guard.set_policies(vec![PolicyEntry {
        name: PolicyName::new("second-factor"),
        mode: Mode::Enforce,
        fail: FailMode::Closed,
        canary_of: None,
        policy: Arc::new(Asking(needs)),
    }]);
    guard
}

/// A bind of the person with this number that the directory has let through.
pub(super) fn bind(number: u32, people: u32, listener: &str) -> Asked {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + number / people);
    Asked {
        connection: Connection {
            client: SocketAddr::new(address.into(), 50_000),
            listener: ListenerName::new(listener),
            tls: None,
            application: None,
        },
        claim: Claim::Name(format!("uid=user{number:07},ou=people,dc=example,dc=com")),
        operation: Operation::Bind(BindMethod::Simple),
        entry: None,
        outcome: Outcome::Success,
        directory_result: Some(0),
        code: None,
        tried: Tried::Nothing,
    }
}

fn number_of(login: &str) -> Option<u32> {
    login.strip_prefix("user")?.parse().ok()
}

/// Directory, clock and ids.
pub(super) struct World;

impl Clock for World {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Ids for World {
    fn event_id(&self, _: Timestamp) -> EventId {
        EventId(Uuid::now_v7())
    }
    fn random(&self) -> [u8; 16] {
        // Nobody guesses links here; they only have to differ in each octet.
        let id = Uuid::now_v7().as_u128();
        id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
    }
}

#[async_trait]
impl Directory for World {
    async fn find(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError> {
        let login = name.strip_prefix("uid=").and_then(|rest| rest.split_once(',')).map(|(login, _)| login.to_owned());
        let account = login.map(|login| Account {
            id: AccountId::new(format!("entryUUID:{login}")),
            dn: Some(name.to_owned()),
            mail: Some(format!("{login}@example.com")),
            login,
            kind: AccountKind::Human,
            privileged: false,
            cloud_enabled: None,
            risk: 0,
        });
        Ok(account.map(|account| DirectoryAccount { account, facts: Arc::default() }))
    }
    async fn with_value(&self, _: &str, _: &str) -> Result<Vec<DirectoryAccount>, DirectoryError> {
        Ok(Vec::new())
    }
}

/// Asks everybody who comes over one of the listeners.
struct Asking(Needs);

impl Policy for Asking {
    fn needs(&self) -> &Needs {
        &self.0
    }
    fn evaluate(&self, access: &Access, _: &Arc<AccountFacts>, evidence: &[Evidence]) -> Result<Ruling, PluginFault> {
        let verdict = match evidence {
            [] if access.target.application == ASKED => Verdict::Challenge(ChallengeRequest {
                connector: ConnectorName::new("phone"),
                remember_seconds: 0,
                timeout_seconds: 0,
            }),
            [Evidence::Challenge(result), ..]
                if result.outcome != portcullis_core::policy::ChallengeOutcome::Approved =>
            {
                Verdict::Block
            }
            _ => Verdict::Allow,
        };
        Ok(Ruling {
            verdict,
            reason: "The account uses a machine that it has not used before.".to_owned(),
            effects: vec![],
        })
    }
}

/// All phones.
#[derive(Default)]
pub(super) struct Phone {
    started: AtomicU64,
    polls: AtomicU64,
    all: AtomicBool,
    people: Mutex<People>,
}

#[derive(Default)]
struct People {
    /// Those of whom it is noted when they are asked and answer: whose number is beyond those who just wait.
    started: HashMap<u32, Instant>,
    says_yes: HashSet<u32>,
    approved: HashMap<u32, Instant>,
}

impl Phone {
    pub(super) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    pub(super) async fn start_of(&self, number: u32) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.people().started.remove(&number) {
                return Ok(at);
            }
            ensure!(begun.elapsed() < Duration::from_secs(30), "it is not opened");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The person says yes when the phone is asked the next time.
    pub(super) fn approve(&self, number: u32) {
        self.people().says_yes.insert(number);
    }

    pub(super) fn approve_all(&self) {
        self.all.store(true, Ordering::Relaxed);
    }

    /// When the gateway was told.
    pub(super) fn approved_at(&self, number: u32) -> Option<Instant> {
        self.people().approved.remove(&number)
    }

    /// How often the phones are asked in that time, and in its busiest tenth of a second.
    pub(super) async fn count_polls(&self, time: Duration) -> (u64, u64) {
        let tick = Duration::from_millis(100);
        let (first, end) = (self.polls.load(Ordering::Relaxed), Instant::now() + time);
        let (mut last, mut busiest) = (first, 0);
        while Instant::now() < end {
            tokio::time::sleep(tick).await;
            let now = self.polls.load(Ordering::Relaxed);
            busiest = busiest.max(now - last);
            last = now;
        }
        (last - first, busiest)
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(number: u32, progress: Progress) -> Step {
        // About as long as Okta's.
        let link =
            format!("https://acme.okta.com/api/v1/users/00u{number:017}/factors/opf{number:017}/transactions/v2mst.");
        // Those who are measured are asked more often, so that the measurement ends.
        let poll_after_ms = if is_measured(number) { 250 } else { POLL_MS };
        Step {
            progress,
            handle: format!("{number}|{link}{number:022}"),
            prompt: Prompt::Push(Some(47)),
            poll_after_ms,
            expires_in_seconds: 3_600,
            choices: Vec::new(),
            note: None,
        }
    }
}

/// Its number is beyond those who just wait.
fn is_measured(number: u32) -> bool {
    number >= 2_000_000
}

#[async_trait]
impl Authenticator for Phone {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Ok(Health { detail: String::new(), warnings: Vec::new() })
    }
    async fn start(&self, context: &ChallengeContext) -> Result<Step, StartError> {
        let number = number_of(&context.account.login)
            .ok_or_else(|| StartError::NotEnrolled("nobody of this benchmark".to_owned()))?;
        if is_measured(number) {
            self.people().started.insert(number, Instant::now());
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(Self::step(number, Progress::Waiting))
    }
    async fn poll(&self, handle: &str) -> Result<Step, ConnectorError> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let number = handle.split_once('|').and_then(|(number, _)| number.parse().ok());
        let number = number.ok_or_else(|| ConnectorError::Protocol("a handle of somebody else".to_owned()))?;
        let yes = if is_measured(number) {
            let mut people = self.people();
            let yes = people.says_yes.remove(&number);
            if yes {
                people.approved.insert(number, Instant::now());
            }
            yes
        } else {
            self.all.load(Ordering::Relaxed)
        };
        Ok(Self::step(number, if yes { Progress::Approved } else { Progress::Waiting }))
    }
    async fn verify(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("a push has no code".to_owned()))
    }
    async fn choose(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("a push has no choices".to_owned()))
    }
    async fn cancel(&self, _: &str) -> Result<(), ConnectorError> {
        Ok(())
    }
}
