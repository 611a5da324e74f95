//! The binary with real components in front of a real slapd and a simulated Okta, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod active_directory;
mod binds;
mod console;
mod durability;
mod facts;
mod faults;
mod sasl;
mod secrets;
mod sessions;
mod stage;
mod starts;
mod transport;
