//! What can be known to be wrong with a list before anything of it is loaded.

use std::collections::HashMap;

use super::ListedPolicy;
use crate::PolicyName;
use crate::policy::Mode;

/// Something wrong with one policy of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListProblem {
    /// The policy's place in the list, from zero on.
    pub place: usize,
    /// The field, as the configuration file names it.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Names that are none or are there twice, and canaries of nothing.
#[must_use]
pub fn list_problems(list: &[ListedPolicy]) -> Vec<ListProblem> {
    let mut problems = Vec::new();
    let mut seen: HashMap<&PolicyName, usize> = HashMap::new();
    for (place, policy) in list.iter().enumerate() {
        let mut wrong = |field, message: String| problems.push(ListProblem { place, field, message });
        let name = policy.name.as_str();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            wrong("name", format!("`{name}` is no name: use letters, digits, `-`, `_` and `.`"));
        }
        if let Some(first) = seen.insert(&policy.name, place) {
            wrong("name", format!("`{name}` is the name of the policy at position {} already", first + 1));
        }
        if !policy.settings.is_object() {
            wrong("settings", "are no JSON object: write {} where there are none".to_owned());
        }
        match (policy.mode, &policy.canary_of) {
            (Mode::Canary, None) => {
                wrong("canary-of", "is missing: name the enforced policy that the canary is compared with".to_owned());
            }
            (Mode::Canary, Some(of)) => match list.iter().find(|other| other.name == *of) {
                Some(other) if other.mode == Mode::Enforce => {}
                Some(_) => wrong("canary-of", format!("`{of}` is not enforced, so there is nothing to compare with")),
                None => wrong("canary-of", format!("there is no policy named `{of}`")),
            },
            (_, Some(_)) => wrong("canary-of", "goes with mode = \"canary\": leave it out".to_owned()),
            (_, None) => {}
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FailMode;
    use crate::revision::ListedLimits;

    fn policy(name: &str, mode: Mode, canary_of: Option<&str>) -> ListedPolicy {
        ListedPolicy {
            name: PolicyName::new(name),
            plugin: "rules.wasm".to_owned(),
            component: None,
            mode,
            fail: FailMode::Closed,
            canary_of: canary_of.map(PolicyName::new),
            limits: ListedLimits::default(),
            settings: serde_json::json!({}),
        }
    }

    #[test]
    fn a_canary_has_an_enforced_policy_beside_it() {
        let good = [policy("a", Mode::Enforce, None), policy("b", Mode::Canary, Some("a"))];
        assert_eq!(list_problems(&good), []);
        let bad = [
            policy("a", Mode::Monitor, Some("b")),
            policy("b", Mode::Canary, Some("a")),
            policy("c", Mode::Canary, Some("c")),
            policy("d", Mode::Canary, Some("nobody")),
            policy("e", Mode::Canary, None),
        ];
        let places: Vec<_> = list_problems(&bad).into_iter().map(|problem| (problem.place, problem.field)).collect();
        assert_eq!(places, [0, 1, 2, 3, 4].map(|place| (place, "canary-of")));
    }

    #[test]
    fn a_name_is_one_and_is_there_once() {
        let list = [policy("a", Mode::Off, None), policy("a", Mode::Off, None), policy("b c", Mode::Off, None)];
        let places: Vec<_> = list_problems(&list).into_iter().map(|problem| (problem.place, problem.field)).collect();
        assert_eq!(places, [(1, "name"), (2, "name")]);
    }
}
