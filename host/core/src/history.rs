//! What happened before: events that are imported, and all events for those who take them elsewhere.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::EventId;
use crate::event::ImportedEvent;
use crate::learned::Observation;
use crate::store::{Sequence, StoreError, StoredEvent};

/// An imported event with what the store learns from it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRecord {
    /// The event.
    pub event: ImportedEvent,
    /// What is learned.
    pub learned: Option<Observation>,
}

/// Imports and exports.
#[async_trait]
pub trait HistoryStore: Send + Sync {
    /// Those of the ids that events in the log have.
    async fn known_events(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError>;

    /// Stores the records whose ids are not there yet, in one transaction, and returns how many those were. A second record
    /// with the id of an earlier one is left out as well.
    async fn put_history(&self, records: Vec<PastRecord>) -> Result<u64, StoreError>;

    /// Up to `limit` events behind `after`, all of them, in their order.
    async fn log_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;
}
