//! Exclusions in memory. That they go with incidents and events is tried with the real store.

use async_trait::async_trait;
use portcullis_core::event::Event;
use portcullis_core::exclusion::*;
use portcullis_core::store::StoreError;
use portcullis_core::{IncidentId, Timestamp};

use super::World;

#[async_trait]
impl ExclusionStore for World {
    async fn exclusions(&self, _: Option<u64>, _: u32) -> Result<Vec<Exclusion>, StoreError> {
        Ok(self.exclusions.lock().unwrap().clone())
    }
    async fn exclusions_in_force(&self, now: Timestamp) -> Result<Vec<Exclusion>, StoreError> {
        let all = self.exclusions.lock().unwrap();
        Ok(all.iter().filter(|one| one.state(now) == ExclusionState::InForce).cloned().collect())
    }
    async fn exclude(
        &self,
        incident: IncidentId,
        new: NewExclusion,
        person: &str,
        event: Event,
    ) -> Result<bool, StoreError> {
        let mut all = self.exclusions.lock().unwrap();
        let number = all.len() as u64 + 1;
        all.push(Exclusion {
            number,
            scope: new.scope,
            reason: new.reason,
            person: person.to_owned(),
            made_at: event.at(),
            incident,
            event: event.id(),
            undone: None,
        });
        drop(all);
        self.note(event);
        Ok(true)
    }
    async fn undo_exclusion(&self, number: u64, person: &str, event: Event) -> Result<bool, StoreError> {
        let mut all = self.exclusions.lock().unwrap();
        let Some(one) = all.iter_mut().find(|one| one.number == number && one.undone.is_none()) else {
            return Ok(false);
        };
        one.undone = Some((event.at(), person.to_owned()));
        drop(all);
        self.note(event);
        Ok(true)
    }
}

impl World {
    fn note(&self, event: Event) {
        let record = portcullis_core::event::Record { event, learned: None, incidents: Vec::new() };
        self.records.lock().unwrap().push(record);
    }
}
