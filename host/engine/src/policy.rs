//! Policies: loading one, and keeping instances of it warm.
//!
//! An instance is used again and again, because a fresh one costs several times what an evaluation does. The contract
//! makes policies pure, and what the gateway told an instance is taken away from it after each call. An instance whose call
//! failed in any way is dropped with its store: what it left behind is not worth trusting.

mod host;
mod pool;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::plugin::{PluginFault, Policy};
use portcullis_core::policy::{Evidence, Needs, Ruling};
use portcullis_core::{Access, AccountFacts, ConnectorName};
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Linker};

use self::host::PolicyHost;
use self::pool::Pool;
use self::slow::Slow;
use crate::bindings::policy::{PolicyPlugin, PolicyPluginPre};
use crate::engine::Shared;
use crate::facts::Facts;
use crate::fault::fault;
use crate::load::{Compiled, Verified, settled};
use crate::log::{PluginLog, printable};
use crate::runtime::{FIRST_START, MAX_POLICY_MEMORY, hostcall_fuel};
use crate::settings::{Manifest, secret_problems};
use crate::ticker::Ticker;
use crate::{EngineError, PolicyLimits, Problem, World, convert};

/// Longest text of a settings problem, in bytes.
pub(crate) const MAX_PROBLEM: usize = 1 << 10;
/// Longest name of a connector or channel, in bytes; none that there is comes near it.
pub(crate) const MAX_NAME: usize = 256;
/// More problems at once are not shown.
pub(crate) const MAX_PROBLEMS: usize = 50;

/// A policy to load.
#[derive(Debug, Clone)]
pub struct PolicySpec {
    /// Name in the gateway's configuration; appears in the log.
    pub name: String,
    /// Name of the component's file in the plugin folder.
    pub file: String,
    /// Its settings, a JSON object.
    pub settings: Value,
    /// What it may use.
    pub limits: PolicyLimits,
}

/// A policy that can be asked.
pub struct LoadedPolicy {
    manifest: Manifest,
    digest: String,
    needs: Needs,
    factory: Factory,
    pool: Pool<Warm>,
    slow: Slow,
}

/// A configured instance.
struct Warm {
    store: Store<PolicyHost>,
    plugin: PolicyPlugin,
    calls: u32,
}

/// Makes instances.
struct Factory {
    // Field order is drop order: what was compiled goes before the engine.
    pre: PolicyPluginPre<PolicyHost>,
    settings: String,
    limits: PolicyLimits,
    log: Arc<PluginLog>,
    shared: Arc<Shared>,
}

impl LoadedPolicy {
    pub(crate) fn load(shared: Arc<Shared>, spec: PolicySpec) -> Result<Self, EngineError> {
        if spec.limits.memory > MAX_POLICY_MEMORY {
            let reason = format!("the policy `{}` may have at most {MAX_POLICY_MEMORY} bytes of memory", spec.name);
            return Err(EngineError::Setup(reason));
        }
        let verified = shared.loader.verify(&spec.file)?;
        verified.check_contract()?;
        let compiled = shared.loader.compile(&shared.engines.policies, &verified)?;
        if compiled.world != World::Policy {
            return Err(EngineError::WrongWorld { file: spec.file, expected: World::Policy, found: compiled.world });
        }
        let manifest = describe(&shared, &verified, &compiled)?;
        settled(&spec.name, secret_problems(&manifest.settings_schema, &spec.settings, &Default::default()))?;
        let log = Arc::new(PluginLog::new(&spec.name, spec.limits.log_lines, Arc::clone(&shared.clock)));
        let pre = prepare(&shared, &verified, &compiled)?;
        let factory = Factory { pre, settings: spec.settings.to_string(), limits: spec.limits, log, shared };

        let mut warm = factory.start(FIRST_START).map_err(|fault| verified.fault(fault))?;
        settled(&spec.name, warm.configure(&factory.settings, FIRST_START).map_err(|fault| verified.fault(fault))?)?;
        let needs = warm.needs(FIRST_START).map_err(|fault| verified.fault(fault))?;
        let pool = Pool::new(factory.limits.concurrency, warm);
        Ok(Self { manifest, digest: verified.digest(), needs, factory, pool, slow: Slow::default() })
    }

    /// What the plugin says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the component's file, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Policy for LoadedPolicy {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn evaluate(
        &self,
        access: &Access,
        facts: &Arc<AccountFacts>,
        evidence: &[Evidence],
    ) -> Result<Ruling, PluginFault> {
        let ruling = self.call(access, facts, evidence);
        if let Err(PluginFault::Deadline(_) | PluginFault::Busy) = &ruling {
            self.slow.note();
        }
        ruling
    }

    fn is_slow(&self) -> bool {
        self.slow.is_recent()
    }
}

impl LoadedPolicy {
    fn call(&self, access: &Access, facts: &Arc<AccountFacts>, evidence: &[Evidence]) -> Result<Ruling, PluginFault> {
        let limits = &self.factory.limits;
        let (place, idle) = self.pool.enter(limits.call_timeout).ok_or(PluginFault::Busy)?;
        let mut warm = match idle {
            Some(warm) => warm,
            None => self.factory.start_configured()?,
        };
        let ruling = warm.evaluate(access, facts, evidence, limits.call_timeout)?;
        if warm.calls < limits.calls_per_instance {
            place.give_back(warm);
        }
        Ok(ruling)
    }
}

impl Factory {
    fn start(&self, timeout: Duration) -> Result<Warm, PluginFault> {
        let host = PolicyHost::new(Arc::clone(&self.log), self.limits.memory);
        let (store, plugin) = instantiate(&self.shared, &self.pre, host, timeout)?;
        Ok(Warm { store, plugin, calls: 0 })
    }

    fn start_configured(&self) -> Result<Warm, PluginFault> {
        let timeout = self.limits.setup_timeout;
        let mut warm = self.start(timeout)?;
        match warm.configure(&self.settings, timeout)?.first() {
            None => Ok(warm),
            Some(problem) => Err(PluginFault::Settings(problem.to_string())),
        }
    }
}

impl Warm {
    fn configure(&mut self, settings: &str, timeout: Duration) -> Result<Vec<Problem>, PluginFault> {
        self.store.set_epoch_deadline(Ticker::ticks(timeout));
        let answer = self.plugin.portcullis_gateway_plugin().call_configure(&mut self.store, settings);
        let answer = answer.map_err(|error| self.fault(&error, timeout))?;
        let problems = answer.err().unwrap_or_default().into_iter().take(MAX_PROBLEMS);
        Ok(problems.map(|problem| self::problem(&problem.setting, &problem.message)).collect())
    }

    fn needs(&mut self, timeout: Duration) -> Result<Needs, PluginFault> {
        self.store.set_epoch_deadline(Ticker::ticks(timeout));
        let needs = self.plugin.portcullis_gateway_policy().call_needs(&mut self.store);
        let needs = needs.map_err(|error| self.fault(&error, timeout))?;
        Ok(Needs {
            operations: needs.operations.into_iter().map(convert::operation_kind).collect(),
            connectors: needs.connectors.iter().map(|name| ConnectorName::new(printable(name, MAX_NAME))).collect(),
            channels: needs.channels.iter().map(|name| printable(name, MAX_NAME)).collect(),
            groups: needs.groups.iter().map(|name| printable(name, MAX_PROBLEM)).collect(),
        })
    }

    fn evaluate(
        &mut self,
        access: &Access,
        facts: &Arc<AccountFacts>,
        evidence: &[Evidence],
        timeout: Duration,
    ) -> Result<Ruling, PluginFault> {
        self.calls = self.calls.saturating_add(1);
        self.store.data_mut().facts = Facts::new(Arc::clone(facts));
        let (access, evidence) = (convert::access(access), convert::evidence(evidence));
        self.store.set_epoch_deadline(Ticker::ticks(timeout));
        let ruling = self.plugin.portcullis_gateway_policy().call_evaluate(&mut self.store, &access, &evidence);
        self.store.data_mut().facts = Facts::default();
        convert::ruling(ruling.map_err(|error| self.fault(&error, timeout))?)
    }

    fn fault(&self, error: &wasmtime::Error, timeout: Duration) -> PluginFault {
        fault(error, &self.store.data().watchman, timeout)
    }
}

/// Asks a policy what it is, in an instance of its own that is thrown away.
pub(crate) fn describe(shared: &Shared, verified: &Verified, compiled: &Compiled) -> Result<Manifest, EngineError> {
    let pre = prepare(shared, verified, compiled)?;
    let log = Arc::new(PluginLog::new(&verified.file, PolicyLimits::default().log_lines, Arc::clone(&shared.clock)));
    let host = PolicyHost::new(log, MAX_POLICY_MEMORY);
    let (mut store, plugin) = instantiate(shared, &pre, host, FIRST_START).map_err(|fault| verified.fault(fault))?;
    store.set_epoch_deadline(Ticker::ticks(FIRST_START));
    let said = plugin.portcullis_gateway_plugin().call_describe(&mut store);
    let said = said.map_err(|error| verified.fault(fault(&error, &store.data().watchman, FIRST_START)))?;
    let manifest = Manifest::check(&verified.file, said.name, said.version, said.summary, &said.settings_schema)?;
    verified.check_manifest(&manifest)?;
    Ok(manifest)
}

/// A problem as it may be shown.
pub(crate) fn problem(setting: &str, message: &str) -> Problem {
    Problem { setting: printable(setting, MAX_PROBLEM), message: printable(message, MAX_PROBLEM) }
}

fn prepare(
    shared: &Shared,
    verified: &Verified,
    compiled: &Compiled,
) -> Result<PolicyPluginPre<PolicyHost>, EngineError> {
    let mismatch = |error: wasmtime::Error| EngineError::ContractMismatch {
        file: verified.file.clone(),
        reason: format!("{error:#}"),
    };
    let mut linker = Linker::new(&shared.engines.policies);
    PolicyPlugin::add_to_linker::<_, HasSelf<PolicyHost>>(&mut linker, |host| host).map_err(mismatch)?;
    linker.instantiate_pre(&compiled.component).and_then(PolicyPluginPre::new).map_err(mismatch)
}

fn instantiate(
    shared: &Shared,
    pre: &PolicyPluginPre<PolicyHost>,
    host: PolicyHost,
    timeout: Duration,
) -> Result<(Store<PolicyHost>, PolicyPlugin), PluginFault> {
    let mut store = Store::new(&shared.engines.policies, host);
    store.limiter(|host| &mut host.watchman);
    store.set_hostcall_fuel(hostcall_fuel(0));
    store.set_epoch_deadline(Ticker::ticks(timeout));
    match pre.instantiate(&mut store) {
        Ok(plugin) => Ok((store, plugin)),
        Err(error) => Err(fault(&error, &store.data().watchman, timeout)),
    }
}
