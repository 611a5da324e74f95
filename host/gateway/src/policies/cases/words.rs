//! Rulings in the words in which cases expect them.

use portcullis_core::escalation::Escalation;
use portcullis_core::policy::{Effect, Severity, Verdict};

pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Abstain => "abstain".to_owned(),
        Verdict::Allow => "allow".to_owned(),
        Verdict::Block => "block".to_owned(),
        Verdict::Challenge(challenge) => format!(
            "challenge {}, remember {}, wait {}",
            challenge.connector.as_str(),
            challenge.remember_seconds,
            challenge.timeout_seconds
        ),
    }
}

pub(super) fn effects(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(effect).collect()
}

/// Whether they are the same effects in the same order; case does not matter.
pub(super) fn are_same(found: &[String], expected: &[String]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.to_lowercase() == expected.to_lowercase())
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::RaiseIncident { severity, title, escalate } => {
            let later: String = escalate.iter().map(escalation).collect();
            format!("{} incident: {title}{later}", word(*severity))
        }
        Effect::ResolveIncident => "resolve incident".to_owned(),
        Effect::Demote { group, restore_after_seconds, from_times: 0 } => {
            format!("demote {group}, back after {restore_after_seconds}")
        }
        Effect::Demote { group, restore_after_seconds, from_times } => {
            format!("demote {group}, back after {restore_after_seconds}, from {from_times} times on")
        }
        Effect::Notify { channel, text } => format!("notify {channel}: {text}"),
        Effect::AddRisk(risk) => format!("add risk {risk}"),
    }
}

fn escalation(one: &Escalation) -> String {
    let mut text = format!("; {}", word(one.severity));
    for (number, unit) in [(one.from_times, "times"), (one.after_seconds, "s")] {
        if number > 0 {
            text.push_str(&format!(" from {number} {unit}"));
        }
    }
    if one.unless_taken {
        text.push_str(" unless taken");
    }
    text
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
