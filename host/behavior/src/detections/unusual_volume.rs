//! `unusual-volume`: an account does far more in a day than it ever does.
//!
//! Threshold: the day's operations pass `operations`, five times the mean of its days and six standard deviations beyond it. Given
//! once a day, when it is passed. Learning period: the account's, and `days` with operations. False positives: migrations, a month's
//! end, a new duty of a service account. MITRE ATT&CK: T1078 (Valid Accounts).
use crate::profile::decayed::Volume;
use crate::seen::Seen;
use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "unusual-volume",
    group: Group::Habits,
    technique: Some("T1078"),
    score: 40,
    weights: Weights { account: 20, endpoint: 0, application: 0 },
};

settings! { ABOUT;
    /// Operations in a day below which nothing is too much.
    operations: u32 = 500,
    /// Days with operations that have to be known.
    days: u32 = 5 => most super::MOST_DAYS,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| !scene.is_learning() && !scene.seen.is_failed_login())?;
    let before = account.volume.on(scene.seen.at).saturating_add(scene.seen.ahead.operations);
    let after = before.saturating_add(scene.seen.operations);
    passes(&account.volume, scene.seen, before, after, settings.operations, settings.days)
        .map(|mean| format!("{after} operations today; the account usually has about {mean:.0} a day."))
}

/// The usual amount of a day, where `after` is beyond what that allows and `before` was not.
pub(crate) fn passes(
    volume: &Volume,
    seen: &Seen<'_>,
    before: u64,
    after: u64,
    floor: u32,
    days: u32,
) -> Option<f32> {
    // Fading takes a little of each day, and none of the counting.
    if after < u64::from(floor) || volume.days_before(seen.at) < days as f32 * 0.8 {
        return None;
    }
    let (mean, deviation) = volume.usual(seen.at);
    let most = (floor as f32).max(5.0 * mean).max(mean + 6.0 * deviation);
    ((before as f32) < most && after as f32 >= most).then_some(mean)
}
