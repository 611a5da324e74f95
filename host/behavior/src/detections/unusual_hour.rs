//! `unusual-hour`: an account logs in at an hour at which it never does.
//!
//! Threshold: less than one in a hundred of its logins, the older ones counted for less, were at this hour of the day or the one
//! before or after it, and there are at least `logins` to compare with. Hours are those of UTC; a change to or from summer time
//! shifts them by one, which the hour beside covers. Learning period: the account's, and `logins`. False positives: travel, night
//! work, a first late evening. MITRE ATT&CK: T1078 (Valid Accounts).

use crate::profile::decayed::hour;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "unusual-hour",
    group: Group::Habits,
    technique: Some("T1078"),
    score: 20,
    weights: Weights { account: 10, endpoint: 0, application: 0 },
};

settings! { ABOUT;
    /// Logins that have to be known, fading by half a month.
    logins: u32 = 50,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login() && !scene.is_learning())?;
    let total = account.hours.total();
    if total < settings.logins as f32 {
        return None;
    }
    let now = hour(scene.seen.at);
    let near: f32 = [now + 23, now, now + 1].iter().map(|hour| account.hours.weight(hour % 24)).sum();
    (near < total / 100.0).then(|| format!("The account is hardly ever used around {now:02}:00 UTC."))
}
