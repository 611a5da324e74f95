//! Loads, verifies, limits and calls WebAssembly plugins: policies and connectors.
//!
//! A file becomes a plugin on one way only: it is read once from the plugin folder, its signature is verified, it is compiled
//! (or taken from the private cache), its imports and exports are held against the contract, it describes itself and takes
//! its settings. What comes out implements [`portcullis_core::plugin::Policy`],
//! [`portcullis_core::plugin::Authenticator`] or the traits of [`portcullis_core::source`]; no other type of this crate
//! reaches the guard.
//!
//! What is absent: no file, socket, environment variable or clock is linked into a policy, and none but the four host
//! interfaces of its world into a connector. No secret enters a sandbox. No call runs without a deadline, a memory limit and a
//! bound on what it may hand over.

mod authenticator;
mod bindings;
mod cache;
mod connector;
mod contract;
mod convert;
mod engine;
mod error;
mod facts;
mod fault;
mod folder;
mod grants;
mod http;
mod identity_provider;
mod limits;
mod load;
mod log;
mod minute;
mod oauth;
mod policy;
mod precompiled;
mod runtime;
mod settings;
mod signature;
mod state;
mod ticker;

pub use authenticator::LoadedAuthenticator;
pub use connector::ConnectorSpec;
pub use contract::{CONTRACT, World};
pub use engine::{Engine, EngineOptions, PluginInfo};
pub use error::{EngineError, Problem};
pub use grants::{Grants, HostGrant, SecretGrant, TokenGrant};
pub use identity_provider::LoadedIdentityProvider;
pub use limits::{ConnectorLimits, PolicyLimits};
pub use oauth::OAuthClient;
pub use policy::{LoadedPolicy, PolicySpec};
pub use settings::Manifest;
pub use signature::{SignatureError, TrustedComment, TrustedKeys};
