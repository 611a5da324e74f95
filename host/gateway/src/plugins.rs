//! From the configuration's connectors to loaded plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use portcullis_core::ConnectorName;
use portcullis_core::plugin::Authenticator;
use portcullis_core::status::{AboutConnector, ConnectorRole};
use portcullis_core::store::{PluginStateStore, StoreError};
use portcullis_engine::{
    ConnectorLimits, ConnectorSpec, Engine, EngineError, EngineOptions, Grants, HostGrant, LoadedAuthenticator,
    LoadedIdentityProvider, Manifest, OAuthClient, PluginInfo, SecretGrant, TokenGrant, TrustedKeys,
};
use portcullis_guard::cloud::{CloudSource, OnBlock, SharedAttribute, SourceOptions};

use crate::broken::BrokenAuthenticator;
use crate::config::{self, Config, Limits, Problem, ServiceAddress, pointer_path};
use crate::system::System;

/// The name by which a connector's plugin means its credentials.
const TOKEN: &str = "api-token";

/// Connectors, each loaded or replaced by what stands in for it.
pub(crate) struct Plugins {
    pub(crate) connectors: BTreeMap<ConnectorName, Arc<dyn Authenticator>>,
    /// Those of the connectors that are to cloud identity providers, and could be loaded.
    pub(crate) sources: Vec<CloudSource>,
    /// What each of the connectors is.
    pub(crate) about: BTreeMap<ConnectorName, AboutConnector>,
    /// What the administrator has to mend in the configuration; nothing should be started with these.
    pub(crate) problems: Vec<Problem>,
    /// Plugins that could not be loaded although the configuration is right: a missing file, a wrong signature.
    pub(crate) broken: Vec<Problem>,
    /// Positions of connectors that something stands in for.
    replaced: Vec<usize>,
}

/// Opens the plugin folder.
pub(crate) fn engine(config: &Config, state: Arc<dyn PluginStateStore>, cache: Option<&Path>) -> Result<Engine> {
    let trusted_keys = TrustedKeys::from_files(&config.plugins.trusted_keys)?;
    let options = EngineOptions {
        plugin_folder: config.plugins.folder.clone(),
        trusted_keys,
        compile_cache: cache.map(Path::to_owned),
        clock: Arc::new(System),
        plugin_state: state,
    };
    Engine::new(options).context("the plugin engine cannot be started")
}

/// Loads the connectors that the configuration names. Blocks while components are compiled.
pub(crate) fn load(config: &Config, engine: &Engine) -> Plugins {
    let mut plugins = Plugins::none();
    for (index, connector) in config.connectors.iter().enumerate() {
        let name = ConnectorName::new(&connector.name);
        if let Some(cloud) = &connector.cloud {
            match load_provider(connector, engine) {
                Ok(provider) => {
                    let roles =
                        [ConnectorRole::EventSource, ConnectorRole::AccountDirectory, ConnectorRole::Enforcement];
                    plugins.about.insert(name.clone(), about(Some(provider.manifest()), roles.to_vec()));
                    let (provider, options) = (Arc::new(provider), source_options(cloud));
                    plugins.sources.push(CloudSource { name, provider, options });
                }
                Err(error) => drop(plugins.sort_in(index, error)),
            }
            continue;
        }
        let roles = vec![ConnectorRole::SecondFactor];
        let loaded: Arc<dyn Authenticator> = match load_connector(connector, engine) {
            Ok(loaded) => {
                plugins.about.insert(name.clone(), about(Some(loaded.manifest()), roles));
                Arc::new(loaded)
            }
            Err(error) => {
                plugins.about.insert(name.clone(), about(None, roles));
                Arc::new(BrokenAuthenticator::new(plugins.sort_in(index, error)))
            }
        };
        plugins.connectors.insert(name, loaded);
    }
    plugins
}

impl Plugins {
    pub(crate) fn none() -> Self {
        Self {
            connectors: BTreeMap::new(),
            sources: Vec::new(),
            about: BTreeMap::new(),
            problems: Vec::new(),
            broken: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Whether something stands in for the plugin of this connector.
    pub(crate) fn is_replaced(&self, index: usize) -> bool {
        self.replaced.contains(&index)
    }

    /// Puts an error where it belongs and returns its text.
    fn sort_in(&mut self, index: usize, error: Failure) -> String {
        self.replaced.push(index);
        let path = &["connector".to_owned(), index.to_string()];
        let text = error.to_string();
        match error {
            Failure::Engine(EngineError::Settings { problems, .. }) => {
                self.problems.extend(problems.into_iter().map(|problem| {
                    let rest = ["settings".to_owned()].into_iter().chain(pointer_path(&problem.setting));
                    Problem::below(path, rest, problem.message)
                }));
            }
            Failure::Engine(EngineError::Grants { reason, .. }) => self.problems.push(Problem::below(path, [], reason)),
            Failure::Configuration(message) => self.problems.push(Problem::below(path, [], message)),
            Failure::Engine(other) => {
                self.broken.push(Problem::below(path, ["plugin".to_owned()], other.to_string()));
            }
        }
        text
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Configuration(String),
}

fn load_connector(connector: &config::Connector, engine: &Engine) -> Result<LoadedAuthenticator, Failure> {
    Ok(engine.load_authenticator(connector_spec(connector, &ConnectorLimits::default())?)?)
}

fn load_provider(connector: &config::Connector, engine: &Engine) -> Result<LoadedIdentityProvider, Failure> {
    let spec = connector_spec(connector, &ConnectorLimits::identity_provider())?;
    Ok(engine.load_identity_provider(spec)?)
}

fn about(manifest: Option<&Manifest>, roles: Vec<ConnectorRole>) -> AboutConnector {
    let plugin = manifest.map(|manifest| (manifest.name.clone(), manifest.version.clone()));
    AboutConnector { plugin, roles }
}

fn source_options(cloud: &config::Cloud) -> SourceOptions {
    SourceOptions {
        on_block: match cloud.on_block {
            config::OnBlock::None => OnBlock::None,
            config::OnBlock::EndSessions => OnBlock::EndSessions,
            config::OnBlock::Suspend => OnBlock::Suspend,
        },
        act_within: Duration::from_secs(u64::from(cloud.act_within_seconds)),
        match_attribute: cloud
            .match_attribute
            .as_ref()
            .map(|names| SharedAttribute { directory: names.directory.clone(), cloud: names.cloud.clone() }),
    }
}

fn connector_spec(connector: &config::Connector, defaults: &ConnectorLimits) -> Result<ConnectorSpec, Failure> {
    let service = connector.base_url().map_err(Failure::Configuration)?;
    let grants = grants(connector, &service)?;
    let mut settings = as_json(&connector.settings)?;
    if let Some(object) = settings.as_object_mut() {
        object.insert("base-url".to_owned(), service.base_url.into());
        if let Err(client) = connector.token.source() {
            // Not secret: with it, the plugin knows how to present the token, and whose it is when it is tried.
            let client = serde_json::json!({ "client-id": client.client_id, "scopes": client.scopes });
            object.insert("oauth".to_owned(), client);
        }
    }
    let limits = ConnectorLimits {
        memory: memory(connector.limits, defaults.memory),
        call_timeout: call_timeout(connector.limits, defaults.call_timeout),
        concurrency: connector.limits.concurrent_calls.unwrap_or(defaults.concurrency),
        ..defaults.clone()
    };
    Ok(ConnectorSpec { name: connector.name.clone(), file: connector.plugin.clone(), settings, grants, limits })
}

/// The service's host, and the credentials for it.
fn grants(connector: &config::Connector, service: &ServiceAddress) -> Result<Grants, Failure> {
    let host = HostGrant { host: service.host.clone(), port: service.port };
    let mut grants = Grants { hosts: vec![host.clone()], ca_file: connector.ca_file.clone(), ..Grants::default() };
    match connector.token.source() {
        Ok(source) => {
            let value = config::secret(&source).map_err(Failure::Configuration)?;
            grants.secrets.insert(TOKEN.to_owned(), SecretGrant { value, hosts: vec![host] });
        }
        Err(client) => {
            let key = config::secret(&client.key).map_err(Failure::Configuration)?;
            // Where Okta has it (Okta, "Implement OAuth for Okta with a service app").
            let usual = || format!("{}/oauth2/v1/token", service.base_url);
            let client = OAuthClient {
                token_url: client.token_url.clone().unwrap_or_else(usual),
                client_id: client.client_id.clone(),
                key,
                key_id: client.key_id.clone(),
                scopes: client.scopes.clone(),
            };
            grants.tokens.insert(TOKEN.to_owned(), TokenGrant { client, hosts: vec![host] });
        }
    }
    Ok(grants)
}

fn memory(limits: Limits, default: usize) -> usize {
    limits.memory_mib.map_or(default, |mib| mib.saturating_mul(1 << 20))
}

fn call_timeout(limits: Limits, default: Duration) -> Duration {
    limits.call_ms.map_or(default, Duration::from_millis)
}

/// TOML as the JSON that plugins are given. Dates become text.
fn as_json(table: &toml::Table) -> Result<serde_json::Value, Failure> {
    settings_as_json(table).map_err(Failure::Configuration)
}

/// The same for whoever else has settings.
pub(crate) fn settings_as_json(table: &toml::Table) -> Result<serde_json::Value, String> {
    serde_json::to_value(table).map_err(|error| format!("settings that are no JSON: {error}"))
}

/// What a signed file says about itself.
pub(crate) fn inspect(file: &Path, key: PathBuf) -> Result<PluginInfo> {
    let name = file.file_name().and_then(|name| name.to_str()).context("the file has no name")?;
    Ok(engine_of(folder_of(file), key, None)?.inspect(name)?)
}

/// An engine for somebody at a command line: a folder, one key, nothing of a gateway.
pub(crate) fn engine_of(folder: &Path, key: PathBuf, cache: Option<&Path>) -> Result<Engine> {
    let options = EngineOptions {
        plugin_folder: folder.to_owned(),
        trusted_keys: TrustedKeys::from_files(&[key])?,
        compile_cache: cache.map(Path::to_owned),
        clock: Arc::new(System),
        plugin_state: Arc::new(NoState),
    };
    Ok(Engine::new(options)?)
}

/// The folder that a file is in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Looking at a plugin changes nothing, its state included.
pub(crate) struct NoState;

#[async_trait]
impl PluginStateStore for NoState {
    async fn plugin_state(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn put_plugin_state(&self, _: &str, _: &str, _: &[u8], _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn delete_plugin_state(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}
