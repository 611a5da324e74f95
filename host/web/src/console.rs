//! The console: for people with a session.

pub(crate) mod activity;
pub(crate) mod api;
pub(crate) mod connectors;
mod details;
pub(crate) mod incident;
pub(crate) mod risk;
mod summary;
mod view;
