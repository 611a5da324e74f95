//! Connections before HTTP: how many there may be, and how long one may refuse to read.

use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as ready_or_return};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::seats::{Seat, Seats};

/// Lets connections in as long as there are seats.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    seats: Arc<Seats>,
    patience: Duration,
}

impl Door {
    /// A client that takes nothing of an answer for `patience` is cut off: it would hold the answer in memory.
    pub(crate) fn new(in_all: usize, per_address: usize, patience: Duration) -> Self {
        Self { seats: Seats::new(in_all, per_address), patience }
    }
}

/// The address as every room knows it: a client that came over IPv6 with an IPv4 address is an IPv4 client.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Watched;
    type Service = S;
    type Future = Ready<io::Result<(Watched, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            let seat = self.seats.take(canonical(peer.ip()));
            let seat = seat.ok_or_else(|| io::Error::new(io::ErrorKind::QuotaExceeded, "too many connections"))?;
            stream.set_nodelay(true)?;
            Ok((
                Watched {
                    stream,
                    stall: Box::pin(sleep(self.patience)),
                    stalled: false,
                    patience: self.patience,
                    _seat: seat,
                },
                service,
            ))
        }))
    }
}

/// A connection that ends when its client does not read.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    stall: Pin<Box<Sleep>>,
    stalled: bool,
    patience: Duration,
    _seat: Seat,
}

impl Watched {
    /// Passes a result of writing on. The clock runs from the first time that nothing could be written.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            self.stall.as_mut().reset(Instant::now() + self.patience);
        }
        ready_or_return!(self.stall.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off_and_one_that_pauses_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let door = Door::new(1, 1, Duration::from_millis(300));
        let (mut watched, ()) = door.accept(stream, ()).await.unwrap();
        // What the client does not read yet finds room on its way.
        watched.write_all(b"hello").await.unwrap();
        sleep(Duration::from_millis(600)).await;
        watched.write_all(b"again").await.unwrap();
        let endless = vec![0; 64 * 1024 * 1024];
        let cut_off = tokio::time::timeout(Duration::from_secs(10), watched.write_all(&endless)).await.unwrap();
        assert_eq!(cut_off.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_keeps_its_ipv4_address() {
        assert_eq!(canonical("::ffff:192.0.2.7".parse().unwrap()), IpAddr::from([192, 0, 2, 7]));
        assert_eq!(canonical("2001:db8::1".parse().unwrap()), "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(canonical("192.0.2.7".parse().unwrap()), IpAddr::from([192, 0, 2, 7]));
    }
}
