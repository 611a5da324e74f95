//! `brute-force`: many different passwords are tried on one account.
//!
//! Threshold: `guesses` different wrong passwords on one account within `within-minutes`, over all machines. The same wrong
//! password again, of a program that was not told the new one, is no guess; where passwords cannot be told apart (SASL, cloud
//! services), each refusal counts. Learning period: none. False positives: a vault or a scanner that tries a list of its own
//! passwords. MITRE ATT&CK: T1110.001 (Password Guessing).

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "brute-force",
    group: Group::Guessing,
    technique: Some("T1110.001"),
    score: 60,
    weights: Weights { account: 20, endpoint: 50, application: 10 },
};

settings! { ABOUT;
    /// Different wrong passwords on one account,
    guesses: u32 = 10,
    /// within so many minutes, at most 60.
    within_minutes: u32 = 10 => most super::MOST_MINUTES,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_failed_login())?;
    let guesses = account.guesses(scene.seen, settings.within_minutes);
    (guesses >= settings.guesses).then(|| {
        format!("{guesses} wrong passwords were tried on the account within {} minutes.", settings.within_minutes)
    })
}
