//! Backtests: what a list of policies would have done to accesses that were recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Decision, RecordedChallenge};
use crate::policy::{Mode, Verdict};
use crate::store::{Sequence, StoreError};
use crate::{Access, AccountId, EventId, PolicyName, Timestamp};

/// What a backtest needs of a recorded access. What else its event says is not read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RecordedAccess {
    /// The access, with the signals and the risk that it had then.
    pub access: Access,
    /// What was decided.
    pub decision: Decision,
    /// What policies said.
    pub rulings: Vec<BareRuling>,
    /// What people answered.
    pub challenges: Vec<RecordedChallenge>,
    /// What of a cloud service's part matters.
    #[serde(default)]
    pub foreign: Option<ForeignPart>,
}

/// A recorded ruling without its words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BareRuling {
    /// The policy's mode.
    pub mode: Mode,
    /// What it said.
    pub verdict: Verdict,
}

/// What of a cloud service's part matters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ForeignPart {
    /// The event whose question this one answers.
    #[serde(default)]
    pub follows: Option<EventId>,
}

/// Recorded accesses, in their order.
pub trait AccessLog: Send + Sync {
    /// The last event before this moment, and the last of all.
    ///
    /// # Errors
    /// The store cannot be read.
    fn extent(&self, since: Timestamp) -> Result<(Sequence, Sequence), StoreError>;

    /// Opens a reader of its own for a thread.
    ///
    /// # Errors
    /// The store cannot be read.
    fn reader(&self) -> Result<Box<dyn AccessReader>, StoreError>;
}

/// Reads the log, page by page. Blocks.
pub trait AccessReader: Send {
    /// The accesses behind `after` up to and including `through`, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    fn accesses(&mut self, after: Sequence, through: Sequence) -> Result<Vec<RecordedAccess>, StoreError>;
}

/// How an access ended, or would have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It went on without anybody being asked.
    Allow,
    /// It was refused without anybody being asked.
    Block,
    /// Somebody was asked, and it went on.
    ChallengeAllow,
    /// Somebody was asked, and it was refused.
    ChallengeBlock,
    /// Somebody would be asked; what the answer would be is not known.
    Challenge,
}

impl Ending {
    /// Stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::ChallengeAllow => "challenge-allow",
            Self::ChallengeBlock => "challenge-block",
            Self::Challenge => "challenge",
        }
    }
}

/// Accesses that would end in another way, all in the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndingChange {
    /// How they ended.
    pub from: Ending,
    /// How they would.
    pub to: Ending,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<EventId>,
}

/// What would change for one account or one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// The account's login, or the application's name.
    pub name: String,
    /// The account's id; none for an application, and for accesses of nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Accesses that were evaluated.
    pub evaluated: u64,
    /// Accesses that would end in another way.
    pub changed: u64,
    /// People who would be asked, how often: questions that were not asked then.
    pub pushes: u64,
    /// In which way.
    pub changes: Vec<EndingChange>,
}

/// What one policy of the list ruled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyTally {
    /// The policy.
    pub policy: PolicyName,
    /// Its mode in the list.
    pub mode: Mode,
    /// Accesses by what it said: `challenge` where it asked, whatever came afterwards, else `abstain`, `allow` or `block`.
    pub verdicts: BTreeMap<String, u64>,
    /// Evaluations that gave no ruling.
    pub faults: u64,
    /// What the first of them was.
    pub first_fault: Option<String>,
}

/// What came of a backtest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BacktestReport {
    /// Accesses since then.
    pub since: Timestamp,
    /// Of how many days.
    pub days: u32,
    /// Accesses that were read.
    pub read: u64,
    /// Accesses that were evaluated.
    pub evaluated: u64,
    /// Accesses on which no policy had to rule: refused by the directory, broken off, or the second half of one that counts
    /// already.
    pub not_decided: u64,
    /// Accesses of accounts that the directory does not show any more, or that it could not be asked about.
    pub not_evaluated: u64,
    /// Evaluated accesses that some policy of the list had something to say to.
    pub touched: u64,
    /// The same as a share of those that were evaluated.
    pub touched_percent: f64,
    /// Evaluated accesses that would end in another way.
    pub changed: u64,
    /// In which way.
    pub changes: Vec<EndingChange>,
    /// Questions that people would be asked and were not.
    pub pushes: u64,
    /// Questions that people were asked then and would not be.
    pub pushes_spared: u64,
    /// How often enforced policies would raise an incident.
    pub incidents_raised: u64,
    /// How often they would resolve one.
    pub incidents_resolved: u64,
    /// How often they would want an account out of a group; how often its incident has to have been raised for that is not
    /// taken into account.
    pub demotions: u64,
    /// How often they would tell a channel of something themselves.
    pub notices: u64,
    /// What each policy of the list said.
    pub policies: Vec<PolicyTally>,
    /// Accounts for which something would change, the most affected first.
    pub accounts: Vec<Affected>,
    /// Accounts for which something would change, all of them.
    pub accounts_affected: u64,
    /// Applications for which something would change, the most affected first.
    pub applications: Vec<Affected>,
    /// Whether it was cancelled before everything had been read.
    pub cancelled: bool,
    /// Whether there were more accesses than the maximum; then the latest were taken.
    pub truncated: bool,
    /// What it took, in milliseconds.
    pub elapsed_ms: u64,
    /// Accesses that were read in a second.
    pub accesses_per_second: u64,
    /// What has to be known to read the numbers.
    pub notes: Vec<String>,
}
