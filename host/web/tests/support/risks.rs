//! Risks that are made up. Bob has one, alice seems to be a program.

use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::profile::{Subject, SubjectKind};
use portcullis_core::risk::{FactorOrigin, KindProposal, RiskChange, RiskDesk, RiskError, RiskFactor, RiskReport};
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, AccountKind, Timestamp};

/// Remembers what was to be changed.
#[derive(Default)]
pub struct FakeRisks {
    pub changes: Mutex<Vec<String>>,
}

fn bob() -> RiskReport {
    let factor = RiskFactor {
        name: "brute-force".to_owned(),
        origin: FactorOrigin::Signal,
        reason: "10 wrong passwords.".to_owned(),
        weight: 60,
        now: 30.0,
        at: Timestamp(super::BEGIN),
        count: 3,
        event: None,
        answered: 1,
        put_out_by: None,
    };
    let subject = Subject::Account(AccountId::new("bob-id"));
    RiskReport { subject, name: "bob".to_owned(), score: 30, factors: vec![factor] }
}

#[async_trait]
impl RiskDesk for FakeRisks {
    async fn riskiest(&self, kind: SubjectKind, limit: u32) -> Result<Vec<RiskReport>, StoreError> {
        Ok(if kind == SubjectKind::Account && limit > 0 { vec![bob()] } else { Vec::new() })
    }
    async fn risk(&self, subject: &Subject) -> Result<Option<RiskReport>, StoreError> {
        Ok(Some(bob()).filter(|bob| bob.subject == *subject))
    }
    async fn change(&self, subject: &Subject, person: &str, change: RiskChange) -> Result<RiskReport, RiskError> {
        let bob = bob();
        let unknown = matches!(&change, RiskChange::PutOut { name } if name != "brute-force");
        if bob.subject != *subject || unknown {
            return Err(RiskError::NotFound);
        }
        self.changes.lock().unwrap().push(format!("{person}: {change:?}"));
        Ok(bob)
    }
    async fn proposed_kinds(&self, _: u32) -> Result<Vec<KindProposal>, StoreError> {
        Ok(vec![KindProposal {
            account: AccountId::new("alice-id"),
            login: "alice".to_owned(),
            kind: AccountKind::Service,
            reasons: vec!["It keeps time.".to_owned()],
        }])
    }
    async fn decide_kind(&self, account: &AccountId, person: &str, kind: Option<AccountKind>) -> Result<(), RiskError> {
        if account.as_str() != "alice-id" && account.as_str() != "bob-id" {
            return Err(RiskError::NotFound);
        }
        self.changes.lock().unwrap().push(format!("{person}: {account} {kind:?}"));
        Ok(())
    }
}
