//! Backtests of drafts and revisions, one at a time.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use portcullis_core::Clock as _;
use portcullis_core::Timestamp;
use portcullis_core::backtest::{AccessLog, BacktestReport};
use portcullis_core::policies::{BacktestOf, BacktestState, PolicyError};
use portcullis_core::revision::{ListedPolicy, PolicyStore as _};
use portcullis_guard::{BacktestOptions, BacktestProgress, PolicyEntry, backtest};
use tracing::{info, warn};

use super::Book;
use crate::config::Config;
use crate::system::System;

/// The one that is under way, and the last one.
#[derive(Default)]
pub(crate) struct Running {
    pub(super) state: BacktestState,
    pub(super) progress: Option<Arc<BacktestProgress>>,
}

/// Everything that a backtest needs.
pub(super) struct Prepared {
    entries: Vec<PolicyEntry>,
    options: BacktestOptions,
}

impl Book {
    /// Begins a backtest in the background.
    pub(super) async fn start(&self, of: BacktestOf, days: u32) -> Result<(), PolicyError> {
        let list = self.list_of(of).await?;
        let prepared = self.prepare(list, days, None).await?;
        let progress = self.begin(name(of))?;
        let (log, directory) = (self.log(), self.directory()?);
        let running = Arc::clone(&self.running);
        tokio::spawn(async move {
            let Prepared { entries, options } = prepared;
            let ended = backtest(log, directory, entries, &options, progress).await;
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            running.progress = None;
            running.state.running = false;
            match ended {
                Ok(report) => {
                    info!(read = report.read, changed = report.changed, "a backtest has ended");
                    running.state.report = Some(report);
                }
                Err(error) => {
                    warn!(%error, "a backtest failed");
                    running.state.error = Some(error.to_string());
                }
            }
        });
        Ok(())
    }

    /// Runs a backtest of a list and waits for it.
    pub(super) async fn test(
        &self,
        list: Vec<ListedPolicy>,
        days: Option<u32>,
        threads: Option<NonZeroUsize>,
    ) -> Result<BacktestReport, PolicyError> {
        let Prepared { entries, options } = self.prepare(list, days.unwrap_or(0), threads).await?;
        let progress = Arc::new(BacktestProgress::default());
        Ok(backtest(self.log(), self.directory()?, entries, &options, progress).await?)
    }

    /// The list of a draft or of a revision.
    pub(super) async fn list_of(&self, of: BacktestOf) -> Result<Vec<ListedPolicy>, PolicyError> {
        match of {
            BacktestOf::Draft => Ok(self.store.draft().await?.1.ok_or(PolicyError::NoDraft)?.policies),
            BacktestOf::Revision(number) => {
                Ok(self.store.revision(number).await?.ok_or(PolicyError::NoRevision(number))?.policies)
            }
        }
    }

    /// Loads the list, in instances of its own: those of decisions are left alone.
    async fn prepare(
        &self,
        list: Vec<ListedPolicy>,
        days: u32,
        threads: Option<NonZeroUsize>,
    ) -> Result<Prepared, PolicyError> {
        let mut state = self.lock().await;
        let loaded = self.load(&mut state, list).await?;
        drop(state);
        let problems = loaded.all_problems();
        if !problems.is_empty() {
            return Err(PolicyError::Problems(problems));
        }
        Ok(Prepared { entries: loaded.entries, options: options(&self.config().await, days, threads) })
    }

    fn begin(&self, of: String) -> Result<Arc<BacktestProgress>, PolicyError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.state.running {
            return Err(PolicyError::Busy);
        }
        let progress = Arc::new(BacktestProgress::default());
        let state = BacktestState { running: true, of, ..BacktestState::default() };
        *running = Running { state, progress: Some(Arc::clone(&progress)) };
        Ok(progress)
    }

    fn log(&self) -> Arc<dyn AccessLog> {
        Arc::new(self.store.clone())
    }

    fn directory(&self) -> Result<Arc<dyn portcullis_core::directory::Directory>, PolicyError> {
        self.directory.clone().ok_or_else(|| PolicyError::Failed("there is no directory to ask".to_owned()))
    }
}

/// What it is of, in words.
fn name(of: BacktestOf) -> String {
    match of {
        BacktestOf::Draft => "the draft".to_owned(),
        BacktestOf::Revision(number) => format!("revision {number}"),
    }
}

fn options(config: &Config, days: u32, threads: Option<NonZeroUsize>) -> BacktestOptions {
    let settings = &config.backtest;
    let days = if days == 0 { settings.days } else { days };
    let ago = Duration::from_secs(u64::from(days) * 86_400);
    let since = System.now().0.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
    BacktestOptions {
        since: Timestamp(since),
        days,
        most: settings.most_events,
        threads: threads.or(settings.threads).map_or_else(half_of_the_cores, NonZeroUsize::get),
        examples: settings.examples,
        accounts_without_entry: config.directory.accounts_without_entry.clone(),
    }
}

/// The other half is for decisions.
fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}
