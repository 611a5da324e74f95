//! Streams that the gateway cannot read: who goes on in the clear is heard as before, everything else passes and is counted.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use portcullis_core::gate::Gate;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

use super::end::End;
use super::{Link, NEVER, Session};
use crate::lane::{HeldSuccess, into_pipes};
use crate::metrics::{Metrics, Present};
use crate::pipe::{Pipe, Turn};

/// What an LDAP message begins with (RFC 4511, section 4.1.1). A buffer behind a security layer begins with its length in
/// four octets (RFC 4422, section 3.7), the first of which is 0 up to 16 MiB, more than any directory takes.
const MESSAGE: u8 = 0x30;
const BUFFER: u8 = 0x00;
/// Octets that are relayed at once.
const PIECE: usize = 16 * 1024;

/// Octets that have passed unseen.
struct Passed<'m> {
    to_directory: AtomicU64,
    to_client: AtomicU64,
    metrics: &'m Metrics,
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
                    () = self.stop.cancelled() => Err(io::Error::other("the gateway ends")),
                };
                tracing::info!(
                    %client,
                    %listener,
                    mechanism,
                    octets_to_directory = passed.to_directory.into_inner(),
                    octets_to_client = passed.to_client.into_inner(),
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

    /// The first octet that the client sends behind a success. What the directory sends meanwhile waits.
    async fn next_octet(&mut self) -> Result<u8, End> {
        let idle = self.shared.listener().limits.idle_timeout.unwrap_or(NEVER);
        let mut idle = pin!(sleep_until(Instant::now() + idle));
        loop {
            if let Some(octet) = self.client.first_octet() {
                return Ok(octet);
            }
            let turn = tokio::select! {
                turn = self.client.turn(true) => turn,
                () = idle.as_mut() => return Err(End::Idle),
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
        Self { to_directory: AtomicU64::new(0), to_client: AtomicU64::new(0), metrics }
    }

    fn to_directory(&self, octets: usize) {
        self.to_directory.fetch_add(octets as u64, Ordering::Relaxed);
        self.metrics.opaque_received.add(octets as u64);
    }

    fn to_client(&self, octets: usize) {
        self.to_client.fetch_add(octets as u64, Ordering::Relaxed);
        self.metrics.opaque_sent.add(octets as u64);
    }

    /// Pumps octets until both sides have ended, or one has failed.
    async fn relay(&self, client: &mut Pipe, directory: &mut Pipe) -> io::Result<()> {
        let rest = client.input.cut(client.input.len());
        self.to_directory(rest.len());
        directory.send(rest);
        let rest = directory.input.cut(directory.input.len());
        self.to_client(rest.len());
        client.send(rest);
        tokio::try_join!(client.flush(), directory.flush())?;
        let (from_client, to_client) = tokio::io::split(&mut client.stream);
        let (from_directory, to_directory) = tokio::io::split(&mut directory.stream);
        tokio::try_join!(
            pass(from_client, to_directory, |octets| self.to_directory(octets)),
            pass(from_directory, to_client, |octets| self.to_client(octets))
        )?;
        Ok(())
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
