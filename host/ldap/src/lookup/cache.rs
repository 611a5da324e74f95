//! What was found a moment ago, and what is being looked for right now.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use portcullis_core::directory::{DirectoryAccount, DirectoryError};
use portcullis_core::{AccountId, BoxFuture};
use tokio::task::JoinHandle;
use tokio::time::Instant;

type Answer = Result<Option<DirectoryAccount>, DirectoryError>;

/// A look-up under way. Everybody who asks for the same name waits for the same one.
pub(super) type Pending = Shared<BoxFuture<'static, Answer>>;

pub(super) fn pending(task: JoinHandle<Answer>) -> Pending {
    let answer = async move {
        task.await.unwrap_or_else(|_| Err(DirectoryError::Unreachable("the look-up was interrupted".to_owned())))
    };
    answer.boxed().shared()
}

/// Names that differ only in case and in blanks are the same to every directory.
pub(super) fn key(name: &str) -> String {
    portcullis_core::dn::folded_value(name)
}

pub(super) enum Found {
    Known(Option<DirectoryAccount>),
    Pending(Pending),
}

struct Entry {
    account: Option<DirectoryAccount>,
    until: Instant,
    /// Its place in the order of use.
    used: u64,
}

#[derive(Default)]
struct State {
    known: HashMap<String, Entry>,
    /// Names by their last use, the oldest first.
    order: BTreeMap<u64, String>,
    clock: u64,
    pending: HashMap<String, Pending>,
}

/// Bounded; what was not used for longest goes first.
pub(super) struct Cache {
    state: Mutex<State>,
    size: usize,
    found_ttl: Duration,
    missing_ttl: Duration,
}

impl Cache {
    pub(super) fn new(size: usize, found_ttl: Duration, missing_ttl: Duration) -> Self {
        Self { state: Mutex::default(), size, found_ttl, missing_ttl }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known; else the look-up that is under way; else the one that `begin` begins.
    pub(super) fn get_or_begin(&self, key: &str, begin: impl FnOnce() -> Pending) -> Found {
        let mut state = self.lock();
        if let Some(account) = state.get(key, self.size) {
            return Found::Known(account);
        }
        if let Some(pending) = state.pending.get(key) {
            return Found::Pending(pending.clone());
        }
        let pending = begin();
        state.pending.insert(key.to_owned(), pending.clone());
        Found::Pending(pending)
    }

    /// Forgets an account, by whatever names it was looked up.
    pub(super) fn forget(&self, account: &AccountId) {
        let mut state = self.lock();
        let of_account = |entry: &Entry| entry.account.as_ref().is_some_and(|found| found.account.id == *account);
        let names: Vec<_> =
            state.known.iter().filter(|(_, entry)| of_account(entry)).map(|(name, _)| name.clone()).collect();
        for name in names {
            state.forget(&name);
        }
    }

    /// Remembers the answer, unless it is an error.
    pub(super) fn finish(&self, key: &str, answer: &Answer) {
        let mut state = self.lock();
        state.pending.remove(key);
        let Ok(account) = answer else { return };
        let ttl = if account.is_some() { self.found_ttl } else { self.missing_ttl };
        state.forget(key);
        while state.known.len() >= self.size {
            let Some((_, oldest)) = state.order.pop_first() else { return };
            state.known.remove(&oldest);
        }
        let used = state.tick();
        state.order.insert(used, key.to_owned());
        state.known.insert(key.to_owned(), Entry { account: account.clone(), until: Instant::now() + ttl, used });
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn forget(&mut self, key: &str) {
        if let Some(entry) = self.known.remove(key) {
            self.order.remove(&entry.used);
        }
    }

    /// `size` is how many there may be. What was used among the latest of them keeps its place: it is far from going.
    fn get(&mut self, key: &str, size: usize) -> Option<Option<DirectoryAccount>> {
        let used = self.tick();
        let entry = self.known.get_mut(key)?;
        if entry.until <= Instant::now() {
            self.forget(key);
            return None;
        }
        let account = entry.account.clone();
        if used.saturating_sub(entry.used) <= (size / 4) as u64 {
            return Some(account);
        }
        let before = std::mem::replace(&mut entry.used, used);
        let name = self.order.remove(&before).unwrap_or_else(|| key.to_owned());
        self.order.insert(used, name);
        Some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(cache: &Cache, key: &str) -> bool {
        cache.lock().get(key, cache.size).is_some()
    }

    #[test]
    fn the_least_recently_used_name_goes_first() {
        let cache = Cache::new(2, Duration::from_secs(60), Duration::from_secs(60));
        cache.finish("a", &Ok(None));
        cache.finish("b", &Ok(None));
        assert!(known(&cache, "a"));
        cache.finish("c", &Ok(None));
        assert!(known(&cache, "a") && known(&cache, "c") && !known(&cache, "b"));
        assert_eq!(cache.lock().order.len(), 2);
    }

    #[test]
    fn what_is_too_old_or_failed_is_not_known() {
        let cache = Cache::new(2, Duration::from_secs(60), Duration::ZERO);
        cache.finish("a", &Ok(None));
        cache.finish("b", &Err(DirectoryError::Unreachable(String::new())));
        assert!(!known(&cache, "a") && !known(&cache, "b"));
        assert!(cache.lock().order.is_empty());
    }

    #[test]
    fn keys_ignore_case_and_blanks() {
        assert_eq!(key("  CN=Alice   Example,DC=x "), "cn=alice example,dc=x");
    }
}
