//! What is different between two lists.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{ListedLimits, ListedPolicy};
use crate::PolicyName;
use crate::policies::{fail_name, mode_name};
use crate::policy::{FailMode, Mode};

/// What has changed about one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyChange {
    /// The policy.
    pub policy: PolicyName,
    /// What, at least one thing.
    pub changes: Vec<Change>,
}

/// One thing that has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "before and after of the field that the variant is about")]
pub enum Change {
    /// It is new. Places count from 1.
    Added { place: usize },
    /// It is gone.
    Removed { place: usize },
    /// It is asked earlier or later than before, seen from those that stayed.
    Moved { from: usize, to: usize },
    /// Another mode.
    Mode { from: Mode, to: Mode },
    /// Another fail mode.
    Fail { from: FailMode, to: FailMode },
    /// Another file.
    Plugin { from: String, to: String },
    /// The same file with another content.
    Component { from: Option<String>, to: Option<String> },
    /// The canary of another policy.
    CanaryOf { from: Option<PolicyName>, to: Option<PolicyName> },
    /// Other limits.
    Limits { from: ListedLimits, to: ListedLimits },
    /// A setting.
    Setting(SettingChange),
}

/// A setting that is new, gone or another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingChange {
    /// JSON Pointer (RFC 6901) into the settings.
    pub setting: String,
    /// Before; none where it is new.
    pub from: Option<Value>,
    /// Now; none where it is gone.
    pub to: Option<Value>,
}

impl fmt::Display for Change {
    /// A few words for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { place } => write!(f, "added at position {place}"),
            Self::Removed { place } => write!(f, "removed from position {place}"),
            Self::Moved { from, to } => write!(f, "moved from position {from} to {to}"),
            Self::Mode { from, to } => write!(f, "mode: {} → {}", mode_name(*from), mode_name(*to)),
            Self::Fail { from, to } => write!(f, "fail: {} → {}", fail_name(*from), fail_name(*to)),
            Self::Plugin { from, to } => write!(f, "plugin: {from} → {to}"),
            Self::Component { from, to } => {
                let short =
                    |digest: &Option<String>| digest.as_ref().and_then(|text| text.get(..12)).map(str::to_owned);
                let (from, to) = (short(from).unwrap_or_default(), short(to).unwrap_or_default());
                write!(f, "the component's file has another content: {from}… → {to}…")
            }
            Self::CanaryOf { from, to } => write!(f, "canary-of: {} → {}", named(from), named(to)),
            Self::Limits { from, to } => write!(f, "limits: {from} → {to}"),
            Self::Setting(SettingChange { setting, from, to }) => {
                let value = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
                write!(f, "settings{setting}: {} → {}", value(from), value(to))
            }
        }
    }
}

fn named(name: &Option<PolicyName>) -> &str {
    name.as_ref().map_or("nothing", PolicyName::as_str)
}

/// What has to be done to `before` to get `after`: first what happened to those of `after`, in their order, then those that
/// are gone. Empty when both are the same.
#[must_use]
pub fn difference(before: &[ListedPolicy], after: &[ListedPolicy]) -> Vec<PolicyChange> {
    let place = |list: &[ListedPolicy], name: &PolicyName| list.iter().position(|one| one.name == *name);
    // Places before, in the order of `after`: those of the longest run that goes up stayed, the others were moved.
    let kept: Vec<usize> = after.iter().filter_map(|one| place(before, &one.name)).collect();
    let stayed = longest_ascending(&kept);
    let mut found = Vec::new();
    for (to, now) in after.iter().enumerate() {
        let mut changes = Vec::new();
        match place(before, &now.name).and_then(|from| Some((from, before.get(from)?))) {
            None => changes.push(Change::Added { place: to + 1 }),
            Some((from, was)) => {
                if !stayed.contains(&from) {
                    changes.push(Change::Moved { from: from + 1, to: to + 1 });
                }
                fields(was, now, &mut changes);
            }
        }
        if !changes.is_empty() {
            found.push(PolicyChange { policy: now.name.clone(), changes });
        }
    }
    for (from, was) in before.iter().enumerate().filter(|(_, was)| place(after, &was.name).is_none()) {
        found.push(PolicyChange { policy: was.name.clone(), changes: vec![Change::Removed { place: from + 1 }] });
    }
    found
}

fn fields(was: &ListedPolicy, now: &ListedPolicy, changes: &mut Vec<Change>) {
    if was.mode != now.mode {
        changes.push(Change::Mode { from: was.mode, to: now.mode });
    }
    if was.fail != now.fail {
        changes.push(Change::Fail { from: was.fail, to: now.fail });
    }
    if was.plugin != now.plugin {
        changes.push(Change::Plugin { from: was.plugin.clone(), to: now.plugin.clone() });
    } else if was.component != now.component && was.component.is_some() && now.component.is_some() {
        changes.push(Change::Component { from: was.component.clone(), to: now.component.clone() });
    }
    if was.canary_of != now.canary_of {
        changes.push(Change::CanaryOf { from: was.canary_of.clone(), to: now.canary_of.clone() });
    }
    if was.limits != now.limits {
        changes.push(Change::Limits { from: was.limits, to: now.limits });
    }
    settings(String::new(), Some(&was.settings), Some(&now.settings), changes);
}

fn settings(at: String, was: Option<&Value>, now: Option<&Value>, changes: &mut Vec<Change>) {
    match (was, now) {
        (Some(Value::Object(was)), Some(Value::Object(now))) => {
            let keys: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
            for key in keys {
                let below = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                settings(below, was.get(key), now.get(key), changes);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(now))) => {
            for place in 0..was.len().max(now.len()) {
                settings(format!("{at}/{place}"), was.get(place), now.get(place), changes);
            }
        }
        (was, now) if was == now => {}
        (was, now) => {
            changes.push(Change::Setting(SettingChange { setting: at, from: was.cloned(), to: now.cloned() }));
        }
    }
}

/// The members of one of the longest subsequences of these different numbers that go up.
fn longest_ascending(numbers: &[usize]) -> BTreeSet<usize> {
    // For each number, how long the longest run is that ends with it, and the place of the number before it in that run.
    let mut runs: Vec<(usize, Option<usize>)> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let shorter = numbers.iter().zip(&runs).enumerate().filter(|(_, (last, _))| *last < number);
        let before =
            shorter.max_by_key(|(_, (_, (length, _)))| *length).map(|(place, (_, (length, _)))| (place, *length));
        runs.push((before.map_or(0, |(_, length)| length) + 1, before.map(|(place, _)| place)));
    }
    let mut members = BTreeSet::new();
    let mut next = (0..runs.len()).max_by_key(|place| runs.get(*place).map(|(length, _)| *length));
    while let Some(place) = next {
        members.extend(numbers.get(place));
        next = runs.get(place).and_then(|(_, before)| *before);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<ListedPolicy> {
        let policy = |name: &&str| ListedPolicy {
            name: PolicyName::new(*name),
            plugin: "rules.wasm".to_owned(),
            component: None,
            mode: Mode::Enforce,
            fail: FailMode::Closed,
            canary_of: None,
            limits: ListedLimits::default(),
            settings: serde_json::json!({ "rules": [{ "name": "a", "then": "block" }], "x/y": 1 }),
        };
        names.iter().map(policy).collect()
    }

    fn change(policy: &str, changes: Vec<Change>) -> PolicyChange {
        PolicyChange { policy: PolicyName::new(policy), changes }
    }

    #[test]
    fn the_same_list_is_no_difference() {
        assert_eq!(difference(&list(&["a", "b"]), &list(&["a", "b"])), []);
        assert_eq!(difference(&[], &[]), []);
    }

    #[test]
    fn one_that_is_moved_moves_nobody_else() {
        let moved = difference(&list(&["a", "b", "c", "d"]), &list(&["d", "a", "b", "c"]));
        assert_eq!(moved, [change("d", vec![Change::Moved { from: 4, to: 1 }])]);
        let gone = difference(&list(&["a", "b", "c"]), &list(&["b", "c"]));
        assert_eq!(gone, [change("a", vec![Change::Removed { place: 1 }])], "who only goes up was not moved");
        let new = difference(&list(&["a"]), &list(&["b", "a"]));
        assert_eq!(new, [change("b", vec![Change::Added { place: 1 }])]);
    }

    #[test]
    fn the_longest_run_that_goes_up_stays() {
        let of = |numbers: &[usize]| longest_ascending(numbers).into_iter().collect::<Vec<_>>();
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[3]), [3]);
        assert_eq!(of(&[5, 1, 6, 2, 7, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(of(&[4, 5, 6, 1, 2]), [4, 5, 6]);
        assert_eq!(of(&[3, 2, 1]).len(), 1);
    }

    #[test]
    fn settings_are_named_by_their_place() {
        let before = list(&["a"]);
        let mut after = before.clone();
        after[0].mode = Mode::Monitor;
        after[0].settings = serde_json::json!({ "rules": [{ "name": "a", "then": "allow" }, 7] });
        let setting =
            |setting: &str, from, to| Change::Setting(SettingChange { setting: setting.to_owned(), from, to });
        let expected = vec![
            Change::Mode { from: Mode::Enforce, to: Mode::Monitor },
            setting("/rules/0/then", Some("block".into()), Some("allow".into())),
            setting("/rules/1", None, Some(7.into())),
            setting("/x~1y", Some(1.into()), None),
        ];
        assert_eq!(difference(&before, &after), [change("a", expected)]);
    }
}
