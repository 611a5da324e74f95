//! `portcullis-bench`: measures what the gateway and parts of it cost. Build it with `--release`; each sub command is a module.
#![allow(clippy::print_stdout, reason = "what was measured goes to the standard output")]

mod backtest;
mod behavior;
mod challenges;
mod ingest;
mod peers;
mod policies;
mod store;
mod usage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures what the gateway and parts of it cost")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Recorded accesses through a list of policies (reads the variables that `peers` reads)
    Backtest(backtest::Arguments),
    /// Challenges that wait at the same time: memory, and how long everything else takes meanwhile
    Challenges(challenges::Arguments),
    /// Events of a cloud service: log, connector, gateway and store (reads the variables that `peers` reads)
    Ingest(ingest::Arguments),
    /// The gateway beside its peers, in front of the same directory (`cargo xtask bench` builds what this needs)
    Peers(peers::Arguments),
    /// Policies alone: time for an access, beside its limits (reads the variables that `peers` reads)
    Policies(policies::Arguments),
    /// Learning and detections: time for an access, memory for accounts, beside their limits
    Behavior(behavior::Arguments),
    /// Durable event storage: concurrent writers, each waiting for its event before the next
    Store(store::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().part {
        Part::Backtest(arguments) => backtest::run(&arguments),
        Part::Challenges(arguments) => challenges::run(&arguments),
        Part::Ingest(arguments) => ingest::run(&arguments),
        Part::Peers(arguments) => peers::run(&arguments),
        Part::Policies(arguments) => policies::run(&arguments),
        Part::Behavior(arguments) => behavior::run(&arguments),
        Part::Store(arguments) => store::run(&arguments),
    }
}
