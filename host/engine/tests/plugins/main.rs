//! Loading and calling real components, most of them hostile.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail by panicking, as tests do")]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod hostile;
mod identity_providers;
mod refusals;
