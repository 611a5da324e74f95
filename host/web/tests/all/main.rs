//! Everything over real sockets, with fakes behind the pages.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "this is all test code")]

#[path = "../support/mod.rs"]
mod support;

mod activity;
mod challenge;
mod channels;
mod codes;
mod demotions;
mod exclusions;
mod fences;
mod incidents;
mod limits;
mod notify;
mod policy;
mod policy_editor;
mod risk;
mod routes;
mod sign_in;
mod stage;
mod tls;
