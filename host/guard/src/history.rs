//! Accesses that other logs tell of, on their way into this one: whose they are, from which machine, and at which
//! application, as the gateway would have found out itself. Nothing is decided about them.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use portcullis_behavior as behavior;
use portcullis_core::directory::{Directory, DirectoryError};
use portcullis_core::event::{AccessEvent, Decision, ImportedEvent, PastEvent};
use portcullis_core::gate::Connection;
use portcullis_core::history::PastRecord;
use portcullis_core::learned::EndpointHistory;
use portcullis_core::profile::DecidedKind;
use portcullis_core::{
    Access, Account, AccountId, AccountKind, Endpoint, EventId, ListenerName, Operation, Outcome, Target, Timestamp,
};
use thiserror::Error;

use crate::Surroundings;
use crate::decide::observation;
use crate::enrich::nameless;
use crate::surroundings::Bound;

/// Names that are remembered; then it begins anew.
const MOST_NAMES: usize = 50_000;

/// An access as another log tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAccess {
    /// Id of its event.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// DN or login; none for nobody in particular.
    pub account: Option<String>,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The application; none: what the configuration says of listener, address and account.
    pub application: Option<String>,
    /// The listener that would have taken it; none: the first one.
    pub listener: Option<String>,
    /// What was done.
    pub operation: Operation,
    /// The entry that it was done to.
    pub entry: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Why an access does not become an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PastError {
    /// It succeeded, and nobody knows whose it was.
    #[error("the directory has no account of this name, or more than one")]
    NoAccount,
    /// The directory does not say.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What an [`Historian`] has to know.
pub struct PastOptions {
    /// Names of endpoints, sites and applications.
    pub surroundings: Surroundings,
    /// As in [`crate::Options`].
    pub accounts_without_entry: Vec<String>,
    /// An endpoint that at least so many accounts have used is shared.
    pub shared_from_accounts: u64,
    /// The listener of accesses that name none.
    pub listener: ListenerName,
    /// What people have decided about accounts.
    pub kinds: Vec<DecidedKind>,
}

/// Makes events of accesses that other logs tell of.
pub struct Historian {
    directory: Arc<dyn Directory>,
    options: PastOptions,
    kinds: HashMap<AccountId, AccountKind>,
    names: HashMap<String, Option<Account>>,
    /// Accounts that have used an endpoint, of the accesses at hand.
    used: HashMap<IpAddr, HashSet<AccountId>>,
    before: HashMap<IpAddr, EndpointHistory>,
}

impl Historian {
    /// One that asks this directory.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, mut options: PastOptions) -> Self {
        let kinds = std::mem::take(&mut options.kinds);
        let kinds = kinds.into_iter().map(|decided| (decided.account, decided.kind)).collect();
        Self { directory, options, kinds, names: HashMap::new(), used: HashMap::new(), before: HashMap::new() }
    }

    /// The accesses that come next are from these endpoints, of which so much is known.
    pub fn begin(&mut self, before: HashMap<IpAddr, EndpointHistory>) {
        self.used.clear();
        self.before = before;
    }

    /// Makes an event of an access.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn event(&mut self, past: PastAccess) -> Result<AccessEvent, PastError> {
        let account = match &past.account {
            Some(name) => Some(self.account(name, past.outcome).await?),
            None => None,
        };
        let application = match &past.application {
            Some(name) => name.clone(),
            None => self.application(&past, account.as_ref()),
        };
        let endpoint = past.address.map(|address| self.endpoint(address.to_canonical()));
        let succeeded = past.outcome == Outcome::Success;
        if let (Some(endpoint), Some(account), true) = (&endpoint, &account, succeeded) {
            self.used.entry(endpoint.address).or_default().insert(account.id.clone());
        }
        Ok(AccessEvent {
            access: Access {
                id: past.id,
                at: past.at,
                source: "ldap".to_owned(),
                account,
                endpoint,
                protection: None,
                target: Target { application, entry: past.entry },
                operation: past.operation,
                outcome: past.outcome,
                signals: Vec::new(),
            },
            directory_result: None,
            decision: if succeeded { Decision::Allow } else { Decision::Refused },
            decided_by: None,
            reason: "Another log tells of it.".to_owned(),
            rulings: Vec::new(),
            challenges: Vec::new(),
            foreign: None,
        })
    }

    /// Whose a name is. Where somebody has failed with it, it may be nobody's.
    async fn account(&mut self, name: &str, outcome: Outcome) -> Result<Account, PastError> {
        let found = match self.names.get(name) {
            Some(known) => known.clone(),
            None => {
                let mut found = self.directory.find(name).await?.map(|found| found.account);
                if let Some(account) = &mut found
                    && let Some(kind) = self.kinds.get(&account.id)
                {
                    account.kind = *kind;
                }
                if self.names.len() >= MOST_NAMES {
                    self.names.clear();
                }
                self.names.insert(name.to_owned(), found.clone());
                found
            }
        };
        let may_be_nobodys = outcome == Outcome::Failure
            || self.options.accounts_without_entry.iter().any(|known| known.eq_ignore_ascii_case(name));
        match found {
            Some(account) => Ok(account),
            None if may_be_nobodys => Ok(nameless(name)),
            None => Err(PastError::NoAccount),
        }
    }

    fn application(&self, past: &PastAccess, account: Option<&Account>) -> String {
        let address = past.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let connection = Connection {
            client: SocketAddr::new(address, 0),
            listener: past.listener.as_ref().map_or_else(|| self.options.listener.clone(), ListenerName::new),
            tls: None,
            application: None,
        };
        let is_login = matches!(past.operation, Operation::Bind(_)) && past.outcome == Outcome::Success;
        let bound = account.filter(|_| is_login).map(|account| Bound::again(account, past.account.as_deref()));
        self.options.surroundings.application(&connection, bound.as_ref()).name.to_owned()
    }

    fn endpoint(&self, address: IpAddr) -> Endpoint {
        let names = &self.options.surroundings;
        let before = self.before.get(&address).map_or(0, |known| known.accounts);
        let here = self.used.get(&address).map_or(0, HashSet::len);
        let accounts = before.max(u64::try_from(here).unwrap_or(u64::MAX));
        Endpoint {
            address,
            name: names.endpoint(address).map(str::to_owned),
            site: names.site(address).map(str::to_owned),
            shared: accounts >= self.options.shared_from_accounts,
            associated: false,
            risk: 0,
        }
    }
}

/// What is stored of something that happened.
#[must_use]
pub fn past_record(mut event: PastEvent, import: EventId, at: Timestamp, origin: String) -> PastRecord {
    let learned = match &mut event {
        PastEvent::Access(event) => {
            if let Some(endpoint) = &mut event.access.endpoint {
                endpoint.address = endpoint.address.to_canonical();
            }
            // What nobody has confirmed yet is no habit.
            observation(event).filter(|_| behavior::seen::teaches(event))
        }
        PastEvent::Summary(summary) => {
            summary.endpoint.address = summary.endpoint.address.to_canonical();
            None
        }
    };
    PastRecord { event: ImportedEvent { import, at, origin, event }, learned }
}
