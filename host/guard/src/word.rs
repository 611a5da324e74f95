//! What counts as a policy's word, live and in a backtest.

use std::sync::Arc;

use portcullis_core::plugin::{PluginFault, Policy};
use portcullis_core::policy::{ChallengeRequest, ChallengeResult, Evidence, FailMode, Mode, Ruling, Verdict};
use portcullis_core::{Access, Account, AccountFacts, AccountKind, PolicyName};

use crate::PolicyEntry;

/// How often one policy is evaluated for one access at most.
pub(crate) const ROUNDS: usize = 4;

/// A ruling, and the fault in whose place it stands.
pub(crate) struct Word {
    pub(crate) ruling: Ruling,
    pub(crate) fault: Option<String>,
}

/// Asks the policy.
pub(crate) fn ask(
    policy: &dyn Policy,
    access: &Access,
    facts: &Arc<AccountFacts>,
    evidence: &[Evidence],
) -> Result<Ruling, String> {
    policy.evaluate(access, facts, evidence).map_err(|fault: PluginFault| fault.to_string())
}

/// The ruling, or where there is none, the one that the fail mode puts in its place.
pub(crate) fn of(entry: &PolicyEntry, answer: Result<Ruling, String>) -> Word {
    match answer {
        Ok(ruling) => Word { ruling, fault: None },
        Err(problem) => {
            let (verdict, what) = match entry.fail {
                FailMode::Closed => (Verdict::Block, "blocks"),
                FailMode::Open => (Verdict::Abstain, "abstains"),
            };
            let reason = format!("Policy {} could not be evaluated and {what}, as its fail mode says.", entry.name);
            Word { ruling: Ruling { verdict, reason, effects: Vec::new() }, fault: Some(problem) }
        }
    }
}

/// What is wrong with a policy that never comes to an end.
pub(crate) fn endless() -> String {
    format!("it was evaluated {ROUNDS} times and still asked for another challenge")
}

/// Which of these approvals is the answer to what a policy asks.
pub(crate) fn answered(
    approvals: &[(PolicyName, ChallengeResult)],
    policy: &PolicyName,
    request: &ChallengeRequest,
) -> Option<usize> {
    approvals.iter().position(|(of, result)| of == policy && result.connector == request.connector)
}

/// Who can be asked, or why nobody can.
pub(crate) fn person_to_ask(account: Option<&Account>) -> Result<&Account, &'static str> {
    match account {
        None => Err("The account is not known."),
        Some(Account { kind: AccountKind::Service, .. }) => Err("A service account has nobody who could answer."),
        Some(Account { kind: AccountKind::Machine, .. }) => Err("A computer account has nobody who could answer."),
        Some(account) => Ok(account),
    }
}

/// The list in the order in which it is asked: each canary directly before the policy that it shadows, so that it is asked
/// whenever that one is. A canary of nothing is not asked.
pub(crate) fn in_order(policies: Vec<PolicyEntry>) -> Vec<PolicyEntry> {
    let (canaries, others): (Vec<_>, Vec<_>) = policies.into_iter().partition(|entry| entry.mode == Mode::Canary);
    let mut list = Vec::with_capacity(canaries.len() + others.len());
    for entry in others {
        list.extend(canaries.iter().filter(|canary| canary.canary_of.as_ref() == Some(&entry.name)).cloned());
        list.push(entry);
    }
    list
}

/// Stable name of a verdict.
pub(crate) fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Abstain => "abstain",
        Verdict::Allow => "allow",
        Verdict::Challenge(_) => "challenge",
        Verdict::Block => "block",
    }
}
