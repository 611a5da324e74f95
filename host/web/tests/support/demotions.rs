//! Demotions that are made up: alice's stands, bob's is over, eve's was refused.

use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::demotion::*;
use portcullis_core::event::{Event, Record};
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, BoxFuture, EventId, PolicyName, Timestamp};

/// Remembers who was to be put back.
#[derive(Default)]
pub struct FakeDemotions {
    pub restored: Mutex<Vec<String>>,
}

fn demotion(number: u64, login: &str, state: DemotionState) -> Demotion {
    let wanted = WantedDemotion {
        event: EventId(uuid::Uuid::from_u128(u128::from(number))),
        at: Timestamp(super::BEGIN),
        account: AccountId::new(format!("{login}-id")),
        login: login.to_owned(),
        policy: PolicyName::new("second-factor"),
        group: "vault-users".to_owned(),
        restore_after_seconds: 600,
        from_times: 2,
    };
    let membership = (state != DemotionState::Failed).then(|| Membership {
        group: "cn=vault-users,ou=groups,dc=example,dc=com".to_owned(),
        attribute: "member".to_owned(),
        value: format!("uid={login},ou=people,dc=example,dc=com"),
    });
    Demotion {
        number,
        wanted,
        state,
        changed_at: Timestamp(super::BEGIN),
        membership,
        restore_at: (state == DemotionState::Demoted).then_some(Timestamp(super::BEGIN + 600_000)),
        restore_by: None,
        note: if state == DemotionState::Failed { "there is no group <b>".to_owned() } else { String::new() },
    }
}

#[async_trait]
impl DemotionStore for FakeDemotions {
    fn want_demotion(&self, _: WantedDemotion) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
    async fn due_demotions(&self, _: Timestamp, _: u64, _: u32) -> Result<Vec<DueDemotion>, StoreError> {
        Ok(Vec::new())
    }
    async fn demotions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Demotion>, StoreError> {
        let all = [
            demotion(3, "eve", DemotionState::Failed),
            demotion(2, "alice", DemotionState::Demoted),
            demotion(1, "bob", DemotionState::Restored),
        ];
        let older = |one: &Demotion| before.is_none_or(|before| one.number < before);
        Ok(all.into_iter().filter(older).take(limit as usize).collect())
    }
    async fn standing_demotions(&self, _: &AccountId) -> Result<Vec<Demotion>, StoreError> {
        Ok(Vec::new())
    }
    async fn step_demotion(
        &self,
        _: u64,
        _: DemotionState,
        _: DemotionStep,
        _: Option<Record>,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }
    async fn restore_demotion(&self, number: u64, person: &str, _: Timestamp, _: Event) -> Result<bool, StoreError> {
        if number == 2 {
            self.restored.lock().unwrap().push(format!("{person}: {number}"));
        }
        Ok(number == 2)
    }
}
