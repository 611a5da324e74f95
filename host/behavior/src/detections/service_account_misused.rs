//! `service-account-misused`: a program's account is used in another way than by its program.
//!
//! Threshold: a service account signs in to a cloud service or one of its applications; or, after learning, logs in from a machine,
//! or to an application, that it has not used before. Learning period: the account's, except for the cloud. False positives: the
//! program moves to another server, or is given another task. MITRE ATT&CK: T1078.002 (Domain Accounts).

use portcullis_core::AccountKind;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "service-account-misused",
    group: Group::Movement,
    technique: Some("T1078.002"),
    score: 70,
    weights: Weights { account: 50, endpoint: 20, application: 0 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    let seen = scene.seen;
    let is_service = seen.account.is_some_and(|account| account.kind == AccountKind::Service);
    if !is_service || !seen.is_good_login() {
        return None;
    }
    if seen.in_cloud {
        return Some("A service account signs in to a cloud service.".to_owned());
    }
    let account = scene.account.filter(|_| !scene.is_learning())?;
    if !seen.associated {
        let known = account.endpoints.len();
        return Some(format!("A service account comes from a machine that it has not used before; it uses {known}."));
    }
    account
        .applications
        .get(seen.application)
        .is_none()
        .then(|| format!("A service account logs in to {}, which it has not used before.", seen.application))
}
