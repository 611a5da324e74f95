//! Running a case against a server and keeping what came back.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ber::{Octets, element, header};
use super::case::{Case, Step};

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

struct Connection {
    stream: TcpStream,
    heard: Transcript,
}

/// Runs the case against the server at this address.
pub(super) async fn run(case: &Case, server: SocketAddr) -> Result<Vec<Transcript>> {
    let mut connections: Vec<Connection> = Vec::new();
    for (nth, (number, step)) in case.script().into_iter().enumerate() {
        while connections.len() <= number {
            let stream = TcpStream::connect(server).await.with_context(|| format!("cannot connect to {server}"))?;
            stream.set_nodelay(true)?;
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
    }

    /// Reads more; false when the server has closed. How it closes (FIN, or RST because of what was still unread) is the
    /// kernel's to say and not compared.
    async fn receive(&mut self) -> Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) => self.heard.closed = true,
            Ok(count) => self.heard.take(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => self.heard.closed = true,
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
