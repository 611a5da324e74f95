//! `unusual-endpoint`: an account comes from a machine that it has not used, or not for a long time.
//!
//! Threshold: the address is not among the account's endpoints, or was last used longer ago than `forget_after`.
//! Learning period: the account is at least `learning_time` old and has had at least `learning_accesses` successes; before
//! that, everything would be unusual. Score: `score`, or two thirds of it from a shared endpoint, whose users come and go.
//! False positives: changing addresses (DHCP, VPN pools, mobile networks), new machines. Whoever takes over an account
//! inside its learning period is learned as usual. MITRE ATT&CK: T1078 (Valid Accounts).

use std::net::IpAddr;

use portcullis_core::Signal;
use portcullis_core::learned::{AccountHistory, Association};

use crate::detections::{About, Common as _, Group, Weights, settings};
use crate::{Observed, shared_endpoint};

/// Name of the signal.
pub const NAME: &str = "unusual-endpoint";

/// What it is about.
pub const ABOUT: About = About {
    name: NAME,
    group: Group::Habits,
    technique: Some("T1078"),
    score: 60,
    weights: Weights { account: 25, endpoint: 10, application: 0 },
};

settings! { ABOUT; }

/// Whether the account has used the endpoint before and not forgotten it.
#[must_use]
pub fn is_associated(observed: Observed<'_>, settings: &crate::Settings) -> bool {
    association(observed.account, observed.address)
        .is_some_and(|known| observed.at.since(known.last_seen) <= settings.forget_after)
}

/// The signal, where it applies.
#[must_use]
pub fn signal(observed: Observed<'_>, settings: &crate::Settings) -> Option<Signal> {
    if is_associated(observed, settings) || is_learning(observed, settings) {
        return None;
    }
    let reason = match association(observed.account, observed.address) {
        Some(known) => {
            let days = observed.at.since(known.last_seen).as_secs() / 86_400;
            format!("The account has not been used from {} for {days} days.", observed.address)
        }
        None => format!(
            "The account has not been used from {} before; it is known from {} other endpoint{}.",
            observed.address,
            observed.account.associations.len(),
            if observed.account.associations.len() == 1 { "" } else { "s" },
        ),
    };
    let score = settings.detections.unusual_endpoint.score();
    let shared = shared_endpoint::is_shared(observed.endpoint, settings);
    Some(Signal { name: NAME.to_owned(), score: if shared { score * 2 / 3 } else { score }, reason })
}

/// Too little is known of the account to call anything unusual.
fn is_learning(observed: Observed<'_>, settings: &crate::Settings) -> bool {
    let seen = &observed.account.associations;
    let accesses: u64 = seen.iter().map(|a| a.count).sum();
    let Some(first) = seen.iter().map(|a| a.first_seen).min() else {
        return true;
    };
    accesses < settings.learning_accesses || observed.at.since(first) < settings.learning_time
}

fn association(history: &AccountHistory, address: IpAddr) -> Option<&Association> {
    history.associations.iter().find(|a| a.address == address)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_core::Timestamp;
    use portcullis_core::learned::EndpointHistory;
    use proptest::prelude::*;

    use super::*;
    use crate::notice;

    const DAY: u64 = 86_400_000;

    fn settings() -> crate::Settings {
        crate::Settings {
            learning_time: Duration::from_secs(7 * 86_400),
            learning_accesses: 3,
            forget_after: Duration::from_secs(30 * 86_400),
            shared_from_accounts: 10,
            ..crate::Settings::default()
        }
    }

    fn seen(address: &str, first_day: u64, last_day: u64, count: u64) -> Association {
        Association {
            address: address.parse().unwrap(),
            first_seen: Timestamp(first_day * DAY),
            last_seen: Timestamp(last_day * DAY),
            count,
        }
    }

    fn look(associations: Vec<Association>, from: &str, day: u64) -> Vec<String> {
        let account = AccountHistory { associations };
        let observed = Observed {
            at: Timestamp(day * DAY),
            address: from.parse().unwrap(),
            account: &account,
            endpoint: EndpointHistory::default(),
        };
        notice(observed, &settings()).signals.into_iter().map(|s| s.name).collect()
    }

    #[test]
    fn a_machine_that_was_never_used_is_unusual() {
        assert_eq!(look(vec![seen("10.0.0.1", 0, 9, 3)], "10.0.0.2", 10), [NAME]);
    }

    #[test]
    fn the_usual_machine_is_not() {
        assert!(look(vec![seen("10.0.0.1", 0, 9, 3)], "10.0.0.1", 10).is_empty());
    }

    #[test]
    fn nothing_is_unusual_while_learning() {
        assert!(look(vec![], "10.0.0.2", 10).is_empty(), "never seen");
        assert!(look(vec![seen("10.0.0.1", 0, 9, 2)], "10.0.0.2", 10).is_empty(), "one access short");
        assert!(look(vec![seen("10.0.0.1", 4, 9, 9)], "10.0.0.2", 10).is_empty(), "one day short");
        assert_eq!(look(vec![seen("10.0.0.1", 3, 9, 3)], "10.0.0.2", 10), [NAME], "both limits reached exactly");
    }

    #[test]
    fn a_machine_that_was_not_used_for_long_is_forgotten() {
        assert!(look(vec![seen("10.0.0.1", 0, 70, 9)], "10.0.0.1", 100).is_empty(), "thirty days exactly");
        assert_eq!(look(vec![seen("10.0.0.1", 0, 69, 9)], "10.0.0.1", 100), [NAME]);
    }

    #[test]
    fn the_score_is_the_configured_one_and_two_thirds_of_it_from_a_shared_machine() {
        let score = |configured: u8, accounts: u64| {
            let mut settings = settings();
            settings.detections.unusual_endpoint.score = configured;
            let account = AccountHistory { associations: vec![seen("10.0.0.1", 0, 9, 3)] };
            let observed = Observed {
                at: Timestamp(10 * DAY),
                address: "10.0.0.2".parse().unwrap(),
                account: &account,
                endpoint: EndpointHistory { accounts },
            };
            signal(observed, &settings).unwrap().score
        };
        assert_eq!((score(60, 1), score(60, 10)), (60, 40));
        assert_eq!((score(90, 1), score(90, 10), score(30, 1)), (90, 60, 30));
        assert_eq!((score(255, 1), score(255, 10)), (100, 66), "no score is more than 100");
    }

    proptest! {
        #[test]
        fn an_associated_endpoint_never_gives_the_signal(
            count in 0u64..100, last in 0u64..200, day in 0u64..400,
        ) {
            let account = AccountHistory { associations: vec![seen("10.0.0.1", 0, last, count)] };
            let observed = Observed {
                at: Timestamp(day * DAY),
                address: "10.0.0.1".parse().unwrap(),
                account: &account,
                endpoint: EndpointHistory::default(),
            };
            let noticed = notice(observed, &settings());
            prop_assert!(!(noticed.associated && noticed.signals.iter().any(|s| s.name == NAME)));
        }
    }
}
