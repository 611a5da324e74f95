//! The life of one client's connection: one task that owns both directions.
//!
//! Everything happens in [`Session::run`]: what can be done with what is here is done (`advance`), then whatever comes
//! first is waited for. Nothing is spawned. The rules of a bind are in [`bind`], those of all other requests in
//! [`request`], goodbyes in [`end`], streams that cannot be read in [`opaque`], and [`tally`] counts what nobody watches.

mod bind;
mod claim;
mod end;
mod held;
mod layer;
mod naming;
mod opaque;
mod request;
mod tally;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use portcullis_core::BoxFuture;
use portcullis_core::gate::{Claim, Connection, Gate};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::accept::Shared;
use crate::decode::Bind;
use crate::encode::Code;
use crate::frame::Frame;
use crate::lane::{ClientEnd, DirectoryEnd, FromDirectory, HeldSuccess, Outstanding};
use crate::listener::{Limits, Mode};
use crate::metrics::Limit;
use crate::pipe::{HIGH_WATER, Stream, Turn};
use crate::proxy::Handed;
use crate::room::Share;
use crate::tls;
use crate::upstream::UpstreamError;

use bind::{Stage, StageEvent};
use end::End;
use held::{Decided, Held};
use tally::Tally;

/// How long the directory may keep a connection whose client has closed its side.
const LINGER: Duration = Duration::from_secs(10);
/// Further away than any connection lives.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// Serves a client until it or the directory leaves.
pub(crate) async fn serve_client<G: Gate>(
    shared: &Shared<G>,
    socket: TcpStream,
    client: SocketAddr,
    stop: &CancellationToken,
) {
    let listener = shared.listener();
    let handed = Handed { client, to: socket.local_addr().unwrap_or(listener.address) };
    let _ = socket.set_nodelay(true);
    let (stream, tls) = match &listener.mode {
        Mode::Plain { .. } => (Stream::Plain(socket), None),
        Mode::Ldaps(config) => match timeout(listener.limits.handshake_timeout, tls::accept(config, socket)).await {
            Ok(Ok((stream, tls))) => (stream, Some(tls)),
            Ok(Err(error)) => {
                shared.metrics().failed_handshakes.one();
                return tls::no_handshake(client, &listener.name, &error);
            }
            Err(_) => {
                shared.metrics().reach(Limit::Handshake);
                return tracing::debug!(%client, "no TLS handshake in time");
            }
        },
    };
    let connection = Connection { client, listener: listener.name.clone(), tls, application: None };
    Box::pin(Session::new(shared, stop, connection, handed, stream).live()).await;
}

/// The connection to the directory: made when the first request needs it.
enum Link<'s, G> {
    None,
    Connecting(BoxFuture<'s, Result<DirectoryEnd<G>, UpstreamError>>),
    Up(DirectoryEnd<G>),
}

enum LinkEvent<G> {
    Connected(Result<DirectoryEnd<G>, UpstreamError>),
    Turn(io::Result<Turn>),
}

impl<G: Gate> Link<'_, G> {
    async fn event(&mut self, read: bool) -> LinkEvent<G> {
        match self {
            Self::None => pending().await,
            Self::Connecting(connecting) => LinkEvent::Connected(connecting.await),
            Self::Up(directory) => LinkEvent::Turn(directory.turn(read).await),
        }
    }

    fn backlog(&self) -> usize {
        if let Self::Up(directory) = self { directory.backlog() } else { 0 }
    }
}

/// Why [`Session::run`] comes back.
enum Next<G: Gate> {
    /// The client has been told to begin TLS.
    Upgrade,
    /// A permitted bind may have made the stream unreadable.
    Opaque {
        permitted: G::Permitted<HeldSuccess>,
        mechanism: String,
    },
    End(End),
}

enum Event<G: Gate> {
    Client(io::Result<Turn>),
    Directory(LinkEvent<G>),
    Decided(Decided<G>),
    Bind(StageEvent<G>),
    Timer,
    Stop,
}

struct Session<'s, G: Gate> {
    shared: &'s Shared<G>,
    stop: &'s CancellationToken,
    connection: Connection,
    handed: Handed,
    client: ClientEnd<G>,
    directory: Link<'s, G>,
    /// A request for which the directory is being connected.
    waiting: Option<Frame>,
    outstanding: Outstanding,
    held: Held<'s, G>,
    stage: Stage<'s, G>,
    /// Until when the directory may answer the bind that was sent to it.
    bind_due: Option<Instant>,
    /// Who the client is, by its last permitted bind.
    claim: Claim,
    tally: Tally,
    /// The last step of a SASL bind that takes another one.
    sasl: Option<Bind>,
    client_ended: bool,
    /// A first whole message has come.
    greeted: bool,
    /// Since when the client's next message is here in part.
    partial: Option<Instant>,
    /// More waits than is kept, so nothing is read.
    piled_up: bool,
    /// Of the memory for large messages.
    share: Share<'s>,
    since: Instant,
    active: Instant,
    /// When the connection ends even though something is still pending.
    limit: Option<Instant>,
    stopping: bool,
}

impl<'s, G: Gate> Session<'s, G> {
    fn new(
        shared: &'s Shared<G>,
        stop: &'s CancellationToken,
        connection: Connection,
        handed: Handed,
        stream: Stream,
    ) -> Self {
        let now = Instant::now();
        Self {
            client: ClientEnd::new(stream, request_size(&shared.listener().limits, &Claim::Anonymous)),
            share: Share::new(shared.room()),
            shared,
            stop,
            connection,
            handed,
            directory: Link::None,
            waiting: None,
            outstanding: Outstanding::default(),
            held: Held::default(),
            stage: Stage::Idle,
            bind_due: None,
            claim: Claim::Anonymous,
            tally: Tally::new(shared.gate().wants_summaries()),
            sasl: None,
            client_ended: false,
            greeted: false,
            partial: None,
            piled_up: false,
            since: now,
            active: now,
            limit: None,
            stopping: false,
        }
    }

    async fn live(mut self) {
        loop {
            let next = self.run().await;
            self.summarize(false);
            // Each of these happens once or never; in boxes of their own they take no room while a connection is idle.
            let session = match next {
                Next::Upgrade => Box::pin(self.upgraded()).await,
                Next::Opaque { permitted, mechanism } => Box::pin(self.unseen(permitted, &mechanism)).await,
                Next::End(end) => return Box::pin(self.finish(end)).await,
            };
            match session {
                Some(session) => self = session,
                None => return,
            }
        }
    }

    async fn run(&mut self) -> Next<G> {
        let stop = self.stop;
        let mut stop = pin!(stop.cancelled());
        let mut timer = pin!(sleep_until(Instant::now() + NEVER));
        loop {
            match self.advance() {
                Ok(None) => {}
                Ok(Some(next)) => return next,
                Err(end) => return Next::End(end),
            }
            let deadline = self.deadline();
            arm(timer.as_mut(), deadline);
            let (from_client, from_directory) = (self.reads_client(), self.reads_directory());
            let event = tokio::select! {
                turn = self.client.turn(from_client) => Event::Client(turn),
                event = self.directory.event(from_directory) => Event::Directory(event),
                decided = self.held.next() => Event::Decided(decided),
                event = self.stage.event() => Event::Bind(event),
                () = timer.as_mut(), if deadline.is_some() => Event::Timer,
                () = stop.as_mut(), if !self.stopping => Event::Stop,
            };
            match self.handle(event) {
                Ok(None) => {}
                Ok(Some(next)) => return next,
                Err(end) => return Next::End(end),
            }
        }
    }

    fn handle(&mut self, event: Event<G>) -> Result<Option<Next<G>>, End> {
        match event {
            Event::Client(Ok(Turn::Ended)) => self.client_ended = true,
            Event::Client(Ok(turn)) => self.note_activity(turn),
            Event::Client(Err(error)) => return Err(End::ClientGone(error.to_string())),
            Event::Directory(LinkEvent::Connected(Ok(directory))) => {
                self.shared.metrics().directory_connected.one();
                self.directory = Link::Up(directory.referring(self.shared.listener().referrals.clone()));
            }
            Event::Directory(LinkEvent::Connected(Err(error))) => return Err(self.unreachable(&error)),
            Event::Directory(LinkEvent::Turn(Ok(Turn::Ended))) => return Err(self.directory_ended("it has closed")),
            Event::Directory(LinkEvent::Turn(Ok(turn))) => self.note_activity(turn),
            Event::Directory(LinkEvent::Turn(Err(error))) => return Err(self.directory_ended(&error.to_string())),
            Event::Decided(decided) => self.decided(decided)?,
            Event::Bind(event) => return self.bind_event(event),
            Event::Timer => self.time_up()?,
            Event::Stop => {
                self.stopping = true;
                self.limit = Some(Instant::now() + self.shared.listener().limits.drain);
            }
        }
        Ok(None)
    }

    /// Does all that can be done with what is here.
    fn advance(&mut self) -> Result<Option<Next<G>>, End> {
        self.take_answers()?;
        self.take_queued_bind()?;
        while self.takes_requests() {
            let frame = match self.waiting.take() {
                Some(frame) => Some(frame),
                None => self.client.next_request().map_err(|error| self.unreadable_request(&error))?,
            };
            let Some(frame) = frame else { break };
            self.greeted = true;
            self.partial = None;
            if let Some(next) = self.take(frame)? {
                return Ok(Some(next));
            }
        }
        self.refuse_cancel_of_bind()?;
        if self.client_ended || self.stage.waits() && self.client.leaves() {
            self.client_left()?;
        }
        if self.stopping && self.is_quiet() {
            return Err(End::Shutdown);
        }
        self.note_first();
        self.note_partial();
        self.make_room()?;
        Ok(None)
    }

    /// What is left over where requests are taken is the beginning of one.
    fn note_partial(&mut self) {
        if self.client.unread() == 0 || !self.takes_requests() {
            self.partial = None;
        } else {
            self.partial.get_or_insert_with(Instant::now);
        }
    }

    /// Counts what is kept of messages among what all connections keep.
    fn make_room(&mut self) -> Result<(), End> {
        let directory = match &self.directory {
            Link::Up(directory) => directory.unread() + directory.backlog(),
            Link::None | Link::Connecting(_) => 0,
        };
        let waiting = self.waiting.as_ref().map_or(0, |frame| frame.bytes().len());
        let octets = self.client.unread() + self.client.backlog() + self.held.octets() + waiting + directory;
        if self.share.hold(octets, self.shared.listener().limits.large_messages) {
            return Ok(());
        }
        self.shared.metrics().reach(Limit::LargeMessages);
        Err(End::Refused(Code::Busy, "too many large messages are under way".to_owned()))
    }

    fn take_answers(&mut self) -> Result<(), End> {
        while self.client.backlog() < HIGH_WATER {
            let Link::Up(directory) = &mut self.directory else { return Ok(()) };
            match directory.next_answer(&mut self.outstanding) {
                Ok(Some(FromDirectory::Answers(answers))) => self.client.relay(answers),
                Ok(Some(FromDirectory::Bind(id, answer))) => self.bind_answered(id, answer)?,
                Ok(Some(FromDirectory::Own(frame))) => self.named(&frame),
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.unreadable_answer(&error)),
            }
        }
        Ok(())
    }

    /// Requests are looked at now. Not while a bind is undecided, and not while either side has enough to do.
    fn takes_requests(&self) -> bool {
        matches!(self.stage, Stage::Idle)
            && !matches!(self.directory, Link::Connecting(_))
            && self.directory.backlog() < HIGH_WATER
            && self.client.backlog() < HIGH_WATER
            && !self.held.is_full(self.shared.listener().limits.waiting_octets)
            && !self.stopping
    }

    /// Something is read even while nothing is taken, so that a client that leaves is noticed.
    fn reads_client(&mut self) -> bool {
        if self.client_ended || self.stopping {
            return false;
        }
        let was_piled_up = self.piled_up;
        let is_much = self.client.unread() >= self.shared.listener().limits.waiting_octets;
        self.piled_up = is_much && !self.takes_requests();
        if self.piled_up && !was_piled_up {
            self.shared.metrics().reach(Limit::Waiting);
        }
        !self.piled_up
    }

    fn reads_directory(&self) -> bool {
        self.client.backlog() < HIGH_WATER
    }

    /// Nothing is under way.
    fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Idle) && self.outstanding.is_empty() && self.held.is_empty()
    }

    /// The client has closed its side, or says goodbye behind a bind. What it waited for is cancelled; what it sent before
    /// still reaches the directory, which then sees the end as well.
    fn client_left(&mut self) -> Result<(), End> {
        if self.stage.waits() {
            return Err(End::ClientGone("while its bind was waiting".to_owned()));
        }
        drop(self.held.clear());
        self.limit.get_or_insert_with(|| Instant::now() + LINGER);
        // Something of what it sent is still on its way.
        if !self.takes_requests()
            && (!matches!(self.stage, Stage::Idle) || self.waiting.is_some() || self.client.unread() > 0)
        {
            return Ok(());
        }
        let is_quiet = self.is_quiet();
        let directory = match &mut self.directory {
            Link::Up(directory) if !is_quiet || directory.unmarked().is_none() => directory,
            _ => return Err(End::ClientGone("it has closed".to_owned())),
        };
        directory.close_after_backlog();
        Ok(())
    }

    fn note_activity(&mut self, turn: Turn) {
        self.count_octets();
        if turn == Turn::Received && self.shared.listener().limits.idle_timeout.is_some() {
            self.active = Instant::now();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let limits = &self.shared.listener().limits;
        let first = (!self.greeted).then(|| self.since + limits.first_message_timeout);
        let partial = self.partial.filter(|_| self.greeted).map(|since| since + limits.message_timeout);
        let idle = limits.idle_timeout.filter(|_| self.is_quiet()).map(|idle| self.active + idle);
        let summary = self.tally.due(limits.summary_period);
        let bind = self.bind_due.filter(|_| matches!(self.stage, Stage::Sent { .. }));
        let due = [first, partial, idle, self.stage.deadline(), self.limit, summary, bind, self.outstanding.due()];
        due.into_iter().flatten().min()
    }

    fn time_up(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        if self.tally.due(self.shared.listener().limits.summary_period).is_some_and(|due| now >= due) {
            self.summarize(true);
            return Ok(());
        }
        if self.stage.deadline().is_some_and(|deadline| now >= deadline) {
            self.nameless();
            return Ok(());
        }
        if matches!(self.stage, Stage::Sent { .. }) && self.bind_due.is_some_and(|due| now >= due) {
            self.bind_late();
            return Ok(());
        }
        if self.outstanding.due().is_some_and(|due| now >= due) {
            return self.give_up_late(now);
        }
        if self.limit.is_some_and(|limit| now >= limit) {
            if self.stopping {
                self.shared.metrics().reach(Limit::Drain);
                return Err(End::Shutdown);
            }
            return Err(End::ClientGone("it has closed".to_owned()));
        }
        let limits = &self.shared.listener().limits;
        let (limit, end) = if !self.greeted && now >= self.since + limits.first_message_timeout {
            (Limit::FirstMessage, End::Idle)
        } else if self.greeted && self.partial.is_some_and(|since| now >= since + limits.message_timeout) {
            (Limit::Message, End::Slow)
        } else {
            (Limit::Idle, End::Idle)
        };
        self.shared.metrics().reach(limit);
        Err(end)
    }

    /// Adds what has gone over the client's connection to what is counted.
    fn count_octets(&mut self) {
        let passed = self.client.take_passed();
        self.shared.metrics().client_received.add(passed.received);
        self.shared.metrics().client_sent.add(passed.sent);
    }
}

/// Octets that a message of somebody may have.
fn request_size(limits: &Limits, claim: &Claim) -> usize {
    match claim {
        Claim::Anonymous => limits.anonymous_request_size.min(limits.request_size),
        _ => limits.request_size,
    }
}

/// Lets the timer go off at `deadline` or before; when it is early, it is set again. Moving it is not free, and deadlines
/// mostly move away.
fn arm(timer: std::pin::Pin<&mut Sleep>, deadline: Option<Instant>) {
    if let Some(deadline) = deadline
        && (deadline < timer.deadline() || timer.is_elapsed())
    {
        timer.reset(deadline);
    }
}
