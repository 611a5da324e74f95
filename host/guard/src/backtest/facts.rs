//! What the directory says of the accounts of recorded accesses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_core::directory::Directory;
use portcullis_core::{Access, Account, AccountFacts, AccountId, Outcome};
use tokio::runtime::Handle;

use crate::enrich::is_nameless;

/// What a thread has found out already: none for an account that is gone.
pub(super) type Known = HashMap<AccountId, Option<Arc<AccountFacts>>>;

/// Looks each account up once.
pub(super) struct Facts {
    directory: Arc<dyn Directory>,
    runtime: Handle,
    without_entry: Vec<String>,
    found: Mutex<Known>,
    /// Why the directory could not be asked; from then on it is left alone.
    trouble: OnceLock<String>,
}

impl Facts {
    pub(super) fn new(directory: Arc<dyn Directory>, runtime: Handle, without_entry: Vec<String>) -> Self {
        Self { directory, runtime, without_entry, found: Mutex::default(), trouble: OnceLock::new() }
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// The facts with which a policy can be asked; none where it cannot. Blocks.
    pub(super) fn of(&self, access: &Access, known: &mut Known) -> Option<Arc<AccountFacts>> {
        let Some(account) = &access.account else { return Some(Arc::default()) };
        // What is only known to a cloud service has no entry that could be looked at, neither then nor now.
        let is_elsewhere = account.dn.is_none() && access.source != "ldap";
        if is_elsewhere || (is_nameless(account) && self.needs_no_entry(access, account)) {
            return Some(Arc::default());
        }
        if let Some(facts) = known.get(&account.id) {
            return facts.clone();
        }
        let facts = self.shared(account);
        known.insert(account.id.clone(), facts.clone());
        facts
    }

    fn needs_no_entry(&self, access: &Access, account: &Account) -> bool {
        access.outcome == Outcome::Failure
            || self.without_entry.iter().any(|name| name.eq_ignore_ascii_case(&account.login))
    }

    fn shared(&self, account: &Account) -> Option<Arc<AccountFacts>> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = found().get(&account.id) {
            return facts.clone();
        }
        let facts = self.look_up(account)?;
        found().insert(account.id.clone(), facts.clone());
        facts
    }

    /// None where the directory did not answer.
    fn look_up(&self, account: &Account) -> Option<Option<Arc<AccountFacts>>> {
        if self.trouble.get().is_some() {
            return None;
        }
        let name = account.dn.as_deref().unwrap_or(&account.login);
        match self.runtime.block_on(self.directory.find(name)) {
            Ok(found) => Some(found.filter(|found| found.account.id == account.id).map(|found| found.facts)),
            Err(error) => {
                // Who was first to find out is enough.
                let _ = self.trouble.set(error.to_string());
                None
            }
        }
    }
}
