//! What behaviour has learned, at hand for decisions: the profiles in memory, read from the store when somebody comes who is not
//! there, and written back in the background.
//!
//! An access is looked at before it is decided and learned from when its event is handed to the store. A writing takes a copy of
//! all that has changed at one moment, with a mark: up to which event the log was stored then, and which later events had
//! been learned from already. After a crash, what the log has beyond the mark is learned again, and nothing twice.

mod imported;
mod keep;
mod passwords;
mod risks;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use portcullis_behavior::memory::{Look, Memory, Room};
use portcullis_behavior::seen::{Place, Seen};
use portcullis_core::event::AccessEvent;
use portcullis_core::gate::Tried;
use portcullis_core::profile::{Subject, event_tag};
use portcullis_core::store::StoreError;
use portcullis_core::summary::{Audit, SessionSummary};
use portcullis_core::{Access, Account, AccountId, AccountKind, EventId, Signal, Timestamp};
use tracing::warn;

use crate::Guard;

pub(crate) use passwords::Passwords;

/// An event is stored, or never will be, this long after it was learned from.
const LATEST: Duration = Duration::from_secs(30);
/// By how much the clock has to have been ahead for what was learned then to be put right.
const AHEAD: Duration = Duration::from_secs(600);
/// Events of cloud services that are remembered, so that one that is told again teaches nothing.
const MOST_FOREIGN: usize = 8_192;

/// Profiles, and what people have said about accounts.
pub(crate) struct Mind {
    inner: Mutex<Inner>,
    kinds: RwLock<HashMap<AccountId, AccountKind>>,
    /// Held while they are read or decided, so that what was read does not undo what was decided meanwhile.
    deciding: tokio::sync::Mutex<()>,
    /// The number of the next mark; held while one is written.
    next_mark: tokio::sync::Mutex<u64>,
    hasher: RandomState,
}

struct Inner {
    memory: Memory,
    /// The last imported event that has taught.
    imported: u64,
    /// Events that were learned from lately, by when.
    latest: VecDeque<(Timestamp, u64)>,
    foreign: HashSet<u64>,
    foreign_order: VecDeque<u64>,
}

impl Default for Mind {
    fn default() -> Self {
        let inner = Inner {
            memory: Memory::new(Room::default()),
            imported: 0,
            latest: VecDeque::new(),
            foreign: HashSet::new(),
            foreign_order: VecDeque::new(),
        };
        Self {
            inner: Mutex::new(inner),
            kinds: RwLock::default(),
            deciding: tokio::sync::Mutex::default(),
            next_mark: tokio::sync::Mutex::new(1),
            hasher: RandomState::new(),
        }
    }
}

impl Mind {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decided_kind(&self, account: &AccountId) -> Option<AccountKind> {
        self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(account).copied()
    }
}

impl Inner {
    /// The event is one of a cloud service that has taught already.
    fn is_known(&mut self, tag: u64) -> bool {
        if !self.foreign.insert(tag) {
            return true;
        }
        self.foreign_order.push_back(tag);
        if self.foreign_order.len() > MOST_FOREIGN
            && let Some(oldest) = self.foreign_order.pop_front()
        {
            self.foreign.remove(&oldest);
        }
        false
    }

    fn note_latest(&mut self, id: EventId, now: Timestamp) {
        if let Some((newest, _)) = self.latest.back().copied().filter(|(newest, _)| *newest > now) {
            // The clock was put back. What was learned a moment ago is no younger than that now.
            self.latest.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
            if newest.since(now) > AHEAD {
                self.memory.forget_future(now);
            }
        }
        while self.latest.front().is_some_and(|(at, _)| now.since(*at) > LATEST) {
            self.latest.pop_front();
        }
        self.latest.push_back((now, event_tag(id)));
    }
}

impl Guard {
    /// What a person has said of the account goes before what the directory says.
    pub(crate) fn correct(&self, account: &mut Account) {
        if let Some(kind) = self.mind.decided_kind(&account.id) {
            account.kind = kind;
        }
    }

    /// Looks at an access and writes down what stands out, and how risky its account and endpoint are. `signals` is what was
    /// said of the endpoint.
    ///
    /// # Errors
    /// The store does not say what is known of somebody who is not in memory. Then only `signals` is written down.
    pub(crate) async fn look(
        &self,
        access: &mut Access,
        place: Option<Place>,
        in_cloud: bool,
        tried: Tried,
        signals: Vec<Signal>,
    ) -> Result<(), StoreError> {
        access.signals.clone_from(&signals);
        let seen = Seen { place, in_cloud, ..Seen::of(access, None, None, tried) };
        let look = self.look_at(&seen, signals).await?;
        access.signals = look.signals;
        if let Some(account) = &mut access.account {
            account.risk = look.account_risk;
        }
        if let Some(endpoint) = &mut access.endpoint {
            endpoint.risk = look.endpoint_risk;
        }
        Ok(())
    }

    pub(crate) async fn look_at(&self, seen: &Seen<'_>, signals: Vec<Signal>) -> Result<Look, StoreError> {
        let settings = &*self.heeded.settings();
        let missing = {
            let mut inner = self.mind.inner();
            let missing = inner.memory.missing(seen);
            if missing.is_empty() {
                return Ok(inner.memory.look(seen, settings, signals));
            }
            missing
        };
        self.load(missing).await?;
        Ok(self.mind.inner().memory.look(seen, settings, signals))
    }

    /// Takes what is known of these into memory, where it is not there: many at once, where one question to the store for each
    /// would take longer than everything else.
    pub(crate) async fn prepare(&self, subjects: HashSet<Subject>) -> Result<(), StoreError> {
        let missing: Vec<_> = {
            let inner = self.mind.inner();
            subjects.into_iter().filter(|subject| inner.memory.lacks(subject)).collect()
        };
        self.load(missing).await
    }

    /// Takes profiles out of the store into memory. Those of which there is nothing begin.
    async fn load(&self, subjects: Vec<Subject>) -> Result<(), StoreError> {
        let stored = self.rooms.profiles.profiles(&subjects).await?;
        let mut stored: HashMap<_, _> =
            stored.into_iter().map(|profile| (profile.subject, (profile.value, profile.mark))).collect();
        let now = self.rooms.clock.now().plus(AHEAD);
        let mut inner = self.mind.inner();
        for subject in subjects {
            let found = stored.remove(&subject);
            let name = subject.clone();
            if !inner.memory.put(subject, found.as_ref().map(|(value, mark)| (value.as_slice(), *mark))) {
                warn!(?name, "what was learned is of a version that cannot be read, and is learned anew");
            }
            inner.memory.forget_future_of(&name, now);
        }
        Ok(())
    }

    /// The position of the site that an access comes from. A machine that many accounts use is an application's server: it says
    /// nothing of where the person is.
    pub(crate) fn site_place(&self, access: &Access) -> Option<Place> {
        let endpoint = access.endpoint.as_ref().filter(|endpoint| !endpoint.shared)?;
        self.options.positions.get(endpoint.site.as_ref()?).copied()
    }

    /// Learns from an access whose event is about to be stored.
    pub(crate) fn learn(&self, event: &AccessEvent, tried: Tried) {
        let now = self.rooms.clock.now();
        let site = if event.foreign.is_none() { self.site_place(&event.access) } else { None };
        let mut inner = self.mind.inner();
        if let Some(foreign) = event.foreign.as_ref().filter(|foreign| foreign.follows.is_none()) {
            let tag = self.mind.hasher.hash_one((&event.access.source, &foreign.id));
            if inner.is_known(tag) {
                return;
            }
        }
        inner.note_latest(event.access.id, now);
        inner.memory.learn(event, (tried, site), &self.options.behavior, &|_| false);
    }

    /// Learns from a search of which no event is stored: the form of it, and, unless it is in a summary, that there was one.
    pub(crate) fn learn_passed(&self, event: &AccessEvent) {
        let (site, is_counted) = (self.site_place(&event.access), self.options.audit == Audit::Summary);
        let settings = &self.options.behavior;
        self.mind.inner().memory.learn_passed(event, site, is_counted, settings);
    }

    /// Learns from operations that were summed up.
    pub(crate) fn learn_summary(&self, summary: &SessionSummary) {
        let now = self.rooms.clock.now();
        let mut inner = self.mind.inner();
        inner.note_latest(summary.id, now);
        inner.memory.learn_summary(summary, &self.options.behavior, &|_| false);
    }

    /// Profiles in memory: accounts, endpoints, applications; and how many were lost because too many came at once.
    #[must_use]
    pub fn profiles(&self) -> ([usize; 3], u64) {
        let inner = self.mind.inner();
        (inner.memory.len(), inner.memory.lost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_put_back_does_not_make_the_latest_events_stay() {
        let mind = Mind::default();
        let mut inner = mind.inner();
        let at = |seconds: u64| Timestamp(1_800_000_000_000 + seconds * 1_000);
        let mut note = |seconds: u64| {
            inner.note_latest(EventId(uuid::Uuid::from_u128(seconds.into())), at(seconds));
            inner.latest.len()
        };
        assert_eq!((note(3_600), note(3_601)), (1, 2));
        assert_eq!(note(0), 3, "an hour before");
        assert_eq!((note(10), note(30)), (4, 5));
        assert_eq!(note(31), 3, "those of half a minute ago are gone");
    }
}
