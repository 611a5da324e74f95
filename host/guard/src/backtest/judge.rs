//! One recorded access through the list, as `decide` takes a new one through it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::backtest::{Ending, RecordedAccess};
use portcullis_core::event::{Decision, RecordedChallenge};
use portcullis_core::policy::{
    ChallengeOutcome, ChallengeRequest, ChallengeResult, Effect, Evidence, Mode, Ruling, Verdict,
};
use portcullis_core::{Access, AccountFacts, ConnectorName, PolicyName};

use crate::PolicyEntry;
use crate::word::{self, ROUNDS, person_to_ask};

/// What one policy said.
pub(super) struct Said {
    /// Its place in the list.
    pub(super) place: usize,
    /// `challenge` where it asked, whatever came afterwards; else its last word.
    pub(super) verdict: &'static str,
    pub(super) faults: Vec<String>,
}

/// What would have become of an access.
pub(super) struct Judged {
    pub(super) ending: Ending,
    pub(super) said: Vec<Said>,
    /// Questions that were not asked then.
    pub(super) pushes: u64,
    /// Questions that were asked then, and would not be.
    pub(super) spared: u64,
    pub(super) raised: u64,
    pub(super) resolved: u64,
    pub(super) demotions: u64,
    pub(super) notices: u64,
}

/// How a policy's turn ended.
enum Turn {
    Next,
    Final(Decision),
    /// Somebody would be asked who was not.
    Unanswered,
}

struct Case<'a> {
    recorded: &'a RecordedAccess,
    /// What policies are told.
    access: &'a Access,
    facts: &'a Arc<AccountFacts>,
    /// Answers on record that were not used yet.
    answers: Vec<&'a RecordedChallenge>,
    /// Approvals of the first round, for the second; see `besides`.
    approvals: Vec<(PolicyName, ChallengeResult)>,
    is_first: bool,
    /// A person was asked, and it is on record.
    asked: bool,
    judged: Judged,
}

/// How the access ended when it was recorded.
pub(super) fn recorded_ending(recorded: &RecordedAccess) -> Ending {
    let asked = recorded.challenges.iter().any(was_asked);
    // Of what has happened at a cloud service, the question comes later, and its answer is an event of its own.
    let last = recorded.rulings.iter().rev().find(|ruling| ruling.mode == Mode::Enforce);
    if recorded.foreign.is_some() && last.is_some_and(|ruling| matches!(ruling.verdict, Verdict::Challenge(_))) {
        return Ending::Challenge;
    }
    ending(recorded.decision, asked)
}

/// Whether somebody's phone rang for it, or somebody was to type a code.
fn was_asked(challenge: &RecordedChallenge) -> bool {
    challenge.id.is_some() && !challenge.remembered
}

fn ending(decision: Decision, asked: bool) -> Ending {
    match (decision == Decision::Allow, asked) {
        (true, false) => Ending::Allow,
        (false, false) => Ending::Block,
        (true, true) => Ending::ChallengeAllow,
        (false, true) => Ending::ChallengeBlock,
    }
}

/// Asks the policies, which are in the order in which they are asked.
pub(super) fn judge(policies: &[PolicyEntry], recorded: &RecordedAccess, facts: &Arc<AccountFacts>) -> Judged {
    let besides = recorded.access.operation.besides().map(|operation| Access { operation, ..recorded.access.clone() });
    let mut case = Case {
        recorded,
        access: &recorded.access,
        facts,
        answers: recorded.challenges.iter().collect(),
        approvals: Vec::new(),
        is_first: true,
        asked: false,
        judged: Judged {
            ending: Ending::Allow,
            said: Vec::with_capacity(policies.len()),
            pushes: 0,
            spared: 0,
            raised: 0,
            resolved: 0,
            demotions: 0,
            notices: 0,
        },
    };
    let mut end = case.ask_all(policies);
    if let Some(other) = besides.as_ref().filter(|_| matches!(end, Turn::Next | Turn::Final(Decision::Allow))) {
        (case.access, case.is_first) = (other, false);
        end = case.ask_all(policies);
    }
    case.judged.ending = match end {
        Turn::Next => ending(Decision::Allow, case.asked),
        Turn::Final(decision) => ending(decision, case.asked),
        Turn::Unanswered => Ending::Challenge,
    };
    case.judged.spared = case.answers.iter().filter(|challenge| was_asked(challenge)).count() as u64;
    case.judged.spared += u64::from(case.was_asked_later() && case.judged.ending != Ending::Challenge);
    case.judged
}

impl Case<'_> {
    fn ask_all(&mut self, policies: &[PolicyEntry]) -> Turn {
        let kind = self.access.operation.kind();
        for (place, entry) in policies.iter().enumerate() {
            if entry.mode == Mode::Off || !entry.policy.needs().operations.contains(&kind) {
                continue;
            }
            self.judged.said.push(Said { place, verdict: "abstain", faults: Vec::new() });
            if entry.mode != Mode::Enforce {
                self.ask(entry, &[]);
                continue;
            }
            let turn = self.enforce(entry);
            if !matches!(turn, Turn::Next) {
                return turn;
            }
        }
        Turn::Next
    }

    fn enforce(&mut self, entry: &PolicyEntry) -> Turn {
        let mut evidence = Vec::new();
        for _ in 0..ROUNDS {
            let ruling = self.ask(entry, &evidence);
            match ruling.verdict {
                Verdict::Challenge(request) => match self.answer(entry, &request) {
                    Some(result) => evidence.push(Evidence::Challenge(result)),
                    None => {
                        let is_new = self.is_askable() && !self.was_asked_later();
                        self.judged.pushes += u64::from(is_new);
                        return Turn::Unanswered;
                    }
                },
                Verdict::Abstain => {
                    self.effects(&ruling.effects);
                    return Turn::Next;
                }
                Verdict::Allow => {
                    self.effects(&ruling.effects);
                    return Turn::Final(Decision::Allow);
                }
                Verdict::Block => {
                    self.effects(&ruling.effects);
                    return Turn::Final(Decision::Block);
                }
            }
        }
        let word = word::of(entry, Err(word::endless()));
        let is_over = word.ruling.verdict != Verdict::Abstain;
        self.note(word.fault);
        if is_over { Turn::Final(Decision::Block) } else { Turn::Next }
    }

    fn ask(&mut self, entry: &PolicyEntry, evidence: &[Evidence]) -> Ruling {
        let word = word::of(entry, word::ask(&*entry.policy, self.access, self.facts, evidence));
        if let Some(said) = self.judged.said.last_mut() {
            let asks_already = said.verdict == "challenge";
            if !asks_already {
                said.verdict = word::verdict_name(&word.ruling.verdict);
            }
        }
        self.note(word.fault);
        word.ruling
    }

    fn note(&mut self, fault: Option<String>) {
        if let Some(said) = self.judged.said.last_mut() {
            said.faults.extend(fault);
        }
    }

    fn is_askable(&self) -> bool {
        person_to_ask(self.recorded.access.account.as_ref()).is_ok()
    }

    /// A person was asked about it when it had happened already.
    fn was_asked_later(&self) -> bool {
        self.is_askable() && recorded_ending(self.recorded) == Ending::Challenge
    }

    /// What is known of the answer, if anything.
    fn answer(&mut self, entry: &PolicyEntry, request: &ChallengeRequest) -> Option<ChallengeResult> {
        if self.recorded.foreign.is_some() {
            return None;
        }
        let access = self.access;
        if !self.is_first
            && let Some(place) = word::answered(&self.approvals, &entry.name, request)
        {
            return Some(self.approvals.swap_remove(place).1);
        }
        if !self.is_askable() {
            let connector: ConnectorName = request.connector.clone();
            let outcome = ChallengeOutcome::NotEnrolled;
            return Some(ChallengeResult { connector, outcome, at: access.at, remembered: false });
        }
        let place = self.answers.iter().position(|answer| answer.connector == request.connector)?;
        let answer = self.answers.remove(place);
        self.asked |= was_asked(answer);
        let result = ChallengeResult {
            connector: answer.connector.clone(),
            outcome: answer.outcome,
            at: access.at.plus(Duration::from_millis(answer.waited_ms)),
            remembered: answer.remembered,
        };
        if self.is_first && result.outcome == ChallengeOutcome::Approved {
            self.approvals.push((entry.name.clone(), result.clone()));
        }
        Some(result)
    }

    fn effects(&mut self, effects: &[Effect]) {
        let has_entry = self.recorded.access.account.as_ref().is_some_and(|account| account.dn.is_some());
        for effect in effects {
            match effect {
                Effect::RaiseIncident { .. } => self.judged.raised += 1,
                Effect::ResolveIncident => self.judged.resolved += 1,
                Effect::Demote { .. } => self.judged.demotions += u64::from(has_entry),
                Effect::Notify { .. } => self.judged.notices += 1,
                Effect::AddRisk(_) => {}
            }
        }
    }
}
