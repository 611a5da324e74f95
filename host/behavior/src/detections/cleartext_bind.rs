//! `cleartext-bind`: a password crosses the network in clear text.
//!
//! Threshold: one simple bind with a password over a connection without TLS, except from the machine itself. Given once a day for
//! each machine. Learning period: none. False positives: where something else protects the way, such as a VPN; exclude its network.
//! MITRE ATT&CK: T1040 (Network Sniffing).

use portcullis_core::gate::Tried;
use portcullis_core::{BindMethod, Operation, Protection};

use crate::profile::decayed::day;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "cleartext-bind",
    group: Group::Hygiene,
    technique: Some("T1040"),
    score: 10,
    weights: Weights { account: 0, endpoint: 0, application: 10 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    let seen = scene.seen;
    let shown = matches!(seen.operation, Operation::Bind(BindMethod::Simple))
        && matches!(seen.tried, Tried::Password(_))
        && matches!(seen.protection, Some(Protection::Cleartext))
        && !seen.address?.is_loopback();
    let said = scene.endpoint.map_or(0, |endpoint| endpoint.cleartext_said);
    (shown && said < day(seen.at)).then(|| "The password crossed the network in clear text.".to_owned())
}
