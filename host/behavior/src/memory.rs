//! The profiles that are in memory: the most recently used ones of each kind, so that no decision waits for the database
//! for somebody who is known.

mod factors;
mod shelf;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_core::event::AccessEvent;
use portcullis_core::gate::Tried;
use portcullis_core::profile::Subject;
use portcullis_core::risk::{FactorOrigin, RiskChange, RiskFactor};
use portcullis_core::summary::SessionSummary;
use portcullis_core::{AccountId, Operation, Outcome, Signal, Timestamp};

use crate::Settings;
use crate::detections::{self, Scene, Weights};
use crate::profile::{AccountProfile, ApplicationProfile, EndpointProfile, Profile};
use crate::risk::Finding;
use crate::seen::{Ahead, Place, Seen, is_known, teaches};
use factors::{add_effects, add_findings, answer, finding};
use shelf::Shelf;

/// How many profiles are in memory at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Accounts.
    pub accounts: usize,
    /// Endpoints.
    pub endpoints: usize,
    /// Applications.
    pub applications: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { accounts: 100_000, endpoints: 50_000, applications: 4_096 }
    }
}

/// Profiles.
#[derive(Default)]
pub struct Memory {
    accounts: Shelf<AccountId, AccountProfile>,
    endpoints: Shelf<IpAddr, EndpointProfile>,
    applications: Shelf<String, ApplicationProfile>,
}

/// What an access looks like beside what is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// What stands out, what was said of the endpoint included.
    pub signals: Vec<Signal>,
    /// Risk of the account with this access, 0 to 100.
    pub account_risk: u8,
    /// The same of the endpoint.
    pub endpoint_risk: u8,
}

/// A copy of a profile that has changed.
#[derive(Debug, Clone)]
pub enum Changed {
    /// Of an account.
    Account(AccountId, Box<AccountProfile>),
    /// Of an endpoint.
    Endpoint(IpAddr, Box<EndpointProfile>),
    /// Of an application.
    Application(String, Box<ApplicationProfile>),
}

impl Changed {
    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Account(id, _) => Subject::Account(id.clone()),
            Self::Endpoint(address, _) => Subject::Endpoint(*address),
            Self::Application(name, _) => Subject::Application(name.clone()),
        }
    }

    /// Its stored form, and its risk.
    #[must_use]
    pub fn encode(&self, at: Timestamp, half_life: Duration) -> (Vec<u8>, u8) {
        match self {
            Self::Account(_, profile) => (profile.encode(), profile.risk.score(at, half_life)),
            Self::Endpoint(_, profile) => (profile.encode(), profile.risk.score(at, half_life)),
            Self::Application(_, profile) => (profile.encode(), profile.risk.score(at, half_life)),
        }
    }
}

/// A risk as it is known in memory, or in a stored profile.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRisk {
    /// The subject's name for people, where its key is none.
    pub name: Option<String>,
    /// 0 to 100.
    pub score: u8,
    /// The heaviest first.
    pub factors: Vec<RiskFactor>,
}

impl Memory {
    /// Empty, with so much room.
    #[must_use]
    pub fn new(room: Room) -> Self {
        Self {
            accounts: Shelf::new(room.accounts),
            endpoints: Shelf::new(room.endpoints),
            applications: Shelf::new(room.applications),
        }
    }

    /// Whose profiles have to be put here before the access is looked at.
    #[must_use]
    pub fn missing(&self, seen: &Seen<'_>) -> Vec<Subject> {
        let account = profiled(seen).filter(|id| !self.accounts.has(*id));
        let endpoint = seen.address.filter(|address| !self.endpoints.has(address));
        let application = Some(seen.application).filter(|name| !self.applications.has(*name));
        let mut missing = Vec::new();
        missing.extend(account.map(|id| Subject::Account(id.clone())));
        missing.extend(endpoint.map(Subject::Endpoint));
        missing.extend(application.map(|name| Subject::Application(name.to_owned())));
        missing
    }

    /// The profile is not here.
    #[must_use]
    pub fn lacks(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Account(id) => !self.accounts.has(id),
            Subject::Endpoint(address) => !self.endpoints.has(address),
            Subject::Application(name) => !self.applications.has(name.as_str()),
        }
    }

    /// Puts a profile here, as it was stored under a mark; one of which nothing is stored, or nothing readable, begins. Leaves
    /// one that is here already. Says whether what is stored could be read.
    pub fn put(&mut self, subject: Subject, stored: Option<(&[u8], u64)>) -> bool {
        match subject {
            Subject::Account(id) => self.accounts.put(id, stored),
            Subject::Endpoint(address) => self.endpoints.put(address, stored),
            Subject::Application(name) => self.applications.put(name, stored),
        }
    }

    /// The clock was ahead when some of what is here was learned.
    pub fn forget_future(&mut self, now: Timestamp) {
        self.accounts.profiles().for_each(|profile| profile.forget_future(now));
        self.endpoints.profiles().for_each(|profile| profile.forget_future(now));
        self.applications.profiles().for_each(|profile| profile.forget_future(now));
    }

    /// The same of one subject.
    pub fn forget_future_of(&mut self, subject: &Subject, now: Timestamp) {
        match subject {
            Subject::Account(id) => self.accounts.get(id).into_iter().for_each(|profile| profile.forget_future(now)),
            Subject::Endpoint(address) => {
                self.endpoints.get(address).into_iter().for_each(|profile| profile.forget_future(now));
            }
            Subject::Application(name) => {
                self.applications.get(name.as_str()).into_iter().for_each(|profile| profile.forget_future(now));
            }
        }
    }

    /// Looks at an access. `signals` is what was said of the endpoint.
    pub fn look(&mut self, seen: &Seen<'_>, settings: &Settings, mut signals: Vec<Signal>) -> Look {
        detections::keep_wanted(seen, settings, &mut signals);
        let account = profiled(seen).and_then(|id| self.accounts.get(id));
        let endpoint = seen.address.and_then(|address| self.endpoints.get(&address));
        let application = self.applications.get(seen.application);
        let scene = Scene {
            seen,
            account: account.as_deref(),
            endpoint: endpoint.as_deref(),
            application: application.as_deref(),
            settings,
        };
        detections::look(&scene, &mut signals);
        let weights = |of: fn(&Weights) -> u8| {
            signals.iter().filter_map(move |signal| {
                let about = detections::about(&signal.name)?;
                Some((about.name, of(&about.weights)))
            })
        };
        let half_life = settings.risk_half_life;
        let account_risk =
            scene.account.map_or(0, |known| known.risk.score_with(weights(|w| w.account), seen.at, half_life));
        let endpoint_risk =
            scene.endpoint.map_or(0, |known| known.risk.score_with(weights(|w| w.endpoint), seen.at, half_life));
        Look { signals, account_risk, endpoint_risk }
    }

    /// Learns from an access that is over. `site` is the position of the site that it came from. `is_in` says of a mark
    /// whether the profiles that were stored under it have the event in them.
    pub fn learn(
        &mut self,
        event: &AccessEvent,
        (tried, site): (Tried, Option<Place>),
        settings: &Settings,
        is_in: &dyn Fn(u64) -> bool,
    ) {
        self.learn_seen(&Seen::of(&event.access, event.foreign.as_deref(), site, tried), event, settings, is_in);
    }

    /// The same of an access of which no event is stored. Where `is_counted`, the summary that tells of it counts it.
    pub fn learn_passed(&mut self, event: &AccessEvent, site: Option<Place>, is_counted: bool, settings: &Settings) {
        let seen = Seen::of(&event.access, None, site, Tried::Nothing);
        let seen = Seen { operations: u64::from(!is_counted), ..seen };
        self.learn_seen(&seen, event, settings, &|_| false);
    }

    fn learn_seen(&mut self, seen: &Seen<'_>, event: &AccessEvent, settings: &Settings, is_in: &dyn Fn(u64) -> bool) {
        let teaches = teaches(event);
        let half_life = settings.risk_half_life;
        if let Some(account) = profiled(seen).and_then(|id| self.accounts.change(id, is_in)) {
            account.learn(seen, event, teaches);
            add_findings(account, event, |weights| weights.account, half_life);
            add_effects(account, event, half_life);
            answer(account, event);
        }
        if let Some(endpoint) = seen.address.and_then(|address| self.endpoints.change(&address, is_in)) {
            endpoint.learn(seen, &event.access.signals, teaches);
            add_findings(endpoint, event, |weights| weights.endpoint, half_life);
        }
        if let Some(application) = self.applications.change(seen.application, is_in) {
            application.learn(seen, teaches);
            add_findings(application, event, |weights| weights.application, half_life);
        }
    }

    /// The same of operations that were summed up.
    pub fn learn_summary(&mut self, summary: &SessionSummary, settings: &Settings, is_in: &dyn Fn(u64) -> bool) {
        let (at, half_life) = (summary.to, settings.risk_half_life);
        let add = |risk: &mut crate::risk::Risk, of: fn(&Weights) -> u8| {
            for signal in &summary.signals {
                if let Some(about) = detections::about(&signal.name) {
                    risk.add(finding(signal, of(&about.weights), at, summary.id), half_life);
                }
            }
        };
        let account = summary.account.as_ref().map(|account| &account.id);
        if let Some(account) = account.and_then(|id| self.accounts.change(id, is_in)) {
            account.learn_tally(&summary.tally, at);
            account.mark(&summary_seen(summary, &Operation::Search(None)), &summary.signals);
            add(&mut account.risk, |weights| weights.account);
        }
        if let Some(endpoint) = self.endpoints.change(&summary.endpoint.address, is_in) {
            endpoint.learn_tally(&summary.tally, at);
            add(&mut endpoint.risk, |weights| weights.endpoint);
        }
        if let Some(application) = self.applications.change(summary.application.as_str(), is_in) {
            application.learn_tally(&summary.tally, at);
            add(&mut application.risk, |weights| weights.application);
        }
    }

    /// Copies of all that has changed since the last time.
    pub fn take_changed(&mut self) -> Vec<Changed> {
        let mut changed = Vec::new();
        self.accounts.take_changed(|id, profile| changed.push(Changed::Account(id, profile)));
        self.endpoints.take_changed(|address, profile| changed.push(Changed::Endpoint(address, profile)));
        self.applications.take_changed(|name, profile| changed.push(Changed::Application(name, profile)));
        changed
    }

    /// Could not be stored: it counts as changed again.
    pub fn give_back(&mut self, subject: &Subject) {
        match subject {
            Subject::Account(id) => drop(self.accounts.change(id, &|_| false)),
            Subject::Endpoint(address) => drop(self.endpoints.change(address, &|_| false)),
            Subject::Application(name) => drop(self.applications.change(name.as_str(), &|_| false)),
        }
    }

    /// The risk of a subject that is here.
    #[must_use]
    pub fn risk(&self, subject: &Subject, at: Timestamp, settings: &Settings) -> Option<KnownRisk> {
        match subject {
            Subject::Account(id) => self.accounts.peek(id).map(|profile| known_risk(profile, at, settings)),
            Subject::Endpoint(address) => self.endpoints.peek(address).map(|profile| known_risk(profile, at, settings)),
            Subject::Application(name) => {
                self.applications.peek(name.as_str()).map(|profile| known_risk(profile, at, settings))
            }
        }
    }

    /// A person's change. Says whether there is what it is about.
    pub fn change_risk(
        &mut self,
        subject: &Subject,
        person: &str,
        change: &RiskChange,
        at: Timestamp,
        settings: &Settings,
    ) -> bool {
        let risk = match subject {
            Subject::Account(id) => self.accounts.change(id, &|_| false).map(Profile::risk_mut),
            Subject::Endpoint(address) => self.endpoints.change(address, &|_| false).map(Profile::risk_mut),
            Subject::Application(name) => self.applications.change(name.as_str(), &|_| false).map(Profile::risk_mut),
        };
        let Some(risk) = risk else { return false };
        match change {
            RiskChange::PutOut { name } => risk.put_out(name, person),
            RiskChange::Add { name, weight, reason } => {
                let found = Finding { name, origin: FactorOrigin::Person, reason, weight: *weight, at, event: None };
                risk.add(found, settings.risk_half_life);
                true
            }
        }
    }

    /// How many profiles are here: accounts, endpoints, applications.
    #[must_use]
    pub fn len(&self) -> [usize; 3] {
        [self.accounts.len(), self.endpoints.len(), self.applications.len()]
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == [0; 3]
    }

    /// Profiles that had to go before what had changed of them was stored: more came in a few seconds than there is room for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.accounts.lost + self.endpoints.lost + self.applications.lost
    }
}

/// The risk in a stored profile; none where it cannot be read.
#[must_use]
pub fn stored_risk(subject: &Subject, value: &[u8], at: Timestamp, settings: &Settings) -> Option<KnownRisk> {
    Some(match subject {
        Subject::Account(_) => known_risk(&AccountProfile::decode(value)?, at, settings),
        Subject::Endpoint(_) => known_risk(&EndpointProfile::decode(value)?, at, settings),
        Subject::Application(_) => known_risk(&ApplicationProfile::decode(value)?, at, settings),
    })
}

fn known_risk(profile: &impl Profile, at: Timestamp, settings: &Settings) -> KnownRisk {
    let half_life = settings.risk_half_life;
    KnownRisk {
        name: profile.name().map(str::to_owned),
        score: profile.risk().score(at, half_life),
        factors: profile.risk().factors(at, half_life),
    }
}

/// Whose profile an access belongs to. A name that nobody has, and with which nobody was let in, has none: whoever tries names
/// would fill the memory with them.
fn profiled<'a>(seen: &Seen<'a>) -> Option<&'a AccountId> {
    let account = seen.account.filter(|account| is_known(account) || seen.outcome != Outcome::Failure);
    account.map(|account| &account.id)
}

/// An access as which operations that were summed up are looked at.
#[must_use]
pub fn summary_seen<'a>(summary: &'a SessionSummary, operation: &'a Operation) -> Seen<'a> {
    Seen {
        at: summary.to,
        account: summary.account.as_ref(),
        address: Some(summary.endpoint.address),
        place: None,
        application: &summary.application,
        entry: None,
        operation,
        outcome: Outcome::Success,
        protection: None,
        in_cloud: false,
        tried: Tried::Nothing,
        associated: true,
        shared: false,
        entries: summary.tally.entries,
        operations: summary.tally.total(),
        ahead: Ahead::default(),
    }
}
