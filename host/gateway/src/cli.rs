//! The command line.
#![expect(clippy::print_stderr, reason = "where a command line says what went wrong")]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::out::{harmless, say_lines};
use crate::{accounts, channels, check, demotions, events, exclusions, notify, plugin, policies, run};

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
    /// On a person's machine: tell of sign-ins that wait for a second factor.
    Notify(notify::Arguments),
    /// Print a commented configuration to begin with.
    SampleConfig,
    /// Make keys, sign plugins, look at plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Look at the event log.
    #[command(subcommand)]
    Events(events::Command),
    /// Look at which cloud account is whose and at what accounts seem to be, and decide.
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Look at which accounts were taken out of which groups, and put them back.
    #[command(subcommand)]
    Demotions(demotions::Command),
    /// Look at what people do not want to be told of detections, and undo that.
    #[command(subcommand)]
    Exclusions(exclusions::Command),
    /// Try notification channels.
    #[command(subcommand)]
    Channel(channels::Command),
    /// Look at the list of policies, draft another one, try it on what was recorded, put it into force, take it back.
    #[command(subcommand)]
    Policy(policies::Command),
}

pub(crate) fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check { file, offline } => check::check(&file, offline),
        Command::Notify(arguments) => notify::run(arguments),
        Command::SampleConfig => {
            say_lines(include_str!("../portcullis.toml").trim_end()).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Command::Plugin(command) => plugin::run(command),
        Command::Events(command) => events::run(command),
        Command::Accounts(command) => accounts::run(command),
        Command::Demotions(command) => demotions::run(command),
        Command::Exclusions(command) => exclusions::run(command),
        Command::Channel(command) => channels::run(command),
        Command::Policy(command) => policies::run(command),
    };
    done.unwrap_or_else(|error| {
        // Whoever reads the output has read enough.
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        let text = format!("portcullis: {error:#}");
        text.lines().for_each(|line| eprintln!("{}", harmless(line)));
        ExitCode::FAILURE
    })
}
