//! Exclusions that are made up: 3 is in force, 2 has expired, 1 was undone. Honeytokens are grave, guessing is not.

use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::exclusion::*;
use portcullis_core::incident::{Incident, IncidentSource};
use portcullis_core::policy::Severity;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, EventId, IncidentId, Timestamp};

/// Remembers what was wished for and what was undone.
#[derive(Default)]
pub struct FakeExclusions {
    pub said: Mutex<Vec<String>>,
    /// What the next wish is refused with.
    pub refusal: Mutex<Option<ExclusionError>>,
}

fn exclusion(number: u64, until: Option<u64>, undone: bool) -> Exclusion {
    Exclusion {
        number,
        scope: Scope {
            detections: if number == 3 { "honeytoken" } else { "guessing" }.to_owned(),
            account: (number != 2).then(|| AccountId::new("mallory-id")),
            login: (number != 2).then(|| "mallory <b>".to_owned()),
            network: network_of("10.1.9.0/24").filter(|_| number != 1),
            until: until.map(Timestamp),
        },
        reason: "The scanner of the <i>audit</i> department.".to_owned(),
        person: "admin".to_owned(),
        made_at: Timestamp(super::BEGIN - 3_600_000),
        incident: IncidentId(uuid::Uuid::from_u128(1 << 32)),
        event: EventId(uuid::Uuid::from_u128(u128::from(number))),
        undone: undone.then(|| (Timestamp(super::BEGIN - 1_000), "ada".to_owned())),
    }
}

#[async_trait]
impl ExclusionDesk for FakeExclusions {
    fn choice(&self, incident: &Incident) -> Option<Choice> {
        let IncidentSource::Detection(name) = &incident.source else { return None };
        let silenced = |name: &str, severity| Silenced { name: name.to_owned(), severity: Some(severity) };
        let (group, severity) =
            if name == "honeytoken" { ("reconnaissance", Severity::Critical) } else { ("guessing", Severity::Medium) };
        Some(Choice {
            has_account: !incident.account.as_str().starts_with("address:"),
            detection: silenced(name, severity),
            group: group.to_owned(),
            members: vec![silenced(name, severity), silenced("bulk-extraction", Severity::Medium)],
        })
    }
    async fn exclusions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Exclusion>, StoreError> {
        let all = [
            exclusion(3, Some(super::BEGIN + 3_155_760_000_000), false),
            exclusion(2, Some(super::BEGIN - 1), false),
            exclusion(1, None, true),
        ];
        let older = |one: &Exclusion| before.is_none_or(|before| one.number < before);
        Ok(all.into_iter().filter(older).take(limit as usize).collect())
    }
    async fn exclude(&self, incident: &Incident, wish: Wish, person: &str) -> Result<(), ExclusionError> {
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        let Wish { group, for_account, network, until, reason, sure } = wish;
        let network = network.map(|network| network.to_string());
        let until = until.map(|until| until.0);
        let login = &incident.login;
        self.said.lock().unwrap().push(format!(
            "{person}: {login} {} {for_account} {network:?} {until:?} {reason:?} {sure}",
            if group { "group" } else { "detection" },
        ));
        Ok(())
    }
    async fn undo(&self, number: u64, person: &str) -> Result<bool, StoreError> {
        if number == 3 {
            self.said.lock().unwrap().push(format!("{person}: undo {number}"));
        }
        Ok(number == 3)
    }
}
