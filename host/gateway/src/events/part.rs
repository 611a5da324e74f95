//! Parts of an import: so many lines become events, and are stored in one transaction.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use portcullis_core::cloud::SourceStore as _;
use portcullis_core::event::PastEvent;
use portcullis_core::history::{HistoryStore as _, PastRecord};
use portcullis_core::learned::EndpointHistory;
use portcullis_core::profile::ProfileStore as _;
use portcullis_core::store::LearnedStore as _;
use portcullis_core::{Clock as _, ConnectorName, EventId, ListenerName, Timestamp};
use portcullis_guard::{Historian, PastError, PastOptions, past_record};
use portcullis_store::Store;
use tokio::time::Instant;

use super::import::Counts;
use super::line::Line;
use crate::assemble;
use crate::config::Loaded;
use crate::system::System;

/// Events of a part. A transaction of them takes some milliseconds, for which decisions of a running gateway wait.
const MOST: usize = 512;

/// A line that is good so far.
pub(super) struct Waiting {
    pub(super) at: Timestamp,
    pub(super) number: u64,
    pub(super) octets: usize,
    pub(super) line: Line,
}

/// By time; what was at one moment, as it stands in the file.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// Where the events go.
struct Target {
    import: EventId,
    origin: String,
}

/// Gathers lines, and does what has to be done with so many.
pub(super) struct Parts {
    store: Store,
    historian: Historian,
    /// None: the lines are judged only.
    target: Option<Target>,
    waiting: Vec<Waiting>,
    /// Before that, the others who write have their turn.
    next: Instant,
}

impl Parts {
    /// Those that are looked at and not stored.
    pub(super) async fn judging(loaded: &Loaded, store: &Store) -> Result<Self> {
        Self::of(loaded, store, None).await
    }

    /// Those that are stored.
    pub(super) async fn storing(loaded: &Loaded, store: &Store, import: EventId, origin: String) -> Result<Self> {
        Self::of(loaded, store, Some(Target { import, origin })).await
    }

    async fn of(loaded: &Loaded, store: &Store, target: Option<Target>) -> Result<Self> {
        let config = &loaded.config;
        let upstreams = assemble::upstreams(config).map_err(|problem| loaded.problems(vec![problem]))?;
        let lookup = assemble::lookup(config, upstreams).map_err(|problem| loaded.problems(vec![problem]))?;
        let options = PastOptions {
            surroundings: assemble::surroundings(config),
            accounts_without_entry: config.directory.accounts_without_entry.clone(),
            shared_from_accounts: config.behavior.shared_from_accounts,
            listener: ListenerName::new(config.listeners.first().map_or("", |listener| listener.name.as_str())),
            kinds: store.decided_kinds().await?,
        };
        Ok(Self {
            store: store.clone(),
            historian: Historian::new(Arc::new(lookup), options),
            target,
            waiting: Vec::with_capacity(MOST),
            next: Instant::now(),
        })
    }

    /// Adds a line; with it, the part may be full.
    pub(super) async fn add(&mut self, waiting: Waiting, counts: &mut Counts) -> Result<()> {
        self.waiting.push(waiting);
        if self.waiting.len() >= MOST { self.finish(counts).await } else { Ok(()) }
    }

    /// Does what has to be done with the lines that are there.
    pub(super) async fn finish(&mut self, counts: &mut Counts) -> Result<()> {
        let part = std::mem::take(&mut self.waiting);
        let (new, known) = self.unknown(part).await?;
        let addresses: HashSet<_> = new.iter().filter_map(|waiting| address(&waiting.line)).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        let before: HashMap<_, EndpointHistory> = self.store.endpoint_histories(&addresses).await?;
        self.historian.begin(before);
        let now = System.now();
        let mut records = Vec::with_capacity(new.len());
        for Waiting { number, line, .. } in new {
            match self.event(line).await? {
                Ok((event, from)) => records.extend(self.target.as_ref().map(|target| {
                    let origin = from.unwrap_or_else(|| target.origin.clone());
                    past_record(event, target.import, now, origin)
                })),
                Err(problem) => counts.bad(number, &problem),
            }
        }
        counts.known += known;
        if !records.is_empty() {
            let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
            let stored = self.put(records).await?;
            counts.stored += stored;
            counts.known += count.saturating_sub(stored);
        }
        Ok(())
    }

    /// Those that are not in the log yet, and how many are.
    async fn unknown(&self, part: Vec<Waiting>) -> Result<(Vec<Waiting>, u64)> {
        let ids: Vec<_> = part.iter().filter_map(|waiting| id(&waiting.line)).collect();
        let known = self.store.known_events(&ids).await?;
        let mut foreign: HashMap<ConnectorName, Vec<String>> = HashMap::new();
        for (source, id) in part.iter().filter_map(|waiting| foreign_id(&waiting.line)) {
            foreign.entry(ConnectorName::new(source)).or_default().push(id.to_owned());
        }
        // What this gateway has read from the same cloud service itself has taught already.
        let mut read = HashSet::new();
        for (source, ids) in foreign {
            let found = self.store.known_ids(&source, &ids).await?;
            read.extend(found.into_iter().map(|id| (source.as_str().to_owned(), id)));
        }
        let all = part.len();
        let new: Vec<_> = part
            .into_iter()
            .filter(|waiting| {
                let is_read = foreign_id(&waiting.line)
                    .is_some_and(|(source, id)| read.contains(&(source.to_owned(), id.to_owned())));
                !is_read && id(&waiting.line).is_none_or(|id| !known.contains(&id))
            })
            .collect();
        let known = u64::try_from(all - new.len()).unwrap_or(u64::MAX);
        Ok((new, known))
    }

    /// The event of a line, and where it came from before; in the inner result, what is wrong with it.
    async fn event(&mut self, line: Line) -> Result<Result<(PastEvent, Option<String>), String>> {
        Ok(match line {
            Line::Exported(event, from) => Ok((*event, from)),
            Line::Short(past) => match self.historian.event(*past).await {
                Ok(event) => Ok((PastEvent::Access(Box::new(event)), None)),
                Err(PastError::NoAccount) => Err(PastError::NoAccount.to_string()),
                Err(error @ PastError::Directory(_)) => return Err(error.into()),
            },
            Line::Administration => Err("teaches nothing".to_owned()),
        })
    }

    /// Stores a part, and leaves the store to others for as long as that took.
    async fn put(&mut self, records: Vec<PastRecord>) -> Result<u64> {
        tokio::time::sleep_until(self.next).await;
        let begun = Instant::now();
        let stored = self.store.put_history(records).await?;
        self.next = Instant::now() + begun.elapsed().max(Duration::from_millis(1));
        Ok(stored)
    }
}

fn id(line: &Line) -> Option<EventId> {
    match line {
        Line::Exported(event, _) => Some(event.id()),
        Line::Short(past) => Some(past.id),
        Line::Administration => None,
    }
}

fn address(line: &Line) -> Option<IpAddr> {
    match line {
        Line::Short(past) => past.address.map(|address| address.to_canonical()),
        Line::Exported(..) | Line::Administration => None,
    }
}

/// Source and id of what a cloud service has told.
fn foreign_id(line: &Line) -> Option<(&str, &str)> {
    let Line::Exported(event, _) = line else { return None };
    let PastEvent::Access(event) = event.as_ref() else { return None };
    let foreign = event.foreign.as_ref().filter(|foreign| foreign.follows.is_none())?;
    Some((&event.access.source, &foreign.id))
}
