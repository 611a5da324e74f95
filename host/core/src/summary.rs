//! What is recorded of the operations that nobody asked to see one by one: how many there were, and what they were about.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{Account, EventId, ListenerName, OperationKind, Signal, Timestamp};

/// Search bases that one summary names at most.
pub const MOST_BASES: usize = 8;
/// Octets of a search base that are kept.
pub const LONGEST_BASE: usize = 256;
/// Result codes that one summary tells apart; further ones are counted together.
pub const MOST_RESULTS: usize = 8;

/// How much of what is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audit {
    /// What no policy asks to see is summed up.
    #[default]
    Summary,
    /// Every operation is an event of its own, stored before it reaches the directory.
    Full,
    /// What no policy asks to see is not recorded. Binds, changes and refusals are, always.
    Off,
}

/// How often the directory answered with a result code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultCount {
    /// Result code (RFC 4511, section 4.1.9); none for those beyond [`MOST_RESULTS`].
    pub code: Option<u32>,
    /// How often.
    pub count: u64,
}

/// Operations, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many of each kind reached the directory unwatched. Abandons and requests that the gateway does not know are
    /// [`OperationKind::Other`].
    pub operations: BTreeMap<OperationKind, u64>,
    /// The first [`MOST_BASES`] distinct bases of the searches, the first [`LONGEST_BASE`] octets of each. When the list is
    /// full there may have been more.
    pub bases: Vec<String>,
    /// Entries that the directory returned (SearchResultEntry; RFC 4511, section 4.5.2), those to watched searches included.
    pub entries: u64,
    /// Octets of all its answers but those to binds.
    pub octets: u64,
    /// Results other than success (0), compareFalse (5) and compareTrue (6), in the order in which they first came.
    pub failures: Vec<ResultCount>,
}

impl Tally {
    /// Operations of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.operations.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.octets == 0
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.operations {
            let sum = self.operations.entry(*kind).or_default();
            *sum = sum.saturating_add(*count);
        }
        for base in &other.bases {
            if self.bases.len() < MOST_BASES && !self.bases.iter().any(|known| known.eq_ignore_ascii_case(base)) {
                self.bases.push(base.clone());
            }
        }
        self.entries = self.entries.saturating_add(other.entries);
        self.octets = self.octets.saturating_add(other.octets);
        for failure in &other.failures {
            self.fail(failure.code, failure.count);
        }
    }

    /// Counts results with this code.
    pub fn fail(&mut self, code: Option<u32>, count: u64) {
        let distinct = self.failures.iter().filter(|known| known.code.is_some()).count();
        let known = self.failures.iter().any(|known| known.code == code);
        let code = if known || distinct < MOST_RESULTS { code } else { None };
        match self.failures.iter_mut().find(|known| known.code == code) {
            Some(known) => known.count = known.count.saturating_add(count),
            None => self.failures.push(ResultCount { code, count }),
        }
    }
}

/// The machine that a summary is about. Unlike [`crate::Endpoint`] it says nothing of habits: nobody compared them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The client's address.
    pub address: IpAddr,
    /// Name that the administrator gave it.
    pub name: Option<String>,
    /// Site whose ranges hold the address.
    pub site: Option<String>,
}

/// The stored record of operations that were summed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Id of the event.
    pub id: EventId,
    /// When the first was counted.
    pub from: Timestamp,
    /// When the counting ended: about a minute later at most, or more where the store had stopped. The last was before.
    pub to: Timestamp,
    /// Who, as the last bind said; none for anonymous clients and for those of whom nothing can be told.
    pub account: Option<Account>,
    /// From where.
    pub endpoint: Machine,
    /// Application behind the connection.
    pub application: String,
    /// The listener.
    pub listener: ListenerName,
    /// The client's end of the connection; none when several connections were summed up.
    pub client: Option<SocketAddr>,
    /// Over how many connections. One that came back to the account after another bind may be counted again.
    pub connections: u64,
    /// What was counted.
    pub tally: Tally,
    /// What was noticed about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Signal>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_stay_small() {
        let mut sum = Tally::default();
        assert!(sum.is_empty());
        for round in 0..20_u32 {
            let mut one = Tally { entries: 10, octets: 100, ..Tally::default() };
            one.operations.insert(OperationKind::Search, 2);
            one.bases = vec!["dc=example".to_owned(), "DC=Example".to_owned(), format!("ou={round}")];
            one.fail(Some(32), 1);
            one.fail(Some(100 + round), 1);
            sum.add(&one);
        }
        assert_eq!((sum.total(), sum.entries, sum.octets), (40, 200, 2_000));
        assert_eq!((sum.bases.len(), sum.bases[0].as_str(), sum.bases[1].as_str()), (MOST_BASES, "dc=example", "ou=0"));
        assert_eq!(sum.failures[0], ResultCount { code: Some(32), count: 20 });
        assert_eq!(sum.failures.len(), MOST_RESULTS + 1);
        assert_eq!(sum.failures.last(), Some(&ResultCount { code: None, count: 13 }));
        assert_eq!(sum.failures.iter().map(|failure| failure.count).sum::<u64>(), 40);
    }

    #[test]
    fn nothing_overflows() {
        let mut sum = Tally { entries: u64::MAX, octets: u64::MAX, ..Tally::default() };
        sum.operations.insert(OperationKind::Search, u64::MAX);
        sum.operations.insert(OperationKind::Compare, 1);
        sum.fail(Some(50), u64::MAX);
        sum.add(&sum.clone());
        assert_eq!((sum.total(), sum.entries, sum.failures[0].count), (u64::MAX, u64::MAX, u64::MAX));
    }
}
