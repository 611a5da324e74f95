//! Summaries on their way into the store.
//!
//! A session hands its summary over and goes on; from here a task of its own takes it to the store. What waits is bounded,
//! and what has no room any more, or cannot be stored in the end, is counted, logged, and named by an event.
//!
//! The summary of a connection that goes on is an event of its own. Those of connections that end are merged for the rest
//! of the minute in which they began, by who, from where and through which listener: an application that connects anew for
//! each search would otherwise double the number of events.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::gate::{Claim, Summary};
use portcullis_core::summary::Tally;
use portcullis_core::{Account, ListenerName, Timestamp};
use tokio::time::Instant;

/// How long after it began a merged summary goes to the store.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);
/// Summaries that are merged at a time, and that wait for the store.
const MOST_MERGING: usize = 4_096;
const MOST_READY: usize = 8_192;
/// Accounts that are remembered from their last bind.
const MOST_KNOWN: usize = 16_384;
/// Octets of a name that are kept. No real one is longer, but who has a password can bind with as many blanks in the name
/// as the directory takes.
const LONGEST_NAME: usize = 1_024;

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) claim: Claim,
    pub(crate) address: IpAddr,
    pub(crate) listener: ListenerName,
    pub(crate) application: String,
}

/// A summary, before anybody has looked up whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    /// None when there were several.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) connections: u64,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) tally: Tally,
    /// How often the store has refused it while it took others.
    pub(crate) refused: u8,
}

impl Pending {
    fn new(summary: Summary, application: &str, now: Timestamp) -> Self {
        let client = summary.connection.client;
        let age = u64::try_from(summary.age.as_millis()).unwrap_or(u64::MAX);
        Self {
            key: Key {
                claim: shortened(summary.claim),
                address: client.ip().to_canonical(),
                listener: summary.connection.listener,
                application: application.to_owned(),
            },
            client: Some(client),
            connections: 1,
            from: Timestamp(now.0.saturating_sub(age)),
            to: now,
            tally: summary.tally,
            refused: 0,
        }
    }

    fn add(&mut self, other: &Self) {
        if self.client.is_none() || self.client != other.client {
            self.client = None;
            self.connections = self.connections.saturating_add(other.connections);
        }
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.tally.add(&other.tally);
    }
}

/// What could not be recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) summaries: u64,
    /// What they had counted.
    pub(crate) operations: u64,
}

impl Lost {
    fn add(&mut self, pending: &Pending) {
        self.summaries = self.summaries.saturating_add(1);
        self.operations = self.operations.saturating_add(pending.tally.total());
    }
}

#[derive(Default)]
struct State {
    /// By what they are about, with the time at which they go on.
    merging: HashMap<Key, (Pending, Instant)>,
    ready: VecDeque<Pending>,
    /// Given out and neither stored nor given back.
    under_way: usize,
    lost: Lost,
}

/// See the top of this file.
#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    known: Mutex<HashMap<String, Account>>,
}

impl Ledger {
    /// Takes a summary over. Never waits for more than a lock that nobody keeps.
    pub(crate) fn take(&self, summary: Summary, application: &str, now: Timestamp) {
        let due = Instant::now() + PERIOD.saturating_sub(summary.age);
        let continues = summary.continues;
        let pending = Pending::new(summary, application, now);
        let mut state = self.state();
        // Where there is no room any more, there may be one to merge it with.
        if continues && state.ready.len() < MOST_READY {
            state.ready.push_back(pending);
        } else {
            state.merge(pending, due);
        }
    }

    /// The next summaries for the store, at most `count`: those that were merged long enough, or all of them.
    pub(crate) fn next(&self, count: usize, all: bool) -> Vec<Pending> {
        let now = Instant::now();
        let mut state = self.state();
        state.release(|due| all || due <= now);
        let count = count.min(state.ready.len());
        state.under_way += count;
        state.ready.drain(..count).collect()
    }

    /// What was given out is stored.
    pub(crate) fn stored(&self, count: usize) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(count);
    }

    /// What was given out could not be stored and is tried again, as far as there is room.
    pub(crate) fn give_back(&self, pending: Vec<Pending>) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(pending.len());
        for one in pending.into_iter().rev() {
            if state.ready.len() < MOST_READY {
                state.ready.push_front(one);
            } else {
                state.lost.add(&one);
            }
        }
    }

    /// What was given out can never be stored.
    pub(crate) fn give_up(&self, pending: &[Pending]) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(pending.len());
        pending.iter().for_each(|one| state.lost.add(one));
    }

    /// What was lost and not yet recorded as lost.
    pub(crate) fn lost(&self) -> Lost {
        self.state().lost
    }

    /// That so much was lost is recorded.
    pub(crate) fn admitted(&self, lost: Lost) {
        let mut state = self.state();
        state.lost.summaries = state.lost.summaries.saturating_sub(lost.summaries);
        state.lost.operations = state.lost.operations.saturating_sub(lost.operations);
    }

    /// Summaries that are not in the store.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.state();
        state.merging.len() + state.ready.len() + state.under_way
    }

    /// Remembers whose a name was found to be at a bind.
    pub(crate) fn remember(&self, name: &str, account: &Account) {
        if name.len() > LONGEST_NAME {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Nearly always it was the same the last time.
        if known.get(name).is_some_and(|known| known == account) {
            return;
        }
        // Starting anew costs each account one look-up.
        if known.len() >= MOST_KNOWN && !known.contains_key(name) {
            known.clear();
        }
        known.insert(name.to_owned(), account.clone());
    }

    /// Whose a name was at its last bind.
    pub(crate) fn known(&self, name: &str) -> Option<Account> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn merge(&mut self, pending: Pending, due: Instant) {
        if let Some((known, known_due)) = self.merging.get_mut(&pending.key) {
            known.add(&pending);
            *known_due = due.min(*known_due);
            return;
        }
        if self.merging.len() >= MOST_MERGING {
            self.release(|_| true);
        }
        if self.merging.len() >= MOST_MERGING {
            self.lost.add(&pending);
            return;
        }
        self.merging.insert(pending.key.clone(), (pending, due));
    }

    /// Lets those go on whose time it is, as far as there is room.
    fn release(&mut self, is_due: impl Fn(Instant) -> bool) {
        let room = MOST_READY.saturating_sub(self.ready.len());
        let going = self.merging.extract_if(|_, (_, due)| is_due(*due)).take(room);
        self.ready.extend(going.map(|(_, (pending, _))| pending));
    }
}

/// The claim, with a name that was cut off if need be. What is left ends so that it is nobody's name.
fn shortened(claim: Claim) -> Claim {
    match claim {
        Claim::Name(name) if name.len() > LONGEST_NAME => {
            let end = name.floor_char_boundary(LONGEST_NAME);
            Claim::Name(format!("{}…", name.get(..end).unwrap_or_default()))
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
