//! `portcullis policy test`: cases written as tables, put to a component in the sandbox in which the gateway runs it.
//!
//! The format does not know what language a policy is written in; `docs/plugins.md` describes it.

mod scene;
mod words;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use portcullis_core::plugin::Policy as _;
use portcullis_core::policy::{ChallengeOutcome, Evidence};
use portcullis_core::{Access, AccountFacts, OperationKind};
use portcullis_engine::{Engine, EngineError, LoadedPolicy, PolicyLimits, PolicySpec, Problem};
use serde::Deserialize;

use self::scene::{Known, Scene};
use crate::out::say;
use crate::{config, plugins};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Public key that has to have signed the component.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Component; its signature stands beside it.
    component: PathBuf,
    /// Also say how long one evaluation takes.
    #[arg(long)]
    time: bool,
    /// Files with cases.
    #[arg(required = true)]
    cases: Vec<PathBuf>,
}

/// A file with cases.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// What the file shows.
    about: String,
    /// Settings of all its cases.
    #[serde(default)]
    settings: toml::Table,
    /// What the policy says under these settings that it wants.
    needs: Option<Wishes>,
    #[serde(default)]
    case: Vec<Case>,
    #[serde(default)]
    mistake: Vec<Mistake>,
}

#[derive(Deserialize, PartialEq, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Wishes {
    operations: Vec<OperationKind>,
    connectors: Vec<String>,
    channels: Vec<String>,
    groups: Vec<String>,
}

/// An access and what the policy rules.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    access: Scene,
    #[serde(default)]
    facts: Known,
    /// Connector and outcome of each answered challenge.
    #[serde(default)]
    evidence: Vec<(String, ChallengeOutcome)>,
    verdict: String,
    #[serde(default)]
    effects: Vec<String>,
    /// Part of the reason.
    reason: Option<String>,
}

/// Settings that the policy does not take.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Mistake {
    name: String,
    settings: toml::Table,
    /// All that it says about them: the pointer to the setting, `: ` and a part of the message.
    problems: Vec<String>,
}

/// How many cases went how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// How long each of many evaluations took, where that is asked for.
    times: Option<Vec<Duration>>,
}

/// So often is each case evaluated to see how long it takes.
const TIMED: usize = 500;

/// The component under test.
struct Subject {
    engine: Engine,
    file: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let component = &arguments.component;
    // Each file loads the component again, with settings of its own; it is compiled once.
    let compiled = tempfile::tempdir().context("there is no room for the compiled component")?;
    let engine = plugins::engine_of(plugins::folder_of(component), arguments.key.clone(), Some(compiled.path()))?;
    let file = component.file_name().and_then(|name| name.to_str()).context("the component has no name")?;
    let subject = Subject { engine, file: file.to_owned() };
    let mut tally = Tally { times: arguments.time.then(Vec::new), ..Tally::default() };
    for path in &arguments.cases {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let cases: File = config::parse(path, &text)?;
        if cases.about.trim().is_empty() || (cases.case.is_empty() && cases.mistake.is_empty()) {
            bail!("{} needs a text `about`, and a `case` or a `mistake` at least", path.display());
        }
        tally.file(path, &subject, &cases)?;
    }
    if let Some(times) = &mut tally.times {
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        say(format_args!("one evaluation takes {middle:.1?} (the median of {}, in a warm instance)", times.len()))?;
    }
    say(format_args!("{} passed, {} failed", tally.passed, tally.failed))?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tally {
    fn file(&mut self, path: &Path, subject: &Subject, cases: &File) -> Result<()> {
        if !cases.case.is_empty() || cases.needs.is_some() {
            let policy = subject.load(&cases.settings).with_context(|| path.display().to_string())?;
            if let Some(needs) = &cases.needs {
                self.count(path, "needs", needs.difference(&policy))?;
            }
            for case in &cases.case {
                self.count(path, &case.name, case.difference(&policy))?;
                if let Some(times) = &mut self.times {
                    case.time(&policy, times);
                }
            }
        }
        for mistake in &cases.mistake {
            self.count(path, &mistake.name, mistake.difference(subject)?)?;
        }
        Ok(())
    }

    fn count(&mut self, path: &Path, name: &str, difference: Option<String>) -> Result<()> {
        match difference {
            None => self.passed = self.passed.saturating_add(1),
            Some(difference) => {
                self.failed = self.failed.saturating_add(1);
                say(format_args!("{}, {name}: {difference}", path.display()))?;
            }
        }
        Ok(())
    }
}

impl Subject {
    fn load(&self, settings: &toml::Table) -> Result<LoadedPolicy, EngineError> {
        let settings = plugins::settings_as_json(settings).map_err(EngineError::Setup)?;
        let (name, limits) = ("under-test".to_owned(), PolicyLimits::default());
        self.engine.load_policy(PolicySpec { name, file: self.file.clone(), settings, limits })
    }
}

impl Wishes {
    fn difference(&self, policy: &LoadedPolicy) -> Option<String> {
        let needs = policy.needs();
        let found = Self {
            operations: needs.operations.clone(),
            connectors: needs.connectors.iter().map(|name| name.as_str().to_owned()).collect(),
            channels: needs.channels.clone(),
            groups: needs.groups.clone(),
        };
        (found != *self).then(|| format!("it wants {found}, and not {self}"))
    }
}

impl Display for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, connectors, channels, groups } = self;
        write!(f, "operations {operations:?}, connectors {connectors:?}, channels {channels:?}, groups {groups:?}")
    }
}

impl Case {
    fn difference(&self, policy: &LoadedPolicy) -> Option<String> {
        let (access, facts, evidence) = self.put();
        let ruling = match policy.evaluate(&access, &facts, &evidence) {
            Ok(ruling) => ruling,
            Err(fault) => return Some(format!("it could not be evaluated: {fault}")),
        };
        let (verdict, effects) = (words::verdict(&ruling.verdict), words::effects(&ruling.effects));
        if verdict != self.verdict || !words::are_same(&effects, &self.effects) {
            let (wanted, expected) = (&self.verdict, &self.effects);
            return Some(format!("{verdict} {effects:?}, and not {wanted} {expected:?}; it says: {}", ruling.reason));
        }
        match &self.reason {
            Some(reason) if !ruling.reason.contains(reason.as_str()) => {
                Some(format!("the reason is `{}`, without `{reason}`", ruling.reason))
            }
            _ => None,
        }
    }
}

impl Case {
    /// What the policy is asked.
    fn put(&self) -> (Access, Arc<AccountFacts>, Vec<Evidence>) {
        let access = self.access.access();
        let answer = |(connector, outcome): &(String, ChallengeOutcome)| scene::answer(connector, *outcome, access.at);
        let evidence = self.evidence.iter().map(answer).collect();
        (access, Arc::new(self.facts.facts()), evidence)
    }

    fn time(&self, policy: &LoadedPolicy, times: &mut Vec<Duration>) {
        let (access, facts, evidence) = self.put();
        for _ in 0..TIMED {
            let begun = Instant::now();
            // What it rules was looked at before.
            let _ = policy.evaluate(&access, &facts, &evidence);
            times.push(begun.elapsed());
        }
    }
}

impl Mistake {
    fn difference(&self, subject: &Subject) -> Result<Option<String>> {
        let found = match subject.load(&self.settings) {
            Ok(_) => return Ok(Some("the settings are taken".to_owned())),
            Err(EngineError::Settings { problems, .. }) => problems,
            Err(other) => return Err(other.into()),
        };
        // In whatever order they are told.
        let mut left: Vec<_> = found.iter().collect();
        let mut is_told = |expected: &String| {
            let (place, message) = expected.split_once(": ").unwrap_or(("", expected));
            let fits = |found: &&Problem| found.setting == place && found.message.contains(message);
            left.iter().position(fits).map(|index| left.swap_remove(index)).is_some()
        };
        if self.problems.iter().all(&mut is_told) && left.is_empty() {
            return Ok(None);
        }
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        Ok(Some(format!("the problems are {found:#?}, and not {:#?}", self.problems)))
    }
}
