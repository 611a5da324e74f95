//! `password-spray`: few passwords are tried on many accounts from one machine.
//!
//! Threshold: the same wrong password on `same-password-accounts` accounts within `within-minutes`, which is proof (passwords are
//! compared by a keyed hash that is in memory only); or logins to `accounts` different accounts refused within that time, and more
//! than were successful from there, because on an application's server some of many people always mistype. Learning period: none.
//! False positives: an application whose own connection to its users is broken, so that all of them fail; a default password that
//! many were given. MITRE ATT&CK: T1110.003 (Password Spraying).

use crate::seen::short;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "password-spray",
    group: Group::Guessing,
    technique: Some("T1110.003"),
    score: 80,
    weights: Weights { account: 15, endpoint: 60, application: 20 },
};

settings! { ABOUT;
    /// Accounts on which the same password failed,
    same_password_accounts: u32 = 5 => most 256,
    /// or accounts whose logins were refused,
    accounts: u32 = 15 => most 256,
    /// within so many minutes.
    within_minutes: u32 = 60,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let endpoint = scene.endpoint.filter(|_| scene.seen.is_failed_login())?;
    let minutes = settings.within_minutes;
    let same = endpoint.same_password(scene.seen, minutes);
    if same >= settings.same_password_accounts as usize {
        return Some(format!("The same password was tried on {same} accounts from this machine within {minutes} minutes."));
    }
    let name = short(scene.seen.account?.id.as_str());
    let refused = endpoint.failed.distinct(scene.seen.at, minutes);
    let refused = refused + usize::from(!endpoint.failed.has(name, scene.seen.at, minutes));
    let successful = endpoint.recent.distinct(scene.seen.at, minutes);
    (refused >= settings.accounts as usize && refused > successful).then(|| {
        format!(
            "Logins to {refused} accounts were refused from this machine within {minutes} minutes, and to {successful} accepted."
        )
    })
}
