//! The words of the core, as people read them.

use std::time::Duration;

use portcullis_core::access::{BindMethod, SearchScope};
use portcullis_core::challenge::ChallengeState;
use portcullis_core::cloud::SourceStatus;
use portcullis_core::event::Decision;
use portcullis_core::incident::{IncidentSource, IncidentState, IncidentVerdict};
use portcullis_core::policy::{ChallengeOutcome, Effect, Mode, Severity, Verdict};
use portcullis_core::status::ConnectorRole;
use portcullis_core::{AccountKind, Operation, OperationKind};

/// A word with the icon that stands beside it and the name by which the style sheet colours both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Badge {
    pub(crate) name: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) word: &'static str,
}

pub(crate) fn decision(decision: Decision) -> Badge {
    match decision {
        Decision::Allow => Badge { name: "allow", icon: "✓", word: "Allowed" },
        Decision::Block => Badge { name: "block", icon: "✕", word: "Blocked" },
        Decision::Refused => Badge { name: "refused", icon: "!", word: "Refused by directory" },
        Decision::Abandoned => Badge { name: "abandoned", icon: "–", word: "Abandoned" },
    }
}

/// The same of what has happened at a cloud service, where nothing can be held.
pub(crate) fn foreign_decision(decision: Decision) -> Badge {
    match decision {
        Decision::Block => Badge { name: "block", icon: "✕", word: "Acted against" },
        Decision::Refused => Badge { name: "refused", icon: "!", word: "Refused by service" },
        other => self::decision(other),
    }
}

pub(crate) fn severity(severity: Severity) -> Badge {
    match severity {
        Severity::Low => Badge { name: "low", icon: "▁", word: "Low" },
        Severity::Medium => Badge { name: "medium", icon: "▃", word: "Medium" },
        Severity::High => Badge { name: "high", icon: "▅", word: "High" },
        Severity::Critical => Badge { name: "critical", icon: "█", word: "Critical" },
    }
}

pub(crate) fn incident_state(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Open => "Open",
        IncidentState::InProgress => "In progress",
        IncidentState::Resolved => "Resolved",
    }
}

/// "policy second-factor", "detection honeytoken".
pub(crate) fn incident_source(source: &IncidentSource) -> String {
    match source {
        IncidentSource::Policy(name) => format!("policy {name}"),
        IncidentSource::Detection(name) => format!("detection {name}"),
        IncidentSource::Gateway(what) => format!("gateway {what}"),
    }
}

pub(crate) fn incident_verdict(verdict: IncidentVerdict) -> &'static str {
    match verdict {
        IncidentVerdict::TruePositive => "true positive",
        IncidentVerdict::FalsePositive => "false positive",
    }
}

/// What the challenge page says about a state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateWords {
    pub(crate) name: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) short: &'static str,
    pub(crate) title: &'static str,
    pub(crate) advice: &'static str,
}

pub(crate) fn challenge_state(state: ChallengeState) -> StateWords {
    let (name, icon, short, title, advice) = match state {
        ChallengeState::Open => (
            "open",
            "…",
            "Waiting",
            "Waiting for your phone",
            "Answer the request that has been sent to your phone. This page follows by itself.",
        ),
        ChallengeState::Approved => {
            ("approved", "✓", "Approved", "Approved", "The sign-in goes on. You can close this page.")
        }
        ChallengeState::Denied => (
            "denied",
            "✕",
            "Denied",
            "Denied",
            "The sign-in was refused. If you did not begin it, somebody knows your password: change it and tell your \
             administrator.",
        ),
        ChallengeState::Failed => {
            ("failed", "✕", "Failed", "Not accepted", "The sign-in was refused. Sign in again to get a new try.")
        }
        ChallengeState::Expired => {
            ("expired", "!", "Expired", "Expired", "There was no answer in time. Sign in again to be asked again.")
        }
        ChallengeState::Closed => (
            "closed",
            "✕",
            "Closed",
            "Closed",
            "This sign-in was cancelled, or its page was closed. If you did not begin it, somebody knows your password: \
             change it and tell your administrator.",
        ),
        ChallengeState::Cancelled => (
            "cancelled",
            "–",
            "Cancelled",
            "Cancelled",
            "The application no longer waits for an answer. Sign in again to be asked again.",
        ),
    };
    StateWords { name, icon, short, title, advice }
}

pub(crate) fn challenge_outcome(outcome: ChallengeOutcome) -> &'static str {
    match outcome {
        ChallengeOutcome::Approved => "approved",
        ChallengeOutcome::Denied => "denied",
        ChallengeOutcome::Failed => "failed",
        ChallengeOutcome::Expired => "expired",
        ChallengeOutcome::Closed => "closed",
        ChallengeOutcome::NotEnrolled => "not enrolled",
        ChallengeOutcome::Unavailable => "not available",
    }
}

pub(crate) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Monitor => "monitor",
        Mode::Canary => "canary",
        Mode::Enforce => "enforce",
    }
}

pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Abstain => "abstain".to_owned(),
        Verdict::Allow => "allow".to_owned(),
        Verdict::Block => "block".to_owned(),
        Verdict::Challenge(request) => format!("challenge through {}", request.connector),
    }
}

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::RaiseIncident { severity: level, title, escalate } => {
            let rises = escalate.iter().map(|one| format!("; {} when it was {one}", one.severity));
            format!("incident ({level}): {title}{}", rises.collect::<String>())
        }
        Effect::ResolveIncident => "resolves its incident".to_owned(),
        Effect::Demote { group, restore_after_seconds, from_times } => {
            let back =
                if *restore_after_seconds == 0 { String::new() } else { format!(" for {restore_after_seconds} s") };
            let when =
                if *from_times > 1 { format!(" when it has happened {from_times} times") } else { String::new() };
            format!("takes the account out of {group}{back}{when}")
        }
        Effect::Notify { channel, .. } => format!("notifies {channel}"),
        Effect::AddRisk(points) => format!("adds {points} to the risk"),
    }
}

pub(crate) fn account_kind(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Human => "person",
        AccountKind::Service => "service",
        AccountKind::Machine => "machine",
        AccountKind::Unknown => "kind not known",
    }
}

/// An operation in a few words.
pub(crate) fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Bind(BindMethod::Anonymous) => "Bind (anonymous)".to_owned(),
        Operation::Bind(BindMethod::Simple) => "Bind".to_owned(),
        Operation::Bind(BindMethod::Sasl(mechanism)) => format!("Bind ({mechanism})"),
        Operation::Bind(BindMethod::OpaqueSasl(mechanism)) => format!("Bind ({mechanism}; unseen from here on)"),
        Operation::Search(_) => "Search".to_owned(),
        Operation::Compare => "Compare".to_owned(),
        Operation::Add => "Add".to_owned(),
        Operation::Modify(_) => "Modify".to_owned(),
        Operation::Delete => "Delete".to_owned(),
        Operation::Rename => "Rename".to_owned(),
        Operation::PasswordChange => "Password change".to_owned(),
        Operation::MixedChange(_) => "Password change and modify".to_owned(),
        Operation::Extended(oid) => format!("Extended {oid}"),
        Operation::SignIn => "Sign-in".to_owned(),
        Operation::AppAccess => "Application access".to_owned(),
        Operation::Other(name) => name.clone(),
    }
}

/// A kind of operation.
pub(crate) fn operation_kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Bind => "Bind",
        OperationKind::Search => "Search",
        OperationKind::Compare => "Compare",
        OperationKind::Add => "Add",
        OperationKind::Modify => "Modify",
        OperationKind::Delete => "Delete",
        OperationKind::Rename => "Rename",
        OperationKind::PasswordChange => "Password change",
        OperationKind::Extended => "Extended",
        OperationKind::SignIn => "Sign-in",
        OperationKind::AppAccess => "Application access",
        OperationKind::Other => "Other",
    }
}

/// Name of a result code that is none of success (RFC 4511, appendix A), where it is a usual one.
pub(crate) fn result_code(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        80 => "other",
        118 => "canceled",
        _ => return None,
    })
}

/// How far a cloud service has been read.
pub(crate) fn source_state(status: &SourceStatus) -> Badge {
    match (&status.last_error, status.last_success, status.behind) {
        (Some(_), ..) => Badge { name: "block", icon: "✕", word: "Cannot be read" },
        (None, None, _) => Badge { name: "recorded", icon: "…", word: "Not read yet" },
        (None, Some(_), true) => Badge { name: "refused", icon: "!", word: "Behind" },
        (None, Some(_), false) => Badge { name: "allow", icon: "✓", word: "Up to date" },
    }
}

pub(crate) fn role(role: ConnectorRole) -> &'static str {
    match role {
        ConnectorRole::SecondFactor => "asks for a second factor",
        ConnectorRole::EventSource => "tells what happens there",
        ConnectorRole::AccountDirectory => "looks accounts up",
        ConnectorRole::Enforcement => "acts against accounts",
    }
}

/// How long something is, in the two largest units that it has.
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [
        (seconds / 86_400, "day", "days"),
        (seconds / 3_600 % 24, "hour", "hours"),
        (seconds / 60 % 60, "minute", "minutes"),
    ];
    let words: Vec<_> = parts
        .into_iter()
        .skip_while(|part| part.0 == 0)
        .take(2)
        .filter(|part| part.0 > 0)
        .map(|(n, one, many)| count(n, one, many))
        .collect();
    if words.is_empty() { "less than a minute".to_owned() } else { words.join(" and ") }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of something.
pub(crate) fn count(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", number(count)) }
}

/// What an operation names beyond its kind.
pub(crate) fn operation_detail(operation: &Operation) -> Option<String> {
    match operation {
        Operation::Search(Some(search)) => {
            let scope = match search.scope {
                SearchScope::Base => "base",
                SearchScope::OneLevel => "one level",
                SearchScope::Subtree => "subtree",
            };
            let attributes =
                if search.attributes.is_empty() { "all attributes".to_owned() } else { search.attributes.join(", ") };
            Some(format!("{} under {} ({scope}), {attributes}", search.filter, search.base))
        }
        _ => operation.changed().map(|attributes| attributes.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_told_in_two_units() {
        for (seconds, written) in [
            (59, "less than a minute"),
            (60, "1 minute"),
            (3_600, "1 hour"),
            (3_661, "1 hour and 1 minute"),
            (86_400 + 59, "1 day"),
            (86_400 * 30 + 7_200, "30 days and 2 hours"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), written);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (value, written) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_204, "1,204"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(number(value), written);
        }
        assert_eq!((count(1, "base", "bases"), count(1_000, "base", "bases")), ("1 base".into(), "1,000 bases".into()));
    }
}
