//! `honeytoken`: somebody touches what nobody has a reason to touch.
//!
//! Threshold: any login, refused or not, to one of `accounts`, any operation by one of them, and any operation that names one of
//! `entries` or an entry below it. Empty unless set. Learning period: none. False positives: whoever reads everything; exclude
//! backups by their account. MITRE ATT&CK: T1087.002 (Account Discovery: Domain Account).

use portcullis_core::dn;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "honeytoken",
    group: Group::Reconnaissance,
    technique: Some("T1087.002"),
    score: 100,
    weights: Weights { account: 80, endpoint: 80, application: 0 },
};

settings! { ABOUT;
    /// Logins or DNs.
    accounts: Vec<String> = Vec::new(),
    /// DNs.
    entries: Vec<String> = Vec::new(),
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let seen = scene.seen;
    if !settings.accounts.is_empty() && super::names_account(&settings.accounts, seen) {
        return Some("The account is a honeytoken: nobody has a reason to use it.".to_owned());
    }
    let entry = seen.entry.filter(|_| !settings.entries.is_empty())?;
    let touched = settings.entries.iter().find(|honey| dn::may_be_under(entry, honey))?;
    Some(format!("It touches {touched}, which is a honeytoken."))
}
