//! The list in force, and everything that is needed to put another one into its place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::Clock as _;
use portcullis_core::directory::Directory;
use portcullis_core::event::Event;
use portcullis_core::policies::{PolicyError, PolicyProblem, RefusedRevision};
use portcullis_core::revision::{ListedPolicy, NewRevision, PolicyStore as _, Revision};
use portcullis_core::store::{PluginStateStore, StoreError};
use portcullis_engine::Engine;
use portcullis_guard::Guard;
use portcullis_store::Store;
use tokio::sync::{Mutex as Lock, MutexGuard};
use tracing::{error, info, warn};

use super::backtest::Running;
use super::{LoadedList, in_force, load};
use crate::config::Config;
use crate::events::administration;
use crate::plugins;
use crate::run::note;
use crate::system::System;

/// How often the store is asked whether somebody else has made a revision.
const LOOK: Duration = Duration::from_secs(1);

/// Puts lists into force, one at a time.
pub(crate) struct Book {
    pub(super) store: Store,
    /// None on the command line, where nothing is in force but in the store.
    guard: Option<Arc<Guard>>,
    pub(super) directory: Option<Arc<dyn Directory>>,
    state: Lock<State>,
    shown: Mutex<Shown>,
    pub(super) running: Arc<Mutex<Running>>,
}

/// What has to be still so for a list to be put into force.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Basis {
    /// The revision in force that the list was made from; any where none is named.
    pub(crate) revision: Option<u64>,
    /// The version of the draft that becomes the revision.
    pub(crate) draft: Option<u64>,
}

/// What only one may change at a time.
pub(crate) struct State {
    /// By which connectors, plugin folder and keys lists are loaded.
    config: Config,
    /// Made when it is needed first.
    engine: Option<Engine>,
}

/// What there is to say of the revision in force.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Its number; zero on the command line, where the newest is what there is to show.
    pub(super) number: u64,
    /// What is wrong with it.
    pub(super) problems: Vec<PolicyProblem>,
    /// The newest revision, where the gateway has it and does not put it into force.
    pub(super) refused: Option<RefusedRevision>,
}

impl Book {
    pub(crate) fn new(
        store: Store,
        config: Config,
        guard: Option<Arc<Guard>>,
        directory: Option<Arc<dyn Directory>>,
    ) -> Self {
        let state = Lock::new(State { config, engine: None });
        Self { store, guard, directory, state, shown: Mutex::default(), running: Arc::default() }
    }

    /// Waits until nobody else is about to put anything into force.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }

    /// Takes note of what has been put into force, with which configuration.
    pub(crate) fn is_in_force(&self, state: &mut State, config: Config, number: u64, problems: Vec<PolicyProblem>) {
        // Folder and keys may be others now.
        *state = State { config, engine: None };
        self.show(Shown { number, problems, refused: None });
    }

    pub(super) fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, shown: Shown) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    pub(super) fn guard(&self) -> Option<&Arc<Guard>> {
        self.guard.as_ref()
    }

    /// Loads a list, which changes nothing.
    pub(super) async fn load(&self, state: &mut State, list: Vec<ListedPolicy>) -> Result<LoadedList, PolicyError> {
        let (config, engine, store) = (state.config.clone(), state.engine.clone(), self.store.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let keeper: Arc<dyn PluginStateStore> = Arc::new(store);
            let cache = config.data_folder.join("compiled");
            let engine = match engine {
                Some(engine) => engine,
                None => plugins::engine(&config, keeper, Some(&cache))?,
            };
            anyhow::Ok((load(list, &config, &engine), engine))
        });
        let loaded = loading.await.map_err(|error| PolicyError::Failed(format!("loading the policies: {error}")))?;
        let (loaded, engine) = loaded.map_err(|error| PolicyError::Failed(format!("{error:#}")))?;
        state.engine = Some(engine);
        Ok(loaded)
    }

    pub(super) async fn config(&self) -> Config {
        self.state.lock().await.config.clone()
    }

    /// The newest revision. A gateway that runs has one.
    pub(crate) async fn newest(&self) -> Result<Revision, PolicyError> {
        let number = self.store.newest_revision().await?;
        self.store.revision(number).await?.ok_or(PolicyError::NoRevision(number))
    }

    /// Makes a revision of a list and puts it into force. Where the list has problems, or somebody was faster, nothing changes.
    pub(crate) async fn put_into_force(
        &self,
        person: &str,
        comment: &str,
        list: Vec<ListedPolicy>,
        basis: Basis,
    ) -> Result<Revision, PolicyError> {
        let mut state = self.state.lock().await;
        let loaded = self.load(&mut state, list).await?;
        let problems = loaded.all_problems();
        if !problems.is_empty() {
            return Err(PolicyError::Problems(problems));
        }
        let newest = self.store.newest_revision().await?;
        if basis.revision.is_some_and(|revision| revision != newest) {
            return Err(PolicyError::Conflict);
        }
        let revision = Revision {
            number: newest.saturating_add(1),
            at: System.now(),
            actor: person.to_owned(),
            comment: comment.to_owned(),
            policies: loaded.list,
        };
        let new = NewRevision { revision: revision.clone(), file: None, draft: basis.draft };
        if !self.store.put_revision(new, applied(&revision)).await? {
            return Err(PolicyError::Conflict);
        }
        if let Some(guard) = &self.guard {
            guard.set_policies(loaded.entries);
            info!("{}", in_force(&revision));
        }
        self.show(Shown { number: revision.number, ..Shown::default() });
        Ok(revision)
    }

    /// Looks for revisions that somebody else has made, for instance on the command line, and puts them into force; as long as
    /// the gateway runs.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look().await;
        }
    }

    async fn look(&self) {
        let mut state = self.state.lock().await;
        let shown = self.shown();
        let known = shown.refused.map_or(shown.number, |refused| refused.number);
        let newest = match self.store.newest_revision().await {
            Ok(newest) if newest > known => newest,
            Ok(_) => return,
            Err(error) if is_passing(&error) => return,
            Err(error) => return warn!(%error, "the revisions of the policies cannot be read"),
        };
        match self.follow(&mut state, newest).await {
            Ok(()) => {}
            Err(PolicyError::Store(error)) if is_passing(&error) => {}
            Err(problem) => self.refuse(newest, &problem).await,
        }
    }

    async fn refuse(&self, newest: u64, problem: &PolicyError) {
        let refused = Some(RefusedRevision { number: newest, why: problem.to_string() });
        self.show(Shown { refused, ..self.shown() });
        error!("revision {newest} of the policies is not put into force, the old one stays: {problem}");
        let detail = format!("Revision {newest} is not in force, the old one stays: {problem}");
        if let Err(error) = note(&self.store, "policies-not-applied", &detail).await {
            warn!(%error, "that a revision is not in force could not be recorded");
        }
    }

    async fn follow(&self, state: &mut State, number: u64) -> Result<(), PolicyError> {
        let revision = self.store.revision(number).await?.ok_or(PolicyError::NoRevision(number))?;
        let loaded = self.load(state, revision.policies.clone()).await?;
        let problems = loaded.all_problems();
        if !problems.is_empty() {
            return Err(PolicyError::Problems(problems));
        }
        if let Some(guard) = &self.guard {
            guard.set_policies(loaded.entries);
        }
        self.show(Shown { number, ..Shown::default() });
        info!("{}", in_force(&revision));
        Ok(())
    }
}

/// What the store says itself, and may do the next time.
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Overloaded(_))
}

/// The event that is stored with a revision.
pub(super) fn applied(revision: &Revision) -> Event {
    let comment = if revision.comment.is_empty() { String::new() } else { format!(" {}", revision.comment) };
    let detail = format!("Revision {} of the policies.{comment}", revision.number);
    administration(revision.at, &revision.actor, "policies-applied", detail)
}

#[cfg(test)]
mod tests;
