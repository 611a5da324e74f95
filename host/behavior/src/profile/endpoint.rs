//! What is learned of an endpoint.

use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::summary::Tally;
use portcullis_core::{Operation, OperationKind, Signal, Timestamp, attribute};
use serde::{Deserialize, Serialize};

use super::account::merge_window;
use super::decayed::{Histogram, Volume, day};
use super::window::{Habits, Recent, Window, seconds};
use super::{Profile, cut};
use crate::detections::{anonymous_bind, cleartext_bind};
use crate::risk::Risk;
use crate::seen::{Seen, is_known, short};

/// What is kept of an endpoint at most.
const MOST_ACCOUNTS: usize = 128;
const MOST_FAILED: usize = 256;
const MOST_SPRAYED: usize = 256;
const MOST_ATTRIBUTES: usize = 160;
const MOST_APPLICATIONS: usize = 32;

/// What is learned of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointProfile {
    /// The first and the latest access, in seconds since 1970.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) accesses: u64,
    pub(crate) operations: Histogram,
    pub(crate) volume: Volume,
    pub(crate) entries: Volume,
    /// What it has reached.
    pub(crate) applications: Habits<String>,
    /// Accounts that logged in from it, and those that failed to.
    pub(crate) accounts: Habits<u32>,
    pub(crate) recent: Recent<u32>,
    pub(crate) failed: Recent<u32>,
    /// Names that nobody has.
    pub(crate) unknown: Recent<u32>,
    pub(crate) failures: Option<Box<Window>>,
    /// Attributes that its searches ask for, and shapes of their filters.
    pub(crate) attributes: Habits<u32>,
    pub(crate) searches: u64,
    /// The day, since 1970, of which something was said last.
    pub(crate) cleartext_said: u32,
    pub(crate) anonymous_said: u32,
    pub(crate) risk: Risk,
    /// Accounts whose password was right, and that the gateway did not let in. Not stored: it is of use for half an hour.
    #[serde(skip)]
    pub(crate) turned_away: Recent<u32>,
    /// Wrong passwords of the last hour with the accounts that they were tried on. Never stored.
    #[serde(skip)]
    pub(crate) sprayed: Recent<(u64, u32)>,
}

impl EndpointProfile {
    /// An access is over.
    pub(crate) fn learn(&mut self, seen: &Seen<'_>, signals: &[Signal], teaches: bool) {
        let now = seconds(seen.at);
        self.first = if self.first == 0 { now } else { self.first.min(now) };
        self.last = self.last.max(now);
        self.accesses = self.accesses.saturating_add(1);
        self.say_protection(seen, signals);
        if seen.is_failed_login() {
            self.fail(seen);
            return;
        }
        if !teaches {
            if let Some(account) = seen.account.filter(|_| seen.is_good_login()) {
                self.turned_away.saw(short(account.id.as_str()), seen.at, MOST_FAILED);
            }
            return;
        }
        self.operations.add(seen.operation.kind() as usize, OperationKind::ALL.len(), seen.operations as f32, seen.at);
        self.volume.add(seen.operations, seen.at);
        if let Operation::Search(search) = seen.operation {
            self.searches = self.searches.saturating_add(seen.operations);
            if let Some(search) = search {
                // An empty list asks for all (RFC 4511, section 4.5.1.8).
                let all = search.attributes.is_empty().then_some("*");
                let asked = search.attributes.iter().map(|written| attribute::name(written)).chain(all);
                for name in asked.take(MOST_ATTRIBUTES) {
                    self.attributes.did(&short(name), seen.at, MOST_ATTRIBUTES);
                }
            }
        }
        if let Some(account) = seen.account.filter(|_| seen.is_login()) {
            let account = short(account.id.as_str());
            self.accounts.did(&account, seen.at, MOST_ACCOUNTS);
            self.recent.saw(account, seen.at, MOST_ACCOUNTS);
            self.applications.did(cut(seen.application), seen.at, MOST_APPLICATIONS);
        }
    }

    /// Operations that were summed up.
    pub(crate) fn learn_tally(&mut self, tally: &Tally, at: Timestamp) {
        for (kind, count) in &tally.operations {
            self.operations.add(*kind as usize, OperationKind::ALL.len(), *count as f32, at);
        }
        self.searches =
            self.searches.saturating_add(tally.operations.get(&OperationKind::Search).copied().unwrap_or(0));
        self.volume.add(tally.total(), at);
        self.entries.add(tally.entries, at);
    }

    /// What is said once a day, and whether it was said.
    fn say_protection(&mut self, seen: &Seen<'_>, signals: &[Signal]) {
        for signal in signals {
            let said = match signal.name.as_str() {
                name if name == anonymous_bind::ABOUT.name => &mut self.anonymous_said,
                name if name == cleartext_bind::ABOUT.name => &mut self.cleartext_said,
                _ => continue,
            };
            *said = (*said).max(day(seen.at));
        }
    }

    fn fail(&mut self, seen: &Seen<'_>) {
        self.failures.get_or_insert_default().add(seen.at);
        let Some(account) = seen.account else { return };
        let name = short(account.id.as_str());
        self.failed.saw(name, seen.at, MOST_FAILED);
        if !is_known(account) {
            self.unknown.saw(name, seen.at, MOST_FAILED);
        }
        if let Tried::Password(PasswordTag(tag)) = seen.tried {
            self.sprayed.saw((tag, name), seen.at, MOST_SPRAYED);
        }
    }

    /// On how many accounts the password that was just tried failed within the last minutes, this one included.
    pub(crate) fn same_password(&self, seen: &Seen<'_>, minutes: u32) -> usize {
        let (Tried::Password(PasswordTag(tag)), Some(account)) = (seen.tried, seen.account) else { return 0 };
        let name = short(account.id.as_str());
        let others = self.sprayed.lately(seen.at, minutes).filter(|(known, on)| *known == tag && *on != name);
        others.count() + 1
    }
}

impl Profile for EndpointProfile {
    fn merge(&mut self, other: &Self) {
        self.first = match (self.first, other.first) {
            (0, first) | (first, 0) => first,
            (one, two) => one.min(two),
        };
        self.last = self.last.max(other.last);
        self.accesses = self.accesses.saturating_add(other.accesses);
        self.operations.merge(&other.operations);
        self.volume.merge(&other.volume);
        self.entries.merge(&other.entries);
        self.applications.merge(&other.applications, MOST_APPLICATIONS);
        self.accounts.merge(&other.accounts, MOST_ACCOUNTS);
        self.recent.merge(&other.recent, MOST_ACCOUNTS);
        self.failed.merge(&other.failed, MOST_FAILED);
        self.turned_away.merge(&other.turned_away, MOST_FAILED);
        self.unknown.merge(&other.unknown, MOST_FAILED);
        merge_window(&mut self.failures, other.failures.as_deref());
        self.attributes.merge(&other.attributes, MOST_ATTRIBUTES);
        self.searches = self.searches.saturating_add(other.searches);
        self.cleartext_said = self.cleartext_said.max(other.cleartext_said);
        self.anonymous_said = self.anonymous_said.max(other.anonymous_said);
        self.risk.merge(&other.risk);
        self.sprayed.merge(&other.sprayed, MOST_SPRAYED);
    }

    fn forget_future(&mut self, now: Timestamp) {
        let latest = seconds(now);
        (self.first, self.last) = (self.first.min(latest), self.last.min(latest));
        self.operations.forget_future(now);
        self.volume.forget_future(now);
        self.entries.forget_future(now);
        self.applications.forget_future(now);
        self.accounts.forget_future(now);
        self.attributes.forget_future(now);
        for recent in [&mut self.recent, &mut self.failed, &mut self.unknown, &mut self.turned_away] {
            recent.forget_future(now);
        }
        self.sprayed.forget_future(now);
        if let Some(failures) = &mut self.failures {
            failures.forget_future(now);
        }
        self.cleartext_said = self.cleartext_said.min(day(now));
        self.anonymous_said = self.anonymous_said.min(day(now));
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
