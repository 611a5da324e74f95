//! A fence as a rule of the `rules` policy, and its place in the list of policies.

use portcullis_core::fence::{Fence, Part, SearchPlace, WeekHours};
use portcullis_core::policies::mode_name;
use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::revision::{ListedLimits, ListedPolicy};
use portcullis_core::{AccountId, OperationKind, PolicyName};
use serde_json::{Map, Value, json};

/// The policies that have fences: those that count, and those that are tried.
const ENFORCED: &str = "fences";
const WATCHED: &str = "fences-monitor";
pub(super) const COMPONENT: &str = "rules.wasm";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What is not inside is blocked, and an incident. None where the fence asks for nothing.
///
/// There is an alternative for each kind of operation that has something of its own: a login its hours, a search its filter and place.
/// What is asked of a connection that is open was logged in for when it began.
pub(super) fn rule(account: &AccountId, login: &str, fence: &Fence) -> Option<Value> {
    let fenced: Vec<_> = OperationKind::ALL.into_iter().filter(|kind| *kind != OperationKind::Other).collect();
    let mut rest: Vec<_> = fence.operations.allowed.iter().map(|known| known.what).collect();
    let mut ways = Vec::new();
    if let Some(hours) = fence.hours.allowed.first() {
        ways.push(way(fence, &[OperationKind::Bind], [("time", time(&hours.what))]));
        rest.retain(|kind| *kind != OperationKind::Bind);
    }
    let searches = searches(fence);
    if !searches.is_empty() && rest.contains(&OperationKind::Search) {
        ways.push(way(fence, &[OperationKind::Search], searches));
        rest.retain(|kind| *kind != OperationKind::Search);
    }
    let asks_nothing =
        ways.is_empty() && whats(&fence.machines).is_empty() && whats(&fence.applications).is_empty() && rest == fenced;
    if !rest.is_empty() {
        ways.push(way(fence, &rest, []));
    }
    (!asks_nothing).then(|| {
        json!({
            "name": format!("fence of {login} ({account})"),
            "operations": fenced,
            "when": { "account-id": account, "none": ways },
            "then": {
                "verdict": "block",
                "incident": { "severity": "high", "title": format!("{login} is used outside its fence") },
            },
        })
    })
}

fn whats<T: Clone>(part: &Part<T>) -> Vec<T> {
    part.allowed.iter().map(|known| known.what.clone()).collect()
}

fn way(fence: &Fence, kinds: &[OperationKind], own: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut way = Map::new();
    way.insert("operation".to_owned(), json!(kinds));
    if !fence.machines.allowed.is_empty() {
        way.insert("address".to_owned(), json!(whats(&fence.machines)));
    }
    if !fence.applications.allowed.is_empty() {
        way.insert("application".to_owned(), json!(whats(&fence.applications)));
    }
    way.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Object(way)
}

fn time(hours: &WeekHours) -> Value {
    let clock = |hour: u8| format!("{hour:02}:00");
    let mut time =
        Map::from_iter([("from".to_owned(), json!(clock(hours.from))), ("to".to_owned(), json!(clock(hours.to)))]);
    let days: Vec<_> = hours.days.iter().filter_map(|day| DAYS.get(usize::from(*day))).collect();
    if !days.is_empty() {
        time.insert("days".to_owned(), json!(days));
    }
    Value::Object(time)
}

fn searches(fence: &Fence) -> Vec<(&'static str, Value)> {
    let mut own = Vec::new();
    if !fence.filters.allowed.is_empty() {
        own.push(("filter-shape", json!(whats(&fence.filters))));
    }
    let (below, exact): (Vec<_>, Vec<_>) =
        whats(&fence.places).into_iter().partition(|place: &SearchPlace| place.below);
    let name = |place: SearchPlace| if place.dn.is_empty() { "root-dse".to_owned() } else { place.dn };
    let names = |places: Vec<SearchPlace>| places.into_iter().map(name).collect::<Vec<_>>();
    let mut places = Vec::new();
    if !below.is_empty() {
        places.push(json!({ "entry-under": names(below) }));
    }
    if !exact.is_empty() {
        places.push(json!({ "entry": names(exact) }));
    }
    if !places.is_empty() {
        own.push(("any", json!(places)));
    }
    own
}

/// The rule of an account's fence in a list, and the policy that has it.
pub(super) fn accepted<'a>(list: &'a [ListedPolicy], account: &AccountId) -> Option<(&'a ListedPolicy, &'a Value)> {
    let ours = |policy: &&ListedPolicy| [ENFORCED, WATCHED].contains(&policy.name.as_str());
    list.iter().filter(ours).find_map(|policy| {
        let rules = policy.settings.get("rules")?.as_array()?;
        Some((policy, rules.iter().find(|rule| is_of(rule, account))?))
    })
}

fn is_of(rule: &Value, account: &AccountId) -> bool {
    rule.pointer("/when/account-id").and_then(Value::as_str) == Some(account.as_str())
}

/// The list with the rule in it, in place of the account's former one, at the front: what is outside a fence is not for another
/// policy to allow.
///
/// # Errors
/// The list has a policy of that name which is something else.
pub(super) fn with_rule(
    mut list: Vec<ListedPolicy>,
    account: &AccountId,
    rule: Value,
    mode: Mode,
) -> Result<Vec<ListedPolicy>, String> {
    let wanted = policy_name(mode);
    for name in [ENFORCED, WATCHED] {
        let Some(rules) = rules_of(&mut list, name)? else { continue };
        rules.retain(|rule| !is_of(rule, account));
        let is_empty = rules.is_empty();
        list.retain(|policy| policy.name.as_str() != name || !is_empty || name == wanted);
    }
    if let Some(known) = list.iter().find(|policy| policy.name.as_str() == wanted)
        && known.mode != mode
    {
        let (known, wanted_mode) = (mode_name(known.mode), mode_name(mode));
        return Err(format!(
            "the policy `{wanted}`, which has fences of mode {wanted_mode}, is in mode {known}: set it to {wanted_mode} first"
        ));
    }
    match rules_of(&mut list, wanted)? {
        Some(rules) => rules.push(rule),
        None => {
            // What counts is asked before what is tried.
            let place =
                if wanted == WATCHED { list.iter().take_while(|one| one.name.as_str() == ENFORCED).count() } else { 0 };
            list.insert(place, policy(wanted, mode, &json!([rule])));
        }
    }
    Ok(list)
}

/// The policy that has the fences of a mode.
pub(super) fn policy_name(mode: Mode) -> &'static str {
    if mode == Mode::Enforce { ENFORCED } else { WATCHED }
}

fn rules_of<'a>(list: &'a mut [ListedPolicy], name: &str) -> Result<Option<&'a mut Vec<Value>>, String> {
    let Some(policy) = list.iter_mut().find(|policy| policy.name.as_str() == name) else { return Ok(None) };
    let rules = policy.settings.get_mut("rules").and_then(Value::as_array_mut);
    let Some(rules) = rules else {
        return Err(format!("the policy `{name}` has no rules, so it is not the one for fences: give it another name"));
    };
    Ok(Some(rules))
}

/// A policy of fences.
fn policy(name: &str, mode: Mode, rules: &Value) -> ListedPolicy {
    ListedPolicy {
        name: PolicyName::new(name),
        plugin: COMPONENT.to_owned(),
        component: None,
        mode,
        fail: FailMode::Closed,
        canary_of: None,
        limits: ListedLimits::default(),
        settings: json!({ "rules": rules }),
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
