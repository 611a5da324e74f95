//! The events of one transaction on their way into the log, with what is learned from them.
//!
//! Each call of the database is handed to its thread and back, which costs more than writing a row. So all rows of a
//! transaction are written by one call; where nothing else is in the transaction, that call also begins and commits it.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use portcullis_core::learned::Observation;
use portcullis_core::store::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Either, Executor as _, Row as _, SqliteConnection};

use crate::chain::{BatchHash, START, event_digest};
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, signed, unsigned};
use crate::work::Entry;

/// Where the log ends and what else the writer has to know to go on. It stays true until somebody else writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Number of the last batch; 0 before the first.
    pub(crate) number: u64,
    /// Its hash.
    pub(crate) hash: [u8; 32],
    /// Sequence of the last event; 0 before the first.
    pub(crate) sequence: u64,
    /// How many sightings there are.
    pub(crate) sightings: u64,
    /// Changes when somebody else has written (SQLite, `PRAGMA data_version`).
    pub(crate) data_version: i64,
}

impl End {
    /// To be asked inside a transaction that may write.
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self, Fault> {
        let row = sqlx::query(
            "SELECT data_version, number, hash, last_sequence,
                    (SELECT COALESCE(MAX(sequence), 0) FROM events) AS sequence,
                    (SELECT COALESCE(MAX(number), 0) FROM sightings) AS sightings
             FROM pragma_data_version
             LEFT JOIN (SELECT number, hash, last_sequence FROM batches ORDER BY number DESC LIMIT 1)",
        )
        .fetch_one(connection)
        .await?;
        let number: Option<i64> = row.try_get("number")?;
        let covered: i64 = row.try_get::<Option<i64>, _>("last_sequence")?.unwrap_or(0);
        // Somebody may have added an event behind the back of the chain. `verify` names it; new ones go after it.
        let highest: i64 = row.try_get("sequence")?;
        Ok(Self {
            number: unsigned(number.unwrap_or(0)),
            hash: if number.is_some() { hash(&row, "hash")? } else { START },
            sequence: unsigned(i64::max(covered, highest)),
            sightings: unsigned(row.try_get("sightings")?),
            data_version: row.try_get("data_version")?,
        })
    }
}

/// The events of one transaction.
pub(crate) struct Batch<'a> {
    end: End,
    rows: Vec<&'a EventRow>,
    observations: Vec<&'a Observation>,
}

/// What has been written.
pub(crate) struct Written<'a> {
    /// Where the log ends now.
    pub(crate) end: End,
    /// How many events there were.
    pub(crate) count: u64,
    pub(crate) observations: Vec<&'a Observation>,
}

impl<'a> Batch<'a> {
    /// Goes on where the log ends.
    pub(crate) fn after(end: End, capacity: usize) -> Self {
        Self { end, rows: Vec::with_capacity(capacity), observations: Vec::with_capacity(capacity) }
    }

    pub(crate) fn append(&mut self, row: &'a EventRow) {
        self.rows.push(row);
    }

    pub(crate) fn append_entry(&mut self, entry: &'a Entry) {
        self.append(&entry.row);
        self.observations.extend(&entry.learned);
    }

    /// Writes everything and commits the transaction. As [`Span::Whole`], it also begins it, and returns none when
    /// somebody else has written meanwhile: then nothing has happened.
    pub(crate) async fn commit(
        self,
        connection: &mut SqliteConnection,
        span: Span,
    ) -> Result<Option<Written<'a>>, Fault> {
        let Self { mut end, rows, observations } = self;
        if rows.is_empty() {
            (&mut *connection).execute("COMMIT").await?;
            return Ok(Some(Written { end, count: 0, observations }));
        }
        let count = number_of(rows.len());
        let (number, previous, first) = (end.number + 1, end.hash, end.sequence + 1);
        let mut hash = BatchHash::new(&previous, number);
        let mut rows: Vec<_> = (first..)
            .zip(rows)
            .map(|(sequence, row)| {
                let digest = event_digest(sequence, &row.json);
                hash.add(&digest);
                Place { sequence, row, digest }
            })
            .collect();
        let mut learned = observations.as_slice();
        if span == Span::End {
            (rows, learned) = ahead(connection, number, rows, learned).await?;
        }
        let last = number_of(rows.len());
        let slots = slots(rows.len().max(learned.len()));
        let sql = statements(span, slots, !learned.is_empty());
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(signed(number));
        for place in &rows {
            query = place.bind(query);
        }
        for _ in 0..EVENT_COLUMNS * (slots - rows.len()) {
            query = query.bind(None::<i64>);
        }
        end.number = number;
        end.hash = hash.finish();
        end.sequence += count;
        query = query
            .bind(end.data_version)
            .bind(signed(number))
            .bind(previous.to_vec())
            .bind(end.hash.to_vec())
            .bind(signed(count))
            .bind(signed(first))
            .bind(signed(end.sequence));
        if !learned.is_empty() {
            for observation in learned {
                query = bind_observation(query, observation);
            }
            for _ in 0..SIGHTING_COLUMNS * (slots - learned.len()) {
                query = query.bind(None::<i64>);
            }
        }
        end.sightings += number_of(observations.len());

        // The results in their order; the events' one is the first, or the second after the one of the beginning.
        let mut results = (&mut *connection).fetch_many(query);
        let mut written = Vec::with_capacity(5);
        while let Some(result) = results.try_next().await? {
            if let Either::Left(done) = result {
                written.push(done.rows_affected());
            }
        }
        let place = usize::from(matches!(span, Span::Whole));
        let complete = written.get(place) == Some(&last);
        Ok(complete.then_some(Written { end, count, observations }))
    }
}

/// An event with its place in the log.
struct Place<'a> {
    sequence: u64,
    row: &'a EventRow,
    digest: [u8; 32],
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

impl<'a> Place<'a> {
    fn bind<'q>(&self, query: Query<'q>) -> Query<'q>
    where
        'a: 'q,
    {
        let row = self.row;
        query
            .bind(signed(self.sequence))
            .bind(row.id.as_slice())
            .bind(row.at)
            .bind(row.account.clone())
            .bind(row.endpoint.clone())
            .bind(row.decision)
            .bind(Arc::clone(&row.json))
            .bind(self.digest.to_vec())
    }
}

fn bind_observation<'q>(query: Query<'q>, observation: &'q Observation) -> Query<'q> {
    query.bind(observation.account.as_str()).bind(observation.address.to_string()).bind(millis(observation.at))
}

/// Writes, inside a transaction, what is more than one call takes ([`MOST_ROWS`]), and returns the rest.
async fn ahead<'a, 'b>(
    connection: &mut SqliteConnection,
    number: u64,
    mut rows: Vec<Place<'a>>,
    mut learned: &'b [&'a Observation],
) -> Result<(Vec<Place<'a>>, &'b [&'a Observation]), Fault> {
    while rows.len() > MOST_ROWS {
        let rest = rows.split_off(MOST_ROWS);
        let mut sql = String::with_capacity(32 * MOST_ROWS);
        sql.push_str(
            "INSERT INTO events (sequence, id, at, account, endpoint, decision, json, digest, batch)
             SELECT *, ? FROM (VALUES ",
        );
        values(&mut sql, MOST_ROWS, EVENT_COLUMNS);
        sql.push(')');
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(signed(number));
        for place in &rows {
            query = place.bind(query);
        }
        query.execute(&mut *connection).await?;
        rows = rest;
    }
    while let Some((now, rest)) = learned.split_at_checked(MOST_ROWS).filter(|(_, rest)| !rest.is_empty()) {
        let mut sql = "INSERT INTO sightings (account, address, at) VALUES ".to_owned();
        values(&mut sql, MOST_ROWS, SIGHTING_COLUMNS);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for observation in now {
            query = bind_observation(query, observation);
        }
        query.execute(&mut *connection).await?;
        learned = rest;
    }
    Ok((rows, learned))
}

fn number_of(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// How much of a transaction a [`Batch`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// All of it.
    Whole,
    /// Its end.
    End,
}

/// Rows that one call writes at most: a statement of SQLite has 32,766 parameters.
const MOST_ROWS: usize = 512;
const EVENT_COLUMNS: usize = 8;
const SIGHTING_COLUMNS: usize = 3;

/// Rows that the statements for `rows` rows have. There are only some sizes, so that each has its prepared statement;
/// what is too much stays empty.
fn slots(rows: usize) -> usize {
    // 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
    let power = rows.next_power_of_two();
    if power / 4 * 3 >= rows && power >= 4 { power / 4 * 3 } else { power }
}

/// The statements with that many rows. A parameter that has no number is the next one; looking for numbered ones takes
/// SQLite a time that grows with the square of their number.
///
/// Nothing is written where another process has changed the database: then the events find the version not to be theirs,
/// and what comes after them finds no events. `OR ROLLBACK` spares SQLite keeping what a single statement has changed.
fn statements(span: Span, slots: usize, with_sightings: bool) -> String {
    let mut sql = String::with_capacity(32 * slots + 1024);
    if span == Span::Whole {
        // Takes the write lock at once: a transaction that starts as a reader can fail halfway when somebody else writes.
        sql.push_str("BEGIN IMMEDIATE; ");
    }
    sql.push_str(
        "INSERT OR ROLLBACK INTO events (sequence, id, at, account, endpoint, decision, json, digest, batch)
         SELECT *, ? FROM (VALUES ",
    );
    values(&mut sql, slots, EVENT_COLUMNS);
    sql.push_str(
        ") WHERE column1 IS NOT NULL AND (SELECT data_version FROM pragma_data_version) = ?;
         INSERT OR ROLLBACK INTO batches (number, previous, hash, count, first_sequence, last_sequence)
         SELECT ?, ?, ?, ?, ?, ? WHERE changes() > 0; ",
    );
    if with_sightings {
        sql.push_str("INSERT OR ROLLBACK INTO sightings (account, address, at) SELECT * FROM (VALUES ");
        values(&mut sql, slots, SIGHTING_COLUMNS);
        sql.push_str(") WHERE column1 IS NOT NULL AND changes() > 0; ");
    }
    sql.push_str("COMMIT");
    sql
}

fn values(sql: &mut String, rows: usize, columns: usize) {
    let row = ["?"].repeat(columns).join(",");
    for number in 0..rows {
        let separator = if number == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(sql, "{separator}({row})");
    }
}

/// A hash from a column; one that is not 32 bytes long is damage.
pub(crate) fn hash(row: &SqliteRow, column: &str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column).map_err(store_error)?;
    bytes.try_into().map_err(|_| damaged(column, format!("{} bytes are no hash", bytes.len())))
}
