//! One challenge while it is open, and shortly after.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_core::challenge::{ChallengeRecord, ChallengeState, ChallengeView, LinkToken, RememberKey};
use portcullis_core::policy::ChallengeOutcome;
use portcullis_core::{ChallengeId, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Answered, Question, Shared, state_of};

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

/// A challenge.
pub(super) struct Live {
    pub(super) key: RememberKey,
    id: ChallengeId,
    login: String,
    view: watch::Sender<ChallengeView>,
    ending: watch::Sender<Option<Ending>>,
    waiting: AtomicUsize,
    /// Nobody waits any more.
    pub(super) abandoned: CancellationToken,
    /// The person dismissed it on its page.
    pub(super) dismissed: CancellationToken,
    /// Its connector is there no more.
    pub(super) removed: CancellationToken,
}

impl Live {
    pub(super) fn new(id: ChallengeId, link: LinkToken, key: RememberKey, question: &Question, now: Timestamp) -> Self {
        let view = ChallengeView {
            id,
            link,
            login: question.account.login.clone(),
            address: key.address,
            endpoint_name: question.endpoint.as_ref().and_then(|endpoint| endpoint.name.clone()),
            application: question.application.clone(),
            opened_at: now,
            expires_at: now.plus(question.timeout),
            number: None,
            state: ChallengeState::Open,
            version: 1,
        };
        Self {
            key,
            id,
            login: question.account.login.clone(),
            view: watch::Sender::new(view),
            ending: watch::Sender::new(None),
            waiting: AtomicUsize::new(0),
            abandoned: CancellationToken::new(),
            dismissed: CancellationToken::new(),
            removed: CancellationToken::new(),
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.key.address
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

    pub(super) fn dismiss(&self) -> bool {
        let was_open = self.ending.borrow().is_none() && !self.dismissed.is_cancelled();
        self.dismissed.cancel();
        was_open
    }

    /// Shows the number, once the service has told it.
    pub(super) fn show_number(&self, number: Option<u8>) {
        self.view.send_if_modified(|view| {
            let changes = number.is_some() && view.number != number;
            if changes {
                view.number = number;
                view.version += 1;
            }
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
            view.number = None;
            view.version += 1;
        });
        self.ending.send_replace(Some(ending));
    }

    /// For the store.
    pub(super) fn record(&self, state: ChallengeState, ended_at: Option<Timestamp>) -> ChallengeRecord {
        ChallengeRecord {
            id: self.id,
            account: self.key.account.clone(),
            login: self.login.clone(),
            address: self.key.address,
            application: self.key.application.clone(),
            policy: self.key.policy.clone(),
            connector: self.key.connector.clone(),
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
        live.waiting.fetch_add(1, Ordering::SeqCst);
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
        if self.live.waiting.fetch_sub(1, Ordering::SeqCst) == 1 && self.live.ended_at().is_none() {
            // The last one has gone: nobody may join any more, and the question is taken back.
            if table.open.get(&self.live.key).is_some_and(|open| Arc::ptr_eq(open, &self.live)) {
                table.open.remove(&self.live.key);
            }
            self.live.abandoned.cancel();
        }
    }
}
