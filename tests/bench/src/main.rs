//! `portcullis-bench`: measures what parts of the gateway cost. Build it with `--release`; each sub command is a module.
#![allow(clippy::print_stdout, reason = "what was measured goes to the standard output")]

mod store;
mod usage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures what parts of the gateway cost")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Durable event storage: concurrent writers, each waiting for its event before the next
    Store(store::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().part {
        Part::Store(arguments) => store::run(&arguments),
    }
}
