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
    /// The field, as the configuration file names it; one in a table of its own behind that table's name and a `/`.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Names that are none or are there twice, canaries of nothing, and limits that are none.
#[must_use]
pub fn list_problems(list: &[ListedPolicy]) -> Vec<ListProblem> {
    let mut problems = Vec::new();
    let mut seen: HashMap<&PolicyName, usize> = HashMap::new();
    for (place, policy) in list.iter().enumerate() {
        let mut wrong =
            |field: &str, message: String| problems.push(ListProblem { place, field: field.to_owned(), message });
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
        for (limit, message) in policy.limits.problems() {
            wrong(&format!("limits/{limit}"), message);
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
        assert_eq!(places, [0, 1, 2, 3, 4].map(|place| (place, "canary-of".to_owned())));
    }

    #[test]
    fn a_name_is_one_and_is_there_once() {
        let list = [policy("a", Mode::Off, None), policy("a", Mode::Off, None), policy("b c", Mode::Off, None)];
        let places: Vec<_> = list_problems(&list).into_iter().map(|problem| (problem.place, problem.field)).collect();
        assert_eq!(places, [1, 2].map(|place| (place, "name".to_owned())));
    }

    #[test]
    fn limits_let_something_work_and_are_limits() {
        let with = |memory_mib, call_ms, concurrent_calls| {
            let limits = ListedLimits { memory_mib, call_ms, concurrent_calls };
            list_problems(&[ListedPolicy { limits, ..policy("a", Mode::Off, None) }])
        };
        assert_eq!(with(Some(1), Some(1), Some(1)), []);
        assert_eq!(with(Some(4_096), Some(600_000), Some(1_024)), []);
        let fields = |problems: Vec<ListProblem>| problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>();
        let all = ["limits/memory-mib", "limits/call-ms", "limits/concurrent-calls"];
        assert_eq!(fields(with(Some(0), Some(0), Some(0))), all);
        assert_eq!(fields(with(Some(usize::MAX), Some(u64::MAX), Some(usize::MAX))), all);
    }
}
