//! Reads Okta's System Log, looks accounts up and acts on them.
//!
//! [`feed::poll`] fetches a page of the log and [`mapping`] puts its events into the contract's words; [`accounts::find`] and
//! [`enforce::enforce`] look at, and act on, one user. Nothing is kept between two calls but the feed's cursor, which the
//! gateway stores together with the events that came with it.

pub mod accounts;
#[cfg(target_family = "wasm")]
mod component;
pub mod contract;
mod cursor;
pub mod enforce;
pub mod feed;
pub mod health;
mod kinds;
mod lenient;
mod log_event;
pub mod mapping;
mod refusal;
mod risk;
pub mod settings;
mod user;
