//! `directory-reconnaissance`: somebody explores the directory.
//!
//! Threshold: a search of a whole subtree without a condition that names anything in particular (presence, object classes and the
//! like), which asks for `rare-attributes` attributes, or for all, where the machine, whose `searches` searches are known, never
//! asked for them; or one for protected administrators (`adminCount`) from a machine that does not do so daily. Learning period: that
//! of `[behavior]` for the machine, and `searches` of it. False positives: a new version of an application; an administrator with a directory browser. MITRE
//! ATT&CK: T1087.002 (Account Discovery: Domain Account).

use portcullis_core::{Operation, SearchScope};

use crate::filter::{Comparison, comparisons};
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
    if comparisons(&search.filter).any(|one| one.attribute.eq_ignore_ascii_case("adminCount"))
        && !super::is_usual_search(scene, search)
    {
        return Some("It looks for protected administrators.".to_owned());
    }
    let endpoint = scene.endpoint.filter(|endpoint| endpoint.searches >= u64::from(settings.searches))?;
    let age = window::seconds(scene.seen.at).saturating_sub(endpoint.first);
    let is_learning = endpoint.first == 0 || u64::from(age) < scene.settings.learning_time.as_secs();
    if is_learning || search.scope != SearchScope::Subtree || !comparisons(&search.filter).all(|one| is_broad(&one)) {
        return None;
    }
    let all = search.attributes.is_empty() || search.attributes.iter().any(|name| name == "*");
    let is_rare = |name: &&String| endpoint.attributes.get(&short(name)).is_none();
    let rare = search.attributes.iter().take(64).filter(is_rare).count();
    let is_new = rare >= settings.rare_attributes as usize || all && rare == search.attributes.len();
    (is_new && !super::is_usual_search(scene, search))
        .then(|| "It reads a whole subtree without a condition, which is new for this machine.".to_owned())
}

/// The comparison names nothing in particular.
fn is_broad(one: &Comparison<'_>) -> bool {
    one.value == "*" || BROAD.iter().any(|name| one.attribute.eq_ignore_ascii_case(name))
}

/// Attributes of which a condition names nothing in particular.
pub(crate) const BROAD: [&str; 4] = ["objectClass", "objectCategory", "sAMAccountType", "instanceType"];
