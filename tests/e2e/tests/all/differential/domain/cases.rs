//! The cases: OpenLDAP's in a domain's words, and those of a domain alone.

use super::super::case::Case;
use super::super::cases;
use super::words::translated;
use super::world::Protection;
use super::{changes, names, searches};

/// What a domain controller has nothing like, so that a script would wait for something that never comes.
const NOTHING_LIKE_IT: [(&str, &str); 2] = [
    ("sync: persist", "it has no content synchronization (RFC 4533)"),
    ("notification", "its overlay sends no notices"),
];

pub(super) fn all(_protection: Protection) -> Vec<Case> {
    let there_is = |case: &Case| !NOTHING_LIKE_IT.iter().any(|(name, _)| case.name.contains(name));
    let shared = cases::all().into_iter().chain(cases::overlapping()).filter(there_is);
    let own = names::cases().into_iter().chain(searches::cases()).chain(changes::cases());
    shared.chain(own).map(translated).collect()
}
