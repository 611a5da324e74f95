//! Looking accounts up in the directory, through a service account.
//!
//! A name goes through the cache, then through `find`, over the one connection of `link`. Whatever goes wrong is an
//! error and never "not found": the guard takes the one for a reason to refuse and the other for a stranger.

mod cache;
mod domains;
mod find;
mod forms;
mod groups;
mod link;
mod members;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::directory::{Directory, DirectoryAccount, DirectoryError};
use portcullis_core::{AccountId, Secret, dn};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::upstreams::Upstreams;
use cache::{Cache, Found, Pending};
pub use domains::DomainNames;
use link::Link;
pub use members::Members;

/// What kind of directory it is: which attributes and which forms of names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// OpenLDAP and others: `inetOrgPerson` with `entryUUID` and `uid`; `groupOfNames`, `groupOfUniqueNames`, `posixGroup`.
    Rfc2307,
    /// Active Directory: `objectGUID`, `sAMAccountName`, `userPrincipalName`; groups by the matching rule in chain.
    ActiveDirectory,
}

/// How accounts are looked up.
#[derive(Debug, Clone)]
pub struct LookupOptions {
    /// The directory.
    pub upstreams: Upstreams,
    /// Name of the service account.
    pub bind_name: String,
    /// Its password.
    pub password: Secret,
    /// What names that are no DNs are searched below.
    pub base: String,
    /// What groups are searched below; none: the base.
    pub group_base: Option<String>,
    /// Kind of directory.
    pub schema: Schema,
    /// With Active Directory: the names of the domain; none reads those of its forest from the directory. Names qualified by
    /// any other domain are nobody's.
    pub domain: Option<DomainNames>,
    /// Attributes to read beside those of the schema. Never passwords or keys: what is read is stored in events.
    pub attributes: Vec<String>,
    /// Accounts below one of these DNs are service accounts.
    pub service_units: Vec<String>,
    /// Members of these groups (DN or common name) are service accounts.
    pub service_groups: Vec<String>,
    /// Members of these groups (DN or common name) are privileged.
    pub privileged_groups: Vec<String>,
    /// How many names are remembered. 10 000 by default.
    pub cache_size: usize,
    /// How long an account is remembered. 60 s by default.
    pub found_ttl: Duration,
    /// How long it is remembered that there is no such account. 10 s by default.
    pub missing_ttl: Duration,
    /// How long one request, and waiting for a turn, may take. 5 s by default.
    pub timeout: Duration,
    /// How many look-ups may ask the directory at a time. 32 by default.
    pub in_flight: usize,
    /// How many groups above groups are followed. 16 by default.
    pub group_depth: usize,
    /// How many groups an account may be in. 2 000 by default.
    pub group_count: usize,
}

impl LookupOptions {
    /// Options with the defaults.
    pub fn new(
        upstreams: Upstreams,
        bind_name: impl Into<String>,
        password: Secret,
        base: impl Into<String>,
        schema: Schema,
    ) -> Self {
        Self {
            upstreams,
            bind_name: bind_name.into(),
            password,
            base: base.into(),
            group_base: None,
            schema,
            domain: None,
            attributes: Vec::new(),
            service_units: Vec::new(),
            service_groups: Vec::new(),
            privileged_groups: Vec::new(),
            cache_size: 10_000,
            found_ttl: Duration::from_secs(60),
            missing_ttl: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            in_flight: 32,
            group_depth: 16,
            group_count: 2_000,
        }
    }
}

/// What is wrong with the look-up's configuration, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// No connection, or an answer that is no LDAP.
    #[error("{0}; check host, port, security and the certificate authority")]
    Unreachable(String),
    /// The service account cannot bind or read.
    #[error(
        "the directory refuses the service account {account:?} ({reason}); check its name, its password and its rights"
    )]
    Refused {
        /// Name of the service account.
        account: String,
        /// What the directory says.
        reason: String,
    },
    /// There is no such base, or the service account cannot see it.
    #[error("there is no entry {0:?}, or the service account may not read it; check the base")]
    NoBase(String),
    /// Below the base is no person.
    #[error(
        "the service account can read no person below {0:?}; give it the right to read, or correct the base or the schema"
    )]
    NoPerson(String),
    /// It cannot be told which domain a name is of.
    #[error("the domains cannot be told: {0}")]
    NoDomains(String),
    /// A person has no unchanging id.
    #[error("{entry:?} shows no {attribute}; let the service account read that attribute, or correct the schema")]
    NoId {
        /// Which entry.
        entry: String,
        /// What is missing.
        attribute: String,
    },
}

/// Looks accounts up, with a cache. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Lookup(Arc<Inner>);

struct Inner {
    options: LookupOptions,
    link: Link,
    cache: Cache,
    domains: domains::Known,
    turns: Semaphore,
}

impl Lookup {
    /// A look-up. Connects when it is first asked.
    #[must_use]
    pub fn new(options: LookupOptions) -> Self {
        let link = Link::new(&options);
        let cache = Cache::new(options.cache_size, options.found_ttl, options.missing_ttl);
        let turns = Semaphore::new(options.in_flight.max(1));
        Self(Arc::new(Inner { options, link, cache, domains: domains::Known::default(), turns }))
    }

    /// Forgets what is remembered of an account, because it has changed.
    fn forget(&self, account: &AccountId) {
        self.0.cache.forget(account);
    }

    /// Tries everything that a look-up needs.
    ///
    /// # Errors
    /// The first thing that is wrong, with what to do about it.
    pub async fn check(&self) -> Result<(), CheckError> {
        find::check(&self.0.link, &self.0.options, &self.0.domains).await
    }
}

#[async_trait]
impl Directory for Lookup {
    async fn find(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError> {
        let key = cache::key(name);
        if key.is_empty() || name.len() > find::LONGEST_NAME {
            return Ok(None);
        }
        let pending = match self.0.cache.get_or_begin(&key, || self.begin(&key, name)) {
            Found::Known(account) => return Ok(account),
            Found::Pending(pending) => pending,
        };
        pending.await
    }

    async fn with_value(&self, attribute: &str, value: &str) -> Result<Vec<DirectoryAccount>, DirectoryError> {
        if value.trim().is_empty() || value.len() > find::LONGEST_NAME {
            return Ok(Vec::new());
        }
        let _turn = self.0.turn().await?;
        find::with_value(&self.0.link, &self.0.options, attribute, value).await
    }
}

impl Lookup {
    /// A task of its own, so that it ends, and the next one can begin, whoever goes away meanwhile.
    fn begin(&self, key: &str, name: &str) -> Pending {
        let (inner, key, name) = (Arc::clone(&self.0), key.to_owned(), name.to_owned());
        cache::pending(tokio::spawn(async move {
            let found = inner.ask(&name).await;
            inner.cache.finish(&key, &found);
            found
        }))
    }
}

impl Inner {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, DirectoryError> {
        match timeout(self.options.timeout, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(DirectoryError::Unreachable("too many look-ups are waiting for it".to_owned())),
        }
    }

    async fn ask(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError> {
        let _turn = self.turn().await?;
        find::find(&self.link, &self.options, &self.domains, name).await
    }
}

#[cfg(test)]
mod member_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
