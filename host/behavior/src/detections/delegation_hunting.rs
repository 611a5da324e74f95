//! `delegation-hunting`: somebody looks for accounts that may act for others, or that give tickets without a password.
//!
//! Threshold: one search by the bits of `userAccountControl` for trusted for delegation (524288), trusted to authenticate for
//! delegation (16777216) or no pre-authentication (4194304), for an exact value that has one of them, or by its order; or for the
//! attributes of constrained delegation; from an account that has not done so for a day. Learning period: none. False positives: audits. MITRE ATT&CK: T1558.004 (AS-REP Roasting).

use portcullis_core::{Operation, attribute};

use crate::filter::{Comparison, comparisons};

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "delegation-hunting",
    group: Group::Reconnaissance,
    technique: Some("T1558.004"),
    score: 70,
    weights: Weights { account: 50, endpoint: 40, application: 0 },
};

settings! { ABOUT; }

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, _: &Settings) -> Option<String> {
    let Operation::Search(Some(search)) = scene.seen.operation else { return None };
    let what = comparisons(&search.filter).find_map(|one| hunted(&one))?;
    (!super::is_usual_search(scene, search)).then(|| format!("It looks for accounts {what}."))
}

/// LDAP_MATCHING_RULE_BIT_AND and LDAP_MATCHING_RULE_BIT_OR (MS-ADTS, section 3.1.1.3.4.4).
const BIT_RULES: [&str; 2] = ["1.2.840.113556.1.4.803", "1.2.840.113556.1.4.804"];
/// MS-ADTS, section 2.2.16.
const DELEGATION: u32 = 0x0008_0000 | 0x0100_0000;
const NO_PREAUTHENTICATION: u32 = 0x0040_0000;

fn hunted(one: &Comparison<'_>) -> Option<&'static str> {
    let is = |name: &str| attribute::is(one.attribute, name);
    if is("msDS-AllowedToDelegateTo") || is("msDS-AllowedToActOnBehalfOfOtherIdentity") {
        return Some("that may act for others");
    }
    if !is("userAccountControl") || !one.rule.is_none_or(|rule| BIT_RULES.contains(&rule)) {
        return None;
    }
    if one.is_order {
        return Some("by the order of their flags");
    }
    let bits: u32 = one.value.parse().ok()?;
    if bits & NO_PREAUTHENTICATION != 0 {
        return Some("that need no pre-authentication");
    }
    (bits & DELEGATION != 0).then_some("that are trusted for delegation")
}
