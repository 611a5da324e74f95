//! Accesses and facts in the short form in which cases are written. What is left out is as harmless as can be.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use portcullis_core::policy::{ChallengeOutcome, ChallengeResult, Evidence};
use portcullis_core::{
    Access, Account, AccountFacts, AccountId, AccountKind, BindMethod, ClientCertificate, ConnectorName, Endpoint,
    EventId, Group, Operation, OperationKind, Outcome, Protection, Search, SearchScope, Signal, Target, Timestamp, Tls,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use uuid::Uuid;

/// Tuesday, 2026-11-24, 10:00 UTC.
const MOMENT: u64 = 1_795_514_400_000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Scene {
    without: Vec<Missing>,
    source: String,
    login: String,
    account_id: String,
    dn: Option<String>,
    mail: Option<String>,
    kind: AccountKind,
    privileged: bool,
    cloud_enabled: Option<bool>,
    account_risk: u8,
    address: IpAddr,
    endpoint_name: Option<String>,
    site: Option<String>,
    associated: bool,
    shared: bool,
    endpoint_risk: u8,
    tls: bool,
    /// Subject, alternative names and fingerprint.
    certificate: Option<(String, Vec<String>, String)>,
    application: String,
    entry: Option<String>,
    operation: OperationKind,
    bind_method: String,
    /// What a modification changes, or a search asks for.
    attributes: Vec<String>,
    filter: String,
    /// Of an operation `other` or `extended`.
    operation_name: String,
    outcome: Outcome,
    signals: BTreeMap<String, u8>,
    #[serde(deserialize_with = "moment")]
    at: u64,
}

/// What nobody knows.
#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Missing {
    Account,
    Endpoint,
    Protection,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            without: Vec::new(),
            source: "ldap".to_owned(),
            login: "alice".to_owned(),
            account_id: "5f7d".to_owned(),
            dn: None,
            mail: None,
            kind: AccountKind::Human,
            privileged: false,
            cloud_enabled: None,
            account_risk: 0,
            address: Ipv4Addr::new(10, 1, 2, 3).into(),
            endpoint_name: None,
            site: None,
            associated: false,
            shared: false,
            endpoint_risk: 0,
            tls: true,
            certificate: None,
            application: "wiki".to_owned(),
            entry: None,
            operation: OperationKind::Bind,
            bind_method: "simple".to_owned(),
            attributes: Vec::new(),
            filter: "(objectClass=*)".to_owned(),
            operation_name: "session.end".to_owned(),
            outcome: Outcome::Success,
            signals: BTreeMap::new(),
            at: MOMENT,
        }
    }
}

/// A date and time with its offset, or milliseconds since 1970.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Milliseconds(u64),
        Date(toml::value::Datetime),
    }
    let wrong = "has to be a date and time like 2026-11-24T10:00:00Z, or milliseconds since 1970";
    match Moment::deserialize(deserializer).map_err(|_| D::Error::custom(wrong))? {
        Moment::Milliseconds(at) => Ok(at),
        Moment::Date(date) => {
            let at = date.to_string().parse::<jiff::Timestamp>().map_err(|_| D::Error::custom(wrong))?;
            u64::try_from(at.as_millisecond()).map_err(|_| D::Error::custom(wrong))
        }
    }
}

impl Scene {
    pub(super) fn access(&self) -> Access {
        let is_known = |what: Missing| !self.without.contains(&what);
        let signal =
            |(name, score): (&String, &u8)| Signal { name: name.clone(), score: *score, reason: String::new() };
        Access {
            id: EventId(Uuid::from_u128(0x0193_4c5e_0000_7000_8000_0000_0000_0001)),
            at: Timestamp(self.at),
            source: self.source.clone(),
            account: is_known(Missing::Account).then(|| self.account()),
            endpoint: is_known(Missing::Endpoint).then(|| self.endpoint()),
            protection: is_known(Missing::Protection).then(|| self.protection()),
            target: Target { application: self.application.clone(), entry: self.entry.clone() },
            operation: self.operation(),
            outcome: self.outcome,
            signals: self.signals.iter().map(signal).collect(),
        }
    }

    fn account(&self) -> Account {
        Account {
            id: AccountId::new(&self.account_id),
            login: self.login.clone(),
            dn: self.dn.clone(),
            mail: self.mail.clone(),
            kind: self.kind,
            privileged: self.privileged,
            cloud_enabled: self.cloud_enabled,
            risk: self.account_risk,
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.address,
            name: self.endpoint_name.clone(),
            site: self.site.clone(),
            shared: self.shared,
            associated: self.associated,
            risk: self.endpoint_risk,
        }
    }

    fn protection(&self) -> Protection {
        if !self.tls {
            return Protection::Cleartext;
        }
        let certificate = self.certificate.clone();
        Protection::Tls(Tls {
            version: "TLS 1.3".to_owned(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
            client_certificate: certificate.map(|(subject, alternative_names, fingerprint)| ClientCertificate {
                subject,
                alternative_names,
                fingerprint,
            }),
        })
    }

    fn operation(&self) -> Operation {
        match self.operation {
            OperationKind::Bind => Operation::Bind(match self.bind_method.as_str() {
                "anonymous" => BindMethod::Anonymous,
                "simple" => BindMethod::Simple,
                method => match method.strip_prefix("opaque ") {
                    Some(mechanism) => BindMethod::OpaqueSasl(mechanism.to_owned()),
                    None => BindMethod::Sasl(method.to_owned()),
                },
            }),
            OperationKind::Search => Operation::Search(Some(Search {
                base: self.entry.clone().unwrap_or_default(),
                scope: SearchScope::Subtree,
                filter: self.filter.clone(),
                attributes: self.attributes.clone(),
            })),
            OperationKind::Compare => Operation::Compare,
            OperationKind::Add => Operation::Add,
            OperationKind::Modify => Operation::Modify(self.attributes.clone()),
            OperationKind::Delete => Operation::Delete,
            OperationKind::Rename => Operation::Rename,
            OperationKind::PasswordChange => Operation::PasswordChange,
            OperationKind::Extended => Operation::Extended(self.operation_name.clone()),
            OperationKind::SignIn => Operation::SignIn,
            OperationKind::AppAccess => Operation::AppAccess,
            OperationKind::Other => Operation::Other(self.operation_name.clone()),
        }
    }
}

/// What the directory says about the account.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Known {
    /// Common names or DNs.
    groups: Vec<String>,
    units: Vec<String>,
    attributes: BTreeMap<String, Vec<String>>,
}

impl Known {
    pub(super) fn facts(&self) -> AccountFacts {
        let group = |text: &String| match text.split_once('=') {
            Some((_, rest)) => {
                Group { dn: text.clone(), name: rest.split(',').next().unwrap_or_default().trim().to_owned() }
            }
            None => Group { dn: format!("cn={text},ou=groups,dc=example,dc=com"), name: text.clone() },
        };
        let attribute = |(name, values): (&String, &Vec<String>)| (name.to_lowercase(), values.clone());
        AccountFacts {
            groups: self.groups.iter().map(group).collect(),
            units: self.units.clone(),
            attributes: self.attributes.iter().map(attribute).collect(),
        }
    }
}

/// An answered challenge.
pub(super) fn answer(connector: &str, outcome: ChallengeOutcome, at: Timestamp) -> Evidence {
    Evidence::Challenge(ChallengeResult { connector: ConnectorName::new(connector), outcome, at, remembered: false })
}
