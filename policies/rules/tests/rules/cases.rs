//! Runs the tables in `cases/`.

use std::path::Path;

use rules::decide::decide;
use rules::settings::Settings;
use serde::Deserialize;

use crate::scene::{Known, Scene, effects, evidence, verdict};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// What the file shows.
    about: String,
    settings: toml::Value,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    access: Scene,
    #[serde(default)]
    facts: Known,
    /// Connector and outcome of each answered challenge.
    #[serde(default)]
    evidence: Vec<(String, String)>,
    verdict: String,
    #[serde(default)]
    effects: Vec<String>,
    /// Part of the reason.
    reason: Option<String>,
}

#[test]
fn every_case_is_decided_as_its_table_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!file.about.is_empty() && !file.case.is_empty(), "{} is empty", path.display());
        let settings = serde_json::to_string(&file.settings).unwrap();
        let settings = Settings::parse(&settings).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        for case in &file.case {
            count += 1;
            if let Some(difference) = difference(&settings, case) {
                wrong.push(format!("{}, {}: {difference}", path.display(), case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(count >= 60, "only {count} cases were found");
}

fn difference(settings: &Settings, case: &Case) -> Option<String> {
    let evidence: Vec<_> = case.evidence.iter().map(|(connector, outcome)| evidence(connector, outcome)).collect();
    let ruling = decide(settings, &case.access.access(), &evidence, &case.facts);
    let (verdict, effects) = (verdict(&ruling), effects(&ruling));
    if verdict != case.verdict || effects != case.effects {
        return Some(format!("{verdict} {effects:?}, and not {} {:?}", case.verdict, case.effects));
    }
    match &case.reason {
        Some(reason) if !ruling.reason.contains(reason.as_str()) => Some(format!("the reason is: {}", ruling.reason)),
        _ => None,
    }
}
