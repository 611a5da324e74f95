//! Trying codes and asking in other ways, as the person on the page wants it.
//!
//! The service counts wrong codes too, each in its own way and over its own time. What is counted here holds for every
//! connector: whoever has the password gets a few tries for each challenge, and as many challenges as the budget allows.

use std::time::Duration;

use portcullis_core::Secret;
use portcullis_core::plugin::{ConnectorError, Progress, Step};
use portcullis_core::policy::ChallengeOutcome;
use tokio::time::Instant;
use tracing::warn;

use super::follow::{Follower, HOPELESS_ANSWERS, Interrupted};
use super::orders::{Order, Wish};

/// So many texts are looked at in one challenge, those that could not be codes included.
const ATTEMPTS: u32 = 20;
/// No code is longer, in characters.
const LONGEST_CODE: usize = 64;

/// What has been tried in one challenge.
#[derive(Default)]
pub(super) struct Tries {
    wrong: u32,
    attempts: u32,
    /// The service wants to be left alone until then.
    not_before: Option<Instant>,
}

type End = Option<(ChallengeOutcome, String)>;

impl Follower<'_> {
    /// Does what the person wants and shows what came of it.
    pub(super) async fn carry_out(&mut self, mut order: Order) -> End {
        let end = match &mut order.wish {
            Wish::Code(code) => {
                let code = code.clone();
                self.try_code(&code).await
            }
            Wish::Choice(id) => {
                let id = std::mem::take(id);
                self.ask_by(&id).await
            }
        };
        order.done();
        end
    }

    /// Tries the code that came with the access, once: nobody is there to type another one.
    pub(super) async fn try_only(&mut self, code: &Secret) -> (ChallengeOutcome, String) {
        self.show(false, None);
        if let Some(end) = self.try_code(code).await {
            return end;
        }
        if let Some(end) = self.look() {
            return end;
        }
        let why = self.live.view().note.unwrap_or_else(|| "The code could not be tried.".to_owned());
        match &self.trouble {
            Some(trouble) => (ChallengeOutcome::Unavailable, trouble.to_string()),
            None => (ChallengeOutcome::Failed, format!("The code behind the password did not do: {why}")),
        }
    }

    async fn try_code(&mut self, code: &Secret) -> End {
        let code = code.reveal().trim();
        if code.is_empty() || code.chars().count() > LONGEST_CODE {
            return self.say("This cannot be a code. Type the code and nothing else.");
        }
        if let Some(note) = self.pause_wanted() {
            return self.say(&note);
        }
        self.tries.attempts += 1;
        if self.tries.attempts > ATTEMPTS {
            return failed("Too many attempts at one challenge.");
        }
        let (connector, handle) = (self.connector, self.step.handle.clone());
        let answer = self.interruptible(connector.verify(&handle, code)).await;
        self.answered(answer)
    }

    async fn ask_by(&mut self, id: &str) -> End {
        // The page may be older than the latest step.
        let Some(choice) = self.step.choices.iter().find(|choice| choice.id == id) else {
            return self.say("This way is not offered any more.");
        };
        let ready = self.live.view().choices.iter().find(|shown| shown.id == choice.id).map(|shown| shown.from);
        let wait = ready.map(|from| from.since(self.shared.clock.now())).unwrap_or_default();
        if choice.current && !wait.is_zero() {
            return self.say(&format!("This can be asked for again in {}.", seconds(wait)));
        }
        if let Some(note) = self.pause_wanted() {
            return self.say(&note);
        }
        // A code that is sent is a question like any other: it must not become a way to flood somebody's phone. While the
        // service wants a pause nothing is sent, and to go back to what was sent before is no question.
        let asks = wait.is_zero();
        if asks && self.shared.fatigue.take(&self.live.key.remember.account, self.shared.clock.now()).is_err() {
            return self.say("No more can be sent for this account at the moment. Use the code that you have.");
        }
        let (connector, handle, id) = (self.connector, self.step.handle.clone(), id.to_owned());
        let answer = self.interruptible(connector.choose(&handle, &id)).await;
        self.answered(answer)
    }

    fn answered(&mut self, answer: Result<Result<Step, ConnectorError>, Interrupted>) -> End {
        match answer {
            Err(why) => Some(self.give_up(&why)),
            Ok(Ok(step)) => {
                self.take(step);
                let note = self.step.note.take();
                if self.step.progress == Progress::WrongCode {
                    return self.count_wrong(note);
                }
                self.show(true, note);
                None
            }
            Ok(Err(error)) => self.not_answered(error),
        }
    }

    fn count_wrong(&mut self, note: Option<String>) -> End {
        self.tries.wrong += 1;
        let most = self.shared.fatigue.wrong_codes();
        let left = most.saturating_sub(self.tries.wrong);
        if left == 0 {
            return failed(&if most == 1 { "A wrong code.".to_owned() } else { format!("{most} wrong codes.") });
        }
        let note = note.unwrap_or_else(|| "This code was not accepted.".to_owned());
        let tries = if left == 1 { "one more try".to_owned() } else { format!("{left} more tries") };
        self.say(&format!("{note} You have {tries}."))
    }

    /// The connector failed. Whoever has the password may be the one who made it fail, so that, unlike with a poll, this is
    /// never a reason to treat the service as not available, but for where it does not answer at all.
    fn not_answered(&mut self, error: ConnectorError) -> End {
        if let ConnectorError::RateLimited(ms) = error {
            self.tries.not_before = Some(Instant::now() + Duration::from_millis(u64::from(ms)));
            let note = self.pause_wanted().unwrap_or_else(|| "Try again.".to_owned());
            return self.say(&note);
        }
        warn!(connector = %self.live.key.remember.connector, %error, "what was typed on a challenge page led to no answer");
        if matches!(error, ConnectorError::Unavailable(_)) {
            self.trouble = Some(error);
            return self.say(
                "There was no answer, so it is not certain whether this worked. Try again with the next code: one that was \
                 used is not accepted twice.",
            );
        }
        self.hopeless += 1;
        if self.hopeless >= HOPELESS_ANSWERS {
            return failed("The connector could not deal with what was typed.");
        }
        self.say("This could not be done. Try again, and tell your administrator if it stays so.")
    }

    fn pause_wanted(&self) -> Option<String> {
        let left = self.tries.not_before?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| format!("There were too many attempts. Try again in {}.", seconds(left)))
    }

    fn say(&self, note: &str) -> End {
        self.show(true, Some(note.to_owned()));
        None
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what callers return")]
fn failed(why: &str) -> End {
    Some((ChallengeOutcome::Failed, why.to_owned()))
}

/// Rounded up, so that whoever waits so long has waited long enough.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    if seconds == 1 { "one second".to_owned() } else { format!("{seconds} seconds") }
}
