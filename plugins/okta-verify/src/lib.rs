//! Asks people for a second factor with an Okta Verify push.
//!
//! One challenge is one push: [`push::start`] finds the person, the phone and sends it; [`push::poll`] looks for the answer.
//! All that has to be remembered in between travels in the step's handle, so that any instance can go on.

#[cfg(target_family = "wasm")]
mod component;
pub mod contract;
pub mod health;
mod okta_api;
pub mod push;
mod refusal;
pub mod settings;
