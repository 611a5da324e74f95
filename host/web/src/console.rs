//! The console: for people with a session.

pub(crate) mod activity;
pub(crate) mod api;
mod details;
mod summary;
mod view;
