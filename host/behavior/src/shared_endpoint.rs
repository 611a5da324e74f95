//! `shared-endpoint`: the machine is used by many accounts, so it says little about who is there.
//!
//! Threshold: at least `shared_from_accounts` different accounts have used it with success. Learning period: none.
//! Score: 0, it is a fact for policies and not a suspicion. False positives: none known; an application server, a terminal
//! server and an address translator all look alike here, on purpose.

use portcullis_core::Signal;
use portcullis_core::learned::EndpointHistory;

use crate::{Observed, Settings};

/// Name of the signal.
pub const NAME: &str = "shared-endpoint";

/// Whether many accounts use the endpoint.
#[must_use]
pub fn is_shared(endpoint: EndpointHistory, settings: &Settings) -> bool {
    endpoint.accounts >= settings.shared_from_accounts
}

/// The signal, where it applies.
#[must_use]
pub fn signal(observed: Observed<'_>, settings: &Settings) -> Option<Signal> {
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
        let settings = Settings { shared_from_accounts: 10, ..Settings::default() };
        assert!(!is_shared(EndpointHistory { accounts: 9 }, &settings));
        assert!(is_shared(EndpointHistory { accounts: 10 }, &settings));
    }
}
