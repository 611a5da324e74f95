//! Demotions that are wanted, in memory. What becomes of them is tried with the real store.

use async_trait::async_trait;
use portcullis_core::demotion::*;
use portcullis_core::event::{Event, Record};
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, BoxFuture, Timestamp};

use super::World;

#[async_trait]
impl DemotionStore for World {
    fn want_demotion(&self, wanted: WantedDemotion) -> BoxFuture<'static, Result<(), StoreError>> {
        self.demotions.lock().unwrap().push(wanted);
        Box::pin(async { Ok(()) })
    }
    async fn due_demotions(&self, _: Timestamp, _: u64, _: u32) -> Result<Vec<DueDemotion>, StoreError> {
        Ok(Vec::new())
    }
    async fn demotions(&self, _: Option<u64>, _: u32) -> Result<Vec<Demotion>, StoreError> {
        Ok(Vec::new())
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
    async fn restore_demotion(&self, _: u64, _: &str, _: Timestamp, _: Event) -> Result<bool, StoreError> {
        Ok(false)
    }
}
