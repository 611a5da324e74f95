//! Taking an account out of a group, and putting it back.
//!
//! What a policy wants is stored with the event that it follows from, and done afterwards, step by step: what is about to be
//! changed in the directory is stored before it is changed, so that it can be changed back whenever the process ends.

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;

use crate::event::{Event, Record};
use crate::store::StoreError;
use crate::{AccountId, BoxFuture, EventId, PolicyName, Timestamp};

/// What a policy wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WantedDemotion {
    /// The event that it follows from. Nothing is done before that is stored.
    pub event: EventId,
    /// When it was wanted.
    pub at: Timestamp,
    /// Whom.
    pub account: AccountId,
    /// The account's login, for reading.
    pub login: String,
    /// Which policy.
    pub policy: PolicyName,
    /// Out of which group: a DN or a common name.
    pub group: String,
    /// Seconds until it is put back; 0 waits for a person.
    pub restore_after_seconds: u32,
    /// How often the open incident of the account and the policy has to have been raised; 0 for not at all.
    pub from_times: u32,
}

/// Where an account stands in a group: what has to be taken away, and added to put it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Membership {
    /// DN of the group.
    pub group: String,
    /// The attribute of the group, e.g. `member`.
    pub attribute: String,
    /// The account's value of it.
    pub value: String,
}

/// How far a demotion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DemotionState {
    /// Nothing has been done.
    Wanted,
    /// The directory is being told, or has been.
    Leaving,
    /// The account is out of the group.
    Demoted,
    /// It is in it again.
    Restored,
    /// It was not taken out.
    Failed,
}

/// A demotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Demotion {
    /// Its number.
    pub number: u64,
    /// What was wanted.
    pub wanted: WantedDemotion,
    /// How far it is.
    pub state: DemotionState,
    /// Since when.
    pub changed_at: Timestamp,
    /// Where the account stood; known from [`DemotionState::Leaving`] on.
    pub membership: Option<Membership>,
    /// When it is put back; none waits for a person.
    pub restore_at: Option<Timestamp>,
    /// Who wanted it back before its time.
    pub restore_by: Option<String>,
    /// Why something could not be done; empty otherwise.
    pub note: String,
}

/// A demotion for which something has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDemotion {
    /// Which.
    pub demotion: Demotion,
    /// Its event is stored.
    pub is_stored: bool,
    /// How often the open incident of the account and the policy has been raised; 0 where there is none.
    pub times: u32,
}

/// What becomes of a demotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemotionStep {
    /// There is nothing to do; it is forgotten.
    Dropped,
    /// The directory is about to be told.
    Leaving(Membership),
    /// The account is out of the group, until then; or stays so until another moment.
    Demoted(Option<Timestamp>),
    /// The account is in the group again.
    Restored,
    /// It cannot be taken out.
    Failed(String),
    /// It cannot be put back, and nothing more is tried until a person wants it.
    NotRestored(String),
}

/// Keeps demotions.
#[async_trait]
pub trait DemotionStore: Send + Sync {
    /// Stores that a demotion is wanted. It is queued when this is called; dropping the future does not take it back.
    fn want_demotion(&self, wanted: WantedDemotion) -> BoxFuture<'static, Result<(), StoreError>>;
    /// Up to `limit` with a number behind `after` for which something is to be done at that moment, in the order of their
    /// numbers.
    async fn due_demotions(&self, now: Timestamp, after: u64, limit: u32) -> Result<Vec<DueDemotion>, StoreError>;
    /// The newest `limit`, the newest first; only those with a number below `before`, where given.
    async fn demotions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Demotion>, StoreError>;
    /// Those of the account that are [`DemotionState::Leaving`] or [`DemotionState::Demoted`].
    async fn standing_demotions(&self, account: &AccountId) -> Result<Vec<Demotion>, StoreError>;
    /// Goes from one state on. The record, where there is one, is stored in the same transaction. Says whether the
    /// demotion was in that state; if it was not, nothing happens.
    async fn step_demotion(
        &self,
        number: u64,
        from: DemotionState,
        step: DemotionStep,
        record: Option<Record>,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// A person wants the account back in the group, now. `event` is stored with that. Says whether it was
    /// [`DemotionState::Demoted`]; if it was not, nothing happens.
    async fn restore_demotion(
        &self,
        number: u64,
        person: &str,
        at: Timestamp,
        event: Event,
    ) -> Result<bool, StoreError>;
}

/// A group was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GroupError {
    /// The account is not in the group.
    #[error("the account is not in {0}")]
    NotMember(String),
    /// There is nothing that could be taken away, although the account may be in the group: it is in it through another group
    /// or by its primary one, or the group, its members or the account are not to be seen.
    #[error("{0}")]
    NoPlace(String),
    /// It must not be done, or cannot, and that does not pass by itself.
    #[error("{0}")]
    Refused(String),
    /// The directory cannot be asked now.
    #[error("the directory cannot be reached: {0}")]
    Unreachable(String),
}

/// Changes who is in which group, as an account that has the right to do so.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Where the account stands in a group, given by DN or common name.
    ///
    /// # Errors
    /// [`GroupError::NotMember`] with the group's DN; [`GroupError::NoPlace`]; [`GroupError::Refused`] where the account would
    /// stay in the group in another way, is one of the gateway's own, or the last one in a group that is vital.
    async fn membership(&self, group: &str, account: &AccountId) -> Result<Membership, GroupError>;
    /// Takes the account out. That it is out already is none of its errors.
    ///
    /// # Errors
    /// The directory refuses, or cannot be asked.
    async fn leave(&self, membership: &Membership, account: &AccountId) -> Result<(), GroupError>;
    /// Puts the account back, by the name that it now has. That it is in already is none of its errors.
    ///
    /// # Errors
    /// The directory refuses, the account or the group is gone, or the directory cannot be asked.
    async fn join(&self, membership: &Membership, account: &AccountId) -> Result<(), GroupError>;
}
