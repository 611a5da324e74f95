//! What policies are told, and what they say.

use portcullis_core::escalation::{Escalation, MOST_ESCALATIONS};
use portcullis_core::plugin::PluginFault;
use portcullis_core::policy::{
    ChallengeOutcome, ChallengeRequest, ChallengeResult, Effect, Evidence, Ruling, Severity, Verdict,
};
use portcullis_core::{
    Access, BindMethod, ConnectorName, Operation, OperationKind, Outcome, Protection, Search, SearchScope, Signal,
    Target,
};

use crate::bindings::policy::exports::portcullis::gateway::policy as said;
use crate::bindings::policy::portcullis::gateway::types as told;
use crate::log::printable;
use crate::policy::MAX_NAME;

pub(crate) fn access(access: &Access) -> told::Access {
    told::Access {
        id: access.id.to_string(),
        at: access.at.0,
        source: access.source.clone(),
        account: access.account.as_ref().map(super::account),
        endpoint: access.endpoint.as_ref().map(super::endpoint),
        protection: access.protection.as_ref().map(protection),
        target: target(&access.target),
        operation: operation(&access.operation, &access.target),
        outcome: match access.outcome {
            Outcome::Pending => told::Outcome::Pending,
            Outcome::Success => told::Outcome::Success,
            Outcome::Failure => told::Outcome::Failure,
        },
        signals: access.signals.iter().map(signal).collect(),
    }
}

fn protection(protection: &Protection) -> told::Protection {
    match protection {
        Protection::Cleartext => told::Protection::Cleartext,
        Protection::Tls(tls) => told::Protection::Tls(told::Tls {
            version: tls.version.clone(),
            cipher_suite: tls.cipher_suite.clone(),
            client_certificate: tls.client_certificate.as_ref().map(|certificate| told::ClientCertificate {
                subject: certificate.subject.clone(),
                alternative_names: certificate.alternative_names.clone(),
                fingerprint: certificate.fingerprint.clone(),
            }),
        }),
    }
}

fn target(target: &Target) -> told::Target {
    told::Target { application: target.application.clone(), entry: target.entry.clone() }
}

fn signal(signal: &Signal) -> told::Signal {
    told::Signal { name: signal.name.clone(), score: signal.score, reason: signal.reason.clone() }
}

fn operation(operation: &Operation, target: &Target) -> told::Operation {
    match operation {
        Operation::Bind(method) => told::Operation::Bind(match method {
            BindMethod::Anonymous => told::BindMethod::Anonymous,
            BindMethod::Simple => told::BindMethod::Simple,
            BindMethod::Sasl(mechanism) => told::BindMethod::Sasl(mechanism.clone()),
            BindMethod::OpaqueSasl(mechanism) => told::BindMethod::OpaqueSasl(mechanism.clone()),
        }),
        Operation::Search(details) => told::Operation::Search(search(details.as_ref(), target)),
        Operation::Compare => told::Operation::Compare,
        Operation::Add => told::Operation::Add,
        Operation::Modify(attributes) => told::Operation::Modify(attributes.clone()),
        Operation::Delete => told::Operation::Delete,
        Operation::Rename => told::Operation::Rename,
        Operation::PasswordChange | Operation::MixedChange(_) => told::Operation::PasswordChange,
        Operation::Extended(oid) => told::Operation::Extended(oid.clone()),
        Operation::SignIn => told::Operation::SignIn,
        Operation::AppAccess => told::Operation::AppAccess,
        Operation::Other(name) => told::Operation::Other(name.clone()),
    }
}

/// A search whose request could not be read is told as the widest one, with an empty filter, which no real search has.
fn search(details: Option<&Search>, target: &Target) -> told::Search {
    match details {
        Some(search) => told::Search {
            base: search.base.clone(),
            scope: match search.scope {
                SearchScope::Base => told::SearchScope::Base,
                SearchScope::OneLevel => told::SearchScope::OneLevel,
                SearchScope::Subtree => told::SearchScope::Subtree,
            },
            filter: search.filter.clone(),
            attributes: search.attributes.clone(),
        },
        None => told::Search {
            base: target.entry.clone().unwrap_or_default(),
            scope: told::SearchScope::Subtree,
            filter: String::new(),
            attributes: Vec::new(),
        },
    }
}

pub(crate) fn evidence(evidence: &[Evidence]) -> Vec<said::Evidence> {
    evidence.iter().map(|Evidence::Challenge(result)| said::Evidence::Challenge(challenge_result(result))).collect()
}

fn challenge_result(result: &ChallengeResult) -> said::ChallengeResult {
    said::ChallengeResult {
        connector: result.connector.as_str().to_owned(),
        outcome: match result.outcome {
            ChallengeOutcome::Approved => said::ChallengeOutcome::Approved,
            ChallengeOutcome::Denied => said::ChallengeOutcome::Denied,
            ChallengeOutcome::Failed => said::ChallengeOutcome::Failed,
            ChallengeOutcome::Expired => said::ChallengeOutcome::Expired,
            ChallengeOutcome::Closed => said::ChallengeOutcome::Closed,
            ChallengeOutcome::NotEnrolled => said::ChallengeOutcome::NotEnrolled,
            ChallengeOutcome::Unavailable => said::ChallengeOutcome::Unavailable,
        },
        at: result.at.0,
        remembered: result.remembered,
    }
}

/// Longest reason and incident title, in bytes.
const MAX_SENTENCE: usize = 1 << 10;
/// Longest text of a notification, in bytes.
const MAX_NOTIFICATION: usize = 4 << 10;
/// A ruling with more effects is not one sentence's worth of consequences but a plugin gone wrong.
const MAX_EFFECTS: usize = 32;

pub(crate) fn ruling(ruling: said::Ruling) -> Result<Ruling, PluginFault> {
    if ruling.effects.len() > MAX_EFFECTS {
        return Err(PluginFault::Limit(format!("{} effects, where {MAX_EFFECTS} are allowed", ruling.effects.len())));
    }
    Ok(Ruling {
        verdict: match ruling.verdict {
            said::Verdict::Abstain => Verdict::Abstain,
            said::Verdict::Allow => Verdict::Allow,
            said::Verdict::Challenge(challenge) => Verdict::Challenge(ChallengeRequest {
                connector: ConnectorName::new(printable(&challenge.connector, MAX_NAME)),
                remember_seconds: challenge.remember_seconds,
                timeout_seconds: challenge.timeout_seconds,
            }),
            said::Verdict::Block => Verdict::Block,
        },
        reason: printable(&ruling.reason, MAX_SENTENCE),
        effects: ruling.effects.into_iter().map(effect).collect::<Result<_, _>>()?,
    })
}

fn effect(effect: said::Effect) -> Result<Effect, PluginFault> {
    Ok(match effect {
        said::Effect::RaiseIncident(incident) => Effect::RaiseIncident {
            severity: severity(incident.severity),
            title: printable(&incident.title, MAX_SENTENCE),
            escalate: escalations(incident.escalate)?,
        },
        said::Effect::ResolveIncident => Effect::ResolveIncident,
        said::Effect::Demote(demotion) => Effect::Demote {
            group: printable(&demotion.group, MAX_SENTENCE),
            restore_after_seconds: demotion.restore_after_seconds,
            from_times: demotion.from_times,
        },
        said::Effect::Notify(note) => Effect::Notify {
            channel: printable(&note.channel, MAX_NAME),
            text: printable(&note.text, MAX_NOTIFICATION),
        },
        said::Effect::AddRisk(risk) => Effect::AddRisk(risk),
    })
}

fn escalations(said: Vec<said::Escalation>) -> Result<Vec<Escalation>, PluginFault> {
    if said.len() > MOST_ESCALATIONS {
        let text = format!("{} escalations of an incident, where {MOST_ESCALATIONS} are allowed", said.len());
        return Err(PluginFault::Limit(text));
    }
    let escalation = |one: said::Escalation| Escalation {
        from_times: one.from_times,
        after_seconds: one.after_seconds,
        unless_taken: one.unless_taken,
        severity: severity(one.severity),
    };
    Ok(said.into_iter().map(escalation).collect())
}

fn severity(severity: said::Severity) -> Severity {
    match severity {
        said::Severity::Low => Severity::Low,
        said::Severity::Medium => Severity::Medium,
        said::Severity::High => Severity::High,
        said::Severity::Critical => Severity::Critical,
    }
}

pub(crate) fn operation_kind(kind: said::OperationKind) -> OperationKind {
    match kind {
        said::OperationKind::Bind => OperationKind::Bind,
        said::OperationKind::Search => OperationKind::Search,
        said::OperationKind::Compare => OperationKind::Compare,
        said::OperationKind::Add => OperationKind::Add,
        said::OperationKind::Modify => OperationKind::Modify,
        said::OperationKind::Delete => OperationKind::Delete,
        said::OperationKind::Rename => OperationKind::Rename,
        said::OperationKind::PasswordChange => OperationKind::PasswordChange,
        said::OperationKind::Extended => OperationKind::Extended,
        said::OperationKind::SignIn => OperationKind::SignIn,
        said::OperationKind::AppAccess => OperationKind::AppAccess,
        said::OperationKind::Other => OperationKind::Other,
    }
}
