//! A client that has one request outstanding, checks every answer and costs little.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::directory::PEOPLE;
use super::message::{self, Kind};

/// As much as is read at once.
const READ: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Where a client connects.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) socket: SocketAddr,
    /// For LDAPS.
    pub(super) tls: Option<TlsConnector>,
}

/// A connection.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    received: BytesMut,
    last_id: u32,
}

impl Client {
    pub(super) async fn connect(address: &Address) -> anyhow::Result<Self> {
        let socket = address.socket;
        let tcp = TcpStream::connect(socket).await.with_context(|| format!("cannot connect to {socket}"))?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &address.tls {
            None => Box::new(tcp),
            Some(connector) => {
                let name = ServerName::from(socket.ip());
                Box::new(connector.connect(name, tcp).await.with_context(|| format!("no TLS with {socket}"))?)
            }
        };
        Ok(Self { stream, received: BytesMut::with_capacity(4096), last_id: 0 })
    }

    /// Binds, and insists on success.
    pub(super) async fn bind(&mut self, name: &str, password: &str) -> anyhow::Result<()> {
        let id = self.next_id();
        self.stream.write_all(&message::bind(id, name, password)).await?;
        let answer = self.message().await?;
        let answer = checked(&answer, id)?;
        ensure!(answer.kind == Kind::Bind, "{:?} in answer to a bind", answer.kind);
        ensure!(answer.result() == Some(0), "a bind as {name} ended with {:?}", answer.result());
        Ok(())
    }

    /// Reads one entry, and insists on getting it and no other.
    pub(super) async fn read(&mut self, name: &str) -> anyhow::Result<()> {
        let id = self.next_id();
        self.stream.write_all(&message::read(id, name)).await?;
        let entry = self.message().await?;
        let answer = checked(&entry, id)?;
        ensure!(answer.kind == Kind::Entry, "{name}: no entry, but {:?} {:?}", answer.kind, answer.result());
        ensure!(answer.first == name.as_bytes(), "{name}: got {}", String::from_utf8_lossy(answer.first));
        let done = self.message().await?;
        let answer = checked(&done, id)?;
        ensure!(answer.kind == Kind::SearchDone, "{name}: more than one entry");
        ensure!(answer.result() == Some(0), "a search for {name} ended with {:?}", answer.result());
        Ok(())
    }

    /// Reads all people, tells of each as it arrives, and insists on their number.
    pub(super) async fn dump(&mut self, expected: u32, mut arrived: impl FnMut()) -> anyhow::Result<()> {
        let id = self.next_id();
        self.stream.write_all(&message::list(id, PEOPLE)).await?;
        let mut entries = 0;
        loop {
            let message = self.message().await?;
            let answer = checked(&message, id)?;
            match answer.kind {
                Kind::Entry => {
                    let name = String::from_utf8_lossy(answer.first);
                    ensure!(name.ends_with(PEOPLE), "{name} is not below {PEOPLE}");
                    entries += 1;
                    arrived();
                }
                Kind::SearchDone => {
                    ensure!(answer.result() == Some(0), "a search for all ended with {:?}", answer.result());
                    ensure!(entries == expected, "a search for all returned {entries} entries");
                    return Ok(());
                }
                Kind::Bind => bail!("a bind's answer to a search"),
            }
        }
    }

    /// Ends the connection as the protocol wants it.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        let id = self.next_id();
        self.stream.write_all(&message::unbind(id)).await?;
        // The other side may close as soon as it has read that.
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    fn next_id(&mut self) -> u32 {
        // Below the largest that is allowed (RFC 4511, section 4.1.1.1).
        self.last_id = self.last_id % 0x7fff_fffe + 1;
        self.last_id
    }

    async fn message(&mut self) -> anyhow::Result<BytesMut> {
        loop {
            if let Some(length) = message::length(&self.received).filter(|length| *length <= self.received.len()) {
                return Ok(self.received.split_to(length));
            }
            // An idle connection keeps little; one that is sent much reads much at once.
            if self.received.capacity() - self.received.len() < 4096 {
                self.received.reserve(READ);
            }
            ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the connection was closed");
        }
    }
}

fn checked(message: &[u8], id: u32) -> anyhow::Result<message::Answer<'_>> {
    let answer = message::answer(message).context("an answer that no request has")?;
    ensure!(answer.id == id, "an answer to request {} where {id} was asked", answer.id);
    Ok(answer)
}
