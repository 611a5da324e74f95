//! What a connector's instance can reach.

use std::sync::Arc;

use portcullis_core::Clock;

use crate::bindings::connector::portcullis::gateway::{clock, http, state};
use crate::bindings::policy::portcullis::gateway::{log, types};
use crate::http::HttpGate;
use crate::limits::Watchman;
use crate::log::PluginLog;
use crate::state::PluginState;

pub(crate) struct ConnectorHost {
    pub(super) watchman: Watchman,
    log: Arc<PluginLog>,
    clock: Arc<dyn Clock>,
    /// Network and state; none while a plugin describes itself.
    outside: Option<(Arc<HttpGate>, Arc<PluginState>)>,
}

impl ConnectorHost {
    pub(super) fn new(
        memory: usize,
        log: Arc<PluginLog>,
        clock: Arc<dyn Clock>,
        outside: Option<(Arc<HttpGate>, Arc<PluginState>)>,
    ) -> Self {
        Self { watchman: Watchman::new(memory), log, clock, outside }
    }

    fn state(&self) -> Result<Arc<PluginState>, state::StateError> {
        let nothing = || state::StateError::Unavailable("a plugin that describes itself has no state".into());
        self.outside.as_ref().map(|(_, state)| Arc::clone(state)).ok_or_else(nothing)
    }
}

impl log::Host for ConnectorHost {
    fn write(&mut self, level: log::Level, message: String) {
        self.log.write(level, &message);
    }
}

impl types::Host for ConnectorHost {}

impl clock::Host for ConnectorHost {
    fn now(&mut self) -> u64 {
        self.clock.now().0
    }
}

impl http::Host for ConnectorHost {
    async fn send(&mut self, request: http::Request) -> Result<http::Response, http::HttpError> {
        match &self.outside {
            Some((gate, _)) => gate.send(request).await,
            None => Err(http::HttpError::Denied("a plugin that describes itself has no network".into())),
        }
    }
}

impl state::Host for ConnectorHost {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, state::StateError> {
        self.state()?.get(&key).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), state::StateError> {
        self.state()?.set(&key, &value).await
    }

    async fn delete(&mut self, key: String) -> Result<(), state::StateError> {
        self.state()?.delete(&key).await
    }
}
