//! The front door: what the gateway asks of this room.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_core::Clock;
use portcullis_core::store::PluginStateStore;

use crate::cache::CompileCache;
use crate::folder::PluginFolder;
use crate::load::{Loader, on_own_thread};
use crate::runtime::Engines;
use crate::settings::Manifest;
use crate::signature::{TrustedComment, TrustedKeys};
use crate::{
    ConnectorSpec, EngineError, LoadedAuthenticator, LoadedIdentityProvider, LoadedPolicy, PolicySpec, World,
    connector, policy,
};

/// What the engine works with.
pub struct EngineOptions {
    /// Folder of the component files and their signatures. Nothing outside it is read as a plugin.
    pub plugin_folder: PathBuf,
    /// Whose signatures are accepted.
    pub trusted_keys: TrustedKeys,
    /// Private folder for compiled components; none compiles at each start.
    pub compile_cache: Option<PathBuf>,
    /// Tells plugins the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps the state of connectors.
    pub plugin_state: Arc<dyn PluginStateStore>,
}

/// Loads plugins. Those that it loaded stay usable when it is dropped; its threads end with the last of them.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginInfo {
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it is made for.
    pub world: World,
    /// Names of the interfaces that it imports: its wish for capabilities.
    pub imports: Vec<String>,
    /// What its signature vouches for.
    pub signed: TrustedComment,
}

/// What all loaded plugins need.
pub(crate) struct Shared {
    pub(crate) loader: Loader,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) plugin_state: Arc<dyn PluginStateStore>,
    pub(crate) engines: Engines,
}

impl Engine {
    /// Opens the plugin folder and starts the threads that bound and run plugins. A compile cache that is not private is
    /// left alone, with a warning in the log.
    ///
    /// # Errors
    /// [`EngineError::Setup`].
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let cache = options.compile_cache.as_deref().and_then(|folder| match CompileCache::open(folder) {
            Ok(cache) => Some(cache),
            Err(reason) => {
                tracing::warn!("{reason}. Components are compiled at each start until this is put right");
                None
            }
        });
        let folder = PluginFolder::open(&options.plugin_folder)?;
        let loader = Loader { folder, keys: options.trusted_keys, cache };
        let engines = Engines::start()?;
        let shared = Shared { loader, engines, clock: options.clock, plugin_state: options.plugin_state };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Loads a policy: verify, compile, describe, configure, ask for its needs. Blocks, for as long as compiling takes.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn load_policy(&self, spec: PolicySpec) -> Result<LoadedPolicy, EngineError> {
        let shared = Arc::clone(&self.shared);
        on_own_thread(&spec.file.clone(), move || LoadedPolicy::load(shared, spec))
    }

    /// Loads an authenticator: verify, compile, describe, configure. Asks nothing of the service behind it. Blocks, for as
    /// long as compiling takes.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn load_authenticator(&self, spec: ConnectorSpec) -> Result<LoadedAuthenticator, EngineError> {
        let shared = Arc::clone(&self.shared);
        on_own_thread(&spec.file.clone(), move || LoadedAuthenticator::load(shared, spec))
    }

    /// Loads a connector to a cloud identity provider, as an authenticator is loaded.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn load_identity_provider(&self, spec: ConnectorSpec) -> Result<LoadedIdentityProvider, EngineError> {
        let shared = Arc::clone(&self.shared);
        on_own_thread(&spec.file.clone(), move || LoadedIdentityProvider::load(shared, spec))
    }

    /// Says what a file of the plugin folder is. It takes the same way as for loading, up to its own description of itself.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn inspect(&self, file: &str) -> Result<PluginInfo, EngineError> {
        let (shared, name) = (Arc::clone(&self.shared), file.to_owned());
        on_own_thread(file, move || {
            let verified = shared.loader.verify(&name)?;
            verified.check_contract()?;
            // The connectors' engine takes any size of component; the policies' pool does not.
            let mut compiled = shared.loader.compile(&shared.engines.connectors, &verified)?;
            let manifest = match compiled.world {
                World::Authenticator | World::IdentityProvider => connector::describe(&shared, &verified, &compiled)?,
                World::Policy => {
                    compiled = shared.loader.compile(&shared.engines.policies, &verified)?;
                    policy::describe(&shared, &verified, &compiled)?
                }
            };
            let signed = verified.comment().clone();
            Ok(PluginInfo { manifest, world: compiled.world, imports: compiled.imports, signed })
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("folder", &self.shared.loader.folder).finish_non_exhaustive()
    }
}
