//! Cloud accounts, and whose they are.

use async_trait::async_trait;
use portcullis_core::cloud::{CloudAccountStore, CloudOverride, CloudTwin};
use portcullis_core::event::Event;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, ConnectorName, Timestamp};
use serde_json::{from_str, to_string};
use sqlx::SqliteConnection;

use crate::Store;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, timestamp};
use crate::work::Work;

#[async_trait]
impl CloudAccountStore for Store {
    async fn cloud_accounts(&self) -> Result<Vec<CloudTwin>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT source, id, account, asked_at, matches, decided FROM cloud_accounts ORDER BY source, id",
        )
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(twin).collect()
    }

    async fn put_cloud_account(&self, twin: &CloudTwin) -> Result<(), StoreError> {
        self.queue(Work::PutCloudAccount(Box::new(twin.clone())))?.done().await.map(drop)
    }

    async fn decide_cloud_account(
        &self,
        source: &ConnectorName,
        id: &str,
        decision: Option<CloudOverride>,
        event: Event,
    ) -> Result<bool, StoreError> {
        let event = Box::new(EventRow::of(&event)?);
        let work = Work::DecideCloudAccount { source: source.clone(), id: id.to_owned(), decision, event };
        Ok(self.queue(work)?.done().await? > 0)
    }

    async fn without_cloud_account(&self) -> Result<Vec<(ConnectorName, AccountId, Timestamp)>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT source, account, asked_at FROM without_cloud_account")
                .fetch_all(self.readers())
                .await
                .map_err(store_error)?;
        let read = |(source, account, at): (String, String, i64)| {
            (ConnectorName::new(source), AccountId::new(account), timestamp(at))
        };
        Ok(rows.into_iter().map(read).collect())
    }

    async fn put_without_cloud_account(
        &self,
        source: &ConnectorName,
        account: &AccountId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let work = Work::PutWithoutCloudAccount { source: source.clone(), account: account.clone(), at };
        self.queue(work)?.done().await.map(drop)
    }
}

type Row = (String, String, String, Option<i64>, String, Option<String>);

fn twin((source, id, account, asked_at, matches, decided): Row) -> Result<CloudTwin, StoreError> {
    let broken = |error| damaged(&format!("the cloud account {source}:{id}"), error);
    Ok(CloudTwin {
        account: from_str(&account).map_err(broken)?,
        asked_at: asked_at.map(timestamp),
        matches: from_str(&matches).map_err(broken)?,
        decided: decided.as_deref().map(from_str).transpose().map_err(broken)?,
        source: ConnectorName::new(&source),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "a function to hand to map_err")]
fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Unavailable(format!("a cloud account cannot be written: {error}"))
}

pub(crate) async fn put(connection: &mut SqliteConnection, twin: &CloudTwin) -> Result<u64, Fault> {
    let done = sqlx::query(
        "INSERT INTO cloud_accounts (source, id, account, asked_at, matches) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (source, id) DO UPDATE SET
             account = excluded.account, asked_at = excluded.asked_at, matches = excluded.matches",
    )
    .bind(twin.source.as_str())
    .bind(twin.account.id.as_str())
    .bind(to_string(&twin.account).map_err(unwritable)?)
    .bind(twin.asked_at.map(millis))
    .bind(to_string(&twin.matches).map_err(unwritable)?)
    .execute(&mut *connection)
    .await?;
    // Whoever has an account now is not without one.
    for found in &twin.matches {
        sqlx::query("DELETE FROM without_cloud_account WHERE source = ?1 AND account = ?2")
            .bind(twin.source.as_str())
            .bind(found.account.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(done.rows_affected())
}

pub(crate) async fn decide(
    connection: &mut SqliteConnection,
    source: &ConnectorName,
    id: &str,
    decision: Option<&CloudOverride>,
) -> Result<u64, Fault> {
    let done = sqlx::query("UPDATE cloud_accounts SET decided = ?3 WHERE source = ?1 AND id = ?2")
        .bind(source.as_str())
        .bind(id)
        .bind(decision.map(to_string).transpose().map_err(unwritable)?)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn put_without(
    connection: &mut SqliteConnection,
    source: &ConnectorName,
    account: &AccountId,
    at: Timestamp,
) -> Result<u64, Fault> {
    let done =
        sqlx::query("INSERT OR REPLACE INTO without_cloud_account (source, account, asked_at) VALUES (?1, ?2, ?3)")
            .bind(source.as_str())
            .bind(account.as_str())
            .bind(millis(at))
            .execute(connection)
            .await?;
    Ok(done.rows_affected())
}
