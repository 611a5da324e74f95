//! Ports and waiting for servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Ports that servers of tests are given.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 20_000;
const STEP: Duration = Duration::from_millis(20);

/// A loopback address (Linux has all of 127.0.0.0/8) that this process hardly shares with anybody: a server on it keeps
/// its port over a restart, which on 127.0.0.1 somebody else might take meanwhile. The first 250 are all different.
#[must_use]
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed) % 250 + 2;
    Ipv4Addr::new(127, 64 | (high & 0x3f), low, last)
}

/// A port that was free on the address a moment ago, and that the system gives to nobody by itself (Linux takes those from 32,768
/// on). Another process may take it before it is used, so whoever uses it for a server has to try again with another one when
/// binding fails.
///
/// # Errors
/// When nothing can be bound on the address.
pub fn free_port(ip: IpAddr) -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that on an address that they share they seldom want the same.
    let first = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap_or(0);
    for _ in 0..PORTS {
        let port = FIRST_PORT + first.wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind((ip, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port on {ip}")
}

/// Waits until something accepts connections on the address.
///
/// # Errors
/// When nothing does before the time is over.
pub async fn wait_listening(addr: SocketAddr, within: Duration) -> anyhow::Result<()> {
    let attempts = async {
        while tokio::net::TcpStream::connect(addr).await.is_err() {
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::time::timeout(within, attempts).await.with_context(|| format!("nothing listens on {addr} after {within:?}"))
}

/// As [`wait_listening`], for code that has no async runtime. The thread sleeps meanwhile.
///
/// # Errors
/// When nothing accepts connections before the time is over.
pub fn wait_listening_blocking(addr: SocketAddr, within: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + within;
    while TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_err() {
        anyhow::ensure!(Instant::now() < end, "nothing listens on {addr} after {within:?}");
        std::thread::sleep(STEP);
    }
    Ok(())
}

/// Waits until nothing accepts connections on the address any more. A server that has stopped may seem to listen for
/// some milliseconds more: a process that is being started at that moment holds copies of all sockets until it
/// runs its program.
///
/// # Errors
/// When something still accepts when the time is over.
pub async fn wait_refused(addr: SocketAddr, within: Duration) -> anyhow::Result<()> {
    let attempts = async {
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::time::timeout(within, attempts).await.with_context(|| format!("{addr} still listens after {within:?}"))
}

/// Binds the address for a server. For the reason that [`wait_refused`] gives, an address that was in use a moment
/// ago is tried again for two seconds.
///
/// # Errors
/// When the address cannot be bound.
pub async fn listen(addr: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        match tokio::net::TcpListener::bind(addr).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < end => {
                tokio::time::sleep(STEP).await;
            }
            bound => return bound.with_context(|| format!("cannot listen on {addr}")),
        }
    }
}
