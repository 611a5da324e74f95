//! What only the SQLite backend can be asked.

mod access_log;
mod durability;
mod failure;
mod file;
mod import;
mod load;
mod roundtrip;
mod tampering;
mod ways;

use std::path::PathBuf;

use async_trait::async_trait;
use portcullis_store::{Store, StoreOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

/// A folder for one database; it goes when this is dropped.
pub struct Folder(TempDir);

impl Folder {
    pub fn create() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("portcullis.db")
    }

    pub fn options(&self) -> StoreOptions {
        StoreOptions::new(self.path())
    }

    pub async fn store(&self) -> Store {
        Store::open(self.options()).await.unwrap()
    }

    /// A connection of somebody who goes behind the store's back.
    pub async fn intruder(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).connect().await.unwrap()
    }
}

#[async_trait]
impl crate::contract::Place for Folder {
    type Store = Store;

    async fn new() -> Self {
        Self::create()
    }

    async fn open(&self) -> Store {
        self.store().await
    }

    async fn close(store: Store) {
        store.close().await;
    }
}
