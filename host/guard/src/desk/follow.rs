//! Follows a challenge from the question to its end.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::challenge::{ChallengeState, ChoiceView};
use portcullis_core::plugin::{
    Authenticator, ChallengeContext, Choice, ConnectorError, Progress, Prompt, StartError, Step,
};
use portcullis_core::policy::ChallengeOutcome;
use tokio::time::Instant;
use tracing::{info, warn};

use super::carry_out::Tries;
use super::live::{Ending, Live};
use super::orders::Orders;
use super::{Question, Shared, state_of};

/// A service is never asked more often than this, whatever it says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// All challenges of a connector leave the service alone when one of them is told to, for no longer than this.
const LONGEST_PAUSE_OF_ALL: Duration = Duration::from_secs(60);
/// After so many answers in a row that waiting does not mend, the challenge is given up.
pub(super) const HOPELESS_ANSWERS: u32 = 3;

/// Asks, follows, stores, and tells whoever waits. Runs as a task of its own, so that one client that goes away does not end
/// what others wait for.
pub(super) async fn follow(
    shared: Arc<Shared>,
    live: Arc<Live>,
    question: Question,
    connector: Arc<dyn Authenticator>,
    orders: Orders,
) {
    let unfinished = Unfinished { shared: Arc::clone(&shared), live: Arc::clone(&live) };
    let (mut ending, take_back) = ask_and_wait(&shared, &live, &question, connector.as_ref(), orders).await;
    shared.close_to_newcomers(&live);
    let state = if live.abandoned.is_cancelled() { ChallengeState::Cancelled } else { state_of(ending.outcome) };
    if let Err(error) = shared.save(&live.record(state, Some(ending.at))).await {
        // An approval that is not on record cannot be accounted for later.
        warn!(%error, "the end of a challenge could not be stored");
        ending =
            live.ending(ChallengeOutcome::Unavailable, format!("The answer could not be stored: {error}"), ending.at);
    }
    shared.fatigue.ended(&live.key.remember.account, ending.outcome, ending.was_asked, ending.at);
    info!(login = %question.account.login, outcome = ?ending.outcome, "challenge ended");
    shared.keep_for_latecomers(&live, &ending);
    live.end(ending);
    drop(unfinished);
    // Only now: the service may be slow, and nobody has to wait for it any more.
    if let Some(handle) = take_back
        && let Err(error) = connector.cancel(&handle).await
    {
        warn!(%error, "a challenge could not be taken back");
    }
}

/// Sees to it that nobody waits for a challenge that no task follows any more, even when the task panicked.
struct Unfinished {
    shared: Arc<Shared>,
    live: Arc<Live>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.live.ended_at().is_none() {
            self.shared.close_to_newcomers(&self.live);
            let now = self.shared.clock.now();
            self.live.end(self.live.ending(ChallengeOutcome::Unavailable, "The gateway failed while asking.", now));
        }
    }
}

/// How it ended, and the handle by which the question has to be taken back, where nobody answered it.
async fn ask_and_wait(
    shared: &Shared,
    live: &Live,
    question: &Question,
    connector: &dyn Authenticator,
    orders: Orders,
) -> (Ending, Option<String>) {
    let end = |outcome, detail: String| live.ending(outcome, detail, shared.clock.now());
    let not_asked = |outcome, detail| (Ending { was_asked: false, ..end(outcome, detail) }, None);
    // On record before the phone rings.
    if let Err(error) = shared.save(&live.record(ChallengeState::Open, None)).await {
        return not_asked(ChallengeOutcome::Unavailable, format!("The challenge could not be stored: {error}"));
    }
    let deadline = Instant::now() + question.timeout;
    let context = ChallengeContext {
        account: question.account.clone(),
        endpoint: question.endpoint.clone(),
        application: question.application.clone(),
    };
    // Not given up half-way: once the request has left, only its answer says how to take the question back.
    let step = match connector.start(&context).await {
        Ok(step) => step,
        Err(StartError::NotEnrolled(why)) => return not_asked(ChallengeOutcome::NotEnrolled, why),
        Err(StartError::Failed(error)) => {
            warn!(connector = %question.connector, %error, "a challenge could not be started");
            return not_asked(ChallengeOutcome::Unavailable, error.to_string());
        }
    };
    let mut follower = Follower::new(shared, live, connector, step, deadline);
    let (outcome, detail) = match &question.code {
        Some(code) if matches!(follower.step.prompt, Prompt::Code(_)) => follower.try_only(code).await,
        // A code is of no use to a question that a device answers.
        _ => follower.run(orders).await,
    };
    let unanswered = follower.step.progress == Progress::Waiting || follower.step.progress == Progress::WrongCode;
    (end(outcome, detail), unanswered.then_some(follower.step.handle))
}

/// Looks for the answer until there is one.
pub(super) struct Follower<'a> {
    pub(super) shared: &'a Shared,
    pub(super) live: &'a Live,
    pub(super) connector: &'a dyn Authenticator,
    /// Nobody waits for longer.
    latest: Instant,
    /// When it ends by itself.
    deadline: Instant,
    pub(super) step: Step,
    /// Answers in a row that waiting does not mend.
    pub(super) hopeless: u32,
    /// What went wrong with the latest question to the service.
    pub(super) trouble: Option<ConnectorError>,
    pub(super) tries: Tries,
}

/// Why the follower stopped looking without an answer.
pub(super) enum Interrupted {
    Abandoned,
    Denied,
    Dismissed,
    Removed,
    Left,
    TooLate,
}

impl<'a> Follower<'a> {
    fn new(shared: &'a Shared, live: &'a Live, connector: &'a dyn Authenticator, step: Step, latest: Instant) -> Self {
        let tries = Tries::default();
        let mut follower =
            Self { shared, live, connector, latest, deadline: latest, step, hopeless: 0, trouble: None, tries };
        follower.set_deadline();
        follower
    }

    async fn run(&mut self, mut orders: Orders) -> (ChallengeOutcome, String) {
        let note = self.step.note.take();
        self.show(false, note);
        loop {
            if let Some(end) = self.look() {
                return end;
            }
            let turn = async {
                tokio::select! {
                    biased;
                    order = orders.recv() => order,
                    () = self.pause() => None,
                }
            };
            let end = match self.interruptible(turn).await {
                Err(why) => Some(self.give_up(&why)),
                Ok(Some(order)) => self.carry_out(order).await,
                Ok(None) => self.poll().await,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn poll(&mut self) -> Option<(ChallengeOutcome, String)> {
        let (connector, handle) = (self.connector, self.step.handle.clone());
        match self.interruptible(connector.poll(&handle)).await {
            Err(why) => Some(self.give_up(&why)),
            Ok(Ok(step)) => {
                self.take(step);
                // What a poll finds out does not take back what the person was told before.
                let note = self.step.note.take().or_else(|| self.live.view().note);
                self.show(false, note);
                None
            }
            Ok(Err(error)) => self.bear(error),
        }
    }

    /// The next answer of the service.
    pub(super) fn take(&mut self, step: Step) {
        self.step = step;
        self.hopeless = 0;
        self.trouble = None;
        self.set_deadline();
    }

    fn set_deadline(&mut self) {
        let service = Duration::from_secs(u64::from(self.step.expires_in_seconds));
        self.deadline = self.latest.min(Instant::now() + service);
    }

    /// Puts on the page where it stands; an answer to somebody who waits is shown even when it changes nothing.
    pub(super) fn show(&self, answers: bool, note: Option<String>) {
        if !matches!(self.step.progress, Progress::Waiting | Progress::WrongCode) {
            // The end is shown once it is stored.
            return;
        }
        let now = self.shared.clock.now();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let choice = |choice: &Choice| ChoiceView {
            id: choice.id.clone(),
            label: choice.label.clone(),
            current: choice.current,
            from: now.plus(Duration::from_millis(u64::from(choice.wait_ms))),
        };
        self.live.show(answers, |view| {
            match &self.step.prompt {
                // A number that the service has shown once stays, whatever the next answer says.
                Prompt::Push(number) => (view.number, view.code) = (number.or(view.number), None),
                Prompt::Code(hint) => (view.number, view.code) = (None, Some(hint.clone())),
            }
            view.note = note;
            let same = view.choices.len() == self.step.choices.len()
                && view.choices.iter().zip(&self.step.choices).all(|(shown, now)| {
                    (&shown.id, &shown.label, shown.current, now.wait_ms) == (&now.id, &now.label, now.current, 0)
                });
            if !same {
                view.choices = self.step.choices.iter().map(choice).collect();
            }
            // Counted from here it is never exactly the same again; a second is what people see.
            let expires_at = now.plus(left);
            if expires_at.since(view.expires_at).max(view.expires_at.since(expires_at)) >= Duration::from_secs(1) {
                view.expires_at = expires_at;
            }
        });
    }

    /// What the latest answer means; none while the person has not answered.
    pub(super) fn look(&self) -> Option<(ChallengeOutcome, String)> {
        let (outcome, detail) = match self.step.progress {
            Progress::Waiting | Progress::WrongCode => return None,
            Progress::Approved => (ChallengeOutcome::Approved, "Approved."),
            Progress::Denied => (ChallengeOutcome::Denied, "Denied by the person."),
            Progress::Failed => (ChallengeOutcome::Failed, "Failed at the service."),
            Progress::Expired => (ChallengeOutcome::Expired, "The service stopped waiting."),
        };
        Some((outcome, detail.to_owned()))
    }

    /// Until the next poll. There is none while a code is awaited: only what is typed brings news.
    async fn pause(&self) {
        if matches!(self.step.prompt, Prompt::Code(_)) {
            return std::future::pending().await;
        }
        let wanted = match self.trouble {
            Some(ConnectorError::RateLimited(ms)) => ms,
            _ => self.step.poll_after_ms,
        };
        self.sleep(Duration::from_millis(u64::from(wanted)).max(SHORTEST_PAUSE)).await;
        // Another challenge may have been told meanwhile that the service wants to be left alone: each finding that out by itself
        // would keep the service busy with refusing.
        while let Some(left) = self.shared.left_alone(&self.live.key.remember.connector) {
            self.sleep(left).await;
        }
    }

    /// Somewhat longer, by a part of the time that is this challenge's own.
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time + self.live.share_of(time / 4)).await;
    }

    pub(super) async fn interruptible<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        // A push is answered on the phone, whether or not its page is open.
        let needs_page = matches!(self.step.prompt, Prompt::Code(_));
        tokio::select! {
            biased;
            () = self.live.abandoned.cancelled() => Err(Interrupted::Abandoned),
            () = self.shared.forsaken(self.live) => Err(Interrupted::Abandoned),
            () = self.live.denied.cancelled() => Err(Interrupted::Denied),
            () = self.live.dismissed.cancelled() => Err(Interrupted::Dismissed),
            () = self.live.removed.cancelled() => Err(Interrupted::Removed),
            done = work => Ok(done),
            () = self.live.pages.left(), if needs_page => Err(Interrupted::Left),
            () = tokio::time::sleep_until(self.deadline) => Err(Interrupted::TooLate),
        }
    }

    /// A poll failed. Trouble on the way is waited out; an answer that will not get better is not.
    fn bear(&mut self, error: ConnectorError) -> Option<(ChallengeOutcome, String)> {
        if let ConnectorError::RateLimited(ms) = error {
            let pause = Duration::from_millis(u64::from(ms)).min(LONGEST_PAUSE_OF_ALL);
            self.shared.leave_alone(&self.live.key.remember.connector, pause);
        }
        let passes_by_itself = matches!(error, ConnectorError::RateLimited(_) | ConnectorError::Unavailable(_));
        self.hopeless = if passes_by_itself { 0 } else { self.hopeless + 1 };
        let end = (self.hopeless >= HOPELESS_ANSWERS).then(|| (ChallengeOutcome::Unavailable, error.to_string()));
        self.trouble = Some(error);
        end
    }

    pub(super) fn give_up(&self, why: &Interrupted) -> (ChallengeOutcome, String) {
        let closed = |detail: &str| (ChallengeOutcome::Closed, detail.to_owned());
        match (why, &self.trouble) {
            (Interrupted::Abandoned, _) => closed("Every client that waited for it went away."),
            (Interrupted::Denied, _) => {
                (ChallengeOutcome::Denied, "Denied on the challenge page: it was not the person who asked.".to_owned())
            }
            (Interrupted::Dismissed, _) => closed("Dismissed on the challenge page."),
            (Interrupted::Removed, _) => {
                (ChallengeOutcome::Unavailable, "Its connector was taken out of the configuration.".to_owned())
            }
            (Interrupted::Left, _) => closed("The challenge page was closed."),
            (Interrupted::TooLate, None) => (ChallengeOutcome::Expired, "Nobody answered in time.".to_owned()),
            (Interrupted::TooLate, Some(trouble)) => (ChallengeOutcome::Unavailable, trouble.to_string()),
        }
    }
}
