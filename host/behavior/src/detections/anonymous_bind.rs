//! `anonymous-bind`: somebody binds as nobody.
//!
//! Threshold: one anonymous bind that the directory accepted. Given once a day for each machine. Learning period: none. False
//! positives: programs that look at the root DSE first. MITRE ATT&CK: none; it is a matter of hygiene.

use portcullis_core::{BindMethod, Operation, Outcome};

use crate::profile::decayed::day;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "anonymous-bind",
    group: Group::Hygiene,
    technique: None,
    score: 5,
    weights: Weights { account: 0, endpoint: 0, application: 5 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    let seen = scene.seen;
    let nobody = matches!(seen.operation, Operation::Bind(BindMethod::Anonymous)) && seen.outcome == Outcome::Success;
    let said = scene.endpoint.map_or(0, |endpoint| endpoint.anonymous_said);
    (nobody && said < day(seen.at)).then(|| "Somebody bound as nobody, and the directory allows it.".to_owned())
}
