//! `portcullis events`: the event log from the command line.

mod export;
mod import;
mod line;
mod lines;
mod part;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use portcullis_core::event::{AdministrationEvent, Event};
use portcullis_core::store::EventStore as _;
use portcullis_core::{Ids as _, Timestamp};
use portcullis_store::{Head, Store, StoreOptions};

use crate::config::Loaded;
use crate::out::say;
use crate::system::{self, System};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Find events that were changed, removed or added behind the gateway's back. Prints the head of the chain: kept
    /// elsewhere and given back with --head, it shows that the end was not cut off and the chain not made anew.
    Verify {
        /// Configuration file.
        #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
        config: PathBuf,
        /// A head that was printed earlier.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
    /// Print the newest events, the newest last, one JSON object a line; without those that were imported, which `export` has.
    List {
        /// Configuration file.
        #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
        config: PathBuf,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Write events, one JSON object a line, the oldest first.
    Export(export::Export),
    /// Learn from what happened before, or at another gateway: each line of a file becomes an event that is marked as imported.
    /// Decides nothing, asks nobody, opens no incidents. A line that is there already is passed over.
    Import(import::Import),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    system::block_on(async {
        match command {
            Command::Export(arguments) => export::export(&arguments).await,
            Command::Import(arguments) => import::import(&arguments).await,
            Command::Verify { config, head } => verify(&config, head.as_deref()).await,
            Command::List { config, limit } => list(&config, limit).await,
        }
    })
}

/// That somebody has done something, at that moment.
pub(crate) fn administration(at: Timestamp, actor: &str, action: &str, detail: String) -> Event {
    let id = System.event_id(at);
    Event::Administration(AdministrationEvent { id, at, actor: actor.to_owned(), action: action.to_owned(), detail })
}

/// Where the event store of a data folder is.
pub(crate) fn database(data_folder: &Path) -> PathBuf {
    data_folder.join("portcullis.db")
}

/// The event store of a configuration, which has to be there.
pub(crate) async fn open(config: &Path) -> Result<Store> {
    let loaded = Loaded::read(config)?;
    let path = database(&loaded.config.data_folder);
    if !path.is_file() {
        bail!("there is no event store at {}; has the gateway run with this configuration?", path.display());
    }
    Ok(Store::open(StoreOptions::new(path)).await?)
}

async fn verify(config: &Path, kept: Option<&str>) -> Result<ExitCode> {
    let kept: Option<Head> = kept
        .map(|text| text.parse().map_err(|error: &'static str| anyhow::anyhow!(error)))
        .transpose()
        .context("--head is not what `events verify` prints")?;
    let store = open(config).await?;
    let report = store.verify().await?;
    let kept_is_there = match &kept {
        Some(head) => store.still_holds(head).await?,
        None => true,
    };
    store.close().await;
    if let Some(damage) = report.damage {
        say(format_args!("damaged: {damage}"))?;
        return Ok(ExitCode::FAILURE);
    }
    if !kept_is_there {
        say("damaged: the chain does not hold the head that was kept; it was cut off or made anew")?;
        return Ok(ExitCode::FAILURE);
    }
    say(format_args!("intact: {} events in {} batches", report.events, report.batches))?;
    if let Some(head) = report.head {
        say(format_args!("head: {head}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Path, limit: u32) -> Result<ExitCode> {
    let store = open(config).await?;
    let events = store.recent(None, limit.min(10_000)).await?;
    store.close().await;
    for stored in events.iter().rev() {
        say(serde_json::to_string(&stored.event)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
