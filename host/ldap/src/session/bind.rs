//! The rules of a bind (RFC 4511, section 4.2; RFC 4513, section 5).
//!
//! The directory answers first, then the gate decides, and until then nothing that the client sent behind the bind is
//! looked at. Whatever the gateway refuses leaves the client anonymous, so a connection that the directory takes for
//! somebody's is given up with it.

use std::collections::hash_map::RandomState;
use std::future::pending;
use std::hash::{BuildHasher as _, Hasher as _};

use portcullis_core::gate::{Answer, Asked, Claim, Gate, Permit as _, Tried};
use portcullis_core::{BindMethod, BoxFuture, Operation, Outcome};
use tokio::time::Instant;

use super::claim::{bind_asked, is_named_by_directory, said};
use super::end::End;
use super::naming::Inquiry;
use super::{Link, Next, Session, request_size};
use crate::decode::{self, Bind, BindError};
use crate::encode::{Code, OwnAnswer};
use crate::frame::{Frame, op};
use crate::lane::{BindAnswer, BindAttempt, BindFailure, HeldSuccess};
use crate::metrics::{BindResult, Handling, Limit};
use crate::pipe::HIGH_WATER;
use crate::sasl::Layer;

/// saslBindInProgress (RFC 4511, appendix A).
const IN_PROGRESS: u32 = 14;
/// How far the connection's bind is.
pub(super) enum Stage<'s, G: Gate> {
    /// There is none.
    Idle,
    /// Requests from before it are not decided yet; they must not run under the new identity.
    Queued(Frame),
    /// The directory checks the password.
    Sent { id: i32, bind: Bind },
    /// The directory was asked whom it has bound.
    Naming { id: i32, bind: Bind, held: HeldSuccess, inquiry: Inquiry, deadline: Instant },
    /// The gate decides. `opaque` is the mechanism behind which the stream may be unreadable.
    Deciding {
        id: i32,
        claim: Claim,
        opaque: Option<String>,
        deciding: BoxFuture<'s, Answer<G::Permitted<HeldSuccess>>>,
    },
    /// A refusal is being recorded; then the client hears of it.
    Noting { noting: BoxFuture<'s, ()>, then: Refused },
}

/// What a client hears of a bind that has failed.
pub(super) enum Refused {
    ByDirectory(BindFailure),
    ByGateway(Option<OwnAnswer>),
}

pub(super) enum StageEvent<G: Gate> {
    Answered(Answer<G::Permitted<HeldSuccess>>),
    Noted,
}

impl<G: Gate> Stage<'_, G> {
    /// What the bind waits for. Safe to drop.
    pub(super) async fn event(&mut self) -> StageEvent<G> {
        match self {
            Self::Deciding { deciding, .. } => StageEvent::Answered(deciding.await),
            Self::Noting { noting, .. } => {
                noting.await;
                StageEvent::Noted
            }
            _ => pending().await,
        }
    }

    /// A bind is under way that a client which leaves has no use for any more. What is being recorded is not.
    pub(super) fn waits(&self) -> bool {
        !matches!(self, Self::Idle | Self::Noting { .. })
    }

    /// Message id of the bind that has no answer yet.
    pub(super) fn id(&self) -> Option<i32> {
        match self {
            Self::Queued(frame) => Some(frame.id()),
            Self::Sent { id, .. } | Self::Naming { id, .. } | Self::Deciding { id, .. } => Some(*id),
            Self::Idle | Self::Noting { .. } => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if let Self::Naming { deadline, .. } = self { Some(*deadline) } else { None }
    }
}

impl<G: Gate> Session<'_, G> {
    pub(super) fn take_bind(&mut self, frame: &Frame) -> Result<(), End> {
        if self.outstanding.contains(frame.id()) {
            return Err(End::Protocol("a bind whose message id is in use".to_owned()));
        }
        self.stage = Stage::Queued(frame.detached());
        self.take_queued_bind()
    }

    /// Begins the bind that is next, once nothing from before it is undecided.
    pub(super) fn take_queued_bind(&mut self) -> Result<(), End> {
        if !self.held.is_empty() || !matches!(self.stage, Stage::Queued(_)) {
            return Ok(());
        }
        let Stage::Queued(frame) = std::mem::replace(&mut self.stage, Stage::Idle) else { return Ok(()) };
        if self.outstanding.contains(frame.id()) {
            return Err(End::Protocol("a bind whose message id is in use".to_owned()));
        }
        let attempt = match BindAttempt::new(&frame) {
            Ok(attempt) => {
                let delimiter = self.shared.listener().rules.appended_codes.as_deref();
                let gate = self.shared.gate();
                attempt.without_code(delimiter).after(self.sasl.take()).tagged(|password| gate.password_tag(password))
            }
            Err(error) => {
                let code = match error {
                    BindError::Malformed => Code::ProtocolError,
                    BindError::UnknownMethod => Code::AuthMethodNotSupported,
                };
                self.refuse_bind(&frame, code, &error.to_string());
                return Ok(());
            }
        };
        if let Some((code, why)) = self.forbidden(attempt.bind()) {
            self.refuse_bind(&frame, code, why);
            return Ok(());
        }
        let Link::Up(directory) = &mut self.directory else {
            self.identify();
            return self.refuse(frame.id(), op::BIND, Code::Unavailable, "the directory is not connected");
        };
        self.shared.metrics().request(op::BIND, Handling::Forwarded);
        let id = attempt.id();
        let bind = directory.attempt(attempt);
        self.stage = Stage::Sent { id, bind };
        self.bind_due = self.shared.listener().limits.time_for(op::BIND).map(|time| Instant::now() + time);
        Ok(())
    }

    /// Binds that the gateway does not let the directory see.
    fn forbidden(&self, bind: &Bind) -> Option<(Code, &'static str)> {
        let rules = &self.shared.listener().rules;
        match &bind.method {
            // RFC 4513, section 5.1.2: clients take the success of such a bind for a correct password.
            BindMethod::Simple if bind.empty_password && !rules.allow_unauthenticated_bind => {
                Some((Code::UnwillingToPerform, "a bind with a name needs a password"))
            }
            BindMethod::Sasl(_) if matches!(self.layer(bind), Layer::Wanted | Layer::Unknown) => {
                self.forbidden_layer(bind)
            }
            _ => None,
        }
    }

    /// Refuses a bind without asking the directory, and records that.
    pub(super) fn refuse_bind(&mut self, frame: &Frame, code: Code, why: &str) {
        let asked = match decode::bind(frame) {
            Ok(mut bind) => {
                bind.tag(frame, |password| self.shared.gate().password_tag(password));
                bind_asked(&self.connection, &bind, said(&bind), Outcome::Failure, None)
            }
            Err(_) => Asked {
                connection: self.connection.clone(),
                claim: Claim::Unreadable,
                operation: Operation::Other("unreadable-bind".to_owned()),
                entry: None,
                outcome: Outcome::Failure,
                directory_result: None,
                code: None,
                tried: Tried::Nothing,
            },
        };
        self.shared.metrics().request(op::BIND, Handling::Refused);
        self.shared.metrics().bind(BindResult::RefusedByListener);
        let answer = OwnAnswer::refusal(frame.id(), op::BIND, code, why);
        self.note(asked, why.to_owned(), Refused::ByGateway(answer));
    }

    fn note(&mut self, asked: Asked, why: String, then: Refused) {
        let gate = self.shared.gate();
        let noting = Box::pin(async move { gate.note(asked, &why).await });
        self.stage = Stage::Noting { noting, then };
    }

    /// The directory has answered a bind.
    pub(super) fn bind_answered(&mut self, id: i32, answer: BindAnswer) -> Result<(), End> {
        let bind = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Sent { id: asked, bind } if asked == id => bind,
            stage => {
                self.stage = stage;
                return Err(End::Directory("it answered a bind that was not asked for".to_owned()));
            }
        };
        self.outstanding.bind_answered();
        match answer {
            BindAnswer::Failure(failure)
                if failure.code() == IN_PROGRESS
                    && matches!(bind.method, BindMethod::Sasl(_))
                    && !failure.is_doubtful =>
            {
                self.shared.metrics().bind(BindResult::InProgress);
                self.sasl = Some(bind);
                self.client.fail(failure);
                self.identify();
            }
            BindAnswer::Failure(failure) => {
                self.shared.metrics().bind(BindResult::RefusedByDirectory);
                self.explain(&failure);
                let asked = bind_asked(&self.connection, &bind, said(&bind), Outcome::Failure, Some(failure.code()));
                let why = if failure.is_doubtful {
                    // Whom it takes the connection for now, or will in a moment, nobody knows.
                    self.give_up_directory();
                    "The directory answered the bind, or an abandoned request with its message id, by an extended response."
                } else {
                    "The directory refused the bind."
                };
                self.note(asked, why.to_owned(), Refused::ByDirectory(failure));
            }
            BindAnswer::Success(held) => match held.into_challenge(&bind) {
                Ok(challenge) => {
                    self.sasl = Some(bind);
                    self.client.challenge(challenge);
                }
                Err(held) => self.bind_accepted(id, bind, held),
            },
        }
        Ok(())
    }

    fn bind_accepted(&mut self, id: i32, bind: Bind, held: HeldSuccess) {
        if matches!(bind.method, BindMethod::Sasl(_)) && self.layer(&bind) != Layer::None {
            self.accepted_with_layer(id, &bind, held);
            return;
        }
        if is_named_by_directory(&bind) && matches!(self.directory, Link::Up(_)) {
            self.ask_who(id, bind, held);
            return;
        }
        // The directory takes a name without a password for nobody.
        let claim = if bind.empty_password { Claim::Anonymous } else { said(&bind) };
        let asked = bind_asked(&self.connection, &bind, claim, Outcome::Success, Some(0));
        self.decide(id, asked, held);
    }

    /// Refuses a bind that the directory has accepted, and records that.
    pub(super) fn refuse_accepted(&mut self, id: i32, bind: &Bind, code: Code, why: &str) {
        let asked = bind_asked(&self.connection, bind, said(bind), Outcome::Failure, Some(0));
        let answer = OwnAnswer::refusal(id, op::BIND, code, why);
        self.note(asked, why.to_owned(), Refused::ByGateway(answer));
    }

    pub(super) fn decide(&mut self, id: i32, asked: Asked, held: HeldSuccess) {
        let claim = asked.claim.clone();
        let opaque = match &asked.operation {
            Operation::Bind(BindMethod::OpaqueSasl(mechanism)) => Some(mechanism.clone()),
            _ => None,
        };
        self.shared.metrics().request(op::BIND, Handling::Held);
        let deciding = Box::pin(self.shared.gate().decide(asked, held));
        self.stage = Stage::Deciding { id, claim, opaque, deciding };
    }

    /// A message id that no operation has, and that a client cannot guess: the late answer to a request of the client's
    /// must not be taken for the answer to the gateway's own.
    pub(super) fn unused_id(&self, other_than: i32) -> i32 {
        let used = |id| id == other_than || self.outstanding.contains(id) || self.outstanding.is_given_up(id);
        std::iter::repeat_with(random_id).take(64).find(|id| !used(*id)).unwrap_or(i32::MAX)
    }

    /// The directory does not answer a bind: nobody knows whom it takes the connection for, or will.
    pub(super) fn bind_late(&mut self) {
        let Stage::Sent { id, bind } = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        self.shared.metrics().reach(Limit::Operation);
        self.shared.metrics().bind(BindResult::Unfinished);
        let asked = bind_asked(&self.connection, &bind, said(&bind), Outcome::Failure, None);
        self.give_up_directory();
        let answer = OwnAnswer::refusal(id, op::BIND, Code::Unavailable, "the directory has not answered in time");
        self.note(asked, "The directory did not answer in time.".to_owned(), Refused::ByGateway(answer));
    }

    /// A Cancel that names the bind it stands behind is answered at once: a bind cannot be cancelled (RFC 3909, section 3).
    /// Everything else has to wait.
    pub(super) fn refuse_cancel_of_bind(&mut self) -> Result<(), End> {
        let id = match &self.stage {
            Stage::Queued(frame) => frame.id(),
            Stage::Sent { id, .. } | Stage::Naming { id, .. } | Stage::Deciding { id, .. } => *id,
            Stage::Idle | Stage::Noting { .. } => return Ok(()),
        };
        while self.client.backlog() < HIGH_WATER
            && let Some(cancel) = self.client.next_cancel_of(id)
        {
            self.refuse(cancel.id(), op::EXTENDED, Code::CannotCancel, "a bind cannot be cancelled")?;
        }
        Ok(())
    }

    /// The gate has decided on a bind, or a refusal is recorded.
    pub(super) fn bind_event(&mut self, event: StageEvent<G>) -> Result<Option<Next<G>>, End> {
        match (std::mem::replace(&mut self.stage, Stage::Idle), event) {
            (
                Stage::Deciding { claim, opaque, .. },
                StageEvent::Answered(Answer::Permitted(permitted) | Answer::Passed(permitted)),
            ) => {
                self.shared.metrics().bind(BindResult::Accepted);
                self.take_for(claim);
                // What was counted so far was neither his nor the application's yet.
                self.identify();
                self.forget_unanswered();
                if let Some(mechanism) = opaque {
                    return Ok(Some(Next::Opaque { permitted, mechanism }));
                }
                let application = permitted.application().map(str::to_owned);
                self.client.release(permitted);
                if application.is_some() {
                    self.connection.application = application;
                }
            }
            (Stage::Deciding { id, .. }, StageEvent::Answered(Answer::Refused(refusal))) => {
                self.shared.metrics().bind(BindResult::Blocked);
                self.give_up_directory();
                self.refuse(id, op::BIND, Code::InvalidCredentials, &refusal.diagnostic)?;
            }
            (Stage::Noting { then: Refused::ByDirectory(failure), .. }, StageEvent::Noted) => {
                self.forget_unanswered();
                // After a failed bind the client is anonymous (RFC 4511, section 4.2.1), but some directories, Samba among
                // them, go on taking it for whom it was. On a fresh connection there is no doubt.
                if self.claim != Claim::Anonymous {
                    self.give_up_directory();
                }
                self.client.fail(failure);
            }
            (Stage::Noting { then: Refused::ByGateway(answer), .. }, StageEvent::Noted) => {
                self.give_up_directory();
                if let Some(answer) = answer {
                    self.client.answer(answer);
                }
            }
            (stage, _) => self.stage = stage,
        }
        self.identify();
        Ok(None)
    }

    fn take_for(&mut self, claim: Claim) {
        self.claim = claim;
        self.client.limit_requests(request_size(&self.shared.listener().limits, &self.claim));
    }

    /// What the directory had not answered before this bind, it has given up.
    fn forget_unanswered(&mut self) {
        if let (true, Link::Up(directory)) = (self.outstanding.forget_unanswered(), &mut self.directory) {
            directory.mark();
        }
    }

    /// Drops a connection that the directory takes, or may take, for somebody's. What it had not answered is answered here;
    /// the next request is forwarded on a fresh, anonymous one.
    fn give_up_directory(&mut self) {
        self.sasl = None;
        self.take_for(Claim::Anonymous);
        if !matches!(&self.directory, Link::Up(directory) if directory.identified) {
            return;
        }
        self.directory = Link::None;
        for (id, request) in self.outstanding.drain() {
            let why = "the operation ended with the bind behind it";
            if let Some(answer) = OwnAnswer::refusal(id, request, Code::Unavailable, why) {
                self.client.answer(answer);
            }
        }
    }
}

fn random_id() -> i32 {
    let bits = RandomState::new().build_hasher().finish();
    i32::try_from(bits >> 33).unwrap_or(i32::MAX).max(1)
}
