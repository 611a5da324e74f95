//! The rules against accesses, evidence and mistakes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests; clippy takes them for something else"
)]

mod mistakes;
mod properties;
mod scene;
mod schema;
