//! What an event adds to risks, and what answers it.

use std::time::Duration;

use portcullis_core::event::AccessEvent;
use portcullis_core::policy::{ChallengeOutcome, Effect, Mode, Verdict};
use portcullis_core::risk::FactorOrigin;
use portcullis_core::{Signal, Timestamp};

use crate::detections::{self, Weights};
use crate::profile::{AccountProfile, Profile};
use crate::risk::Finding;

pub(super) fn finding(signal: &Signal, weight: u8, at: Timestamp, event: portcullis_core::EventId) -> Finding<'_> {
    Finding { name: &signal.name, origin: FactorOrigin::Signal, reason: &signal.reason, weight, at, event: Some(event) }
}

pub(super) fn add_findings(
    profile: &mut impl Profile,
    event: &AccessEvent,
    of: fn(&Weights) -> u8,
    half_life: Duration,
) {
    let access = &event.access;
    for signal in &access.signals {
        if let Some(about) = detections::about(&signal.name) {
            profile.risk_mut().add(finding(signal, of(&about.weights), access.at, access.id), half_life);
        }
    }
}

/// What enforced policies add.
pub(super) fn add_effects(account: &mut AccountProfile, event: &AccessEvent, half_life: Duration) {
    for ruling in &event.rulings {
        if ruling.mode != Mode::Enforce || matches!(ruling.verdict, Verdict::Challenge(_)) {
            continue;
        }
        for effect in &ruling.effects {
            let Effect::AddRisk(weight) = effect else { continue };
            let found = Finding {
                name: &policy_factor(&ruling.policy),
                origin: FactorOrigin::Policy,
                reason: &ruling.reason,
                weight: *weight,
                at: event.access.at,
                event: Some(event.access.id),
            };
            account.risk.add(found, half_life);
        }
    }
}

/// The name of what a policy adds.
fn policy_factor(policy: &portcullis_core::PolicyName) -> String {
    format!("policy:{policy}")
}

/// A good second factor answers what the access looked like, and what the policy that asked for it had added before.
pub(super) fn answer(account: &mut AccountProfile, event: &AccessEvent) {
    let approved = |challenge: &portcullis_core::event::RecordedChallenge| {
        challenge.outcome == ChallengeOutcome::Approved && !challenge.remembered
    };
    if !event.challenges.iter().any(approved) {
        return;
    }
    let asked = event.rulings.iter().filter(|ruling| matches!(ruling.verdict, Verdict::Challenge(_)));
    let policies: Vec<_> = asked.map(|ruling| policy_factor(&ruling.policy)).collect();
    let signals = event.access.signals.iter().map(|signal| signal.name.as_str());
    account.risk.answer(signals.chain(policies.iter().map(String::as_str)));
}
