//! Settings, administrators and console sessions.

use async_trait::async_trait;
use portcullis_core::Timestamp;
use portcullis_core::store::{Administrator, ConsoleSession, SettingsStore, StoreError};
use sqlx::SqliteConnection;

use crate::Store;
use crate::fault::{Fault, store_error};
use crate::numbers::{millis, timestamp, unsigned};
use crate::work::Work;

#[async_trait]
impl SettingsStore for Store {
    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT json FROM settings WHERE key = ?1")
            .bind(key)
            .fetch_optional(self.readers())
            .await
            .map_err(store_error)
    }

    async fn put_setting(&self, key: &str, json: &str) -> Result<(), StoreError> {
        self.queue(Work::PutSetting { key: key.to_owned(), json: json.to_owned() })?.done().await.map(drop)
    }

    async fn administrator_count(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM administrators")
            .fetch_one(self.readers())
            .await
            .map_err(store_error)?;
        Ok(unsigned(count))
    }

    async fn put_administrator(&self, administrator: &Administrator) -> Result<(), StoreError> {
        self.queue(Work::PutAdministrator(administrator.clone()))?.done().await.map(drop)
    }

    async fn administrator(&self, login: &str) -> Result<Option<Administrator>, StoreError> {
        let found: Option<(String, String)> =
            sqlx::query_as("SELECT login, password_hash FROM administrators WHERE login = ?1")
                .bind(login)
                .fetch_optional(self.readers())
                .await
                .map_err(store_error)?;
        Ok(found.map(|(login, password_hash)| Administrator { login, password_hash }))
    }

    async fn put_session(&self, session: &ConsoleSession, now: Timestamp) -> Result<(), StoreError> {
        self.queue(Work::PutSession { session: session.clone(), now })?.done().await.map(drop)
    }

    async fn session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<ConsoleSession>, StoreError> {
        let found: Option<(String, i64)> = sqlx::query_as(
            "SELECT login, expires_at FROM sessions
                 WHERE token_hash = ?1 AND expires_at > ?2 AND login IN (SELECT login FROM administrators)",
        )
        .bind(token_hash.as_slice())
        .bind(millis(now))
        .fetch_optional(self.readers())
        .await
        .map_err(store_error)?;
        Ok(found.map(|(login, expires_at)| ConsoleSession {
            token_hash: *token_hash,
            login,
            expires_at: timestamp(expires_at),
        }))
    }

    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.queue(Work::EndSession(*token_hash))?.done().await.map(drop)
    }
}

pub(crate) async fn put_setting(connection: &mut SqliteConnection, key: &str, json: &str) -> Result<u64, Fault> {
    let done = sqlx::query("INSERT OR REPLACE INTO settings (key, json) VALUES (?1, ?2)")
        .bind(key)
        .bind(json)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn put_administrator(
    connection: &mut SqliteConnection,
    administrator: &Administrator,
) -> Result<u64, Fault> {
    sqlx::query("DELETE FROM sessions WHERE login = ?1")
        .bind(administrator.login.as_str())
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query("INSERT OR REPLACE INTO administrators (login, password_hash) VALUES (?1, ?2)")
        .bind(administrator.login.as_str())
        .bind(administrator.password_hash.as_str())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn put_session(
    connection: &mut SqliteConnection,
    session: &ConsoleSession,
    now: Timestamp,
) -> Result<u64, Fault> {
    sqlx::query("DELETE FROM sessions WHERE expires_at <= ?1").bind(millis(now)).execute(&mut *connection).await?;
    let done = sqlx::query("INSERT OR REPLACE INTO sessions (token_hash, login, expires_at) VALUES (?1, ?2, ?3)")
        .bind(session.token_hash.as_slice())
        .bind(session.login.as_str())
        .bind(millis(session.expires_at))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn end_session(connection: &mut SqliteConnection, token_hash: &[u8; 32]) -> Result<u64, Fault> {
    let done = sqlx::query("DELETE FROM sessions WHERE token_hash = ?1")
        .bind(token_hash.as_slice())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
