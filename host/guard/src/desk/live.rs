//! One challenge while it is open, and shortly after.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::challenge::{ChallengeRecord, ChallengeState, ChallengeView, LinkToken};
use portcullis_core::policy::ChallengeOutcome;
use portcullis_core::{ChallengeId, Timestamp};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::orders::Order;
use super::pages::Pages;
use super::{Answered, Key, Question, Shared, state_of};

/// How a challenge ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) id: ChallengeId,
    pub(super) outcome: ChallengeOutcome,
    pub(super) detail: String,
    pub(super) at: Timestamp,
    /// The service was reached and the person may have seen the question.
    pub(super) was_asked: bool,
}

/// How many clients wait for a challenge, and since when there are so many.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    count: usize,
    since: Instant,
}

/// A challenge.
pub(super) struct Live {
    pub(super) key: Key,
    id: ChallengeId,
    login: String,
    risk: u8,
    view: watch::Sender<ChallengeView>,
    ending: watch::Sender<Option<Ending>>,
    waiting: watch::Sender<Waiting>,
    /// Nobody waits any more.
    pub(super) abandoned: CancellationToken,
    /// The person dismissed it on its page.
    pub(super) dismissed: CancellationToken,
    /// Its connector is there no more.
    pub(super) removed: CancellationToken,
    /// Somebody said on its page that it was not them.
    pub(super) denied: CancellationToken,
    /// The pages that show it.
    pub(super) pages: Pages,
    /// Where the follower gets what the person typed or chose.
    pub(super) orders: mpsc::Sender<Order>,
    /// Whoever has it may give an order.
    pub(super) turn: Arc<Semaphore>,
}

impl Live {
    pub(super) fn new(
        (id, link): (ChallengeId, LinkToken),
        key: Key,
        question: &Question,
        now: Timestamp,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        let view = ChallengeView {
            id,
            link,
            login: question.account.login.clone(),
            address: key.remember.address,
            endpoint_name: question.endpoint.as_ref().and_then(|endpoint| endpoint.name.clone()),
            application: question.application.clone(),
            opened_at: now,
            expires_at: now.plus(question.timeout),
            number: None,
            code: None,
            note: None,
            choices: Vec::new(),
            state: ChallengeState::Open,
            version: 1,
        };
        Self {
            key,
            id,
            login: question.account.login.clone(),
            risk: question.account.risk,
            view: watch::Sender::new(view),
            ending: watch::Sender::new(None),
            waiting: watch::Sender::new(Waiting { count: 0, since: Instant::now() }),
            abandoned: CancellationToken::new(),
            dismissed: CancellationToken::new(),
            removed: CancellationToken::new(),
            denied: CancellationToken::new(),
            pages: Pages::new(),
            orders,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.key.remember.address
    }

    /// A part of a time, another one for each challenge, none to all of it. Many that are told to wait by the same answer, or that
    /// began at the same moment, then do not ask again at the same moment.
    pub(super) fn share_of(&self, time: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        self.id.0.hash(&mut hasher);
        let [one, two, ..] = hasher.finish().to_be_bytes();
        time * u32::from(u16::from_be_bytes([one, two])) / u32::from(u16::MAX)
    }

    pub(super) fn view(&self) -> ChallengeView {
        self.view.borrow().clone()
    }

    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        self.ending.borrow().as_ref().map(|ending| ending.at)
    }

    /// Open, or ended no longer ago than `after_end`.
    pub(super) fn is_shown(&self, now: Timestamp, after_end: Duration) -> bool {
        self.ended_at().is_none_or(|at| now.since(at) <= after_end)
    }

    pub(super) async fn changed(&self, seen: u64) -> ChallengeView {
        let mut view = self.view.subscribe();
        match view.wait_for(|view| view.version > seen || view.state != ChallengeState::Open).await {
            Ok(view) => view.clone(),
            // The sender is this very object, which is borrowed here.
            Err(_) => self.view(),
        }
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.borrow().count > 0
    }

    /// Notes that one more waits, or one less. Says how many there are.
    fn count(&self, change: impl FnOnce(usize) -> usize) -> usize {
        let mut now = 0;
        self.waiting.send_modify(|waiting| {
            now = change(waiting.count);
            *waiting = Waiting { count: now, since: Instant::now() };
        });
        now
    }

    /// Until nobody has waited for so long.
    pub(super) async fn forsaken(&self, late: Duration) {
        let mut waiting = self.waiting.subscribe();
        loop {
            let Waiting { count, since } = *waiting.borrow_and_update();
            let over = async {
                match count {
                    0 => tokio::time::sleep_until(since + late).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                // The sender is this very object, which is borrowed here.
                _ = waiting.changed() => {}
            }
        }
    }

    pub(super) fn dismiss(&self) -> bool {
        self.put_an_end(&self.dismissed)
    }

    pub(super) fn deny(&self) -> bool {
        self.put_an_end(&self.denied)
    }

    fn put_an_end(&self, how: &CancellationToken) -> bool {
        let over = self.dismissed.is_cancelled() || self.denied.is_cancelled();
        if !over {
            how.cancel();
        }
        !over && self.ending.borrow().is_none()
    }

    /// Shows where it stands. The version grows when something else is to be seen, and always when it `answers` somebody
    /// who waits for it.
    pub(super) fn show(&self, answers: bool, change: impl FnOnce(&mut ChallengeView)) {
        self.view.send_if_modified(|view| {
            let before = view.clone();
            change(view);
            let changes = answers || *view != before;
            view.version += u64::from(changes);
            changes
        });
    }

    /// Tells everybody who waits.
    pub(super) fn end(&self, ending: Ending) {
        self.view.send_modify(|view| {
            view.state = match ending.outcome {
                // Nobody waits for it: the page says so instead of "expired".
                _ if self.abandoned.is_cancelled() => ChallengeState::Cancelled,
                outcome => state_of(outcome),
            };
            (view.number, view.code, view.note) = (None, None, None);
            view.choices.clear();
            view.version += 1;
        });
        self.ending.send_replace(Some(ending));
    }

    /// For the store.
    pub(super) fn record(&self, state: ChallengeState, ended_at: Option<Timestamp>) -> ChallengeRecord {
        ChallengeRecord {
            id: self.id,
            account: self.key.remember.account.clone(),
            login: self.login.clone(),
            risk: self.risk,
            address: self.key.remember.address,
            application: self.key.remember.application.clone(),
            policy: self.key.remember.policy.clone(),
            connector: self.key.remember.connector.clone(),
            opened_at: self.view.borrow().opened_at,
            ended_at,
            state,
        }
    }

    pub(super) fn ending(&self, outcome: ChallengeOutcome, detail: impl Into<String>, at: Timestamp) -> Ending {
        Ending { id: self.id, outcome, detail: detail.into(), at, was_asked: true }
    }
}

/// Somebody who waits for the answer.
pub(super) struct Waiter {
    shared: Arc<Shared>,
    live: Arc<Live>,
    ending: watch::Receiver<Option<Ending>>,
}

impl Waiter {
    /// The caller holds the table's lock, so that the count and the table agree.
    pub(super) fn join(shared: &Arc<Shared>, live: &Arc<Live>) -> Self {
        live.count(|count| count + 1);
        Self { shared: Arc::clone(shared), live: Arc::clone(live), ending: live.ending.subscribe() }
    }

    pub(super) async fn ending(&mut self) -> Answered {
        match self.ending.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(ending)) => ending.into(),
            // `wait_for` returns what its condition holds for, and the sender lives as long as `live` does.
            Ok(None) | Err(_) => Answered::without_asking(
                ChallengeOutcome::Unavailable,
                "The challenge was lost.",
                self.shared.clock.now(),
            ),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        let left = self.live.count(|count| count.saturating_sub(1));
        // Where answers may come late, the follower sees to it.
        if left == 0 && self.live.ended_at().is_none() && self.shared.late.is_zero() {
            table.give_up(&self.live);
        }
    }
}
