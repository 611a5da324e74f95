//! The lab's own tests, over real sockets and with real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod directories;
mod okta;
mod okta_codes;
mod okta_faults;
mod slapd;
