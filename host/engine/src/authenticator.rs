//! Authenticators: second factors behind a service on the network.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::plugin::{Authenticator, ChallengeContext, ConnectorError, Health, StartError, Step};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::connector::exports::portcullis::gateway::authenticator::{Guest, GuestIndices};
use crate::connector::{Connector, ConnectorHost, Face};
use crate::engine::Shared;
use crate::settings::Manifest;
use crate::{ConnectorSpec, EngineError, World, convert};

/// An authenticator that can be asked.
pub struct LoadedAuthenticator(Connector<Guest>);

impl Face for Guest {
    type Indices = GuestIndices;
    const WORLD: World = World::Authenticator;

    fn find(pre: &InstancePre<ConnectorHost>) -> wasmtime::Result<GuestIndices> {
        GuestIndices::new(pre)
    }

    fn load(indices: &GuestIndices, store: &mut Store<ConnectorHost>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}

impl LoadedAuthenticator {
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
impl Authenticator for LoadedAuthenticator {
    async fn check(&self) -> Result<Health, ConnectorError> {
        self.0.check().await
    }

    async fn start(&self, context: &ChallengeContext) -> Result<Step, StartError> {
        let context = convert::context(context);
        let answer = self
            .0
            .call(Box::new(move |guest, store| Box::pin(async move { guest.face.call_start(store, &context).await })));
        let step = answer.await.map_err(ConnectorError::from)?.map_err(convert::start_error)?;
        Ok(convert::step(step).map_err(ConnectorError::from)?)
    }

    async fn poll(&self, handle: &str) -> Result<Step, ConnectorError> {
        let handle = handle.to_owned();
        let answer = self
            .0
            .call(Box::new(move |guest, store| Box::pin(async move { guest.face.call_poll(store, &handle).await })));
        Ok(convert::step(answer.await?.map_err(convert::connector_error)?)?)
    }

    async fn verify(&self, handle: &str, code: &str) -> Result<Step, ConnectorError> {
        let (handle, code) = (handle.to_owned(), code.to_owned());
        let answer = self.0.call(Box::new(move |guest, store| {
            Box::pin(async move { guest.face.call_verify(store, &handle, &code).await })
        }));
        Ok(convert::step(answer.await?.map_err(convert::connector_error)?)?)
    }

    async fn choose(&self, handle: &str, choice: &str) -> Result<Step, ConnectorError> {
        let (handle, choice) = (handle.to_owned(), choice.to_owned());
        let answer = self.0.call(Box::new(move |guest, store| {
            Box::pin(async move { guest.face.call_choose(store, &handle, &choice).await })
        }));
        Ok(convert::step(answer.await?.map_err(convert::connector_error)?)?)
    }

    async fn cancel(&self, handle: &str) -> Result<(), ConnectorError> {
        let handle = handle.to_owned();
        let answer = self
            .0
            .call(Box::new(move |guest, store| Box::pin(async move { guest.face.call_cancel(store, &handle).await })));
        answer.await?.map_err(convert::connector_error)
    }
}
