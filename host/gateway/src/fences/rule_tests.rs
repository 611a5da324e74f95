use portcullis_core::fence::Known;

use super::*;

fn known<T>(what: T) -> Known<T> {
    Known { what, count: 100, first: None, last: None }
}

fn part<T>(all: impl IntoIterator<Item = T>) -> Part<T> {
    Part { allowed: all.into_iter().map(known).collect(), left_out: Vec::new(), why_not: None }
}

fn fence() -> Fence {
    let place = |dn: &str, below| SearchPlace { dn: dn.to_owned(), below };
    Fence {
        machines: part(["10.0.0.1".parse().unwrap()]),
        applications: part(["wiki".to_owned()]),
        hours: part([WeekHours { days: vec![0, 6], from: 7, to: 24 }]),
        operations: part([OperationKind::Bind, OperationKind::Search, OperationKind::Compare]),
        filters: part(["(uid=?)".to_owned()]),
        places: part([place("ou=people,dc=x", true), place("", false)]),
    }
}

fn svc() -> AccountId {
    AccountId::new("svc-id")
}

#[test]
fn each_kind_of_operation_has_its_own_way_through_the_fence() {
    let rule = rule(&svc(), "svc", &fence()).unwrap();
    let machine = json!({ "address": ["10.0.0.1"], "application": ["wiki"] });
    let way = |own: Value| {
        let mut way = machine.clone();
        way.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        way
    };
    let expected = json!([
        way(json!({ "operation": ["bind"], "time": { "days": ["mon", "sun"], "from": "07:00", "to": "24:00" } })),
        way(json!({
            "operation": ["search"],
            "filter-shape": ["(uid=?)"],
            "any": [{ "entry-under": ["ou=people,dc=x"] }, { "entry": ["root-dse"] }],
        })),
        way(json!({ "operation": ["compare"] })),
    ]);
    assert_eq!(rule["when"], json!({ "account-id": "svc-id", "none": expected }));
    assert_eq!(rule["then"]["verdict"], "block");
    assert_eq!(rule["then"]["incident"]["severity"], "high");
    let operations = rule["operations"].as_array().unwrap();
    assert!(operations.contains(&json!("delete")) && operations.contains(&json!("sign-in")), "{operations:?}");
    assert!(!operations.contains(&json!("other")));
}

#[test]
fn what_is_not_known_is_not_asked_for() {
    let bare = Fence {
        machines: part([]),
        applications: part([]),
        hours: part([]),
        operations: part([OperationKind::Bind]),
        filters: part(["(uid=?)".to_owned()]),
        places: part([]),
    };
    let found = rule(&svc(), "svc", &bare).unwrap();
    assert_eq!(found["when"]["none"], json!([{ "operation": ["bind"] }]), "it does not search");
    let all = OperationKind::ALL.into_iter().filter(|kind| *kind != OperationKind::Other);
    let free = Fence { operations: part(all.clone()), filters: part([]), ..bare.clone() };
    assert_eq!(rule(&svc(), "svc", &free), None, "nothing to hold it to");
    let searches = Fence { operations: part(all), ..bare };
    assert_eq!(rule(&svc(), "svc", &searches).unwrap()["when"]["none"].as_array().unwrap().len(), 2);
}

fn names(list: &[ListedPolicy]) -> Vec<(&str, usize)> {
    let rules = |policy: &ListedPolicy| policy.settings["rules"].as_array().map_or(0, Vec::len);
    list.iter().map(|policy| (policy.name.as_str(), rules(policy))).collect()
}

#[test]
fn a_fence_is_at_the_front_and_there_is_one_for_each_account() {
    let rule = |account: &str| json!({ "name": account, "when": { "account-id": account } });
    let put = |list, account: &str, mode| with_rule(list, &AccountId::new(account), rule(account), mode).unwrap();
    let list = vec![policy("others", Mode::Enforce, &json!([{}]))];
    let list = put(list, "a", Mode::Monitor);
    assert_eq!(names(&list), [("fences-monitor", 1), ("others", 1)]);
    assert_eq!((list[0].mode, list[0].fail), (Mode::Monitor, FailMode::Closed));
    let list = put(list, "b", Mode::Enforce);
    assert_eq!(names(&list), [("fences", 1), ("fences-monitor", 1), ("others", 1)]);
    let list = put(list, "b", Mode::Enforce);
    assert_eq!(names(&list), [("fences", 1), ("fences-monitor", 1), ("others", 1)], "in place of the former one");
    let list = put(list, "c", Mode::Monitor);
    assert_eq!(accepted(&list, &AccountId::new("c")).unwrap().0.mode, Mode::Monitor);
    let list = put(list, "c", Mode::Enforce);
    assert_eq!(names(&list), [("fences", 2), ("fences-monitor", 1), ("others", 1)], "it has moved");
    assert_eq!(accepted(&list, &AccountId::new("c")).unwrap().0.mode, Mode::Enforce);
    let list = put(list, "a", Mode::Enforce);
    assert_eq!(names(&list), [("fences", 3), ("others", 1)], "an empty policy goes");
    assert!(accepted(&list, &AccountId::new("d")).is_none());
}

#[test]
fn what_people_made_of_the_list_is_not_overridden() {
    let list = vec![policy("fences", Mode::Off, &json!([]))];
    let error = with_rule(list.clone(), &svc(), json!({}), Mode::Enforce).unwrap_err();
    assert!(error.contains("is in mode off"), "{error}");
    assert!(with_rule(list, &svc(), json!({}), Mode::Monitor).is_ok());
    let list = vec![policy("fences", Mode::Enforce, &json!(5))];
    assert!(with_rule(list, &svc(), json!({}), Mode::Monitor).unwrap_err().contains("has no rules"));
}
