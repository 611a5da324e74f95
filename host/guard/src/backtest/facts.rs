//! What the directory says of the accounts of recorded accesses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_core::directory::Directory;
use portcullis_core::{Access, Account, AccountFacts, AccountId, Outcome};
use tokio::runtime::Handle;

use crate::enrich::is_nameless;

/// What has been found out already.
#[derive(Default)]
pub(super) struct Known(HashMap<AccountId, Vec<Named>>);

/// What the names lead to that an account had at an access: none where that is not the account any more.
#[derive(Clone)]
struct Named {
    dn: Option<String>,
    login: String,
    facts: Option<Arc<AccountFacts>>,
}

impl Known {
    fn get(&self, account: &Account) -> Option<&Named> {
        self.0.get(&account.id)?.iter().find(|named| named.dn == account.dn && named.login == account.login)
    }

    fn put(&mut self, account: &Account, named: Named) {
        self.0.entry(account.id.clone()).or_default().push(named);
    }
}

/// Looks each account up once for each of the names that it had. What is found does not depend on which of them came first.
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
        if let Some(named) = known.get(account) {
            return named.facts.clone();
        }
        let named = self.shared(account);
        let facts = named.facts.clone();
        known.put(account, named);
        facts
    }

    fn needs_no_entry(&self, access: &Access, account: &Account) -> bool {
        access.outcome == Outcome::Failure
            || self.without_entry.iter().any(|name| name.eq_ignore_ascii_case(&account.login))
    }

    fn shared(&self, account: &Account) -> Named {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(named) = found().get(account) {
            return named.clone();
        }
        let facts = self.look_up(account);
        let named = Named { dn: account.dn.clone(), login: account.login.clone(), facts };
        found().put(account, named.clone());
        named
    }

    /// By its DN, or by its login where it has moved. None also where the directory did not answer.
    fn look_up(&self, account: &Account) -> Option<Arc<AccountFacts>> {
        for name in account.dn.iter().chain([&account.login]) {
            if self.trouble.get().is_some() {
                return None;
            }
            match self.runtime.block_on(self.directory.find(name)) {
                Ok(Some(found)) if found.account.id == account.id => return Some(found.facts),
                Ok(_) => {}
                Err(error) => {
                    // Who was first to find out is enough.
                    let _ = self.trouble.set(error.to_string());
                }
            }
        }
        None
    }
}
