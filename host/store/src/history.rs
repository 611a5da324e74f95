//! Events that were imported: told by their ids, and where in the log they are.
//!
//! A part of an import is one transaction with its own events at the end of the log, so they stand beside each other. What is
//! learned from live events and what from imported ones is read apart, each from where it was left.

use std::collections::HashSet;

use async_trait::async_trait;
use portcullis_core::EventId;
use portcullis_core::event::{Event, Record};
use portcullis_core::history::{HistoryStore, PastRecord};
use portcullis_core::store::{Sequence, StoreError, StoredEvent};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use uuid::Uuid;

use crate::Store;
use crate::batch::Batch;
use crate::events::stored_event;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{signed, unsigned};
use crate::work::{Entry, Work};

/// Ids that one statement asks for.
const MOST_IDS: usize = 256;
/// Records of one part. A transaction of them holds up decisions for some ten milliseconds.
const MOST_RECORDS: usize = 2048;

#[async_trait]
impl HistoryStore for Store {
    async fn known_events(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        let mut known = HashSet::new();
        for part in ids.chunks(MOST_IDS) {
            let rows = asking(part.iter().map(|id| id.0)).fetch_all(self.readers()).await.map_err(store_error)?;
            for row in &rows {
                known.insert(id(row.try_get("id").map_err(store_error)?)?);
            }
        }
        Ok(known)
    }

    async fn put_history(&self, records: Vec<PastRecord>) -> Result<u64, StoreError> {
        if records.len() > MOST_RECORDS {
            let text = format!("{} imported events; {MOST_RECORDS} can be stored at once", records.len());
            return Err(StoreError::Quota(text));
        }
        let mut entries = Vec::with_capacity(records.len());
        for PastRecord { event, learned } in records {
            let event = Event::Imported(Box::new(event));
            entries.push(Entry::of(Record { event, learned, incidents: Vec::new() })?);
        }
        self.queue(Work::PutHistory(entries))?.done().await
    }

    async fn log_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        between(self, after.0, u64::MAX, limit).await
    }
}

impl Store {
    /// The first run of imported events that ends behind `after`.
    pub(crate) async fn run_behind(&self, after: u64) -> Result<Option<(u64, u64)>, StoreError> {
        let found: Option<(i64, i64)> =
            sqlx::query_as("SELECT first, last FROM imported_events WHERE last > ?1 ORDER BY last LIMIT 1")
                .bind(signed(after))
                .fetch_optional(self.readers())
                .await
                .map_err(store_error)?;
        Ok(found.map(|(first, last)| (unsigned(first), unsigned(last))))
    }

    /// The last run of them that begins before `before`.
    pub(crate) async fn run_before(&self, before: i64) -> Result<Option<(i64, i64)>, StoreError> {
        sqlx::query_as("SELECT first, last FROM imported_events WHERE first < ?1 ORDER BY last DESC LIMIT 1")
            .bind(before)
            .fetch_optional(self.readers())
            .await
            .map_err(store_error)
    }

    pub(crate) async fn live_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let mut after = after;
        loop {
            match self.run_behind(after).await? {
                Some((first, last)) if first <= after.saturating_add(1) => after = last,
                Some((first, _)) => return between(self, after, first, limit).await,
                None => return between(self, after, u64::MAX, limit).await,
            }
        }
    }

    pub(crate) async fn past_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let Some((first, last)) = self.run_behind(after).await? else { return Ok(Vec::new()) };
        between(self, after.max(first.saturating_sub(1)), last.saturating_add(1), limit).await
    }
}

/// Events behind `after` and before `before`.
async fn between(store: &Store, after: u64, before: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
    let rows = sqlx::query(
        "SELECT sequence, json FROM events WHERE sequence > ?1 AND sequence < ?2 ORDER BY sequence LIMIT ?3",
    )
    .bind(signed(after))
    .bind(signed(before))
    .bind(limit)
    .fetch_all(store.readers())
    .await
    .map_err(store_error)?;
    rows.iter().map(stored_event).collect()
}

/// Stores the entries that are not there yet, and where they are. Returns how many those were.
pub(crate) async fn put<'a>(
    connection: &mut SqliteConnection,
    batch: &mut Batch<'a>,
    entries: &'a [Entry],
) -> Result<u64, Fault> {
    let mut known = HashSet::new();
    for part in entries.chunks(MOST_IDS) {
        let ids = part.iter().map(|entry| Uuid::from_bytes(entry.row.id));
        for row in &asking(ids).fetch_all(&mut *connection).await? {
            known.insert(id(row.try_get("id")?)?);
        }
    }
    let first = batch.next();
    // What has just been added is known to the next entries.
    for entry in entries.iter().filter(|entry| known.insert(EventId(Uuid::from_bytes(entry.row.id)))) {
        batch.append_entry(entry);
    }
    let stored = batch.next() - first;
    if stored > 0 {
        let last = first + stored - 1;
        let longer = sqlx::query("UPDATE imported_events SET last = ?1 WHERE last = ?2")
            .bind(signed(last))
            .bind(signed(first - 1))
            .execute(&mut *connection)
            .await?;
        if longer.rows_affected() == 0 {
            sqlx::query("INSERT INTO imported_events (last, first) VALUES (?1, ?2)")
                .bind(signed(last))
                .bind(signed(first))
                .execute(connection)
                .await?;
        }
    }
    Ok(stored)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Asks which of the ids, of which there are at most [`MOST_IDS`], the log has.
fn asking<'q>(ids: impl Iterator<Item = Uuid>) -> Query<'q> {
    // Always the same number, so that it is always the same statement.
    let places = vec!["(?)"; MOST_IDS].join(",");
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "WITH asked (id) AS MATERIALIZED (VALUES {places})
         SELECT id FROM event_ids WHERE id IN (SELECT id FROM asked)
         UNION ALL SELECT id FROM events
             WHERE sequence > (SELECT through FROM settled) AND id IN (SELECT id FROM asked)"
    )));
    for id in ids.map(|id| Some(id.into_bytes().to_vec())).chain(std::iter::repeat(None)).take(MOST_IDS) {
        query = query.bind(id);
    }
    query
}

fn id(bytes: &[u8]) -> Result<EventId, StoreError> {
    let bytes =
        <[u8; 16]>::try_from(bytes).map_err(|_| damaged("the id of an event", format!("{} bytes", bytes.len())))?;
    Ok(EventId(Uuid::from_bytes(bytes)))
}
