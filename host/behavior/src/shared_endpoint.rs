//! `shared-endpoint`: the machine is used by many accounts, so it says little about who is there.
//!
//! Threshold: at least `shared_from_accounts` different accounts have used it with success. Learning period: none.
//! Score: 0, it is a fact for policies and not a suspicion. False positives: none known; an application server, a terminal
//! server and an address translator all look alike here, on purpose.

use portcullis_core::Signal;
use portcullis_core::learned::EndpointHistory;

use crate::Observed;
use crate::detections::{About, Group, Weights, settings};

/// Name of the signal.
pub const NAME: &str = "shared-endpoint";

/// What it is about.
pub const ABOUT: About = About {
    name: NAME,
    group: Group::Habits,
    technique: None,
    score: 0,
    weights: Weights { account: 0, endpoint: 0, application: 0 },
};

settings! { ABOUT; }

/// Whether many accounts use the endpoint.
#[must_use]
pub fn is_shared(endpoint: EndpointHistory, settings: &crate::Settings) -> bool {
    endpoint.accounts >= settings.shared_from_accounts
}

/// The signal, where it applies.
#[must_use]
pub fn signal(observed: Observed<'_>, settings: &crate::Settings) -> Option<Signal> {
    is_shared(observed.endpoint, settings).then(|| Signal {
        name: NAME.to_owned(),
        score: 0,
        reason: format!("{} accounts have used {}.", observed.endpoint.accounts, observed.address),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_from_the_threshold_on() {
        let settings = crate::Settings { shared_from_accounts: 10, ..crate::Settings::default() };
        assert!(!is_shared(EndpointHistory { accounts: 9 }, &settings));
        assert!(is_shared(EndpointHistory { accounts: 10 }, &settings));
    }
}
