//! The policy list as administrators work on it: what is in force, the draft, revisions, backtests.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;

use crate::backtest::BacktestReport;
use crate::policy::{FailMode, Mode};
use crate::revision::{ListedPolicy, PolicyChange, PolicyDraft, Revision};
use crate::store::StoreError;
use crate::{PolicyName, Timestamp};

/// Something wrong with one policy of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyProblem {
    /// The policy's place in the list, from zero on.
    pub place: usize,
    /// Its name.
    pub policy: PolicyName,
    /// The field, and within the settings a JSON Pointer (RFC 6901) from there: `plugin`, `settings/rules/0/then`.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Why it was not done. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PolicyError {
    /// The draft, or the newest revision, is another one than the change is based on.
    #[error("somebody else has changed the draft or put a revision into force meanwhile: look at it and try again")]
    Conflict,
    /// There is no draft.
    #[error("there is no draft")]
    NoDraft,
    /// There is no such revision.
    #[error("there is no revision {0}")]
    NoRevision(u64),
    /// The list cannot be put into force.
    #[error("the list has problems: {}", words(.0))]
    Problems(Vec<PolicyProblem>),
    /// A backtest is under way already.
    #[error("a backtest is under way already: wait for it, or cancel it")]
    Busy,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else in the gateway kept it from happening.
    #[error("{0}")]
    Failed(String),
}

fn words(problems: &[PolicyProblem]) -> String {
    let one = |problem: &PolicyProblem| format!("policy {}: {}: {}", problem.policy, problem.field, problem.message);
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What a policy did lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Doings {
    /// Accesses by what it said: `challenge` where it asked, whatever came afterwards, else `abstain`, `allow` or `block`.
    pub verdicts: BTreeMap<String, u64>,
    /// Evaluations that gave no ruling.
    pub faults: u64,
    /// Accesses on which a canary said the same as the policy that it shadows; with canaries only.
    pub agreed: u64,
    /// Accesses on which it did not.
    pub differed: u64,
}

/// A revision that is stored and was not put into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRevision {
    /// Its number.
    pub number: u64,
    /// What is wrong with it.
    pub why: String,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoliciesInForce {
    /// The revision.
    pub revision: Revision,
    /// The newest revision, where it is another one.
    pub refused: Option<RefusedRevision>,
    /// What is wrong with it, for instance a component that is not there any more: then its fail mode speaks.
    pub problems: Vec<PolicyProblem>,
    /// What each policy did since `doings_since`.
    pub doings: BTreeMap<PolicyName, Doings>,
    /// A day ago, or when the gateway was started.
    pub doings_since: Timestamp,
}

impl PoliciesInForce {
    /// The number of the newest revision, on which drafts are based.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.refused.as_ref().map_or(self.revision.number, |refused| refused.number)
    }
}

/// The draft, looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedDraft {
    /// The draft.
    pub draft: PolicyDraft,
    /// What keeps it from being put into force.
    pub problems: Vec<PolicyProblem>,
    /// What would be different from what is in force.
    pub difference: Vec<PolicyChange>,
}

/// What a backtest is to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacktestOf {
    /// The draft.
    Draft,
    /// A revision.
    Revision(u64),
}

/// The backtest, of which there is one at a time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BacktestState {
    /// Whether it is under way.
    pub running: bool,
    /// What it is of: `the draft` or `revision 7`; nothing before the first.
    pub of: String,
    /// Events that were looked at so far.
    pub done: u64,
    /// Events that there are to look at.
    pub total: u64,
    /// What came of it; none while it is under way.
    pub report: Option<BacktestReport>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Shows the policy list, and lets people change it.
#[async_trait]
pub trait PolicyDesk: Send + Sync {
    /// What is in force.
    async fn in_force(&self) -> Result<PoliciesInForce, PolicyError>;
    /// The version that a change of the draft has to name, and the draft where there is one.
    async fn draft(&self) -> Result<(u64, Option<CheckedDraft>), PolicyError>;
    /// Saves a draft in place of the one of this version, as this person. Where the person names the newest revision that there
    /// was, it has to be the newest still.
    async fn save(
        &self,
        person: &str,
        version: u64,
        newest: Option<u64>,
        policies: Vec<ListedPolicy>,
    ) -> Result<CheckedDraft, PolicyError>;
    /// Drops the draft.
    async fn drop_draft(&self, person: &str, version: u64) -> Result<(), PolicyError>;
    /// Puts the draft of this version into force, as a new revision.
    async fn apply(&self, person: &str, version: u64, comment: &str) -> Result<Revision, PolicyError>;
    /// Puts the list of an older revision into force, as a new one.
    async fn revert(&self, person: &str, number: u64) -> Result<Revision, PolicyError>;
    /// Revisions below this number, the newest first.
    async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, PolicyError>;
    /// A revision, and what is different in it from the one before.
    async fn revision(&self, number: u64) -> Result<(Revision, Vec<PolicyChange>), PolicyError>;
    /// Begins a backtest in the background.
    async fn start_backtest(&self, of: BacktestOf, days: u32) -> Result<(), PolicyError>;
    /// How far it is, and the last report.
    fn backtest(&self) -> BacktestState;
    /// Ends it; what was found so far is its report.
    fn cancel_backtest(&self);
}

/// Stable name of a mode, as the configuration file has it.
#[must_use]
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Monitor => "monitor",
        Mode::Canary => "canary",
        Mode::Enforce => "enforce",
    }
}

/// Stable name of a fail mode, as the configuration file has it.
#[must_use]
pub fn fail_name(fail: FailMode) -> &'static str {
    match fail {
        FailMode::Closed => "closed",
        FailMode::Open => "open",
    }
}
