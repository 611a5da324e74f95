//! `bulk-extraction`: an account reads far more of the directory in a day than it ever does.
//!
//! Threshold: the entries that the directory returned to the account today pass `entries`, five times the mean of its days and six
//! standard deviations beyond it; where `days` days are not known yet, ten times `entries`. Given once a day, when it is passed. It
//! is looked at when operations are summed up (`audit = "summary"`), so about a minute late. Learning period: `days` with entries read. False positives: a
//! first synchronisation; a migration. MITRE ATT&CK: T1213 (Data from Information Repositories).

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "bulk-extraction",
    group: Group::Reconnaissance,
    technique: Some("T1213"),
    score: 60,
    weights: Weights { account: 40, endpoint: 30, application: 10 },
};

settings! { ABOUT;
    /// Entries in a day below which nothing is too much.
    entries: u32 = 5_000,
    /// Days with entries read that have to be known.
    days: u32 = 5 => most super::MOST_DAYS,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account?;
    let entries = scene.seen.entries;
    let before = account.entries.on(scene.seen.at).saturating_add(scene.seen.ahead.entries);
    let after = before.saturating_add(entries);
    let is_known = account.entries.days_before(scene.seen.at) >= settings.days as f32 * 0.8;
    let passed = if is_known {
        super::unusual_volume::passes(&account.entries, scene.seen, before, after, settings.entries, settings.days)
    } else {
        let most = u64::from(settings.entries).saturating_mul(10);
        (before < most && after >= most).then_some(0.0)
    };
    passed.map(|mean| format!("{after} entries were read today; the account usually reads about {mean:.0} a day."))
}
