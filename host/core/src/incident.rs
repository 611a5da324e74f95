//! What an analyst has to know.

use serde::{Deserialize, Serialize};

use crate::policy::Severity;
use crate::{AccountId, EventId, IncidentId, PolicyName, Timestamp};

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

/// An incident. At most one per account and policy is not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Id.
    pub id: IncidentId,
    /// Whose.
    pub account: AccountId,
    /// The account's login when it was opened, for reading.
    pub login: String,
    /// Raised by this policy.
    pub policy: PolicyName,
    /// The highest severity it was raised with.
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
        /// By which policy.
        policy: PolicyName,
        /// At least this severe.
        severity: Severity,
        /// What happened.
        title: String,
    },
    /// Resolve the one that is open, if any.
    Resolve {
        /// Whose.
        account: AccountId,
        /// By which policy.
        policy: PolicyName,
    },
}
