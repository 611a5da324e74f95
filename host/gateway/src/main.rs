//! `portcullis`: the gateway and its command line.

mod assemble;
mod broken;
mod certificates;
mod check;
mod cli;
mod config;
mod events;
mod manager;
mod metrics;
mod out;
mod plugin;
mod plugins;
mod run;
mod sockets;
mod system;

/// An event, a decision and an answer are some dozen small pieces of memory each, taken on one thread and given back on
/// another. The C library's allocator spent an eighth of a bind on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
