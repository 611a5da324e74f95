//! The look-up's own connection to the directory.

use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Mod, Scope, SearchEntry, SearchOptions, StdStream};
use portcullis_core::Secret;
use portcullis_core::directory::DirectoryError;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::LookupOptions;
use crate::upstream::Security;
use crate::upstreams::Upstreams;

/// First and longest pause between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Entries that one search may give, and those that are asked for at once.
const MOST_ENTRIES: usize = 5_000;
const PAGE: i32 = 500;

/// What a search came to.
pub(super) enum Searched {
    Entries(Vec<SearchEntry>),
    /// There is no such base, or its name is no DN.
    NoBase,
}

/// One connection, shared by all look-ups and made again when it breaks.
pub(super) struct Link {
    upstreams: Upstreams,
    name: String,
    password: Secret,
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    ldap: Option<ldap3::Ldap>,
    /// Counts connections, so that two look-ups which both saw one break do not drop its successor.
    generation: u64,
    pause: Duration,
    /// Not before this, and why.
    blocked: Option<(Instant, DirectoryError)>,
}

impl Link {
    pub(super) fn new(options: &LookupOptions) -> Self {
        Self {
            upstreams: options.upstreams.clone(),
            name: options.bind_name.clone(),
            password: options.password.clone(),
            timeout: options.timeout,
            state: Mutex::new(State { ldap: None, generation: 0, pause: PAUSE_MIN, blocked: None }),
        }
    }

    /// Searches; once more on a fresh connection when this one turns out to be broken, as an idle one often is.
    pub(super) async fn search(
        &self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        limit: i32,
    ) -> Result<Searched, DirectoryError> {
        let mut again = true;
        loop {
            let (ldap, generation) = self.connected().await?;
            let tried = self.search_once(ldap, base, scope, filter, attributes, limit);
            let failure = match timeout(self.timeout, tried).await {
                Ok(Ok(found)) => return judge(found),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", self.timeout.as_secs_f32()),
            };
            self.broken(generation).await;
            if !std::mem::take(&mut again) {
                return Err(DirectoryError::Unreachable(failure));
            }
        }
    }

    /// Changes an entry. Not tried again: whether a broken connection has carried the request cannot be known.
    pub(super) async fn modify(&self, entry: &str, change: Mod<String>) -> Result<ldap3::LdapResult, DirectoryError> {
        let (mut ldap, generation) = self.connected().await?;
        let failure = match timeout(self.timeout, ldap.modify(entry, vec![change])).await {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", self.timeout.as_secs_f32()),
        };
        self.broken(generation).await;
        Err(DirectoryError::Unreachable(failure))
    }

    /// One search. With a limit, more hits than that are of no interest; without one, all of them are wanted, page by page.
    async fn search_once(
        &self,
        mut ldap: ldap3::Ldap,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        limit: i32,
    ) -> Result<ldap3::SearchResult, LdapError> {
        if limit > 0 {
            ldap.with_search_options(SearchOptions::new().sizelimit(limit));
            return ldap.search(base, scope, filter, attributes.to_vec()).await;
        }
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        let mut stream = ldap.streaming_search_with(adapters, base, scope, filter, attributes.to_vec()).await?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.next().await? {
            entries.push(entry);
            if entries.len() > MOST_ENTRIES {
                let text = "more entries than a look-up takes".to_owned();
                let result = ldap3::LdapResult { rc: 11, matched: String::new(), text, refs: vec![], ctrls: vec![] };
                return Ok(ldap3::SearchResult(entries, result));
            }
        }
        let result = stream.finish().await;
        Ok(ldap3::SearchResult(entries, result))
    }

    async fn connected(&self) -> Result<(ldap3::Ldap, u64), DirectoryError> {
        let mut state = self.state.lock().await;
        if let Some(ldap) = &mut state.ldap
            && !ldap.is_closed()
        {
            return Ok((ldap.clone(), state.generation));
        }
        if let Some((until, error)) = &state.blocked
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        match self.connect().await {
            Ok(ldap) => {
                state.generation += 1;
                state.pause = PAUSE_MIN;
                state.blocked = None;
                state.ldap = Some(ldap.clone());
                Ok((ldap, state.generation))
            }
            Err(error) => {
                tracing::warn!(%error, "the connection for look-ups cannot be made");
                state.ldap = None;
                state.blocked = Some((Instant::now() + state.pause, error.clone()));
                state.pause = (state.pause * 2).min(PAUSE_MAX);
                Err(error)
            }
        }
    }

    async fn broken(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.ldap = None;
        }
    }

    async fn connect(&self) -> Result<ldap3::Ldap, DirectoryError> {
        let unreachable = |error: &dyn std::fmt::Display| DirectoryError::Unreachable(error.to_string());
        let (socket, upstream) = self.upstreams.dial().await.map_err(|error| unreachable(&error))?;
        let socket = socket.into_std().map_err(|error| unreachable(&error))?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Tcp(socket));
        let (settings, scheme) = match &upstream.security {
            Security::Plain => (settings, "ldap"),
            Security::StartTls(config) => (settings.set_config(config.clone()).set_starttls(true), "ldap"),
            Security::Ldaps(config) => (settings.set_config(config.clone()), "ldaps"),
        };
        let name = upstream.expected_name();
        let url = if name.contains(':') { format!("{scheme}://[{name}]") } else { format!("{scheme}://{name}") };
        let ready = async {
            let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await?;
            // The driver ends with the last handle to the connection.
            tokio::spawn(async move {
                if let Err(error) = connection.drive().await {
                    tracing::debug!(%error, "the connection for look-ups has broken");
                }
            });
            let bound = ldap.simple_bind(&self.name, self.password.reveal()).await?;
            Ok::<_, LdapError>((ldap, bound))
        };
        let ready = timeout(upstream.connect_timeout, ready).await;
        let (ldap, bound) = ready.map_err(|error| unreachable(&error))?.map_err(|error| unreachable(&error))?;
        match bound.rc {
            0 => Ok(ldap),
            51 | 52 => Err(unreachable(&said(&bound))),
            _ => Err(DirectoryError::Refused(said(&bound))),
        }
    }
}

/// What a search's result means. Whatever is not known to mean "not there" is an error.
fn judge(ldap3::SearchResult(entries, result): ldap3::SearchResult) -> Result<Searched, DirectoryError> {
    match result.rc {
        0 => Ok(Searched::Entries(entries.into_iter().map(SearchEntry::construct).collect())),
        // A size limit of our own making is met by two hits as well as by more.
        4 if !entries.is_empty() && entries.len() <= 2 => {
            Ok(Searched::Entries(entries.into_iter().map(SearchEntry::construct).collect()))
        }
        // noSuchObject, invalidDNSyntax.
        32 | 34 => Ok(Searched::NoBase),
        // operationsError is how Active Directory says "bind first".
        1 | 8 | 13 | 49 | 50 => Err(DirectoryError::Refused(said(&result))),
        _ => Err(DirectoryError::Unreachable(said(&result))),
    }
}

fn said(result: &ldap3::LdapResult) -> String {
    format!("result {}{}{}", result.rc, if result.text.is_empty() { "" } else { ": " }, result.text)
}
