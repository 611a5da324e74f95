//! `portcullis`: the gateway and its command line.

mod accounts;
mod assemble;
mod broken;
mod certificates;
mod channels;
mod check;
mod cli;
mod config;
mod demotions;
mod events;
mod exclusions;
mod fences;
mod manager;
mod metrics;
mod notify;
mod out;
mod plugin;
mod plugins;
mod policies;
mod reload;
mod run;
mod sockets;
mod statuses;
mod system;

fn main() -> std::process::ExitCode {
    cli::main()
}
