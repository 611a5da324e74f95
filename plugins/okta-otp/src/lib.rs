//! Asks people for a one-time code: the one that Okta Verify or Google Authenticator shows, or one that Okta sends by text
//! message, call or mail.
//!
//! Okta keeps no transaction for codes. A code belongs to a factor, so a challenge is a list of the person's factors and which
//! of them is in use; that travels in the step's handle, so that any instance can go on. [`codes::start`] finds the factors
//! and asks by the first, [`codes::choose`] asks by another or once more, [`codes::verify`] tries what was typed.

pub mod codes;
#[cfg(target_family = "wasm")]
mod component;
pub mod contract;
mod factor;
mod handle;
pub mod health;
mod okta_api;
mod refusal;
pub mod settings;
