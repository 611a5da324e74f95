//! StartTLS, LDAPS and listeners that insist on either.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ldap3_proto::proto::{LdapExtendedRequest, LdapOp};
use portcullis_core::{OperationKind, Outcome};
use portcullis_tls::{MinVersion, ServerFiles, client_config, server_config};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::bench::encode;
use super::*;
use crate::decode::START_TLS;
use crate::frame::op;
use crate::listener::Mode;
use crate::tls::ServerTls;
use crate::upstream::{Security, Upstream};

pub(super) fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

/// The listener's side, as it is made of files.
pub(super) fn server_of(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> ServerTls {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    watch::channel(server_config(&ServerFiles::new(certificate, key)).unwrap()).1
}

/// What a directory of the test's answers a handshake with.
pub(super) fn acceptor(tls: &ServerTls) -> TlsAcceptor {
    TlsAcceptor::from(Arc::clone(&tls.borrow()))
}

/// A client that speaks one version alone.
pub(super) fn trusting(
    made: &rcgen::CertifiedKey<rcgen::KeyPair>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// The gateway's side towards a directory that shows this certificate.
pub(super) fn trusted(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Arc<ClientConfig> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    client_config(Some(file.path()), MinVersion::Tls12).unwrap()
}

pub(super) fn certificate() -> (ServerTls, Arc<ClientConfig>) {
    let made = made();
    (server_of(&made), trusted(&made))
}

pub(super) async fn protect(
    client: Peer<TcpStream>,
    config: Arc<ClientConfig>,
) -> Peer<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = "localhost".try_into().unwrap();
    Peer::new(TlsConnector::from(config).connect(name, client.stream).await.unwrap())
}

#[tokio::test]
async fn start_tls_ends_at_the_gateway_and_what_follows_is_told_as_protected() {
    let (server, trusting) = certificate();
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: Some(server) }, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&extended(1, START_TLS)).await;
    assert_eq!(client.result().await, (1, op::EXTENDED_RESPONSE, 0));
    let mut client = protect(client, trusting).await;
    client.send(&search(2, "dc=a")).await;
    let mut directory = bench.accept().await;
    let question = bench.question().await;
    assert_eq!(question.asked.connection.tls.as_ref().unwrap().version, "TLS 1.3");
    question.permit();
    assert_eq!(directory.next().await, search(2, "dc=a"));
    client.send(&extended(3, START_TLS)).await;
    directory.send(&response(2, op::SEARCH_DONE, 0)).await;
    let mut results = vec![client.result().await, client.result().await];
    results.sort_unstable();
    assert_eq!(results, [(2, op::SEARCH_DONE, 0), (3, op::EXTENDED_RESPONSE, 1)]);
    directory.nothing().await;
}

#[tokio::test]
async fn octets_behind_start_tls_end_the_connection() {
    let (server, _) = certificate();
    let bench = Bench::with(&[], Mode::Plain { starttls: Some(server) }, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&[extended(1, START_TLS), search(2, "dc=injected")].concat()).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
    client.closed().await;
    bench.no_connection().await;
}

#[tokio::test]
async fn start_tls_is_refused_where_it_cannot_be() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&extended(1, START_TLS)).await;
    assert_eq!(client.result().await, (1, op::EXTENDED_RESPONSE, 2));

    let (server, _) = certificate();
    let bench = Bench::with(&[], Mode::Plain { starttls: Some(server) }, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    client.send(&extended(2, START_TLS)).await;
    assert_eq!(client.result().await, (2, op::EXTENDED_RESPONSE, 1));
    directory.nothing().await;
}

#[tokio::test]
async fn a_listener_that_insists_on_tls_takes_nothing_else_before() {
    let (server, trusting) = certificate();
    let insist = |listener: &mut crate::Listener| listener.rules.require_tls = true;
    let mut bench = Bench::with(&[], Mode::Plain { starttls: Some(server) }, insist).await;
    let mut client = bench.client().await;
    client.send(&[bind(1, "uid=alice", "secret"), search(2, "dc=a"), extended(3, "1.2.3")].concat()).await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 13));
    assert_eq!(client.result().await, (2, op::SEARCH_DONE, 13));
    assert_eq!(client.result().await, (3, op::EXTENDED_RESPONSE, 13));
    bench.note().await;
    bench.no_connection().await;
    client.send(&search(4, "")).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, search(4, ""));
    directory.send(&response(4, op::SEARCH_DONE, 0)).await;
    client.next().await;
    client.send(&extended(5, START_TLS)).await;
    client.next().await;
    let mut client = protect(client, trusting).await;
    client.send(&bind(6, "uid=alice", "secret")).await;
    assert_eq!(directory.next().await, bind(6, "uid=alice", "secret"));
}

/// RFC 3062 with a new password.
fn password_change(id: i32) -> Vec<u8> {
    let value = [&[0x30, 0x05, 0x82, 0x03][..], b"new"].concat();
    let oid = "1.3.6.1.4.1.4203.1.11.1".to_owned();
    encode(id, LdapOp::ExtendedRequest(LdapExtendedRequest { name: oid, value: Some(value) }))
}

#[tokio::test]
async fn where_start_tls_is_offered_no_password_is_taken_before() {
    let (server, trusting) = certificate();
    let mut bench = Bench::with(&[], Mode::Plain { starttls: Some(server) }, |_| {}).await;
    let mut client = bench.client().await;
    let plain = |id| sasl_bind(id, "PLAIN", b"\0alice\0secret");
    client
        .send(&[bind(1, "uid=alice", "secret"), plain(2), sasl_bind(3, "plain", b""), password_change(4)].concat())
        .await;
    for id in 1..=3 {
        assert_eq!(client.result().await, (id, op::BIND_RESPONSE, 13));
        let (asked, reason) = bench.note().await;
        assert_eq!((asked.connection.tls, asked.outcome), (None, Outcome::Failure));
        assert!(reason.contains("only after StartTLS"), "{reason}");
    }
    assert_eq!(client.result().await, (4, op::EXTENDED_RESPONSE, 13));
    bench.no_connection().await;

    // What holds no password goes on.
    client.send(&bind(5, "", "")).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, bind(5, "", ""));
    directory.send(&response(5, op::BIND_RESPONSE, 0)).await;
    bench.question().await.permit();
    assert_eq!(client.next().await, response(5, op::BIND_RESPONSE, 0));
    client.send(&extended(6, START_TLS)).await;
    client.next().await;
    let mut client = protect(client, trusting).await;
    client.send(&bind(7, "uid=alice", "secret")).await;
    assert_eq!(directory.next().await, bind(7, "uid=alice", "secret"));
}

#[tokio::test]
async fn passwords_in_the_clear_are_taken_where_that_is_allowed_or_nothing_better_is_offered() {
    let (server, _) = certificate();
    let allow = |listener: &mut crate::Listener| listener.rules.allow_cleartext_passwords = true;
    let offered = Bench::with(&[], Mode::Plain { starttls: Some(server) }, allow).await;
    for bench in [offered, Bench::new().await] {
        let mut client = bench.client().await;
        client.send(&bind(1, "uid=alice", "secret")).await;
        assert_eq!(bench.accept().await.next().await, bind(1, "uid=alice", "secret"));
    }
}

#[tokio::test]
async fn a_listener_may_leave_out_what_is_older() {
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = ServerFiles { at_least: MinVersion::Tls13, ..ServerFiles::new(certificate, key) };
    let bench = Bench::with(&[], Mode::Ldaps(watch::channel(server_config(&files).unwrap()).1), |_| {}).await;
    let old = TlsConnector::from(trusting(&made, &TLS12));
    let refused = old.connect("localhost".try_into().unwrap(), bench.client().await.stream).await.unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    protect(bench.client().await, trusting(&made, &TLS13)).await;
}

#[tokio::test]
async fn ldaps_on_both_sides() {
    let (server, trusting) = certificate();
    let directory = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = directory.local_addr().unwrap().port();
    let mut upstream = Upstream::new("127.0.0.1", port, Security::Ldaps(Arc::clone(&trusting)));
    upstream.server_name = Some("localhost".to_owned());
    let bench =
        Bench::before(directory, crate::Upstreams::single(upstream), &[], Mode::Ldaps(server.clone()), |_| {}).await;
    let mut client = protect(bench.client().await, trusting).await;
    client.send(&search(1, "dc=a")).await;
    let accepted = bench.accept().await.stream;
    let mut directory = Peer::new(acceptor(&server).accept(accepted).await.unwrap());
    assert_eq!(directory.next().await, search(1, "dc=a"));
    directory.send(&response(1, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(1, op::SEARCH_DONE, 0));
}

#[tokio::test]
async fn start_tls_towards_the_directory_comes_first_and_never_falls_back() {
    let (server, trusting) = certificate();
    for refuses in [false, true] {
        let directory = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = directory.local_addr().unwrap().port();
        let upstream = Upstream::new("localhost", port, Security::StartTls(Arc::clone(&trusting)));
        let bench =
            Bench::before(directory, crate::Upstreams::single(upstream), &[], Mode::Plain { starttls: None }, |_| {})
                .await;
        let mut client = bench.client().await;
        client.send(&bind(7, "uid=alice", "secret")).await;
        let mut directory = bench.accept().await;
        assert_eq!(directory.next().await, extended(1, START_TLS));
        if refuses {
            directory.send(&response(1, op::EXTENDED_RESPONSE, 2)).await;
            assert_eq!(client.result().await, (7, op::BIND_RESPONSE, 52));
            directory.closed().await;
        } else {
            directory.send(&response(1, op::EXTENDED_RESPONSE, 0)).await;
            let accepted = acceptor(&server).accept(directory.stream).await.unwrap();
            assert_eq!(Peer::new(accepted).next().await, bind(7, "uid=alice", "secret"));
        }
    }
}

#[tokio::test]
async fn a_replaced_certificate_counts_from_the_next_handshake_on() {
    let ((first, trusts_first), (second, trusts_second)) = (certificate(), certificate());
    let (sender, server) = watch::channel(first.borrow().clone());
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Ldaps(server), |_| {}).await;
    let mut before = protect(bench.client().await, trusts_first.clone()).await;
    sender.send_replace(second.borrow().clone());
    let name = "localhost".try_into().unwrap();
    let refused = TlsConnector::from(trusts_first).connect(name, bench.client().await.stream).await;
    assert!(refused.is_err(), "the first certificate is shown no more");
    for client in [&mut before, &mut protect(bench.client().await, trusts_second).await] {
        client.send(&search(1, "dc=a")).await;
        bench.question().await;
    }
}

/// A client's socket with a copy of everything that came.
struct Tap {
    stream: TcpStream,
    came: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (this, before) = (self.get_mut(), buf.filled().len());
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.came.lock().unwrap().extend_from_slice(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Lengths of the TLS records (RFC 8446, section 5.1).
fn records(mut octets: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = octets {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        octets = &rest[length..];
    }
    lengths
}

#[tokio::test]
async fn the_end_of_an_answer_stands_in_a_tls_record_of_its_own() {
    let (server, trusting) = certificate();
    let bench = Bench::with(&[], Mode::Ldaps(server), |_| {}).await;
    let came = Arc::new(Mutex::new(Vec::new()));
    let tap = Tap { stream: bench.client().await.stream, came: Arc::clone(&came) };
    let name = "localhost".try_into().unwrap();
    let mut client = Peer::new(TlsConnector::from(trusting).connect(name, tap).await.unwrap());
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::SEARCH_DONE, 0)).await;
    client.next().await;

    came.lock().unwrap().clear();
    client.send(&search(2, "dc=a")).await;
    directory.next().await;
    let done = response(2, op::SEARCH_DONE, 0);
    let entry = response(2, op::SEARCH_ENTRY, 0);
    directory.send(&[entry.clone(), entry.clone(), done.clone()].concat()).await;
    for message in [&entry, &entry, &done] {
        assert_eq!(&client.next().await, message);
    }
    let lengths = records(&came.lock().unwrap());
    // What TLS 1.3 adds: the type of the content and AES-GCM's or ChaCha20-Poly1305's tag.
    assert_eq!(lengths.last(), Some(&(done.len() + 1 + 16)), "{lengths:?}");
}
