//! A second factor being asked for, and what the challenge page may see and do.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AccountId, ChallengeId, ConnectorName, EventId, PolicyName, Secret, Timestamp};

/// Where a challenge stands. Only [`ChallengeState::Open`] changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeState {
    /// Waiting for the person.
    Open,
    /// The person said yes.
    Approved,
    /// The person said no.
    Denied,
    /// Too many wrong codes.
    Failed,
    /// No answer in time.
    Expired,
    /// Dismissed on the page.
    Closed,
    /// Every client that waited for it went away, or the gateway was stopped.
    Cancelled,
}

/// The unguessable part of a challenge's address. Whoever has it can see and dismiss the challenge.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LinkToken(String);

impl LinkToken {
    /// From 16 random bytes; 32 hexadecimal digits.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// From an address; none when it has not the form of a token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The text, for the one page or message that is meant to have it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

/// A challenge as the store keeps it. Holds nothing by which it could be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeRecord {
    /// Id.
    pub id: ChallengeId,
    /// Who is asked.
    pub account: AccountId,
    /// Login, for reading.
    pub login: String,
    /// The account's risk when it was asked, 0 to 100.
    pub risk: u8,
    /// From where the access comes.
    pub address: Option<IpAddr>,
    /// For what.
    pub application: String,
    /// By which policy.
    pub policy: PolicyName,
    /// Through which connector.
    pub connector: ConnectorName,
    /// When the person was asked.
    pub opened_at: Timestamp,
    /// When it ended; none while it is open.
    pub ended_at: Option<Timestamp>,
    /// Where it stands.
    pub state: ChallengeState,
}

/// What makes an approval count for a later access.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RememberKey {
    /// The same account,
    pub account: AccountId,
    /// from the same endpoint,
    pub address: Option<IpAddr>,
    /// to the same application,
    pub application: String,
    /// asked by the same policy,
    pub policy: PolicyName,
    /// through the same connector.
    pub connector: ConnectorName,
}

/// Approvals that were given up to a moment count for no later access any more: something has happened since they were
/// given that makes them worth nothing as a proof of who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    /// Whose; none: everybody's, where it cannot be told whose.
    pub account: Option<AccountId>,
    /// Those that ended at or before this moment.
    pub before: Timestamp,
    /// The event of something that is about to happen, and may fail: it can be taken back with
    /// [`crate::store::ChallengeStore::settle`]. What is never settled counts.
    pub until_settled: Option<EventId>,
}

/// What the challenge page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeView {
    /// Id.
    pub id: ChallengeId,
    /// Address of its page.
    pub link: LinkToken,
    /// Account that is asked.
    pub login: String,
    /// Machine that the access comes from.
    pub address: Option<IpAddr>,
    /// Name of that machine, where known.
    pub endpoint_name: Option<String>,
    /// Application that the access is for.
    pub application: String,
    /// When the person was asked.
    pub opened_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Number to pick on the phone, once known.
    pub number: Option<u8>,
    /// Where the code comes from that has to be typed, where one has to be.
    pub code: Option<String>,
    /// What became of what the person did last.
    pub note: Option<String>,
    /// Ways to be asked.
    pub choices: Vec<ChoiceView>,
    /// Where it stands.
    pub state: ChallengeState,
    /// Grows by each change, for [`ChallengeDesk::changed`].
    pub version: u64,
}

/// A way to be asked, as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceView {
    /// Name by which it is chosen.
    pub id: String,
    /// What the person reads.
    pub label: String,
    /// The one in use; to choose it again asks again.
    pub current: bool,
    /// From when on it can be chosen.
    pub from: Timestamp,
}

/// One load of a challenge's page in a browser, by the number that its script made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageId(pub u64);

/// What a page says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Somebody looks at it.
    Visible,
    /// It is open behind something else, where browsers let scripts sleep.
    Hidden,
    /// It shows something else now, or lists the challenge among others: not open, and not closed either.
    Elsewhere,
    /// It has been closed, left or loaded again.
    Gone,
}

/// Why nothing was done with what came from the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// There is no such challenge, or it has ended.
    Ended,
    /// It has nothing to type or to choose.
    NothingToDo,
    /// What came before is still being looked at.
    Busy,
}

/// What the challenge page asks of the guard.
#[async_trait]
pub trait ChallengeDesk: Send + Sync {
    /// Challenges of accesses from this address: the open ones, and those that ended within the last minute; the newest where
    /// there are very many.
    async fn of_address(&self, address: IpAddr) -> Vec<ChallengeView>;
    /// The challenge behind a link; none when there is no such link or it ended more than a few minutes ago.
    async fn by_link(&self, link: &LinkToken) -> Option<ChallengeView>;
    /// Waits until the challenge differs from version `seen`, at most for the time that a challenge can be open.
    async fn changed(&self, link: &LinkToken, seen: u64) -> Option<ChallengeView>;
    /// The person dismisses it: ends as [`ChallengeState::Closed`] if it is still open. Says whether it was.
    async fn dismiss(&self, link: &LinkToken) -> bool;
    /// Somebody says that it was not them who asked: ends as [`ChallengeState::Denied`] if it is still open. Says whether
    /// it was.
    async fn deny(&self, link: &LinkToken) -> bool;
    /// Tries a code, one at a time; ends when the view shows what came of it.
    async fn verify(&self, link: &LinkToken, code: Secret) -> Result<(), NotTaken>;
    /// Asks in one of the [`ChallengeView::choices`]; ends when the view shows what came of it.
    async fn choose(&self, link: &LinkToken, choice: &str) -> Result<(), NotTaken>;
    /// A page tells that it is there, or no longer. A code can only be typed on a page, so a challenge that waits for one
    /// ends as [`ChallengeState::Closed`] when all pages that ever told are gone, or have been silent for too long. Says
    /// whether the challenge is open.
    async fn seen(&self, link: &LinkToken, page: PageId, presence: Presence) -> bool;
}
