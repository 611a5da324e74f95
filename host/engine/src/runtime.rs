//! The two WebAssembly engines and the threads that belong to them.
//!
//! Policies stand in the way of every access: they are called on the caller's thread, in instances that are kept warm, and
//! are stopped when their time is up, a quarter of a second unless configured otherwise. Connectors wait for the network: they run on a runtime of their own, so that guests which
//! compute without end cannot take the workers that serve LDAP clients.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::EngineError;
use crate::ticker::Ticker;

/// The most memory that any instance of a policy may be granted, in bytes: what the pool sets aside per instance.
pub(crate) const MAX_POLICY_MEMORY: usize = 128 << 20;
/// Instances of all policies together, those of backtests and of a list that is being replaced included: far more than 16 for
/// each policy of a long list. What an instance that is not there costs is a range of addresses.
const POLICY_INSTANCES: u32 = 1024;
/// Core instances per component; one made from Python has about 40.
const CORE_INSTANCES: u32 = 64;
/// Stack that a guest may use, in bytes.
const STACK: usize = 512 << 10;
/// Workers of the connectors' runtime. They wait nearly always.
const CONNECTOR_WORKERS: usize = 2;

/// What all plugins share. It lives as long as any of them, because without the ticker no deadline would come.
pub(crate) struct Engines {
    pub(crate) policies: wasmtime::Engine,
    pub(crate) connectors: wasmtime::Engine,
    connector_runtime: Option<Runtime>,
    handle: Handle,
    _ticker: Ticker,
}

impl Engines {
    pub(crate) fn start() -> Result<Self, EngineError> {
        let setup =
            |error: wasmtime::Error| EngineError::Setup(format!("the WebAssembly runtime cannot start: {error:#}"));
        let policies = wasmtime::Engine::new(&policy_config()).map_err(setup)?;
        let connectors = wasmtime::Engine::new(&common_config()).map_err(setup)?;
        let ticker = Ticker::start(&policies, &connectors)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(CONNECTOR_WORKERS)
            .thread_name("connector")
            // Timers and sockets are looked at between any two steps, so that a guest that computes delays them by one tick.
            .event_interval(1)
            .enable_all()
            .build()
            .map_err(|error| EngineError::Setup(format!("the threads that connectors run on cannot start: {error}")))?;
        let handle = runtime.handle().clone();
        Ok(Self { policies, connectors, connector_runtime: Some(runtime), handle, _ticker: ticker })
    }

    /// Where connectors run.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        // Waiting for its tasks would block, which is forbidden where a gateway drops its plugins: on an async worker.
        if let Some(runtime) = self.connector_runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Proposals that no plugin needs are off: what is not there cannot have a hole. `multi_memory` stays on, because components
/// made from JavaScript need it.
fn common_config() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .gc_support(false);
    config
}

fn policy_config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(POLICY_INSTANCES)
        .total_core_instances(POLICY_INSTANCES.saturating_mul(CORE_INSTANCES))
        .total_memories(POLICY_INSTANCES)
        .total_tables(POLICY_INSTANCES.saturating_mul(4))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_tables_per_module(4)
        .max_memory_size(MAX_POLICY_MEMORY)
        // Keeping the first megabyte and asking the kernel which pages were written makes a fresh instance three times as
        // fast as unmapping everything.
        .linear_memory_keep_resident(1 << 20)
        .pagemap_scan(Enabled::Auto);
    let mut config = common_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Bytes that a guest may pass to the gateway in one call, as a measure of what the gateway allocates for it.
pub(crate) fn hostcall_fuel(largest_body: usize) -> usize {
    largest_body.saturating_add(1 << 20)
}

/// Describing and configuring a component for the first time may take this long: interpreters start slowly.
pub(crate) const FIRST_START: Duration = Duration::from_secs(10);
