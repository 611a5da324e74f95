//! Each event is stored once: which identifiers the log has.
//!
//! An index over all of them would change some pages with each transaction. The identifiers behind the settled ones are in
//! the writer's memory instead, and of the others the highest: an identifier of an event that has just happened is behind it
//! (RFC 9562, section 5.7), so that the table is asked about few.

use std::collections::HashSet;

use portcullis_core::store::StoreError;
use sqlx::{Row as _, SqliteConnection};

use crate::events::EventRow;
use crate::fault::Fault;

/// A row, if the identifier is among the settled ones.
pub(crate) const IS_SETTLED: &str = "SELECT 1 FROM event_ids WHERE id = ?";

/// What the writer knows of them; true for as long as nobody else stores an event.
pub(crate) struct Identifiers {
    /// Those of the events that are not settled.
    unsettled: HashSet<[u8; 16]>,
    /// The highest of all others; none where there are none.
    highest: Option<[u8; 16]>,
}

impl Identifiers {
    /// To be asked inside a transaction that may write.
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self, Fault> {
        let highest: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT MAX(id) FROM event_ids").fetch_one(&mut *connection).await?;
        let rows = sqlx::query("SELECT id FROM events WHERE sequence > (SELECT through FROM settled)")
            .fetch_all(&mut *connection)
            .await?;
        let mut unsettled = HashSet::with_capacity(rows.len());
        for row in &rows {
            // What is no identifier is none of an event that is to be stored.
            unsettled.extend(<[u8; 16]>::try_from(row.try_get::<&[u8], _>("id")?));
        }
        // Who has put something else there has each one looked up.
        let highest = highest.map(|bytes| bytes.try_into().unwrap_or([u8::MAX; 16]));
        Ok(Self { unsettled, highest })
    }

    /// All of them are settled now.
    pub(crate) fn settle(&mut self) {
        self.highest = self.unsettled.drain().chain(self.highest).max();
    }

    /// These were stored.
    pub(crate) fn add<'a>(&mut self, rows: impl IntoIterator<Item = &'a EventRow>) {
        self.unsettled.extend(rows.into_iter().map(|row| row.id));
    }

    /// Those of which the table has to be asked, [`IS_SETTLED`]; none where one of them is known to be there, or is there twice.
    pub(crate) fn doubtful<'a>(&self, rows: impl Iterator<Item = &'a EventRow> + Clone) -> Option<Vec<&'a EventRow>> {
        if has_twins(rows.clone()) || rows.clone().any(|row| self.unsettled.contains(&row.id)) {
            return None;
        }
        Some(rows.filter(|row| self.may_be_settled(row)).collect())
    }

    fn may_be_settled(&self, row: &EventRow) -> bool {
        self.highest.is_some_and(|highest| row.id <= highest)
    }

    /// An error if the log has one of them, or if one of them is there twice.
    pub(crate) async fn check(&self, connection: &mut SqliteConnection, rows: &[&EventRow]) -> Result<(), Fault> {
        if has_twins(rows.iter().copied()) {
            return Err(is_there().into());
        }
        for row in rows {
            let is_known = self.unsettled.contains(&row.id)
                || self.may_be_settled(row)
                    && sqlx::query(IS_SETTLED)
                        .bind(row.id.as_slice())
                        .fetch_optional(&mut *connection)
                        .await?
                        .is_some();
            if is_known {
                return Err(is_there().into());
            }
        }
        Ok(())
    }
}

fn has_twins<'a>(mut rows: impl Iterator<Item = &'a EventRow> + Clone) -> bool {
    if rows.clone().is_sorted_by(|one, next| one.id < next.id) {
        return false;
    }
    let mut seen = HashSet::new();
    !rows.all(|row| seen.insert(row.id))
}

fn is_there() -> StoreError {
    StoreError::Unavailable("the record contradicts what is stored: an event with its identifier is there".to_owned())
}
