//! One socket with its buffers: what has been received and not yet cut, and what is to be sent and not yet taken.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::frame::FrameReader;

/// Octets waiting to be sent from which on no more are taken from the other side.
pub(crate) const HIGH_WATER: usize = 64 * 1024;
/// Octets that are read at once: at first, and at most.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;
/// Pieces that are written with one call.
const SLICES: usize = 64;

/// A TCP connection, protected or not.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
}

/// Lets the socket be waited for by the runtime that this runs on, whichever it was before.
pub(crate) fn move_here(socket: &mut TcpStream) -> io::Result<()> {
    let same = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
    *socket = TcpStream::from_std(same)?;
    Ok(())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What happened to a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something was received.
    Received,
    /// The other side sends nothing any more.
    Ended,
    /// So much was sent that there is room again.
    Room,
}

/// Octets that have gone over a socket; with TLS, those inside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// A socket and its buffers.
pub(crate) struct Pipe {
    pub(crate) stream: Stream,
    pub(crate) input: FrameReader,
    output: VecDeque<Bytes>,
    backlog: usize,
    /// Octets received and sent since they were last asked for.
    passed: Passed,
    unflushed: bool,
    /// Octets that the next read has room for: grows while reads fill it, shrinks while they do not.
    appetite: usize,
    /// Send nothing after what is waiting.
    closing: bool,
    closed: bool,
}

impl Pipe {
    pub(crate) fn new(stream: Stream, limit: usize) -> Self {
        Self {
            stream,
            input: FrameReader::new(limit),
            output: VecDeque::new(),
            backlog: 0,
            passed: Passed::default(),
            unflushed: false,
            appetite: READ_MIN,
            closing: false,
            closed: false,
        }
    }

    pub(crate) fn send(&mut self, bytes: Bytes) {
        if !self.closing && !bytes.is_empty() {
            self.backlog += bytes.len();
            self.output.push_back(bytes);
        }
    }

    /// Octets that are still to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog
    }

    /// What has passed since this was last asked.
    pub(crate) fn take_passed(&mut self) -> Passed {
        std::mem::take(&mut self.passed)
    }

    /// Closes the sending side once everything is sent.
    pub(crate) fn close_after_backlog(&mut self) {
        self.closing = true;
    }

    /// Sends what is waiting and, where `read` says so, receives; whatever of it is possible first. Safe to drop.
    pub(crate) async fn turn(&mut self, read: bool) -> io::Result<Turn> {
        poll_fn(|cx| {
            let full = self.backlog >= HIGH_WATER;
            if let Poll::Ready(sent) = self.poll_send(cx) {
                sent?;
            }
            if full && self.backlog < HIGH_WATER {
                return Poll::Ready(Ok(Turn::Room));
            }
            if read { self.poll_receive(cx) } else { Poll::Pending }
        })
        .await
    }

    /// Sends everything that is waiting.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        let received = if self.appetite == READ_MIN && self.input.is_empty() {
            self.poll_receive_little(cx)
        } else {
            let buffer = self.input.buffer();
            buffer.reserve(self.appetite);
            pin!(self.stream.read_buf(buffer)).poll(cx)
        };
        let got = match received {
            Poll::Ready(Ok(got)) => got,
            // A peer that closes without TLS's goodbye has ended all the same: messages carry their own length.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                // Most connections are silent most of the time, and need no room for what does not come.
                self.input.release();
                return Poll::Pending;
            }
        };
        self.passed.received += got as u64;
        if got >= self.appetite {
            self.appetite = (self.appetite * 2).min(READ_MAX);
        } else if got < self.appetite / 4 {
            self.appetite = (self.appetite / 2).max(READ_MIN);
        }
        Poll::Ready(Ok(if got == 0 { Turn::Ended } else { Turn::Received }))
    }

    /// Receives into memory that is gone when nothing comes: a connection on which nothing happens, and most are such, keeps
    /// no buffer. What comes is mostly one short message, for which the exact amount is taken.
    fn poll_receive_little(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [const { MaybeUninit::uninit() }; READ_MIN];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        self.input.replace(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.output) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            // What is written with one call becomes one TLS record. There are clients (curl is one) that take one message from
            // a record and then wait for the socket, on which nothing comes when the rest of the answer was in that
            // record. With the last piece in a record of its own, there is something to be read until the answer's end.
            if count > 1 && count == self.output.len() && matches!(self.stream, Stream::Tls(_)) {
                count -= 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent(sent);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.closing && !self.closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, mut count: usize) {
        self.backlog = self.backlog.saturating_sub(count);
        self.passed.sent += count as u64;
        while let Some(first) = self.output.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.output.pop_front();
        }
    }
}
