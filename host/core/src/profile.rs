//! What is learned about accounts, endpoints and applications beyond which account uses which endpoint, as the store keeps
//! it: octets that only `behavior` can read, and how far in the event log they are complete.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::store::{Sequence, StoreError, StoredEvent};
use crate::{AccountId, AccountKind, EventId, Timestamp};

/// Whom or what a profile, or a risk, is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "key", rename_all = "kebab-case")]
pub enum Subject {
    /// An account.
    Account(AccountId),
    /// A machine, by its address.
    Endpoint(IpAddr),
    /// An application, by the name that accesses have for it.
    Application(String),
}

impl Subject {
    /// The kind's stable name.
    #[must_use]
    pub fn kind(&self) -> SubjectKind {
        match self {
            Self::Account(_) => SubjectKind::Account,
            Self::Endpoint(_) => SubjectKind::Endpoint,
            Self::Application(_) => SubjectKind::Application,
        }
    }

    /// What tells it from others of its kind.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Account(id) => id.as_str().to_owned(),
            Self::Endpoint(address) => address.to_string(),
            Self::Application(name) => name.clone(),
        }
    }

    /// The subject of this kind with this key; none where the key is not one of that kind.
    #[must_use]
    pub fn of(kind: SubjectKind, key: &str) -> Option<Self> {
        Some(match kind {
            SubjectKind::Account => Self::Account(AccountId::new(key)),
            SubjectKind::Endpoint => Self::Endpoint(key.parse::<IpAddr>().ok()?.to_canonical()),
            SubjectKind::Application => Self::Application(key.to_owned()),
        })
    }
}

/// The kinds of [`Subject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants of `Subject` are documented")]
pub enum SubjectKind {
    Account,
    Endpoint,
    Application,
}

impl SubjectKind {
    /// Its name in texts and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Endpoint => "endpoint",
            Self::Application => "application",
        }
    }
}

impl std::str::FromStr for SubjectKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "account" => Ok(Self::Account),
            "endpoint" => Ok(Self::Endpoint),
            "application" => Ok(Self::Application),
            _ => Err(()),
        }
    }
}

/// A profile as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredProfile {
    /// Whose.
    pub subject: Subject,
    /// The mark that it was written under.
    pub mark: u64,
    /// What `behavior` wrote.
    pub value: Vec<u8>,
    /// The subject's risk when it was written, 0 to 100: by this the riskiest are found. It has decayed since.
    pub risk: u8,
}

impl fmt::Debug for StoredProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredProfile({:?}, {} bytes)", self.subject, self.value.len())
    }
}

/// What profiles that were written together have in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileMark {
    /// Grows with each writing; from 1 on.
    pub number: u64,
    /// Every event up to this one is in the profiles that bear the mark.
    pub through: u64,
    /// Of the events behind it, those that are in them as well, by [`event_tag`].
    pub ahead: Vec<u64>,
    /// Every imported event up to this one is in them. Those are read from the log by themselves, and not counted above.
    pub imported: u64,
    /// All profiles that had changed were written, so those with an older mark have in them what this one says, too.
    pub complete: bool,
}

/// Tells an event among the latest ones.
#[must_use]
pub fn event_tag(id: EventId) -> u64 {
    // The lower half of a UUID version 7 is random.
    id.0.as_u64_pair().1
}

/// What a person said about what stands behind an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedKind {
    /// The account.
    pub account: AccountId,
    /// Its login, for reading.
    pub login: String,
    /// What it is.
    pub kind: AccountKind,
    /// Who said so.
    pub person: String,
    /// When.
    pub at: Timestamp,
}

/// Profiles, and what people decided about accounts.
#[async_trait]
pub trait ProfileStore: Send + Sync {
    /// Those of the subjects that have a profile.
    async fn profiles(&self, subjects: &[Subject]) -> Result<Vec<StoredProfile>, StoreError>;

    /// The profiles of this kind with the highest risk when they were written, the highest first, those of the same risk in the
    /// order of their keys; from behind `after` on, a risk and a key.
    async fn riskiest(
        &self,
        kind: SubjectKind,
        after: Option<(u8, &str)>,
        limit: u32,
    ) -> Result<Vec<StoredProfile>, StoreError>;

    /// Their risks have decayed to `risk` since they were written. Nothing else of them is stored, and nothing of those that were
    /// written under another mark meanwhile.
    async fn put_risks(&self, decayed: Vec<StoredProfile>) -> Result<(), StoreError>;

    /// Up to `limit` profiles of this kind behind the key `after`, in the order of their keys.
    async fn profiles_after(
        &self,
        kind: SubjectKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredProfile>, StoreError>;

    /// Stores profiles under a mark. Of many, each part is stored in a transaction of its own; the mark becomes complete with
    /// the last one.
    async fn put_profiles(&self, mark: ProfileMark, profiles: Vec<StoredProfile>) -> Result<(), StoreError>;

    /// The latest complete mark and those after it, in their order.
    async fn profile_marks(&self) -> Result<Vec<ProfileMark>, StoreError>;

    /// The last event that is stored; zero before the first.
    async fn last_sequence(&self) -> Result<Sequence, StoreError>;

    /// Up to `limit` events behind `after`, in their order, without those that were imported. None: there are no more.
    async fn events_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// The same of those that were imported, by any process.
    async fn imported_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// What people decided.
    async fn decided_kinds(&self) -> Result<Vec<DecidedKind>, StoreError>;

    /// Stores what a person decided, or takes it back; `event` is stored with it in one transaction.
    async fn decide_kind(
        &self,
        account: &AccountId,
        decision: Option<DecidedKind>,
        event: Event,
    ) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_found_again_by_its_kind_and_key() {
        let all = [
            Subject::Account(AccountId::new("a:b")),
            Subject::Endpoint([10, 0, 0, 1].into()),
            Subject::Application("wiki".to_owned()),
        ];
        for subject in all {
            assert_eq!(subject.kind().as_str().parse(), Ok(subject.kind()));
            assert_eq!(Subject::of(subject.kind(), &subject.key()), Some(subject));
        }
        assert_eq!(Subject::of(SubjectKind::Endpoint, "nowhere"), None);
        let mapped = Subject::of(SubjectKind::Endpoint, "::ffff:10.0.0.1");
        assert_eq!(mapped, Some(Subject::Endpoint([10, 0, 0, 1].into())));
    }
}
