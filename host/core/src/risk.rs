//! Risk, as it is shown to people and changed by them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::profile::{Subject, SubjectKind};
use crate::store::StoreError;
use crate::{AccountId, AccountKind, EventId, Timestamp};

/// Where a factor of a risk comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactorOrigin {
    /// A signal of an access.
    Signal,
    /// The effect of a policy.
    Policy,
    /// A person.
    Person,
}

/// A factor of a risk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskFactor {
    /// The signal, policy or title that it is known by; one factor for each.
    pub name: String,
    /// Where it comes from.
    pub origin: FactorOrigin,
    /// One sentence.
    pub reason: String,
    /// What it weighed when it was new, 1 to 100.
    pub weight: u8,
    /// What is left of that now: decayed, and halved by each good answer to a challenge. Zero when a person put it out.
    pub now: f32,
    /// When it was seen last.
    pub at: Timestamp,
    /// How often.
    pub count: u32,
    /// The event behind it, the latest one.
    pub event: Option<EventId>,
    /// How many good second factors have answered it.
    pub answered: u32,
    /// Who put it out.
    pub put_out_by: Option<String>,
}

/// The risk of a subject with all that it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskReport {
    /// Whose.
    pub subject: Subject,
    /// Its name, for people.
    pub name: String,
    /// 0 to 100.
    pub score: u8,
    /// The heaviest first.
    pub factors: Vec<RiskFactor>,
}

/// A change that a person makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RiskChange {
    /// Adds a factor, or renews the one of this name.
    Add {
        /// Its name.
        name: String,
        /// 1 to 100.
        weight: u8,
        /// Why.
        reason: String,
    },
    /// Puts a factor out: it counts no more, until it is seen again.
    PutOut {
        /// Its name.
        name: String,
    },
}

/// Behaviour makes the impression that an account is something else than what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindProposal {
    /// The account.
    pub account: AccountId,
    /// Its login.
    pub login: String,
    /// What it seems to be.
    pub kind: AccountKind,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RiskError {
    /// Nothing is known of the subject, or it has no such factor.
    #[error("there is no such thing")]
    NotFound,
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shows risks and account kinds, and lets people change them.
#[async_trait]
pub trait RiskDesk: Send + Sync {
    /// The subjects of a kind with the highest risk, the highest first; none without risk.
    async fn riskiest(&self, kind: SubjectKind, limit: u32) -> Result<Vec<RiskReport>, StoreError>;
    /// The risk of one; none of which nothing is known.
    async fn risk(&self, subject: &Subject) -> Result<Option<RiskReport>, StoreError>;
    /// Makes a change, and records it as this person's.
    async fn change(&self, subject: &Subject, person: &str, change: RiskChange) -> Result<RiskReport, RiskError>;
    /// Accounts that seem to be something else than what is known of them, and have not been decided on.
    async fn proposed_kinds(&self, limit: u32) -> Result<Vec<KindProposal>, StoreError>;
    /// A person says what an account is; none takes that back. Recorded as this person's.
    async fn decide_kind(&self, account: &AccountId, person: &str, kind: Option<AccountKind>) -> Result<(), RiskError>;
}
