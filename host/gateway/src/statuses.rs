//! How the connectors stand: tried when they are put into force, and now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::plugin::{Authenticator, ConnectorError, Health};
use portcullis_core::source::IdentityProvider;
use portcullis_core::status::{AboutConnector, ConnectorStatus};
use portcullis_core::{Clock as _, ConnectorName, Timestamp};
use portcullis_guard::Connectors;
use portcullis_guard::cloud::CloudSource;
use tracing::{error, info, warn};

use crate::system::System;

/// A connector that does not work is tried again after this.
const FAILING: Duration = Duration::from_secs(60);
/// One that works: often enough to hear of a token that is about to end, and seldom enough to cost nothing.
const WORKING: Duration = Duration::from_secs(3600);

/// The latest outcome of each connector.
#[derive(Default)]
pub(crate) struct Statuses(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: BTreeMap<ConnectorName, Entry>,
}

struct Entry {
    connector: Tried,
    about: AboutConnector,
    tried: Option<(Timestamp, Result<Health, String>)>,
}

/// A connector of either kind.
#[derive(Clone)]
enum Tried {
    Asking(Arc<dyn Authenticator>),
    Cloud(Arc<dyn IdentityProvider>),
}

impl Tried {
    async fn check(&self) -> Result<Health, ConnectorError> {
        match self {
            Self::Asking(connector) => connector.check().await,
            Self::Cloud(provider) => provider.check().await,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Asking(one), Self::Asking(other)) => Arc::ptr_eq(one, other),
            (Self::Cloud(one), Self::Cloud(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Statuses {
    /// These connectors, none of which was tried yet.
    pub(crate) fn replace(
        &self,
        connectors: &Connectors,
        sources: &[CloudSource],
        about: &BTreeMap<ConnectorName, AboutConnector>,
    ) {
        let asking = connectors.iter().map(|(name, connector)| (name, Tried::Asking(Arc::clone(connector))));
        let clouds = sources.iter().map(|source| (&source.name, Tried::Cloud(Arc::clone(&source.provider))));
        let entry = |(name, connector): (&ConnectorName, Tried)| {
            let about = about.get(name).cloned().unwrap_or_default();
            (name.clone(), Entry { connector, about, tried: None })
        };
        self.table().entries = asking.chain(clouds).map(entry).collect();
    }

    /// By name.
    pub(crate) fn all(&self) -> Vec<ConnectorStatus> {
        let table = self.table();
        let status = |(name, entry): (&ConnectorName, &Entry)| ConnectorStatus {
            name: name.clone(),
            about: entry.about.clone(),
            tried: entry.tried.clone(),
        };
        table.entries.iter().map(status).collect()
    }

    /// Tries those whose time has come, and logs what is new.
    pub(crate) async fn try_those_due(&self) {
        let now = System.now();
        let due: Vec<_> = {
            let table = self.table();
            let due = table.entries.iter().filter(|(_, entry)| match &entry.tried {
                None => true,
                Some((at, outcome)) => now.since(*at) >= if outcome.is_ok() { WORKING } else { FAILING },
            });
            due.map(|(name, entry)| (name.clone(), entry.connector.clone())).collect()
        };
        for (name, connector) in due {
            let outcome = connector.check().await.map_err(|error| error.to_string());
            self.take(&name, &connector, outcome);
        }
    }

    fn take(&self, name: &ConnectorName, connector: &Tried, outcome: Result<Health, String>) {
        let mut table = self.table();
        // It can have been replaced meanwhile: what is known is then about another one.
        let Some(entry) = table.entries.get_mut(name).filter(|entry| entry.connector.is(connector)) else {
            return;
        };
        if entry.tried.as_ref().is_none_or(|(_, before)| *before != outcome) {
            match &outcome {
                Ok(health) => {
                    info!("connector {name}: {}", health.detail);
                    health.warnings.iter().for_each(|warning| warn!("connector {name}: {warning}"));
                }
                Err(why) => error!("connector {name}: {why}"),
            }
        }
        entry.tried = Some((System.now(), outcome));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries the connectors as long as the gateway runs.
pub(crate) async fn look_after(statuses: Arc<Statuses>) {
    loop {
        statuses.try_those_due().await;
        // Short, because it also finds those that were just put into force.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
