//! The catalogue of detections: a module for each, which says what it is about ([`About`]), what can be set, and whether an access
//! gives its signal.
//!
//! A detection looks at one access and at what was learned before it. It has no state of its own, waits for nothing and costs
//! less than a microsecond. Valid users are to be left alone, so thresholds are such that an ordinary day gives none.

use portcullis_core::escalation::Escalation;
use portcullis_core::gate::Notable;
use portcullis_core::policy::Severity;
use portcullis_core::{Signal, attribute};
use serde::Deserialize;

use crate::Settings;
use crate::profile::{AccountProfile, ApplicationProfile, EndpointProfile};
use crate::seen::Seen;

#[macro_use]
mod common;
mod exclusion;
pub mod severity;

use common::complain;
pub(crate) use common::{Common, MOST_DAYS, MOST_MINUTES, settings};
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

impl Detections {
    /// The searches that one of the detections could have something to say to; none where none of them is looked for.
    #[must_use]
    pub fn notable(&self) -> Option<Notable> {
        let names = |names: &[&str]| names.iter().map(|name| attribute::name(name).to_owned()).collect::<Vec<_>>();
        let mut notable = Notable::default();
        if self.secret_attributes_read.enabled {
            let secret: Vec<_> = self.secret_attributes_read.attributes.iter().map(String::as_str).collect();
            notable.attributes.extend(names(&secret));
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
