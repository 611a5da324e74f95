//! The small store of each plugin.

use async_trait::async_trait;
use portcullis_core::store::{PluginStateStore, StoreError};
use sqlx::SqliteConnection;

use crate::Store;
use crate::fault::{Fault, store_error};
use crate::numbers::{signed, unsigned};
use crate::work::Work;

#[async_trait]
impl PluginStateStore for Store {
    async fn plugin_state(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT value FROM plugin_state WHERE plugin = ?1 AND key = ?2")
            .bind(plugin)
            .bind(key)
            .fetch_optional(self.readers())
            .await
            .map_err(store_error)
    }

    async fn put_plugin_state(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError> {
        let size = size(key, value);
        // A value that can never fit is not even carried to the writer.
        if size > quota {
            return Err(over(plugin, quota));
        }
        let (plugin, key, value) = (plugin.to_owned(), key.to_owned(), value.to_vec());
        self.queue(Work::PutPluginState { plugin, key, value, quota })?.done().await.map(drop)
    }

    async fn delete_plugin_state(&self, plugin: &str, key: &str) -> Result<(), StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.queue(Work::DeletePluginState { plugin, key })?.done().await.map(drop)
    }
}

/// Returns the refusal in the inner result: it has written nothing, so the transaction it is in goes on.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    (plugin, key): (&str, &str),
    value: &[u8],
    quota: u64,
) -> Result<Result<u64, StoreError>, Fault> {
    let size = size(key, value);
    let others: i64 =
        sqlx::query_scalar("SELECT COALESCE(SUM(size), 0) FROM plugin_state WHERE plugin = ?1 AND key <> ?2")
            .bind(plugin)
            .bind(key)
            .fetch_one(&mut *connection)
            .await?;
    if unsigned(others).saturating_add(size) > quota {
        return Ok(Err(over(plugin, quota)));
    }
    let done = sqlx::query("INSERT OR REPLACE INTO plugin_state (plugin, key, value, size) VALUES (?1, ?2, ?3, ?4)")
        .bind(plugin)
        .bind(key)
        .bind(value)
        .bind(signed(size))
        .execute(connection)
        .await?;
    Ok(Ok(done.rows_affected()))
}

pub(crate) async fn delete(connection: &mut SqliteConnection, plugin: &str, key: &str) -> Result<u64, Fault> {
    let done = sqlx::query("DELETE FROM plugin_state WHERE plugin = ?1 AND key = ?2")
        .bind(plugin)
        .bind(key)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

fn size(key: &str, value: &[u8]) -> u64 {
    u64::try_from(key.len().saturating_add(value.len())).unwrap_or(u64::MAX)
}

fn over(plugin: &str, quota: u64) -> StoreError {
    StoreError::Quota(format!("plugin {plugin} may keep {quota} bytes of keys and values"))
}
