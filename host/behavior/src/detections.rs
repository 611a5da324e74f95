//! The catalogue of detections: a module for each, which says what it is about ([`About`]), what can be set, and whether an access
//! gives its signal.
//!
//! A detection looks at one access and at what was learned before it. It has no state of its own, waits for nothing and costs
//! less than a microsecond. Valid users are to be left alone, so thresholds are such that an ordinary day gives none.

use ipnet::IpNet;
use portcullis_core::Signal;
use portcullis_core::escalation::{self, Escalation};
use portcullis_core::gate::Notable;
use portcullis_core::policy::Severity;
use serde::Deserialize;

use crate::Settings;
use crate::profile::{AccountProfile, ApplicationProfile, EndpointProfile};
use crate::seen::Seen;

mod exclusion;
pub mod severity;

pub use exclusion::Exclusion;
use exclusion::is_wanted;
pub(crate) use exclusion::names_account;

/// What belongs together, for exclusions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Passwords and names are guessed.
    Guessing,
    /// Something is other than usual.
    Habits,
    /// An account or a machine is where it should not be.
    Movement,
    /// The directory is explored or read out.
    Reconnaissance,
    /// What gives power is changed.
    Changes,
    /// Something is done in an unsafe way.
    Hygiene,
}

impl Group {
    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guessing => "guessing",
            Self::Habits => "habits",
            Self::Movement => "movement",
            Self::Reconnaissance => "reconnaissance",
            Self::Changes => "changes",
            Self::Hygiene => "hygiene",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Guessing, Self::Habits, Self::Movement, Self::Reconnaissance, Self::Changes, Self::Hygiene];
}

/// What a detection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Name of the signal.
    pub name: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// MITRE ATT&CK technique, where there is one.
    pub technique: Option<&'static str>,
    /// 0 to 100, unless the configuration says otherwise.
    pub score: u8,
    /// What it adds to the risk of the account, the endpoint and the application, 0 to 100 each.
    pub weights: Weights,
}

/// What a signal adds to risks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Weights {
    pub account: u8,
    pub endpoint: u8,
    pub application: u8,
}

/// An access with what was learned before it.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The access.
    pub seen: &'a Seen<'a>,
    /// The account; none for nobody in particular, and for mere names.
    pub account: Option<&'a AccountProfile>,
    /// The endpoint.
    pub endpoint: Option<&'a EndpointProfile>,
    /// The application.
    pub application: Option<&'a ApplicationProfile>,
    /// Learning periods.
    pub settings: &'a Settings,
}

impl Scene<'_> {
    /// Too little is known of the account to call anything about it unusual.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        let Some(account) = self.account else { return true };
        account.logins < self.settings.learning_accesses
            || u64::from(account.days_known(self.seen.at)) < self.settings.learning_time.as_secs() / 86_400
    }
}

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
                    if let Some(problem) = $crate::detections::Limit::wrong(&self.$field, most) {
                        wrong.push((stringify!($field).replace('_', "-"), problem));
                    }
                )*
                wrong
            }
        }
    };
}
pub(crate) use settings;

/// All detections: `given` are those whose signals come with what is said of the endpoint.
macro_rules! catalogue {
    (given { $($given:ident),* } found { $($found:ident),* $(,)? }) => {
        $(pub mod $found;)*

        /// Settings of all detections, by the names of their signals.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        #[expect(missing_docs, reason = "the modules are documented")]
        pub struct Detections {
            $(pub $given: crate::$given::Settings,)*
            $(pub $found: $found::Settings,)*
        }

        /// What all detections are about.
        pub const CATALOGUE: &[&About] = &[$(&crate::$given::ABOUT,)* $(&$found::ABOUT,)*];

        /// Takes out, of what is said of the endpoint, what the administrator does not want to be told.
        pub(crate) fn keep_wanted(seen: &Seen<'_>, settings: &Settings, signals: &mut Vec<Signal>) {
            $(if let Some(place) = signals.iter().position(|signal| signal.name == crate::$given::ABOUT.name)
                && !is_wanted(&crate::$given::ABOUT, &settings.detections.$given, seen, settings)
            {
                signals.remove(place);
            })*
        }

        /// Adds the signals that the access gives.
        pub(crate) fn look(scene: &Scene<'_>, signals: &mut Vec<Signal>) {
            let settings = scene.settings;
            $({
                let own = &settings.detections.$found;
                if own.enabled
                    && let Some(reason) = $found::look(scene, own)
                    && is_wanted(&$found::ABOUT, own, scene.seen, settings)
                {
                    let name = $found::ABOUT.name.to_owned();
                    signals.push(Signal { name, score: Common::score(own), reason });
                }
            })*
        }

        impl Detections {
            /// What makes no sense: detection, setting and what is wrong.
            #[must_use]
            pub fn problems(&self) -> Vec<(&'static str, String, String)> {
                let mut problems = Vec::new();
                $(complain(crate::$given::ABOUT.name, &self.$given, &mut problems);)*
                $(complain($found::ABOUT.name, &self.$found, &mut problems);)*
                problems
            }

            /// How severe an incident the signal of this name opens; none where it opens none.
            #[must_use]
            pub fn incident(&self, name: &str) -> Option<Severity> {
                self.common(name)?.incident().severity()
            }

            /// When that becomes more severe by itself.
            #[must_use]
            pub fn escalations(&self, name: &str) -> &[Escalation] {
                self.common(name).map_or(&[], Common::escalate)
            }

            fn common(&self, name: &str) -> Option<&dyn Common> {
                $(if name == crate::$given::ABOUT.name {
                    return Some(&self.$given);
                })*
                $(if name == $found::ABOUT.name {
                    return Some(&self.$found);
                })*
                None
            }
        }
    };
}

catalogue! {
    given { unusual_endpoint, shared_endpoint }
    found {
        brute_force, password_spray, guessed_after_failures, account_enumeration,
        unusual_application, unusual_hour, unusual_volume, unusual_place, dormant_account,
        impossible_travel, service_account_misused, lateral_movement, machine_speed_logins, push_fatigue,
        directory_reconnaissance, spn_enumeration, delegation_hunting, secret_attributes_read, bulk_extraction, honeytoken,
        privileged_group_changed, sensitive_attribute_written,
        cleartext_bind, anonymous_bind, empty_password_bind,
    }
}

fn complain(name: &'static str, own: &impl Common, problems: &mut Vec<(&'static str, String, String)>) {
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

impl Detections {
    /// The searches that one of the detections could have something to say to; none where none of them is looked for.
    #[must_use]
    pub fn notable(&self) -> Option<Notable> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut notable = Notable::default();
        if self.secret_attributes_read.enabled {
            notable.attributes.extend_from_slice(&self.secret_attributes_read.attributes);
        }
        if self.spn_enumeration.enabled {
            notable.listed = names(&["servicePrincipalName"]);
        }
        if self.delegation_hunting.enabled {
            notable.matched = names(&["userAccountControl"]);
            notable.attributes.extend(names(&["msDS-AllowedToDelegateTo", "msDS-AllowedToActOnBehalfOfOtherIdentity"]));
        }
        if self.honeytoken.enabled {
            notable.entries.clone_from(&self.honeytoken.entries);
        }
        if self.directory_reconnaissance.enabled {
            notable.attributes.push("adminCount".to_owned());
            notable.broad = Some(names(&directory_reconnaissance::BROAD));
        }
        (notable != Notable::default()).then_some(notable)
    }
}

/// The account has searched in this way for a day or longer, and not just once.
pub(crate) fn is_usual_search(scene: &Scene<'_>, search: &portcullis_core::Search) -> bool {
    let shape = crate::seen::short(&crate::filter::shape(&search.filter));
    let habit = scene.account.and_then(|account| account.shapes.get(&shape));
    let now = crate::profile::window::seconds(scene.seen.at);
    habit.is_some_and(|habit| now.saturating_sub(habit.first) >= 86_400 && habit.count >= 5)
}

/// What the detection of this name is about.
#[must_use]
pub fn about(name: &str) -> Option<&'static About> {
    CATALOGUE.iter().copied().find(|about| about.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_detection_has_a_name_of_its_own_and_a_weight() {
        let names: std::collections::HashSet<_> = CATALOGUE.iter().map(|about| about.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for about in CATALOGUE {
            let Weights { account, endpoint, application } = about.weights;
            assert!(about.score <= 100 && account.max(endpoint).max(application) <= 100, "{}", about.name);
            assert_eq!(super::about(about.name), Some(*about));
        }
        assert!(Detections::default().problems().is_empty());
    }

    #[test]
    fn settings_say_what_makes_no_sense() {
        let read: Detections = toml::from_str("brute-force = { guesses = 0 }\nhoneytoken = { score = 0 }").unwrap();
        let problems = read.problems();
        let places: Vec<_> = problems.iter().map(|(name, setting, _)| (*name, setting.as_str())).collect();
        assert_eq!(places, [("brute-force", "guesses"), ("honeytoken", "score")]);
        for (text, most) in [
            ("brute-force.within-minutes", 60),
            ("guessed-after-failures.within-minutes", 60),
            ("password-spray.accounts", 256),
            ("password-spray.same-password-accounts", 256),
            ("account-enumeration.names", 256),
            ("lateral-movement.targets", 32),
            ("lateral-movement.accounts", 128),
            ("bulk-extraction.days", 50),
            ("unusual-volume.days", 50),
            ("shared-endpoint.score", 0),
        ] {
            let problems = |value: u32| toml::from_str::<Detections>(&format!("{text} = {value}")).unwrap().problems();
            assert_eq!((problems(most).len(), problems(most + 1).len()), (0, 1), "{text}");
        }
        let read: Detections = toml::from_str(
            "unusual-hour.escalate = [{ from-times = 3, severity = \"high\" }]
             honeytoken.escalate = [{ after-seconds = 60, severity = \"critical\" }]
             brute-force.escalate = [{ from-times = 3, severity = \"high\" }, { severity = \"critical\" }]",
        )
        .unwrap();
        let problems = read.problems();
        let places: Vec<_> =
            problems.iter().map(|(name, setting, text)| (*name, setting.as_str(), text.as_str())).collect();
        assert_eq!(places.len(), 3, "{places:?}");
        assert!(places.iter().all(|(_, setting, _)| *setting == "escalate"));
        let of = |wanted: &str| places.iter().find(|(name, ..)| *name == wanted).unwrap().2;
        assert!(of("unusual-hour").contains("set `incident` as well"));
        assert!(of("honeytoken").contains("not more severe"));
        assert!(of("brute-force").starts_with("entry 2 needs"));
        assert_eq!((read.escalations("brute-force").len(), read.escalations("password-spray").len()), (2, 0));
        let wrong = toml::from_str::<Detections>("brute-force = { gueses = 3 }").unwrap_err().to_string();
        assert!(wrong.contains("unknown field `gueses`") && wrong.contains("`guesses`"), "{wrong}");
    }
}
