//! The console: for people with a session.

pub(crate) mod activity;
pub(crate) mod api;
pub(crate) mod channels;
pub(crate) mod connectors;
pub(crate) mod demotions;
mod details;
pub(crate) mod exclusion;
pub(crate) mod fences;
pub(crate) mod incident;
pub(crate) mod policy;
pub(crate) mod risk;
mod summary;
mod view;
