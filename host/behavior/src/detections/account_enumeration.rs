//! `account-enumeration`: names are tried to see which exist.
//!
//! Threshold: `names` different names that the directory does not have are tried from one machine within `within-minutes`.
//! Learning period: none. False positives: an application that is pointed at another directory than its users are in, or that
//! builds their names wrongly. MITRE ATT&CK: T1087.002 (Account Discovery: Domain Account).

use crate::seen::{is_known, short};

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "account-enumeration",
    group: Group::Guessing,
    technique: Some("T1087.002"),
    score: 50,
    weights: Weights { account: 0, endpoint: 40, application: 10 },
};

settings! { ABOUT;
    /// Names that nobody has,
    names: u32 = 15 => most 256,
    /// within so many minutes.
    within_minutes: u32 = 60,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let endpoint = scene.endpoint.filter(|_| scene.seen.is_failed_login())?;
    let name = scene.seen.account.filter(|account| !is_known(account)).map(|account| short(account.id.as_str()))?;
    let (at, minutes) = (scene.seen.at, settings.within_minutes);
    let names = endpoint.unknown.distinct(at, minutes) + usize::from(!endpoint.unknown.has(name, at, minutes));
    (names >= settings.names as usize)
        .then(|| format!("{names} names that nobody has were tried from this machine within {minutes} minutes."))
}
