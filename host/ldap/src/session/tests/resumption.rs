//! TLS sessions that are resumed, on either side, and those that must not be.

use std::sync::Arc;

use portcullis_core::OperationKind;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::tls::{acceptor, made, protect, server_of, trusted, trusting};
use super::*;
use crate::frame::op;
use crate::listener::Mode;
use crate::upstream::{Security, Upstream};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Does a handshake, asks something, so that tickets behind the handshake are read, and tells which handshake it was.
async fn visit(bench: &mut Bench, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut client = protect(bench.client().await, Arc::clone(config)).await;
    client.send(&search(1, "dc=a")).await;
    let question = bench.question().await;
    assert!(question.asked.connection.tls.is_some());
    question.refuse("no");
    assert_eq!(client.result().await, (1, op::SEARCH_DONE, 50));
    client.stream.get_ref().1.handshake_kind().unwrap()
}

#[tokio::test]
async fn clients_resume_their_sessions() {
    let certificate = made();
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Ldaps(server_of(&certificate)), |_| {}).await;
    for version in VERSIONS {
        let config = trusting(&certificate, version);
        assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Full, "{version:?}");
        for _ in 0..3 {
            assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Resumed, "{version:?}");
        }
    }
    let mut config = ClientConfig::clone(&trusting(&certificate, &TLS12));
    config.resumption = Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    let config = Arc::new(config);
    assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Full);
    assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Resumed, "without tickets, by the cache");
}

#[tokio::test]
async fn no_session_outlives_the_certificate_that_it_began_with() {
    let certificate = made();
    let (sender, server) = watch::channel(server_of(&certificate).borrow().clone());
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Ldaps(server), |_| {}).await;
    for version in VERSIONS {
        let config = trusting(&certificate, version);
        assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Full);
        assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Resumed);
        // The same files, read again: what was trusted with them may have changed.
        sender.send_replace(server_of(&certificate).borrow().clone());
        assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Full, "{version:?}");
        assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn a_session_counts_at_its_own_listener_alone() {
    let certificate = made();
    for version in VERSIONS {
        let config = trusting(&certificate, version);
        for _ in 0..2 {
            let mode = Mode::Ldaps(server_of(&certificate));
            let mut bench = Bench::with(&[OperationKind::Search], mode, |_| {}).await;
            assert_eq!(visit(&mut bench, &config).await, HandshakeKind::Full, "{version:?}");
        }
    }
}

/// The directory's side of a connection that the gateway has asked something on.
async fn served(
    bench: &mut Bench,
    server: &watch::Receiver<Arc<ServerConfig>>,
) -> (HandshakeKind, Peer<TcpStream>, Peer<tokio_rustls::server::TlsStream<TcpStream>>) {
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let accepted = bench.accept().await.stream;
    let mut directory = Peer::new(acceptor(server).accept(accepted).await.unwrap());
    assert_eq!(directory.next().await, search(1, "dc=a"));
    directory.send(&response(1, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(1, op::SEARCH_DONE, 0));
    (directory.stream.get_ref().1.handshake_kind().unwrap(), client, directory)
}

#[tokio::test]
async fn connections_to_the_directory_resume_each_others_sessions() {
    let certificate = made();
    // The gateway's own settings meet at TLS 1.3.
    for config in [trusted(&certificate), trusting(&certificate, &TLS12)] {
        let server = server_of(&certificate);
        let directory = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = directory.local_addr().unwrap().port();
        let upstream = Upstream::new("localhost", port, Security::Ldaps(config));
        let mut bench =
            Bench::before(directory, crate::Upstreams::single(upstream), &[], Mode::Plain { starttls: None }, |_| {})
                .await;
        let first = served(&mut bench, &server).await;
        assert_eq!(first.0, HandshakeKind::Full);
        let second = served(&mut bench, &server).await;
        assert_eq!(second.0, HandshakeKind::Resumed);
    }
}
