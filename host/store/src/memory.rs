//! Learned behaviour in memory. Each bind asks for it, and asking the database would cost more than all the rest of a bind;
//! counting the accounts of a shared endpoint would even grow with their number.
//!
//! The database stays the truth. What is read from it says up to which event it is complete, and what was committed since
//! is added to it: the latest observations are kept for that. So it can be remembered however busy the writer is.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::AccountId;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory, Observation};

/// Accounts, and endpoints, that are remembered. An account with five endpoints takes about half a kilobyte.
const MOST: usize = 100_000;
/// Observations that are kept to be added to what was read before them. More than can be committed while a reader reads.
const MOST_RECENT: usize = 4096;

/// What is remembered.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    accounts: HashMap<AccountId, Known<AccountHistory>>,
    endpoints: HashMap<IpAddr, Known<EndpointHistory>>,
    /// In the order in which they were committed.
    recent: VecDeque<Recent>,
    /// `recent` has everything behind the event with this sequence; none: it is not known what it has.
    complete_after: Option<u64>,
}

/// Something with everything in it up to the event with this sequence.
struct Known<T> {
    what: T,
    through: u64,
}

struct Recent {
    /// Sequence of the last event of its transaction: whoever has seen that has seen the observation.
    sequence: u64,
    observation: Observation,
    /// The account had not used the endpoint before; none where that is not known.
    is_new: Option<bool>,
}

impl Memory {
    pub(crate) fn account(&self, account: &AccountId) -> Option<AccountHistory> {
        self.inner().accounts.get(account).map(|known| known.what.clone())
    }

    pub(crate) fn endpoint(&self, address: IpAddr) -> Option<EndpointHistory> {
        self.inner().endpoints.get(&address).map(|known| known.what)
    }

    /// Remembers what the database has said, which has seen everything up to the event `through`.
    pub(crate) fn remember_account(&self, account: &AccountId, history: &AccountHistory, through: u64) {
        let mut inner = self.inner();
        if !inner.knows_all_after(through) {
            return;
        }
        let mut history = history.clone();
        for recent in inner.after(through).filter(|recent| recent.observation.account == *account) {
            add(&mut history, &recent.observation);
        }
        let through = inner.latest().max(through);
        make_room(&mut inner.accounts);
        inner.accounts.insert(account.clone(), Known { what: history, through });
    }

    /// The same for an endpoint.
    pub(crate) fn remember_endpoint(&self, address: IpAddr, history: EndpointHistory, through: u64) {
        let mut inner = self.inner();
        if !inner.knows_all_after(through) {
            return;
        }
        let mut accounts = history.accounts;
        for recent in inner.after(through).filter(|recent| recent.observation.address == address) {
            // Whether the account is new to the endpoint is not known here. The database knows.
            let Some(is_new) = recent.is_new else { return };
            accounts = accounts.saturating_add(u64::from(is_new));
        }
        let through = inner.latest().max(through);
        make_room(&mut inner.endpoints);
        inner.endpoints.insert(address, Known { what: EndpointHistory { accounts }, through });
    }

    /// A transaction that ends with the event `sequence` has been committed, and this was learned in it.
    pub(crate) fn learn<'a>(&self, sequence: u64, learned: impl IntoIterator<Item = &'a Observation>) {
        let mut inner = self.inner();
        if inner.complete_after.is_none() {
            inner.complete_after = Some(sequence);
            return;
        }
        for observation in learned {
            inner.learn(sequence, observation);
        }
    }

    /// Somebody else has written into the database, or may have. What is learned from the next transaction on is known again.
    pub(crate) fn forget(&self) {
        *self.inner() = Inner::default();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn knows_all_after(&self, through: u64) -> bool {
        self.complete_after.is_some_and(|complete| through >= complete)
    }

    fn after(&self, through: u64) -> impl Iterator<Item = &Recent> {
        let begin = self.recent.partition_point(|recent| recent.sequence <= through);
        self.recent.range(begin..)
    }

    fn latest(&self) -> u64 {
        self.recent.back().map_or(0, |recent| recent.sequence)
    }

    fn learn(&mut self, sequence: u64, observation: &Observation) {
        let account = self.accounts.get_mut(&observation.account).filter(|known| known.through < sequence);
        let is_new = account.map(|known| add(&mut known.what, observation));
        if let Some(endpoint) = self.endpoints.get_mut(&observation.address).filter(|known| known.through < sequence) {
            match is_new {
                Some(is_new) => endpoint.what.accounts = endpoint.what.accounts.saturating_add(u64::from(is_new)),
                None => drop(self.endpoints.remove(&observation.address)),
            }
        }
        self.recent.push_back(Recent { sequence, observation: observation.clone(), is_new });
        if self.recent.len() > MOST_RECENT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.complete_after = Some(oldest.sequence);
        }
    }
}

/// Starts anew when it is full. That costs each account one question to the database.
fn make_room<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= MOST {
        map.clear();
    }
}

/// The same as the database does with it. Says whether the account had not used the endpoint before.
fn add(history: &mut AccountHistory, observation: &Observation) -> bool {
    let Observation { address, at, .. } = observation;
    match history.associations.iter_mut().find(|known| known.address == *address) {
        Some(known) => {
            known.first_seen = known.first_seen.min(*at);
            known.last_seen = known.last_seen.max(*at);
            known.count = known.count.saturating_add(1);
            false
        }
        None => {
            history.associations.push(Association { address: *address, first_seen: *at, last_seen: *at, count: 1 });
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::Timestamp;

    use super::*;

    fn seen_by(account: &str, at: u64) -> Observation {
        Observation { account: AccountId::new(account), address: [10, 0, 0, 1].into(), at: Timestamp(at) }
    }

    fn seen(at: u64) -> Observation {
        seen_by("alice", at)
    }

    fn count(memory: &Memory) -> Option<u64> {
        let history = memory.account(&AccountId::new("alice"))?;
        Some(history.associations.iter().map(|known| known.count).sum())
    }

    /// What the database says when alice has been seen so often.
    fn history(times: u64) -> AccountHistory {
        let mut history = AccountHistory::default();
        for at in 0..times {
            add(&mut history, &seen(at));
        }
        history
    }

    #[test]
    fn what_was_committed_since_the_database_was_asked_is_added_and_nothing_twice() {
        let (memory, alice) = (Memory::default(), AccountId::new("alice"));
        memory.remember_account(&alice, &history(0), 0);
        assert_eq!(count(&memory), None, "nobody knows what was before");
        memory.learn(10, []);
        memory.remember_account(&alice, &history(0), 9);
        assert_eq!(count(&memory), None, "something may lie between");
        // Two transactions since the reader's snapshot.
        memory.learn(12, &[seen(1), seen(2)]);
        memory.learn(13, &[seen(3)]);
        memory.remember_account(&alice, &history(1), 10);
        assert_eq!(count(&memory), Some(4));
        memory.learn(14, &[seen(4)]);
        assert_eq!(count(&memory), Some(5));
        // A reader that sees a transaction before its writer has told of it.
        memory.remember_account(&alice, &history(6), 20);
        memory.learn(20, &[seen(5)]);
        assert_eq!(count(&memory), Some(6));
        memory.learn(21, &[seen(6)]);
        assert_eq!(count(&memory), Some(7));
        memory.forget();
        assert_eq!(count(&memory), None);
    }

    #[test]
    fn an_endpoint_counts_the_accounts_that_are_new_to_it() {
        let (memory, address) = (Memory::default(), seen(0).address);
        memory.learn(1, []);
        memory.remember_account(&AccountId::new("alice"), &history(0), 1);
        memory.learn(2, &[seen(1), seen(2)]);
        memory.remember_endpoint(address, EndpointHistory { accounts: 3 }, 1);
        assert_eq!(memory.endpoint(address), Some(EndpointHistory { accounts: 4 }));
        // Whether bob is new to it only the database knows; so it is asked again, and that counts once it has seen him.
        memory.learn(3, &[seen_by("bob", 1)]);
        assert_eq!(memory.endpoint(address), None);
        memory.remember_endpoint(address, EndpointHistory { accounts: 4 }, 2);
        assert_eq!(memory.endpoint(address), None);
        memory.remember_endpoint(address, EndpointHistory { accounts: 5 }, 3);
        assert_eq!(memory.endpoint(address), Some(EndpointHistory { accounts: 5 }));
    }

    #[test]
    fn what_is_older_than_the_latest_observations_is_not_remembered() {
        let (memory, alice) = (Memory::default(), AccountId::new("alice"));
        memory.learn(0, []);
        let sequences = 1..=u64::try_from(MOST_RECENT).unwrap() + 5;
        sequences.for_each(|sequence| memory.learn(sequence, &[seen_by("bob", sequence)]));
        memory.remember_account(&alice, &history(1), 4);
        assert_eq!(count(&memory), None);
        memory.remember_account(&alice, &history(1), 5);
        assert_eq!(count(&memory), Some(1));
    }
}
