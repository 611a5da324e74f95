//! What is learned of an application.

use portcullis_core::summary::Tally;
use portcullis_core::{OperationKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::Profile;
use super::account::merge_window;
use super::decayed::{Histogram, Volume, hour, weekday};
use super::window::{Recent, Window, seconds};
use crate::risk::Risk;
use crate::seen::{Seen, short};

const MOST_ACCOUNTS: usize = 256;

/// What is learned of an application.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplicationProfile {
    /// The first and the latest access, in seconds since 1970.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) accesses: u64,
    pub(crate) hours: Histogram,
    pub(crate) weekdays: Histogram,
    pub(crate) operations: Histogram,
    pub(crate) volume: Volume,
    pub(crate) entries: Volume,
    pub(crate) accounts: Recent<u32>,
    pub(crate) failures: Option<Box<Window>>,
    pub(crate) risk: Risk,
}

impl ApplicationProfile {
    /// An access is over.
    pub(crate) fn learn(&mut self, seen: &Seen<'_>, teaches: bool) {
        if seen.is_failed_login() {
            self.failures.get_or_insert_default().add(seen.at);
        }
        if !teaches {
            return;
        }
        let now = seconds(seen.at);
        self.first = if self.first == 0 { now } else { self.first.min(now) };
        self.last = self.last.max(now);
        self.accesses = self.accesses.saturating_add(1);
        self.hours.add(hour(seen.at), 24, 1.0, seen.at);
        self.weekdays.add(weekday(seen.at), 7, 1.0, seen.at);
        self.operations.add(seen.operation.kind() as usize, OperationKind::ALL.len(), seen.operations as f32, seen.at);
        self.volume.add(seen.operations, seen.at);
        if let Some(account) = seen.account.filter(|_| seen.is_login()) {
            self.accounts.saw(short(account.id.as_str()), seen.at, MOST_ACCOUNTS);
        }
    }

    /// Operations that were summed up.
    pub(crate) fn learn_tally(&mut self, tally: &Tally, at: Timestamp) {
        for (kind, count) in &tally.operations {
            self.operations.add(*kind as usize, OperationKind::ALL.len(), *count as f32, at);
        }
        self.volume.add(tally.total(), at);
        self.entries.add(tally.entries, at);
    }
}

impl Profile for ApplicationProfile {
    fn merge(&mut self, other: &Self) {
        self.first = match (self.first, other.first) {
            (0, first) | (first, 0) => first,
            (one, two) => one.min(two),
        };
        self.last = self.last.max(other.last);
        self.accesses = self.accesses.saturating_add(other.accesses);
        self.hours.merge(&other.hours);
        self.weekdays.merge(&other.weekdays);
        self.operations.merge(&other.operations);
        self.volume.merge(&other.volume);
        self.entries.merge(&other.entries);
        self.accounts.merge(&other.accounts, MOST_ACCOUNTS);
        merge_window(&mut self.failures, other.failures.as_deref());
        self.risk.merge(&other.risk);
    }

    fn forget_future(&mut self, now: Timestamp) {
        let latest = seconds(now);
        (self.first, self.last) = (self.first.min(latest), self.last.min(latest));
        for histogram in [&mut self.hours, &mut self.weekdays, &mut self.operations] {
            histogram.forget_future(now);
        }
        self.volume.forget_future(now);
        self.entries.forget_future(now);
        self.accounts.forget_future(now);
        if let Some(failures) = &mut self.failures {
            failures.forget_future(now);
        }
        self.risk.forget_future(now);
    }

    fn risk(&self) -> &Risk {
        &self.risk
    }

    fn risk_mut(&mut self) -> &mut Risk {
        &mut self.risk
    }

    fn name(&self) -> Option<&str> {
        None
    }
}
