//! The cases, by theme.

mod binds;
mod changes;
mod controls;
mod extended;
mod filters;
mod sasl;
mod searches;
mod sync;
mod timing;
mod wire;

use super::case::Case;

pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for theme in [
        binds::cases,
        sasl::cases,
        searches::cases,
        filters::cases,
        changes::cases,
        extended::cases,
        controls::cases,
        sync::cases,
        wire::cases,
    ] {
        cases.extend(theme());
    }
    cases
}

pub(super) fn overlapping() -> Vec<Case> {
    timing::cases()
}
