//! What policies say, and what they are told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::escalation::Escalation;
use crate::{ConnectorName, OperationKind, Timestamp};

/// Whether a policy's word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Not evaluated.
    Off,
    /// Evaluated and recorded; no challenge, no effect, no say.
    Monitor,
    /// A second version of an enforced policy: evaluated wherever that one is, and compared with it. No challenge, no effect,
    /// no say, and its fault is nobody's incident.
    Canary,
    /// Its ruling counts.
    Enforce,
}

/// What counts in place of a ruling when a policy cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailMode {
    /// Block.
    Closed,
    /// Abstain.
    Open,
}

/// How a challenge ended, as a policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeOutcome {
    /// The person said yes.
    Approved,
    /// The person said no.
    Denied,
    /// Wrong codes, as many as allowed.
    Failed,
    /// No answer in time.
    Expired,
    /// Dismissed on the challenge page.
    Closed,
    /// No usable factor.
    NotEnrolled,
    /// The connector did not work.
    Unavailable,
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeResult {
    /// Connector that asked.
    pub connector: ConnectorName,
    /// How it ended.
    pub outcome: ChallengeOutcome,
    /// When.
    pub at: Timestamp,
    /// Taken over from an earlier access inside its remember window.
    pub remembered: bool,
}

/// What has been found out since the first evaluation of an access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A challenge was answered.
    Challenge(ChallengeResult),
}

/// A policy's wish to ask for a second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// Connector to ask through.
    pub connector: ConnectorName,
    /// Seconds for which an approval also counts for later accesses; 0 for none.
    pub remember_seconds: u32,
    /// Seconds to wait at most; 0 leaves it to the gateway.
    pub timeout_seconds: u32,
}

/// A policy's say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Leave it to the next policy.
    Abstain,
    /// Let it through.
    Allow,
    /// Ask, then evaluate again.
    Challenge(ChallengeRequest),
    /// Refuse it.
    Block,
}

/// How bad an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// What follows from a ruling besides the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Open an incident, or add to the open one of the account and the policy.
    RaiseIncident {
        /// At least this severe from now on.
        severity: Severity,
        /// What happened, in a few words.
        title: String,
        /// When it becomes more severe by itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        escalate: Vec<Escalation>,
    },
    /// Resolve the open incident of the account and the policy; the access is the proof.
    ResolveIncident,
    /// Take the account out of a group.
    Demote {
        /// DN or common name.
        group: String,
        /// Seconds until it is put back; 0 waits for a person.
        restore_after_seconds: u32,
        /// How often the open incident of the account and the policy has to have been raised for it, this time included; 0
        /// for not at all.
        #[serde(default)]
        from_times: u32,
    },
    /// Tell somebody.
    Notify {
        /// Notification channel.
        channel: String,
        /// What to say.
        text: String,
    },
    /// Add to the account's risk.
    AddRisk(u8),
}

/// A policy's verdict on an access, with its reason and its effects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The say.
    pub verdict: Verdict,
    /// One sentence for the analyst.
    pub reason: String,
    /// What else follows.
    pub effects: Vec<Effect>,
}

/// What a policy wants of the gateway under its settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Kinds of operation that it is asked about.
    pub operations: Vec<OperationKind>,
    /// Connectors that it may name.
    pub connectors: Vec<ConnectorName>,
    /// Notification channels that it may name.
    pub channels: Vec<String>,
    /// Groups, by DN or common name, that it may take accounts out of.
    pub groups: Vec<String>,
}
