//! Requests other than binds.

use std::task::{Context, Poll, Waker};

use portcullis_core::gate::{Answer, Asked, Gate, Permit as _, Tried};
use portcullis_core::{BoxFuture, OperationKind, Outcome};

use tokio::time::Instant;

use super::end::End;
use super::held::Decided;
use super::{Link, Next, Session};
use crate::decode;
use crate::encode::{Code, OwnAnswer, OwnRequest};
use crate::frame::{Frame, op};
use crate::listener::Mode;
use crate::metrics::{Handling, Limit};
use crate::notable;

impl<G: Gate> Session<'_, G> {
    /// Takes the client's next message.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Option<Next<G>>, End> {
        if frame.op() == op::UNBIND {
            return Err(End::Unbind);
        }
        if frame.id() == 0 {
            return Err(End::Protocol("a request with message id 0".to_owned()));
        }
        if frame.op() == op::EXTENDED && decode::is_start_tls(&frame) {
            return self.start_tls(&frame);
        }
        if self.must_be_protected(&frame) {
            self.refuse_cleartext(&frame, "this listener takes requests only after StartTLS")?;
            return Ok(None);
        }
        if self.exposes_password(&frame) {
            if let Some(left_out) = self.shared.lines().cleartext.due(Instant::now()) {
                let (client, listener) = (self.connection.client, &self.connection.listener);
                let what = "a password came in clear text and goes no further; it should be changed";
                tracing::warn!(%client, %listener, left_out, what);
            }
            self.refuse_cleartext(&frame, "this listener takes passwords only after StartTLS")?;
            return Ok(None);
        }
        if frame.op() == op::ABANDON && self.abandon(&frame) {
            return Ok(None);
        }
        if frame.op() == op::EXTENDED && self.cancel(&frame)? {
            return Ok(None);
        }
        if let Link::None = self.directory {
            let (limit, upstreams) = (self.shared.listener().limits.answer_size, self.shared.upstreams());
            match upstreams.take_spare(frame.op() == op::BIND, limit) {
                Some(directory) => {
                    self.shared.metrics().directory_spare.one();
                    self.directory = Link::Up(directory.referring(self.shared.listener().referrals.clone()));
                }
                None => {
                    self.directory = Link::Connecting(Box::pin(upstreams.connect(limit, self.handed)));
                    self.waiting = Some(frame);
                    return Ok(None);
                }
            }
        }
        if frame.op() == op::BIND {
            self.take_bind(&frame)?;
        } else {
            self.request(frame)?;
        }
        Ok(None)
    }

    fn request(&mut self, frame: Frame) -> Result<(), End> {
        let (id, request) = (frame.id(), frame.op());
        if self.held.contains(id) || self.outstanding.contains(id) {
            return Err(End::Protocol("a message id that is in use".to_owned()));
        }
        if self.outstanding.len() >= self.shared.listener().limits.outstanding {
            self.shared.metrics().reach(Limit::Outstanding);
            return self.refuse(id, request, Code::Busy, "too many operations are outstanding on this connection");
        }
        let Ok(kind) = decode::kind(&frame) else {
            return self.refuse(id, request, Code::ProtocolError, "the request cannot be read");
        };
        let gate = self.shared.gate();
        let base = self.tally.new_base(&frame);
        let passed = if kind == OperationKind::Search && gate.notable().is_some_and(|what| notable::is(&frame, what)) {
            Err(frame)
        } else {
            gate.pass(kind, frame)
        };
        match passed {
            Ok(permitted) => {
                self.tally.passed(kind, base);
                self.forward(id, request, permitted)
            }
            Err(frame) => {
                self.shared.metrics().request(request, Handling::Held);
                let (frame, octets) = (frame.detached(), frame.bytes().len());
                let asked = self.asked(&frame);
                let mut deciding: BoxFuture<'_, Decided<G>> = Box::pin(async move {
                    Decided { id, op: request, kind, base, answer: gate.decide(asked, frame).await }
                });
                // Mostly all that has to be known is known already, and nothing has to be held. What is not ready is polled
                // again as soon as it is held, and then by a waker that wakes.
                match deciding.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(decided) => self.decided(decided),
                    Poll::Pending => {
                        self.held.hold(id, request, octets, deciding);
                        Ok(())
                    }
                }
            }
        }
    }

    fn asked(&self, frame: &Frame) -> Asked {
        let decode::Request { operation, entry } = decode::request(frame);
        Asked {
            connection: self.connection.clone(),
            claim: self.claim.clone(),
            operation,
            entry,
            outcome: Outcome::Pending,
            directory_result: None,
            code: None,
            tried: Tried::Nothing,
        }
    }

    /// The only way of a client's request to the directory, binds apart.
    fn forward(&mut self, id: i32, request: u8, mut permitted: G::Permitted<Frame>) -> Result<(), End> {
        let Link::Up(directory) = &mut self.directory else {
            return self.refuse(id, request, Code::Unavailable, "the directory is not connected");
        };
        // The client may use the id again, but an answer could be to either.
        if request != op::ABANDON && self.outstanding.is_given_up(id) {
            let why = "the directory has not finished an earlier operation with this message id";
            return self.refuse(id, request, Code::Busy, why);
        }
        self.shared.metrics().request(request, Handling::Forwarded);
        let time = self.shared.listener().limits.time_for(request);
        self.outstanding.insert(id, request, time.map(|time| Instant::now() + time));
        if let Some(told) = permitted.take_told() {
            self.outstanding.tell(id, told);
        }
        directory.forward(permitted);
        Ok(())
    }

    pub(super) fn decided(&mut self, decided: Decided<G>) -> Result<(), End> {
        match decided.answer {
            Answer::Permitted(permitted) => self.forward(decided.id, decided.op, permitted),
            Answer::Passed(permitted) => {
                self.tally.passed(decided.kind, decided.base);
                self.forward(decided.id, decided.op, permitted)
            }
            Answer::Refused(refusal) => {
                self.refuse(decided.id, decided.op, Code::InsufficientAccessRights, &refusal.diagnostic)
            }
        }
    }

    /// Answers a request in the directory's place. Where nobody knows what an answer to it looks like, a client that waits
    /// for one can only be told by ending the connection.
    pub(super) fn refuse(&mut self, id: i32, request: u8, code: Code, diagnostic: &str) -> Result<(), End> {
        self.shared.metrics().request(request, Handling::Refused);
        match OwnAnswer::refusal(id, request, code, diagnostic) {
            Some(answer) => self.client.answer(answer),
            None if request == op::ABANDON => {}
            None => return Err(End::Refused(code, diagnostic.to_owned())),
        }
        Ok(())
    }

    /// Gives up an undecided request; tells whether nothing is left for the directory to do.
    fn abandon(&mut self, frame: &Frame) -> bool {
        // An abandon has no answer, so one that cannot be read is as good as none (RFC 4511, section 4.11).
        let Some(id) = decode::abandoned(frame) else { return true };
        if self.held.abandon(id).is_some() || matches!(self.directory, Link::None) {
            return true;
        }
        self.outstanding.remove(id);
        false
    }

    /// Cancel (RFC 3909) of what is undecided here, of which the directory knows nothing; tells whether it was that.
    fn cancel(&mut self, frame: &Frame) -> Result<bool, End> {
        let Some(id) = decode::cancelled(frame) else { return Ok(false) };
        if self.held.contains(frame.id()) {
            return Err(End::Protocol("a message id that is in use".to_owned()));
        }
        let Some(request) = self.held.abandon(id) else { return Ok(false) };
        self.refuse(id, request, Code::Canceled, "")?;
        self.shared.metrics().request(op::EXTENDED, Handling::Refused);
        self.client.answer(OwnAnswer::cancelled(frame.id()));
        Ok(true)
    }

    /// Ends what the directory has not finished in time. It may still be carried out, except for a search, which does nothing.
    pub(super) fn give_up_late(&mut self, now: Instant) -> Result<(), End> {
        for (id, request) in self.outstanding.give_up_due(now) {
            self.shared.metrics().reach(Limit::Operation);
            let (code, why) = match request {
                op::SEARCH => (Code::TimeLimitExceeded, "the directory has not finished in time"),
                _ => {
                    (Code::Unavailable, "the directory has not answered in time; it may still carry the operation out")
                }
            };
            if let Some(answer) = OwnAnswer::refusal(id, request, code, why) {
                self.client.answer(answer);
            }
            let own = self.unused_id(id);
            if let Link::Up(directory) = &mut self.directory {
                directory.ask(OwnRequest::abandon(own, id));
            }
        }
        if self.outstanding.given_up() >= self.shared.listener().limits.outstanding {
            return Err(End::Directory("it has left as many operations unfinished as may be under way".to_owned()));
        }
        Ok(())
    }

    fn must_be_protected(&self, frame: &Frame) -> bool {
        self.shared.listener().rules.require_tls
            && self.connection.tls.is_none()
            && frame.op() != op::ABANDON
            && !decode::is_root_dse(frame)
    }

    /// The request holds a password, came in the clear, and could have come protected. What it says is on the wire already,
    /// but its success would teach the client to go on like that.
    fn exposes_password(&self, frame: &Frame) -> bool {
        let listener = self.shared.listener();
        self.connection.tls.is_none()
            && matches!(listener.mode, Mode::Plain { starttls: Some(_) })
            && !listener.rules.allow_cleartext_passwords
            && decode::has_password(frame)
    }

    fn refuse_cleartext(&mut self, frame: &Frame, why: &str) -> Result<(), End> {
        if frame.op() == op::BIND {
            self.refuse_bind(frame, Code::ConfidentialityRequired, why);
            return Ok(());
        }
        self.refuse(frame.id(), frame.op(), Code::ConfidentialityRequired, why)
    }

    /// StartTLS (RFC 4511, section 4.14) ends at the gateway.
    fn start_tls(&mut self, frame: &Frame) -> Result<Option<Next<G>>, End> {
        let offered = matches!(self.shared.listener().mode, Mode::Plain { starttls: Some(_) });
        let refusal = if self.connection.tls.is_some() {
            Some((Code::OperationsError, "TLS is already established"))
        } else if !offered {
            Some((Code::ProtocolError, "StartTLS is not offered here"))
        } else if self.sasl.is_some() || !self.is_quiet() {
            Some((Code::OperationsError, "StartTLS has to wait until all operations are finished"))
        } else {
            None
        };
        if let Some((code, why)) = refusal {
            self.refuse(frame.id(), op::EXTENDED, code, why)?;
            return Ok(None);
        }
        // Whatever stands behind the request came in the clear, perhaps from somebody else, and must not be taken for
        // something that the client said under TLS.
        if self.client.unread() > 0 {
            return Err(End::Protocol("octets behind a StartTLS request".to_owned()));
        }
        self.client.answer(OwnAnswer::start_tls(frame.id()));
        Ok(Some(Next::Upgrade))
    }
}
