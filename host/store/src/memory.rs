//! Learned behaviour in memory. Each bind asks for it, and asking the database would cost more than all the rest of a bind;
//! counting the accounts of a shared endpoint would even grow with their number.
//!
//! The database stays the truth. What was read from it is remembered only when no transaction was under way meanwhile, so
//! that it is known to be from before or after each of them; what the writer commits is added to what is remembered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::AccountId;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory, Observation};

/// Accounts, and endpoints, that are remembered. An account with five endpoints takes about half a kilobyte.
const MOST: usize = 100_000;

/// What is remembered.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Odd while a transaction is under way.
    generation: u64,
    accounts: HashMap<AccountId, AccountHistory>,
    endpoints: HashMap<IpAddr, EndpointHistory>,
}

/// When a question was put to the database.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u64);

impl Memory {
    /// To be asked before the database is.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.inner().generation)
    }

    pub(crate) fn account(&self, account: &AccountId) -> Option<AccountHistory> {
        self.inner().accounts.get(account).cloned()
    }

    pub(crate) fn endpoint(&self, address: IpAddr) -> Option<EndpointHistory> {
        self.inner().endpoints.get(&address).copied()
    }

    pub(crate) fn remember_account(&self, account: &AccountId, history: &AccountHistory, asked: Moment) {
        let mut inner = self.inner();
        if inner.is_settled_since(asked) {
            make_room(&mut inner.accounts);
            inner.accounts.insert(account.clone(), history.clone());
        }
    }

    pub(crate) fn remember_endpoint(&self, address: IpAddr, history: EndpointHistory, asked: Moment) {
        let mut inner = self.inner();
        if inner.is_settled_since(asked) {
            make_room(&mut inner.endpoints);
            inner.endpoints.insert(address, history);
        }
    }

    /// A transaction begins.
    pub(crate) fn begin(&self) {
        let mut inner = self.inner();
        inner.generation |= 1;
    }

    /// The transaction has ended, and what it learned is in the database. Nothing, where it failed.
    pub(crate) fn end<'a>(&self, learned: impl IntoIterator<Item = &'a Observation>) {
        let mut inner = self.inner();
        for observation in learned {
            inner.learn(observation);
        }
        inner.generation = (inner.generation | 1).wrapping_add(1);
    }

    /// Somebody else has written into the database.
    pub(crate) fn forget(&self) {
        let mut inner = self.inner();
        inner.accounts.clear();
        inner.endpoints.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn learn(&mut self, observation: &Observation) {
        match self.accounts.get_mut(&observation.account).map(|history| add(history, observation)) {
            Some(false) => {}
            Some(true) => {
                if let Some(history) = self.endpoints.get_mut(&observation.address) {
                    history.accounts = history.accounts.saturating_add(1);
                }
            }
            // Whether the account is new to the endpoint is not known here. The database knows.
            None => drop(self.endpoints.remove(&observation.address)),
        }
    }

    fn is_settled_since(&self, asked: Moment) -> bool {
        asked.0 == self.generation && asked.0.is_multiple_of(2)
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

    fn seen(at: u64) -> Observation {
        Observation { account: AccountId::new("alice"), address: [10, 0, 0, 1].into(), at: Timestamp(at) }
    }

    #[test]
    fn what_was_read_while_a_transaction_was_under_way_is_not_remembered() {
        let (memory, alice) = (Memory::default(), AccountId::new("alice"));
        let before = memory.moment();
        memory.begin();
        memory.remember_account(&alice, &AccountHistory::default(), before);
        let during = memory.moment();
        memory.remember_account(&alice, &AccountHistory::default(), during);
        memory.end(&[]);
        memory.remember_account(&alice, &AccountHistory::default(), before);
        memory.remember_account(&alice, &AccountHistory::default(), during);
        assert!(memory.account(&alice).is_none());
        memory.remember_account(&alice, &AccountHistory::default(), memory.moment());
        assert!(memory.account(&alice).is_some());
    }

    #[test]
    fn what_is_committed_is_added_to_what_is_remembered() {
        let (memory, alice) = (Memory::default(), AccountId::new("alice"));
        memory.remember_account(&alice, &AccountHistory::default(), memory.moment());
        memory.remember_endpoint(seen(0).address, EndpointHistory { accounts: 3 }, memory.moment());
        for at in [5, 9, 7] {
            memory.begin();
            memory.end(&[seen(at)]);
        }
        let history = memory.account(&alice).unwrap();
        let expected =
            Association { address: seen(0).address, first_seen: Timestamp(5), last_seen: Timestamp(9), count: 3 };
        assert_eq!(history.associations, [expected]);
        assert_eq!(memory.endpoint(seen(0).address), Some(EndpointHistory { accounts: 4 }));
        memory.forget();
        assert!(memory.account(&alice).is_none());
    }

    #[test]
    fn an_endpoint_is_forgotten_when_an_account_that_is_not_remembered_uses_it() {
        let memory = Memory::default();
        memory.remember_endpoint(seen(0).address, EndpointHistory { accounts: 3 }, memory.moment());
        memory.begin();
        memory.end(&[seen(5)]);
        assert_eq!(memory.endpoint(seen(0).address), None);
    }
}
