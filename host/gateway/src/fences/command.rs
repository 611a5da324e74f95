//! `portcullis accounts fence`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use portcullis_core::fence::{self, Acceptance, FenceDesk as _, FenceProposal, Known, Part, WeekHours};
use portcullis_core::policies::mode_name;
use portcullis_core::policy::Mode;
use portcullis_core::{AccountId, Timestamp};
use serde_json::{Value, json};

use super::{FenceBook, rule};
use crate::accounts::{Where, find, person};
use crate::config::Loaded;
use crate::events;
use crate::out::{say, say_lines};
use crate::policies::{Book, applied, moment};

#[derive(Args)]
pub(crate) struct Fence {
    #[command(flatten)]
    place: Where,
    /// The account: its login or id as the console's page shows them, its DN, or a name that it binds with.
    login: String,
    /// Put the rule into the list of policies, in place of the one that the account may have. It is a revision, which `portcullis
    /// policy revert` takes back.
    #[arg(long)]
    accept: bool,
    /// Whether the rule counts, or only says what it would have done.
    #[arg(long, default_value = "monitor")]
    mode: FenceMode,
}

/// What becomes of what is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FenceMode {
    /// It is recorded.
    Monitor,
    /// It is blocked.
    Enforce,
}

impl From<FenceMode> for Mode {
    fn from(mode: FenceMode) -> Self {
        match mode {
            FenceMode::Monitor => Self::Monitor,
            FenceMode::Enforce => Self::Enforce,
        }
    }
}

pub(crate) async fn run(wanted: &Fence) -> Result<ExitCode> {
    let config = &wanted.place.config;
    let store = events::open(config).await?;
    let loaded = Loaded::read(config)?;
    let book = Arc::new(Book::new(store.clone(), loaded.config.clone(), None, None));
    let fences = FenceBook::new(store, book, &loaded.config);
    let account = account(&fences, wanted).await?;
    let proposal = fences
        .fence(&account)
        .await
        .with_context(|| format!("{}: `portcullis accounts kind` says what an account is", wanted.login))?;
    match &proposal.fence {
        Err(why) => say(why)?,
        Ok(fence) => lines(fence).iter().try_for_each(say)?,
    }
    if let Some(known) = &proposal.accepted {
        let same = if known.is_same { "this one" } else { "another one than this" };
        say(format_args!("a fence is in force in the policy {} ({}): {same}", known.policy, mode_name(known.mode)))?;
    }
    let mode = Mode::from(wanted.mode);
    if let Some(rule) = &proposal.rule {
        say("")?;
        say_lines(as_toml(rule, mode)?.trim_end())?;
    }
    if !wanted.accept {
        return Ok(ExitCode::SUCCESS);
    }
    let acceptance = Acceptance { seal: Some(proposal.seal), revision: None, mode };
    applied(&fences.accept_fence(&person(), &account, acceptance).await?)
}

/// One of those that have a fence, by its login or id as they are listed; otherwise whom the directory finds.
async fn account(fences: &FenceBook, wanted: &Fence) -> Result<AccountId> {
    let login = wanted.login.as_str();
    let listed = fences.fences(u32::MAX).await?.proposals;
    let is_meant = |one: &FenceProposal| one.login.eq_ignore_ascii_case(login) || one.account.as_str() == login;
    let mut meant = listed.into_iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(only), None) => Ok(only.account),
        _ => Ok(find(&wanted.place.config, login).await?.account),
    }
}

/// The rule as the configuration file would have it.
fn as_toml(rule: &Value, mode: Mode) -> Result<String> {
    let policy = json!({
        "name": rule::policy_name(mode),
        "plugin": rule::COMPONENT,
        "mode": mode_name(mode),
        "settings": { "rules": [rule] },
    });
    Ok(toml::to_string(&json!({ "policy": [policy] }))?)
}

fn lines(found: &fence::Fence) -> Vec<String> {
    let mut lines = Vec::new();
    part(&mut lines, "machine", &found.machines, ToString::to_string);
    part(&mut lines, "application", &found.applications, Clone::clone);
    part(&mut lines, "hours", &found.hours, hours);
    part(&mut lines, "operation", &found.operations, |kind| json!(kind).as_str().unwrap_or_default().to_owned());
    part(&mut lines, "filter", &found.filters, Clone::clone);
    part(&mut lines, "place", &found.places, |place| {
        let dn = if place.dn.is_empty() { "the root entry" } else { &place.dn };
        if place.below { format!("{dn} and below") } else { dn.to_owned() }
    });
    lines
}

fn hours(hours: &WeekHours) -> String {
    let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let days: Vec<_> = hours.days.iter().filter_map(|day| names.get(usize::from(*day)).copied()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(" ") };
    format!("{days} {:02}:00 to {:02}:00 UTC", hours.from, hours.to)
}

fn part<T>(lines: &mut Vec<String>, name: &str, part: &Part<T>, word: impl Fn(&T) -> String) {
    let known =
        |known: &Known<T>| format!("{name} {}: {}", word(&known.what), seen(known.count, known.first, known.last));
    lines.extend(part.allowed.iter().map(&known));
    lines.extend(part.left_out.iter().map(|left| format!("{}; left out: {}", known(&left.known), left.why)));
    if let Some(why) = part.why_not.as_ref().filter(|_| part.left_out.is_empty()) {
        lines.push(format!("{name}: none is proposed: {why}"));
    }
}

/// "seen 412 times since 2026-11-02T09:00:00Z, last 2026-11-24T10:00:00Z".
fn seen(count: u64, first: Option<Timestamp>, last: Option<Timestamp>) -> String {
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let first = first.map_or_else(|| " of late".to_owned(), |at| format!(" since {}", moment(at)));
    let last = last.map(|at| format!(", last {}", moment(at))).unwrap_or_default();
    format!("seen {times}{first}{last}")
}
