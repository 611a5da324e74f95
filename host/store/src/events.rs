//! The event log.

use async_trait::async_trait;
use portcullis_core::BoxFuture;
use portcullis_core::event::{Decision, Event, PastEvent, Record};
use portcullis_core::store::{EventStore, Sequence, StoreError, StoredEvent};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::fault::{damaged, store_error};
use crate::numbers::{millis, signed, unsigned};
use crate::outbox::NewRow;
use crate::text::Text;
use crate::work::{Entry, Work};

#[async_trait]
impl EventStore for Store {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), StoreError>> {
        // Queued here and not inside the future, so that the order of calls is the order of events.
        let queued = Entry::of(record).and_then(|entry| self.queue(Work::Append(Box::new(entry))));
        Box::pin(async move { queued?.done().await.map(drop) })
    }

    async fn recent(&self, before: Option<Sequence>, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let mut before = before.map_or(i64::MAX, |sequence| signed(sequence.0));
        let mut found = Vec::new();
        loop {
            // Imported events may be many, and are passed over by the run.
            let (first, last) = self.run_before(before).await?.unwrap_or((0, 0));
            let left = u32::try_from(found.len()).map_or(0, |count| limit.saturating_sub(count));
            let rows = sqlx::query(
                "SELECT sequence, json FROM events WHERE sequence < ?1 AND sequence > ?2 ORDER BY sequence DESC LIMIT ?3",
            )
            .bind(before)
            .bind(last)
            .bind(left)
            .fetch_all(self.readers())
            .await
            .map_err(store_error)?;
            for row in &rows {
                found.push(stored_event(row)?);
            }
            if first == 0 || found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Ok(found);
            }
            before = first;
        }
    }

    async fn changed(&self, seen: Sequence) -> Sequence {
        let mut mark = self.mark();
        let reached = mark.wait_for(|now| *now != seen.0).await.map(|now| Sequence(*now));
        // The sender lives in `self`, so waiting cannot fail while we are here.
        reached.unwrap_or(seen)
    }
}

pub(crate) fn stored_event(row: &SqliteRow) -> Result<StoredEvent, StoreError> {
    let sequence = unsigned(row.try_get("sequence").map_err(store_error)?);
    let json: &str = row.try_get("json").map_err(store_error)?;
    let event = serde_json::from_str(json).map_err(|error| damaged(&format!("event {sequence}"), error))?;
    Ok(StoredEvent { sequence: Sequence(sequence), event })
}

impl Entry {
    pub(crate) fn of(record: Record) -> Result<Self, StoreError> {
        let notices = NewRow::all_of(&record.event);
        let mut row = EventRow::of(&record.event)?;
        if let Some(learned) = &record.learned {
            let is_its_own = row.account.as_deref() == Some(learned.account.as_str())
                && row.endpoint.as_deref() == Some(&*learned.address.to_string());
            if !is_its_own {
                let event = record.event.id();
                let text = format!("event {event} would teach of another account or endpoint than its own");
                return Err(StoreError::Unavailable(text));
            }
            row.learned_at = Some(millis(learned.at));
        }
        Ok(Self { row, learned: record.learned, incidents: record.incidents, notices })
    }
}

/// An event as it stands in the table, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) id: [u8; 16],
    pub(crate) at: i64,
    pub(crate) account: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) decision: Option<&'static str>,
    /// When the account used the endpoint, where that is learned from it.
    pub(crate) learned_at: Option<i64>,
    pub(crate) json: Text,
}

impl EventRow {
    pub(crate) fn of(event: &Event) -> Result<Self, StoreError> {
        let json = Text::of(event)
            .map_err(|error| StoreError::Unavailable(format!("event {} cannot be written: {error}", event.id())))?;
        let (account, endpoint, decision) = match event {
            Event::Access(event) => (
                event.access.account.as_ref(),
                event.access.endpoint.as_ref().map(|endpoint| endpoint.address),
                Some(decision_text(event.decision)),
            ),
            Event::Summary(summary) => (summary.account.as_ref(), Some(summary.endpoint.address), None),
            Event::Administration(_) => (None, None, None),
            // What was decided then was not decided here, and is nothing to run policies over.
            Event::Imported(imported) => match &imported.event {
                PastEvent::Access(event) => {
                    let access = &event.access;
                    (access.account.as_ref(), access.endpoint.as_ref().map(|endpoint| endpoint.address), None)
                }
                PastEvent::Summary(summary) => (summary.account.as_ref(), Some(summary.endpoint.address), None),
            },
        };
        Ok(Self {
            id: event.id().0.into_bytes(),
            at: millis(event.at()),
            account: account.map(|account| account.id.as_str().to_owned()),
            endpoint: endpoint.map(|address| address.to_string()),
            decision,
            learned_at: None,
            json,
        })
    }
}

fn decision_text(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Block => "block",
        Decision::Refused => "refused",
        Decision::Abandoned => "abandoned",
    }
}
