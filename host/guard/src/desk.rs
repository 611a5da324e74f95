//! Challenges: asked once for everybody who waits for the same answer, followed until they end, shown on their page.

mod carry_out;
mod fatigue;
mod follow;
mod live;
mod orders;
mod pages;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::challenge::{
    ChallengeDesk, ChallengeRecord, ChallengeState, ChallengeView, LinkToken, NotTaken, PageId, Presence, RememberKey,
};
use portcullis_core::plugin::Authenticator;
use portcullis_core::policy::ChallengeOutcome;
use portcullis_core::store::{ChallengeStore, StoreError};
use portcullis_core::{
    Account, AccountId, ChallengeId, Clock, ConnectorName, Endpoint, Ids, PolicyName, Secret, Timestamp,
};

use tokio::time::Instant;

pub use fatigue::ChallengeBudget;
use fatigue::Fatigue;
use live::{Ending, Live, Waiter};
use orders::Wish;

/// How long a challenge that has ended is still shown to whoever has its link.
const SHOWN_AFTER_END: Duration = Duration::from_secs(300);
/// How long it is still shown to whoever opens the page from the machine that it was about.
const LISTED_AFTER_END: Duration = Duration::from_secs(60);
/// By how much an account's risk may have risen since it approved something, for that to count: points of 100. A new machine
/// in a new place is less than that; guesses that hit are more.
const MOST_RISEN: u8 = 40;
/// For how long, and how often, a store that does not keep up is asked again.
const SAVE_TRIES: u32 = 100;
const SAVE_PAUSE: Duration = Duration::from_millis(50);
/// How many, the newest, are listed of a machine that many people use. The others are found by their links.
const MOST_LISTED: usize = 50;
/// How many challenges can be open at the same time. With fewer than all passwords of a company nobody comes near; what is
/// beyond has to fail before memory does.
const MOST_OPEN: usize = 20_000;
/// The same of one account: whoever has one password must not have everybody's room.
const MOST_OPEN_OF_ACCOUNT: usize = 10;
/// How many challenges are kept in memory; beyond, those that ended first are forgotten first. A fifth of them at least has
/// ended then.
const KEPT: usize = 25_000;

/// Whom to ask for what.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) account: Account,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) application: String,
    pub(crate) policy: PolicyName,
    pub(crate) connector: ConnectorName,
    pub(crate) remember: Duration,
    pub(crate) timeout: Duration,
    /// What the client gave at once: tried instead of waiting for one.
    pub(crate) code: Option<Secret>,
}

impl Question {
    fn key(&self) -> Key {
        let remember = RememberKey {
            account: self.account.id.clone(),
            address: self.endpoint.as_ref().map(|endpoint| endpoint.address),
            application: self.application.clone(),
            policy: self.policy.clone(),
            connector: self.connector.clone(),
        };
        Key { remember, code: self.code.clone() }
    }
}

/// Who waits for the same answer. Clients that gave the same code at the same time share one try of it; who gave another
/// one, or none, is asked for himself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) remember: RememberKey,
    code: Option<Secret>,
}

/// How a question was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) id: Option<ChallengeId>,
    pub(crate) outcome: ChallengeOutcome,
    pub(crate) detail: String,
    pub(crate) at: Timestamp,
    pub(crate) remembered: bool,
}

impl Answered {
    pub(crate) fn without_asking(outcome: ChallengeOutcome, detail: impl Into<String>, at: Timestamp) -> Self {
        Self { id: None, outcome, detail: detail.into(), at, remembered: false }
    }
}

/// All challenges of this gateway.
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn ChallengeStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    fatigue: Fatigue,
    /// For how long a challenge goes on when all clients have given up, and its answer is good for one that comes back.
    late: Duration,
    table: Mutex<Table>,
}

/// Which challenges there are. Every change of who waits for what happens under one lock, so that nobody can join a
/// challenge that is just being given up.
#[derive(Default)]
struct Table {
    /// Those that can still be joined.
    open: HashMap<Key, Arc<Live>>,
    /// How many of these each account has.
    open_of: HashMap<AccountId, usize>,
    /// Those that can be looked at.
    by_link: HashMap<LinkToken, Arc<Live>>,
    /// The same by the machine that they are about.
    by_address: HashMap<IpAddr, Vec<LinkToken>>,
    /// When to look for those that are not shown any more.
    look_at: usize,
    /// Connectors that there are.
    connectors: BTreeSet<ConnectorName>,
    /// Connectors whose services want to be left alone, and until when.
    left_alone: HashMap<ConnectorName, Instant>,
    /// Answers that came when nobody waited any more.
    late: HashMap<Key, Ending>,
    /// Approvals from before it count no more, although the store may not know.
    forgotten_before: Option<Timestamp>,
}

impl Desk {
    pub(crate) fn new(
        store: Arc<dyn ChallengeStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        connectors: BTreeSet<ConnectorName>,
        budget: ChallengeBudget,
        late: Duration,
    ) -> Self {
        let fatigue = Fatigue::new(budget);
        let table = Mutex::new(Table { connectors, ..Table::default() });
        Self { shared: Arc::new(Shared { store, clock, ids, fatigue, late, table }) }
    }

    /// Counts what people were asked before the gateway was started, so that a restart does not let them be asked anew.
    ///
    /// # Errors
    /// The store's.
    pub async fn recall(&self) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        let window = u64::try_from(fatigue::WINDOW.as_millis()).unwrap_or(u64::MAX);
        let before = self.shared.store.challenges_since(Timestamp(now.0.saturating_sub(window))).await?;
        self.shared.fatigue.recall(&before, now);
        Ok(())
    }

    /// Says which connectors there are from now on. Open challenges of others end as unavailable.
    pub(crate) fn set_connectors(&self, names: BTreeSet<ConnectorName>) {
        let mut table = self.shared.table();
        table.left_alone.retain(|name, _| names.contains(name));
        table.connectors = names;
        let gone = table.open.values().filter(|live| !table.connectors.contains(&live.key.remember.connector));
        gone.for_each(|live| live.removed.cancel());
    }

    /// No approval that was given before this moment counts any more, whoever gave it; until the gateway is started again.
    pub(crate) fn forget_all(&self, before: Timestamp) {
        let mut table = self.shared.table();
        table.forgotten_before = table.forgotten_before.max(Some(before));
    }

    /// Asks, or joins whoever is asking the same, and waits for the answer. Dropping the future gives up; when everybody
    /// has given up, the challenge is cancelled. `connector` is what the asking policy means by the name in the question.
    pub(crate) async fn ask(&self, question: Question, connector: Option<&Arc<dyn Authenticator>>) -> Answered {
        let now = self.shared.clock.now();
        let key = question.key();
        // Of an account that has become riskier than that since, earlier approvals do not count.
        let risk = question.account.risk.saturating_sub(MOST_RISEN);
        if let Some(ending) = self.shared.late_answer(&key, risk, now).await {
            return Answered {
                detail: format!("{} The client had given up before.", ending.detail),
                ..(&ending).into()
            };
        }
        if !question.remember.is_zero() {
            let since =
                Timestamp(now.0.saturating_sub(u64::try_from(question.remember.as_millis()).unwrap_or(u64::MAX)));
            if let Some((id, at)) = self.shared.approval_since(&key.remember, since, now, risk).await {
                return Answered {
                    id: Some(id),
                    outcome: ChallengeOutcome::Approved,
                    detail: "Approved for an earlier access and still remembered.".to_owned(),
                    at,
                    remembered: true,
                };
            }
        }
        let is_there = self.shared.table().connectors.contains(&question.connector);
        let Some(connector) = connector.filter(|_| is_there) else {
            let detail = format!("There is no connector named {}.", question.connector);
            return Answered::without_asking(ChallengeOutcome::Unavailable, detail, now);
        };
        match self.join_or_open(key, question, Arc::clone(connector)) {
            Ok(mut waiter) => waiter.ending().await,
            // Not "unavailable": a policy that lets people in while the service is down would be opened by asking often.
            Err(why) => Answered::without_asking(ChallengeOutcome::Failed, why, now),
        }
    }

    fn join_or_open(&self, key: Key, question: Question, connector: Arc<dyn Authenticator>) -> Result<Waiter, String> {
        let mut table = self.shared.table();
        if let Some(live) = table.open.get(&key) {
            return Ok(Waiter::join(&self.shared, live));
        }
        let now = self.shared.clock.now();
        table.has_room_for(&key.remember.account)?;
        self.shared.fatigue.take(&key.remember.account, now)?;
        let link = LinkToken::from_random(self.shared.ids.random());
        let (sender, orders) = orders::channel();
        let id = (self.shared.new_challenge_id(now), link.clone());
        let live = Arc::new(Live::new(id, key, &question, now, sender));
        table.forget_old(now);
        table.add(link, &live);
        if !table.connectors.contains(&live.key.remember.connector) {
            // It was taken out a moment ago.
            live.removed.cancel();
        }
        let waiter = Waiter::join(&self.shared, &live);
        drop(table);
        tokio::spawn(follow::follow(Arc::clone(&self.shared), live, question, connector, orders));
        Ok(waiter)
    }
}

#[async_trait]
impl ChallengeDesk for Desk {
    async fn of_address(&self, address: IpAddr) -> Vec<ChallengeView> {
        let now = self.shared.clock.now();
        let mut views: Vec<_> = {
            let table = self.shared.table();
            let links = table.by_address.get(&address).map(Vec::as_slice).unwrap_or_default();
            // The newest are the last.
            let theirs = links.iter().rev().filter_map(|link| table.by_link.get(link));
            theirs
                .filter(|live| live.is_shown(now, LISTED_AFTER_END))
                .take(MOST_LISTED)
                .map(|live| live.view())
                .collect()
        };
        views.sort_by_key(|view| std::cmp::Reverse(view.opened_at));
        views
    }

    async fn by_link(&self, link: &LinkToken) -> Option<ChallengeView> {
        let live = self.shared.find(link)?;
        live.is_shown(self.shared.clock.now(), SHOWN_AFTER_END).then(|| live.view())
    }

    async fn changed(&self, link: &LinkToken, seen: u64) -> Option<ChallengeView> {
        let live = self.shared.find(link)?;
        Some(live.changed(seen).await)
    }

    async fn dismiss(&self, link: &LinkToken) -> bool {
        self.shared.find(link).is_some_and(|live| live.dismiss())
    }

    async fn deny(&self, link: &LinkToken) -> bool {
        self.shared.find(link).is_some_and(|live| live.deny())
    }

    async fn verify(&self, link: &LinkToken, code: Secret) -> Result<(), NotTaken> {
        self.shared.find(link).ok_or(NotTaken::Ended)?.order(Wish::Code(code)).await
    }

    async fn choose(&self, link: &LinkToken, choice: &str) -> Result<(), NotTaken> {
        self.shared.find(link).ok_or(NotTaken::Ended)?.order(Wish::Choice(choice.to_owned())).await
    }

    async fn seen(&self, link: &LinkToken, page: PageId, presence: Presence) -> bool {
        let Some(live) = self.shared.find(link) else { return false };
        live.pages.seen(page, presence);
        live.ended_at().is_none()
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, link: &LinkToken) -> Option<Arc<Live>> {
        self.table().by_link.get(link).cloned()
    }

    fn new_challenge_id(&self, now: Timestamp) -> ChallengeId {
        ChallengeId(self.ids.event_id(now).0)
    }

    /// Takes a challenge out of those that can be joined, if it is still that very one.
    fn close_to_newcomers(&self, live: &Arc<Live>) {
        self.table().close(live);
    }

    /// Until nobody has waited for so long that the challenge is given up; it can no longer be joined then.
    async fn forsaken(&self, live: &Live) {
        if self.late.is_zero() {
            return std::future::pending().await;
        }
        loop {
            live.forsaken(self.late).await;
            let mut table = self.table();
            if !live.is_waited_for() {
                return table.give_up(live);
            }
        }
    }

    /// What the person said when nobody waited any more counts for the client that comes back. What went wrong does not.
    fn keep_for_latecomers(&self, live: &Live, ending: &Ending) {
        let answers = matches!(ending.outcome, ChallengeOutcome::Approved | ChallengeOutcome::Denied);
        let mut table = self.table();
        if answers && !self.late.is_zero() && !live.is_waited_for() {
            if table.late.len() >= 64 && table.late.len().is_power_of_two() || table.late.len() >= KEPT {
                table.late.retain(|_, ending| self.clock.now().since(ending.at) <= self.late);
            }
            if table.late.len() < KEPT {
                table.late.insert(live.key.clone(), ending.clone());
            }
        }
    }

    /// The latest approval that still counts; none when that cannot be read, because asking once too often is better than
    /// not asking. One of the future counts no more than none: it was given while the clock was wrong, and what would make it
    /// worthless is older.
    async fn approval_since(
        &self,
        key: &RememberKey,
        since: Timestamp,
        now: Timestamp,
        risk: u8,
    ) -> Option<(ChallengeId, Timestamp)> {
        match self.store.approval_within(key, since..=now, risk).await {
            Ok(found) => found.filter(|(_, at)| self.table().forgotten_before.is_none_or(|before| *at > before)),
            Err(error) => {
                tracing::warn!(%error, "earlier approvals could not be read");
                None
            }
        }
    }

    /// An answer that came when nobody waited, good for one access, and no longer than an approval that is remembered.
    async fn late_answer(&self, key: &Key, risk: u8, now: Timestamp) -> Option<Ending> {
        let ending = self.table().late.remove(key).filter(|ending| now.since(ending.at) <= self.late)?;
        if ending.outcome != ChallengeOutcome::Approved {
            return Some(ending);
        }
        let counting = self.approval_since(&key.remember, ending.at, now, risk).await;
        counting.is_some_and(|(_, at)| at == ending.at).then_some(ending)
    }

    /// A service wants to be left alone for so long.
    fn leave_alone(&self, connector: &ConnectorName, pause: Duration) {
        self.table().left_alone.insert(connector.clone(), Instant::now() + pause);
    }

    /// For how long it still does.
    fn left_alone(&self, connector: &ConnectorName) -> Option<Duration> {
        let until = *self.table().left_alone.get(connector)?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Challenges that begin together can fill the store's queue, which is a matter of moments and nothing that a policy should
    /// take for a service that does not work.
    async fn save(&self, record: &ChallengeRecord) -> Result<(), StoreError> {
        for _ in 0..SAVE_TRIES {
            match self.store.put_challenge(record).await {
                Err(StoreError::Overloaded(_)) => tokio::time::sleep(SAVE_PAUSE).await,
                other => return other,
            }
        }
        self.store.put_challenge(record).await
    }
}

impl Table {
    /// Whether one more can be opened.
    fn has_room_for(&self, account: &AccountId) -> Result<(), String> {
        let theirs = self.open_of.get(account).copied().unwrap_or_default();
        if theirs >= MOST_OPEN_OF_ACCOUNT {
            return Err(format!("{theirs} challenges of the account are open, and none of them is answered."));
        }
        if self.open.len() >= MOST_OPEN {
            return Err(format!("{MOST_OPEN} challenges are open, which is as many as there can be."));
        }
        Ok(())
    }

    fn add(&mut self, link: LinkToken, live: &Arc<Live>) {
        self.open.insert(live.key.clone(), Arc::clone(live));
        *self.open_of.entry(live.key.remember.account.clone()).or_default() += 1;
        if let Some(address) = live.address() {
            self.by_address.entry(address).or_default().push(link.clone());
        }
        self.by_link.insert(link, Arc::clone(live));
    }

    /// Nobody may join it any more.
    fn close(&mut self, live: &Live) {
        if !self.open.get(&live.key).is_some_and(|open| std::ptr::eq(Arc::as_ptr(open), live)) {
            return;
        }
        self.open.remove(&live.key);
        let account = &live.key.remember.account;
        match self.open_of.get_mut(account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.open_of.remove(account)),
        }
    }

    /// Takes the question back, for good.
    fn give_up(&mut self, live: &Live) {
        self.close(live);
        live.abandoned.cancel();
    }

    fn forget_old(&mut self, now: Timestamp) {
        // Looking through the whole table each time would make n challenges cost n²; once it has doubled is enough.
        if self.by_link.len() < self.look_at.clamp(64, KEPT) {
            return;
        }
        self.by_link.retain(|_, live| live.is_shown(now, SHOWN_AFTER_END));
        if self.by_link.len() >= KEPT {
            let mut ended: Vec<_> =
                self.by_link.iter().filter_map(|(link, live)| Some((live.ended_at()?, link.clone()))).collect();
            ended.sort_by_key(|(at, _)| *at);
            for (_, link) in ended.into_iter().take(KEPT / 10) {
                self.by_link.remove(&link);
            }
        }
        self.look_at = self.by_link.len() * 2;
        let by_link = &self.by_link;
        self.by_address.retain(|_, links| {
            links.retain(|link| by_link.contains_key(link));
            !links.is_empty()
        });
    }
}

fn state_of(outcome: ChallengeOutcome) -> ChallengeState {
    match outcome {
        ChallengeOutcome::Approved => ChallengeState::Approved,
        ChallengeOutcome::Denied => ChallengeState::Denied,
        ChallengeOutcome::Failed => ChallengeState::Failed,
        ChallengeOutcome::Expired => ChallengeState::Expired,
        ChallengeOutcome::Closed => ChallengeState::Closed,
        ChallengeOutcome::NotEnrolled | ChallengeOutcome::Unavailable => ChallengeState::Cancelled,
    }
}

impl From<&Ending> for Answered {
    fn from(ending: &Ending) -> Self {
        Self {
            id: ending.was_asked.then_some(ending.id),
            outcome: ending.outcome,
            detail: ending.detail.clone(),
            at: ending.at,
            remembered: false,
        }
    }
}
