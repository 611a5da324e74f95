//! `portcullis exclusions`: what people do not want to be told of detections, and taking that back.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use portcullis_core::exclusion::{Exclusion, ExclusionState, ExclusionStore as _};
use portcullis_core::{Clock as _, Timestamp};

use crate::accounts::{Listed, Numbered, person};
use crate::events;
use crate::out::say;
use crate::system::{self, System};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the exclusions that people have made, the newest first.
    List(Listed),
    /// Undo an exclusion. The running gateway tells of it again within some seconds.
    Remove(Numbered),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    system::block_on(async {
        match command {
            Command::List(Listed { place, limit }) => {
                let store = events::open(&place.config).await?;
                let found = store.exclusions(None, limit).await?;
                store.close().await;
                let now = System.now();
                for exclusion in &found {
                    say(line(exclusion, now))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Remove(Numbered { place, number }) => {
                let (at, person) = (System.now(), person());
                let detail = format!("Exclusion {number} was undone.");
                let event = events::administration(at, &person, "exclusion-undone", detail);
                let store = events::open(&place.config).await?;
                let done = store.undo_exclusion(number, &person, event).await;
                store.close().await;
                if !done? {
                    bail!(
                        "exclusion {number} is none that could be undone; `portcullis exclusions list` prints them all"
                    );
                }
                say(format_args!("exclusion {number} is undone"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

fn line(exclusion: &Exclusion, now: Timestamp) -> String {
    let Exclusion { number, scope, reason, person, undone, .. } = exclusion;
    let state = match (exclusion.state(now), scope.until, undone) {
        (ExclusionState::Undone, _, Some((_, who))) => format!("undone by {who}"),
        (ExclusionState::Undone, ..) => "undone".to_owned(),
        (ExclusionState::Expired, ..) => "expired".to_owned(),
        (ExclusionState::InForce, Some(until), _) => format!("in force for {} s", until.since(now).as_secs()),
        (ExclusionState::InForce, None, _) => "in force".to_owned(),
    };
    let reason: Vec<_> = reason.split_whitespace().collect();
    format!("{number} {scope}: {state}; by {person}: {}", reason.join(" "))
}
