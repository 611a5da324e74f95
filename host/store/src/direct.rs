//! The short way of events into the log: a connection that the writer's own thread works with.
//!
//! Nearly all that is ever written is events of which nothing follows but what is learned. What they cost beside the disk
//! is being handed to another thread and back, so they are not: each row is a step of a statement that is prepared already.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::batch::{End, LAST};
use crate::chain::{BatchHash, START, event_digest};
use crate::checkpoint::Checkpointer;
use crate::events::EventRow;
use crate::fault::Fault;
use crate::identifiers::IS_SETTLED;
use crate::numbers::{signed, unsigned};
use crate::open::pages;
use crate::settle::{SETTLE, is_time_to_settle};
use crate::work::Entry;

/// Statements that stay prepared; more than there are.
const STATEMENTS: usize = 16;

/// The connection. After an error it must not be used again: what is left of its transaction is not known.
pub(crate) struct Direct {
    connection: Connection,
    /// The state of the database in which the log was seen to end where the writer thinks (SQLite, `PRAGMA data_version`):
    /// it changes when anybody else has written, this writer's other connection included.
    seen: Option<i64>,
    checkpointer: Option<Checkpointer>,
}

impl Direct {
    /// The file is there and has its schema. `max_bytes` is as in [`crate::StoreOptions`].
    pub(crate) fn open(path: &Path, busy_timeout: Duration, max_bytes: Option<u64>) -> Result<Self, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.busy_timeout(busy_timeout)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // As on every connection that writes; that the file has a write-ahead log is written in it.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Settling sorts some thousand rows; no file is made for that.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // All events that are not settled, so that settling reads no file.
        connection.pragma_update(None, "cache_size", -8192)?;
        if max_bytes.is_some() {
            let page_size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = signed(pages(max_bytes, unsigned(page_size)));
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        let checkpointer = Checkpointer::start(path.to_owned(), busy_timeout);
        if checkpointer.is_some() {
            Checkpointer::watch(&connection);
        }
        Ok(Self { connection, seen: None, checkpointer })
    }

    /// Stores the entries, which have no incidents, in one transaction. Returns where the log ends then; none when it has
    /// not ended at `end` any more, because somebody else has written, or when it has one of `doubtful`: then nothing has happened.
    pub(crate) fn commit(
        &mut self,
        end: &End,
        entries: &[&Entry],
        doubtful: &[&EventRow],
    ) -> Result<Option<End>, Fault> {
        // Takes the write lock at once: a transaction that starts as a reader can fail halfway when somebody else writes.
        self.execute("BEGIN IMMEDIATE")?;
        let version = self.number("PRAGMA data_version")?;
        if self.seen != Some(version) {
            if !self.is_end(end)? {
                self.execute("ROLLBACK")?;
                return Ok(None);
            }
            self.seen = Some(version);
        }
        if self.has_one_of(doubtful)? {
            self.execute("ROLLBACK")?;
            return Ok(None);
        }
        let after = self.write(end, entries)?;
        self.execute("COMMIT")?;
        Ok(Some(after))
    }

    /// Does what can wait until those who waited for a commit have been told: settles the log, which ends at `end`, if it is time,
    /// and sees to the write-ahead log. Returns through which event the log is settled then.
    pub(crate) fn tidy(&mut self, end: &End) -> Result<u64, Fault> {
        let settled = self.settle(end)?;
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.after_commit(&self.connection);
        }
        Ok(settled)
    }

    fn has_one_of(&self, rows: &[&EventRow]) -> Result<bool, Fault> {
        if rows.is_empty() {
            return Ok(false);
        }
        let mut is_settled = self.connection.prepare_cached(IS_SETTLED)?;
        for row in rows {
            if is_settled.exists([&row.id[..]])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the log ends there.
    fn is_end(&self, end: &End) -> Result<bool, Fault> {
        let mut last = self.connection.prepare_cached(LAST)?;
        let found = last.query_row([], |row| {
            let hash = row.get_ref(1)?.as_blob_or_null()?.map_or(Some(START), |bytes| bytes.try_into().ok());
            let covered: i64 = row.get::<_, Option<i64>>(2)?.unwrap_or(0);
            let sequence = unsigned(covered.max(row.get(3)?));
            let number = unsigned(row.get::<_, Option<i64>>(0)?.unwrap_or(0));
            Ok((number, hash, sequence, unsigned(row.get::<_, Option<i64>>(4)?.unwrap_or(0))))
        })?;
        Ok(found == (end.number, Some(end.hash), end.sequence, end.settled))
    }

    fn write(&self, end: &End, entries: &[&Entry]) -> Result<End, Fault> {
        let number = end.number.saturating_add(1);
        let mut hash = BatchHash::new(&end.hash, number);
        let mut sequence = end.sequence;
        let mut event = self.connection.prepare_cached(
            "INSERT INTO events (sequence, id, at, account, endpoint, decision, learned_at, json, digest, batch)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        for Entry { row, .. } in entries {
            sequence = sequence.saturating_add(1);
            let digest = event_digest(sequence, &row.json);
            hash.add(&digest);
            event.execute(params![
                signed(sequence),
                &row.id[..],
                row.at,
                row.account.as_deref(),
                row.endpoint.as_deref(),
                row.decision,
                row.learned_at,
                &*row.json,
                &digest[..],
                signed(number),
            ])?;
        }
        let hash = hash.finish();
        let mut batch = self.connection.prepare_cached(
            "INSERT INTO batches (number, previous, hash, count, first_sequence, last_sequence)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        let (first, count) = (end.sequence.saturating_add(1), sequence.saturating_sub(end.sequence));
        batch.execute(params![
            signed(number),
            &end.hash[..],
            &hash[..],
            signed(count),
            signed(first),
            signed(sequence)
        ])?;
        Ok(End { number, hash, sequence, settled: end.settled })
    }

    /// As [`crate::settle::settle`], in a transaction of its own. The disk need not have it: it follows from what the disk has, and
    /// is there together with what comes next or not at all.
    fn settle(&self, end: &End) -> Result<u64, Fault> {
        if !is_time_to_settle(end.sequence, end.settled) {
            return Ok(end.settled);
        }
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let settled = self.settle_now(end);
        // After an error this connection is not used again.
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        settled
    }

    fn settle_now(&self, end: &End) -> Result<u64, Fault> {
        self.execute("BEGIN IMMEDIATE")?;
        // Somebody else has written: the next transaction looks at where the log ends now.
        if self.seen != Some(self.number("PRAGMA data_version")?) {
            self.execute("ROLLBACK")?;
            return Ok(end.settled);
        }
        SETTLE.iter().try_for_each(|sql| self.execute(sql))?;
        self.execute("COMMIT")?;
        Ok(end.sequence)
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn number(&self, sql: &str) -> Result<i64, Fault> {
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}
