//! What SIGHUP reads again: certificates, and the connectors, policies and channels of the configuration. Each of the two is put into
//! force as a whole or not at all. Connections that are there stay.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_core::policies::PolicyError;
use portcullis_guard::cloud::Cloud;
use portcullis_guard::{Dispatcher, Guard};
use portcullis_store::Store;
use tokio::signal::unix::Signal;
use tracing::{error, info, warn};

use crate::certificates::Certificates;
use crate::config::{self, Config, Loaded};
use crate::policies::{self, Book, Chosen};
use crate::run::note;
use crate::statuses::Statuses;
use crate::{assemble, manager};

/// Everything that is reloaded, and what it takes.
pub(crate) struct Reload {
    pub(crate) path: PathBuf,
    pub(crate) loaded: Loaded,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) book: Arc<Book>,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) store: Store,
}

impl Reload {
    /// Reads again at each signal, as long as the gateway runs.
    pub(crate) async fn at_each(mut self, mut hang_ups: Signal) {
        while hang_ups.recv().await.is_some() {
            manager::reloading();
            let certificates = self.certificates().await;
            self.report("certificates", certificates).await;
            let plugins = self.plugins().await;
            self.report("plugins", plugins).await;
            manager::ready();
        }
    }

    async fn certificates(&self) -> Result<String, String> {
        let certificates = Arc::clone(&self.certificates);
        match tokio::task::spawn_blocking(move || certificates.reload()).await {
            Ok(Ok(count)) => {
                info!(count, "the certificates were read again");
                Ok("The certificates were read again.".to_owned())
            }
            Ok(Err(problems)) => Err(self.loaded.problems(problems).to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Loads every connector, policy and channel of the configuration as it now is, and puts them into force together.
    async fn plugins(&mut self) -> Result<String, String> {
        let mut loaded = Loaded::read(&self.path).map_err(|problems| problems.to_string())?;
        let now = &self.loaded.config;
        // The store is open where it is; what was compiled stays beside it.
        loaded.config.data_folder.clone_from(&now.data_folder);
        let mut state = self.book.lock().await;
        let chosen = Chosen::between(&loaded.config, &self.store).await.map_err(|error| format!("{error:#}"))?;
        let is_file = matches!(chosen, Chosen::File { .. });
        let channels = assemble::channels(&loaded).await.map_err(|error| format!("{error:#}"))?;
        let (plugins, list) =
            assemble::load_plugins(&loaded, &self.store, &chosen).await.map_err(|error| format!("{error:#}"))?;
        // At the start something stands in for a plugin that is broken; here the one that is in force is better.
        let mut broken = plugins.broken;
        if is_file {
            broken.extend(list.broken.iter().cloned().map(policies::in_file));
        }
        if !broken.is_empty() {
            return Err(loaded.problems(broken).to_string());
        }
        let problems = list.all_problems();
        if !problems.is_empty() {
            return Err(PolicyError::Problems(problems).to_string());
        }
        let change = Change::between(now, &loaded.config);
        if change.elsewhere {
            warn!("the configuration has other changes too: those take a start of the gateway");
        }
        // First what harms nobody when the other does not follow: policies that are stored are put into force.
        self.dispatcher.set_channels(channels).await.map_err(|error| error.to_string())?;
        let revision = chosen.settle(&list, &self.store).await.map_err(|error| format!("{error:#}"))?;
        self.statuses.replace(&plugins.connectors, &plugins.sources, &plugins.about);
        self.guard.replace(plugins.connectors, list.entries);
        self.cloud.set_sources(plugins.sources);
        self.loaded.replace_plugins(loaded);
        self.book.is_in_force(&mut state, self.loaded.config.clone(), revision.number, Vec::new());
        drop(state);
        info!("connectors and policies were loaded again: {}", change.text);
        Ok(format!(
            "Connectors and policies were loaded again: {}; revision {} is in force.",
            change.text, revision.number
        ))
    }

    async fn report(&self, what: &str, outcome: Result<String, String>) {
        let (action, detail) = match outcome {
            Ok(detail) => (format!("{what}-reloaded"), detail),
            Err(why) => {
                why.lines().for_each(|line| error!("{line}"));
                error!("the {what} were not replaced, the old ones stay");
                (format!("{what}-not-reloaded"), format!("The old {what} stay: {why}"))
            }
        };
        if let Err(error) = note(&self.store, &action, &detail).await {
            warn!(%error, "that {what} were read again could not be recorded");
        }
    }
}

/// What is different between two configurations.
struct Change {
    text: String,
    /// In a part that is not read again.
    elsewhere: bool,
}

impl Change {
    fn between(before: &Config, after: &Config) -> Self {
        let connectors =
            |config: &Config| -> Vec<String> { config.connectors.iter().map(|it| it.name.clone()).collect() };
        let policies = |config: &Config| -> Vec<String> { config.policies.iter().map(|it| it.name.clone()).collect() };
        let channels = |config: &Config| -> Vec<String> { config.channels.iter().map(|it| it.name.clone()).collect() };
        let text = [
            names("connector", &connectors(before), &connectors(after)),
            names("policy", &policies(before), &policies(after)),
            names("channel", &channels(before), &channels(after)),
        ]
        .concat();
        let text = if text.is_empty() { "the same names as before".to_owned() } else { text.join(", ") };
        Self { text, elsewhere: rest(before) != rest(after) }
    }
}

fn names(kind: &str, before: &[String], after: &[String]) -> Vec<String> {
    let missing = |list: &[String], name: &String| !list.contains(name);
    let added = after.iter().filter(|name| missing(before, name)).map(|name| format!("{kind} {name} added"));
    let removed = before.iter().filter(|name| missing(after, name)).map(|name| format!("{kind} {name} removed"));
    added.chain(removed).collect()
}

/// The parts that take a start, as text; secrets that stand in the file are not in it.
fn rest(config: &Config) -> String {
    let mut rest = config.clone();
    rest.connectors.clear();
    rest.policies.clear();
    rest.channels.clear();
    rest.backtest = config::Backtest::default();
    rest.plugins.folder.clear();
    rest.plugins.trusted_keys.clear();
    format!("{rest:?}")
}
