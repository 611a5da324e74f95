//! `impossible-travel`: an account is used at two places between which nobody can have travelled.
//!
//! Threshold: from the last known place, of cloud services and of sites alike, to this one it is more than `kilometres` with both
//! uncertainties taken off, and that in so little time that it takes more than `kilometres-per-hour`. Learning period: none beyond
//! one login. False positives: VPN services, mobile networks and cloud proxies, whose addresses are placed wherever their operator
//! is; a session that runs on at home while its owner travels. MITRE ATT&CK: T1078 (Valid Accounts).

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "impossible-travel",
    group: Group::Movement,
    technique: Some("T1078"),
    score: 70,
    weights: Weights { account: 40, endpoint: 10, application: 0 },
};

settings! { ABOUT;
    /// Faster than this cannot be.
    kilometres_per_hour: u32 = 1_000,
    /// A way that is shorter does not count.
    kilometres: u32 = 500,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login())?;
    let (here, before) = (scene.seen.place?, account.latest_place?);
    if scene.seen.at < before.at {
        return None;
    }
    let way = before.place.distance_km(&here) - before.place.uncertainty_km - here.uncertainty_km;
    let hours = scene.seen.at.since(before.at).as_secs_f32() / 3_600.0;
    let possible = hours * settings.kilometres_per_hour as f32;
    (way > settings.kilometres as f32 && way > possible).then(|| {
        let there = if before.in_cloud { "a cloud service" } else { "a site" };
        format!("{way:.0} km away, the account was used through {there} {:.0} minutes before.", hours * 60.0)
    })
}
