//! `guessed-after-failures`: a login succeeds after many wrong passwords.
//!
//! Threshold: `guesses` different wrong passwords within `within-minutes` before it; half as many where the account has not used
//! the machine before. From a machine that it has used, only if some of the wrong ones came from there too. Learning period:
//! none. False positives: somebody who has forgotten a password and remembers it in the end, which is why it takes more than
//! people usually have the patience for. MITRE ATT&CK: T1110 (Brute Force).

use std::net::IpAddr;

use super::{About, Group, Scene, Weights};
use crate::seen::short;

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
    within_minutes: u32 = 30 => most super::MOST_MINUTES,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login())?;
    let minutes = settings.within_minutes;
    let is_source = |address: IpAddr| account.failed_from.has(short(&address.to_string()), scene.seen.at, minutes);
    // While somebody else guesses from elsewhere, the account's owner goes on working.
    if scene.seen.associated && !scene.seen.address.is_some_and(is_source) {
        return None;
    }
    let needed = if scene.seen.associated { settings.guesses } else { settings.guesses.div_ceil(2) };
    let guesses = account.guesses(scene.seen, minutes);
    (guesses >= needed).then(|| {
        format!("The login succeeded after {guesses} wrong passwords within {minutes} minutes.")
    })
}
