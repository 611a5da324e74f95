//! From what a service tells to records: each event becomes an access and goes the way of one.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_behavior as behavior;
use portcullis_behavior::seen::Place;
use portcullis_core::cloud::{FollowUp, Foreign, ForeignRecord, SourcePage, SourceState};
use portcullis_core::event::{AccessEvent, Decision, Event, Record};
use portcullis_core::gate::Tried;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory, Observation};
use portcullis_core::policy::Mode;
use portcullis_core::profile::Subject;
use portcullis_core::source::{ForeignEvent, Position};
use portcullis_core::store::StoreError;
use portcullis_core::{Access, AccountId, Endpoint, Operation, Outcome, Target, Timestamp};

use super::poll::Trouble;
use super::whose::Whose;
use super::{Cloud, Reader};
use crate::decide::{Asking, Draft, Finished, observation};
use crate::{Guard, trust};

/// Events that are stored in one transaction. More would hold up the decisions that wait for the next one.
const MOST_AT_ONCE: usize = 1000;
/// Octets of an event's own text that are kept.
const LONGEST_RAW: usize = 64 * 1024;
/// The same of every other text of it.
const LONGEST_TEXT: usize = 4096;
/// Other things that a service says of an event.
const MOST_ATTRIBUTES: usize = 64;
/// After so many events, others get their turn.
const BREATH: usize = 16;

impl Reader {
    /// Stores what is new of a page, and `next` with it. Returns how many events were.
    pub(super) async fn take(
        self: &Arc<Self>,
        cloud: &Cloud,
        events: Vec<ForeignEvent>,
        before: &SourceState,
        next: SourceState,
    ) -> Result<u64, Trouble> {
        let source = &self.source.name;
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        let mut known = if ids.is_empty() {
            HashSet::new()
        } else {
            cloud.store.known_ids(source, &ids).await.map_err(Trouble::of)?
        };
        let mut new: Vec<_> = events.into_iter().filter(|event| known.insert(event.id.clone())).collect();
        // What came first teaches about what came later, in whatever order they are told.
        new.sort_by_key(|event| event.at);
        let mut stored = 0;
        let mut parts = new.into_iter().peekable();
        loop {
            let part: Vec<_> = parts.by_ref().take(MOST_AT_ONCE).collect();
            let is_last = parts.peek().is_none();
            // Of a page in several parts, only the last moves on: what is asked for again in between is known by its ids.
            let state = if is_last { next.clone() } else { before.clone() };
            let records = self.records(cloud, part).await?;
            let has_follow_ups = records.iter().any(|record| record.follow_up.is_some());
            let page = SourcePage { source: source.clone(), state, records };
            stored += cloud.store.put_page(page).await.map_err(Trouble::of)?;
            if has_follow_ups {
                cloud.pending.notify_one();
            }
            if is_last {
                return Ok(stored);
            }
        }
    }

    async fn records(
        self: &Arc<Self>,
        cloud: &Cloud,
        events: Vec<ForeignEvent>,
    ) -> Result<Vec<ForeignRecord>, Trouble> {
        let whose = self.whose_all(cloud, &events).await?;
        let mut records = Vec::with_capacity(events.len());
        let mut habits = Habits::of(&cloud.guard, &events).await.map_err(Trouble::of)?;
        cloud.guard.prepare(self.subjects(&events, &whose)).await.map_err(Trouble::of)?;
        let now = cloud.guard.rooms.clock.now();
        for (number, event) in events.into_iter().enumerate() {
            if number % BREATH == BREATH - 1 {
                tokio::task::yield_now().await;
            }
            let nobody = Whose::default();
            let whose = event.identities.first().and_then(|id| whose.get(id)).unwrap_or(&nobody);
            let record = self.record(&cloud.guard, event, whose, &mut habits, now).await?;
            if let Some(learned) = &record.record.learned {
                habits.learn(learned);
            }
            records.push(record);
        }
        Ok(records)
    }

    /// All that the events are about.
    fn subjects(&self, events: &[ForeignEvent], whose: &HashMap<String, Whose>) -> HashSet<Subject> {
        let mut subjects = HashSet::new();
        for event in events {
            let account = event.identities.first().and_then(|id| whose.get(id)?.account.as_ref());
            subjects.extend(account.map(|account| Subject::Account(account.id.clone())));
            subjects.extend(event.address.map(|address| Subject::Endpoint(address.to_canonical())));
            subjects.insert(Subject::Application(self.application(event.application.as_ref())));
        }
        subjects
    }

    fn application(&self, named: Option<&String>) -> String {
        cut(named.cloned().unwrap_or_else(|| self.source.name.to_string()), LONGEST_TEXT)
    }

    async fn record(
        &self,
        guard: &Guard,
        event: ForeignEvent,
        whose: &Whose,
        habits: &mut Habits,
        now: Timestamp,
    ) -> Result<ForeignRecord, Trouble> {
        let access = self.access(guard, &event, whose, habits).await?;
        let (id, account) = (event.id.clone(), event.identities.first().cloned());
        let is_refused = event.outcome == Outcome::Failure && is_sign_in(&event.operation);
        let mut draft = Draft::foreign(guard, access, foreign(event, now), Asking::Later);
        if is_refused {
            draft.refused("The service refused it.");
        } else {
            draft.evaluate(&Ok(Arc::clone(&whose.facts))).await;
        }
        let finished = draft.finish().ok_or_else(|| Trouble::of("an access was closed while it was decided"))?;
        let Finished { mut event, mut incidents, demotions, wanted_by } = finished;
        incidents.extend(trust::distrusted(&event));
        let mut learned = observation(&event);
        let is_recent = now.since(event.access.at) <= self.source.options.act_within;
        let follow_up = match wanted_by {
            Some(policy) if is_recent => {
                event.reason.push_str(" A second factor is asked for; the answer is an event of its own.");
                // What nobody has confirmed yet is no habit.
                learned = None;
                Some(FollowUp::Challenge { policy })
            }
            Some(_) => {
                event.reason.push_str(" It was too long ago to ask for a second factor.");
                None
            }
            None if is_recent => account.and_then(|account| self.enforcement(&event, account)),
            None => None,
        };
        if is_recent {
            // Stored ahead of the page, and done when that is.
            guard.want_demotions(demotions).await.map_err(Trouble::of)?;
        }
        guard.counts.add(&event);
        let forget = trust::against(&event, now);
        guard.learn(&event, Tried::Nothing);
        let record = Record { event: Event::Access(event), learned, incidents };
        Ok(ForeignRecord { id, record, follow_up, forget, is_old: !is_recent })
    }

    /// What a block leads to. Not one that a fail mode has put in place of a ruling: a plugin that is broken would suspend
    /// everybody. The incident that it opens calls for a person.
    pub(super) fn enforcement(&self, event: &AccessEvent, account: String) -> Option<FollowUp> {
        let own_word = event.rulings.iter().rev().find(|ruling| ruling.mode == Mode::Enforce)?.fault.is_none();
        let policy = event.decided_by.clone().filter(|_| event.decision == Decision::Block && own_word)?;
        let actions = self.source.options.on_block.actions();
        (!actions.is_empty()).then_some(FollowUp::Enforce { account, actions, policy })
    }

    async fn access(
        &self,
        guard: &Guard,
        event: &ForeignEvent,
        whose: &Whose,
        habits: &mut Habits,
    ) -> Result<Access, Trouble> {
        let mut account = whose.account.clone();
        if let Some(account) = &mut account {
            guard.correct(account);
        }
        let mut signals = Vec::new();
        let mut endpoint = None;
        if let Some(address) = event.address.map(|address| address.to_canonical()) {
            let id = account.as_ref().map(|account| &account.id);
            let noticed = habits.notice(guard, id, address, event.at).await.map_err(Trouble::of)?;
            let names = &guard.options.surroundings;
            endpoint = Some(Endpoint {
                address,
                name: names.endpoint(address).map(str::to_owned),
                site: names.site(address).map(str::to_owned),
                shared: noticed.shared,
                associated: noticed.associated,
                risk: 0,
            });
            signals = noticed.signals;
        }
        let application = self.application(event.application.as_ref());
        let mut access = Access {
            id: guard.rooms.ids.event_id(event.at),
            at: event.at,
            source: self.source.name.to_string(),
            account,
            endpoint,
            protection: None,
            target: Target { application, entry: None },
            operation: event.operation.clone(),
            outcome: event.outcome,
            signals: Vec::new(),
        };
        let place = event.position.and_then(Place::of_position);
        guard.look(&mut access, place, true, Tried::Nothing, signals).await.map_err(Trouble::of)?;
        Ok(access)
    }
}

/// Whoever fails to sign in has not shown who he is: policies that would ask for a second factor then could be used to ring
/// anybody's phone. As with a bind that the directory refuses.
fn is_sign_in(operation: &Operation) -> bool {
    matches!(operation, Operation::SignIn | Operation::AppAccess)
}

fn foreign(event: ForeignEvent, now: Timestamp) -> Foreign {
    let text = |text| cut(text, LONGEST_TEXT);
    let is_on_earth = |at: &Position| (-90.0..=90.0).contains(&at.latitude) && (-180.0..=180.0).contains(&at.longitude);
    Foreign {
        id: event.id,
        received_at: now,
        account: event.identities.into_iter().next(),
        detail: text(event.detail),
        place: event.place.map(text),
        position: event.position.filter(is_on_earth),
        user_agent: event.user_agent.map(text),
        attributes: event.attributes.into_iter().take(MOST_ATTRIBUTES).collect(),
        raw: cut(event.raw, LONGEST_RAW),
        follows: None,
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
    text
}

/// What is usual, with what the page itself has taught so far.
struct Habits {
    accounts: HashMap<AccountId, AccountHistory>,
    endpoints: HashMap<IpAddr, EndpointHistory>,
}

impl Habits {
    async fn of(guard: &Guard, events: &[ForeignEvent]) -> Result<Self, StoreError> {
        let addresses: HashSet<_> = events.iter().filter_map(|event| Some(event.address?.to_canonical())).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        let endpoints = guard.rooms.learned.endpoint_histories(&addresses).await?;
        Ok(Self { accounts: HashMap::new(), endpoints })
    }

    async fn notice(
        &mut self,
        guard: &Guard,
        account: Option<&AccountId>,
        address: IpAddr,
        at: Timestamp,
    ) -> Result<behavior::Noticed, StoreError> {
        let endpoint = self.endpoints.get(&address).copied().unwrap_or_default();
        let Some(account) = account else {
            let shared = behavior::shared_endpoint::is_shared(endpoint, &guard.options.behavior);
            return Ok(behavior::Noticed { associated: false, shared, signals: Vec::new() });
        };
        if !self.accounts.contains_key(account) {
            let read = guard.rooms.learned.account_history(account).await?;
            self.accounts.insert(account.clone(), read);
        }
        let unseen = AccountHistory::default();
        let history = self.accounts.get(account).unwrap_or(&unseen);
        let observed = behavior::Observed { at, address, account: history, endpoint };
        Ok(behavior::notice(observed, &guard.options.behavior))
    }

    fn learn(&mut self, learned: &Observation) {
        let Some(history) = self.accounts.get_mut(&learned.account) else { return };
        match history.associations.iter_mut().find(|known| known.address == learned.address) {
            Some(known) => {
                known.first_seen = known.first_seen.min(learned.at);
                known.last_seen = known.last_seen.max(learned.at);
                known.count = known.count.saturating_add(1);
            }
            None => {
                let (first_seen, last_seen) = (learned.at, learned.at);
                history.associations.push(Association { address: learned.address, first_seen, last_seen, count: 1 });
                if let Some(endpoint) = self.endpoints.get_mut(&learned.address) {
                    endpoint.accounts = endpoint.accounts.saturating_add(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_letters() {
        assert_eq!(cut("häuser".to_owned(), 2), "h");
        assert_eq!(cut("häuser".to_owned(), 3), "hä");
        assert_eq!(cut("häuser".to_owned(), 99), "häuser");
    }
}
