//! How often the same detection adds to the same incident: whoever tries a thousand passwords must not keep the store busy with them.
//!
//! For accesses on the wire alone. What cloud services tell, and what was summed up, is handed to the store again when it could not
//! be stored, and would then have no incident.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::incident::{IncidentChange, IncidentSource};
use portcullis_core::{AccountId, Timestamp};

/// For so long, the same adds nothing.
const CALM: Duration = Duration::from_secs(60);
/// So many are remembered; when there are more, those whose time is over are forgotten, and then all.
const MOST: usize = 8_192;

/// When each was told last.
#[derive(Default)]
pub(crate) struct Alarms(Mutex<HashMap<(AccountId, String), Timestamp>>);

impl Alarms {
    /// Leaves out what adds nothing yet.
    pub(crate) fn calm(&self, mut noticed: Vec<IncidentChange>, now: Timestamp) -> Vec<IncidentChange> {
        noticed.retain(|change| match change {
            IncidentChange::Raise { account, source: IncidentSource::Detection(name), .. } => {
                self.is_due(account, name, now)
            }
            _ => true,
        });
        noticed
    }

    /// Everything is to be told again at once.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether it is time to tell it again.
    fn is_due(&self, whom: &AccountId, name: &str, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST {
            told.retain(|_, at| now.since(*at) < CALM);
            if told.len() >= MOST {
                told.clear();
            }
        }
        let key = (whom.clone(), name.to_owned());
        // What is of later than now was told while the clock was ahead.
        if told.get(&key).is_some_and(|at| *at <= now && now.since(*at) < CALM) {
            return false;
        }
        told.insert(key, now);
        true
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
        assert!(alarms.is_due(&alice, "brute-force", Timestamp(1)), "the clock was put back");
        alarms.forget();
        assert!(alarms.is_due(&alice, "brute-force", Timestamp(60_002)));
        for number in 0..2 * MOST {
            alarms.is_due(&AccountId::new(number.to_string()), "brute-force", Timestamp(70_000));
        }
        assert!(alarms.0.lock().unwrap().len() <= MOST);
    }
}
