//! Cloud identity providers: what happened there, whom they know, and what they can be told to do.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::plugin::{ConnectorError, Health};
use portcullis_core::source::{AccountDirectory, CloudAccount, Enforcement, Enforcer, EventSource, SourceBatch};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::connector::exports::portcullis::gateway::{account_directory, enforcement, event_source};
use crate::bindings::policy::portcullis::gateway::log::Level;
use crate::connector::{Connector, ConnectorHost, Face};
use crate::engine::Shared;
use crate::fault::millis;
use crate::settings::Manifest;
use crate::{ConnectorSpec, EngineError, World, convert};

/// A connector to a cloud identity provider, in all its roles.
pub struct LoadedIdentityProvider(Connector<Guests>);

struct Guests {
    events: event_source::Guest,
    accounts: account_directory::Guest,
    enforcement: enforcement::Guest,
}

impl Face for Guests {
    type Indices = (event_source::GuestIndices, account_directory::GuestIndices, enforcement::GuestIndices);
    const WORLD: World = World::IdentityProvider;

    fn find(pre: &InstancePre<ConnectorHost>) -> wasmtime::Result<Self::Indices> {
        Ok((
            event_source::GuestIndices::new(pre)?,
            account_directory::GuestIndices::new(pre)?,
            enforcement::GuestIndices::new(pre)?,
        ))
    }

    fn load(
        (events, accounts, enforcement): &Self::Indices,
        store: &mut Store<ConnectorHost>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            events: events.load(&mut *store, instance)?,
            accounts: accounts.load(&mut *store, instance)?,
            enforcement: enforcement.load(&mut *store, instance)?,
        })
    }
}

impl LoadedIdentityProvider {
    /// Blocks; runs on a thread that belongs to no runtime.
    pub(crate) fn load(shared: Arc<Shared>, spec: ConnectorSpec) -> Result<Self, EngineError> {
        Connector::load(shared, spec).map(Self)
    }

    /// What the plugin says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }
}

#[async_trait]
impl EventSource for LoadedIdentityProvider {
    async fn check(&self) -> Result<Health, ConnectorError> {
        self.0.check().await
    }

    async fn poll(&self, cursor: Option<&str>) -> Result<SourceBatch, ConnectorError> {
        let cursor = cursor.map(str::to_owned);
        let answer = self.0.call(Box::new(move |guest, store| {
            Box::pin(async move { guest.face.events.call_poll(store, cursor.as_deref()).await })
        }));
        let (batch, dropped) = convert::batch(answer.await?.map_err(convert::connector_error)?, self.0.now())?;
        if dropped > 0 {
            let line = format!("{dropped} events without a usable id were left out");
            self.0.log().write(Level::Warn, &line);
        }
        Ok(batch)
    }
}

#[async_trait]
impl AccountDirectory for LoadedIdentityProvider {
    async fn find(&self, identities: &[String]) -> Result<Option<CloudAccount>, ConnectorError> {
        // Each takes several requests, and there can be thousands of them. The log and enforcement must not wait for that.
        let wait_ms = |wait| u32::try_from(millis(wait)).unwrap_or(u32::MAX);
        self.0.http().is_at_leisure().map_err(|wait| ConnectorError::RateLimited(wait_ms(wait)))?;
        let identities = identities.to_vec();
        let answer = self.0.call(Box::new(move |guest, store| {
            Box::pin(async move { guest.face.accounts.call_find(store, &identities).await })
        }));
        let found = answer.await?.map_err(convert::connector_error)?;
        Ok(found.map(convert::cloud_account).transpose()?)
    }
}

#[async_trait]
impl Enforcer for LoadedIdentityProvider {
    async fn enforce(&self, cloud_account: &str, action: Enforcement) -> Result<(), ConnectorError> {
        let (account, action) = (cloud_account.to_owned(), convert::enforcement(action));
        let answer = self.0.call(Box::new(move |guest, store| {
            Box::pin(async move { guest.face.enforcement.call_enforce(store, &account, action).await })
        }));
        answer.await?.map_err(convert::connector_error)
    }
}
