//! The binary with real components in front of a real slapd and a simulated Okta, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod active_directory;
mod appended;
mod applications;
mod binds;
mod browser;
mod channels;
mod client_certificates;
mod clients;
mod cloud_events;
mod codes;
mod console;
mod demo;
mod demotion;
mod differential;
mod directory_log;
mod drain;
mod durability;
mod escalation;
mod facts;
mod faults;
mod fences;
mod history;
mod hostile;
mod languages;
mod memory;
mod metrics;
mod notify;
mod okta_faults;
mod okta_sso;
mod operations;
mod outage;
mod policies;
mod referrals;
mod reload;
mod remembered;
mod sasl;
mod screens;
mod secrets;
mod service_app;
mod sessions;
mod stage;
mod starts;
mod summaries;
mod systemd;
mod transport;
