//! The two ends of a connection, and what may be put into each.
//!
//! An end keeps its socket to itself. What goes in is a type that says why it may: a request goes to the directory inside
//! the gate's `Permitted`, the success of a bind goes to the client inside the gate's `Permitted`, and everything else has
//! a type of its own that can be neither. Code that forwards an undecided request does not compile:
//!
//! ```compile_fail,E0308
//! use portcullis_core::gate::Gate;
//! use portcullis_ldap::frame::Frame;
//! use portcullis_ldap::lane::DirectoryEnd;
//!
//! fn forward<G: Gate>(directory: &mut DirectoryEnd<G>, undecided: Frame) {
//!     directory.forward(undecided);
//! }
//! ```
//!
//! With the gate's leave it does:
//!
//! ```
//! use portcullis_core::gate::Gate;
//! use portcullis_ldap::frame::Frame;
//! use portcullis_ldap::lane::DirectoryEnd;
//!
//! fn forward<G: Gate>(directory: &mut DirectoryEnd<G>, decided: G::Permitted<Frame>) {
//!     directory.forward(decided);
//! }
//! ```
//!
//! The same for the success of a bind:
//!
//! ```compile_fail,E0308
//! use portcullis_core::gate::Gate;
//! use portcullis_ldap::lane::{ClientEnd, HeldSuccess};
//!
//! fn release<G: Gate>(client: &mut ClientEnd<G>, undecided: HeldSuccess) {
//!     client.release(undecided);
//! }
//! ```

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_core::BindMethod;
use portcullis_core::gate::{Gate, PasswordTag, Permit as _};

use crate::appended;
use crate::decode::{self, Bind, BindError};
use crate::encode::{OwnAnswer, OwnRequest};
use crate::frame::{Frame, FrameError, op, result_code};
pub use crate::outstanding::Outstanding;
use crate::pipe::{HIGH_WATER, Passed, Pipe, Stream, Turn};
use crate::referral::Referrals;
use crate::residue;
use crate::upstreams::Lease;

/// Octets of a Cancel request, controls included, beyond which one behind a bind has to wait for the bind.
const CANCEL_LIMIT: usize = 512;

/// A bind that the gateway has read as the directory will. Only the directory can say whether its password is right, so it
/// goes there before anything is decided; its success comes back as [`HeldSuccess`].
#[derive(Debug)]
pub struct BindAttempt {
    frame: Frame,
    bind: Bind,
}

impl BindAttempt {
    /// Reads the bind.
    ///
    /// # Errors
    /// As [`decode::bind`].
    pub fn new(frame: &Frame) -> Result<Self, BindError> {
        let bind = decode::bind(frame)?;
        // A bind may wait; a copy of its own does not keep the read buffer alive for as long.
        Ok(Self { frame: frame.detached(), bind })
    }

    /// Takes a one-time code off the password of a simple bind, where one stands behind it and this delimiter.
    #[must_use]
    pub fn without_code(mut self, delimiter: Option<&str>) -> Self {
        if self.bind.method == BindMethod::Simple
            && let Some((frame, code)) = delimiter.and_then(|delimiter| appended::split(&self.frame, delimiter))
        {
            self.frame = frame;
            self.bind.code = Some(code);
        }
        self
    }

    /// What it asks for.
    #[must_use]
    pub fn bind(&self) -> &Bind {
        &self.bind
    }

    /// Notes the tag of the password that the directory will see.
    #[must_use]
    pub(crate) fn tagged(mut self, tag: impl FnOnce(&[u8]) -> Option<PasswordTag>) -> Self {
        self.bind.tag(&self.frame, tag);
        self
    }

    /// Tells what it is the next step of; of nothing unless told.
    #[must_use]
    pub(crate) fn after(mut self, earlier: Option<Bind>) -> Self {
        // Another mechanism is another bind (RFC 4511, section 4.2.1).
        let earlier = earlier.filter(|earlier| earlier.method == self.bind.method);
        self.bind.step.follow(earlier.map(|earlier| earlier.step).unwrap_or_default());
        self
    }

    /// Message id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.frame.id()
    }
}

/// The directory's answer "success" to a bind. Nothing but the gate's leave lets it on to the client.
pub struct HeldSuccess(Frame);

impl fmt::Debug for HeldSuccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldSuccess").field(&self.0).finish()
    }
}

impl HeldSuccess {
    /// The directory's challenge in a bind of several steps that calls it a success (MS-ADTS, section 5.1.1.1.3).
    ///
    /// # Errors
    /// Itself, when the bind that it answers is one that binds.
    pub(crate) fn into_challenge(self, bind: &Bind) -> Result<Challenge, Self> {
        if bind.step.answered_by_success { Ok(Challenge(self.0)) } else { Err(self) }
    }
}

/// What the directory asks in the middle of a bind. Nobody is bound by it.
pub(crate) struct Challenge(Frame);

/// The directory's answer to a bind that is not success.
#[derive(Debug)]
pub struct BindFailure {
    frame: Frame,
    code: u32,
    /// It is no answer to a bind, so what the directory makes of the bind is not known.
    pub(crate) is_doubtful: bool,
}

impl BindFailure {
    /// Result code; never 0.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.code
    }

    /// What the directory says about it.
    pub(crate) fn diagnostic(&self) -> Option<&str> {
        decode::diagnostic(&self.frame)
    }
}

/// The directory's answer to a bind.
#[derive(Debug)]
pub enum BindAnswer {
    /// The directory takes the client for who it says it is.
    Success(HeldSuccess),
    /// It does not, or not yet (saslBindInProgress, 14).
    Failure(BindFailure),
}

/// Answers of the directory, one after the other, none of them to a bind.
#[derive(Debug)]
pub struct Answers {
    bytes: Bytes,
    /// Octets of the last of them.
    last: usize,
}

/// What comes from the directory.
#[derive(Debug)]
pub enum FromDirectory {
    /// Answers for the client.
    Answers(Answers),
    /// The answer to the bind with this message id.
    Bind(i32, BindAnswer),
    /// The answer to the gateway's own request.
    Own(Frame),
}

/// The connection to the directory.
pub struct DirectoryEnd<G> {
    pipe: Pipe,
    /// The directory has taken, or is taking, this connection for somebody's.
    pub(crate) identified: bool,
    /// Message id of the bind that the directory has got last.
    bind: Option<i32>,
    /// Message id of the gateway's own request. Kept after its answer is too late, so that it does not reach the client.
    own: Option<i32>,
    /// The gateway's own request is not answered yet.
    asking: bool,
    /// The connection may bear something of this client that a bind does not end.
    marked: bool,
    /// None only where a test made the connection.
    lease: Option<Lease>,
    /// What its referrals are made to lead to; none: where they lead.
    referrals: Option<Arc<Referrals>>,
    gate: PhantomData<fn() -> G>,
}

impl<G: Gate> DirectoryEnd<G> {
    pub(crate) fn new(stream: Stream, limit: usize, lease: Option<Lease>) -> Self {
        Self {
            pipe: Pipe::new(stream, limit),
            identified: false,
            bind: None,
            own: None,
            asking: false,
            marked: false,
            lease,
            referrals: None,
            gate: PhantomData,
        }
    }

    /// The same, with its referrals made to lead elsewhere.
    pub(crate) fn referring(self, referrals: Option<Arc<Referrals>>) -> Self {
        Self { referrals, ..self }
    }

    /// Forwards a request that was decided on.
    pub fn forward(&mut self, permitted: G::Permitted<Frame>) {
        let request = permitted.redeem();
        self.marked = self.marked || residue::is_left_by(&request);
        self.pipe.send(request.into_bytes());
    }

    /// Lets the directory check a password. From here on it may take the connection for somebody's.
    pub fn attempt(&mut self, bind: BindAttempt) -> Bind {
        self.identified = true;
        self.bind = Some(bind.id());
        // A SASL mechanism may leave a layer, or wait for another step.
        let is_sasl = matches!(bind.bind.method, BindMethod::Sasl(_));
        self.marked = self.marked || is_sasl || residue::is_left_by(&bind.frame);
        self.pipe.send(bind.frame.into_bytes());
        bind.bind
    }

    /// Asks something of the gateway's own; each answer comes as [`FromDirectory::Own`]. The id must not be one that a client
    /// could have guessed.
    pub(crate) fn inquire(&mut self, id: i32, request: OwnRequest) {
        self.own = Some(id);
        self.asking = true;
        self.pipe.send(request.into_bytes());
    }

    /// Sends a request of the gateway's own that has no answer.
    pub(crate) fn ask(&mut self, request: OwnRequest) {
        self.marked = true;
        self.pipe.send(request.into_bytes());
    }

    /// Notes that the connection may bear something that a bind does not end.
    pub(crate) fn mark(&mut self) {
        self.marked = true;
    }

    /// What comes next from the directory, of what has been received.
    ///
    /// # Errors
    /// When it is no LDAP message, or the answer to a bind cannot be read.
    pub fn next_answer(&mut self, outstanding: &mut Outstanding) -> Result<Option<FromDirectory>, FrameError> {
        let input = &mut self.pipe.input;
        let (mut run, mut last) = (0, 0);
        while let Some((size, header)) = input.peek(run)? {
            let given_up = outstanding.is_given_up(header.id);
            // Samba refuses a bind whose critical control it does not know by an extended response. It can as well be the
            // answer to an earlier request under this id that was abandoned; then the bind may still succeed.
            let refuses_bind = self.bind == Some(header.id) && header.op == op::EXTENDED_RESPONSE && !given_up;
            let answers_bind = header.op == op::BIND_RESPONSE || refuses_bind;
            let special = answers_bind || self.own == Some(header.id);
            let refers = |_: &&Arc<Referrals>| Referrals::concern(header, input.octets(run, size));
            let referrals = self.referrals.as_ref().filter(refers);
            if (special || given_up || referrals.is_some()) && run > 0 {
                break;
            }
            if special {
                let bytes = input.cut(size);
                let bytes = referrals.and_then(|referrals| referrals.rewritten(&bytes)).map_or(bytes, Bytes::from);
                return Ok(Some(if answers_bind {
                    self.bind = None;
                    FromDirectory::Bind(header.id, bind_answer(Frame::new(bytes)?)?)
                } else {
                    self.asking = false;
                    FromDirectory::Own(Frame::new(bytes)?)
                }));
            }
            outstanding.answered(header, input.octets(run, size));
            if given_up {
                drop(input.cut(size));
                continue;
            }
            if let Some(referrals) = referrals {
                let bytes = input.cut(size);
                let bytes = referrals.rewritten(&bytes).map_or(bytes, Bytes::from);
                return Ok(Some(FromDirectory::Answers(Answers { last: bytes.len(), bytes })));
            }
            run += size;
            last = size;
            if run >= HIGH_WATER {
                break;
            }
        }
        Ok((run > 0).then(|| FromDirectory::Answers(Answers { bytes: input.cut(run), last })))
    }

    pub(crate) async fn turn(&mut self, read: bool) -> io::Result<Turn> {
        self.pipe.turn(read).await
    }

    pub(crate) fn backlog(&self) -> usize {
        self.pipe.backlog()
    }

    /// Octets received and not yet looked at.
    pub(crate) fn unread(&self) -> usize {
        self.pipe.input.len()
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush().await
    }

    pub(crate) fn close_after_backlog(&mut self) {
        self.pipe.close_after_backlog();
    }

    /// The right to the connection, where nothing of the client is left on it but who it is: nothing half sent, nothing half
    /// received, no request that leaves something. That everything was answered is for the caller to know.
    pub(crate) fn unmarked(&self) -> Option<&Lease> {
        let is_clean = !self.marked && !self.asking && self.pipe.backlog() == 0 && self.pipe.input.is_empty();
        self.lease.as_ref().filter(|_| is_clean)
    }

    /// Makes the directory take the connection for nobody's, for another client to begin with. None when it does not.
    pub(crate) async fn clean(mut self) -> Option<Cleaned> {
        let lease = self.lease.take()?;
        let id = 1;
        self.pipe.send(OwnRequest::anonymous_bind(id).into_bytes());
        let answer = loop {
            match self.pipe.input.next_frame().ok()? {
                Some(frame) => break frame,
                None if self.pipe.turn(true).await.ok()? == Turn::Ended => return None,
                None => {}
            }
        };
        if answer.id() != id || answer.op() != op::BIND_RESPONSE || !self.pipe.input.is_empty() {
            return None;
        }
        match result_code(answer.bytes()).ok()? {
            0 => Some(Cleaned { stream: self.pipe.stream, lease }),
            code => {
                lease.server().cannot_be_cleaned(code);
                None
            }
        }
    }
}

/// A connection that a client has left and that the directory takes for nobody's.
pub(crate) struct Cleaned {
    pub(crate) stream: Stream,
    pub(crate) lease: Lease,
}

fn bind_answer(frame: Frame) -> Result<BindAnswer, FrameError> {
    Ok(match result_code(frame.bytes())? {
        0 if frame.op() != op::BIND_RESPONSE => return Err(FrameError::Malformed),
        0 => BindAnswer::Success(HeldSuccess(frame)),
        code => {
            let is_doubtful = frame.op() != op::BIND_RESPONSE;
            BindAnswer::Failure(BindFailure { frame, code, is_doubtful })
        }
    })
}

/// The connection to the client.
pub struct ClientEnd<G> {
    pipe: Pipe,
    gate: PhantomData<fn() -> G>,
}

impl<G: Gate> ClientEnd<G> {
    pub(crate) fn new(stream: Stream, limit: usize) -> Self {
        Self { pipe: Pipe::new(stream, limit), gate: PhantomData }
    }

    /// Passes answers on, the last as a piece of its own.
    pub fn relay(&mut self, answers: Answers) {
        let Answers { mut bytes, last } = answers;
        let end = bytes.split_off(bytes.len().saturating_sub(last));
        self.pipe.send(bytes);
        self.pipe.send(end);
    }

    /// Passes on that a bind failed, or that it takes another step.
    pub fn fail(&mut self, failure: BindFailure) {
        self.pipe.send(failure.frame.into_bytes());
    }

    /// Passes on what the directory asks in the middle of a bind.
    pub(crate) fn challenge(&mut self, challenge: Challenge) {
        self.pipe.send(challenge.0.into_bytes());
    }

    /// Lets the success of a bind through.
    pub fn release(&mut self, permitted: G::Permitted<HeldSuccess>) {
        self.pipe.send(permitted.redeem().0.into_bytes());
    }

    /// Lets the success of a bind through after which the gateway may not be able to read the stream.
    pub(crate) fn release_unseen(&mut self, permitted: G::Permitted<HeldSuccess>) -> Unseen {
        self.release(permitted);
        Unseen(())
    }

    /// Answers in the directory's place.
    pub fn answer(&mut self, answer: OwnAnswer) {
        self.pipe.send(answer.into_bytes());
    }

    /// Takes messages of at most `limit` octets from here on.
    pub(crate) fn limit_requests(&mut self, limit: usize) {
        self.pipe.input.limit(limit);
    }

    /// The next whole message from the client, of what has been received.
    ///
    /// # Errors
    /// When what comes next is no message that is taken.
    pub fn next_request(&mut self) -> Result<Option<Frame>, FrameError> {
        self.pipe.input.next_frame()
    }

    /// Takes the next message when it is already here and asks for the cancellation of this operation.
    pub(crate) fn next_cancel_of(&mut self, id: i32) -> Option<Frame> {
        let input = &mut self.pipe.input;
        let Ok(Some((size, header))) = input.peek(0) else { return None };
        if header.op != op::EXTENDED || size > CANCEL_LIMIT {
            return None;
        }
        let cancels = Frame::new(Bytes::copy_from_slice(input.buffer().get(..size)?)).ok()?;
        if decode::cancelled(&cancels) != Some(id) {
            return None;
        }
        drop(input.cut(size));
        Some(cancels)
    }

    /// The client's next message, already here, is an unbind.
    pub(crate) fn leaves(&self) -> bool {
        matches!(self.pipe.input.peek(0), Ok(Some((_, header))) if header.op == op::UNBIND)
    }

    /// Octets that have gone either way since this was last asked.
    pub(crate) fn take_passed(&mut self) -> Passed {
        self.pipe.take_passed()
    }

    /// What the client has sent next begins with this octet.
    pub(crate) fn first_octet(&self) -> Option<u8> {
        self.pipe.input.all().first().copied()
    }

    /// Octets received and not yet looked at.
    pub(crate) fn unread(&self) -> usize {
        self.pipe.input.len()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.pipe.backlog()
    }

    pub(crate) async fn turn(&mut self, read: bool) -> io::Result<Turn> {
        self.pipe.turn(read).await
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush().await
    }

    pub(crate) fn close_after_backlog(&mut self) {
        self.pipe.close_after_backlog();
    }

    /// Forgets what was received.
    pub(crate) fn discard(&mut self) {
        self.pipe.input.discard();
    }

    /// The bare socket, for TLS to be put on it. Only with nothing received and nothing to send.
    pub(crate) fn into_stream(self) -> Stream {
        self.pipe.stream
    }
}

/// The gate's leave to relay unseen what follows a bind. Only [`ClientEnd::release_unseen`] makes it.
pub(crate) struct Unseen(());

/// Gives both ends away for octets to be pumped between them, because the gateway cannot read the stream any more.
pub(crate) fn into_pipes<G: Gate>(client: ClientEnd<G>, directory: DirectoryEnd<G>, _leave: Unseen) -> (Pipe, Pipe) {
    (client.pipe, directory.pipe)
}
