//! What is brought up to date now and then, so that adding an event changes no more pages than those at the end of the log.
//!
//! Where an event stands by its identifier, and what accounts and endpoints have to do with each other, is complete up to the
//! event that the table `settled` names. Who asks looks at the events behind it as well.

use sqlx::SqliteConnection;

use crate::fault::Fault;

/// How many events are behind that one at most, when a transaction begins. Who is asked about for the first time has them looked
/// through.
const MOST_UNSETTLED: u64 = 512;

/// Whether it is time for [`SETTLE`], where the log ends with the event `sequence` and is settled through another one.
pub(crate) fn is_time_to_settle(sequence: u64, settled: u64) -> bool {
    sequence.saturating_sub(settled) >= MOST_UNSETTLED
}

/// Brings all of it up to date, in this order.
pub(crate) const SETTLE: [&str; 3] = [
    "INSERT OR IGNORE INTO event_ids (id, sequence)
     SELECT id, sequence FROM events WHERE sequence > (SELECT through FROM settled) ORDER BY id",
    "INSERT INTO associations (account, address, first_seen, last_seen, count)
     SELECT account, address, MIN(at), MAX(at), COUNT(*) FROM sightings WHERE TRUE GROUP BY account, address
     ON CONFLICT (account, address) DO UPDATE SET
         first_seen = MIN(first_seen, excluded.first_seen),
         last_seen = MAX(last_seen, excluded.last_seen),
         count = count + excluded.count",
    "UPDATE settled SET through = (SELECT COALESCE(MAX(sequence), 0) FROM events)",
];

/// Does so if it is time. Returns through which event the log is settled now.
pub(crate) async fn settle(connection: &mut SqliteConnection, sequence: u64, settled: u64) -> Result<u64, Fault> {
    if !is_time_to_settle(sequence, settled) {
        return Ok(settled);
    }
    for statement in SETTLE {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(sequence)
}

/// SQL for the sequence of the event that the SQL expression `id` names; NULL where there is none.
pub(crate) fn sequence_of(id: &str) -> String {
    format!(
        "COALESCE((SELECT sequence FROM event_ids WHERE id = {id}),
                  (SELECT sequence FROM events WHERE sequence > (SELECT through FROM settled) AND id = {id}))"
    )
}
