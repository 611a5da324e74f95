//! A scenario as it is written down.

use std::net::IpAddr;

use portcullis_core::policy::{FailMode, Mode};
use serde::Deserialize;

/// A file of scenarios.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    pub about: String,
    /// All chance is drawn from this number.
    pub seed: u64,
    pub people: u32,
    /// Days in which nothing counts yet, quiet days that count, in this order. The first one is a Monday.
    pub learning_days: u32,
    pub quiet_days: u32,
    /// How often something may be noticed on quiet days at most, of logins and of searches, for a thousand logins.
    pub noticed_per_thousand: f64,
    #[serde(rename = "policy")]
    pub policies: Vec<PolicyText>,
    /// After the quiet days, one a day.
    #[serde(rename = "attack")]
    pub attacks: Vec<Attack>,
}

/// A policy, as in the gateway's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PolicyText {
    pub name: String,
    #[serde(default = "enforce")]
    pub mode: Mode,
    #[serde(default = "closed")]
    pub fail: FailMode,
    pub settings: serde_json::Value,
}

fn enforce() -> Mode {
    Mode::Enforce
}

fn closed() -> FailMode {
    FailMode::Closed
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attack {
    pub name: String,
    /// `HH:MM` of its day, UTC.
    pub at: String,
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
    pub expect: Expected,
}

/// What has to be found and done.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expected {
    pub signal: String,
    /// It has to be noticed, and answered, among the attack's first so many events.
    pub within: usize,
    pub answer: Answered,
}

/// How an event is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// The access is refused.
    Block,
    /// The person is asked, says no, and the access is refused.
    ChallengeAndBlock,
    /// What the directory has refused anyway becomes an incident.
    Incident,
    /// What a cloud service let through is ended there.
    SessionsEnded,
}

/// Accesses of one kind, one after the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    #[serde(rename = "do")]
    pub what: What,
    /// `person:17`, `people:10-49` (one after the other), `service:backup`, `name:NAME` or `names:20` (that nobody has).
    #[serde(rename = "as")]
    pub who: String,
    /// An address, or `person:17` for the machine of a person.
    pub from: String,
    #[serde(default = "mail")]
    pub application: String,
    #[serde(default)]
    pub password: Password,
    #[serde(default = "once")]
    pub times: u32,
    #[serde(default = "second")]
    pub every_seconds: u64,
    pub search: Option<SearchText>,
    /// Of a sign-in: degrees north and east, and in words.
    pub position: Option<(f64, f64)>,
    #[serde(default)]
    pub place: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Bind,
    Search,
    SignIn,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// The right one.
    #[default]
    Right,
    /// Another one each time.
    Guessed,
    /// The same each time, and nobody's.
    Same,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SearchText {
    pub base: String,
    pub filter: String,
    pub attributes: Vec<String>,
    /// Entries that the directory returns.
    #[serde(default)]
    pub entries: u64,
}

fn mail() -> String {
    "mail".to_owned()
}

fn once() -> u32 {
    1
}

fn second() -> u64 {
    1
}

/// Something that somebody does.
#[derive(Debug, Clone)]
pub struct Doing {
    /// Milliseconds since the scenario began.
    pub at: u64,
    pub who: Who,
    pub from: IpAddr,
    pub application: String,
    pub act: Act,
}

/// Who does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Person(u32),
    Service(String),
    /// A name that nobody has.
    Nobody(String),
}

#[derive(Debug, Clone)]
pub enum Act {
    /// A bind; where it is wrong, with this password.
    Bind {
        wrong: Option<u64>,
    },
    /// A bind and a search.
    Search(SearchText),
    /// Searches over a connection that was bound before.
    LookUp(Vec<SearchText>),
    SignIn {
        position: (f64, f64),
        place: String,
    },
}
