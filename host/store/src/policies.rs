//! Revisions of the policy list, and the draft of the next one.

use async_trait::async_trait;
use portcullis_core::event::Event;
use portcullis_core::revision::{ListedPolicy, NewRevision, PolicyDraft, PolicyStore, Revision, TakenOver};
use portcullis_core::store::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::Store;
use crate::events::EventRow;
use crate::fault::{Fault, damaged, store_error};
use crate::numbers::{millis, signed, timestamp, unsigned};
use crate::work::Work;

#[async_trait]
impl PolicyStore for Store {
    async fn newest_revision(&self) -> Result<u64, StoreError> {
        let newest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM policy_revisions")
            .fetch_one(self.readers())
            .await
            .map_err(store_error)?;
        Ok(unsigned(newest))
    }

    async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        let row = sqlx::query("SELECT number, at, actor, comment, json FROM policy_revisions WHERE number = ?1")
            .bind(signed(number))
            .fetch_optional(self.readers())
            .await
            .map_err(store_error)?;
        row.as_ref().map(revision_of).transpose()
    }

    async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, at, actor, comment, json FROM policy_revisions WHERE number < ?1
             ORDER BY number DESC LIMIT ?2",
        )
        .bind(before.map_or(i64::MAX, signed))
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(store_error)?;
        rows.iter().map(revision_of).collect()
    }

    async fn taken_over(&self) -> Result<Option<TakenOver>, StoreError> {
        let found: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT number, file FROM policy_revisions WHERE file IS NOT NULL ORDER BY number DESC LIMIT 1",
        )
        .fetch_optional(self.readers())
        .await
        .map_err(store_error)?;
        let Some((number, digest)) = found else { return Ok(None) };
        let digest = digest.try_into().map_err(|_| damaged("the digest of a revision", number))?;
        Ok(Some(TakenOver { digest, revision: unsigned(number) }))
    }

    async fn put_revision(&self, new: NewRevision, event: Event) -> Result<bool, StoreError> {
        let json = json_of(&new.revision.policies)?;
        let event = Box::new(EventRow::of(&event)?);
        let stored = self.queue(Work::PutRevision { new: Box::new(new), json, event })?.done().await?;
        Ok(stored > 0)
    }

    async fn draft(&self) -> Result<(u64, Option<PolicyDraft>), StoreError> {
        let (version, json): (i64, Option<String>) =
            sqlx::query_as("SELECT version, json FROM policy_draft WHERE one = 1")
                .fetch_one(self.readers())
                .await
                .map_err(store_error)?;
        let draft = json.map(|json| serde_json::from_str(&json)).transpose();
        Ok((unsigned(version), draft.map_err(|error| damaged("the draft", error))?))
    }

    async fn put_draft(&self, draft: PolicyDraft, event: Event) -> Result<bool, StoreError> {
        let (version, json) = (draft.version, json_of(&draft)?);
        let event = Box::new(EventRow::of(&event)?);
        Ok(self.queue(Work::PutDraft { version, json, event })?.done().await? > 0)
    }

    async fn drop_draft(&self, version: u64, event: Event) -> Result<bool, StoreError> {
        let event = Box::new(EventRow::of(&event)?);
        Ok(self.queue(Work::DropDraft { version, event })?.done().await? > 0)
    }
}

fn json_of(what: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(what)
        .map_err(|error| StoreError::Unavailable(format!("a list of policies cannot be written: {error}")))
}

fn revision_of(row: &SqliteRow) -> Result<Revision, StoreError> {
    let number: i64 = row.try_get("number").map_err(store_error)?;
    let json: &str = row.try_get("json").map_err(store_error)?;
    let policies: Vec<ListedPolicy> =
        serde_json::from_str(json).map_err(|error| damaged(&format!("revision {number}"), error))?;
    Ok(Revision {
        number: unsigned(number),
        at: timestamp(row.try_get("at").map_err(store_error)?),
        actor: row.try_get("actor").map_err(store_error)?,
        comment: row.try_get("comment").map_err(store_error)?,
        policies,
    })
}

/// Stores nothing where it is not the next one, or the draft that it came from is another one by now.
pub(crate) async fn put_revision(
    connection: &mut SqliteConnection,
    new: &NewRevision,
    json: &str,
) -> Result<u64, Fault> {
    let draft = new.draft.map(signed);
    let done = sqlx::query(
        "INSERT INTO policy_revisions (number, at, actor, comment, file, json)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT COALESCE(MAX(number), 0) FROM policy_revisions) = ?1 - 1
           AND (?7 IS NULL OR EXISTS (SELECT 1 FROM policy_draft WHERE version = ?7 AND json IS NOT NULL))",
    )
    .bind(signed(new.revision.number))
    .bind(millis(new.revision.at))
    .bind(new.revision.actor.as_str())
    .bind(new.revision.comment.as_str())
    .bind(new.file.as_ref().map(<[u8; 32]>::as_slice))
    .bind(json)
    .bind(draft)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() > 0 && draft.is_some() {
        sqlx::query("UPDATE policy_draft SET version = version + 1, json = NULL").execute(connection).await?;
    }
    Ok(done.rows_affected())
}

/// Stores nothing where it is not the next version.
pub(crate) async fn put_draft(connection: &mut SqliteConnection, version: u64, json: &str) -> Result<u64, Fault> {
    let done = sqlx::query("UPDATE policy_draft SET version = ?1, json = ?2 WHERE version = ?1 - 1")
        .bind(signed(version))
        .bind(json)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Drops nothing where it is another one by now.
pub(crate) async fn drop_draft(connection: &mut SqliteConnection, version: u64) -> Result<u64, Fault> {
    let done = sqlx::query(
        "UPDATE policy_draft SET version = version + 1, json = NULL WHERE version = ?1 AND json IS NOT NULL",
    )
    .bind(signed(version))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
