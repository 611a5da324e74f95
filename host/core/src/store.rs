//! What the rooms ask of the store.

use std::collections::HashMap;
use std::net::IpAddr;

use std::ops::RangeInclusive;

use async_trait::async_trait;
use thiserror::Error;

use crate::challenge::{ChallengeRecord, Forget, RememberKey};
use crate::event::{Event, Record};
use crate::incident::{Incident, IncidentAction, IncidentPlace, IncidentReport};
use crate::learned::{AccountHistory, EndpointHistory};
use crate::{AccountId, BoxFuture, ChallengeId, EventId, IncidentId, Timestamp};

/// The store did not do it. Nothing of what was asked has happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The database cannot be opened, read or written; full disk included.
    #[error("the event store is not available: {0}")]
    Unavailable(String),
    /// More is waiting to be written than may wait.
    #[error("the event store does not keep up; {0} records are waiting")]
    Overloaded(usize),
    /// What is stored is not what was written.
    #[error("the event store is damaged: {0}")]
    Damaged(String),
    /// A quota would be passed.
    #[error("quota: {0}")]
    Quota(String),
}

/// Position in the event log; grows with each stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// An event with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its place.
    pub sequence: Sequence,
    /// The event.
    pub event: Event,
}

/// The event log with what follows from events.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Stores the record. It is queued when this is called, in order; the future ends when it is durable. Dropping the
    /// future does not take the record back.
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The newest `limit` events, the newest first; only those before `before`, where given, and none that were imported.
    async fn recent(&self, before: Option<Sequence>, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// Waits until the log or the incidents have changed since `seen` and returns the new mark. `Sequence(0)` returns at once.
    /// The mark counts changes, not events: it is good for this method alone.
    async fn changed(&self, seen: Sequence) -> Sequence;
}

/// Incidents.
#[async_trait]
pub trait IncidentStore: Send + Sync {
    /// The `limit` incidents that come after that place in the list of all, or are its first; see [`IncidentPlace`].
    async fn incidents_after(&self, place: Option<IncidentPlace>, limit: u32) -> Result<Vec<Incident>, StoreError>;
    /// The first `limit` of the list.
    async fn incidents(&self, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.incidents_after(None, limit).await
    }
    /// How many are not resolved.
    async fn open_incidents(&self) -> Result<u64, StoreError>;
    /// One incident with its history.
    async fn incident(&self, id: IncidentId) -> Result<Option<IncidentReport>, StoreError>;
    /// A person does something with an incident. Says whether it was there and in a state in which that can be done. `event`
    /// is the administration event that is stored with it in one transaction. A history that is full is a
    /// [`StoreError::Quota`] for those who write notes.
    async fn act(&self, id: IncidentId, action: IncidentAction, person: &str, event: Event)
    -> Result<bool, StoreError>;
}

/// Learned behaviour.
#[async_trait]
pub trait LearnedStore: Send + Sync {
    /// All endpoints of an account; empty for one that was never seen.
    async fn account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError>;
    /// What is known of an endpoint.
    async fn endpoint_history(&self, address: IpAddr) -> Result<EndpointHistory, StoreError>;
    /// The same for many endpoints at once: those of a page of cloud events, where each question for itself would take
    /// longer than everything else.
    async fn endpoint_histories(&self, addresses: &[IpAddr]) -> Result<HashMap<IpAddr, EndpointHistory>, StoreError>;
}

/// Challenges.
#[async_trait]
pub trait ChallengeStore: Send + Sync {
    /// Stores a challenge, or replaces what is stored under its id.
    async fn put_challenge(&self, challenge: &ChallengeRecord) -> Result<(), StoreError>;
    /// The newest approval for the key that ended within this time, of an account whose risk was at least `risk` when it was
    /// asked: which one, and when. None that was forgotten, and none
    /// when the person has refused another challenge of the account since. That an incident is opened or raised makes the
    /// account's approvals forgotten that are older than its event.
    async fn approval_within(
        &self,
        key: &RememberKey,
        time: RangeInclusive<Timestamp>,
        risk: u8,
    ) -> Result<Option<(ChallengeId, Timestamp)>, StoreError>;
    /// Makes approvals count no more.
    async fn forget(&self, what: Forget) -> Result<(), StoreError>;
    /// What was to be forgotten for the sake of this event has happened, at that moment, or has not. Does nothing where
    /// nothing was.
    async fn settle(&self, event: EventId, happened: Option<Timestamp>) -> Result<(), StoreError>;
    /// Those that were opened at or after that moment, the oldest first.
    async fn challenges_since(&self, since: Timestamp) -> Result<Vec<ChallengeRecord>, StoreError>;
    /// Ends, as cancelled, every challenge that is stored as open: nobody waits for it after a restart. Returns how many.
    async fn cancel_open_challenges(&self, at: Timestamp) -> Result<u64, StoreError>;
}

/// A person who may use the console.
#[derive(Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Login name.
    pub login: String,
    /// Argon2id hash in PHC string form (RFC 9106).
    pub password_hash: String,
}

/// A console session.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsoleSession {
    /// SHA-256 of the cookie's value; the value itself is nowhere but in the browser.
    pub token_hash: [u8; 32],
    /// Whose.
    pub login: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Settings, administrators and console sessions.
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// A setting as JSON text.
    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError>;
    /// Sets it.
    async fn put_setting(&self, key: &str, json: &str) -> Result<(), StoreError>;
    /// How many administrators there are.
    async fn administrator_count(&self) -> Result<u64, StoreError>;
    /// Adds an administrator, or replaces the one of that login, whose sessions end then.
    async fn put_administrator(&self, administrator: &Administrator) -> Result<(), StoreError>;
    /// By login.
    async fn administrator(&self, login: &str) -> Result<Option<Administrator>, StoreError>;
    /// Adds a session; forgets those that ended before `now`.
    async fn put_session(&self, session: &ConsoleSession, now: Timestamp) -> Result<(), StoreError>;
    /// The session, if it has not ended and is an administrator's.
    async fn session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<ConsoleSession>, StoreError>;
    /// Ends a session.
    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<(), StoreError>;
}

/// The small store of each plugin.
#[async_trait]
pub trait PluginStateStore: Send + Sync {
    /// A value.
    async fn plugin_state(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Sets a value, as long as the plugin's keys and values together stay within `quota` bytes.
    async fn put_plugin_state(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError>;
    /// Forgets a value.
    async fn delete_plugin_state(&self, plugin: &str, key: &str) -> Result<(), StoreError>;
}
