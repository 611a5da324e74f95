//! Backtests: recorded accesses through a list of policies, by the same components in the same sandbox.
//!
//! Policies see no clock and no memory of their own, so what they would have said can be asked at any later time. An access goes in
//! as it was recorded, with its signals and its risk; what the directory says of its account is what it says today. Nothing
//! is stored and nobody is asked.
//!
//! Pages of the log are taken by several threads, each with a reader of its own. What comes out does not depend on who
//! took which, because no evaluation knows of another.

mod facts;
mod findings;
mod judge;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use portcullis_core::Timestamp;
use portcullis_core::backtest::{AccessLog, BacktestReport, RecordedAccess};
use portcullis_core::directory::Directory;
use portcullis_core::event::Decision;
use portcullis_core::store::{Sequence, StoreError};
use tokio::runtime::Handle;

use crate::{PolicyEntry, word};
use facts::{Facts, Known};
use findings::Findings;

/// Events that a thread takes at once.
const PAGE: u64 = 1_000;
/// Threads at most.
const MOST_THREADS: usize = 64;

/// What a backtest is to be of.
#[derive(Debug, Clone)]
pub struct BacktestOptions {
    /// Accesses from this moment on.
    pub since: Timestamp,
    /// How many days that are, for the report.
    pub days: u32,
    /// Events that are looked at, at most: the latest.
    pub most: u64,
    /// How many threads do it.
    pub threads: usize,
    /// Examples of each kind of change, at most.
    pub examples: usize,
    /// As in [`crate::Options`].
    pub accounts_without_entry: Vec<String>,
}

/// How far a backtest is, for whoever watches it and may end it.
#[derive(Debug, Default)]
pub struct BacktestProgress {
    /// Events that were looked at.
    pub done: AtomicU64,
    /// Events that there are.
    pub total: AtomicU64,
    /// Set to end it early.
    pub cancelled: AtomicBool,
}

/// What all threads share.
struct Work {
    log: Arc<dyn AccessLog>,
    policies: Vec<PolicyEntry>,
    facts: Facts,
    examples: usize,
    /// The first page that nobody has taken.
    next: AtomicU64,
    first: u64,
    last: u64,
    progress: Arc<BacktestProgress>,
}

/// Runs the accesses through the policies. Has to be called inside a tokio runtime, which the look-ups need; the work is done by
/// threads of its own.
///
/// # Errors
/// The store cannot be read.
pub async fn backtest(
    log: Arc<dyn AccessLog>,
    directory: Arc<dyn Directory>,
    policies: Vec<PolicyEntry>,
    options: &BacktestOptions,
    progress: Arc<BacktestProgress>,
) -> Result<BacktestReport, StoreError> {
    let begun = Instant::now();
    let (reading, since) = (Arc::clone(&log), options.since);
    let extent = tokio::task::spawn_blocking(move || reading.extent(since));
    let (Sequence(before), Sequence(last)) = joined(extent.await)?;
    let first = before.max(last.saturating_sub(options.most));
    progress.total.store(last.saturating_sub(first), Ordering::Relaxed);
    let work = Arc::new(Work {
        log,
        policies: word::in_order(policies),
        facts: Facts::new(directory, Handle::current(), options.accounts_without_entry.clone()),
        examples: options.examples,
        next: AtomicU64::new(0),
        first,
        last,
        progress,
    });
    let threads = options.threads.clamp(1, MOST_THREADS);
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let work = Arc::clone(&work);
            tokio::task::spawn_blocking(move || work.run())
        })
        .collect();
    let mut all = Findings::new(&work.policies);
    let mut failed = None;
    for thread in running {
        match joined(thread.await) {
            Ok(found) => all.add(found, work.examples),
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let mut report = all.report(&work.policies);
    report.since = options.since;
    report.days = options.days;
    report.truncated = first > before;
    report.cancelled = work.progress.cancelled.load(Ordering::Relaxed);
    report.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.accesses_per_second = per_second(report.read, begun);
    report.notes = work.notes();
    Ok(report)
}

fn joined<T>(ended: Result<Result<T, StoreError>, tokio::task::JoinError>) -> Result<T, StoreError> {
    ended.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a thread of the backtest ended: {error}"))))
}

fn per_second(count: u64, begun: Instant) -> u64 {
    (count as f64 / begun.elapsed().as_secs_f64().max(1e-6)) as u64
}

impl Work {
    /// Takes pages until there are no more.
    fn run(&self) -> Result<Findings, StoreError> {
        let mut reader = self.log.reader()?;
        let (mut found, mut known) = (Findings::new(&self.policies), Known::default());
        while !self.progress.cancelled.load(Ordering::Relaxed) {
            let page = self.next.fetch_add(1, Ordering::Relaxed);
            let after = self.first.saturating_add(page.saturating_mul(PAGE));
            if after >= self.last {
                break;
            }
            let through = after.saturating_add(PAGE).min(self.last);
            let accesses = reader.accesses(Sequence(after), Sequence(through)).inspect_err(|_| {
                // The others need not go on: there will be no report.
                self.progress.cancelled.store(true, Ordering::Relaxed);
            })?;
            for access in &accesses {
                self.one(access, &mut known, &mut found);
            }
            self.progress.done.fetch_add(through - after, Ordering::Relaxed);
        }
        Ok(found)
    }

    fn one(&self, recorded: &RecordedAccess, known: &mut Known, found: &mut Findings) {
        found.read += 1;
        let is_second_half = recorded.foreign.as_ref().is_some_and(|foreign| foreign.follows.is_some());
        if is_second_half || matches!(recorded.decision, Decision::Refused | Decision::Abandoned) {
            found.not_decided += 1;
            return;
        }
        let Some(facts) = self.facts.of(&recorded.access, known) else {
            found.not_evaluated += 1;
            return;
        };
        let judged = judge::judge(&self.policies, recorded, &facts);
        found.take(&self.policies, recorded, &judged, self.examples);
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "Accesses are as they were recorded, with the signals and the risk of that time; groups and attributes of \
             accounts are what the directory says today."
                .to_owned(),
            "Only what is on record can be evaluated: operations that were summed up are not."
                .to_owned(),
            "An answer counts where the same connector was asked about the same access. Any other question is counted and ends \
             that access; approvals that would be remembered, and the limit of questions in an hour, are not taken into \
             account, so that fewer people may be asked."
                .to_owned(),
        ];
        notes.extend(
            self.facts
                .trouble()
                .map(|error| format!("The directory could not be asked, so that accounts were left out: {error}")),
        );
        notes
    }
}
