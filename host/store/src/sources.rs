//! Events of cloud services: how far each source was read, which events are there, what has to follow.

use std::collections::HashSet;

use async_trait::async_trait;
use portcullis_core::ConnectorName;
use portcullis_core::cloud::{FollowUp, OpenFollowUp, SourcePage, SourceState, SourceStore};
use portcullis_core::event::{Event, Record};
use portcullis_core::store::StoreError;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::Store;
use crate::batch::Batch;
use crate::challenges;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, signed, timestamp, unsigned};
use crate::settle::sequence_of;
use crate::work::{self, Entry, ForeignEntry, Page, Work};

/// Ids that one statement takes.
const MOST_IDS: usize = 256;
/// Events of one page. A batch of the log has room for as many, and for the other writes of its transaction.
const MOST_EVENTS: usize = 2048;

#[async_trait]
impl SourceStore for Store {
    async fn source_state(&self, source: &ConnectorName) -> Result<Option<SourceState>, StoreError> {
        let found: Option<(Option<String>, Option<i64>)> =
            sqlx::query_as("SELECT cursor, complete_to FROM sources WHERE name = ?1")
                .bind(source.as_str())
                .fetch_optional(self.readers())
                .await
                .map_err(store_error)?;
        Ok(found.map(|(cursor, complete_to)| SourceState { cursor, complete_to: complete_to.map(timestamp) }))
    }

    async fn known_ids(&self, source: &ConnectorName, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut known = HashSet::new();
        for part in ids.chunks(MOST_IDS) {
            // Always the same number, so that it is always the same statement.
            let places = vec!["?"; MOST_IDS].join(",");
            let sql = format!("SELECT id FROM foreign_events WHERE source = ? AND id IN ({places})");
            let mut query = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).bind(source.as_str());
            for id in part.iter().map(Some).chain(std::iter::repeat(None)).take(MOST_IDS) {
                query = query.bind(id);
            }
            known.extend(query.fetch_all(self.readers()).await.map_err(store_error)?);
        }
        Ok(known)
    }

    async fn put_page(&self, page: SourcePage) -> Result<u64, StoreError> {
        let SourcePage { source, state, records } = page;
        let mut entries = Vec::with_capacity(records.len());
        for foreign in records {
            let mut entry = Entry::of(foreign.record)?;
            if foreign.is_old {
                entry.notices.clear();
            }
            entries.push(ForeignEntry { id: foreign.id, entry, follow_up: foreign.follow_up, forget: foreign.forget });
        }
        if entries.len() > MOST_EVENTS {
            let text = format!("a page of {} events; {MOST_EVENTS} can be stored at once", entries.len());
            return Err(StoreError::Quota(text));
        }
        self.queue(Work::PutPage(Box::new(Page { source, state, entries })))?.done().await
    }

    async fn open_follow_ups(&self, after: u64, limit: u32) -> Result<Vec<OpenFollowUp>, StoreError> {
        let place = sequence_of("follow_ups.event");
        let rows: Vec<(i64, String, String, String)> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT follow_ups.number, follow_ups.source, follow_ups.json, events.json
             FROM follow_ups JOIN events ON events.sequence = {place}
             WHERE follow_ups.number > ?1 ORDER BY follow_ups.number LIMIT ?2"
        )))
        .bind(signed(after))
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(open_follow_up).collect()
    }

    async fn end_follow_up(&self, number: u64, record: Record, next: Option<FollowUp>) -> Result<(), StoreError> {
        let entry = Box::new(Entry::of(record)?);
        self.queue(Work::EndFollowUp { number, entry, next })?.done().await.map(drop)
    }
}

fn open_follow_up((number, source, what, event): (i64, String, String, String)) -> Result<OpenFollowUp, StoreError> {
    let broken = |error| damaged(&format!("follow-up {number}"), error);
    let event = match serde_json::from_str(&event).map_err(broken)? {
        Event::Access(event) => *event,
        Event::Administration(_) | Event::Summary(_) | Event::Imported(_) => {
            return Err(damaged(&format!("follow-up {number}"), "its event is no access"));
        }
    };
    let what = serde_json::from_str(&what).map_err(broken)?;
    Ok(OpenFollowUp { number: unsigned(number), source: ConnectorName::new(source), what, event })
}

/// Returns how many of the events were not there yet.
pub(crate) async fn put_page<'a>(
    connection: &mut SqliteConnection,
    batch: &mut Batch<'a>,
    page: &'a Page,
) -> Result<u64, Fault> {
    let mut stored = 0;
    for part in page.entries.chunks(MOST_IDS) {
        let mut new = add_ids(connection, &page.source, part).await?;
        // Taken out when it is used: a second event of the page with the same id is none.
        for foreign in part.iter().filter(|foreign| new.remove(&foreign.id)) {
            stored += work::append(connection, batch, &foreign.entry).await?;
            if let Some(what) = &foreign.follow_up {
                add_follow_up(connection, &page.source, &foreign.entry, what).await?;
            }
            if let Some(what) = &foreign.forget {
                challenges::forget(connection, what).await?;
            }
        }
    }
    sqlx::query("INSERT OR REPLACE INTO sources (name, cursor, complete_to) VALUES (?1, ?2, ?3)")
        .bind(page.source.as_str())
        .bind(page.state.cursor.as_deref())
        .bind(page.state.complete_to.map(millis))
        .execute(connection)
        .await?;
    Ok(stored)
}

/// Adds those ids that are not there, and returns them.
async fn add_ids(
    connection: &mut SqliteConnection,
    source: &ConnectorName,
    part: &[ForeignEntry],
) -> Result<HashSet<String>, Fault> {
    let rows = vec!["(?)"; MOST_IDS].join(",");
    let sql = format!(
        "INSERT OR IGNORE INTO foreign_events (source, id)
         SELECT ?, column1 FROM (VALUES {rows}) WHERE column1 IS NOT NULL RETURNING id"
    );
    let mut query = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).bind(source.as_str());
    let ids = part.iter().map(|foreign| Some(foreign.id.as_str()));
    for id in ids.chain(std::iter::repeat(None)).take(MOST_IDS) {
        query = query.bind(id);
    }
    Ok(query.fetch_all(connection).await?.into_iter().collect())
}

async fn add_follow_up(
    connection: &mut SqliteConnection,
    source: &ConnectorName,
    entry: &Entry,
    what: &FollowUp,
) -> Result<(), Fault> {
    let json = serde_json::to_string(what)
        .map_err(|error| StoreError::Unavailable(format!("a follow-up cannot be written: {error}")))?;
    sqlx::query("INSERT INTO follow_ups (source, event, json) VALUES (?1, ?2, ?3)")
        .bind(source.as_str())
        .bind(entry.row.id.as_slice())
        .bind(json)
        .execute(connection)
        .await?;
    Ok(())
}

/// Does nothing where it is not open any more.
pub(crate) async fn end_follow_up<'a>(
    connection: &mut SqliteConnection,
    batch: &mut Batch<'a>,
    number: u64,
    entry: &'a Entry,
    next: Option<&FollowUp>,
) -> Result<u64, Fault> {
    let source: Option<String> = sqlx::query_scalar("DELETE FROM follow_ups WHERE number = ?1 RETURNING source")
        .bind(signed(number))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(source) = source else { return Ok(0) };
    if let Some(next) = next {
        add_follow_up(connection, &ConnectorName::new(source), entry, next).await?;
    }
    work::append(connection, batch, entry).await
}
