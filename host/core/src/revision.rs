//! Revisions of the policy list: what was in force when and by whose word, and the draft of what may come next.

mod difference;
mod list;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Event;
use crate::policy::{FailMode, Mode};
use crate::store::StoreError;
use crate::{PolicyName, Timestamp};

pub use difference::{Change, PolicyChange, SettingChange, difference};
pub use list::{ListProblem, list_problems};

/// A policy as a list names it: everything that is needed to load it, and its place is its place in the list.
///
/// A configuration file's list is known by the digest of its JSON, and by another digest it is taken for another list, which takes
/// the place of the one in force. So a field that is new has to be left out of the JSON where nobody has set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedPolicy {
    /// Its name.
    pub name: PolicyName,
    /// Its component's file in the plugin folder.
    pub plugin: String,
    /// SHA-256 of the component with which the list was made, in hexadecimal digits; none where it could not be loaded.
    #[serde(default)]
    pub component: Option<String>,
    /// Whether its word counts.
    pub mode: Mode,
    /// What counts when it cannot be evaluated.
    pub fail: FailMode,
    /// The enforced policy of which it is the canary, with [`Mode::Canary`].
    #[serde(default)]
    pub canary_of: Option<PolicyName>,
    /// What its component may use.
    #[serde(default)]
    pub limits: ListedLimits,
    /// Its settings, a JSON object.
    #[serde(default = "no_settings")]
    pub settings: Value,
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

/// What a policy's component may use; what is left out is the engine's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListedLimits {
    /// Memory, in MiB.
    pub memory_mib: Option<usize>,
    /// Time of one call, in milliseconds.
    pub call_ms: Option<u64>,
    /// Calls at the same time.
    pub concurrent_calls: Option<usize>,
}

impl ListedLimits {
    /// What would let nothing work, or be no limit: its name in the configuration file, and what is wrong with it. Connectors have
    /// the same limits.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        const BOUNDS: [(&str, u64); 3] = [("memory-mib", 4_096), ("call-ms", 600_000), ("concurrent-calls", 1_024)];
        let wide = |limit: Option<usize>| limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX));
        BOUNDS
            .into_iter()
            .zip([wide(self.memory_mib), self.call_ms, wide(self.concurrent_calls)])
            .filter_map(|((name, most), limit)| Some((name, most, limit.filter(|limit| !(1..=most).contains(limit))?)))
            .map(|(name, most, limit)| (name, format!("is {limit}: give a number from 1 to {most}, or leave it out")))
            .collect()
    }
}

impl fmt::Display for ListedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            self.memory_mib.map(|mib| format!("memory-mib {mib}")),
            self.call_ms.map(|ms| format!("call-ms {ms}")),
            self.concurrent_calls.map(|calls| format!("concurrent-calls {calls}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(if parts.is_empty() { "the usual" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// A list that is or was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number: 1 for the first, and one more for each that follows. A revision is never changed.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Login of who made it, or `configuration file`.
    pub actor: String,
    /// Why, in that person's words.
    pub comment: String,
    /// The list, in order.
    pub policies: Vec<ListedPolicy>,
}

/// A revision that is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRevision {
    /// The revision, with the number that it is to get: it is stored only while that is one more than the newest.
    pub revision: Revision,
    /// Digest of the configuration file's list, where the list was taken over from there.
    pub file: Option<[u8; 32]>,
    /// The version of the draft that becomes this revision; it is gone then. Not stored when the draft is another one by now.
    pub draft: Option<u64>,
}

/// The list of the configuration file that was last taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenOver {
    /// Its digest.
    pub digest: [u8; 32],
    /// The revision that it became.
    pub revision: u64,
}

/// Who changed something last, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// Login.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// The list that administrators are working on: one for all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyDraft {
    /// Grows with each time that a draft is saved or dropped; who saves names the one that the change is based on.
    pub version: u64,
    /// The newest revision when the draft was saved: only as long as it is, the draft can be put into force.
    pub based_on: u64,
    /// The list, in order.
    pub policies: Vec<ListedPolicy>,
    /// Who saved it last, and when.
    pub saved: LastChange,
    /// Who changed each policy last, those that were taken out included.
    pub changed: BTreeMap<PolicyName, LastChange>,
}

impl PolicyDraft {
    /// The draft with this list after the one of the version, which is `before` where there is one.
    #[must_use]
    pub fn next(
        version: u64,
        before: Option<&Self>,
        in_force: &Revision,
        policies: Vec<ListedPolicy>,
        saved: LastChange,
    ) -> Self {
        let mut changed = before.map(|draft| draft.changed.clone()).unwrap_or_default();
        let old = before.map_or(&in_force.policies, |draft| &draft.policies);
        changed.extend(difference(old, &policies).into_iter().map(|one| (one.policy, saved.clone())));
        // What is as it is in force was changed by nobody.
        let still: Vec<_> = difference(&in_force.policies, &policies).into_iter().map(|one| one.policy).collect();
        changed.retain(|name, _| still.contains(name));
        Self { version: version.saturating_add(1), based_on: in_force.number, policies, saved, changed }
    }
}

/// Keeps revisions and the draft.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// The number of the newest revision; zero before the first. Cheap enough to be asked every second.
    async fn newest_revision(&self) -> Result<u64, StoreError>;

    /// A revision.
    async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError>;

    /// Up to `limit` revisions with a number below `before`, the newest first.
    async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, StoreError>;

    /// What was last taken over from the configuration file.
    async fn taken_over(&self) -> Result<Option<TakenOver>, StoreError>;

    /// Stores a revision, the event that tells of it, and that the draft is gone which became it, in one transaction. Says
    /// whether that was done; it is not when somebody else has made a revision or saved a draft meanwhile.
    async fn put_revision(&self, new: NewRevision, event: Event) -> Result<bool, StoreError>;

    /// The draft, and the version that a change has to name; the latter also where there is none.
    async fn draft(&self) -> Result<(u64, Option<PolicyDraft>), StoreError>;

    /// Stores a draft in place of the one before, and the event that tells of it. Says whether that was done; it is not when
    /// its version is not one more than the latest.
    async fn put_draft(&self, draft: PolicyDraft, event: Event) -> Result<bool, StoreError>;

    /// Drops the draft of this version. Says whether there was one.
    async fn drop_draft(&self, version: u64, event: Event) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, mode: Mode) -> ListedPolicy {
        ListedPolicy {
            name: PolicyName::new(name),
            plugin: "rules.wasm".to_owned(),
            component: None,
            mode,
            fail: FailMode::Closed,
            canary_of: None,
            limits: ListedLimits::default(),
            settings: no_settings(),
        }
    }

    #[test]
    fn a_draft_knows_who_changed_what_last() {
        let list = |a, b| vec![policy("a", a), policy("b", b)];
        let saved = |actor: &str, at| LastChange { actor: actor.to_owned(), at: Timestamp(at) };
        let in_force = Revision {
            number: 7,
            at: Timestamp(1),
            actor: "configuration file".to_owned(),
            comment: String::new(),
            policies: list(Mode::Enforce, Mode::Enforce),
        };
        let first = PolicyDraft::next(3, None, &in_force, list(Mode::Off, Mode::Enforce), saved("ada", 2));
        assert_eq!((first.version, first.based_on), (4, 7));
        let second = PolicyDraft::next(4, Some(&first), &in_force, list(Mode::Off, Mode::Monitor), saved("bob", 3));
        let by: Vec<_> = second.changed.iter().map(|(name, who)| (name.as_str(), who.actor.as_str())).collect();
        assert_eq!(by, [("a", "ada"), ("b", "bob")]);
        let third = PolicyDraft::next(5, Some(&second), &in_force, list(Mode::Enforce, Mode::Monitor), saved("eve", 4));
        assert_eq!(third.changed.keys().map(PolicyName::as_str).collect::<Vec<_>>(), ["b"], "a is as it was");
    }
}
