//! What an analyst has to know.

mod place;

pub use place::{IncidentPlace, NoPlace};

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::escalation::Escalation;
use crate::policy::Severity;
use crate::{Account, AccountId, EventId, IncidentId, PolicyName, Timestamp};

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// Nobody has looked.
    Open,
    /// Somebody is at it.
    InProgress,
    /// Done with.
    Resolved,
}

/// What the sources of incidents that no policy has raised begin with, as text. No policy is named so: a name has no colon.
const DETECTION: &str = "detection:";
const GATEWAY: &str = "gateway:";

/// What has raised an incident: a policy, a detection, or the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum IncidentSource {
    /// A policy; as text, its name.
    Policy(PolicyName),
    /// A detection, by the name of its signal; as text, that behind `detection:`.
    Detection(String),
    /// The gateway could not do what a policy wants; as text, what that was, behind `gateway:`.
    Gateway(String),
}

impl From<String> for IncidentSource {
    fn from(text: String) -> Self {
        if let Some(name) = text.strip_prefix(DETECTION) {
            return Self::Detection(name.to_owned());
        }
        match text.strip_prefix(GATEWAY) {
            Some(what) => Self::Gateway(what.to_owned()),
            None => Self::Policy(PolicyName::new(text)),
        }
    }
}

impl From<PolicyName> for IncidentSource {
    fn from(name: PolicyName) -> Self {
        Self::Policy(name)
    }
}

impl From<IncidentSource> for String {
    fn from(source: IncidentSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for IncidentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => name.fmt(f),
            Self::Detection(name) => write!(f, "{DETECTION}{name}"),
            Self::Gateway(what) => write!(f, "{GATEWAY}{what}"),
        }
    }
}

/// What a person who has looked says that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentVerdict {
    /// Something that was rightly raised.
    TruePositive,
    /// Nothing that anybody has to know.
    FalsePositive,
}

/// What a person does with an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentAction {
    /// Begins to work on it, or takes it from somebody else.
    Take,
    /// Gives it back: it is open again, and nobody's.
    Release,
    /// Is done with it.
    Resolve(Option<IncidentVerdict>),
    /// It was not done with. Not where another one of the account and source has been opened since.
    Reopen,
    /// Writes something down.
    Note(String),
}

/// What has happened to an incident at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentStep {
    /// It was opened.
    Opened,
    /// More of the same was added to it.
    Raised,
    /// It has become more severe by itself: it was raised often enough, or nobody has resolved it for long enough.
    Escalated,
    /// A person took it.
    Taken,
    /// A person gave it back.
    Released,
    /// It was resolved.
    Resolved,
    /// It was opened again.
    Reopened,
    /// A person wrote something down.
    Noted,
}

/// An entry of an incident's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub step: IncidentStep,
    /// The person who did it; none for a policy or a detection.
    pub person: Option<String>,
    /// The title that it was raised with, what has made it more severe, the verdict, or what the person wrote.
    pub text: String,
    /// The event behind it.
    pub event: EventId,
}

/// An incident with its life, the oldest entry first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentReport {
    /// It.
    pub incident: Incident,
    /// What happened to it. Of much of the same only the first is kept.
    pub history: Vec<IncidentEntry>,
}

/// An incident. At most one per account and source is not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Id.
    pub id: IncidentId,
    /// Whose.
    pub account: AccountId,
    /// The account's login when it was opened, for reading.
    pub login: String,
    /// What raised it.
    pub source: IncidentSource,
    /// From where, by the latest event that told.
    pub address: Option<IpAddr>,
    /// The highest severity it was raised with, or has been escalated to.
    pub severity: Severity,
    /// What happened, by the latest event.
    pub title: String,
    /// Where it stands.
    pub state: IncidentState,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// How often it was raised.
    pub count: u32,
    /// The latest event that raised it.
    pub raised_by: EventId,
    /// The event that is the proof for its resolution, where a policy resolved it.
    pub resolved_by: Option<EventId>,
    /// Who resolved it, where a person did.
    pub resolved_by_person: Option<String>,
    /// What that person said that it was.
    pub verdict: Option<IncidentVerdict>,
    /// The person who works on it.
    pub assignee: Option<String>,
    /// When it becomes more severe unless it is resolved before.
    pub escalates_at: Option<Timestamp>,
}

/// What stands in place of an account in incidents that are a machine's, with its address, or nobody's.
const MACHINE: &str = "address:";
const NOBODY: &str = "unknown";

/// Whom an incident, or a notice, is about, with a login for reading: the account, or the address where the account is not known.
#[must_use]
pub fn whose(account: Option<&Account>, address: Option<IpAddr>) -> (AccountId, String) {
    match (account, address) {
        (Some(account), _) => (account.id.clone(), account.login.clone()),
        (None, Some(address)) => (AccountId::new(format!("{MACHINE}{address}")), address.to_string()),
        (None, None) => (AccountId::new(NOBODY), NOBODY.to_owned()),
    }
}

/// Whether what an incident is about is an account.
#[must_use]
pub fn is_account(id: &AccountId) -> bool {
    !id.as_str().starts_with(MACHINE) && id.as_str() != NOBODY
}

/// What an event does to incidents; stored together with the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentChange {
    /// Open one, or add to the one that is open.
    Raise {
        /// Id to take if a new one has to be opened.
        new_id: IncidentId,
        /// Whose.
        account: AccountId,
        /// Login, for reading.
        login: String,
        /// By what.
        source: IncidentSource,
        /// At least this severe.
        severity: Severity,
        /// What happened.
        title: String,
        /// When it becomes more severe by itself; added to what the open one has.
        escalate: Vec<Escalation>,
    },
    /// Resolve the one that is open, if any.
    Resolve {
        /// Whose.
        account: AccountId,
        /// What has raised it.
        source: IncidentSource,
    },
    /// What a second factor proved since then is in doubt: those that a policy has resolved are open again, whatever it has
    /// resolved them for. Of each source the latest, and none beside one that is not resolved.
    Distrust {
        /// Whose.
        account: AccountId,
        /// Resolved at or after this moment.
        since: Timestamp,
        /// What has happened.
        why: String,
    },
}
