//! Accesses, facts and rulings in the short form in which cases are written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rules::action::OUTCOMES;
use rules::condition::Facts;
use rules::contract::exports::portcullis::gateway::policy::{
    ChallengeResult, Demotion, Effect, Evidence, Ruling, Verdict,
};
use rules::contract::portcullis::gateway::types::{
    Access, Account, AccountKind, BindMethod, ClientCertificate, Endpoint, Operation, Outcome, Protection, Search,
    SearchScope, Signal, Target, Tls,
};
use serde::Deserialize;

/// An access. What is left out is as harmless as can be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Scene {
    /// What is not known: `account`, `endpoint`, `protection`.
    pub without: Vec<String>,
    pub login: String,
    pub account_id: String,
    pub kind: String,
    pub privileged: bool,
    pub cloud_enabled: Option<bool>,
    pub account_risk: u8,
    pub address: String,
    pub endpoint_name: Option<String>,
    pub site: Option<String>,
    pub associated: bool,
    pub shared: bool,
    pub endpoint_risk: u8,
    pub tls: bool,
    /// Subject, alternative names and fingerprint.
    pub certificate: Option<(String, Vec<String>, String)>,
    pub application: String,
    pub entry: Option<String>,
    pub operation: String,
    pub bind_method: String,
    pub attributes: Vec<String>,
    pub outcome: String,
    pub signals: BTreeMap<String, u8>,
    /// Milliseconds since 1970.
    pub at: u64,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            without: Vec::new(),
            login: "alice".to_owned(),
            account_id: "5f7d".to_owned(),
            kind: "human".to_owned(),
            privileged: false,
            cloud_enabled: None,
            account_risk: 0,
            address: "10.1.2.3".to_owned(),
            endpoint_name: None,
            site: None,
            associated: false,
            shared: false,
            endpoint_risk: 0,
            tls: true,
            certificate: None,
            application: "wiki".to_owned(),
            entry: None,
            operation: "bind".to_owned(),
            bind_method: "simple".to_owned(),
            attributes: Vec::new(),
            outcome: "success".to_owned(),
            signals: BTreeMap::new(),
            // Tuesday, 2026-11-24, 10:00 UTC.
            at: 1_795_514_400_000,
        }
    }
}

impl Scene {
    pub fn access(&self) -> Access {
        let is_known = |what: &str| !self.without.iter().any(|missing| missing == what);
        let account = is_known("account").then(|| Account {
            id: self.account_id.clone(),
            login: self.login.clone(),
            dn: None,
            mail: None,
            kind: match self.kind.as_str() {
                "human" => AccountKind::Human,
                "service" => AccountKind::Service,
                "machine" => AccountKind::Machine,
                "unknown" => AccountKind::Unknown,
                other => panic!("kind {other}"),
            },
            privileged: self.privileged,
            cloud_enabled: self.cloud_enabled,
            risk: self.account_risk,
        });
        let endpoint = is_known("endpoint").then(|| Endpoint {
            address: self.address.clone(),
            name: self.endpoint_name.clone(),
            site: self.site.clone(),
            shared: self.shared,
            associated: self.associated,
            risk: self.endpoint_risk,
        });
        let signal =
            |(name, score): (&String, &u8)| Signal { name: name.clone(), score: *score, reason: String::new() };
        Access {
            id: "01934c5e-0000-7000-8000-000000000001".to_owned(),
            at: self.at,
            source: "ldap".to_owned(),
            account,
            endpoint,
            protection: is_known("protection").then(|| self.protection()),
            target: Target { application: self.application.clone(), entry: self.entry.clone() },
            operation: self.operation(),
            outcome: match self.outcome.as_str() {
                "pending" => Outcome::Pending,
                "success" => Outcome::Success,
                "failure" => Outcome::Failure,
                other => panic!("outcome {other}"),
            },
            signals: self.signals.iter().map(signal).collect(),
        }
    }

    fn protection(&self) -> Protection {
        if !self.tls {
            return Protection::Cleartext;
        }
        Protection::Tls(Tls {
            version: "TLS 1.3".to_owned(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
            client_certificate: self.certificate.clone().map(|(subject, alternative_names, fingerprint)| {
                ClientCertificate { subject, alternative_names, fingerprint }
            }),
        })
    }

    fn operation(&self) -> Operation {
        match self.operation.as_str() {
            "bind" => Operation::Bind(match self.bind_method.as_str() {
                "anonymous" => BindMethod::Anonymous,
                "simple" => BindMethod::Simple,
                method => match method.strip_prefix("opaque ") {
                    Some(mechanism) => BindMethod::OpaqueSasl(mechanism.to_owned()),
                    None => BindMethod::Sasl(method.to_owned()),
                },
            }),
            "search" => Operation::Search(Search {
                base: self.entry.clone().unwrap_or_default(),
                scope: SearchScope::Subtree,
                filter: "(objectClass=*)".to_owned(),
                attributes: self.attributes.clone(),
            }),
            "compare" => Operation::Compare,
            "add" => Operation::Add,
            "modify" => Operation::Modify(self.attributes.clone()),
            "delete" => Operation::Delete,
            "rename" => Operation::Rename,
            "password-change" => Operation::PasswordChange,
            "extended" => Operation::Extended("1.2.3".to_owned()),
            "sign-in" => Operation::SignIn,
            "app-access" => Operation::AppAccess,
            "other" => Operation::Other("session.end".to_owned()),
            other => panic!("operation {other}"),
        }
    }
}

/// What the directory knows about the account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Known {
    pub groups: Vec<String>,
    pub units: Vec<String>,
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl Facts for Known {
    fn member_of(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known.eq_ignore_ascii_case(group))
    }

    fn units(&self) -> Vec<String> {
        self.units.clone()
    }

    fn attribute(&self, name: &str) -> Vec<String> {
        self.attributes.get(name).cloned().unwrap_or_default()
    }
}

pub fn evidence(connector: &str, outcome: &str) -> Evidence {
    let outcome = OUTCOMES.iter().find(|(name, _)| *name == outcome).map(|(_, outcome)| *outcome);
    Evidence::Challenge(ChallengeResult {
        connector: connector.to_owned(),
        outcome: outcome.expect("an outcome of a challenge"),
        at: 1_795_514_400_000,
        remembered: false,
    })
}

/// A verdict in words.
pub fn verdict(ruling: &Ruling) -> String {
    match &ruling.verdict {
        Verdict::Abstain => "abstain".to_owned(),
        Verdict::Allow => "allow".to_owned(),
        Verdict::Block => "block".to_owned(),
        Verdict::Challenge(challenge) => {
            let connector = &challenge.connector;
            format!(
                "challenge {connector}, remember {}, wait {}",
                challenge.remember_seconds, challenge.timeout_seconds
            )
        }
    }
}

/// Effects in words.
pub fn effects(ruling: &Ruling) -> Vec<String> {
    let shown = |effect: &Effect| match effect {
        Effect::RaiseIncident(incident) => {
            let mut text = format!("{:?} incident: {}", incident.severity, incident.title);
            for one in &incident.escalate {
                let _ = write!(text, "; {:?}", one.severity);
                for (number, word) in [(one.from_times, "times"), (one.after_seconds, "s")] {
                    if number > 0 {
                        let _ = write!(text, " from {number} {word}");
                    }
                }
                if one.unless_taken {
                    text.push_str(" unless taken");
                }
            }
            text
        }
        Effect::ResolveIncident => "resolve incident".to_owned(),
        Effect::Demote(Demotion { group, restore_after_seconds, from_times: 0 }) => {
            format!("demote {group}, back after {restore_after_seconds}")
        }
        Effect::Demote(Demotion { group, restore_after_seconds, from_times }) => {
            format!("demote {group}, back after {restore_after_seconds}, from {from_times} times on")
        }
        Effect::Notify(notification) => format!("notify {}: {}", notification.channel, notification.text),
        Effect::AddRisk(risk) => format!("add risk {risk}"),
    };
    ruling.effects.iter().map(|effect| shown(effect).replace("Severity::", "").to_lowercase()).collect()
}
