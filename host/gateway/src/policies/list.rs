//! From a list of policies to loaded components.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::plugin::Policy;
use portcullis_core::policies::PolicyProblem;
use portcullis_core::revision::{ListedLimits, ListedPolicy, list_problems};
use portcullis_core::{PolicyName, policy::Needs};
use portcullis_engine::{Engine, EngineError, LoadedPolicy, PolicyLimits, PolicySpec};
use portcullis_guard::PolicyEntry;
use sha2::{Digest as _, Sha256};

use crate::broken::BrokenPolicy;
use crate::config::{self, Config, Problem, pointer_path};
use crate::plugins::settings_as_json;

/// A list, loaded. Something stands in for what could not be.
pub(crate) struct LoadedList {
    /// The same list with the digests of the components that were found.
    pub(crate) list: Vec<ListedPolicy>,
    pub(crate) entries: Vec<PolicyEntry>,
    /// What somebody has to mend in the list; nothing should be put into force with these.
    pub(crate) problems: Vec<PolicyProblem>,
    /// Components that could not be loaded although the list is right: a missing file, a wrong signature.
    pub(crate) broken: Vec<PolicyProblem>,
}

impl LoadedList {
    /// Both kinds.
    pub(crate) fn all_problems(&self) -> Vec<PolicyProblem> {
        self.problems.iter().chain(&self.broken).cloned().collect()
    }
}

/// The list of a configuration file.
pub(crate) fn listed(policies: &[config::Policy]) -> Result<Vec<ListedPolicy>, Problem> {
    let one = |(place, policy): (usize, &config::Policy)| {
        let settings = settings_as_json(&policy.settings)
            .map_err(|text| Problem::new(["policy", &place.to_string(), "settings"], text))?;
        Ok(ListedPolicy {
            name: PolicyName::new(&policy.name),
            plugin: policy.plugin.clone(),
            component: None,
            mode: policy.mode,
            fail: policy.fail,
            canary_of: policy.canary_of.as_ref().map(PolicyName::new),
            limits: policy.limits.into(),
            settings,
        })
    };
    policies.iter().enumerate().map(one).collect()
}

/// Tells lists of configuration files apart, whatever the files of their components contain.
pub(crate) fn digest(list: &[ListedPolicy]) -> Result<[u8; 32], serde_json::Error> {
    let bare: Vec<_> = list.iter().map(|policy| ListedPolicy { component: None, ..policy.clone() }).collect();
    Ok(Sha256::digest(serde_json::to_vec(&bare)?).into())
}

/// A problem of the file's own list, at its place in the file.
pub(crate) fn in_file(problem: PolicyProblem) -> Problem {
    let path = ["policy".to_owned(), problem.place.to_string()];
    let rest: Vec<String> = pointer_path(&format!("/{}", problem.field)).collect();
    Problem::below(&path, rest, problem.message)
}

/// Loads every policy of the list. Blocks while components are compiled.
pub(crate) fn load(list: Vec<ListedPolicy>, config: &Config, engine: &Engine) -> LoadedList {
    let mut loaded = LoadedList { list, entries: Vec::new(), problems: Vec::new(), broken: Vec::new() };
    let of_list = list_problems(&loaded.list);
    for (place, policy) in loaded.list.iter_mut().enumerate() {
        let problem =
            |field: String, message: String| PolicyProblem { place, policy: policy.name.clone(), field, message };
        for own in of_list.iter().filter(|own| own.place == place) {
            loaded.problems.push(problem(own.field.clone(), own.message.clone()));
        }
        let component: Arc<dyn Policy> = match load_one(policy, engine) {
            Ok(component) => {
                loaded
                    .problems
                    .extend(unmet_needs(config, component.needs()).map(|text| problem("settings".to_owned(), text)));
                policy.component = Some(component.digest().to_owned());
                Arc::new(component)
            }
            Err(error) => {
                let reason = error.to_string();
                match error {
                    EngineError::Settings { problems, .. } => loaded.problems.extend(
                        problems.into_iter().map(|one| problem(format!("settings{}", one.setting), one.message)),
                    ),
                    other => loaded.broken.push(problem("plugin".to_owned(), other.to_string())),
                }
                Arc::new(BrokenPolicy::new(reason))
            }
        };
        loaded.entries.push(PolicyEntry {
            name: policy.name.clone(),
            mode: policy.mode,
            fail: policy.fail,
            canary_of: policy.canary_of.clone(),
            policy: component,
        });
    }
    loaded
}

fn load_one(policy: &ListedPolicy, engine: &Engine) -> Result<LoadedPolicy, EngineError> {
    let defaults = PolicyLimits::default();
    let ListedLimits { memory_mib, call_ms, concurrent_calls } = policy.limits;
    let limits = PolicyLimits {
        memory: memory_mib.map_or(defaults.memory, |mib| mib.saturating_mul(1 << 20)),
        call_timeout: call_ms.map_or(defaults.call_timeout, Duration::from_millis),
        concurrency: concurrent_calls.unwrap_or(defaults.concurrency),
        ..defaults
    };
    let (name, file) = (policy.name.as_str().to_owned(), policy.plugin.clone());
    engine.load_policy(PolicySpec { name, file, settings: policy.settings.clone(), limits })
}

/// Connectors and channels that a policy may name and that do not exist.
fn unmet_needs(config: &Config, needs: &Needs) -> impl Iterator<Item = String> {
    // One to a cloud identity provider asks nobody.
    let can_ask = config.connectors.iter().filter(|connector| connector.cloud.is_none());
    let known: Vec<&str> = can_ask.map(|connector| connector.name.as_str()).collect();
    let connectors = needs.connectors.iter().filter(|name| !known.contains(&name.as_str())).map(|name| {
        let advice =
            if known.is_empty() { "none is configured".to_owned() } else { format!("there are: {}", known.join(", ")) };
        format!("challenges through the connector `{name}`, which does not exist; {advice}")
    });
    let told: Vec<&str> = config.channels.iter().map(|channel| channel.name.as_str()).collect();
    let channels = needs.channels.iter().filter(|name| !told.contains(&name.as_str())).map(|name| {
        let advice =
            if told.is_empty() { "add [[channel]]".to_owned() } else { format!("there are: {}", told.join(", ")) };
        format!("notifies the channel `{name}`, which does not exist; {advice}")
    });
    let groups = needs.groups.iter().filter(|_| config.demotion.is_none()).map(|name| {
        format!("takes accounts out of the group `{name}`, for which there has to be an account: add [demotion]")
    });
    connectors.chain(channels).chain(groups).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use portcullis_core::policy::{FailMode, Mode};

    use super::*;
    use crate::out::hex;

    #[test]
    fn a_list_is_known_by_the_same_digest_in_each_version() {
        let policy = ListedPolicy {
            name: PolicyName::new("night"),
            plugin: "rules.wasm".to_owned(),
            component: None,
            mode: Mode::Canary,
            fail: FailMode::Open,
            canary_of: Some(PolicyName::new("day")),
            limits: ListedLimits { memory_mib: Some(32), call_ms: None, concurrent_calls: None },
            settings: serde_json::json!({ "rules": [{ "name": "At night", "then": "block" }] }),
        };
        let replaced = [ListedPolicy { component: Some("5e".repeat(32)), ..policy.clone() }];
        let list = [policy];
        assert_eq!(hex(&digest(&list).unwrap()), "a4056ee0d8d076cf357e08c29d942cbe8a774651b75ac7961a80142aaea59f0d");
        assert_eq!(digest(&replaced).unwrap(), digest(&list).unwrap(), "whatever the files contain");
    }
}
