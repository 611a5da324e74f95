//! Every detection with accesses that give its signal, that do not, and that just do or do not: `cases/NAME.toml`.
//!
//! A case is a story: steps, each repeated `times` times. Every access is looked at and then learned from, as in the gateway. The
//! last one gives the signal, or does not. In texts, `{n}` is the number of the repetition.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use portcullis_behavior::detections::{CATALOGUE, Detections, Exclusion};
use portcullis_behavior::memory::{Memory, Room, summary_seen};
use portcullis_behavior::seen::{Place, Seen};
use portcullis_behavior::{Noticed, Observed, Settings, notice};
use portcullis_core::event::{AccessEvent, Decision, RecordedChallenge};
use portcullis_core::exclusion::Scope;
use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory};
use portcullis_core::policy::ChallengeOutcome;
use portcullis_core::summary::{Machine, SessionSummary, Tally};
use portcullis_core::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    name: String,
    fires: bool,
    /// Of the detection.
    #[serde(default)]
    settings: toml::Table,
    #[serde(default)]
    exclusion: Vec<Exclusion>,
    /// Made by people.
    #[serde(default)]
    made: Vec<Scope>,
    /// Days and accesses of learning; a week and twenty where there are none.
    learning: Option<(u64, u64)>,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Step {
    times: u64,
    /// Seconds before the first, and between two.
    wait: u64,
    every: u64,
    operation: String,
    account: Option<String>,
    kind: AccountKind,
    /// The directory has no such account.
    nobody: bool,
    address: String,
    application: String,
    outcome: Outcome,
    password: Option<String>,
    entry: Option<String>,
    attributes: Vec<String>,
    filter: String,
    scope: SearchScope,
    position: Option<(f32, f32)>,
    cloud: bool,
    cleartext: bool,
    challenge: Option<ChallengeOutcome>,
    /// Entries that the directory returned, in a summary.
    entries: u64,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            times: 1,
            wait: 60,
            every: 60,
            operation: "bind".to_owned(),
            account: Some("alice".to_owned()),
            kind: AccountKind::Human,
            nobody: false,
            address: "10.0.0.1".to_owned(),
            application: "wiki".to_owned(),
            outcome: Outcome::Success,
            password: None,
            entry: None,
            attributes: Vec::new(),
            filter: "(uid=alice)".to_owned(),
            scope: SearchScope::Subtree,
            position: None,
            cloud: false,
            cleartext: false,
            challenge: None,
            entries: 0,
        }
    }
}

/// Monday, 2026-11-02T09:00:00Z.
const BEGIN: u64 = 1_793_610_000_000;

struct World {
    memory: Memory,
    settings: Settings,
    now: Timestamp,
    number: u128,
    associations: BTreeMap<(String, IpAddr), Association>,
}

impl World {
    /// What the access gives.
    fn step(&mut self, step: &Step, number: u64) -> Vec<String> {
        let text = |text: &str| text.replace("{n}", &number.to_string());
        self.number += 1;
        let id = EventId(uuid::Uuid::from_u128(self.number));
        let named = step.account.as_deref().filter(|_| step.operation != "anonymous");
        let account = named.map(text).map(|login| Account {
            id: AccountId::new(if step.nobody { format!("name:{login}") } else { format!("{login}-id") }),
            dn: (!step.nobody).then(|| format!("uid={login},ou=people,dc=example,dc=com")),
            login,
            mail: None,
            kind: step.kind,
            privileged: false,
            cloud_enabled: None,
            risk: 0,
        });
        let address: IpAddr = text(&step.address).parse().expect("an address");
        if step.operation == "summary" {
            return self.summary(id, account, address, step);
        }
        let login = account.as_ref().map(|account| account.login.clone()).unwrap_or_default();
        let noticed = self.notice(&login, address);
        let access = Access {
            id,
            at: self.now,
            source: if step.cloud { "okta".to_owned() } else { "ldap".to_owned() },
            endpoint: Some(Endpoint {
                address,
                name: None,
                site: None,
                shared: noticed.shared,
                associated: noticed.associated,
                risk: 0,
            }),
            account,
            protection: step.cleartext.then_some(Protection::Cleartext),
            target: Target { application: text(&step.application), entry: step.entry.as_deref().map(text) },
            operation: operation(step),
            outcome: step.outcome,
            signals: Vec::new(),
        };
        let tried = match &step.password {
            None => Tried::Nothing,
            Some(empty) if empty.is_empty() => Tried::EmptyPassword,
            Some(password) => {
                let mut hasher = DefaultHasher::new();
                text(password).hash(&mut hasher);
                Tried::Password(PasswordTag(hasher.finish()))
            }
        };
        let place = step.position.map(|(latitude, longitude)| Place { latitude, longitude, uncertainty_km: 100.0 });
        let seen = Seen { place, in_cloud: step.cloud, ..Seen::of(&access, None, None, tried) };
        for subject in self.memory.missing(&seen) {
            assert!(self.memory.put(subject, None));
        }
        let look = self.memory.look(&seen, &self.settings, noticed.signals);
        let is_good_login = seen.is_good_login();
        let mut event = event(access, step);
        event.access.signals.clone_from(&look.signals);
        self.memory.learn(&event, (tried, place), &self.settings, &|_| false);
        if is_good_login && event.decision == Decision::Allow {
            let at = self.now;
            let new = Association { address, first_seen: at, last_seen: at, count: 0 };
            let known = self.associations.entry((login, address)).or_insert(new);
            (known.last_seen, known.count) = (at, known.count + 1);
        }
        look.signals.into_iter().map(|signal| signal.name).collect()
    }

    /// What is said of the endpoint.
    fn notice(&self, login: &str, address: IpAddr) -> Noticed {
        let own = self.associations.iter().filter(|((account, _), _)| account == login);
        let account = AccountHistory { associations: own.map(|(_, known)| known.clone()).collect() };
        let users = self.associations.keys().filter(|(_, known)| *known == address);
        let endpoint = EndpointHistory { accounts: users.count() as u64 };
        notice(Observed { at: self.now, address, account: &account, endpoint }, &self.settings)
    }

    fn summary(&mut self, id: EventId, account: Option<Account>, address: IpAddr, step: &Step) -> Vec<String> {
        let operations = BTreeMap::from([(OperationKind::Search, 10)]);
        let mut summary = SessionSummary {
            id,
            from: self.now,
            to: self.now,
            account,
            endpoint: Machine { address, name: None, site: None },
            application: step.application.clone(),
            listener: ListenerName::new("main"),
            client: None,
            connections: 1,
            tally: Tally { operations, entries: step.entries, ..Tally::default() },
            signals: Vec::new(),
        };
        let search = Operation::Search(None);
        let seen = summary_seen(&summary, &search);
        for subject in self.memory.missing(&seen) {
            assert!(self.memory.put(subject, None));
        }
        summary.signals = self.memory.look(&seen, &self.settings, Vec::new()).signals;
        self.memory.learn_summary(&summary, &self.settings, &|_| false);
        summary.signals.into_iter().map(|signal| signal.name).collect()
    }
}

fn operation(step: &Step) -> Operation {
    match step.operation.as_str() {
        "bind" => Operation::Bind(BindMethod::Simple),
        "anonymous" => Operation::Bind(BindMethod::Anonymous),
        "sign-in" => Operation::SignIn,
        "modify" => Operation::Modify(step.attributes.clone()),
        "modify with a password" => Operation::MixedChange(step.attributes.clone()),
        "add" => Operation::Add,
        "delete" => Operation::Delete,
        "rename" => Operation::Rename,
        "search" => Operation::Search(Some(Search {
            base: "dc=example,dc=com".to_owned(),
            scope: step.scope,
            filter: step.filter.clone(),
            attributes: step.attributes.clone(),
        })),
        other => panic!("no operation {other}"),
    }
}

fn event(access: Access, step: &Step) -> AccessEvent {
    let challenges = step.challenge.map(|outcome| RecordedChallenge {
        id: Some(ChallengeId(uuid::Uuid::nil())),
        connector: ConnectorName::new("phone"),
        outcome,
        detail: String::new(),
        remembered: false,
        waited_ms: 1,
    });
    let approved = step.challenge.is_none_or(|outcome| outcome == ChallengeOutcome::Approved);
    let decision = match (access.outcome, approved) {
        (Outcome::Failure, _) => Decision::Refused,
        (_, true) => Decision::Allow,
        (_, false) => Decision::Block,
    };
    AccessEvent {
        access,
        directory_result: None,
        decision,
        decided_by: None,
        reason: String::new(),
        rulings: Vec::new(),
        challenges: challenges.into_iter().collect(),
        foreign: None,
    }
}

fn play(detection: &str, case: &Case) -> Vec<String> {
    let table = toml::Table::from_iter([(detection.to_owned(), toml::Value::Table(case.settings.clone()))]);
    let detections: Detections = table.try_into().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let (days, accesses) = case.learning.unwrap_or((7, 20));
    let settings = Settings {
        learning_time: Duration::from_secs(days * 86_400),
        learning_accesses: accesses,
        detections,
        exclusions: case.exclusion.clone(),
        made: case.made.clone(),
        ..Settings::default()
    };
    let memory = Memory::new(Room::default());
    let mut world = World { memory, settings, now: Timestamp(BEGIN), number: 0, associations: BTreeMap::new() };
    let mut last = Vec::new();
    for step in &case.step {
        for number in 0..step.times {
            let pause = if number == 0 { step.wait } else { step.every };
            world.now = world.now.plus(Duration::from_secs(pause));
            last = world.step(step, number);
        }
    }
    last
}

#[test]
fn every_case_of_every_detection() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    for about in CATALOGUE {
        let path = folder.join(format!("{}.toml", about.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (fire, quiet) = (file.case.iter().filter(|case| case.fires), file.case.iter().filter(|case| !case.fires));
        assert!(fire.count() > 0 && quiet.count() > 0, "{}: cases of both kinds are needed", about.name);
        for case in &file.case {
            let found = play(about.name, case);
            if found.iter().any(|name| name == about.name) != case.fires {
                let text = if case.fires { "does not fire" } else { "fires" };
                wrong.push(format!("{}: {}: it {text}; what was found: {found:?}", about.name, case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_no_cases_of_detections_that_are_not() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(CATALOGUE.iter().any(|about| format!("{}.toml", about.name) == name), "{name}");
    }
}
