//! What happens at cloud identity providers: their logs are read, each event becomes an access that behaviour and policies look
//! at, and what the policies want follows afterwards, because such an access cannot be held.
//!
//! One reader for each source, all of them looked after by [`Cloud::run`]. A page of a log is stored in one
//! transaction with the cursor behind it, and with what has to follow (`follow`). So whenever the process ends, nothing is
//! missing, nothing is there twice, and nothing that was decided is forgotten.

mod accounts;
mod follow;
mod matching;
mod page;
mod poll;
mod status;
mod twins;
mod whose;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::ConnectorName;
use portcullis_core::cloud::{CloudAccountStore, SourceStatus, SourceStore};
use portcullis_core::source::{Enforcement, IdentityProvider};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::Guard;

pub use follow::FollowUpCounts;
pub use matching::SharedAttribute;
use status::Status;
pub(crate) use twins::Twins;

/// How often the store is asked what people have decided about accounts with the command line meanwhile.
const RELOAD: Duration = Duration::from_secs(60);
/// A task that failed is begun again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// What a policy's block leads to, where the access has happened already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBlock {
    /// It is recorded, and nothing else.
    None,
    /// The account is signed out everywhere.
    #[default]
    EndSessions,
    /// The account is kept from signing in, and signed out.
    Suspend,
}

impl OnBlock {
    fn actions(self) -> Vec<Enforcement> {
        match self {
            Self::None => Vec::new(),
            Self::EndSessions => vec![Enforcement::EndSessions],
            // In this order: between the two, nobody can sign in again.
            Self::Suspend => vec![Enforcement::Suspend, Enforcement::EndSessions],
        }
    }
}

/// What the administrator chose for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOptions {
    /// What a block leads to.
    pub on_block: OnBlock,
    /// What happened longer ago than this when the gateway hears of it is recorded and learned from, and nothing follows.
    pub act_within: Duration,
    /// An attribute by which accounts are matched before names are.
    pub match_attribute: Option<SharedAttribute>,
}

impl Default for SourceOptions {
    /// Sessions are ended; for what happened within an hour.
    fn default() -> Self {
        Self { on_block: OnBlock::default(), act_within: Duration::from_secs(3600), match_attribute: None }
    }
}

/// A connector to a cloud identity provider.
#[derive(Clone)]
pub struct CloudSource {
    /// Its name: the source of its events.
    pub name: ConnectorName,
    /// The loaded connector.
    pub provider: Arc<dyn IdentityProvider>,
    /// What the administrator chose.
    pub options: SourceOptions,
}

/// What is asked of the store.
pub trait CloudStore: SourceStore + CloudAccountStore {}

impl<T: SourceStore + CloudAccountStore> CloudStore for T {}

/// Reads the logs of cloud services.
pub struct Cloud {
    guard: Arc<Guard>,
    store: Arc<dyn CloudStore>,
    readers: Mutex<BTreeMap<ConnectorName, Arc<Reader>>>,
    /// The sources were replaced.
    replaced: Notify,
    /// There is something to follow.
    pending: Notify,
    counts: FollowUpCounts,
}

/// One source.
struct Reader {
    source: CloudSource,
    status: Arc<Status>,
    /// Whose the accounts are that its latest events named.
    remembered: Mutex<whose::Remembered>,
    /// Accounts that events named and of which nothing else is known.
    unknown: Mutex<accounts::Unknown>,
}

impl Cloud {
    /// Without sources yet.
    #[must_use]
    pub fn new(guard: Arc<Guard>, store: Arc<dyn CloudStore>) -> Self {
        Self {
            guard,
            store,
            readers: Mutex::default(),
            replaced: Notify::new(),
            pending: Notify::new(),
            counts: FollowUpCounts::default(),
        }
    }

    /// These are the sources from now on. One that was there before goes on where it was.
    pub fn set_sources(&self, sources: Vec<CloudSource>) {
        let mut readers = self.readers();
        let mut before = std::mem::take(&mut *readers);
        for source in sources {
            let status = before.remove(&source.name).map(|reader| Arc::clone(&reader.status));
            let status = status.unwrap_or_else(|| Arc::new(Status::new(source.name.clone())));
            let name = source.name.clone();
            let reader = Reader { source, status, remembered: Mutex::default(), unknown: Mutex::default() };
            readers.insert(name, Arc::new(reader));
        }
        self.guard.twins.set_sources(readers.keys().cloned().collect());
        drop(readers);
        self.replaced.notify_one();
    }

    /// How the sources do.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        let now = self.guard.rooms.clock.now();
        self.readers().values().map(|reader| reader.status.get(now)).collect()
    }

    /// What has followed from events.
    #[must_use]
    pub fn follow_ups(&self) -> &FollowUpCounts {
        &self.counts
    }

    /// Reads the sources, and does what follows, until `shutdown`. What is under way then is done after the next start.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        self.load_accounts().await;
        let (following, looking, reloading) = (Arc::clone(&self), Arc::clone(&self), Arc::clone(&self));
        tasks.spawn(async move { following.follow().await });
        tasks.spawn(async move { looking.look_up().await });
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(RELOAD).await;
                reloading.load_accounts().await;
            }
        });
        loop {
            let mut polls = JoinSet::new();
            let readers: Vec<_> = self.readers().values().cloned().collect();
            for reader in readers {
                let cloud = Arc::clone(&self);
                polls.spawn(async move { reader.read(&cloud).await });
            }
            let again = tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.replaced.notified() => false,
                Some(ended) = polls.join_next() => {
                    error!(?ended, "reading a source has ended by itself");
                    true
                }
                Some(ended) = tasks.join_next() => {
                    // Whoever started this notices, and ends the gateway.
                    error!(?ended, "what looks after cloud services has ended by itself");
                    return;
                }
            };
            polls.shutdown().await;
            if again {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    fn readers(&self) -> MutexGuard<'_, BTreeMap<ConnectorName, Arc<Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self, name: &ConnectorName) -> Option<Arc<Reader>> {
        self.readers().get(name).cloned()
    }
}
