//! What all connectors have in common: loading one, and calling it.
//!
//! Each call gets a fresh instance, configured and thrown away: calls are rare and wait for the network, and an instance that
//! keeps nothing cannot mix up two people. Calls run on the connectors' own runtime; who stops waiting for an answer takes
//! the call back, and with it the request that may be under way.

mod host;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::BoxFuture;
use portcullis_core::plugin::{ConnectorError, Health, PluginFault};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};

pub(crate) use self::host::ConnectorHost;
use crate::bindings::connector::Connectors;
use crate::bindings::connector::exports::portcullis::gateway::{connector, plugin};
use crate::engine::Shared;
use crate::fault::fault;
use crate::grants::Grants;
use crate::http::HttpGate;
use crate::load::{Compiled, Verified, settled};
use crate::log::PluginLog;
use crate::policy::{MAX_PROBLEMS, problem};
use crate::runtime::{FIRST_START, hostcall_fuel};
use crate::settings::{Manifest, secret_problems};
use crate::state::PluginState;
use crate::{ConnectorLimits, EngineError, Problem, World, convert};

/// A connector to load.
#[derive(Debug, Clone)]
pub struct ConnectorSpec {
    /// Name in the gateway's configuration; its state is kept under it.
    pub name: String,
    /// Name of the component's file in the plugin folder.
    pub file: String,
    /// Its settings, a JSON object without secrets.
    pub settings: Value,
    /// What it may reach.
    pub grants: Grants,
    /// What it may use.
    pub limits: ConnectorLimits,
}

/// What a world exports beside `plugin` and `connector`, which all connectors export.
pub(crate) trait Face: Sized + Send + Sync + 'static {
    /// Where its functions stand in a component.
    type Indices: Send + Sync + 'static;
    const WORLD: World;

    fn find(pre: &InstancePre<ConnectorHost>) -> wasmtime::Result<Self::Indices>;
    fn load(indices: &Self::Indices, store: &mut Store<ConnectorHost>, instance: &Instance) -> wasmtime::Result<Self>;
}

/// An instance's exports.
pub(crate) struct Guest<F> {
    plugin: plugin::Guest,
    connector: connector::Guest,
    pub(crate) face: F,
}

/// A connector that can be called.
pub(crate) struct Connector<F: Face> {
    manifest: Manifest,
    inner: Arc<Inner<F>>,
}

struct Inner<F: Face> {
    // Field order is drop order: what was compiled goes before the engine.
    pre: InstancePre<ConnectorHost>,
    plugin: plugin::GuestIndices,
    connector: connector::GuestIndices,
    face: F::Indices,
    settings: String,
    limits: ConnectorLimits,
    turns: Semaphore,
    log: Arc<PluginLog>,
    http: Arc<HttpGate>,
    state: Arc<PluginState>,
    shared: Arc<Shared>,
}

/// One call of a configured instance.
pub(crate) type Call<F, T> =
    dyn for<'a> FnOnce(&'a Guest<F>, &'a mut Store<ConnectorHost>) -> BoxFuture<'a, wasmtime::Result<T>> + Send;

impl<F: Face> Connector<F> {
    /// Blocks; runs on a thread that belongs to no runtime.
    pub(crate) fn load(shared: Arc<Shared>, spec: ConnectorSpec) -> Result<Self, EngineError> {
        let wrong = |reason: String| EngineError::Grants { name: spec.name.clone(), reason };
        let grants = spec.grants.checked().map_err(wrong)?;
        let verified = shared.loader.verify(&spec.file)?;
        verified.check_contract()?;
        let compiled = shared.loader.compile(&shared.engines.connectors, &verified)?;
        if compiled.world != F::WORLD {
            let (expected, found) = (F::WORLD, compiled.world);
            return Err(EngineError::WrongWorld { file: spec.file, expected, found });
        }
        let manifest = describe(&shared, &verified, &compiled)?;
        let granted: BTreeSet<&str> = grants.secrets.keys().chain(grants.tokens.keys()).map(String::as_str).collect();
        settled(&spec.name, secret_problems(&manifest.settings_schema, &spec.settings, &granted))?;

        let http = HttpGate::new(grants, &spec.limits, Arc::clone(&shared.clock)).map_err(wrong)?;
        let pre = prepare(&shared, &verified, &compiled)?;
        let mismatch = |error| mismatch(&verified, &error);
        let inner = Inner {
            plugin: plugin::GuestIndices::new(&pre).map_err(mismatch)?,
            connector: connector::GuestIndices::new(&pre).map_err(mismatch)?,
            face: F::find(&pre).map_err(mismatch)?,
            pre,
            settings: spec.settings.to_string(),
            turns: Semaphore::new(spec.limits.concurrency.max(1)),
            log: Arc::new(PluginLog::new(&spec.name, spec.limits.log_lines, Arc::clone(&shared.clock))),
            http: Arc::new(http),
            state: Arc::new(PluginState::new(Arc::clone(&shared.plugin_state), &spec.name, spec.limits.state_quota)),
            limits: spec.limits,
            shared,
        };
        let problems = within(&inner.shared, FIRST_START, async {
            let (mut store, guest) = inner.start(FIRST_START).await?;
            inner.configure(&guest, &mut store, FIRST_START).await
        });
        settled(&spec.name, problems.map_err(|fault| verified.fault(fault))?)?;
        Ok(Self { manifest, inner: Arc::new(inner) })
    }

    /// What the plugin says about itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its way to the network.
    pub(crate) fn http(&self) -> &HttpGate {
        &self.inner.http
    }

    /// Name in the gateway's configuration and the clock, for what is said and checked about answers.
    pub(crate) fn log(&self) -> &PluginLog {
        &self.inner.log
    }

    pub(crate) fn now(&self) -> portcullis_core::Timestamp {
        self.inner.shared.clock.now()
    }

    pub(crate) async fn call<T: Send + 'static>(&self, call: Box<Call<F, T>>) -> Result<T, PluginFault> {
        let task = self.inner.shared.engines.handle().spawn(Arc::clone(&self.inner).run(call));
        AbortOnDropHandle::new(task).await.unwrap_or_else(|error| {
            Err(PluginFault::Host(
                if error.is_panic() { "the call panicked" } else { "the gateway is going down" }.into(),
            ))
        })
    }

    pub(crate) async fn check(&self) -> Result<Health, ConnectorError> {
        let answer =
            self.call(Box::new(|guest, store| Box::pin(async move { guest.connector.call_check(store).await })));
        answer.await?.map(|health| convert::health(&health)).map_err(convert::connector_error)
    }
}

impl<F: Face> Inner<F> {
    /// Waits for a turn, starts, configures and calls an instance, all within one deadline.
    async fn run<T>(self: Arc<Self>, call: Box<Call<F, T>>) -> Result<T, PluginFault> {
        let timeout = self.limits.call_timeout;
        let deadline = Instant::now() + timeout;
        let Ok(Ok(_turn)) = timeout_at(deadline, self.turns.acquire()).await else { return Err(PluginFault::Busy) };
        let work = async {
            let (mut store, guest) = self.start(timeout).await?;
            if let Some(problem) = self.configure(&guest, &mut store, timeout).await?.first() {
                return Err(PluginFault::Settings(problem.to_string()));
            }
            let answer = call(&guest, &mut store).await;
            answer.map_err(|error| fault(&error, &store.data().watchman, timeout))
        };
        timeout_at(deadline, work).await.unwrap_or(Err(PluginFault::Deadline(crate::fault::millis(timeout))))
    }

    async fn start(&self, timeout: Duration) -> Result<(Store<ConnectorHost>, Guest<F>), PluginFault> {
        let host = ConnectorHost::new(
            self.limits.memory,
            Arc::clone(&self.log),
            Arc::clone(&self.shared.clock),
            Some((Arc::clone(&self.http), Arc::clone(&self.state))),
        );
        let largest = self.limits.request_body.max(self.limits.answer);
        let (mut store, instance) = instantiate(&self.shared, &self.pre, host, largest, timeout).await?;
        let guest = self.exports(&mut store, &instance);
        let guest = guest.map_err(|error| fault(&error, &store.data().watchman, timeout))?;
        Ok((store, guest))
    }

    fn exports(&self, store: &mut Store<ConnectorHost>, instance: &Instance) -> wasmtime::Result<Guest<F>> {
        Ok(Guest {
            plugin: self.plugin.load(&mut *store, instance)?,
            connector: self.connector.load(&mut *store, instance)?,
            face: F::load(&self.face, store, instance)?,
        })
    }

    async fn configure(
        &self,
        guest: &Guest<F>,
        store: &mut Store<ConnectorHost>,
        timeout: Duration,
    ) -> Result<Vec<Problem>, PluginFault> {
        let answer = guest.plugin.call_configure(&mut *store, &self.settings).await;
        let answer = answer.map_err(|error| fault(&error, &store.data().watchman, timeout))?;
        let problems = answer.err().unwrap_or_default().into_iter().take(MAX_PROBLEMS);
        Ok(problems.map(|it| problem(&it.setting, &it.message)).collect())
    }
}

/// Asks a connector what it is, in an instance of its own that reaches neither network nor store. Blocks like
/// [`Connector::load`].
pub(crate) fn describe(shared: &Shared, verified: &Verified, compiled: &Compiled) -> Result<Manifest, EngineError> {
    let limits = ConnectorLimits::default();
    let pre = prepare(shared, verified, compiled)?;
    let indices = plugin::GuestIndices::new(&pre).map_err(|error| mismatch(verified, &error))?;
    let log = Arc::new(PluginLog::new(&verified.file, limits.log_lines, Arc::clone(&shared.clock)));
    let host = ConnectorHost::new(limits.memory, log, Arc::clone(&shared.clock), None);
    let said = within(shared, FIRST_START, async {
        let (mut store, instance) = instantiate(shared, &pre, host, 0, FIRST_START).await?;
        let said = match indices.load(&mut store, &instance) {
            Ok(plugin) => plugin.call_describe(&mut store).await,
            Err(error) => Err(error),
        };
        said.map_err(|error| fault(&error, &store.data().watchman, FIRST_START))
    });
    let said = said.map_err(|fault| verified.fault(fault))?;
    let manifest = Manifest::check(&verified.file, said.name, said.version, said.summary, &said.settings_schema)?;
    verified.check_manifest(&manifest)?;
    Ok(manifest)
}

/// Waits for the work on this thread, at most so long.
fn within<T>(
    shared: &Shared,
    timeout: Duration,
    work: impl Future<Output = Result<T, PluginFault>>,
) -> Result<T, PluginFault> {
    let limited = async { tokio::time::timeout(timeout, work).await };
    let late = Err(PluginFault::Deadline(crate::fault::millis(timeout)));
    shared.engines.handle().block_on(limited).unwrap_or(late)
}

fn mismatch(verified: &Verified, error: &wasmtime::Error) -> EngineError {
    EngineError::ContractMismatch { file: verified.file.clone(), reason: format!("{error:#}") }
}

fn prepare(
    shared: &Shared,
    verified: &Verified,
    compiled: &Compiled,
) -> Result<InstancePre<ConnectorHost>, EngineError> {
    let mut linker = Linker::new(&shared.engines.connectors);
    Connectors::add_to_linker::<_, HasSelf<ConnectorHost>>(&mut linker, |host| host)
        .and_then(|()| linker.instantiate_pre(&compiled.component))
        .map_err(|error| mismatch(verified, &error))
}

async fn instantiate(
    shared: &Shared,
    pre: &InstancePre<ConnectorHost>,
    host: ConnectorHost,
    largest: usize,
    timeout: Duration,
) -> Result<(Store<ConnectorHost>, Instance), PluginFault> {
    let mut store = Store::new(&shared.engines.connectors, host);
    store.limiter(|host| &mut host.watchman);
    store.set_hostcall_fuel(hostcall_fuel(largest));
    // A guest that computes gives way at every tick. It is the deadline around the whole call that ends it.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    match pre.instantiate_async(&mut store).await {
        Ok(instance) => Ok((store, instance)),
        Err(error) => Err(fault(&error, &store.data().watchman, timeout)),
    }
}
