//! Fences of service accounts: what an account is used for and from where, proposed with reasons, and accepted by a person as a rule.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::policies::PolicyError;
use crate::policy::Mode;
use crate::revision::Revision;
use crate::store::StoreError;
use crate::{AccountId, OperationKind, PolicyName, Timestamp};

/// Something that an account does, and how well that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known<T> {
    /// What.
    pub what: T,
    /// How often; of what fades, what is left of it.
    pub count: u64,
    /// Since when; none where that is not kept.
    pub first: Option<Timestamp>,
    /// When it was done last; none where that is not kept.
    pub last: Option<Timestamp>,
}

/// What is known and not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut<T> {
    /// What.
    pub known: Known<T>,
    /// Why not, in one sentence.
    pub why: String,
}

/// One part of a fence. Where nothing is allowed, the fence does not ask for it, and `why_not` says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part<T> {
    /// What the fence lets through.
    pub allowed: Vec<Known<T>>,
    /// What it does not.
    pub left_out: Vec<LeftOut<T>>,
    /// Why nothing is proposed.
    pub why_not: Option<String>,
}

/// Times of the week, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeekHours {
    /// Days, 0 for Monday; all of them where there are none.
    pub days: Vec<u8>,
    /// The first hour, 0 to 23.
    pub from: u8,
    /// The hour before which it ends, 1 to 24; not above `from` where it goes on past midnight.
    pub to: u8,
}

/// Where a search looks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SearchPlace {
    /// Distinguished name.
    pub dn: String,
    /// Entries below it, too.
    pub below: bool,
}

/// What an account is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fence {
    /// Where it comes from.
    pub machines: Part<IpAddr>,
    /// Applications behind its connections.
    pub applications: Part<String>,
    /// When it logs in; one window at most.
    pub hours: Part<WeekHours>,
    /// Kinds of operation.
    pub operations: Part<OperationKind>,
    /// Shapes of its searches' filters.
    pub filters: Part<String>,
    /// Where its searches look.
    pub places: Part<SearchPlace>,
}

/// The rule of a fence that is in the list of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedFence {
    /// The policy that has it.
    pub policy: PolicyName,
    /// That policy's mode.
    pub mode: Mode,
    /// It is the rule that is proposed now.
    pub is_same: bool,
}

/// A fence as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FenceProposal {
    /// Whose.
    pub account: AccountId,
    /// Its login, for reading.
    pub login: String,
    /// What is proposed, or why nothing is.
    pub fence: Result<Fence, String>,
    /// The rule, as settings of the `rules` policy have it; none where there is nothing to ask for.
    pub rule: Option<Value>,
    /// Tells the rule from others: who accepts it names it.
    pub seal: String,
    /// What was accepted before.
    pub accepted: Option<AcceptedFence>,
}

/// Fences, as they are shown together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fences {
    /// The revision of the policies that is in force: who accepts a fence names it.
    pub revision: u64,
    /// By login.
    pub proposals: Vec<FenceProposal>,
}

/// What a person accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The rule that the person has seen; whatever is proposed now where none was shown.
    pub seal: Option<String>,
    /// The revision that was in force when it was shown; whatever is now where none was shown.
    pub revision: Option<u64>,
    /// Monitor or enforce.
    pub mode: Mode,
}

/// Why a fence was not accepted. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FenceError {
    /// It is no service account, or nothing is known of it.
    #[error("nothing is known of such a service account")]
    NotFound,
    /// Nothing is proposed.
    #[error("there is no fence to accept: {0}")]
    Nothing(String),
    /// What is proposed is not what was shown.
    #[error("the fence is another one than was shown: look at it again")]
    Changed,
    /// It cannot be put into the list as the list is.
    #[error("{0}")]
    List(String),
    /// The list could not be put into force.
    #[error(transparent)]
    Policies(#[from] PolicyError),
}

impl From<StoreError> for FenceError {
    fn from(error: StoreError) -> Self {
        Self::Policies(error.into())
    }
}

/// Proposes fences, and puts accepted ones into the list of policies.
#[async_trait]
pub trait FenceDesk: Send + Sync {
    /// Fences of up to so many service accounts.
    async fn fences(&self, limit: u32) -> Result<Fences, FenceError>;

    /// The fence of one.
    async fn fence(&self, account: &AccountId) -> Result<FenceProposal, FenceError>;

    /// Makes the fence of an account a rule, in place of the one that it may have, in a new revision.
    async fn accept_fence(
        &self,
        person: &str,
        account: &AccountId,
        acceptance: Acceptance,
    ) -> Result<Revision, FenceError>;
}
