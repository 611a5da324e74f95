//! The policy list of a gateway: which one is in force, and how another one gets there.
//!
//! The store's newest revision is in force. The configuration file is where lists come from at first: whenever its `[[policy]]`
//! list is another one than the file had when it was last taken over, at a start or at SIGHUP, it becomes a revision of its
//! own. As long as it is the same, it has no say, whatever people have put into force since.

mod backtest;
mod book;
mod cases;
mod command;
mod desk;
mod list;

use anyhow::{Context as _, Result};
use portcullis_core::Clock as _;
use portcullis_core::revision::{ListedPolicy, NewRevision, PolicyStore as _, Revision};
use portcullis_store::Store;
use tracing::info;

use crate::config::Config;
use crate::system::System;

pub(crate) use book::{Basis, Book};
pub(crate) use command::{Command, applied, run};
pub(crate) use list::{LoadedList, in_file, listed, load};

/// Who has made a revision that comes from the configuration file.
const FILE: &str = "configuration file";

/// The list that is to be in force.
pub(crate) enum Chosen {
    /// The file's, which is new. The digest tells it from others.
    File { list: Vec<ListedPolicy>, digest: [u8; 32], newest: u64 },
    /// The newest revision. The file has not changed since another one, or since this.
    Stored { revision: Revision, since: u64 },
}

impl Chosen {
    /// Looks at both.
    pub(crate) async fn between(config: &Config, store: &Store) -> Result<Self> {
        let list = listed(&config.policies).map_err(|problem| anyhow::anyhow!("{}", problem.message))?;
        let digest = list::digest(&list).context("the list of policies cannot be written as JSON")?;
        let newest = store.newest_revision().await?;
        match store.taken_over().await?.filter(|taken| taken.digest == digest) {
            None => Ok(Self::File { list, digest, newest }),
            Some(taken) => {
                let revision = store.revision(newest).await?.context("the newest revision of the policies is gone")?;
                Ok(Self::Stored { revision, since: taken.revision })
            }
        }
    }

    pub(crate) fn list(&self) -> &[ListedPolicy] {
        match self {
            Self::File { list, .. } => list,
            Self::Stored { revision, .. } => &revision.policies,
        }
    }

    /// Stores the file's list, loaded, as a revision where it is new. Returns the revision that is to be in force.
    pub(crate) async fn settle(self, loaded: &LoadedList, store: &Store) -> Result<Revision> {
        match self {
            Self::Stored { revision, since } => {
                info!("{}; the file has not changed since revision {since}", in_force(&revision));
                Ok(revision)
            }
            Self::File { digest, newest, .. } => {
                let comment = match newest {
                    0 => "The first list of the configuration file.",
                    _ => "The configuration file has another list than before.",
                };
                let revision = Revision {
                    number: newest.saturating_add(1),
                    at: System.now(),
                    actor: FILE.to_owned(),
                    comment: comment.to_owned(),
                    policies: loaded.list.clone(),
                };
                let event = book::applied(&revision);
                let new = NewRevision { revision: revision.clone(), file: Some(digest), draft: None };
                if !store.put_revision(new, event).await? {
                    anyhow::bail!("somebody else has put policies into force at the same moment: try again");
                }
                info!("{}", in_force(&revision));
                Ok(revision)
            }
        }
    }
}

/// "policies: revision 7 of 2026-11-25T02:00:00Z, by alice, in force".
fn in_force(revision: &Revision) -> String {
    let at = moment(revision.at);
    format!("policies: revision {} of {at}, by {}, in force", revision.number, revision.actor)
}

/// A time in UTC, to the second.
pub(crate) fn moment(at: portcullis_core::Timestamp) -> String {
    let seconds = i64::try_from(at.0 / 1_000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    seconds.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}
