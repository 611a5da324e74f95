//! `portcullis policy`: the list from the command line. A gateway that runs on the same machine notices within a second or two.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use portcullis_core::backtest::{Affected, BacktestReport, EndingChange};
use portcullis_core::policies::{
    BacktestOf, CheckedDraft, PolicyDesk as _, PolicyError, PolicyProblem, fail_name, mode_name,
};
use portcullis_core::revision::{ListedPolicy, PolicyChange, PolicyStore as _, Revision};
use serde::Deserialize;

use super::{Book, cases, listed, moment};
use crate::accounts::{Where, person};
use crate::config::{self, Loaded};
use crate::out::say;
use crate::{assemble, events, system};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the list in force.
    List(Where),
    /// Print the revisions, the newest first.
    Revisions(Where),
    /// Save the `[[policy]]` sections of a file as the draft, and say what is wrong with it.
    Draft {
        #[command(flatten)]
        place: Where,
        /// A file with `[[policy]]` sections as in the configuration; what else is in it does not matter.
        file: PathBuf,
        /// Also in place of a draft that somebody else has saved.
        #[arg(long)]
        replace: bool,
    },
    /// Print what would be different if the draft were in force.
    Diff(Where),
    /// Put the draft into force.
    Apply {
        #[command(flatten)]
        place: Where,
        /// Why, for the list of revisions.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Drop the draft.
    Drop(Where),
    /// Put the list of an older revision into force again, as a new revision.
    Revert {
        #[command(flatten)]
        place: Where,
        /// Number of the revision.
        revision: u64,
    },
    /// Run recorded accesses through a list of policies, and say what would have been different. Asks nobody, changes nothing.
    Backtest(Backtest),
    /// Put the cases of files to a signed component, and say which it decides in another way than they expect.
    Test(cases::Arguments),
}

#[derive(Args)]
pub(crate) struct Backtest {
    #[command(flatten)]
    place: Where,
    /// Accesses of so many days; as [backtest] in the configuration says unless given.
    #[arg(long)]
    days: Option<u32>,
    /// The draft; this is also what is taken unless anything is given.
    #[arg(long, conflicts_with_all = ["revision", "file"])]
    draft: bool,
    /// The list of this revision.
    #[arg(long, value_name = "NUMBER", conflicts_with = "file")]
    revision: Option<u64>,
    /// The `[[policy]]` sections of this file.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Threads; half of the cores unless given here or in the configuration.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Print the whole report as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    system::block_on(async {
        match command {
            Command::List(place) => list(&place.config).await,
            Command::Revisions(place) => revisions(&place.config).await,
            Command::Draft { place, file, replace } => draft(&place.config, &file, replace).await,
            Command::Diff(place) => diff(&place.config).await,
            Command::Apply { place, comment } => {
                let book = open(&place.config).await?;
                let (version, _) = book.store.draft().await?;
                applied(&book.apply(&person(), version, &comment).await?)
            }
            Command::Drop(place) => {
                let book = open(&place.config).await?;
                let (version, _) = book.store.draft().await?;
                book.drop_draft(&person(), version).await?;
                say("the draft is gone")?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Revert { place, revision } => {
                applied(&open(&place.config).await?.revert(&person(), revision).await?)
            }
            Command::Backtest(arguments) => backtest(&arguments).await,
            Command::Test(arguments) => cases::run(&arguments),
        }
    })
}

/// The book of a configuration, without a gateway.
async fn open(config: &Path) -> Result<Book> {
    let store = events::open(config).await?;
    let loaded = Loaded::read(config)?;
    Ok(Book::new(store, loaded.config, None, None))
}

/// Says that there is a new revision.
pub(crate) fn applied(revision: &Revision) -> Result<ExitCode> {
    say(format_args!(
        "revision {} is stored; a gateway that runs puts it into force at once, or its log and Activity say why not",
        revision.number
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Path) -> Result<ExitCode> {
    let book = open(config).await?;
    let revision = book.newest().await.map_err(not_run_yet)?;
    say(heading(&revision))?;
    for policy in &revision.policies {
        let canary = policy.canary_of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
        let (mode, fail) = (mode_name(policy.mode), fail_name(policy.fail));
        say(format_args!("{} ({}): {mode}{canary}, fail {fail}", policy.name, policy.plugin))?;
    }
    if let (_, Some(draft)) = book.store.draft().await? {
        let at = moment(draft.saved.at);
        say(format_args!(
            "there is a draft, saved by {} at {at}; `portcullis policy diff` shows it",
            draft.saved.actor
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn heading(revision: &Revision) -> String {
    let comment = if revision.comment.is_empty() { String::new() } else { format!(": {}", revision.comment) };
    format!("revision {} of {}, by {}{comment}", revision.number, moment(revision.at), revision.actor)
}

fn not_run_yet(error: PolicyError) -> anyhow::Error {
    match error {
        PolicyError::NoRevision(0) => {
            anyhow::anyhow!("there is no revision yet; the gateway makes the first at its start")
        }
        other => other.into(),
    }
}

async fn revisions(config: &Path) -> Result<ExitCode> {
    let store = events::open(config).await?;
    let mut before = None;
    loop {
        let page = store.revisions(before, 100).await?;
        for revision in &page {
            say(heading(revision))?;
        }
        match page.last() {
            Some(last) => before = Some(last.number),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// A file with policies, whatever else it has.
#[derive(Deserialize)]
struct Policies {
    #[serde(default, rename = "policy")]
    policies: Vec<config::Policy>,
}

fn policies_of(file: &Path) -> Result<Vec<ListedPolicy>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let found: Policies = config::parse(file, &text)?;
    listed(&found.policies)
        .map_err(|problem| anyhow::anyhow!("{}: {}: {}", file.display(), problem.path.join("."), problem.message))
}

async fn draft(config: &Path, file: &Path, replace: bool) -> Result<ExitCode> {
    let policies = policies_of(file)?;
    let (book, person) = (open(config).await?, person());
    let (version, before) = book.store.draft().await?;
    if let Some(draft) = before.filter(|draft| draft.saved.actor != person && !replace) {
        let (who, at) = (draft.saved.actor, moment(draft.saved.at));
        bail!(
            "{who} has saved a draft at {at}: look at it with `portcullis policy diff`, and replace it with --replace"
        );
    }
    let checked = book.save(&person, version, None, policies).await.map_err(not_run_yet)?;
    say(format_args!("draft {} is saved", checked.draft.version))?;
    tell(&checked)
}

async fn diff(config: &Path) -> Result<ExitCode> {
    let book = open(config).await?;
    match book.draft().await?.1 {
        None => {
            say("there is no draft")?;
            Ok(ExitCode::SUCCESS)
        }
        Some(checked) => tell(&checked),
    }
}

/// What is different and what is wrong. Fails where something is wrong.
fn tell(checked: &CheckedDraft) -> Result<ExitCode> {
    if checked.difference.is_empty() {
        say("no difference from what is in force")?;
    }
    for line in checked.difference.iter().flat_map(lines) {
        say(line)?;
    }
    for PolicyProblem { policy, field, message, .. } in &checked.problems {
        say(format_args!("problem: policy {policy}: {field}: {message}"))?;
    }
    Ok(if checked.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lines(change: &PolicyChange) -> impl Iterator<Item = String> {
    change.changes.iter().map(|one| format!("policy {}: {one}", change.policy))
}

async fn backtest(arguments: &Backtest) -> Result<ExitCode> {
    let path = &arguments.place.config;
    let loaded = Loaded::read(path)?;
    let upstreams = assemble::upstreams(&loaded.config).map_err(|problem| loaded.problems(vec![problem]))?;
    let lookup = assemble::lookup(&loaded.config, upstreams).map_err(|problem| loaded.problems(vec![problem]))?;
    let store = events::open(path).await?;
    let book = Book::new(store, loaded.config, None, Some(Arc::new(lookup)));
    let list = match (&arguments.file, arguments.revision) {
        (Some(file), _) => policies_of(file)?,
        (None, Some(number)) if !arguments.draft => book.list_of(BacktestOf::Revision(number)).await?,
        (None, _) => book.list_of(BacktestOf::Draft).await?,
    };
    let report = book.test(list, arguments.days, arguments.threads).await?;
    if arguments.json {
        say(serde_json::to_string(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &BacktestReport) -> Result<()> {
    say(format_args!(
        "{} accesses since {} read in {} ms ({} in a second): {} evaluated, {} without a decision, {} could not be evaluated",
        report.read,
        moment(report.since),
        report.elapsed_ms,
        report.accesses_per_second,
        report.evaluated,
        report.not_decided,
        report.not_evaluated
    ))?;
    if report.truncated {
        say("there were more: the latest were taken, as many as most-events in [backtest] allows")?;
    }
    say(format_args!("touched by a policy: {} ({} %)", report.touched, report.touched_percent))?;
    say(format_args!(
        "questions: {} more, {} fewer; incidents: {} raised, {} resolved; out of groups: {} times; channels told: {} times",
        report.pushes,
        report.pushes_spared,
        report.incidents_raised,
        report.incidents_resolved,
        report.demotions,
        report.notices
    ))?;
    for tally in &report.policies {
        let verdicts: Vec<_> = tally.verdicts.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
        let faults = match &tally.first_fault {
            None => String::new(),
            Some(first) => format!("; {} faults, the first: {first}", tally.faults),
        };
        say(format_args!("policy {} ({}): {}{faults}", tally.policy, mode_name(tally.mode), verdicts.join(", ")))?;
    }
    say(format_args!("would end in another way: {}", report.changed))?;
    for change in &report.changes {
        say(format_args!("  {}", words(change)))?;
    }
    for (kind, rows) in [("account", &report.accounts), ("application", &report.applications)] {
        for Affected { name, evaluated, changed, pushes, changes, .. } in rows {
            let changes: Vec<_> = changes.iter().map(words).collect();
            say(format_args!("{kind} {name}: {changed} of {evaluated}, {pushes} questions; {}", changes.join(", ")))?;
        }
    }
    let listed = u64::try_from(report.accounts.len()).unwrap_or(u64::MAX);
    if report.accounts_affected > listed {
        say(format_args!("and {} accounts more", report.accounts_affected - listed))?;
    }
    for note in &report.notes {
        say(format_args!("note: {note}"))?;
    }
    Ok(())
}

/// "allow → block 12 (for instance 019…)".
fn words(change: &EndingChange) -> String {
    let example = change.examples.first().map(|id| format!(" (for instance {id})")).unwrap_or_default();
    format!("{} → {} {}{example}", change.from.as_str(), change.to.as_str(), change.count)
}
