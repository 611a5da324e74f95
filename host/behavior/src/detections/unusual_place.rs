//! `unusual-place`: an account is used from a part of the world where it has not been.
//!
//! Threshold: the position, from a cloud service or of a site, is further than 200 km and both uncertainties from every place that
//! is known of the account, of which there are at least `visits` visits. Learning period: the account's, and `visits`. False
//! positives: travel; VPN services and mobile networks, whose addresses are placed wherever their operator is. MITRE ATT&CK: T1078
//! (Valid Accounts).

use crate::profile::SAME_PLACE_KM;
use crate::seen::Place;
use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "unusual-place",
    group: Group::Habits,
    technique: Some("T1078"),
    score: 40,
    weights: Weights { account: 20, endpoint: 0, application: 0 },
};

settings! { ABOUT;
    /// Visits that have to be known.
    visits: u32 = 10,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| scene.seen.is_good_login() && !scene.is_learning())?;
    let here = scene.seen.place?;
    let visits: u32 = account.places.iter().map(|visited| visited.count).sum();
    let away = |known: &Place| known.distance_km(&here) - known.uncertainty_km - here.uncertainty_km;
    let nearest = account.places.iter().map(|visited| away(&visited.place)).min_by(f32::total_cmp)?;
    (visits >= settings.visits && nearest > SAME_PLACE_KM)
        .then(|| format!("The account has not been within {nearest:.0} km of this place before."))
}
