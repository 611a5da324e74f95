//! `portcullis-demo`, which `cargo xtask demo` runs: a gateway to try out, with the sample directory behind it and the
//! Okta simulator beside it. Everything is on loopback addresses and in one temporary folder.
//!
//! - without arguments it says what runs where, and runs until it is interrupted;
//! - `--story` plays what the gateway is for, checks each step, and ends;
//! - `bind` is an LDAP client that chooses its machine, to play other machines with.

mod bind;
mod config;
mod html;
mod http;
mod interactive;
mod machines;
mod print;
mod story;
mod summary;
mod waiting;
mod world;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use self::print::Page;
use self::world::{Programs, World};

/// What shells report for a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;
/// Of the gateway's log, so many lines are shown when something goes wrong.
const LAST_LINES: usize = 20;

#[derive(Parser)]
#[command(name = "portcullis-demo", about = "A Portcullis gateway to try out, on this machine only")]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Play the story from beginning to end, check every step, and exit.
    #[arg(long)]
    story: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Bind at the running demo's gateway from a machine of your choice.
    Bind(bind::Arguments),
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What the servers of the demo complain about.
    let _ = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(std::io::stderr).try_init();
    let page = Page::new();
    let done = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments, &page)),
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        page.failed(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

async fn run(arguments: Arguments, page: &Page) -> anyhow::Result<ExitCode> {
    if let Some(Command::Bind(arguments)) = arguments.command {
        return bind::run(arguments, page).await;
    }
    let programs = Programs::from_environment()?;
    let mut end = EndSignals::listen()?;
    page.title("Portcullis demo");
    page.text("Starting a sample company, an Okta and a gateway; the first start compiles plugins …");
    let starting = World::start(programs);
    let mut world = tokio::select! {
        world = starting => world?,
        () = end.arrived() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let played = if arguments.story {
        tokio::select! {
            played = story::play(&mut world, page) => played.map(|()| ExitCode::SUCCESS),
            () = end.arrived() => Ok(ExitCode::from(INTERRUPTED)),
        }
    } else {
        interactive::run(&mut world, page, &mut end).await.map(|()| ExitCode::SUCCESS)
    };
    if played.is_err() {
        page.heading("The gateway's last words");
        page.quoted(&last_lines(&world));
    }
    let ended = world.end().await.context("the demo did not end as it should");
    let code = played?;
    ended?;
    Ok(code)
}

fn last_lines(world: &World) -> Vec<String> {
    let lines = world.log();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().to_vec()
}

/// What a person or the system ends a program with.
struct EndSignals([Signal; 3]);

impl EndSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn arrived(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
