//! Which cloud account is whose, in memory: a bind reads it, and waits for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::cloud::CloudTwin;
use portcullis_core::directory::DirectoryAccount;
use portcullis_core::{AccountId, ConnectorName, Timestamp};
use tokio::sync::Notify;

/// After so long a service is asked again. What it said before counts until it has answered.
const FRESH: Duration = Duration::from_secs(3600);
/// Accounts that wait to be looked up; further ones are noticed again at their next access.
const MOST_WANTED: usize = 1024;

/// What is known of cloud accounts. The store has the same.
#[derive(Default)]
pub(crate) struct Twins {
    inner: Mutex<Inner>,
    /// Somebody is wanted.
    pub(super) called: Notify,
}

#[derive(Default)]
struct Inner {
    known: BTreeMap<(ConnectorName, String), CloudTwin>,
    of_account: HashMap<AccountId, BTreeSet<(ConnectorName, String)>>,
    without: HashMap<(ConnectorName, AccountId), Timestamp>,
    sources: Vec<ConnectorName>,
    wanted: BTreeMap<AccountId, DirectoryAccount>,
    /// Grows when a person has decided or the sources have changed: what was concluded before is not true any more.
    generation: u64,
}

impl Twins {
    /// Whether there is a cloud account for it that can be used; none where not every service has been asked. Whoever is not
    /// known, or has not been looked at for long, is put down for the background.
    pub(crate) fn enabled(&self, found: &DirectoryAccount, now: Timestamp) -> Option<bool> {
        let mut inner = self.inner();
        if inner.sources.is_empty() {
            return None;
        }
        let account = &found.account.id;
        let (mut enabled, mut all_asked, mut stale) = (false, true, false);
        for source in &inner.sources {
            let asked = inner.of(account).filter(|twin| twin.source == *source).filter_map(|twin| {
                enabled |= twin.account.enabled && twin.asked_at.is_some();
                twin.asked_at
            });
            let asked = asked.min().or_else(|| inner.without.get(&(source.clone(), account.clone())).copied());
            all_asked &= asked.is_some();
            stale |= asked.is_none_or(|at| now.since(at) > FRESH);
        }
        if stale && inner.wanted.len() < MOST_WANTED && !inner.wanted.contains_key(account) {
            inner.wanted.insert(account.clone(), found.clone());
            self.called.notify_one();
        }
        (enabled || all_asked).then_some(enabled)
    }

    /// Takes an account that has to be looked up.
    pub(super) fn next_wanted(&self) -> Option<DirectoryAccount> {
        self.inner().wanted.pop_first().map(|(_, found)| found)
    }

    pub(super) fn get(&self, source: &ConnectorName, id: &str) -> Option<CloudTwin> {
        self.inner().known.get(&(source.clone(), id.to_owned())).cloned()
    }

    pub(super) fn put(&self, twin: CloudTwin) {
        self.inner().put(twin);
    }

    pub(super) fn put_without(&self, source: &ConnectorName, account: &AccountId, at: Timestamp) {
        self.inner().without.insert((source.clone(), account.clone()), at);
    }

    /// The services that count from now on.
    pub(super) fn set_sources(&self, sources: Vec<ConnectorName>) {
        let mut inner = self.inner();
        inner.sources = sources;
        inner.generation += 1;
    }

    /// Replaces everything by what the store has.
    pub(super) fn replace(&self, all: Vec<CloudTwin>, without: Vec<(ConnectorName, AccountId, Timestamp)>) {
        let mut inner = self.inner();
        let decided = |twins: &BTreeMap<(ConnectorName, String), CloudTwin>| {
            twins.iter().filter_map(|(key, twin)| Some((key.clone(), twin.decided.clone()?))).collect::<Vec<_>>()
        };
        let before = decided(&inner.known);
        inner.known.clear();
        inner.of_account.clear();
        all.into_iter().for_each(|twin| inner.put(twin));
        inner.without = without.into_iter().map(|(source, account, at)| ((source, account), at)).collect();
        if before != decided(&inner.known) {
            inner.generation += 1;
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.inner().generation
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The cloud accounts that belong to a directory account.
    fn of<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a CloudTwin> {
        let keys = self.of_account.get(account).into_iter().flatten();
        keys.filter_map(|key| self.known.get(key))
            .filter(move |twin| twin.belongs_to().is_some_and(|found| found.account == *account))
    }

    fn put(&mut self, twin: CloudTwin) {
        let key = (twin.source.clone(), twin.account.id.clone());
        let decided = twin.decided.iter().filter_map(|decided| decided.account.as_ref());
        for found in twin.matches.iter().chain(decided) {
            self.of_account.entry(found.account.clone()).or_default().insert(key.clone());
            self.without.remove(&(twin.source.clone(), found.account.clone()));
        }
        self.known.insert(key, twin);
    }
}
