//! What each policy did within the last day, for the page that lists them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use portcullis_core::event::RecordedRuling;
use portcullis_core::policies;
use portcullis_core::policy::Mode;
use portcullis_core::{PolicyName, Timestamp};

use crate::{PolicyEntry, word};

/// An hour, in milliseconds; a day has so many.
const HOUR: u64 = 3_600_000;
const HOURS: u64 = 24;

/// By policy.
#[derive(Debug, Default)]
pub(crate) struct Doings(Mutex<HashMap<PolicyName, Record>>);

/// Of one policy.
#[derive(Debug, Default)]
struct Record {
    /// Its latest hours, the newest last.
    hours: VecDeque<(u64, Tally)>,
    /// Since it is in the list.
    all: Tally,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    verdicts: [u64; 4],
    faults: u64,
    agreed: u64,
    differed: u64,
}

const VERDICTS: [&str; 4] = ["abstain", "allow", "challenge", "block"];

impl Doings {
    /// Adds what was said about one access by these policies, which are in the order in which they are asked. Of `counted`, the
    /// access was added before.
    pub(crate) fn add(
        &self,
        policies: &[PolicyEntry],
        rulings: &[RecordedRuling],
        counted: Option<&PolicyName>,
        now: Timestamp,
    ) {
        if rulings.is_empty() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, ruling) in rulings.iter().enumerate() {
            let mut own = rulings.iter().enumerate().filter(|(_, other)| other.policy == ruling.policy);
            // Several rulings of one policy are one access: the first of them tells of all.
            if own.next().is_none_or(|(first, _)| first != place) || counted == Some(&ruling.policy) {
                continue;
            }
            let said = rulings.iter().filter(|other| other.policy == ruling.policy);
            let names: Vec<_> = said.clone().map(|one| word::verdict_name(&one.verdict)).collect();
            let name = if names.contains(&"challenge") { Some("challenge") } else { names.last().copied() };
            let mut tally = Tally { faults: said.filter(|one| one.fault.is_some()).count() as u64, ..Tally::default() };
            let verdict = VERDICTS.iter().position(|verdict| Some(*verdict) == name);
            if let Some(count) = verdict.and_then(|place| tally.verdicts.get_mut(place)) {
                *count = 1;
            }
            if ruling.mode == Mode::Canary {
                let agrees = agrees(policies, rulings, ruling);
                (tally.agreed, tally.differed) = (u64::from(agrees), u64::from(!agrees));
            }
            match all.get_mut(&ruling.policy) {
                Some(record) => record.add(tally, now),
                None => all.entry(ruling.policy.clone()).or_default().add(tally, now),
            }
        }
    }

    /// Of all policies, since a day ago at most.
    pub(crate) fn of_a_day(&self, now: Timestamp) -> BTreeMap<PolicyName, policies::Doings> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = (now.0 / HOUR).saturating_sub(HOURS - 1);
        let sum = |record: &Record| {
            let mut sum = Tally::default();
            record.hours.iter().filter(|(hour, _)| *hour >= oldest).for_each(|(_, tally)| sum.add(*tally));
            sum.told()
        };
        all.iter().map(|(name, record)| (name.clone(), sum(record))).collect()
    }

    /// Of all policies, since they are in the list.
    pub(crate) fn of_all_time(&self) -> BTreeMap<PolicyName, policies::Doings> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, record)| (name.clone(), record.all.told())).collect()
    }

    /// Since when that is.
    pub(crate) fn since(now: Timestamp, started: Timestamp) -> Timestamp {
        let hour = Timestamp((now.0 / HOUR).saturating_sub(HOURS - 1) * HOUR);
        hour.max(started)
    }

    /// Forgets policies that are in the list no more.
    pub(crate) fn keep(&self, policies: &[PolicyEntry]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| policies.iter().any(|entry| entry.name == *name));
    }
}

impl Record {
    fn add(&mut self, mut tally: Tally, now: Timestamp) {
        self.all.add(tally);
        let hour = now.0 / HOUR;
        // What was counted while the clock was ahead is of this hour at the latest.
        while let Some((_, sum)) = self.hours.pop_back_if(|(last, _)| *last >= hour) {
            tally.add(sum);
        }
        self.hours.push_back((hour, tally));
        while self.hours.len() as u64 > HOURS {
            self.hours.pop_front();
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.verdicts.iter_mut().zip(other.verdicts).for_each(|(sum, count)| *sum += count);
        self.faults += other.faults;
        self.agreed += other.agreed;
        self.differed += other.differed;
    }

    fn told(&self) -> policies::Doings {
        let verdicts = VERDICTS.iter().zip(self.verdicts).filter(|(_, count)| *count > 0);
        policies::Doings {
            verdicts: verdicts.map(|(verdict, count)| ((*verdict).to_owned(), count)).collect(),
            faults: self.faults,
            agreed: self.agreed,
            differed: self.differed,
        }
    }
}

/// Whether the policy that the canary shadows said the same when it was asked first. Not asked about such an operation, it
/// abstained.
fn agrees(policies: &[PolicyEntry], rulings: &[RecordedRuling], canary: &RecordedRuling) -> bool {
    let of = policies.iter().find(|entry| entry.name == canary.policy).and_then(|entry| entry.canary_of.as_ref());
    let first = rulings.iter().find(|ruling| Some(&ruling.policy) == of);
    let said = first.map(|ruling| &ruling.verdict);
    match said {
        Some(verdict) => canary.fault.is_none() && *verdict == canary.verdict,
        None => canary.fault.is_none() && word::verdict_name(&canary.verdict) == "abstain",
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::policy::Verdict;

    use super::*;

    fn ruling(policy: &str, verdict: Verdict) -> RecordedRuling {
        RecordedRuling {
            policy: PolicyName::new(policy),
            mode: Mode::Enforce,
            verdict,
            reason: String::new(),
            effects: Vec::new(),
            fault: None,
        }
    }

    fn blocks(doings: &Doings, policy: &str, now: Timestamp) -> u64 {
        let of_a_day = doings.of_a_day(now);
        of_a_day.get(&PolicyName::new(policy)).and_then(|known| known.verdicts.get("block")).copied().unwrap_or(0)
    }

    #[test]
    fn an_access_that_is_evaluated_again_counts_once() {
        let (doings, now) = (Doings::default(), Timestamp(100 * HOUR));
        let (one, two) = (ruling("one", Verdict::Block), ruling("two", Verdict::Block));
        doings.add(&[], std::slice::from_ref(&one), None, now);
        doings.add(&[], &[one, two], Some(&PolicyName::new("one")), now);
        assert_eq!((blocks(&doings, "one", now), blocks(&doings, "two", now)), (1, 1));
    }

    #[test]
    fn what_was_counted_while_the_clock_was_ahead_is_of_this_hour() {
        let doings = Doings::default();
        let block = [ruling("one", Verdict::Block)];
        for hour in [100, 103, 102, 101] {
            doings.add(&[], &block, None, Timestamp(hour * HOUR));
        }
        let at = |hour: u64| blocks(&doings, "one", Timestamp(hour * HOUR));
        assert_eq!((at(101), at(123), at(124), at(125)), (4, 4, 3, 0));
    }
}
