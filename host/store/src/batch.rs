//! The events of one transaction on their way into the log, with what is learned from them.
//!
//! This is the way of events that share a transaction with something else; the others go the short one ([`crate::direct`]).
//! Each call of the database is handed to its thread and back, which costs more than writing a row. So all rows of a
//! transaction are written by one call, which also commits it.

use std::fmt::Write as _;

use portcullis_core::learned::Observation;
use portcullis_core::store::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Executor as _, Row as _, SqliteConnection};

use crate::chain::{BatchHash, START, event_digest};
use crate::events::EventRow;
use crate::fault::{Fault, Scope, damaged, store_error};
use crate::identifiers::Identifiers;
use crate::numbers::{signed, unsigned};
use crate::work::Entry;

/// Where the log ends and what else the writer has to know to go on. It stays true until another process stores an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Number of the last batch; 0 before the first.
    pub(crate) number: u64,
    /// Its hash.
    pub(crate) hash: [u8; 32],
    /// Sequence of the last event; 0 before the first.
    pub(crate) sequence: u64,
    /// Through which event the log is settled ([`crate::settle`]).
    pub(crate) settled: u64,
}

/// What an [`End`] is read from.
pub(crate) const LAST: &str = "SELECT number, hash, last_sequence,
            (SELECT COALESCE(MAX(sequence), 0) FROM events) AS sequence,
            (SELECT through FROM settled) AS settled
     FROM (SELECT 0) LEFT JOIN (SELECT number, hash, last_sequence FROM batches ORDER BY number DESC LIMIT 1)";

impl End {
    /// To be asked inside a transaction that may write.
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self, Fault> {
        let row = sqlx::query(LAST).fetch_one(connection).await?;
        let number: Option<i64> = row.try_get("number")?;
        let covered: i64 = row.try_get::<Option<i64>, _>("last_sequence")?.unwrap_or(0);
        // Somebody may have added an event behind the back of the chain. `verify` names it; new ones go after it.
        let highest: i64 = row.try_get("sequence")?;
        Ok(Self {
            number: unsigned(number.unwrap_or(0)),
            // Nothing can be chained to what is no hash, whatever is to be written.
            hash: match number {
                Some(_) => hash(&row, "hash").map_err(|error| Fault { error, scope: Scope::Store })?,
                None => START,
            },
            sequence: unsigned(i64::max(covered, highest)),
            settled: unsigned(row.try_get::<Option<i64>, _>("settled")?.unwrap_or(0)),
        })
    }

    /// Whether nobody has stored an event between the two.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        (self.number, self.hash, self.sequence) == (other.number, other.hash, other.sequence)
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
    /// The events.
    pub(crate) rows: Vec<&'a EventRow>,
    pub(crate) observations: Vec<&'a Observation>,
}

impl<'a> Batch<'a> {
    /// Goes on where the log ends.
    pub(crate) fn after(end: End, capacity: usize) -> Self {
        Self { end, rows: Vec::with_capacity(capacity), observations: Vec::with_capacity(capacity) }
    }

    /// The place that the next event gets.
    pub(crate) fn next(&self) -> u64 {
        self.end.sequence + number_of(self.rows.len()) + 1
    }

    pub(crate) fn append(&mut self, row: &'a EventRow) {
        self.rows.push(row);
    }

    pub(crate) fn append_entry(&mut self, entry: &'a Entry) {
        self.append(&entry.row);
        self.observations.extend(&entry.learned);
    }

    /// Writes everything and commits the transaction.
    pub(crate) async fn commit(
        self,
        connection: &mut SqliteConnection,
        identifiers: &Identifiers,
    ) -> Result<Written<'a>, Fault> {
        let Self { mut end, rows: events, observations } = self;
        if events.is_empty() {
            (&mut *connection).execute("COMMIT").await?;
            return Ok(Written { end, rows: events, observations });
        }
        identifiers.check(connection, &events).await?;
        let count = number_of(events.len());
        let (number, previous, first) = (end.number + 1, end.hash, end.sequence + 1);
        let mut hash = BatchHash::new(&previous, number);
        let rows: Vec<_> = (first..)
            .zip(&events)
            .map(|(sequence, &row)| {
                let digest = event_digest(sequence, &row.json);
                hash.add(&digest);
                Place { sequence, row, digest }
            })
            .collect();
        let rows = ahead(connection, number, rows).await?;
        let slots = slots(rows.len());
        let mut query = sqlx::query(AssertSqlSafe(statements(slots))).bind(signed(number));
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
            .bind(signed(number))
            .bind(previous.to_vec())
            .bind(end.hash.to_vec())
            .bind(signed(count))
            .bind(signed(first))
            .bind(signed(end.sequence));
        query.execute(connection).await?;
        Ok(Written { end, rows: events, observations })
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
            .bind(row.account.as_deref())
            .bind(row.endpoint.as_deref())
            .bind(row.decision)
            .bind(row.learned_at)
            .bind(&*row.json)
            .bind(self.digest.to_vec())
    }
}

/// Writes, inside a transaction, what is more than one call takes ([`MOST_ROWS`]), and returns the rest.
async fn ahead<'a>(
    connection: &mut SqliteConnection,
    number: u64,
    mut rows: Vec<Place<'a>>,
) -> Result<Vec<Place<'a>>, Fault> {
    while rows.len() > MOST_ROWS {
        let rest = rows.split_off(MOST_ROWS);
        let mut sql = String::with_capacity(32 * MOST_ROWS);
        sql.push_str(
            "INSERT INTO events (sequence, id, at, account, endpoint, decision, learned_at, json, digest, batch)
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
    Ok(rows)
}

fn number_of(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// Rows that one call writes at most: a statement of SQLite has 32,766 parameters.
const MOST_ROWS: usize = 512;
const EVENT_COLUMNS: usize = 9;

/// Rows that the statements for `rows` rows have. There are only some sizes, so that each has its prepared statement;
/// what is too much stays empty.
fn slots(rows: usize) -> usize {
    // 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
    let power = rows.next_power_of_two();
    if power / 4 * 3 >= rows && power >= 4 { power / 4 * 3 } else { power }
}

/// The statements with that many rows. A parameter that has no number is the next one; looking for numbered ones takes
/// SQLite a time that grows with the square of their number. `OR ROLLBACK` spares SQLite keeping what a single statement
/// has changed.
fn statements(slots: usize) -> String {
    let mut sql = String::with_capacity(32 * slots + 1024);
    sql.push_str(
        "INSERT OR ROLLBACK INTO events (sequence, id, at, account, endpoint, decision, learned_at, json, digest, batch)
         SELECT *, ? FROM (VALUES ",
    );
    values(&mut sql, slots, EVENT_COLUMNS);
    sql.push_str(
        ") WHERE column1 IS NOT NULL;
         INSERT OR ROLLBACK INTO batches (number, previous, hash, count, first_sequence, last_sequence)
         VALUES (?, ?, ?, ?, ?, ?); ",
    );
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
