//! Incidents that detections open.
//!
//! What is noticed again and again adds to the open incident once a minute: whoever tries a thousand passwords must not keep
//! the store busy with them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_behavior::detections;
use portcullis_core::event::AccessEvent;
use portcullis_core::incident::IncidentChange;
use portcullis_core::summary::SessionSummary;
use portcullis_core::{Account, AccountId, PolicyName, Signal, Timestamp};

use crate::Guard;

/// For so long, the same adds nothing.
const CALM: Duration = Duration::from_secs(60);
/// So many are remembered; when there are more, those whose time is over are forgotten, and then all.
const MOST: usize = 8_192;
/// What an incident of a detection has before the detection's name where others have a policy.
const OF_DETECTION: &str = "detection:";

/// When each was told last.
#[derive(Default)]
pub(crate) struct Alarms(Mutex<HashMap<(AccountId, &'static str), Timestamp>>);

impl Alarms {
    /// Whether it is time to tell it again.
    fn is_due(&self, whom: &AccountId, name: &'static str, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST {
            told.retain(|_, at| now.since(*at) < CALM);
            if told.len() >= MOST {
                told.clear();
            }
        }
        let last = told.entry((whom.clone(), name));
        match last {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let due = now.since(*known.get()) >= CALM;
                if due {
                    known.insert(now);
                }
                due
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(now);
                true
            }
        }
    }
}

impl Guard {
    /// What the signals of an access open or add to.
    pub(crate) fn alarms(&self, event: &AccessEvent) -> Vec<IncidentChange> {
        let access = &event.access;
        let address = access.endpoint.as_ref().map(|endpoint| endpoint.address.to_string());
        self.raised(&access.signals, access.account.as_ref(), address)
    }

    /// The same, of operations that were summed up.
    pub(crate) fn alarms_of_summary(&self, summary: &SessionSummary) -> Vec<IncidentChange> {
        self.raised(&summary.signals, summary.account.as_ref(), Some(summary.endpoint.address.to_string()))
    }

    /// An incident is about the account, or about the machine where that is what a detection looks at.
    fn raised(&self, signals: &[Signal], account: Option<&Account>, address: Option<String>) -> Vec<IncidentChange> {
        let now = self.rooms.clock.now();
        let settings = &self.options.behavior.detections;
        let raise = |signal: &Signal| {
            let about = detections::about(&signal.name)?;
            let severity = settings.incident(about.name)?;
            let of_machine =
                address.as_ref().map(|address| (AccountId::new(format!("address:{address}")), address.clone()));
            let of_account = account.map(|account| (account.id.clone(), account.login.clone()));
            let is_about_machine = about.weights.endpoint > about.weights.account;
            let (whom, login) = if is_about_machine { of_machine.or(of_account) } else { of_account.or(of_machine) }?;
            self.alarms.is_due(&whom, about.name, now).then(|| IncidentChange::Raise {
                new_id: self.new_incident(),
                account: whom,
                login,
                policy: PolicyName::new(format!("{OF_DETECTION}{}", about.name)),
                severity,
                title: signal.reason.clone(),
            })
        };
        signals.iter().filter_map(raise).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_a_minute_and_memory_is_bounded() {
        let alarms = Alarms::default();
        let (alice, bob) = (AccountId::new("alice"), AccountId::new("bob"));
        assert!(alarms.is_due(&alice, "brute-force", Timestamp(0)));
        assert!(!alarms.is_due(&alice, "brute-force", Timestamp(59_999)));
        assert!(alarms.is_due(&alice, "password-spray", Timestamp(59_999)));
        assert!(alarms.is_due(&bob, "brute-force", Timestamp(59_999)));
        assert!(alarms.is_due(&alice, "brute-force", Timestamp(60_000)));
        assert!(!alarms.is_due(&alice, "brute-force", Timestamp(60_001)));
        for number in 0..2 * MOST {
            alarms.is_due(&AccountId::new(number.to_string()), "brute-force", Timestamp(70_000));
        }
        assert!(alarms.0.lock().unwrap().len() <= MOST);
    }
}
