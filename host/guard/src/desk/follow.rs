//! Follows a challenge from the question to its end.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::challenge::ChallengeState;
use portcullis_core::plugin::{Authenticator, ChallengeContext, ConnectorError, Progress, Prompt, StartError, Step};
use portcullis_core::policy::ChallengeOutcome;
use tokio::time::Instant;
use tracing::{info, warn};

use super::live::{Ending, Live};
use super::{Question, Shared, state_of};

/// A service is never asked more often than this, whatever it says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// After so many answers in a row that waiting does not mend, the challenge is given up.
const HOPELESS_ANSWERS: u32 = 3;

/// Asks, follows, stores, and tells whoever waits. Runs as a task of its own, so that one client that goes away does not end
/// what others wait for.
pub(super) async fn follow(
    shared: Arc<Shared>,
    live: Arc<Live>,
    question: Question,
    connector: Arc<dyn Authenticator>,
) {
    let unfinished = Unfinished { shared: Arc::clone(&shared), live: Arc::clone(&live) };
    let (mut ending, take_back) = ask_and_wait(&shared, &live, &question, connector.as_ref()).await;
    shared.close_to_newcomers(&live);
    let state = if live.abandoned.is_cancelled() { ChallengeState::Cancelled } else { state_of(ending.outcome) };
    if let Err(error) = shared.save(&live.record(state, Some(ending.at))).await {
        // An approval that is not on record cannot be accounted for later.
        warn!(%error, "the end of a challenge could not be stored");
        ending =
            live.ending(ChallengeOutcome::Unavailable, format!("The answer could not be stored: {error}"), ending.at);
    }
    shared.fatigue.ended(&live.key.account, ending.outcome, ending.was_asked, ending.at);
    info!(login = %question.account.login, outcome = ?ending.outcome, "challenge ended");
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
    let mut follower = Follower { live, connector, deadline, step, hopeless: 0, trouble: None };
    let (outcome, detail) = follower.run().await;
    let unanswered = follower.step.progress == Progress::Waiting || follower.step.progress == Progress::WrongCode;
    (end(outcome, detail), unanswered.then_some(follower.step.handle))
}

struct Follower<'a> {
    live: &'a Live,
    connector: &'a dyn Authenticator,
    deadline: Instant,
    step: Step,
    hopeless: u32,
    /// What went wrong with the latest poll.
    trouble: Option<ConnectorError>,
}

/// Why the follower stopped looking without an answer.
enum Interrupted {
    Abandoned,
    Dismissed,
    Removed,
    TooLate,
}

impl Follower<'_> {
    async fn run(&mut self) -> (ChallengeOutcome, String) {
        self.deadline =
            self.deadline.min(Instant::now() + Duration::from_secs(u64::from(self.step.expires_in_seconds)));
        loop {
            if let Some(end) = self.look() {
                return end;
            }
            let pause = self.pause();
            if let Err(why) = self.interruptible(tokio::time::sleep(pause)).await {
                return self.give_up(&why);
            }
            let handle = self.step.handle.clone();
            let connector = self.connector;
            match self.interruptible(connector.poll(&handle)).await {
                Err(why) => return self.give_up(&why),
                Ok(Ok(step)) => {
                    self.step = step;
                    self.hopeless = 0;
                    self.trouble = None;
                }
                Ok(Err(error)) => {
                    if let Some(end) = self.bear(error) {
                        return end;
                    }
                }
            }
        }
    }

    /// What the latest answer means; none while the person has not answered.
    fn look(&self) -> Option<(ChallengeOutcome, String)> {
        let (outcome, detail) = match self.step.progress {
            Progress::Waiting | Progress::WrongCode => {
                if let Prompt::Push(number) = self.step.prompt {
                    self.live.show_number(number);
                }
                return None;
            }
            Progress::Approved => (ChallengeOutcome::Approved, "Approved."),
            Progress::Denied => (ChallengeOutcome::Denied, "Denied by the person."),
            Progress::Failed => (ChallengeOutcome::Failed, "Failed at the service."),
            Progress::Expired => (ChallengeOutcome::Expired, "The service stopped waiting."),
        };
        Some((outcome, detail.to_owned()))
    }

    fn pause(&self) -> Duration {
        let wanted = match self.trouble {
            Some(ConnectorError::RateLimited(ms)) => ms,
            _ => self.step.poll_after_ms,
        };
        Duration::from_millis(u64::from(wanted)).max(SHORTEST_PAUSE)
    }

    async fn interruptible<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            () = self.live.abandoned.cancelled() => Err(Interrupted::Abandoned),
            () = self.live.dismissed.cancelled() => Err(Interrupted::Dismissed),
            () = self.live.removed.cancelled() => Err(Interrupted::Removed),
            done = work => Ok(done),
            () = tokio::time::sleep_until(self.deadline) => Err(Interrupted::TooLate),
        }
    }

    /// A poll failed. Trouble on the way is waited out; an answer that will not get better is not.
    fn bear(&mut self, error: ConnectorError) -> Option<(ChallengeOutcome, String)> {
        let passes_by_itself = matches!(error, ConnectorError::RateLimited(_) | ConnectorError::Unavailable(_));
        self.hopeless = if passes_by_itself { 0 } else { self.hopeless + 1 };
        let end = (self.hopeless >= HOPELESS_ANSWERS).then(|| (ChallengeOutcome::Unavailable, error.to_string()));
        self.trouble = Some(error);
        end
    }

    fn give_up(&self, why: &Interrupted) -> (ChallengeOutcome, String) {
        match (why, &self.trouble) {
            (Interrupted::Abandoned, _) => {
                (ChallengeOutcome::Closed, "Every client that waited for it went away.".to_owned())
            }
            (Interrupted::Dismissed, _) => (ChallengeOutcome::Closed, "Dismissed on the challenge page.".to_owned()),
            (Interrupted::Removed, _) => {
                (ChallengeOutcome::Unavailable, "Its connector was taken out of the configuration.".to_owned())
            }
            (Interrupted::TooLate, None) => (ChallengeOutcome::Expired, "Nobody answered in time.".to_owned()),
            (Interrupted::TooLate, Some(trouble)) => (ChallengeOutcome::Unavailable, trouble.to_string()),
        }
    }
}
