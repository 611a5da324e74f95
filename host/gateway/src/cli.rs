//! The command line.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a command line is for")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{check, events, plugin, run};

#[derive(Parser)]
#[command(name = "portcullis", version, about = "A security gateway for LDAP directories")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Run {
        /// Configuration file.
        #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
        config: PathBuf,
    },
    /// Say what is wrong with a configuration: the file, the plugins, the directory and the connectors.
    Check {
        /// Configuration file.
        file: PathBuf,
        /// Leave out what needs the network.
        #[arg(long)]
        offline: bool,
    },
    /// Print a commented configuration to begin with.
    SampleConfig,
    /// Make keys, sign plugins, look at plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Look at the event log.
    #[command(subcommand)]
    Events(events::Command),
}

pub(crate) fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check { file, offline } => check::check(&file, offline),
        Command::SampleConfig => {
            print!("{}", include_str!("../portcullis.toml"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Plugin(command) => plugin::run(command),
        Command::Events(command) => events::run(command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("portcullis: {error:#}");
        ExitCode::FAILURE
    })
}
