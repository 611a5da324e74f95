//! Incidents that become more severe by themselves: raised too often, or not resolved for too long.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::event::Event;
use crate::incident::Incident;
use crate::policy::Severity;
use crate::store::StoreError;

/// When an incident that is not resolved becomes more severe. What is 0 or false is no condition; all others have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Escalation {
    /// It has been raised so often at least, its opening included.
    #[serde(default)]
    pub from_times: u32,
    /// It has not been resolved for so many seconds since it was opened, or opened again.
    #[serde(default)]
    pub after_seconds: u32,
    /// Nobody works on it.
    #[serde(default)]
    pub unless_taken: bool,
    /// At least so severe from then on.
    pub severity: Severity,
}

/// Why somebody has to look at an incident with more haste, in words.
impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nobody = if self.unless_taken { " and not taken" } else { "" };
        match (self.from_times, self.after_seconds) {
            (times, 0) => write!(f, "raised {times} times{nobody}"),
            (0, seconds) => write!(f, "not resolved{nobody} for {seconds} s"),
            (times, seconds) => write!(f, "raised {times} times, and not resolved{nobody} for {seconds} s"),
        }
    }
}

/// Escalations of one effect, or of one detection, at most.
pub const MOST_ESCALATIONS: usize = 8;
/// Longest time of one, in seconds: a year.
pub const LONGEST_SECONDS: u32 = 365 * 86_400;
/// Most times of one.
pub const MOST_TIMES: u32 = 1_000;

/// Escalations of one incident at most: different rulings of a policy can bring different ones.
const MOST_OF_INCIDENT: usize = 32;

/// What is wrong with a list of them under an incident of this severity, and with which.
#[must_use]
pub fn problems(list: &[Escalation], severity: Severity) -> Vec<(usize, &'static str)> {
    let mut problems = Vec::new();
    for (place, one) in list.iter().enumerate() {
        if place == MOST_ESCALATIONS {
            problems.push((place, "is one too many: at most 8 are allowed"));
        }
        if one.from_times == 0 && one.after_seconds == 0 {
            problems.push((place, "needs `from-times` or `after-seconds`, otherwise it would hold at once"));
        }
        if one.from_times > MOST_TIMES || one.after_seconds > LONGEST_SECONDS {
            problems.push((place, "waits for more than 1000 times or a year"));
        }
        if one.severity <= severity {
            problems.push((place, "is not more severe than the incident, whose severity never goes down"));
        }
    }
    problems
}

/// What the severity of an incident depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As severe it is.
    pub severity: Severity,
    /// How often it was raised.
    pub count: u32,
    /// Opened, or opened again.
    pub since: Timestamp,
    /// Somebody works on it.
    pub taken: bool,
    /// What can still make it more severe.
    pub escalations: Vec<Escalation>,
}

impl Standing {
    /// Adds escalations: those that are there already stay, whatever raises it now, so that nobody can take them away by raising
    /// it in another way.
    pub fn add(&mut self, more: &[Escalation]) {
        for one in more {
            if self.escalations.len() < MOST_OF_INCIDENT && !self.escalations.contains(one) {
                self.escalations.push(*one);
            }
        }
        self.drop_idle();
    }

    /// Becomes so severe, never less. Forgets what cannot make it more severe any more.
    pub fn rise(&mut self, severity: Severity) {
        self.severity = self.severity.max(severity);
        self.drop_idle();
    }

    fn drop_idle(&mut self) {
        let severity = self.severity;
        self.escalations.retain(|one| one.severity > severity);
    }

    /// The most severe one whose conditions hold.
    #[must_use]
    pub fn reached(&self, now: Timestamp) -> Option<Escalation> {
        let holds = |one: &&Escalation| self.waits_until(one).is_some_and(|due| due <= now);
        self.escalations.iter().filter(holds).max_by_key(|one| one.severity).copied()
    }

    /// When time alone makes it more severe.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.escalations.iter().filter_map(|one| self.waits_until(one)).min()
    }

    /// The moment from which it holds if nothing but time passes; none where something else is missing.
    fn waits_until(&self, one: &Escalation) -> Option<Timestamp> {
        let rest_holds =
            one.severity > self.severity && self.count >= one.from_times && !(one.unless_taken && self.taken);
        rest_holds.then(|| self.since.plus(Duration::from_secs(u64::from(one.after_seconds))))
    }
}

/// An incident that time has made more severe, which is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEscalation {
    /// As it stands.
    pub incident: Incident,
    /// What holds of it.
    pub escalation: Escalation,
}

/// Incidents that become more severe with time.
#[async_trait]
pub trait EscalationStore: Send + Sync {
    /// Those whose time has come by now, the longest due first.
    async fn due_escalations(&self, now: Timestamp, limit: u32) -> Result<Vec<DueEscalation>, StoreError>;
    /// Makes one more severe, together with the event that says so. Says whether it still stood as it was read; otherwise nothing
    /// is done, and there is no event.
    async fn escalate(&self, due: &DueEscalation, event: Event) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(from_times: u32, after_seconds: u32, unless_taken: bool, severity: Severity) -> Escalation {
        Escalation { from_times, after_seconds, unless_taken, severity }
    }

    fn standing(count: u32, escalations: &[Escalation]) -> Standing {
        Standing {
            severity: Severity::Low,
            count,
            since: Timestamp(1_000),
            taken: false,
            escalations: escalations.to_vec(),
        }
    }

    #[test]
    fn all_conditions_have_to_hold_and_the_most_severe_counts() {
        let both = one(3, 10, false, Severity::High);
        let often = one(2, 0, false, Severity::Medium);
        assert_eq!(standing(1, &[both, often]).reached(Timestamp(u64::MAX)), None);
        assert_eq!(standing(2, &[both, often]).reached(Timestamp(1_000)), Some(often));
        let three = standing(3, &[both, often]);
        assert_eq!(three.reached(Timestamp(10_999)), Some(often));
        assert_eq!(three.reached(Timestamp(11_000)), Some(both));
        assert_eq!(standing(2, &[both]).next_at(), None, "time alone does not do it");
        assert_eq!(standing(3, &[both]).next_at(), Some(Timestamp(11_000)));
    }

    #[test]
    fn somebody_who_works_on_it_holds_up_what_says_so() {
        let patient = one(0, 10, true, Severity::High);
        let strict = one(0, 20, false, Severity::Critical);
        let mut taken = standing(1, &[patient, strict]);
        taken.taken = true;
        assert_eq!(taken.reached(Timestamp(11_000)), None);
        assert_eq!((taken.next_at(), taken.reached(Timestamp(21_000))), (Some(Timestamp(21_000)), Some(strict)));
        taken.taken = false;
        assert_eq!(taken.reached(Timestamp(11_000)), Some(patient));
    }

    #[test]
    fn severity_never_goes_down_and_what_it_has_reached_is_forgotten() {
        let mut it = standing(1, &[one(0, 10, false, Severity::Medium), one(0, 20, false, Severity::Critical)]);
        it.rise(Severity::High);
        it.rise(Severity::Low);
        assert_eq!((it.severity, it.escalations.len()), (Severity::High, 1));
        it.add(&[one(2, 0, false, Severity::High), one(0, 20, false, Severity::Critical)]);
        assert_eq!(it.escalations, [one(0, 20, false, Severity::Critical)]);
        assert_eq!(it.reached(Timestamp(u64::MAX)), Some(one(0, 20, false, Severity::Critical)));
    }

    #[test]
    fn an_incident_has_a_bounded_number_of_them_and_the_first_stay() {
        let mut it = standing(1, &[]);
        let many: Vec<_> = (1..=100).map(|seconds| one(0, seconds, false, Severity::High)).collect();
        it.add(&many);
        assert_eq!((it.escalations.len(), it.next_at()), (MOST_OF_INCIDENT, Some(Timestamp(2_000))));
    }

    #[test]
    fn words_say_what_was_waited_for() {
        let words = [
            (one(3, 0, false, Severity::High), "raised 3 times"),
            (one(3, 0, true, Severity::High), "raised 3 times and not taken"),
            (one(0, 60, false, Severity::High), "not resolved for 60 s"),
            (one(0, 60, true, Severity::High), "not resolved and not taken for 60 s"),
            (one(2, 60, false, Severity::High), "raised 2 times, and not resolved for 60 s"),
        ];
        for (escalation, expected) in words {
            assert_eq!(escalation.to_string(), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let list =
            [one(0, 0, true, Severity::High), one(2, 0, false, Severity::Medium), one(2, 0, false, Severity::High)];
        let places = |list: &[Escalation]| -> Vec<usize> {
            problems(list, Severity::Medium).into_iter().map(|(place, _)| place).collect()
        };
        assert_eq!(places(&list), [0, 1]);
        assert_eq!(places(&[one(2, 0, false, Severity::High); 9]), [8]);
        assert_eq!(places(&[one(1_001, 0, false, Severity::High)]), [0]);
    }
}
