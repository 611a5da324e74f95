//! A plugin folder with a key of its own, and what the engine asks of the other rooms.

pub mod guest;

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use minisign::KeyPair;
use portcullis_core::store::{PluginStateStore, StoreError};
use portcullis_core::{
    Access, Account, AccountId, AccountKind, BindMethod, Clock, EventId, Operation, Outcome, Target, Timestamp,
};
use portcullis_engine::{
    ConnectorLimits, ConnectorSpec, Engine, EngineOptions, Grants, PolicyLimits, PolicySpec, TrustedKeys,
};
use serde_json::json;
use tempfile::TempDir;

/// A folder of plugins, and the key that signs them.
pub struct Plugins {
    folder: TempDir,
    keys: KeyPair,
}

impl Plugins {
    pub fn new() -> Self {
        let plugins = Self { folder: TempDir::new().unwrap(), keys: KeyPair::generate_unencrypted_keypair().unwrap() };
        fs::write(plugins.path("trusted.pub"), plugins.keys.pk.to_box().unwrap().to_string()).unwrap();
        plugins
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a component and signs it.
    pub fn add(&self, file: &str, component: &[u8]) {
        self.add_signed(file, component, "name=test-guest version=1.2.3 contract=portcullis:gateway@0.1.0");
    }

    /// Writes a component and signs it with this trusted comment.
    pub fn add_signed(&self, file: &str, component: &[u8], comment: &str) {
        fs::write(self.path(file), component).unwrap();
        let signature = minisign::sign(None, &self.keys.sk, Cursor::new(component), Some(comment), None).unwrap();
        fs::write(self.path(&format!("{file}.minisig")), signature.to_string()).unwrap();
    }

    /// The grants with an authority to trust, for machines that have none of their own.
    pub fn trusting(&self, grants: Grants) -> Grants {
        let authority = rcgen::generate_simple_self_signed(vec!["ca.example".into()]).unwrap();
        fs::write(self.path("ca.pem"), authority.cert.pem()).unwrap();
        Grants { ca_file: Some(self.path("ca.pem")), ..grants }
    }

    pub fn engine(&self) -> Engine {
        self.engine_with_cache(None)
    }

    pub fn engine_with_cache(&self, compile_cache: Option<PathBuf>) -> Engine {
        Engine::new(EngineOptions {
            plugin_folder: self.folder.path().to_owned(),
            trusted_keys: TrustedKeys::from_files(&[self.path("trusted.pub")]).unwrap(),
            compile_cache,
            clock: Arc::new(StoppedClock),
            plugin_state: Arc::new(NoState),
        })
        .unwrap()
    }
}

pub fn policy_spec(file: &str) -> PolicySpec {
    let limits = PolicyLimits::default();
    PolicySpec { name: "under-test".into(), file: file.into(), settings: json!({}), limits }
}

pub fn connector_spec(file: &str, grants: Grants) -> ConnectorSpec {
    let limits = ConnectorLimits::default();
    ConnectorSpec { name: "under-test".into(), file: file.into(), settings: json!({}), grants, limits }
}

pub fn account() -> Account {
    Account {
        id: AccountId::new("1"),
        login: "alice".into(),
        dn: Some("uid=alice,ou=people,dc=example,dc=org".into()),
        mail: None,
        kind: AccountKind::Human,
        privileged: false,
        cloud_enabled: None,
        risk: 0,
    }
}

pub fn access() -> Access {
    Access {
        id: "018f0000-0000-7000-8000-000000000000".parse::<EventId>().unwrap(),
        at: Timestamp(1),
        source: "ldap".into(),
        account: Some(account()),
        endpoint: None,
        protection: None,
        target: Target { application: "wiki".into(), entry: None },
        operation: Operation::Bind(BindMethod::Simple),
        outcome: Outcome::Success,
        signals: Vec::new(),
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

struct NoState;

#[async_trait]
impl PluginStateStore for NoState {
    async fn plugin_state(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    async fn put_plugin_state(&self, _: &str, _: &str, _: &[u8], _: u64) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not in this test".into()))
    }
    async fn delete_plugin_state(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}
