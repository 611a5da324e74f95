//! `empty-password-bind`: a bind with a name and without a password.
//!
//! Threshold: one. A directory takes it for an anonymous bind and says success (RFC 4513, section 5.1.2), which a careless
//! application takes for a correct password: an attacker needs no more than a name. The gateway refuses it unless the listener
//! allows it. Learning period: none. False positives: forms that were sent off empty. MITRE ATT&CK: T1078 (Valid Accounts).

use portcullis_core::gate::Tried;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "empty-password-bind",
    group: Group::Hygiene,
    technique: Some("T1078"),
    score: 30,
    weights: Weights { account: 0, endpoint: 10, application: 20 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    (scene.seen.tried == Tried::EmptyPassword)
        .then(|| "A name was given and no password, which some applications take for a login.".to_owned())
}
