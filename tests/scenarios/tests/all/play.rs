//! Plays what people, programs and attackers do through a guard with real policies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_behavior::Settings;
use portcullis_behavior::seen::Place;
use portcullis_core::gate::{Answer, Asked, Claim, Connection, Gate as _, PasswordTag, Permit as _, Summary, Tried};
use portcullis_core::plugin::Authenticator;
use portcullis_core::policy::FailMode;
use portcullis_core::source::{ForeignEvent, Position};
use portcullis_core::summary::{Audit, Tally};
use portcullis_core::{
    BindMethod, Clock as _, ConnectorName, ListenerName, Operation, OperationKind, Outcome, PolicyName, Search,
    SearchScope, Timestamp, Tls,
};
use portcullis_engine::{Engine, EngineOptions, PolicyLimits, PolicySpec, TrustedKeys};
use portcullis_guard::cloud::{Cloud, CloudSource, OnBlock, SourceOptions};
use portcullis_guard::{ChallengeBudget, Guard, NamedNetwork, Options, PolicyEntry, Rooms, Surroundings};
use portcullis_store::{Store, StoreOptions};
use tokio_util::sync::CancellationToken;

use crate::company::{HOME, account, mail};
use crate::scenario::{Act, Doing, PolicyText, Scenario, SearchText, Who};
use crate::world::{BEGIN, Phone, Seen, Service, World};

/// How far the log of the cloud service may be behind, in milliseconds of the scenario.
const LAG: u64 = 30 * 60_000;
/// How long the log of the cloud service may take to be read.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Theatre {
    pub world: Arc<World>,
    pub phone: Arc<Phone>,
    pub service: Arc<Service>,
    guard: Arc<Guard>,
    cloud: Arc<Cloud>,
    told: u64,
    /// Since when something of the service's log is not waited for.
    unread_since: Option<u64>,
    connections: u16,
    tls: Arc<Tls>,
    _folder: tempfile::TempDir,
}

impl Theatre {
    pub async fn of(scenario: &Scenario) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap());
        let world = Arc::new(World::new(scenario.people, store.clone()));
        let (phone, service) = (Arc::new(Phone::default()), Arc::new(Service::default()));
        let rooms = Rooms {
            directory: world.clone(),
            events: world.clone(),
            learned: world.clone(),
            profiles: store.clone(),
            challenges: store.clone(),
            demotions: store.clone(),
            exclusions: store.clone(),
            clock: world.clone(),
            ids: world.clone(),
        };
        let connectors = [(ConnectorName::new("phone"), phone.clone() as Arc<dyn Authenticator>)];
        let guard = Arc::new(Guard::new(rooms, options(), connectors.into()));
        guard.set_policies(policies(&scenario.policies, &store));
        let cloud = Arc::new(Cloud::new(guard.clone(), world.clone()));
        cloud.set_sources(vec![CloudSource {
            name: ConnectorName::new("okta"),
            provider: service.clone(),
            options: SourceOptions { on_block: OnBlock::EndSessions, ..SourceOptions::default() },
        }]);
        tokio::spawn(cloud.clone().run(CancellationToken::new()));
        let tls = Tls {
            version: "TLS 1.3".to_owned(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
            client_certificate: None,
        };
        Self {
            world,
            phone,
            service,
            guard,
            cloud,
            told: 0,
            unread_since: None,
            connections: 0,
            tls: tls.into(),
            _folder: folder,
        }
    }

    /// Does it, and returns what was decided about it, in the order of the accesses.
    pub async fn play(&mut self, doings: &[Doing]) -> Vec<Seen> {
        for doing in doings {
            match &doing.act {
                Act::Bind { wrong } => self.bind(doing, *wrong).await,
                Act::Search(text) => {
                    self.bind(doing, None).await;
                    self.look_up(doing, std::slice::from_ref(text)).await;
                }
                Act::LookUp(texts) => self.look_up(doing, texts).await,
                Act::SignIn { position, place } => self.sign_in(doing, *position, place).await,
            }
        }
        self.sum_up().await;
        self.read_log().await;
        self.world.settle().await;
        self.world.take_seen()
    }

    /// Searches over one connection, and what a session sums up of them.
    async fn look_up(&mut self, doing: &Doing, texts: &[SearchText]) {
        if self.world.now().0 < BEGIN + doing.at {
            // As the gateway does it each second.
            self.sum_up().await;
        }
        self.world.go_to(doing.at);
        let mut tally = Tally::default();
        let mut bound = self.asked(doing, Operation::Search(None));
        for text in texts {
            bound.entry = Some(text.base.clone());
            bound.operation = Operation::Search(Some(Search {
                base: text.base.clone(),
                scope: SearchScope::Subtree,
                filter: text.filter.clone(),
                attributes: text.attributes.clone(),
            }));
            if self.decide(bound.clone()).await {
                *tally.operations.entry(OperationKind::Search).or_default() += 1;
            }
            tally.entries += text.entries;
        }
        if !tally.is_empty() {
            let (connection, claim) = (bound.connection, bound.claim);
            self.guard.summarize(Summary { connection, claim, age: Duration::ZERO, continues: true, tally });
        }
    }

    async fn sum_up(&self) {
        let ended = CancellationToken::new();
        ended.cancel();
        self.guard.write_summaries(ended).await;
    }

    async fn bind(&mut self, doing: &Doing, wrong: Option<u64>) {
        self.world.go_to(doing.at);
        let mut asked = self.asked(doing, Operation::Bind(BindMethod::Simple));
        asked.entry = match &asked.claim {
            Claim::Name(name) => Some(name.clone()),
            Claim::Anonymous | Claim::Unreadable => None,
        };
        asked.tried = Tried::Password(PasswordTag(wrong.unwrap_or(0)));
        if wrong.is_some() {
            (asked.outcome, asked.directory_result) = (Outcome::Failure, Some(49));
            self.guard.note(asked, "The directory refused it.").await;
        } else {
            (asked.outcome, asked.directory_result) = (Outcome::Success, Some(0));
            self.decide(asked).await;
        }
    }

    /// As a session does it: what nobody wants to see is not asked about. Says whether it is to be summed up.
    async fn decide(&self, asked: Asked) -> bool {
        let kind = asked.operation.kind();
        if kind == OperationKind::Search && self.guard.pass(kind, ()).is_ok() {
            return true;
        }
        match self.guard.decide(asked, ()).await {
            Answer::Passed(_) => true,
            Answer::Permitted(permit) => {
                permit.redeem();
                false
            }
            Answer::Refused(_) => false,
        }
    }

    fn asked(&mut self, doing: &Doing, operation: Operation) -> Asked {
        self.connections = self.connections.wrapping_add(1).max(1_024);
        Asked {
            connection: Connection {
                client: SocketAddr::new(doing.from, self.connections),
                listener: ListenerName::new(&doing.application),
                tls: Some(self.tls.clone()),
                application: None,
            },
            claim: Claim::Name(name(&doing.who, self.world.people)),
            operation,
            entry: None,
            outcome: Outcome::Pending,
            directory_result: None,
            code: None,
            tried: Tried::Nothing,
        }
    }

    async fn sign_in(&mut self, doing: &Doing, (latitude, longitude): (f64, f64), place: &str) {
        self.world.go_to(doing.at);
        let Who::Person(number) = doing.who else { return };
        self.told = self.service.tell(ForeignEvent {
            id: format!("event-{}", self.told + 1),
            at: Timestamp(BEGIN + doing.at),
            identities: vec![mail(number)],
            address: Some(doing.from),
            user_agent: None,
            position: Some(Position { latitude, longitude }),
            place: Some(place.to_owned()),
            application: Some(doing.application.clone()),
            operation: Operation::SignIn,
            outcome: Outcome::Success,
            detail: "A sign-in.".to_owned(),
            attributes: Vec::new(),
            raw: "{}".to_owned(),
        });
        if self.world.now().0 >= self.unread_since.unwrap_or(self.world.now().0) + LAG {
            self.read_log().await;
        }
        self.unread_since.get_or_insert(self.world.now().0);
    }

    /// Waits until all that the service has told is read.
    async fn read_log(&mut self) {
        self.unread_since = None;
        let begin = Instant::now();
        while self.cloud.status().iter().map(|source| source.stored).sum::<u64>() < self.told {
            assert!(begin.elapsed() < PATIENCE, "the log is not read: {:?}", self.cloud.status());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until a session was ended at the service.
    pub async fn wait_for_end_of_sessions(&self, account: &str) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.service.ended.lock().unwrap().iter().any(|ended| ended == account) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    pub fn attacked(&self, attacked: bool) {
        self.phone.says_no.store(attacked, Ordering::SeqCst);
    }
}

fn name(who: &Who, people: u32) -> String {
    let dn = account(who, people).and_then(|found| found.account.dn);
    match who {
        Who::Nobody(name) => format!("uid={name},ou=sales,dc=example,dc=com"),
        Who::Person(_) | Who::Service(_) => dn.expect("the scenario names people that there are"),
    }
}

fn options() -> Options {
    let network = |text: &str, name: &str| NamedNetwork { name: name.to_owned(), network: text.parse().unwrap() };
    Options {
        surroundings: Surroundings { sites: vec![network("10.0.0.0/8", "headquarters")], ..Surroundings::default() },
        accounts_without_entry: Vec::new(),
        behavior: Settings::default(),
        positions: BTreeMap::from([(
            "headquarters".to_owned(),
            #[expect(clippy::cast_possible_truncation, reason = "a town is larger")]
            Place { latitude: HOME.0 as f32, longitude: HOME.1 as f32, uncertainty_km: 50.0 },
        )]),
        challenge_timeout: Duration::from_secs(60),
        challenge_timeout_limit: Duration::from_secs(120),
        challenge_budget: ChallengeBudget::default(),
        late_answer: Duration::ZERO,
        without_store: FailMode::Closed,
        store_timeout: Duration::from_secs(60),
        audit: Audit::Summary,
        challenge_page: None,
    }
}

/// Loads the policies as the gateway does: the signed component, with these settings.
fn policies(texts: &[PolicyText], store: &Arc<Store>) -> Vec<PolicyEntry> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist");
    let keys = [dist.join("keys/dev.pub")];
    let engine = Engine::new(EngineOptions {
        plugin_folder: dist.join("plugins"),
        trusted_keys: TrustedKeys::from_files(&keys).expect("run `cargo xtask plugins` first"),
        compile_cache: None,
        clock: Arc::new(RealClock),
        plugin_state: store.clone(),
    });
    let engine = engine.expect("run `cargo xtask plugins` first");
    let load = |text: &PolicyText| {
        let spec = PolicySpec {
            name: text.name.clone(),
            file: "rules.wasm".to_owned(),
            settings: text.settings.clone(),
            limits: PolicyLimits::default(),
        };
        let policy = engine.load_policy(spec).unwrap_or_else(|error| panic!("{}: {error}", text.name));
        PolicyEntry {
            name: PolicyName::new(&text.name),
            mode: text.mode,
            fail: text.fail,
            canary_of: None,
            policy: Arc::new(policy),
        }
    };
    texts.iter().map(load).collect()
}

/// For the engine, whose limits are of this world.
struct RealClock;

impl portcullis_core::Clock for RealClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
