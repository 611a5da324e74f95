//! `portcullis demotions`: who was taken out of which group, and putting accounts back.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use portcullis_core::demotion::{Demotion, DemotionState, DemotionStore as _};
use portcullis_core::{Clock as _, Timestamp};

use crate::accounts::{Listed, Numbered, person};
use crate::events;
use crate::out::say;
use crate::system::{self, System};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print demotions, the newest first.
    List(Listed),
    /// Put an account back into its group. The running gateway does it within some seconds; its log and `list` say how it went.
    Restore(Numbered),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    system::block_on(async {
        match command {
            Command::List(Listed { place, limit }) => {
                let store = events::open(&place.config).await?;
                let found = store.demotions(None, limit).await?;
                store.close().await;
                let now = System.now();
                for demotion in &found {
                    say(line(demotion, now))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Restore(Numbered { place, number }) => {
                let (at, person) = (System.now(), person());
                let detail = format!("Demotion {number} is to be undone.");
                let event = events::administration(at, &person, "restoration-wanted", detail);
                let store = events::open(&place.config).await?;
                let done = store.restore_demotion(number, &person, at, event).await;
                store.close().await;
                if !done? {
                    bail!(
                        "demotion {number} is none that could be undone; `portcullis demotions list` prints them all"
                    );
                }
                say(format_args!("demotion {number} will be undone"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

fn line(demotion: &Demotion, now: Timestamp) -> String {
    let Demotion { number, wanted, state, membership, restore_at, .. } = demotion;
    let group = membership.as_ref().map_or(&wanted.group, |place| &place.group);
    let state = match (state, restore_at) {
        (DemotionState::Wanted, _) => "wanted".to_owned(),
        (DemotionState::Leaving, _) => "being taken out".to_owned(),
        (DemotionState::Demoted, Some(at)) => format!("out, to be put back in {} s", at.since(now).as_secs()),
        (DemotionState::Demoted, None) => "out, until a person puts it back".to_owned(),
        (DemotionState::Restored, _) => "put back".to_owned(),
        (DemotionState::Failed, _) => "not taken out".to_owned(),
    };
    let note = if demotion.note.is_empty() { String::new() } else { format!(" ({})", demotion.note) };
    format!(
        "{number} {} [{}] {group}: {state}{note}; policy {}, event {}",
        wanted.login, wanted.account, wanted.policy, wanted.event
    )
}
