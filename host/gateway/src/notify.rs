//! `portcullis notify`: what a person runs on their own machine.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use portcullis_core::Secret;
use portcullis_notify::Options;

/// Where to listen, and what to do then.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The gateway's address for people, such as `https://portcullis.example.com`.
    #[arg(long, value_name = "URL")]
    gateway: String,
    /// Certificate authorities that are trusted besides the system's (PEM).
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The token that the administrator demands, where one is demanded.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Write a line for each sign-in instead of showing a notification and opening the page.
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let token = arguments.token_file.as_ref().map(|path| -> Result<Secret> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let text = Secret::new(text);
        ensure!(!text.reveal().trim().is_empty(), "{} is empty", path.display());
        Ok(Secret::new(text.reveal().trim()))
    });
    let Arguments { gateway, ca_file, print, .. } = arguments;
    let options = Options { gateway, ca_file, token: token.transpose()?, print };
    // It waits nearly always, on the machine of somebody who does other things with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let never: Infallible =
        runtime.block_on(portcullis_notify::listen(options, std::io::stdout(), std::io::stderr()))?;
    match never {}
}
