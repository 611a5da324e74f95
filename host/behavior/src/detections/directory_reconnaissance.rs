//! `directory-reconnaissance`: somebody explores the directory.
//!
//! Threshold: a search of a whole subtree without a condition that names anything in particular (presence, object classes, order, what
//! is not and the like), which asks for `rare-attributes` attributes, or for all, where the machine, whose `searches` searches are known, never
//! asked for them; or one for protected administrators (`adminCount`) from a machine that does not do so daily. Learning period: that
//! of `[behavior]` for the machine, and `searches` of it. False positives: a new version of an application; an administrator with a directory browser. MITRE
//! ATT&CK: T1087.002 (Account Discovery: Domain Account).

use std::collections::HashSet;

use portcullis_core::{Operation, SearchScope, attribute};

use crate::filter::{self, Comparison, comparisons};
use crate::profile::window;
use crate::seen::short;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "directory-reconnaissance",
    group: Group::Reconnaissance,
    technique: Some("T1087.002"),
    score: 50,
    weights: Weights { account: 25, endpoint: 30, application: 0 },
};

settings! { ABOUT;
    /// Searches of a machine that have to be known.
    searches: u32 = 100,
    /// Attributes that it never asked for.
    rare_attributes: u32 = 5,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let Operation::Search(Some(search)) = scene.seen.operation else { return None };
    if search.scope == SearchScope::Base {
        return None;
    }
    if comparisons(&search.filter).any(|one| attribute::is(one.attribute, "adminCount"))
        && !super::is_usual_search(scene, search)
    {
        return Some("It looks for protected administrators.".to_owned());
    }
    let endpoint = scene.endpoint.filter(|endpoint| endpoint.searches >= u64::from(settings.searches))?;
    let age = window::seconds(scene.seen.at).saturating_sub(endpoint.first);
    let is_learning = endpoint.first == 0 || u64::from(age) < scene.settings.learning_time.as_secs();
    if is_learning || search.scope != SearchScope::Subtree || !filter::is_broad(&search.filter, &is_broad) {
        return None;
    }
    let is_rare = |name: &str| endpoint.attributes.get(&short(attribute::name(name))).is_none();
    let all = search.attributes.is_empty() || search.attributes.iter().any(|name| name == "*");
    let rare: HashSet<_> = search.attributes.iter().filter(|name| is_rare(name)).map(|name| short(name)).collect();
    let is_new = rare.len() >= settings.rare_attributes as usize || all && is_rare("*");
    (is_new && !super::is_usual_search(scene, search))
        .then(|| "It reads a whole subtree without a condition, which is new for this machine.".to_owned())
}

/// The comparison names nothing in particular.
fn is_broad(one: &Comparison<'_>) -> bool {
    one.value == "*" || BROAD.iter().any(|name| attribute::is(one.attribute, name))
}

/// Attributes of which a condition names nothing in particular.
pub(crate) const BROAD: [&str; 4] = ["objectClass", "objectCategory", "sAMAccountType", "instanceType"];
