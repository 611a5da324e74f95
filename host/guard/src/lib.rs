//! The life of one access: enrich it, ask the policies, ask the person, ask the policies again, record it, answer.
//!
//! The guard is the only implementation of [`portcullis_core::gate::Gate`] in the product, and this crate the only place
//! where a [`Permitted`] can be made.

mod alarm;
mod backtest;
pub mod cloud;
mod counts;
mod decide;
mod demote;
mod desk;
mod dispatch;
mod doings;
mod enrich;
mod exclusions;
mod gate;
mod history;
mod incidents;
mod ledger;
mod mind;
mod noticed;
mod pause;
mod permitted;
mod summaries;
mod surroundings;
mod trust;
mod word;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use portcullis_behavior as behavior;
use portcullis_core::demotion::DemotionStore;
use portcullis_core::directory::Directory;
use portcullis_core::event::{AdministrationEvent, Event};
use portcullis_core::exclusion::ExclusionStore;
use portcullis_core::gate::Notable;
use portcullis_core::plugin::{Authenticator, Policy};
use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::profile::ProfileStore;
use portcullis_core::store::{ChallengeStore, EventStore, LearnedStore};
use portcullis_core::summary::Audit;
use portcullis_core::{Clock, ConnectorName, Ids, PolicyName, Timestamp, policies};

use cloud::Twins;
use ledger::Ledger;
use tokio::sync::Notify;

pub use backtest::{BacktestOptions, BacktestProgress, backtest};
pub use counts::Counts;
pub use desk::{ChallengeBudget, Desk};
pub use dispatch::{ChannelCounts, ChannelEntry, Dispatcher, test_notice};
pub use history::{Historian, PastAccess, PastError, PastOptions, past_record};
pub use permitted::Permitted;
pub use surroundings::{ApplicationRule, NamedNetwork, Surroundings};

/// A policy at its place in the ordered list.
#[derive(Clone)]
pub struct PolicyEntry {
    /// Its name, for events and incidents.
    pub name: PolicyName,
    /// Whether its word counts.
    pub mode: Mode,
    /// What counts when it cannot be evaluated.
    pub fail: FailMode,
    /// The policy that it shadows, with [`Mode::Canary`].
    pub canary_of: Option<PolicyName>,
    /// The loaded component.
    pub policy: Arc<dyn Policy>,
}

/// Connectors by the names that policies know them by.
pub type Connectors = BTreeMap<ConnectorName, Arc<dyn Authenticator>>;

/// Policies in the order in which they are asked, and the connectors that they were made for. One decision knows one of these
/// from its beginning to its end.
#[derive(Default)]
pub(crate) struct InForce {
    pub(crate) policies: Vec<PolicyEntry>,
    pub(crate) connectors: Connectors,
}

/// What the guard needs from the other rooms.
#[derive(Clone)]
pub struct Rooms {
    /// Looks accounts up.
    pub directory: Arc<dyn Directory>,
    /// Keeps events.
    pub events: Arc<dyn EventStore>,
    /// Knows what was learned.
    pub learned: Arc<dyn LearnedStore>,
    /// Keeps profiles, and what people decided about accounts.
    pub profiles: Arc<dyn ProfileStore>,
    /// Keeps challenges.
    pub challenges: Arc<dyn ChallengeStore>,
    /// Keeps demotions.
    pub demotions: Arc<dyn DemotionStore>,
    /// Keeps exclusions that people make.
    pub exclusions: Arc<dyn ExclusionStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn Ids>,
}

/// What the administrator chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of endpoints, sites and applications.
    pub surroundings: Surroundings,
    /// Names that the directory lets in although there is no entry of that name, such as its own administrator. Nobody else
    /// can be let in whom the directory does not show: what policies would ask about such an account is not known.
    pub accounts_without_entry: Vec<String>,
    /// Learning and thresholds.
    pub behavior: behavior::Settings,
    /// Where on Earth sites are, by their names.
    pub positions: BTreeMap<String, behavior::seen::Place>,
    /// How long an access waits for a second factor when the policy does not say.
    pub challenge_timeout: Duration,
    /// How long it waits at most, whatever the policy says.
    pub challenge_timeout_limit: Duration,
    /// How often a person is asked.
    pub challenge_budget: ChallengeBudget,
    /// For how long a challenge goes on when every client that waited for it has given up, and for how long its answer is
    /// then good for one that comes back; zero: it is taken back at once. At most the time that it waits anyway.
    pub late_answer: Duration,
    /// Whether accesses go on while events cannot be stored.
    pub without_store: FailMode,
    /// How long an answer waits for its event to be stored.
    pub store_timeout: Duration,
    /// How much of what no policy asks to see is recorded.
    pub audit: Audit,
    /// Address of the challenge page, for diagnostic messages; none leaves it out of them.
    pub challenge_page: Option<String>,
}

/// Decides on accesses.
pub struct Guard {
    rooms: Rooms,
    options: Options,
    in_force: RwLock<Arc<InForce>>,
    desk: Arc<Desk>,
    ledger: Ledger,
    counts: Counts,
    doings: doings::Doings,
    started: Timestamp,
    twins: Arc<Twins>,
    mind: mind::Mind,
    passwords: mind::Passwords,
    notable: Option<Notable>,
    alarms: alarm::Alarms,
    heeded: exclusions::Heeded,
    /// Held while exclusions are taken over.
    exclusions_load: tokio::sync::Mutex<()>,
    /// Told when a demotion is wanted.
    demotions_wanted: Arc<Notify>,
}

impl Guard {
    /// A guard with these connectors and no policies yet.
    #[must_use]
    pub fn new(rooms: Rooms, options: Options, connectors: Connectors) -> Self {
        let desk = Arc::new(Desk::new(
            Arc::clone(&rooms.challenges),
            Arc::clone(&rooms.clock),
            Arc::clone(&rooms.ids),
            connectors.keys().cloned().collect(),
            options.challenge_budget,
            options.late_answer,
        ));
        let passwords = mind::Passwords::new(rooms.ids.as_ref());
        let notable = options.behavior.detections.notable();
        Self {
            doings: doings::Doings::default(),
            started: rooms.clock.now(),
            rooms,
            heeded: exclusions::Heeded::new(options.behavior.clone()),
            exclusions_load: tokio::sync::Mutex::default(),
            options,
            mind: mind::Mind::default(),
            passwords,
            notable,
            in_force: RwLock::new(Arc::new(InForce { policies: Vec::new(), connectors })),
            desk,
            ledger: Ledger::default(),
            counts: Counts::default(),
            twins: Arc::default(),
            demotions_wanted: Arc::default(),
            alarms: alarm::Alarms::default(),
        }
    }

    /// Puts these policies into force, in this order, with the connectors that are there. A decision that is under way goes
    /// on with the list it began with.
    pub fn set_policies(&self, policies: Vec<PolicyEntry>) {
        let policies = word::in_order(policies);
        self.doings.keep(&policies);
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let connectors = in_force.connectors.clone();
        *in_force = Arc::new(InForce { policies, connectors });
    }

    /// Puts these connectors and policies into force at once. A decision that is under way goes on with the policies and the
    /// connectors it began with, and so does an open challenge, unless its connector is there no more: then it ends as
    /// unavailable.
    pub fn replace(&self, connectors: Connectors, policies: Vec<PolicyEntry>) {
        let names = connectors.keys().cloned().collect();
        let policies = word::in_order(policies);
        self.doings.keep(&policies);
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(InForce { policies, connectors });
        // Afterwards, so that nobody who finds the new connectors is told that they are not there.
        self.desk.set_connectors(names);
    }

    /// The challenges, for the challenge page.
    #[must_use]
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// How accesses have ended.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What each policy did, and since when that was counted: a day ago, or when the guard was made.
    #[must_use]
    pub fn doings(&self) -> (Timestamp, BTreeMap<PolicyName, policies::Doings>) {
        let now = self.rooms.clock.now();
        (doings::Doings::since(now, self.started), self.doings.of_a_day(now))
    }

    /// The same since each policy came into the list.
    #[must_use]
    pub fn ruled(&self) -> BTreeMap<PolicyName, policies::Doings> {
        self.doings.of_all_time()
    }

    /// An event of the administration, now.
    fn event_of(&self, actor: &str, action: &str, detail: String) -> Event {
        let at = self.rooms.clock.now();
        Event::Administration(AdministrationEvent {
            id: self.rooms.ids.event_id(at),
            at,
            actor: actor.to_owned(),
            action: action.to_owned(),
            detail,
        })
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }
}
