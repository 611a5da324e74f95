//! The schema that the editor works from, held against the parser.

use std::collections::BTreeSet;

use rules::action::{ACTION_KEYS, CHALLENGE_KEYS, DEMOTE_KEYS, ESCALATION_KEYS, INCIDENT_KEYS, NOTIFY_KEYS, OUTCOMES};
use rules::condition::{ATTRIBUTE_KEYS, keys};
use rules::hours;
use rules::settings::{OPERATIONS, RULE_KEYS, SCHEMA, SETTINGS_KEYS, Settings};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn set<'a>(keys: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    keys.into_iter().map(str::to_owned).collect()
}

/// Every table of the schema with the parser's keys for it and settings in which it stands at a place.
fn tables() -> Vec<(&'static str, BTreeSet<String>, &'static str)> {
    vec![
        ("", set(SETTINGS_KEYS), ""),
        ("rule", set(RULE_KEYS), "/rules/0"),
        ("condition", set(keys()), "/rules/0/when"),
        ("attribute", set(ATTRIBUTE_KEYS), "/rules/0/when/attribute"),
        ("time", set(hours::KEYS), "/rules/0/when/time"),
        ("action-table", set(ACTION_KEYS), "/rules/0/then"),
        ("challenge", set(CHALLENGE_KEYS), "/rules/0/then/challenge"),
        ("outcomes", set(OUTCOMES.map(|(name, _)| name)), "/rules/0/then/challenge/on"),
        ("incident", set(INCIDENT_KEYS), "/rules/0/then/incident"),
        ("escalation", set(ESCALATION_KEYS), "/rules/0/then/incident/escalate/0"),
        ("demote", set(DEMOTE_KEYS), "/rules/0/then/demote"),
        ("notify", set(NOTIFY_KEYS), "/rules/0/then/notify"),
    ]
}

fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    if name.is_empty() { schema } else { &schema["$defs"][name] }
}

#[test]
fn schema_and_parser_have_the_same_keys() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    for (name, keys, _) in tables() {
        let definition = definition(&schema, name);
        let properties = definition["properties"].as_object().unwrap().keys().map(String::as_str);
        assert_eq!(set(properties), keys, "{name}");
        assert_eq!(definition["additionalProperties"], false, "{name}");
        seen.insert(name);
    }
    let with_properties =
        schema["$defs"].as_object().unwrap().iter().filter(|(_, value)| value["properties"].is_object());
    for (name, _) in with_properties {
        assert!(seen.contains(name.as_str()), "the test does not know {name}");
    }
}

/// What people read about rules names every key and every word.
#[test]
fn the_page_about_rules_has_all_keys() {
    let page = include_str!("../../../../docs/rules.md");
    let words = OPERATIONS.map(|(name, _)| name.to_owned());
    for key in tables().into_iter().flat_map(|(_, keys, _)| keys).chain(words) {
        assert!(key == "rules" || page.contains(&format!("`{key}`")), "{key}");
    }
}

/// A value that is wrong under every key draws a problem at exactly that key: so the parser reads each of them, and knows no
/// key that the schema lacks.
#[test]
fn every_key_is_read_where_the_schema_has_it() {
    for (name, keys, place) in tables() {
        for key in keys.iter().map(String::as_str).chain(["surely-unknown"]) {
            let mut settings = json!({});
            set_at(&mut settings, place, json!({ key: null }));
            let problems = Settings::parse(&settings.to_string()).unwrap_err();
            let expected = format!("{place}/{key}");
            let at_key: Vec<_> = problems.iter().filter(|problem| problem.setting == expected).collect();
            assert_eq!(at_key.len(), 1, "{name}.{key}: {problems:?}");
            let is_unknown = at_key[0].message.contains("not known here; ");
            assert_eq!(is_unknown, key == "surely-unknown", "{name}.{key}: {problems:?}");
        }
    }
}

#[test]
fn words_are_the_same() {
    let schema = schema();
    let words = |place: &str| -> BTreeSet<String> {
        let list = schema.pointer(place).and_then(Value::as_array).unwrap_or_else(|| panic!("{place}"));
        list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(words("/$defs/rule/properties/operations/anyOf/0/enum"), set(OPERATIONS.map(|(name, _)| name)));
    for place in [
        "/$defs/condition/properties/operation/anyOf/0/enum",
        "/$defs/condition/properties/kind/anyOf/0/enum",
        "/$defs/condition/properties/outcome/anyOf/0/enum",
        "/$defs/time/properties/days/anyOf/0/enum",
        "/$defs/action/anyOf/0/enum",
        "/$defs/action-table/properties/verdict/enum",
        "/$defs/incident/properties/severity/enum",
        "/$defs/escalation/properties/severity/enum",
    ] {
        for word in words(place) {
            let read = |word: &str| {
                let (when, then) = match place {
                    _ if place.contains("/operation/") => (json!({ "operation": word }), json!("allow")),
                    _ if place.contains("/kind/") => (json!({ "kind": word }), json!("allow")),
                    _ if place.contains("/outcome/") => (json!({ "outcome": word }), json!("allow")),
                    _ if place.contains("/days/") => (json!({ "time": { "days": word } }), json!("allow")),
                    _ if place.contains("/escalation/") => {
                        let escalate = json!([{ "from-times": 2, "severity": word }]);
                        let incident = json!({ "severity": "low", "title": "t", "escalate": escalate });
                        (json!({}), json!({ "verdict": "allow", "incident": incident }))
                    }
                    _ if place.contains("/severity/") => {
                        let incident = json!({ "severity": word, "title": "t" });
                        (json!({}), json!({ "verdict": "allow", "incident": incident }))
                    }
                    _ if place.contains("action-table") => (json!({}), json!({ "verdict": word })),
                    _ => (json!({}), json!(word)),
                };
                let settings = json!({ "rules": [{ "name": "r", "when": when, "then": then }] });
                Settings::parse(&settings.to_string()).is_ok()
            };
            assert!(read(&word), "{place} {word}");
            assert!(!read(&format!("{word}x")), "{place} {word}x");
        }
    }
}

/// Puts a value at a place, and makes what leads there.
fn set_at(settings: &mut Value, place: &str, value: Value) {
    let mut here = settings;
    for step in place.split('/').skip(1) {
        here = match step.parse::<usize>() {
            Ok(_) => {
                *here = json!([{}]);
                &mut here[0]
            }
            Err(_) => &mut here[step],
        };
    }
    *here = value;
}
