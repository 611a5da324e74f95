//! `spn-enumeration`: somebody lists service principals, whose tickets can be cracked offline (Kerberoasting).
//!
//! Threshold: one search, of more than a single entry, for `servicePrincipalName` with a wildcard or by its order, from an account that has not done
//! so for a day. Learning period: none. False positives: monitoring and inventory, until they have done it for a day. MITRE ATT&CK:
//! T1558.003 (Kerberoasting).

use portcullis_core::{Operation, SearchScope, attribute};

use crate::filter::comparisons;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "spn-enumeration",
    group: Group::Reconnaissance,
    technique: Some("T1558.003"),
    score: 70,
    weights: Weights { account: 50, endpoint: 40, application: 0 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    let Operation::Search(Some(search)) = scene.seen.operation else { return None };
    let lists = comparisons(&search.filter)
        .any(|one| attribute::is(one.attribute, "servicePrincipalName") && (one.is_order || one.value.contains('*')));
    (lists && search.scope != SearchScope::Base && !super::is_usual_search(scene, search))
        .then(|| "It lists the accounts that have service principal names.".to_owned())
}
