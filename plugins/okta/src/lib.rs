//! What the Okta connectors share: the organisation's address, requests to it, and what its answers mean.
//!
//! The logic is plain Rust over the trait [`Host`], so that tests drive it natively with a [`script`]; the gateway itself
//! stands behind it in a component only.

pub mod contract;

mod authorization;
mod base_url;
mod client;
pub mod dates;
mod encode;
mod fault;
#[cfg(target_family = "wasm")]
mod gateway;
pub mod health;
mod links;
pub mod person;
mod rate;
#[cfg(not(target_family = "wasm"))]
pub mod script;

pub use authorization::Authorization;
pub use base_url::BaseUrl;
pub use client::{Answer, Client, Host};
pub use encode::{filter_text, path_segment};
pub use fault::Fault;
#[cfg(target_family = "wasm")]
pub use gateway::Gateway;
pub use rate::Budget;
