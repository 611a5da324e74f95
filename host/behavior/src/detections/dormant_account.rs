//! `dormant-account`: an account that nobody has used for long is awake.
//!
//! Threshold: its last login was `days` days ago or longer. Learning period: none beyond the first login that the gateway saw.
//! False positives: long leave; accounts for a yearly task. MITRE ATT&CK: T1078 (Valid Accounts).
use crate::profile::window;
use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "dormant-account",
    group: Group::Habits,
    technique: Some("T1078"),
    score: 50,
    weights: Weights { account: 30, endpoint: 0, application: 0 },
};

settings! { ABOUT;
    /// Days without a login.
    days: u32 = 90,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|account| scene.seen.is_good_login() && account.last > 0)?;
    let days = window::seconds(scene.seen.at).saturating_sub(account.last) / 86_400;
    (days >= settings.days).then(|| format!("The account was not used for {days} days."))
}
