//! `guessed-after-failures`: a login succeeds after many wrong passwords.
//!
//! Threshold: `guesses` different wrong passwords within `within-minutes` before it; half as many where the account has not used
//! the machine before. Learning period: none. False positives: somebody who has forgotten a password and remembers it in the end,
//! which is why it takes more than people usually have the patience for. MITRE ATT&CK: T1110 (Brute Force).

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "guessed-after-failures",
    group: Group::Guessing,
    technique: Some("T1110"),
    score: 70,
    weights: Weights { account: 60, endpoint: 30, application: 0 },
};

settings! { ABOUT;
    /// Different wrong passwords before the right one,
    guesses: u32 = 8,
    /// within so many minutes, at most 60.
    within_minutes: u32 = 30,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login())?;
    let needed = if scene.seen.associated { settings.guesses } else { settings.guesses.div_ceil(2) };
    let guesses = account.guesses(scene.seen, settings.within_minutes);
    (guesses >= needed).then(|| {
        format!("The login succeeded after {guesses} wrong passwords within {} minutes.", settings.within_minutes)
    })
}
