//! `portcullis events export`: the log, or a part of it, as text.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use portcullis_core::Timestamp;
use portcullis_core::event::Event;
use portcullis_core::history::HistoryStore as _;
use portcullis_core::profile::ProfileStore as _;
use portcullis_core::store::Sequence;
use portcullis_store::Store;

use super::line;

/// Events that are read at a time.
const PAGE: u32 = 512;

#[derive(Args)]
pub(crate) struct Export {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    config: PathBuf,
    /// Only what happened at or after this moment, e.g. 2026-11-20T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Only what happened before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
    /// Only events of this kind; may be given several times.
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// A new file, which only its owner can read; standard output unless given.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Kinds of events, by the `type` that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// What accounts did.
    Access,
    /// What administrators and the gateway did.
    Administration,
    /// Operations that were summed up.
    Summary,
    /// What was imported.
    Imported,
}

impl Kind {
    fn of(event: &Event) -> Self {
        match event {
            Event::Access(_) => Self::Access,
            Event::Administration(_) => Self::Administration,
            Event::Summary(_) => Self::Summary,
            Event::Imported(_) => Self::Imported,
        }
    }
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    line::moment(text).ok_or("is no moment as RFC 3339 writes it, with a zone")
}

impl Export {
    /// What was imported counts by when it happened.
    fn wants(&self, event: &Event) -> bool {
        let at = match event {
            Event::Imported(imported) => imported.event.at(),
            other => other.at(),
        };
        self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at < to)
            && (self.kind.is_empty() || self.kind.contains(&Kind::of(event)))
    }
}

pub(crate) async fn export(arguments: &Export) -> Result<ExitCode> {
    let store = super::open(&arguments.config).await?;
    let done = match &arguments.output {
        None => write(arguments, &store, BufWriter::new(io::stdout().lock())).await,
        Some(path) => to_file(arguments, &store, path).await,
    };
    store.close().await;
    done?;
    Ok(ExitCode::SUCCESS)
}

async fn to_file(arguments: &Export, store: &Store, path: &Path) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("{} cannot be made; what is there is not replaced", path.display()))?;
    write(arguments, store, BufWriter::new(&file)).await?;
    file.sync_all().with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes what is there now; what comes meanwhile is left to the next time.
async fn write(arguments: &Export, store: &Store, mut to: impl Write) -> Result<()> {
    let last = store.last_sequence().await?;
    let mut after = Sequence(0);
    while after < last {
        let page = store.log_after(after, PAGE).await?;
        let Some(end) = page.last().map(|stored| stored.sequence) else { break };
        after = end;
        for stored in page.iter().filter(|stored| stored.sequence <= last && arguments.wants(&stored.event)) {
            serde_json::to_writer(&mut to, &stored.event).map_err(io::Error::from)?;
            to.write_all(b"\n")?;
        }
    }
    Ok(to.flush()?)
}
