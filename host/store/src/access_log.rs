//! Recorded accesses for backtests: read by connections of their own, one for each thread that asks.
//!
//! A backtest reads the whole log. Through the readers' pool each row would be handed from one thread to another, which costs
//! more than reading it; here a row is decoded where it lies, by the thread that wants it, and only what is wanted of it.

use std::path::Path;
use std::time::Duration;

use portcullis_core::Timestamp;
use portcullis_core::backtest::{AccessLog, AccessReader, RecordedAccess};
use portcullis_core::store::{Sequence, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::Store;
use crate::fault::{Fault, damaged};
use crate::numbers::{millis, signed, unsigned};

impl AccessLog for Store {
    fn extent(&self, since: Timestamp) -> Result<(Sequence, Sequence), StoreError> {
        let connection = open(self.path(), self.busy_timeout())?;
        let first = place_of(&connection, millis(since)).map_err(|fault| fault.error)?;
        let last = last(&connection).map_err(|fault| fault.error)?;
        Ok((Sequence(unsigned(first.saturating_sub(1).min(last))), Sequence(unsigned(last))))
    }

    fn reader(&self) -> Result<Box<dyn AccessReader>, StoreError> {
        Ok(Box::new(Reader(open(self.path(), self.busy_timeout())?)))
    }
}

fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy_timeout)?;
        Ok(connection)
    };
    open().map_err(|fault| fault.error)
}

fn last(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.query_row("SELECT COALESCE(MAX(sequence), 0) FROM events", [], |row| row.get(0))?)
}

/// The sequence of the first event at or after the moment. Events are stored nearly in the order of their times, so the place is
/// looked for by halves; that of an event that a cloud service told of late may be on the wrong side of it.
fn place_of(connection: &Connection, at: i64) -> Result<i64, Fault> {
    let (mut low, mut high) = (1, last(connection)?.saturating_add(1));
    let mut time = connection.prepare("SELECT at FROM events WHERE sequence >= ?1 ORDER BY sequence LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<i64> = time.query_row([middle], |row| row.get(0)).optional()?;
        match found {
            Some(found) if found < at => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

struct Reader(Connection);

impl AccessReader for Reader {
    fn accesses(&mut self, after: Sequence, through: Sequence) -> Result<Vec<RecordedAccess>, StoreError> {
        self.read(after, through).map_err(|fault| fault.error)
    }
}

impl Reader {
    fn read(&self, after: Sequence, through: Sequence) -> Result<Vec<RecordedAccess>, Fault> {
        // Only accesses have a decision.
        let mut page = self.0.prepare_cached(
            "SELECT sequence, json FROM events WHERE sequence > ?1 AND sequence <= ?2 AND decision IS NOT NULL
             ORDER BY sequence",
        )?;
        let mut rows = page.query([signed(after.0), signed(through.0)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let wrong = |error: &dyn std::fmt::Display| {
                damaged(&format!("event {}", row.get::<_, i64>(0).unwrap_or_default()), error)
            };
            let json = row.get_ref(1)?.as_str().map_err(|error| wrong(&error))?;
            found.push(serde_json::from_str(json).map_err(|error| wrong(&error))?);
        }
        Ok(found)
    }
}
