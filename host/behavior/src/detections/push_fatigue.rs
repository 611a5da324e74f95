//! `push-fatigue`: somebody with the password makes a person's phone ring again and again.
//!
//! Threshold: `challenges` challenges of the account within an hour were denied, dismissed, failed or not answered, and the password
//! is used once more. Learning period: none. False positives: a person without the phone at hand and an application that tries by
//! itself. MITRE ATT&CK: T1621 (Multi-Factor Authentication Request Generation).

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "push-fatigue",
    group: Group::Guessing,
    technique: Some("T1621"),
    score: 70,
    weights: Weights { account: 50, endpoint: 20, application: 0 },
};

settings! { ABOUT;
    /// Challenges within an hour that were not approved.
    challenges: u32 = 3,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login())?;
    let unanswered = account.unanswered.as_ref()?.count(scene.seen.at, 60);
    (unanswered >= settings.challenges)
        .then(|| format!("{unanswered} challenges of the account were not approved within an hour, and it logs in again."))
}
