//! How a connection ends, and how it becomes a TLS connection.

use std::time::Duration;

use portcullis_core::Outcome;
use portcullis_core::gate::{Connection, Gate};
use tokio::time::{Instant, timeout};

use super::bind::{Refused, Stage};
use super::claim::{bind_asked, said};
use super::{Link, Session, request_size};
use crate::encode::{Code, OwnAnswer, OwnRequest};
use crate::frame::{FrameError, op};
use crate::lane::{ClientEnd, DirectoryEnd};
use crate::listener::Mode;
use crate::metrics::{BindResult, Handling, Limit};
use crate::pipe::{Stream, Turn};
use crate::tls;
use crate::upstream::UpstreamError;
use crate::upstreams::Upstreams;

/// How long the last octets to either side may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long and how much a client may still send after its farewell. Closing at once would reset the connection, and the
/// client might lose what it was told.
const LAST_WORDS: Duration = Duration::from_millis(500);
const LAST_OCTETS: usize = 256 * 1024;
/// How long the record of an attempt that its client ran away from may take.
const LAST_NOTE: Duration = Duration::from_secs(5);

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said goodbye.
    Unbind,
    /// The client is gone.
    ClientGone(String),
    /// The client does not keep to the protocol.
    Protocol(String),
    /// The directory is gone, or does not keep to the protocol.
    Directory(String),
    /// A request was refused that has no answer.
    Refused(Code, String),
    /// Nothing has come for too long.
    Idle,
    /// A message has begun and is not whole in time.
    Slow,
    /// The gateway ends.
    Shutdown,
}

impl End {
    /// What the client is told.
    fn notice(&self) -> Option<OwnAnswer> {
        match self {
            Self::Unbind | Self::ClientGone(_) => None,
            Self::Protocol(why) => Some(OwnAnswer::notice(Code::ProtocolError, why)),
            // What the directory did is for the log.
            Self::Directory(_) => Some(OwnAnswer::notice(Code::Unavailable, "the directory is not available")),
            Self::Refused(code, why) => Some(OwnAnswer::notice(*code, why)),
            Self::Idle => Some(OwnAnswer::notice(Code::Unavailable, "the connection was idle for too long")),
            Self::Slow => Some(OwnAnswer::notice(Code::Unavailable, "a message was not whole in time")),
            Self::Shutdown => Some(OwnAnswer::notice(Code::Unavailable, "the gateway is going down")),
        }
    }
}

impl<G: Gate> Session<'_, G> {
    /// The directory cannot be reached: the request that wanted it is answered, then the connection ends.
    pub(super) fn unreachable(&mut self, error: &UpstreamError) -> End {
        self.directory = Link::None;
        self.shared.metrics().directory_failures.one();
        let why = "the directory is not available";
        if let Some(frame) = self.waiting.take_if(|frame| frame.op() == op::BIND) {
            // An attempt, even though nobody could check the password; `finish` sends the answer when that is recorded.
            self.refuse_bind(&frame, Code::Unavailable, why);
        } else if let Some(frame) = self.waiting.take() {
            self.shared.metrics().request(frame.op(), Handling::Refused);
            if let Some(answer) = OwnAnswer::refusal(frame.id(), frame.op(), Code::Unavailable, why) {
                self.client.answer(answer);
            }
        }
        End::Directory(error.to_string())
    }

    pub(super) fn unreadable_request(&self, error: &FrameError) -> End {
        if let FrameError::TooLong { .. } = error {
            self.shared.metrics().reach(Limit::RequestSize);
        }
        End::Protocol(error.to_string())
    }

    pub(super) fn unreadable_answer(&self, error: &FrameError) -> End {
        if let FrameError::TooLong { .. } = error {
            self.shared.metrics().reach(Limit::AnswerSize);
        }
        End::Directory(error.to_string())
    }

    pub(super) fn directory_ended(&mut self, why: &str) -> End {
        self.directory = Link::None;
        if self.client_ended { End::ClientGone("it has closed".to_owned()) } else { End::Directory(why.to_owned()) }
    }

    /// Ends the connection. Challenges that wait are cancelled first.
    pub(super) async fn finish(mut self, end: End) {
        if self.stage.waits() {
            self.shared.metrics().bind(BindResult::Unfinished);
        }
        self.log(&end);
        let left = self.leave_directory(&end).await;
        let held = self.held.clear();
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        if matches!(end, End::Directory(_)) && !self.outstanding.farewell {
            let bind = stage.id().map(|id| (id, op::BIND));
            for (id, request) in self.outstanding.drain().chain(held).chain(bind) {
                let why = "the directory is not available";
                if let Some(answer) = OwnAnswer::refusal(id, request, Code::Unavailable, why) {
                    self.client.answer(answer);
                }
            }
        }
        let stage = match stage {
            Stage::Noting { noting, then: Refused::ByGateway(Some(answer)) } if matches!(end, End::Directory(_)) => {
                let _ = timeout(LAST_NOTE, noting).await;
                self.client.answer(answer);
                Stage::Idle
            }
            stage => stage,
        };
        if !self.outstanding.farewell
            && let Some(notice) = end.notice()
        {
            self.client.answer(notice);
        }
        let note = last_note(self.shared.gate(), &self.connection, stage, &end);
        tokio::join!(say_goodbye(&mut self.client, &end), note, hand_on(left));
        self.count_octets();
    }

    /// Lets go of the directory's connection: what another client may go on with comes back, the rest ends.
    async fn leave_directory(&mut self, end: &End) -> Option<DirectoryEnd<G>> {
        let Link::Up(mut directory) = std::mem::replace(&mut self.directory, Link::None) else { return None };
        let is_left = matches!(end, End::Unbind | End::ClientGone(_))
            && self.is_quiet()
            && self.sasl.is_none()
            && self.waiting.is_none()
            && !self.outstanding.farewell;
        if is_left && directory.unmarked().is_some_and(|lease| self.shared.upstreams().keeps(lease)) {
            return Some(directory);
        }
        if matches!(end, End::Unbind | End::Idle | End::Slow | End::Shutdown) {
            directory.ask(OwnRequest::unbind(i32::MAX));
            directory.close_after_backlog();
            let _ = timeout(FAREWELL, directory.flush()).await;
        }
        None
    }

    fn log(&self, end: &End) {
        let (client, listener) = (self.connection.client, &self.connection.listener);
        match end {
            End::Directory(why) => tracing::info!(%client, %listener, why, "the directory's connection has failed"),
            End::Protocol(why) => {
                if let Some(left_out) = self.shared.lines().protocol.due(Instant::now()) {
                    tracing::info!(%client, %listener, why, left_out, "the client does not keep to the protocol");
                }
            }
            End::ClientGone(why) => tracing::debug!(%client, %listener, why, "the client is gone"),
            other => tracing::debug!(%client, %listener, end = ?other, "a connection has ended"),
        }
    }

    /// Puts TLS on the client's connection, after the go-ahead was queued.
    pub(super) async fn upgraded(mut self) -> Option<Self> {
        let Mode::Plain { starttls: Some(config) } = &self.shared.listener().mode else { return None };
        let (limits, metrics) = (&self.shared.listener().limits, self.shared.metrics());
        let handshake = async {
            self.client.flush().await?;
            let passed = self.client.take_passed();
            metrics.client_received.add(passed.received);
            metrics.client_sent.add(passed.sent);
            match self.client.into_stream() {
                Stream::Plain(socket) => tls::accept(config, socket).await,
                Stream::Tls(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
            }
        };
        let client = self.connection.client;
        match timeout(limits.handshake_timeout, handshake).await {
            Ok(Ok((stream, tls))) => {
                self.connection.tls = Some(tls);
                let client = ClientEnd::new(stream, request_size(limits, &self.claim));
                Some(Self { client, ..self })
            }
            Ok(Err(error)) => {
                metrics.failed_handshakes.one();
                tls::no_handshake(client, &self.connection.listener, &error);
                None
            }
            Err(_) => {
                metrics.reach(Limit::Handshake);
                tracing::debug!(%client, "no TLS handshake in time after StartTLS");
                None
            }
        }
    }
}

async fn say_goodbye<G: Gate>(client: &mut ClientEnd<G>, end: &End) {
    if matches!(end, End::ClientGone(_)) && client.backlog() == 0 {
        return;
    }
    client.close_after_backlog();
    if !matches!(timeout(FAREWELL, client.flush()).await, Ok(Ok(()))) {
        return;
    }
    let last_words = async {
        let mut heard = 0;
        while heard < LAST_OCTETS && matches!(client.turn(true).await, Ok(Turn::Received)) {
            heard += client.unread();
            client.discard();
        }
    };
    let _ = timeout(LAST_WORDS, last_words).await;
}

/// Makes a connection that its client has left ready for another client.
async fn hand_on<G: Gate>(left: Option<DirectoryEnd<G>>) {
    let Some(directory) = left else { return };
    if let Ok(Some(cleaned)) = timeout(FAREWELL, directory.clean()).await {
        Upstreams::keep(cleaned);
    }
}

/// A client that runs away before the directory has answered has still tried a password.
async fn last_note<G: Gate>(gate: &G, connection: &Connection, stage: Stage<'_, G>, end: &End) {
    match stage {
        Stage::Sent { bind, .. } => {
            let claim = said(&bind);
            let asked = bind_asked(connection, &bind, claim, Outcome::Failure, None);
            let why = match end {
                End::Directory(_) => "The directory was lost before it had answered.",
                _ => "The client left before the directory had answered.",
            };
            let _ = timeout(LAST_NOTE, gate.note(asked, why)).await;
        }
        Stage::Noting { noting, .. } => {
            let _ = timeout(LAST_NOTE, noting).await;
        }
        _ => {}
    }
}
