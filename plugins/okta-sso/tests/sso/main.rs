//! The connector against scripted answers: one test per row of what Okta's API documents, and of what it does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests; clippy takes them for something else"
)]

mod accounts;
mod answers;
mod enforcing;
mod events;
mod feed;
mod strange;
mod surroundings;
