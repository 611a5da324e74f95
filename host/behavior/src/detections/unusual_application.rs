//! `unusual-application`: an account logs in to an application that it has not used before.
//!
//! Threshold: none of its earlier logins was to this application, and the application itself is older than the learning period.
//! Learning period: the account's (`[behavior]`), and the same time for the application, so that a new one does not give the signal
//! for each of its users. False positives: new duties. MITRE ATT&CK: T1078 (Valid Accounts).
use crate::profile::window;
use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "unusual-application",
    group: Group::Habits,
    technique: Some("T1078"),
    score: 30,
    weights: Weights { account: 15, endpoint: 0, application: 0 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login() && !scene.is_learning())?;
    let application = scene.application?;
    let age = window::seconds(scene.seen.at).saturating_sub(application.first);
    let is_new = application.first == 0 || u64::from(age) < scene.settings.learning_time.as_secs();
    let known = account.applications.len();
    (!is_new && account.applications.get(scene.seen.application).is_none()).then(|| {
        format!("The account has not used {} before; it uses {known} other{}.", scene.seen.application, plural(known))
    })
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
