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

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;

use bytes::Bytes;
use portcullis_core::gate::{Gate, Permit as _};

use crate::decode::{self, Bind, BindError};
use crate::encode::{OwnAnswer, OwnRequest};
use crate::frame::{Frame, FrameError, op, result_code};
use crate::pipe::{HIGH_WATER, Pipe, Stream, Turn};

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

    /// What it asks for.
    #[must_use]
    pub fn bind(&self) -> &Bind {
        &self.bind
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
pub struct Answers(Bytes);

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

/// The requests that the directory has got and not answered, by message id, with their application numbers.
#[derive(Debug, Default)]
pub struct Outstanding {
    requests: HashMap<i32, u8>,
    /// The directory has sent a Notice of Disconnection.
    pub(crate) farewell: bool,
}

impl Outstanding {
    pub(crate) fn insert(&mut self, id: i32, request: u8) {
        // Unbind and abandon have no answer; what is not in the RFC is not known to have one.
        if OwnAnswer::has_answer(request) {
            self.requests.insert(id, request);
        }
    }

    pub(crate) fn remove(&mut self, id: i32) {
        self.requests.remove(&id);
    }

    pub(crate) fn contains(&self, id: i32) -> bool {
        self.requests.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (i32, u8)> {
        self.requests.drain()
    }

    fn answered(&mut self, id: i32, response: u8) {
        let last = matches!(
            response,
            op::SEARCH_DONE
                | op::MODIFY_RESPONSE
                | op::ADD_RESPONSE
                | op::DELETE_RESPONSE
                | op::MODIFY_DN_RESPONSE
                | op::COMPARE_RESPONSE
                | op::EXTENDED_RESPONSE
        );
        if last && id == 0 {
            self.farewell = true;
        } else if last {
            self.requests.remove(&id);
        }
    }
}

/// The connection to the directory.
pub struct DirectoryEnd<G> {
    pipe: Pipe,
    /// The directory has taken, or is taking, this connection for somebody's.
    pub(crate) identified: bool,
    /// Message id of the gateway's own request. Kept after its answer is too late, so that it does not reach the client.
    own: Option<i32>,
    gate: PhantomData<fn() -> G>,
}

impl<G: Gate> DirectoryEnd<G> {
    pub(crate) fn new(stream: Stream, limit: usize) -> Self {
        Self { pipe: Pipe::new(stream, limit), identified: false, own: None, gate: PhantomData }
    }

    /// Forwards a request that was decided on.
    pub fn forward(&mut self, permitted: G::Permitted<Frame>) {
        self.pipe.send(permitted.redeem().into_bytes());
    }

    /// Lets the directory check a password. From here on it may take the connection for somebody's.
    pub fn attempt(&mut self, bind: BindAttempt) -> Bind {
        self.identified = true;
        self.pipe.send(bind.frame.into_bytes());
        bind.bind
    }

    /// Asks something of the gateway's own; each answer comes as [`FromDirectory::Own`]. The id must not be one that a client
    /// could have guessed.
    pub(crate) fn inquire(&mut self, id: i32, request: OwnRequest) {
        self.own = Some(id);
        self.ask(request);
    }

    /// Sends a request of the gateway's own that has no answer.
    pub(crate) fn ask(&mut self, request: OwnRequest) {
        self.pipe.send(request.into_bytes());
    }

    /// What comes next from the directory, of what has been received.
    ///
    /// # Errors
    /// When it is no LDAP message, or the answer to a bind cannot be read.
    pub fn next_answer(&mut self, outstanding: &mut Outstanding) -> Result<Option<FromDirectory>, FrameError> {
        let input = &mut self.pipe.input;
        let mut run = 0;
        while let Some((size, header)) = input.peek(run)? {
            let special = header.op == op::BIND_RESPONSE || self.own == Some(header.id);
            if special && run == 0 {
                let frame = Frame::new(input.cut(size))?;
                return Ok(Some(if header.op == op::BIND_RESPONSE {
                    FromDirectory::Bind(header.id, bind_answer(frame)?)
                } else {
                    FromDirectory::Own(frame)
                }));
            }
            if special {
                break;
            }
            outstanding.answered(header.id, header.op);
            run += size;
            if run >= HIGH_WATER {
                break;
            }
        }
        Ok((run > 0).then(|| FromDirectory::Answers(Answers(input.cut(run)))))
    }

    pub(crate) async fn turn(&mut self, read: bool) -> io::Result<Turn> {
        self.pipe.turn(read).await
    }

    pub(crate) fn backlog(&self) -> usize {
        self.pipe.backlog()
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush().await
    }

    pub(crate) fn close_after_backlog(&mut self) {
        self.pipe.close_after_backlog();
    }
}

fn bind_answer(frame: Frame) -> Result<BindAnswer, FrameError> {
    Ok(match result_code(frame.bytes())? {
        0 => BindAnswer::Success(HeldSuccess(frame)),
        code => BindAnswer::Failure(BindFailure { frame, code }),
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

    /// Passes answers on.
    pub fn relay(&mut self, answers: Answers) {
        self.pipe.send(answers.0);
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

    /// The next whole message from the client, of what has been received.
    ///
    /// # Errors
    /// When what comes next is no message that is taken.
    pub fn next_request(&mut self) -> Result<Option<Frame>, FrameError> {
        self.pipe.input.next_frame()
    }

    /// The client's next message, already here, is an unbind.
    pub(crate) fn leaves(&self) -> bool {
        matches!(self.pipe.input.peek(0), Ok(Some((_, header))) if header.op == op::UNBIND)
    }

    /// What the client has sent next begins with this octet.
    pub(crate) fn first_octet(&self) -> Option<u8> {
        self.pipe.input.octets().first().copied()
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
