//! What is common to the settings of all detections, and what is wrong with them.

use ipnet::IpNet;
use portcullis_core::escalation::{self, Escalation};

use super::severity;

/// What is common to the settings of all detections.
pub(crate) trait Common {
    fn enabled(&self) -> bool;
    fn score(&self) -> u8;
    fn except_accounts(&self) -> &[String];
    fn except_networks(&self) -> &[IpNet];
    fn incident(&self) -> severity::Incident;
    fn escalate(&self) -> &[Escalation];
    /// Settings with which the signal would be given always or never, and why.
    fn wrong(&self) -> Vec<(String, String)>;
}

pub(crate) trait Limit {
    /// What is wrong with it, where more than `most` are never counted.
    fn wrong(&self, most: u32) -> Option<String>;
}

impl Limit for u32 {
    fn wrong(&self, most: u32) -> Option<String> {
        match *self {
            0 => Some("is 0: set enabled = false to be told nothing".to_owned()),
            value if value > most => Some(format!("is more than {most}, and no more than that are kept")),
            _ => None,
        }
    }
}

impl Limit for Vec<String> {
    fn wrong(&self, _: u32) -> Option<String> {
        None
    }
}

/// Minutes that failures and the like are kept.
pub(crate) const MOST_MINUTES: u32 = 60;
/// Days, where a month ago weighs half, that there can be.
pub(crate) const MOST_DAYS: u32 = 50;

/// The settings of a detection: what is common to all, and its own with their defaults and, where more than so many are never
/// kept, that number.
macro_rules! settings {
    ($about:expr; $($(#[$doc:meta])* $field:ident: $type:ty = $value:expr $(=> most $most:expr)?),* $(,)?) => {
        /// Settings.
        #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct Settings {
            /// Whether it is looked for.
            pub enabled: bool,
            /// Score of the signal, 0 to 100.
            pub score: u8,
            /// Logins or DNs that do not give it.
            pub except_accounts: Vec<String>,
            /// Networks that do not give it.
            pub except_networks: Vec<ipnet::IpNet>,
            /// Whether the signal opens an incident.
            pub incident: $crate::detections::severity::Incident,
            /// When that becomes more severe by itself.
            pub escalate: Vec<portcullis_core::escalation::Escalation>,
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    enabled: true,
                    score: $about.score,
                    except_accounts: Vec::new(),
                    except_networks: Vec::new(),
                    incident: $crate::detections::severity::usual($about.name),
                    escalate: Vec::new(),
                    $($field: $value,)*
                }
            }
        }

        impl $crate::detections::Common for Settings {
            fn enabled(&self) -> bool {
                self.enabled
            }
            fn score(&self) -> u8 {
                self.score.min(100)
            }
            fn except_accounts(&self) -> &[String] {
                &self.except_accounts
            }
            fn except_networks(&self) -> &[ipnet::IpNet] {
                &self.except_networks
            }
            fn incident(&self) -> $crate::detections::severity::Incident {
                self.incident
            }
            fn escalate(&self) -> &[portcullis_core::escalation::Escalation] {
                &self.escalate
            }
            fn wrong(&self) -> Vec<(String, String)> {
                #[allow(unused_mut, reason = "some detections have no settings of their own")]
                let mut wrong = Vec::new();
                $(
                    let most = u32::MAX $(.min($most))?;
                    if let Some(problem) = $crate::detections::common::Limit::wrong(&self.$field, most) {
                        wrong.push((stringify!($field).replace('_', "-"), problem));
                    }
                )*
                wrong
            }
        }
    };
}
pub(crate) use settings;

/// Adds what makes no sense.
pub(super) fn complain(name: &'static str, own: &impl Common, problems: &mut Vec<(&'static str, String, String)>) {
    let score = match (name == crate::shared_endpoint::NAME, own.score()) {
        (false, 0) => Some("is 0: set enabled = false to be told nothing"),
        (true, 1..) => Some("is not 0, and this signal describes without accusing: leave it out"),
        _ => None,
    };
    problems.extend(score.map(|problem| (name, "score".to_owned(), problem.to_owned())));
    match own.incident().severity() {
        Some(severity) => {
            for (place, problem) in escalation::problems(own.escalate(), severity) {
                problems.push((name, "escalate".to_owned(), format!("entry {} {problem}", place + 1)));
            }
        }
        None if own.escalate().is_empty() => {}
        None => {
            let text = "has no incident that could become more severe: set `incident` as well";
            problems.push((name, "escalate".to_owned(), text.to_owned()));
        }
    }
    problems.extend(own.wrong().into_iter().map(|(setting, problem)| (name, setting, problem)));
}
