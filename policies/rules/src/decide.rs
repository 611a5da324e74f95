//! Applying the rules to an access.

use crate::action::{Action, Decision, Step};
use crate::condition::Facts;
use crate::contract::exports::portcullis::gateway::policy::{
    ChallengeOutcome, Evidence, OperationKind, Ruling, Verdict,
};
use crate::contract::portcullis::gateway::types::{Access, Operation};
use crate::settings::{Rule, Settings};

/// Decides on an access.
///
/// The rule is found anew each time: access, facts and settings are the same, so it is the same rule. Evidence is then read
/// in order: the first piece answers the rule's challenge, the second the challenge that followed, and so on. Evidence that
/// does not fit was not given to this rule; it ends in a block.
///
/// Where it cannot be told whether a rule's conditions hold, they hold if the rule blocks or asks, and do not if it lets through: no
/// way of writing a request leads around a rule.
pub fn decide(settings: &Settings, access: &Access, evidence: &[Evidence], facts: &impl Facts) -> Ruling {
    let kind = kind_of(&access.operation);
    let matches = |rule: &&Rule| {
        rule.operations.contains(&kind) && rule.when.holds(access, facts).unwrap_or_else(|| stops(&rule.then))
    };
    match settings.rules.iter().find(matches) {
        Some(rule) => follow(rule, evidence),
        None if evidence.is_empty() => ruling(Verdict::Abstain, "No rule is about this access.".to_owned()),
        None => ruling(Verdict::Block, "A challenge was answered that no rule asked for.".to_owned()),
    }
}

fn stops(action: &Action) -> bool {
    !matches!(action.step, Step::Decide(Decision::Allow | Decision::Abstain))
}

fn follow(rule: &Rule, evidence: &[Evidence]) -> Ruling {
    let name = &rule.name;
    let mut action = &rule.then;
    let mut last = None;
    for Evidence::Challenge(result) in evidence {
        let next = match &action.step {
            Step::Ask(ask) if ask.challenge.connector == result.connector => ask.after(result.outcome),
            Step::Ask(_) | Step::Decide(_) => None,
        };
        let Some(next) = next else {
            return ruling(Verdict::Block, format!("Rule “{name}” did not ask for the challenge that was answered."));
        };
        action = next;
        last = Some(result);
    }
    let (verdict, does) = match &action.step {
        Step::Decide(Decision::Allow) => (Verdict::Allow, "allows this".to_owned()),
        Step::Decide(Decision::Block) => (Verdict::Block, "blocks this".to_owned()),
        Step::Decide(Decision::Abstain) => (Verdict::Abstain, "leaves this to the next policy".to_owned()),
        Step::Ask(ask) => {
            let does = format!("asks for a second factor through {}", ask.challenge.connector);
            (Verdict::Challenge(ask.challenge.clone()), does)
        }
    };
    let reason = action.reason.clone().unwrap_or_else(|| match last {
        None => format!("Rule “{name}” {does}."),
        Some(result) => {
            format!("Rule “{name}” {does}: the challenge through {} {}.", result.connector, ended(result.outcome))
        }
    });
    Ruling { verdict, reason, effects: action.effects.clone() }
}

fn ruling(verdict: Verdict, reason: String) -> Ruling {
    Ruling { verdict, reason, effects: Vec::new() }
}

fn ended(outcome: ChallengeOutcome) -> &'static str {
    match outcome {
        ChallengeOutcome::Approved => "was approved",
        ChallengeOutcome::Denied => "was denied",
        ChallengeOutcome::Failed => "failed",
        ChallengeOutcome::Expired => "was not answered in time",
        ChallengeOutcome::Closed => "was dismissed",
        ChallengeOutcome::NotEnrolled => "found no enrolled factor",
        ChallengeOutcome::Unavailable => "could not be made",
    }
}

/// The kind of an operation.
pub(crate) fn kind_of(operation: &Operation) -> OperationKind {
    match operation {
        Operation::Bind(_) => OperationKind::Bind,
        Operation::Search(_) => OperationKind::Search,
        Operation::Compare => OperationKind::Compare,
        Operation::Add => OperationKind::Add,
        Operation::Modify(_) => OperationKind::Modify,
        Operation::Delete => OperationKind::Delete,
        Operation::Rename => OperationKind::Rename,
        Operation::PasswordChange => OperationKind::PasswordChange,
        Operation::Extended(_) => OperationKind::Extended,
        Operation::SignIn => OperationKind::SignIn,
        Operation::AppAccess => OperationKind::AppAccess,
        Operation::Other(_) => OperationKind::Other,
    }
}
