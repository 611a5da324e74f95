//! Running a case against a server and keeping what came back.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::ber::{Octets, context, element, enumerated, header, int, seq, text, tlv};
use super::case::{Case, Step};
use super::request::{START_TLS, extended};

/// A case that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a connection brought.
#[derive(Debug, Default, Clone)]
pub(super) struct Transcript {
    pub(super) frames: Vec<Octets>,
    /// What came and is no whole message.
    pub(super) rest: Octets,
    /// The server has closed.
    pub(super) closed: bool,
}

/// How a server is reached.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    pub(super) front: Front,
}

/// What is below LDAP.
#[derive(Clone)]
pub(super) enum Front {
    Plain,
    Ldaps(Arc<ClientConfig>),
    StartTls(Arc<ClientConfig>),
}

impl From<SocketAddr> for Server {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, front: Front::Plain }
    }
}

/// TCP, or TLS on it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
    heard: Transcript,
}

/// Runs the case against this server.
pub(super) async fn run(case: &Case, server: impl Into<Server>) -> Result<Vec<Transcript>> {
    let server = server.into();
    let mut connections: Vec<Connection> = Vec::new();
    for (nth, (number, step)) in case.script().into_iter().enumerate() {
        while connections.len() <= number {
            let stream = timeout(PATIENCE, server.connect()).await.context("the connection is not made")??;
            connections.push(Connection { stream, heard: Transcript::default() });
        }
        let connection = &mut connections[number];
        match timeout(PATIENCE, connection.take(step)).await {
            Ok(done) => done.with_context(|| format!("step {nth} of {}", case.name))?,
            Err(_) => {
                let heard: Vec<_> = connection.heard.frames.iter().map(|frame| header(frame)).collect();
                bail!("{} hangs at step {nth}; so far came {heard:?}", case.name);
            }
        }
    }
    Ok(connections.into_iter().map(|connection| connection.heard).collect())
}

impl Server {
    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let mut tcp =
            TcpStream::connect(self.addr).await.with_context(|| format!("cannot connect to {}", self.addr))?;
        tcp.set_nodelay(true)?;
        let config = match &self.front {
            Front::Plain => return Ok(Box::new(tcp)),
            Front::Ldaps(config) => config,
            Front::StartTls(config) => {
                start_tls(&mut tcp).await?;
                config
            }
        };
        let name = ServerName::IpAddress(self.addr.ip().into());
        let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.context("TLS handshake")?;
        Ok(Box::new(tls))
    }
}

/// Asks for StartTLS (RFC 4511, section 4.14) under an id that no case uses.
async fn start_tls(tcp: &mut TcpStream) -> Result<()> {
    const ID: i64 = 1_000_000;
    tcp.write_all(&extended(START_TLS, None).message(ID)).await?;
    let named = tlv(0x78, [enumerated(0), text(""), text(""), context(10, START_TLS)].concat());
    let wanted = seq(&[int(ID), named]);
    let mut answer = vec![0; wanted.len()];
    tcp.read_exact(&mut answer).await?;
    ensure!(answer == wanted, "StartTLS was answered by {answer:02x?}");
    Ok(())
}

impl Connection {
    async fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Send(octets) => self.send(&octets).await,
            Step::Trickle(octets) => {
                for octet in octets.chunks(1) {
                    self.send(octet).await;
                }
            }
            Step::Reply(id, make) => {
                let request =
                    make(&self.heard.frames).with_context(|| format!("so far came {:02x?}", self.heard.frames))?;
                self.send(&request.message(id)).await;
            }
            Step::Wait(ids) => while ids.iter().any(|&id| !self.heard.is_answered(id)) && self.receive().await? {},
            Step::Frames(count) => while self.heard.frames.len() < count && self.receive().await? {},
            Step::Closed => while self.receive().await? {},
            Step::HalfClose => {
                let _ = self.stream.shutdown().await;
            }
        }
        Ok(())
    }

    /// A server that has closed already is noticed by reading, which keeps what it said before.
    async fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets).await;
        let _ = self.stream.flush().await;
    }

    /// Reads more; false when the server has closed. How it closes (FIN, or RST because of what was still unread) is the
    /// kernel's to say, and whether TLS says goodbye before is TLS's; neither is compared.
    async fn receive(&mut self) -> Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) => self.heard.closed = true,
            Ok(count) => self.heard.take(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                self.heard.closed = true;
            }
            Err(error) => return Err(error).context("receiving"),
        }
        Ok(!self.heard.closed)
    }
}

impl Transcript {
    pub(super) fn take(&mut self, octets: &[u8]) {
        self.rest.extend_from_slice(octets);
        let mut at = 0;
        while let Some(whole) = element(&self.rest, at) {
            self.frames.push(self.rest[at..whole.value.end].to_vec());
            at = whole.value.end;
        }
        self.rest.drain(..at);
    }

    /// An answer came that is the last one to this id; entries, references and intermediate answers are not.
    fn is_answered(&self, id: i32) -> bool {
        let last = |frame: &Octets| {
            header(frame).is_some_and(|(found, tag)| found == id && ![0x64, 0x73, 0x79].contains(&tag))
        };
        self.frames.iter().any(last)
    }
}
