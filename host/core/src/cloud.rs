//! What happened at cloud services, as it is stored: events with what only such services tell, how far each source was
//! read, what has to follow, and which cloud account is whose.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::challenge::Forget;
use crate::event::{AccessEvent, Record};
use crate::source::{Attribute, CloudAccount, Enforcement, Position};
use crate::store::StoreError;
use crate::{AccountId, ConnectorName, EventId, PolicyName, Timestamp};

/// What a cloud service told of an access beyond [`crate::Access`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// The service's own id of the event.
    pub id: String,
    /// When the gateway heard of it. [`crate::Access::at`] is when it happened.
    pub received_at: Timestamp,
    /// The service's id of the account; none where the event is nobody's.
    #[serde(default)]
    pub account: Option<String>,
    /// One sentence.
    pub detail: String,
    /// Where the client was, in words.
    #[serde(default)]
    pub place: Option<String>,
    /// Where the client was.
    #[serde(default)]
    pub position: Option<Position>,
    /// What the client called itself.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// What else the service said.
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// The event as the service sent it, JSON; cut off where it is very long.
    #[serde(default)]
    pub raw: String,
    /// The event that this one follows from: it tells how the second factor was answered that was asked for after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<EventId>,
}

/// What has to follow from an event of a cloud service. Nobody waits for it, so it is kept in the store until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FollowUp {
    /// Ask for a second factor, and ask this policy and those after it again with the answer.
    Challenge {
        /// The policy that wants it.
        policy: PolicyName,
    },
    /// Act against the cloud account.
    Enforce {
        /// The service's id of the account.
        account: String,
        /// What to do, in this order.
        actions: Vec<Enforcement>,
        /// The policy whose block it is.
        policy: PolicyName,
    },
}

/// A follow-up that is not done.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenFollowUp {
    /// Its place in their order.
    pub number: u64,
    /// The connector whose event it follows from.
    pub source: ConnectorName,
    /// What to do.
    pub what: FollowUp,
    /// The event.
    pub event: AccessEvent,
}

/// A record of something that happened at a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignRecord {
    /// The service's own id of it. A source's second record with the same is not stored.
    pub id: String,
    /// The record.
    pub record: Record,
    /// What has to follow.
    pub follow_up: Option<FollowUp>,
    /// What it makes worthless of what the account has approved.
    pub forget: Option<Forget>,
    /// It happened too long ago for anybody to be told what policies say of it.
    pub is_old: bool,
}

/// What is stored of one answer of a source, in one transaction or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcePage {
    /// The connector.
    pub source: ConnectorName,
    /// Where to go on.
    pub state: SourceState,
    /// What happened.
    pub records: Vec<ForeignRecord>,
}

/// How far a source has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// Where to go on; none where that is the beginning.
    pub cursor: Option<String>,
    /// Everything before this moment is stored; none where the service cannot tell.
    pub complete_to: Option<Timestamp>,
}

/// Events of cloud services.
#[async_trait]
pub trait SourceStore: Send + Sync {
    /// How far a source has been read; none for one that never was.
    async fn source_state(&self, source: &ConnectorName) -> Result<Option<SourceState>, StoreError>;

    /// Those of the ids that are stored already.
    async fn known_ids(&self, source: &ConnectorName, ids: &[String]) -> Result<HashSet<String>, StoreError>;

    /// Stores the records that are not there yet, with what follows, and where to go on. Returns how many were new.
    async fn put_page(&self, page: SourcePage) -> Result<u64, StoreError>;

    /// The first `limit` follow-ups behind `after` that are not done.
    async fn open_follow_ups(&self, after: u64, limit: u32) -> Result<Vec<OpenFollowUp>, StoreError>;

    /// A follow-up is done: it is taken out, `record` is stored and, where the event leads to another one, that as well; all
    /// in one transaction.
    async fn end_follow_up(&self, number: u64, record: Record, next: Option<FollowUp>) -> Result<(), StoreError>;
}

/// How a source does, since the gateway started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The connector.
    pub source: ConnectorName,
    /// When it was last read with success.
    pub last_success: Option<Timestamp>,
    /// What kept it from being read, and when; none once it was read again.
    pub last_error: Option<(Timestamp, String)>,
    /// Everything before this moment is stored; none where that is not known.
    pub complete_to: Option<Timestamp>,
    /// More is waiting there than has been read.
    pub behind: bool,
    /// Events that were stored.
    pub stored: u64,
    /// Events that came again and were not.
    pub again: u64,
    /// Reads that succeeded.
    pub polls: u64,
    /// Reads that failed.
    pub failures: u64,
}

/// How it is known that a cloud account and a directory account are the same person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchedBy {
    /// The login's part before the `@` is the directory's short name. Shown to people, and not taken for a match.
    ShortName,
    /// The mail addresses are the same.
    Mail,
    /// The login there is the directory's user principal name or login.
    Login,
    /// The attribute that the administrator chose has the same value in both.
    Attribute,
    /// A person said so.
    Person,
}

impl MatchedBy {
    /// How sure that is, 0 to 100.
    #[must_use]
    pub fn confidence(self) -> u8 {
        match self {
            Self::ShortName => 40,
            Self::Mail => 80,
            Self::Login => 90,
            Self::Attribute => 95,
            Self::Person => 100,
        }
    }

    /// Sure enough to take the accounts for one.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self >= Self::Mail
    }
}

/// A sign that a cloud account and a directory account belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudMatch {
    /// The directory account.
    pub account: AccountId,
    /// Its login, for reading.
    pub login: String,
    /// A name by which the directory finds it.
    pub name: String,
    /// How that is known.
    pub by: MatchedBy,
}

/// What a person decided about a cloud account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudOverride {
    /// The directory account that it belongs to; none: to no one, whatever the names say.
    pub account: Option<CloudMatch>,
    /// Who decided.
    pub person: String,
    /// When.
    pub at: Timestamp,
}

/// A cloud account with everything that is known about whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudTwin {
    /// The connector that knows it.
    pub source: ConnectorName,
    /// What the service says of it. Where only events named it so far, its status is empty.
    pub account: CloudAccount,
    /// When the service was asked; none: only events named it.
    pub asked_at: Option<Timestamp>,
    /// Every directory account that it may belong to, one entry each.
    pub matches: Vec<CloudMatch>,
    /// What a person decided.
    pub decided: Option<CloudOverride>,
}

impl CloudTwin {
    /// The directory account that it belongs to: the person's word, else the surest match if there is one alone.
    #[must_use]
    pub fn belongs_to(&self) -> Option<&CloudMatch> {
        if let Some(decided) = &self.decided {
            return decided.account.as_ref();
        }
        let surest = self.surest();
        match surest.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Several directory accounts have the same claim to it, and nobody has decided.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        self.decided.is_none() && self.surest().len() > 1
    }

    fn surest(&self) -> Vec<&CloudMatch> {
        let enough = || self.matches.iter().filter(|found| found.by.is_enough());
        let best = enough().map(|found| found.by).max();
        enough().filter(|found| Some(found.by) == best).collect()
    }
}

/// Cloud accounts.
#[async_trait]
pub trait CloudAccountStore: Send + Sync {
    /// All of them, by source and id.
    async fn cloud_accounts(&self) -> Result<Vec<CloudTwin>, StoreError>;
    /// Stores what was found about a cloud account, or replaces it. What a person decided is left as it is stored.
    async fn put_cloud_account(&self, twin: &CloudTwin) -> Result<(), StoreError>;
    /// Stores what a person decided, or takes it back; `event` is stored with it in one transaction. Says whether there is
    /// such a cloud account.
    async fn decide_cloud_account(
        &self,
        source: &ConnectorName,
        id: &str,
        decision: Option<CloudOverride>,
        event: crate::event::Event,
    ) -> Result<bool, StoreError>;
    /// Directory accounts of which a source said that it has no account for them, and when it did.
    async fn without_cloud_account(&self) -> Result<Vec<(ConnectorName, AccountId, Timestamp)>, StoreError>;
    /// A source has no account for this directory account.
    async fn put_without_cloud_account(
        &self,
        source: &ConnectorName,
        account: &AccountId,
        at: Timestamp,
    ) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin(matches: &[(&str, MatchedBy)]) -> CloudTwin {
        let found = |(account, by): &(&str, MatchedBy)| CloudMatch {
            account: AccountId::new(*account),
            login: (*account).to_owned(),
            name: (*account).to_owned(),
            by: *by,
        };
        CloudTwin {
            source: ConnectorName::new("okta"),
            account: CloudAccount {
                id: "00u1".to_owned(),
                login: "alice@example.com".to_owned(),
                mail: None,
                status: "ACTIVE".to_owned(),
                enabled: true,
                applications: Vec::new(),
                factors: Vec::new(),
                attributes: Vec::new(),
            },
            asked_at: None,
            matches: matches.iter().map(found).collect(),
            decided: None,
        }
    }

    fn owner(twin: &CloudTwin) -> Option<&str> {
        twin.belongs_to().map(|found| found.account.as_str())
    }

    #[test]
    fn the_surest_match_counts_and_two_of_the_same_are_a_conflict() {
        assert_eq!(owner(&twin(&[])), None);
        assert_eq!(owner(&twin(&[("a", MatchedBy::ShortName)])), None, "a short name alone is none");
        assert_eq!(owner(&twin(&[("a", MatchedBy::Mail), ("b", MatchedBy::Login)])), Some("b"));
        let contested = twin(&[("a", MatchedBy::Mail), ("b", MatchedBy::Mail)]);
        assert_eq!((owner(&contested), contested.is_contested()), (None, true));
    }

    #[test]
    fn a_person_s_word_wins() {
        let mut twin = twin(&[("a", MatchedBy::Attribute), ("b", MatchedBy::Attribute)]);
        let decide = |account| Some(CloudOverride { account, person: "ada".to_owned(), at: Timestamp(1) });
        twin.decided = decide(Some(CloudMatch { by: MatchedBy::Person, ..twin.matches[0].clone() }));
        assert_eq!((owner(&twin), twin.is_contested()), (Some("a"), false));
        twin.decided = decide(None);
        assert_eq!((owner(&twin), twin.is_contested()), (None, false));
    }
}
