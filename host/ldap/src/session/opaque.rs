//! Streams that the gateway cannot read: who goes on in the clear is heard as before, everything else passes and is counted.

use std::io;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use portcullis_core::gate::Gate;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::end::End;
use super::{LINGER, Link, LinkEvent, NEVER, Session};
use crate::lane::{HeldSuccess, into_pipes};
use crate::listener::Limits;
use crate::metrics::{Limit, Metrics, Present};
use crate::pipe::{HIGH_WATER, Pipe, Turn};

/// What an LDAP message begins with (RFC 4511, section 4.1.1). A buffer behind a security layer begins with its length in
/// four octets (RFC 4422, section 3.7), the first of which is 0 up to 16 MiB, more than any directory takes.
const MESSAGE: u8 = 0x30;
const BUFFER: u8 = 0x00;
/// Octets that are relayed at once.
const PIECE: usize = 16 * 1024;
/// How long the directory has been silent after its last octet when that is taken for the end of an answer.
const ANSWERED: Duration = Duration::from_millis(250);

/// What has passed unseen.
struct Passed<'m> {
    state: Mutex<State>,
    /// One side has ended.
    ended: Notify,
    metrics: &'m Metrics,
}

#[derive(Clone, Copy)]
struct State {
    to_directory: u64,
    to_client: u64,
    /// When something passed last.
    last: Instant,
    /// That was to the directory, which may have to answer it.
    asked: bool,
    /// Since when one side has ended.
    half: Option<Instant>,
}

impl<G: Gate> Session<'_, G> {
    /// Lets a success through after which the gateway may not be able to read the stream. What the client sends next tells:
    /// when it is in the clear, the session comes back, to go on as any other. No client can have it both ways, because what
    /// begins a message is no buffer to a directory with a layer, and what begins a buffer no message to one without.
    pub(super) async fn unseen(mut self, permitted: G::Permitted<HeldSuccess>, mechanism: &str) -> Option<Self> {
        let leave = self.client.release_unseen(permitted);
        let (client, listener) = (self.connection.client, self.connection.listener.clone());
        let end = match self.next_octet().await {
            Ok(MESSAGE) => {
                tracing::info!(%client, %listener, mechanism, "there is no security layer; the stream is read on");
                return Some(self);
            }
            Ok(BUFFER) => {
                self.count_octets();
                let Link::Up(directory) = self.directory else { return None };
                let metrics = self.shared.metrics();
                metrics.opaque_streams.one();
                let _present = Present::new(&metrics.opaque_open);
                tracing::info!(%client, %listener, mechanism, "the stream is relayed unseen from here on");
                let (mut client_pipe, mut directory_pipe) = into_pipes(self.client, directory, leave);
                let (begun, passed) = (Instant::now(), Passed::new(metrics));
                let ended = tokio::select! {
                    ended = passed.relay(&mut client_pipe, &mut directory_pipe) => ended,
                    why = passed.end_due(&self.shared.listener().limits, self.stop) => Err(io::Error::other(why)),
                };
                let state = *passed.state();
                tracing::info!(
                    %client,
                    %listener,
                    mechanism,
                    octets_to_directory = state.to_directory,
                    octets_to_client = state.to_client,
                    seconds = begun.elapsed().as_secs(),
                    why = ended.err().map(|error| error.to_string()),
                    "an opaque stream has ended",
                );
                return None;
            }
            Ok(_) => End::Protocol("neither LDAP nor a SASL security layer".to_owned()),
            Err(end) => end,
        };
        self.finish(end).await;
        None
    }

    /// The first octet that the client sends behind a success. What the directory sends meanwhile waits; when it leaves, the
    /// client does not have to find out.
    async fn next_octet(&mut self) -> Result<u8, End> {
        let idle = self.shared.listener().limits.idle_timeout.unwrap_or(NEVER);
        let mut idle = pin!(sleep_until(Instant::now() + idle));
        loop {
            if let Some(octet) = self.client.first_octet() {
                return Ok(octet);
            }
            let hears = matches!(&self.directory, Link::Up(directory) if directory.unread() < HIGH_WATER);
            let turn = tokio::select! {
                turn = self.client.turn(true) => turn,
                event = self.directory.event(hears) => {
                    match event {
                        LinkEvent::Turn(Ok(Turn::Ended)) => return Err(self.directory_ended("it has closed")),
                        LinkEvent::Turn(Err(error)) => return Err(self.directory_ended(&error.to_string())),
                        LinkEvent::Turn(Ok(_)) | LinkEvent::Connected(_) => continue,
                    }
                }
                () = idle.as_mut() => {
                    self.shared.metrics().reach(Limit::Idle);
                    return Err(End::Idle);
                }
                () = self.stop.cancelled() => return Err(End::Shutdown),
            };
            match turn {
                Ok(Turn::Ended) => return Err(End::ClientGone("it has closed".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(End::ClientGone(error.to_string())),
            }
        }
    }
}

impl<'m> Passed<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        let state = State { to_directory: 0, to_client: 0, last: Instant::now(), asked: false, half: None };
        Self { state: Mutex::new(state), ended: Notify::new(), metrics }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_directory(&self, octets: usize) {
        self.metrics.opaque_received.add(octets as u64);
        let mut state = self.state();
        state.to_directory += octets as u64;
        (state.last, state.asked) = (Instant::now(), true);
    }

    fn to_client(&self, octets: usize) {
        self.metrics.opaque_sent.add(octets as u64);
        let mut state = self.state();
        state.to_client += octets as u64;
        (state.last, state.asked) = (Instant::now(), false);
    }

    fn half_ended(&self) {
        self.state().half.get_or_insert_with(Instant::now);
        self.ended.notify_one();
    }

    /// Comes back when the stream has to end whatever the two sides do, and says why. Where messages cannot be told apart, an
    /// operation is under way from an octet to the directory until the directory has said something and is silent again.
    async fn end_due(&self, limits: &Limits, stop: &CancellationToken) -> &'static str {
        let mut stopped = None;
        loop {
            let state = *self.state();
            let (why, due) = match stopped {
                Some(_) if !state.asked => ("the gateway ends", state.last + ANSWERED),
                Some(stopped) => ("the gateway ends", stopped + limits.drain),
                None => ("nothing has passed for too long", state.last + limits.idle_timeout.unwrap_or(NEVER)),
            };
            let half = state.half.map(|half| ("one side has ended", half + LINGER));
            let drained = stopped.map(|stopped| ("the gateway ends", stopped + limits.drain));
            let ends = [(why, due)].into_iter().chain(half).chain(drained);
            let Some((why, due)) = ends.min_by_key(|(_, due)| *due) else { return why };
            if Instant::now() >= due {
                match stopped {
                    None if state.half.is_none() => self.metrics.reach(Limit::Idle),
                    Some(stopped) if due >= stopped + limits.drain => self.metrics.reach(Limit::Drain),
                    _ => {}
                }
                return why;
            }
            // The answer that is waited for wakes nobody.
            let look = if stopped.is_some() { due.min(Instant::now() + ANSWERED) } else { due };
            tokio::select! {
                () = sleep_until(look) => {}
                () = self.ended.notified() => {}
                () = stop.cancelled(), if stopped.is_none() => stopped = Some(Instant::now()),
            }
        }
    }

    /// Pumps octets until both sides have ended, or one has failed.
    async fn relay(&self, client: &mut Pipe, directory: &mut Pipe) -> io::Result<()> {
        let rest = directory.input.cut(directory.input.len());
        if !rest.is_empty() {
            self.to_client(rest.len());
            client.send(rest);
        }
        let rest = client.input.cut(client.input.len());
        self.to_directory(rest.len());
        directory.send(rest);
        tokio::try_join!(client.flush(), directory.flush())?;
        let (from_client, to_client) = tokio::io::split(&mut client.stream);
        let (from_directory, to_directory) = tokio::io::split(&mut directory.stream);
        let there = async {
            pass(from_client, to_directory, |octets| self.to_directory(octets)).await?;
            self.half_ended();
            Ok(())
        };
        let back = async {
            pass(from_directory, to_client, |octets| self.to_client(octets)).await?;
            self.half_ended();
            Ok(())
        };
        tokio::try_join!(there, back).map(drop)
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passed: impl Fn(usize),
) -> io::Result<()> {
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(PIECE);
        let got = match from.read_buf(&mut piece).await {
            Ok(got) => got,
            // Without TLS's goodbye it has ended all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error),
        };
        if got == 0 {
            return to.shutdown().await;
        }
        to.write_all_buf(&mut piece).await?;
        to.flush().await?;
        passed(got);
    }
}
