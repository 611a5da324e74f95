//! Checking that the log is what was written.

use std::fmt;

use portcullis_core::event::Event;
use portcullis_core::store::{Sequence, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::Store;
use crate::batch::hash;
use crate::chain::{BatchHash, Head, START, event_digest};
use crate::events::EventRow;
use crate::fault::store_error;
use crate::numbers::{signed, unsigned};

/// No writer puts more events into one batch. A row that claims more was not written by us, and is not worth the memory.
const MOST_PER_BATCH: u64 = 4096;

/// What [`Store::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Events that are as they were written, up to the first damage.
    pub events: u64,
    /// Batches that are as they were written, up to the first damage.
    pub batches: u64,
    /// The end of the part that is good; none when there is no such part. Keep it where nobody who can write the
    /// database can change it, and check it later with [`Store::still_holds`].
    pub head: Option<Head>,
    /// The first thing that is wrong.
    pub damage: Option<Damage>,
}

/// Something in the log is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The event is not the one that was written at this place.
    EventChanged {
        /// Its place.
        sequence: Sequence,
    },
    /// There is no event at this place.
    EventMissing {
        /// The place.
        sequence: Sequence,
    },
    /// The event belongs to no batch.
    EventAdded {
        /// Its place.
        sequence: Sequence,
    },
    /// The batch, or one of its events together with its own check sum, is not what was written.
    BatchChanged {
        /// Number of the batch.
        batch: u64,
        /// Where its events begin.
        first: Sequence,
    },
    /// The batch is not there.
    BatchMissing {
        /// Number of the batch.
        batch: u64,
        /// Where its events begin.
        first: Sequence,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventChanged { sequence } => write!(f, "event {} was changed", sequence.0),
            Self::EventMissing { sequence } => write!(f, "event {} is missing", sequence.0),
            Self::EventAdded { sequence } => write!(f, "event {} was added", sequence.0),
            Self::BatchChanged { batch, first } => {
                write!(f, "batch {batch}, whose first event is {}, was changed", first.0)
            }
            Self::BatchMissing { batch, first } => {
                write!(f, "batch {batch}, whose first event is {}, is missing", first.0)
            }
        }
    }
}

impl Store {
    /// Recomputes the hash chain from its beginning to where it ends now. Reads everything, a batch at a time, beside
    /// ordinary work. What the result proves, and what not, is said at the top of this crate.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be read. Damage that was found is no error but part of the
    /// report.
    pub async fn verify(&self) -> Result<VerifyReport, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(store_error)?;
        let mut walk = Walk { events: 0, batches: 0, hash: START };
        let found = walk.all(&mut connection).await;
        let head = (walk.batches > 0).then_some(Head { batch: walk.batches, hash: walk.hash });
        let damage = match found {
            Ok(()) => None,
            Err(Stop::Damage(damage)) => Some(damage),
            Err(Stop::Store(error)) => return Err(error),
        };
        Ok(VerifyReport { events: walk.events, batches: walk.batches, head, damage })
    }

    /// Whether the chain still goes through a head that an earlier [`Store::verify`] reported. Together with a `verify`
    /// that finds no damage, yes means that everything up to that head is as it was then.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be read.
    pub async fn still_holds(&self, head: &Head) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT hash FROM batches WHERE number = ?1")
            .bind(signed(head.batch))
            .fetch_optional(self.readers())
            .await
            .map_err(store_error)?;
        // A hash of a wrong length is not this one either.
        Ok(row.is_some_and(|row| hash(&row, "hash") == Ok(head.hash)))
    }
}

/// Why a walk ended early.
enum Stop {
    Damage(Damage),
    Store(StoreError),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(store_error(error))
    }
}

/// How far the log has been found good.
struct Walk {
    events: u64,
    batches: u64,
    hash: [u8; 32],
}

/// A row of `batches`.
struct BatchRow {
    number: u64,
    previous: Option<[u8; 32]>,
    hash: Option<[u8; 32]>,
    count: u64,
    first: u64,
    last: u64,
}

impl Walk {
    async fn all(&mut self, connection: &mut SqliteConnection) -> Result<(), Stop> {
        // Batches that are written while this walks are left to the next time. There is no long read transaction,
        // because that would keep the write-ahead log from being folded into the database.
        let end: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM batches").fetch_one(&mut *connection).await?;
        let before_first: Option<i64> = sqlx::query_scalar("SELECT sequence FROM events WHERE sequence < 1 LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(sequence) = before_first {
            return Err(Stop::Damage(Damage::EventAdded { sequence: Sequence(unsigned(sequence)) }));
        }
        while self.batches < unsigned(end) {
            let next = sqlx::query(
                "SELECT number, previous, hash, count, first_sequence, last_sequence
                 FROM batches WHERE number > ?1 ORDER BY number LIMIT 1",
            )
            .bind(signed(self.batches))
            .fetch_optional(&mut *connection)
            .await?;
            match next.as_ref().map(batch_row).transpose()? {
                Some(row) if row.number == self.batches + 1 => self.batch(connection, &row).await?,
                _ => return Err(self.batch_missing()),
            }
        }
        self.behind_the_end(connection).await
    }

    async fn batch(&mut self, connection: &mut SqliteConnection, row: &BatchRow) -> Result<(), Stop> {
        let expected = self.events + 1;
        let changed = Damage::BatchChanged { batch: row.number, first: Sequence(expected) };
        if row.first > expected {
            // The writer goes on after an event that somebody put at the end; only then is there one in the gap.
            let gap: Option<i64> = sqlx::query_scalar("SELECT sequence FROM events WHERE sequence = ?1")
                .bind(signed(expected))
                .fetch_optional(connection)
                .await?;
            let added = Damage::EventAdded { sequence: Sequence(expected) };
            return Err(Stop::Damage(if gap.is_some() { added } else { changed }));
        }
        let range_is_good = row.first == expected
            && (1..=MOST_PER_BATCH).contains(&row.count)
            && row.last == row.first.saturating_add(row.count - 1);
        if !range_is_good || row.previous != Some(self.hash) {
            return Err(Stop::Damage(changed));
        }
        let events = sqlx::query(
            "SELECT sequence, id, at, account, endpoint, decision, json, digest, batch
             FROM events WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence",
        )
        .bind(signed(row.first))
        .bind(signed(row.last))
        .fetch_all(connection)
        .await?;

        let mut hash = BatchHash::new(&self.hash, row.number);
        let mut events = events.iter();
        for sequence in row.first..=row.last {
            let place = Sequence(sequence);
            match events.next() {
                Some(event) if unsigned(event.try_get("sequence")?) == sequence => {
                    let digest = unchanged(event, sequence, row.number)
                        .ok_or(Stop::Damage(Damage::EventChanged { sequence: place }))?;
                    hash.add(&digest);
                }
                _ => return Err(Stop::Damage(Damage::EventMissing { sequence: place })),
            }
        }
        let hash = hash.finish();
        if row.hash != Some(hash) {
            return Err(Stop::Damage(changed));
        }
        *self = Self { events: row.last, batches: row.number, hash };
        Ok(())
    }

    /// No event may be outside of the batches.
    async fn behind_the_end(&self, connection: &mut SqliteConnection) -> Result<(), Stop> {
        // One statement, so that a transaction in between cannot show an event without its batch.
        let stray: Option<(i64, i64, i64)> = sqlx::query_as(
            "SELECT sequence, batch, (SELECT COALESCE(MAX(number), 0) FROM batches) FROM events
             WHERE sequence > (SELECT COALESCE(MAX(last_sequence), 0) FROM batches) ORDER BY sequence LIMIT 1",
        )
        .fetch_optional(connection)
        .await?;
        match stray {
            None => Ok(()),
            Some((sequence, batch, last)) if batch == last.saturating_add(1) => {
                let first = Sequence(unsigned(sequence));
                Err(Stop::Damage(Damage::BatchMissing { batch: unsigned(batch), first }))
            }
            Some((sequence, ..)) => Err(Stop::Damage(Damage::EventAdded { sequence: Sequence(unsigned(sequence)) })),
        }
    }

    fn batch_missing(&self) -> Stop {
        Stop::Damage(Damage::BatchMissing { batch: self.batches + 1, first: Sequence(self.events + 1) })
    }
}

fn batch_row(row: &SqliteRow) -> Result<BatchRow, Stop> {
    Ok(BatchRow {
        number: unsigned(row.try_get("number")?),
        previous: hash(row, "previous").ok(),
        hash: hash(row, "hash").ok(),
        // What is no number was not written by us; zero is none of the values that are accepted.
        count: row.try_get("count").map_or(0, unsigned),
        first: row.try_get("first_sequence").map_or(0, unsigned),
        last: row.try_get("last_sequence").map_or(0, unsigned),
    })
}

/// The digest of the event, if the whole row is as it was written.
fn unchanged(row: &SqliteRow, sequence: u64, batch: u64) -> Option<[u8; 32]> {
    let json: &str = row.try_get("json").ok()?;
    let digest = event_digest(sequence, json);
    let own = hash(row, "digest").ok()? == digest && row.try_get::<i64, _>("batch").ok()? == signed(batch);
    // A later version may know events that this one cannot read; of those, the columns cannot be compared.
    let columns = serde_json::from_str::<Event>(json).ok().is_none_or(|event| same_columns(row, &event));
    (own && columns).then_some(digest)
}

/// The columns by which events are searched say the same as the event.
fn same_columns(row: &SqliteRow, event: &Event) -> bool {
    let compare = || {
        let expected = EventRow::of(event).ok()?;
        let same = row.try_get::<&[u8], _>("id").ok()? == expected.id
            && row.try_get::<i64, _>("at").ok()? == expected.at
            && row.try_get::<Option<&str>, _>("account").ok()? == expected.account.as_deref()
            && row.try_get::<Option<&str>, _>("endpoint").ok()? == expected.endpoint.as_deref()
            && row.try_get::<Option<&str>, _>("decision").ok()? == expected.decision;
        Some(same)
    };
    compare().unwrap_or(false)
}
