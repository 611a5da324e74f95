//! Challenges.

use async_trait::async_trait;
use portcullis_core::challenge::{ChallengeRecord, ChallengeState, RememberKey};
use portcullis_core::store::{ChallengeStore, StoreError};
use portcullis_core::{ChallengeId, Timestamp};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::Store;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, timestamp};
use crate::work::Work;

#[async_trait]
impl ChallengeStore for Store {
    async fn put_challenge(&self, challenge: &ChallengeRecord) -> Result<(), StoreError> {
        self.queue(Work::PutChallenge(Box::new(challenge.clone())))?.done().await.map(drop)
    }

    async fn approval_since(
        &self,
        key: &RememberKey,
        since: Timestamp,
    ) -> Result<Option<(ChallengeId, Timestamp)>, StoreError> {
        // `IS` and not `=`: a key without an address means challenges without one.
        let found: Option<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT id, ended_at FROM challenges
             WHERE state = 'approved' AND account = ?1 AND application = ?2 AND policy = ?3 AND connector = ?4
               AND address IS ?5 AND ended_at >= ?6
             ORDER BY ended_at DESC LIMIT 1",
        )
        .bind(key.account.as_str())
        .bind(key.application.as_str())
        .bind(key.policy.as_str())
        .bind(key.connector.as_str())
        .bind(key.address.map(|address| address.to_string()))
        .bind(millis(since))
        .fetch_optional(self.readers())
        .await
        .map_err(store_error)?;
        let Some((id, ended_at)) = found else { return Ok(None) };
        let id = Uuid::from_slice(&id).map_err(|error| damaged("the identifier of a challenge", error))?;
        Ok(Some((ChallengeId(id), timestamp(ended_at))))
    }

    async fn cancel_open_challenges(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.queue(Work::CancelOpenChallenges(at))?.done().await
    }
}

pub(crate) async fn put(connection: &mut SqliteConnection, challenge: &ChallengeRecord) -> Result<u64, Fault> {
    let done = sqlx::query(
        "INSERT OR REPLACE INTO challenges
             (id, account, login, address, application, policy, connector, opened_at, ended_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
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
