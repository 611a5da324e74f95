//! What is learned of an account.

use std::iter;
use std::net::IpAddr;

use portcullis_core::event::AccessEvent;
use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::policy::ChallengeOutcome;
use portcullis_core::summary::Tally;
use portcullis_core::{AccountKind, Operation, OperationKind, Search, Signal, Timestamp};
use serde::{Deserialize, Serialize};

use super::decayed::{Histogram, Timing, Volume, hour, weekday};
use super::places::{self, Fix, Visited};
use super::rhythm::Rhythm;
use super::searches::{Marks, Searches};
use super::window::{Habits, Recent, Window, seconds};
use super::{Profile, cut};
use crate::risk::Risk;
use crate::seen::{Seen, short};

/// What is kept of an account at most.
const MOST_APPLICATIONS: usize = 24;
const MOST_ENDPOINTS: usize = 32;
const MOST_TARGETS: usize = 32;
const MOST_SHAPES: usize = 16;
const MOST_TRIED: usize = 64;
/// Score from which on a signal keeps what it is about out of a fence.
pub(crate) const SUSPICIOUS: u8 = 40;

/// What is learned of an account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountProfile {
    pub(crate) login: String,
    /// What was known to stand behind it last.
    pub(crate) kind: Option<AccountKind>,
    /// The first and the latest login with success, in seconds since 1970; 0 before the first.
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// Logins with success.
    pub(crate) logins: u64,
    pub(crate) hours: Histogram,
    pub(crate) weekdays: Histogram,
    pub(crate) operations: Histogram,
    /// Operations and entries read, a day.
    pub(crate) volume: Volume,
    pub(crate) entries: Volume,
    pub(crate) applications: Habits<String>,
    pub(crate) endpoints: Habits<IpAddr>,
    pub(crate) places: Vec<Visited>,
    /// Where it was last.
    pub(crate) latest_place: Option<Fix>,
    pub(crate) timing: Timing,
    /// Logins of the last hour.
    pub(crate) recent: Option<Box<Window>>,
    /// The same, refused.
    pub(crate) failures: Option<Box<Window>>,
    /// Endpoints that the refused ones came from.
    pub(crate) failed_from: Recent<u32>,
    /// Endpoints and applications of the last hours that were new to it.
    pub(crate) new_targets: Recent<u32>,
    /// Shapes of its searches' filters.
    pub(crate) shapes: Habits<u32>,
    /// Challenges that were approved, ever, and those of the last hour that were not.
    pub(crate) approvals: u32,
    pub(crate) unanswered: Option<Box<Window>>,
    pub(crate) risk: Risk,
    /// What it searches for, of a service account; none before the first that was looked at.
    pub(crate) searches: Option<Box<Searches>>,
    /// What detections have pointed at: machines that it came from, applications, and shapes of filters.
    pub(crate) marks: Marks,
    /// Different passwords that were tried and refused lately. Never stored.
    #[serde(skip)]
    pub(crate) tried: Recent<u64>,
    /// Logins at the directory with the right password, let in or not, from a machine that is no server. Not stored: it is of use for an hour.
    #[serde(skip)]
    pub(crate) rhythm: Rhythm,
}

impl AccountProfile {
    /// An access is over.
    pub(crate) fn learn(&mut self, seen: &Seen<'_>, event: &AccessEvent, teaches: bool) {
        // What is told late says what it was called then.
        if let Some(account) = seen.account.filter(|_| self.login.is_empty() || seconds(seen.at) >= self.last) {
            cut(&account.login).clone_into(&mut self.login);
            self.kind = Some(account.kind);
        }
        self.learn_challenges(event);
        self.rhythm = self.rhythm_with(seen);
        self.mark(seen, &event.access.signals);
        if seen.is_failed_login() {
            self.fail(seen);
        } else if teaches {
            // Of what is two in one, a fence asks about both.
            for kind in iter::once(seen.operation.kind()).chain(seen.operation.besides().map(|other| other.kind())) {
                self.operations.add(kind as usize, OperationKind::ALL.len(), seen.operations as f32, seen.at);
            }
            self.volume.add(seen.operations, seen.at);
            if let Operation::Search(Some(search)) = seen.operation {
                self.shapes.did(&short(&crate::filter::shape(&search.filter)), seen.at, MOST_SHAPES);
                self.learn_search(search, seen, &event.access.signals);
            }
            if seen.is_login() {
                self.log_in(seen);
            }
        }
    }

    /// What a detection has pointed at is not what the account is there for, however often it is done.
    pub(crate) fn mark(&mut self, seen: &Seen<'_>, signals: &[Signal]) {
        let Some(signal) = suspicion(signals) else { return };
        let Self { marks, endpoints, applications, searches, .. } = self;
        let used = || {
            let machines = endpoints.iter().map(|known| short(&known.what.to_string()));
            let applications = applications.iter().map(|known| short(&marked_application(&known.what)));
            let filters = searches.iter().flat_map(|searches| searches.filters.iter());
            machines.chain(applications).chain(filters.map(|known| short(&known.what))).collect()
        };
        if let Some(address) = seen.address {
            marks.add(&address.to_string(), signal, seen.at, used);
        }
        // One that it uses is not suspect for what comes from another machine.
        let application = cut(seen.application);
        if applications.get(application).is_none() {
            marks.add(&marked_application(application), signal, seen.at, used);
        }
        if let Operation::Search(Some(search)) = seen.operation
            && let Some(shape) = crate::shape::shape(&search.filter)
        {
            marks.add(&shape, signal, seen.at, used);
        }
    }

    /// People's searches are told apart, and not kept as text: there may be many of them, and nobody fences them in.
    fn learn_search(&mut self, search: &Search, seen: &Seen<'_>, signals: &[Signal]) {
        if self.kind != Some(AccountKind::Service) || suspicion(signals).is_some() {
            return;
        }
        let is_marked = |what: String| self.marks.on(&what, seen.at).is_some();
        let by_machine = seen.address.is_some_and(|address| is_marked(address.to_string()));
        if !by_machine && !crate::shape::shape(&search.filter).is_some_and(is_marked) {
            self.searches.get_or_insert_default().learn(search, seen.at);
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

    /// The rhythm of its logins with this one. A server logs in whoever comes to it, and in the cloud browsers renew sessions by
    /// the clock: those are left out.
    pub(crate) fn rhythm_with(&self, seen: &Seen<'_>) -> Rhythm {
        let is_bind = matches!(seen.operation, Operation::Bind(_));
        let address = seen.address.filter(|_| is_bind && seen.is_good_login() && !seen.shared);
        address.map_or(self.rhythm, |address| self.rhythm.after(short(&address.to_string()), seconds(seen.at)))
    }

    fn log_in(&mut self, seen: &Seen<'_>) {
        let now = seconds(seen.at);
        if self.last > 0 && now > self.last {
            self.timing.add((now - self.last) as f32);
        }
        if let Some(address) = seen.address {
            // Before they are habits: whether they are new is the question.
            if self.logins > 0 && self.endpoints.get(&address).is_none() {
                self.new_targets.saw(short(&address.to_string()), seen.at, MOST_TARGETS);
            }
            self.endpoints.did(&address, seen.at, MOST_ENDPOINTS);
        }
        let application = cut(seen.application);
        if self.logins > 0 && self.applications.get(application).is_none() {
            self.new_targets.saw(short(application), seen.at, MOST_TARGETS);
        }
        self.applications.did(application, seen.at, MOST_APPLICATIONS);
        self.first = if self.first == 0 { now } else { self.first.min(now) };
        self.last = self.last.max(now);
        self.logins = self.logins.saturating_add(1);
        self.hours.add(hour(seen.at), 24, 1.0, seen.at);
        self.weekdays.add(weekday(seen.at), 7, 1.0, seen.at);
        self.recent.get_or_insert_default().add(seen.at);
        self.tried = Recent::default();
        if let Some(place) = seen.place {
            self.visit(place, seen);
        }
    }

    fn fail(&mut self, seen: &Seen<'_>) {
        if let Some(address) = seen.address {
            self.failed_from.saw(short(&address.to_string()), seen.at, MOST_TARGETS);
        }
        match seen.tried {
            Tried::Password(PasswordTag(tag)) => {
                let is_new = !self.tried.has(tag, seen.at, 60);
                self.tried.saw(tag, seen.at, MOST_TRIED);
                // The same wrong password again is a program that was not told the new one, and no guess.
                if is_new {
                    self.failures.get_or_insert_default().add(seen.at);
                }
            }
            Tried::Nothing => self.failures.get_or_insert_default().add(seen.at),
            Tried::EmptyPassword => {}
        }
    }

    fn learn_challenges(&mut self, event: &AccessEvent) {
        for challenge in event.challenges.iter().filter(|challenge| !challenge.remembered && challenge.id.is_some()) {
            match challenge.outcome {
                ChallengeOutcome::Approved => self.approvals = self.approvals.saturating_add(1),
                ChallengeOutcome::Denied
                | ChallengeOutcome::Expired
                | ChallengeOutcome::Closed
                | ChallengeOutcome::Failed => self.unanswered.get_or_insert_default().add(event.access.at),
                ChallengeOutcome::NotEnrolled | ChallengeOutcome::Unavailable => {}
            }
        }
    }

    /// Wrong passwords of the last minutes, this one included.
    pub(crate) fn guesses(&self, seen: &Seen<'_>, minutes: u32) -> u32 {
        let before = self.failures.as_ref().map_or(0, |failures| failures.count(seen.at, minutes));
        let is_new = match seen.tried {
            Tried::Password(PasswordTag(tag)) => !self.tried.has(tag, seen.at, 60),
            Tried::Nothing => true,
            Tried::EmptyPassword => false,
        };
        before + u32::from(seen.is_failed_login() && is_new)
    }

    /// Its login.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Logins with success.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.logins
    }

    /// What was known to stand behind it when it was used last.
    #[must_use]
    pub fn kind(&self) -> AccountKind {
        self.kind.unwrap_or(AccountKind::Unknown)
    }

    /// How long it has been known, in days.
    pub(crate) fn days_known(&self, at: Timestamp) -> u32 {
        if self.first == 0 { 0 } else { seconds(at).saturating_sub(self.first) / 86_400 }
    }
}

/// An application, as marks name it.
pub(crate) fn marked_application(name: &str) -> String {
    format!("application:{name}")
}

/// The strongest signal that is about more than hygiene or an odd hour.
fn suspicion(signals: &[Signal]) -> Option<&Signal> {
    let strong = signals.iter().filter(|signal| signal.score >= SUSPICIOUS);
    strong.max_by_key(|signal| signal.score)
}

pub(super) fn merge_window(one: &mut Option<Box<Window>>, other: Option<&Window>) {
    if let Some(other) = other {
        one.get_or_insert_default().merge(other);
    }
}

impl Profile for AccountProfile {
    fn merge(&mut self, other: &Self) {
        if (other.last, &other.login) > (self.last, &self.login) {
            other.login.clone_into(&mut self.login);
            self.kind = other.kind;
        }
        self.first = match (self.first, other.first) {
            (0, first) | (first, 0) => first,
            (one, two) => one.min(two),
        };
        self.last = self.last.max(other.last);
        self.logins = self.logins.saturating_add(other.logins);
        self.hours.merge(&other.hours);
        self.weekdays.merge(&other.weekdays);
        self.operations.merge(&other.operations);
        self.volume.merge(&other.volume);
        self.entries.merge(&other.entries);
        self.applications.merge(&other.applications, MOST_APPLICATIONS);
        self.endpoints.merge(&other.endpoints, MOST_ENDPOINTS);
        places::merge(&mut self.places, &other.places);
        self.latest_place = [self.latest_place, other.latest_place]
            .into_iter()
            .flatten()
            .max_by(|one, other| one.at.cmp(&other.at).then_with(|| one.place.by_position(&other.place)));
        self.timing.merge(&other.timing);
        merge_window(&mut self.recent, other.recent.as_deref());
        merge_window(&mut self.failures, other.failures.as_deref());
        self.failed_from.merge(&other.failed_from, MOST_TARGETS);
        self.new_targets.merge(&other.new_targets, MOST_TARGETS);
        self.shapes.merge(&other.shapes, MOST_SHAPES);
        self.approvals = self.approvals.saturating_add(other.approvals);
        merge_window(&mut self.unanswered, other.unanswered.as_deref());
        self.risk.merge(&other.risk);
        if let Some(other) = &other.searches {
            self.searches.get_or_insert_default().merge(other);
        }
        self.marks.merge(&other.marks);
        self.tried.merge(&other.tried, MOST_TRIED);
        self.rhythm.merge(&other.rhythm);
    }

    fn forget_future(&mut self, now: Timestamp) {
        let latest = seconds(now);
        (self.first, self.last) = (self.first.min(latest), self.last.min(latest));
        for histogram in [&mut self.hours, &mut self.weekdays, &mut self.operations] {
            histogram.forget_future(now);
        }
        for volume in [&mut self.volume, &mut self.entries] {
            volume.forget_future(now);
        }
        self.applications.forget_future(now);
        self.endpoints.forget_future(now);
        self.shapes.forget_future(now);
        self.places.iter_mut().for_each(|visited| visited.last = visited.last.min(latest));
        self.latest_place = self.latest_place.filter(|fix| fix.at <= now);
        for window in [&mut self.recent, &mut self.failures, &mut self.unanswered].into_iter().flatten() {
            window.forget_future(now);
        }
        self.failed_from.forget_future(now);
        self.new_targets.forget_future(now);
        self.tried.forget_future(now);
        if let Some(searches) = &mut self.searches {
            searches.forget_future(now);
        }
        self.marks.forget_future(now);
        self.risk.forget_future(now);
    }

    fn risk(&self) -> &Risk {
        &self.risk
    }

    fn risk_mut(&mut self) -> &mut Risk {
        &mut self.risk
    }

    fn name(&self) -> Option<&str> {
        Some(self.login.as_str()).filter(|login| !login.is_empty())
    }
}
