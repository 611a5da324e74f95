//! Challenges.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use portcullis_core::challenge::{ChallengeRecord, ChallengeState, Forget, RememberKey};
use portcullis_core::store::{ChallengeStore, StoreError};
use portcullis_core::{AccountId, ChallengeId, ConnectorName, EventId, PolicyName, Timestamp};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::Store;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, timestamp};
use crate::rows::column;
use crate::work::Work;

#[async_trait]
impl ChallengeStore for Store {
    async fn put_challenge(&self, challenge: &ChallengeRecord) -> Result<(), StoreError> {
        self.queue(Work::PutChallenge(Box::new(challenge.clone())))?.done().await.map(drop)
    }

    async fn approval_within(
        &self,
        key: &RememberKey,
        time: RangeInclusive<Timestamp>,
        risk: u8,
    ) -> Result<Option<(ChallengeId, Timestamp)>, StoreError> {
        // `IS` and not `=`: a key without an address means challenges without one.
        let found: Option<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT id, ended_at FROM challenges AS approved
             WHERE state = 'approved' AND account = ?1 AND application = ?2 AND policy = ?3 AND connector = ?4
               AND address IS ?5 AND ended_at BETWEEN ?6 AND ?7 AND risk >= ?8
               AND NOT EXISTS (SELECT 1 FROM forgotten_approvals
                               WHERE account IN (?1, '') AND before >= approved.ended_at)
               AND NOT EXISTS (SELECT 1 FROM challenges
                               WHERE state = 'denied' AND account = ?1 AND ended_at >= approved.ended_at)
             ORDER BY ended_at DESC LIMIT 1",
        )
        .bind(key.account.as_str())
        .bind(key.application.as_str())
        .bind(key.policy.as_str())
        .bind(key.connector.as_str())
        .bind(key.address.map(|address| address.to_string()))
        .bind(millis(*time.start()))
        .bind(millis(*time.end()))
        .bind(risk)
        .fetch_optional(self.readers())
        .await
        .map_err(store_error)?;
        let Some((id, ended_at)) = found else { return Ok(None) };
        let id = Uuid::from_slice(&id).map_err(|error| damaged("the identifier of a challenge", error))?;
        Ok(Some((ChallengeId(id), timestamp(ended_at))))
    }

    async fn challenges_since(&self, since: Timestamp) -> Result<Vec<ChallengeRecord>, StoreError> {
        // An id begins with its time (RFC 9562, section 5.7), so that the key is enough to find them. Clocks go back at times.
        let first = millis(since).saturating_sub(CLOCK_GOES_BACK).max(0).to_be_bytes();
        let from = first.get(2..).unwrap_or_default().to_vec();
        let rows = sqlx::query(
            "SELECT id, account, login, risk, address, application, policy, connector, opened_at, ended_at, state
             FROM challenges WHERE id >= ?1 AND opened_at >= ?2 ORDER BY opened_at, id",
        )
        .bind(from)
        .bind(millis(since))
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(challenge).collect()
    }

    async fn forget(&self, what: Forget) -> Result<(), StoreError> {
        self.queue(Work::Forget(what))?.done().await.map(drop)
    }

    async fn settle(&self, event: EventId, happened: Option<Timestamp>) -> Result<(), StoreError> {
        self.queue(Work::SettleForgotten { event, happened })?.done().await.map(drop)
    }

    async fn cancel_open_challenges(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.queue(Work::CancelOpenChallenges(at))?.done().await
    }
}

pub(crate) async fn put(connection: &mut SqliteConnection, challenge: &ChallengeRecord) -> Result<u64, Fault> {
    let done = sqlx::query(
        "INSERT OR REPLACE INTO challenges
             (id, account, login, address, application, policy, connector, opened_at, ended_at, state, risk)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(challenge.id.0.as_bytes().as_slice())
    .bind(challenge.account.as_str())
    .bind(challenge.login.as_str())
    .bind(challenge.address.map(|address| address.to_string()))
    .bind(challenge.application.as_str())
    .bind(challenge.policy.as_str())
    .bind(challenge.connector.as_str())
    .bind(millis(challenge.opened_at))
    .bind(challenge.ended_at.map(millis))
    .bind(state_text(challenge.state))
    .bind(challenge.risk)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// By how much an id's time may be before the challenge's, in milliseconds.
const CLOCK_GOES_BACK: i64 = 60_000;

fn challenge(row: &SqliteRow) -> Result<ChallengeRecord, StoreError> {
    let address = column::<Option<String>>(row, "address")?;
    let wrong = |what: &str, error: &dyn std::fmt::Display| damaged(&format!("{what} of a challenge"), error);
    Ok(ChallengeRecord {
        id: ChallengeId(Uuid::from_slice(column(row, "id")?).map_err(|error| wrong("the identifier", &error))?),
        account: AccountId::new(column::<String>(row, "account")?),
        login: column(row, "login")?,
        risk: column(row, "risk")?,
        address: address.map(|text| text.parse()).transpose().map_err(|error| wrong("the address", &error))?,
        application: column(row, "application")?,
        policy: PolicyName::new(column::<String>(row, "policy")?),
        connector: ConnectorName::new(column::<String>(row, "connector")?),
        opened_at: timestamp(column(row, "opened_at")?),
        ended_at: column::<Option<i64>>(row, "ended_at")?.map(timestamp),
        state: state(column(row, "state")?)?,
    })
}

fn state(text: &str) -> Result<ChallengeState, StoreError> {
    use ChallengeState::{Approved, Cancelled, Closed, Denied, Expired, Failed, Open};
    [Open, Approved, Denied, Failed, Expired, Closed, Cancelled]
        .into_iter()
        .find(|state| state_text(*state) == text)
        .ok_or_else(|| damaged("the state of a challenge", text))
}

/// What a settled row has in place of an event.
const NO_EVENT: &[u8] = &[];
/// What stands for everybody's account.
const EVERYBODY: &str = "";

pub(crate) async fn forget(connection: &mut SqliteConnection, what: &Forget) -> Result<u64, Fault> {
    let account = what.account.as_ref().map_or(EVERYBODY, AccountId::as_str);
    let event = what.until_settled.as_ref().map_or(NO_EVENT, |event| event.0.as_bytes().as_slice());
    forget_before(connection, account, event, millis(what.before)).await
}

/// Takes out what waits for the event, and keeps it as settled where that has happened.
pub(crate) async fn settle(
    connection: &mut SqliteConnection,
    event: EventId,
    happened: Option<Timestamp>,
) -> Result<u64, Fault> {
    let accounts: Vec<String> =
        sqlx::query_scalar("DELETE FROM forgotten_approvals WHERE event = ?1 RETURNING account")
            .bind(event.0.as_bytes().as_slice())
            .fetch_all(&mut *connection)
            .await?;
    let mut done = 0;
    for account in accounts {
        done += match happened {
            Some(at) => forget_before(connection, &account, NO_EVENT, millis(at)).await?,
            None => 1,
        };
    }
    Ok(done)
}

/// The latest moment counts.
async fn forget_before(
    connection: &mut SqliteConnection,
    account: &str,
    event: &[u8],
    before: i64,
) -> Result<u64, Fault> {
    let done = sqlx::query(
        "INSERT INTO forgotten_approvals (account, event, before) VALUES (?1, ?2, ?3)
         ON CONFLICT (account, event) DO UPDATE SET before = MAX(before, excluded.before)",
    )
    .bind(account)
    .bind(event)
    .bind(before)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// An incident is opened or raised by an event of that moment.
pub(crate) async fn forget_for_incident(
    connection: &mut SqliteConnection,
    account: &AccountId,
    at: i64,
) -> Result<u64, Fault> {
    forget_before(connection, account.as_str(), NO_EVENT, at).await
}

pub(crate) async fn cancel_open(connection: &mut SqliteConnection, at: Timestamp) -> Result<u64, Fault> {
    let done = sqlx::query("UPDATE challenges SET state = 'cancelled', ended_at = ?1 WHERE state = 'open'")
        .bind(millis(at))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

fn state_text(state: ChallengeState) -> &'static str {
    match state {
        ChallengeState::Open => "open",
        ChallengeState::Approved => "approved",
        ChallengeState::Denied => "denied",
        ChallengeState::Failed => "failed",
        ChallengeState::Expired => "expired",
        ChallengeState::Closed => "closed",
        ChallengeState::Cancelled => "cancelled",
    }
}
