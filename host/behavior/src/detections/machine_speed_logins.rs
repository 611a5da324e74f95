//! `machine-speed-logins`: a person's account logs in faster than a person can: a program has the password.
//!
//! Threshold: `logins` logins within two minutes to an account of a person that does not have some thousand a day anyway. Learning
//! period: none. False positives: mail servers and web applications that log their user in again for each request, which the daily
//! number tells after some days; exclude them by their network before. MITRE ATT&CK: T1078 (Valid Accounts).

use portcullis_core::AccountKind;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "machine-speed-logins",
    group: Group::Movement,
    technique: Some("T1078"),
    score: 50,
    weights: Weights { account: 30, endpoint: 20, application: 0 },
};

settings! { ABOUT;
    /// Logins within two minutes.
    logins: u32 = 60,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let seen = scene.seen;
    let is_person = seen.account.is_some_and(|account| account.kind == AccountKind::Human);
    let account = scene.account.filter(|_| is_person && seen.is_good_login())?;
    let logins = account.recent.as_ref().map_or(0, |recent| recent.count(seen.at, 2)) + 1;
    let (usual, _) = account.volume.usual(seen.at);
    (logins >= settings.logins && usual < 2_000.0)
        .then(|| format!("{logins} logins within two minutes are more than a person makes."))
}
