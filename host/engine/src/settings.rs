//! What a plugin says about itself, and what can be told about its settings before it sees them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{EngineError, Problem};

/// Longest name and version, in bytes.
const MAX_NAME: usize = 64;
/// Longest summary, in bytes.
const MAX_SUMMARY: usize = 1 << 10;

/// What a plugin tells about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for, in one sentence.
    pub summary: String,
    /// JSON Schema (draft 2020-12) of its settings.
    pub settings_schema: Value,
}

impl Manifest {
    /// Takes what the plugin said, if it keeps to the contract.
    pub(crate) fn check(
        file: &str,
        name: String,
        version: String,
        summary: String,
        schema: &str,
    ) -> Result<Self, EngineError> {
        let wrong = |reason: String| EngineError::Manifest { file: file.to_owned(), reason };
        let letters = |text: &str, more: &str| {
            !text.is_empty()
                && text.len() <= MAX_NAME
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
        };
        if !letters(&name, "-") {
            return Err(wrong("its name has to be 1 to 64 lower-case letters, digits and hyphens".into()));
        }
        if !letters(&version.to_ascii_lowercase(), ".-+") || version.split('.').count() < 3 {
            return Err(wrong("its version has to be a semantic version such as 1.2.0".into()));
        }
        if summary.len() > MAX_SUMMARY || summary.chars().any(char::is_control) {
            return Err(wrong(format!("its summary has to be one line of at most {MAX_SUMMARY} bytes")));
        }
        match serde_json::from_str(schema) {
            Ok(settings_schema @ Value::Object(_)) => Ok(Self { name, version, summary, settings_schema }),
            Ok(_) => Err(wrong("its settings schema is not a JSON object".into())),
            Err(error) => Err(wrong(format!("its settings schema is not JSON: {error}"))),
        }
    }
}

/// Problems that the schema's secrets make plain: a secret among the settings, which the plugin would see, and a secret
/// that it needs and is not granted.
pub(crate) fn secret_problems(schema: &Value, settings: &Value, granted: &BTreeSet<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !settings.is_object() {
        problems.push(Problem { setting: String::new(), message: "the settings have to be a JSON object".into() });
    }
    secrets_inside(schema, settings, "", &mut problems);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        let property = schema.get("properties").and_then(|all| all.get(name));
        if property.is_some_and(is_secret) && !granted.contains(name) {
            let message = format!("the secret `{name}` is missing: grant it under the connector's secrets");
            problems.push(Problem { setting: pointer("", name), message });
        }
    }
    problems
}

fn secrets_inside(schema: &Value, settings: &Value, path: &str, problems: &mut Vec<Problem>) {
    if let (Some(items), Some(values)) = (schema.get("items"), settings.as_array()) {
        for (place, value) in values.iter().enumerate() {
            secret_at(items, value, pointer(path, &place.to_string()), problems);
        }
    }
    let (Some(properties), Some(values)) = (schema.get("properties").and_then(Value::as_object), settings.as_object())
    else {
        return;
    };
    for (name, property) in properties {
        let Some(value) = values.get(name) else { continue };
        secret_at(property, value, pointer(path, name), problems);
    }
}

fn secret_at(schema: &Value, value: &Value, path: String, problems: &mut Vec<Problem>) {
    if is_secret(schema) {
        let message =
            "is a secret, which plugins do not see: take it out of the settings, put it into a file of its own \
                       and name that file under the connector's secrets"
                .to_owned();
        problems.push(Problem { setting: path, message });
    } else {
        secrets_inside(schema, value, &path, problems);
    }
}

fn is_secret(property: &Value) -> bool {
    property.get("format").and_then(Value::as_str) == Some("secret")
}

fn pointer(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{Manifest, secret_problems};

    #[test]
    fn a_secret_among_the_settings_is_refused_wherever_it_stands() {
        let schema = json!({"properties": {
            "token": {"type": "string", "format": "secret"},
            "proxy": {"type": "object", "properties": {"pass/word": {"format": "secret"}}},
            "more": {"type": "array", "items": {"properties": {"key": {"format": "secret"}}}},
        }});
        let settings = json!({
            "token": "hunter2hunter2",
            "proxy": {"pass/word": "hunter3hunter3"},
            "more": [{}, {"key": "hunter4hunter4"}],
        });
        let problems = secret_problems(&schema, &settings, &BTreeSet::new());
        let places: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        assert_eq!(places, ["/more/1/key", "/proxy/pass~1word", "/token"]);
        assert!(!format!("{problems:?}").contains("hunter"), "the advice must not repeat the secret");
    }

    #[test]
    fn a_required_secret_has_to_be_granted() {
        let schema = json!({"required": ["token", "url"], "properties": {"token": {"format": "secret"}, "url": {}}});
        assert_eq!(secret_problems(&schema, &json!({}), &BTreeSet::new()).len(), 1);
        assert!(secret_problems(&schema, &json!({}), &BTreeSet::from(["token"])).is_empty());
    }

    #[test]
    fn settings_are_an_object() {
        assert_eq!(secret_problems(&json!({}), &json!([]), &BTreeSet::new()).len(), 1);
    }

    #[test]
    fn a_manifest_keeps_to_the_contract() {
        let check = |name: &str, version: &str, schema: &str| {
            Manifest::check("x.wasm", name.into(), version.into(), "Does x.".into(), schema)
        };
        assert!(check("okta-verify", "1.2.0-rc.1", "{}").is_ok());
        for (name, version, schema) in [
            ("Okta", "1.2.0", "{}"),
            ("", "1.2.0", "{}"),
            ("a\nb", "1.2.0", "{}"),
            ("a", "1", "{}"),
            ("a", "1.2.\u{1b}", "{}"),
            ("a", "1.2.0", "[]"),
            ("a", "1.2.0", "{"),
        ] {
            assert!(check(name, version, schema).is_err(), "{name:?} {version:?} {schema:?}");
        }
    }
}
