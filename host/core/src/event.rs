//! The stored record of an access and of what was decided.

use serde::{Deserialize, Serialize};

use crate::cloud::Foreign;
use crate::incident::IncidentChange;
use crate::learned::Observation;
use crate::policy::{ChallengeOutcome, Effect, Mode, Verdict};
use crate::summary::SessionSummary;
use crate::{Access, ChallengeId, ConnectorName, EventId, PolicyName, Timestamp};

/// What was decided in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The access went on as the directory answers it.
    Allow,
    /// The gateway refused it.
    Block,
    /// Nothing was left to decide: the directory itself had refused.
    Refused,
    /// The client went away before it was decided.
    Abandoned,
}

/// One evaluation of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRuling {
    /// The policy.
    pub policy: PolicyName,
    /// Its mode at the time.
    pub mode: Mode,
    /// What it said, or what its fail mode said for it.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What followed, or would have in monitor mode.
    pub effects: Vec<Effect>,
    /// The fault, where the fail mode spoke.
    pub fault: Option<String>,
}

/// One challenge of an access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChallenge {
    /// The challenge; none where none could be started.
    pub id: Option<ChallengeId>,
    /// Asked through.
    pub connector: ConnectorName,
    /// How it ended.
    pub outcome: ChallengeOutcome,
    /// More about the outcome, for the analyst.
    pub detail: String,
    /// Answered for an earlier access.
    pub remembered: bool,
    /// How long the access waited, in milliseconds.
    pub waited_ms: u64,
}

/// An access with everything that was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessEvent {
    /// The access.
    pub access: Access,
    /// LDAP result code of the directory, where it answered (RFC 4511, section 4.1.9).
    pub directory_result: Option<u32>,
    /// The end of it.
    pub decision: Decision,
    /// The policy that decided; none when the default did.
    pub decided_by: Option<PolicyName>,
    /// Why, in one sentence.
    pub reason: String,
    /// Evaluations in the order in which they happened.
    pub rulings: Vec<RecordedRuling>,
    /// Challenges in the order in which they happened.
    pub challenges: Vec<RecordedChallenge>,
    /// What a cloud service told of it; none for what the gateway has seen itself. What such a service let through has
    /// happened: [`Decision::Block`] then means that the gateway acts against the account afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<Foreign>>,
}

impl AccessEvent {
    /// Nothing is decided yet. Whatever goes wrong until it is must not be an allow, so this is a block.
    #[must_use]
    pub const fn undecided(access: Access) -> Self {
        Self {
            access,
            directory_result: None,
            decision: Decision::Block,
            decided_by: None,
            reason: String::new(),
            rulings: Vec::new(),
            challenges: Vec::new(),
            foreign: None,
        }
    }
}

/// What an administrator or the gateway itself did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdministrationEvent {
    /// Id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Login of the administrator, or `gateway`.
    pub actor: String,
    /// Stable name, e.g. `console-sign-in`.
    pub action: String,
    /// One sentence.
    pub detail: String,
}

/// Something that happened before this gateway was there, or at another one. It teaches, and nothing else follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportedEvent {
    /// The administration event that tells who imported it.
    pub import: EventId,
    /// When it came into this log. What happened has a time of its own.
    pub at: Timestamp,
    /// Where it comes from, as whoever imported it has named it.
    pub origin: String,
    /// What happened.
    pub event: PastEvent,
}

/// What happened then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum PastEvent {
    /// An access.
    Access(Box<AccessEvent>),
    /// Operations that were summed up.
    Summary(Box<SessionSummary>),
}

impl PastEvent {
    /// Its id, which is also that of the event that it is imported with.
    #[must_use]
    pub fn id(&self) -> EventId {
        match self {
            Self::Access(event) => event.access.id,
            Self::Summary(summary) => summary.id,
        }
    }

    /// When it happened; for a summary, its end.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Access(event) => event.access.at,
            Self::Summary(summary) => summary.to,
        }
    }
}

/// An entry of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// An access.
    Access(Box<AccessEvent>),
    /// An administrative action.
    Administration(AdministrationEvent),
    /// Operations that were summed up.
    Summary(Box<SessionSummary>),
    /// Something that was imported.
    Imported(Box<ImportedEvent>),
}

impl Event {
    /// Id of the event.
    #[must_use]
    pub fn id(&self) -> EventId {
        match self {
            Self::Access(event) => event.access.id,
            Self::Administration(event) => event.id,
            Self::Summary(summary) => summary.id,
            Self::Imported(imported) => imported.event.id(),
        }
    }

    /// When it happened; for a summary, its end, and for what was imported, when that was: the log is in the order of these.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Access(event) => event.access.at,
            Self::Administration(event) => event.at,
            Self::Summary(summary) => summary.to,
            Self::Imported(imported) => imported.at,
        }
    }
}

/// An event with what follows from it; stored in one transaction or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The event.
    pub event: Event,
    /// What is learned.
    pub learned: Option<Observation>,
    /// What it does to incidents.
    pub incidents: Vec<IncidentChange>,
}
