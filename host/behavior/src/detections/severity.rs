//! How severe the incident is that a detection opens, unless the configuration says otherwise.

use portcullis_core::policy::Severity;
use serde::Deserialize;

/// The setting `incident` of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incident {
    /// Its signal opens none.
    None,
    /// At least so severe.
    Low,
    /// At least so severe.
    Medium,
    /// At least so severe.
    High,
    /// At least so severe.
    Critical,
}

impl Incident {
    /// None where none is opened.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::None => None,
            Self::Low => Some(Severity::Low),
            Self::Medium => Some(Severity::Medium),
            Self::High => Some(Severity::High),
            Self::Critical => Some(Severity::Critical),
        }
    }
}

/// Signals that an ordinary person gives now and then open none; those that hardly anything but an attack gives do.
pub(crate) fn usual(name: &str) -> Incident {
    match name {
        // Nobody has a reason to be there.
        "honeytoken" => Incident::Critical,
        // What an attacker does, or has achieved.
        "password-spray"
        | "guessed-after-failures"
        | "push-fatigue"
        | "spn-enumeration"
        | "delegation-hunting"
        | "secret-attributes-read"
        | "sensitive-attribute-written" => Incident::High,
        // Somebody has to look; at times it is an administrator at work, or a program gone wrong.
        "brute-force"
        | "account-enumeration"
        | "directory-reconnaissance"
        | "impossible-travel"
        | "service-account-misused"
        | "lateral-movement"
        | "bulk-extraction"
        | "privileged-group-changed" => Incident::Medium,
        _ => Incident::None,
    }
}

/// Whether the incident is the machine's and not the account's: one machine tries many accounts, and each of them would
/// have an incident for what is one attack.
#[must_use]
pub fn is_of_machine(name: &str) -> bool {
    matches!(name, "password-spray" | "account-enumeration")
}

#[cfg(test)]
mod tests {
    use super::super::{CATALOGUE, Detections};
    use super::*;

    #[test]
    fn only_known_detections_open_incidents_and_settings_go_before() {
        let usual: Vec<_> = CATALOGUE.iter().filter(|about| usual(about.name) != Incident::None).collect();
        assert_eq!(usual.len(), 16, "each name in the list is that of a detection");
        let all = Detections::default();
        assert_eq!(all.incident("honeytoken"), Some(Severity::Critical));
        assert_eq!(all.incident("unusual-hour"), None);
        assert_eq!(all.incident("no-such-detection"), None);
        let set: Detections =
            toml::from_str("honeytoken = { incident = \"none\" }\nunusual-hour = { incident = \"low\" }").unwrap();
        assert_eq!((set.incident("honeytoken"), set.incident("unusual-hour")), (None, Some(Severity::Low)));
        toml::from_str::<Detections>("honeytoken = { incident = \"severe\" }").unwrap_err();
    }
}
