//! Accesses that are as harmless as can be, for properties to change.

use std::rc::Rc;

use rules::action::OUTCOMES;
use rules::condition::Facts;
use rules::contract::exports::portcullis::gateway::policy::{ChallengeResult, Evidence};
use rules::contract::portcullis::gateway::types::{
    Access, Account, AccountKind, BindMethod, Endpoint, Operation, Outcome, Protection, Target,
};

/// Tuesday, 2026-11-24, 10:00 UTC.
const MOMENT: u64 = 1_795_514_400_000;

/// What properties change about an access.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// What is not known: `account`, `endpoint`.
    pub without: Vec<String>,
    pub privileged: bool,
    pub cloud_enabled: Option<bool>,
    pub account_risk: u8,
    pub associated: bool,
    pub shared: bool,
    pub entry: Option<&'static str>,
}

impl Scene {
    pub fn access(&self) -> Access {
        let is_known = |what: &str| !self.without.iter().any(|missing| missing == what);
        let account = is_known("account").then(|| Account {
            id: "5f7d".to_owned(),
            login: "alice".to_owned(),
            dn: None,
            mail: None,
            kind: AccountKind::Human,
            privileged: self.privileged,
            cloud_enabled: self.cloud_enabled,
            risk: self.account_risk,
        });
        let endpoint = is_known("endpoint").then(|| Endpoint {
            address: "10.1.2.3".to_owned(),
            name: None,
            site: None,
            shared: self.shared,
            associated: self.associated,
            risk: 0,
        });
        Access {
            id: "01934c5e-0000-7000-8000-000000000001".to_owned(),
            at: MOMENT,
            source: "ldap".to_owned(),
            account,
            endpoint,
            protection: Some(Protection::Cleartext),
            target: Target { application: "wiki".to_owned(), entry: self.entry.map(str::to_owned) },
            operation: Operation::Bind(BindMethod::Simple),
            outcome: Outcome::Success,
            signals: Vec::new(),
        }
    }
}

/// A directory that knows nothing about the account.
pub struct Unknown;

impl Facts for Unknown {
    fn member_of(&self, _: &str) -> bool {
        false
    }

    fn units(&self) -> Rc<[String]> {
        Rc::from([])
    }

    fn attribute(&self, _: &str) -> Rc<[String]> {
        Rc::from([])
    }
}

pub fn evidence(connector: &str, outcome: &str) -> Evidence {
    let outcome = OUTCOMES.iter().find(|(name, _)| *name == outcome).map(|(_, outcome)| *outcome);
    Evidence::Challenge(ChallengeResult {
        connector: connector.to_owned(),
        outcome: outcome.expect("an outcome of a challenge"),
        at: MOMENT,
        remembered: false,
    })
}
