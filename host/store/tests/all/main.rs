//! `contract` is what every backend has to pass, written against the traits of `portcullis_core::store` alone. `sqlite`
//! is what only this backend can be asked: its file, its hash chain, its failures.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is all test code"
)]

mod contract;
mod sample;
mod sqlite;
