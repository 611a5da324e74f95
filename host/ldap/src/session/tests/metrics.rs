//! What is counted, and that each limit has a count of its own.

use std::time::Duration;

use ldap3_proto::proto::LdapOp;
use portcullis_core::OperationKind;
use tokio::io::AsyncReadExt as _;
use tokio::time::sleep;

use super::*;
use crate::frame::op;
use crate::listener::{Listener, Mode};
use crate::metrics::{BindResult, Handling, Limit, Request};

const PLAIN: Mode = Mode::Plain { starttls: None };

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < bench::SOON, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn requests_binds_and_octets_are_counted() {
    let mut bench = Bench::with(&[OperationKind::Delete], PLAIN, |_| {}).await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&search(2, "dc=a")).await;
    directory.next().await;
    directory.send(&response(2, op::SEARCH_DONE, 0)).await;
    client.next().await;
    let delete = bench::encode(3, LdapOp::DelRequest("uid=x".to_owned()));
    client.send(&delete).await;
    bench.question().await.refuse("no");
    client.next().await;
    client.send(&bind(4, "uid=bob", "wrong")).await;
    directory.next().await;
    directory.send(&response(4, op::BIND_RESPONSE, 49)).await;
    client.next().await;
    client.send(&bind(5, "uid=bob", "")).await;
    assert_eq!(client.result().await, (5, op::BIND_RESPONSE, 53));
    client.send(&bind(6, "uid=bob", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(6, op::BIND_RESPONSE, 0)).await;
    bench.question().await.refuse("no");
    let refusal = client.next().await;
    client.send(&bind(7, "uid=bob", "secret")).await;
    bench.accept().await.next().await;
    drop(client);
    until("the connection is over", || bench.shared.connections() == 0).await;

    let metrics = bench.shared.metrics();
    let requests = |request| Handling::ALL.iter().map(|how| metrics.requests(request, *how)).collect::<Vec<_>>();
    assert_eq!(requests(Request::Bind), [4, 2, 2], "forwarded, held, refused");
    assert_eq!(requests(Request::Search), [1, 0, 0]);
    assert_eq!(requests(Request::Delete), [0, 1, 1]);
    let binds: Vec<_> = BindResult::ALL.iter().map(|result| metrics.binds(*result)).collect();
    assert_eq!(binds, [1, 0, 1, 1, 1, 1], "{:?}", BindResult::ALL);
    assert_eq!((metrics.accepted.get(), metrics.directory_connected.get()), (1, 3));
    let sent = [bind(1, "uid=alice", "secret"), search(2, "dc=a"), delete, bind(4, "uid=bob", "wrong")].concat().len()
        + bind(5, "uid=bob", "").len()
        + 2 * bind(6, "uid=bob", "secret").len();
    assert_eq!(metrics.client_received.get(), sent as u64);
    assert!(metrics.client_sent.get() > (3 * response(1, 1, 0).len() + refusal.len()) as u64);
}

/// What happens with a listener that was changed so, until it has met the limit.
async fn reaches(limit: Limit, change: impl FnOnce(&mut Listener), act: impl AsyncFnOnce(&mut Bench)) {
    let mut bench = Bench::with(&[], PLAIN, change).await;
    act(&mut bench).await;
    until(limit.name(), || bench.shared.metrics().reached(limit) > 0).await;
    for other in Limit::ALL.iter().filter(|other| **other != limit) {
        assert_eq!(bench.shared.metrics().reached(*other), 0, "{} is counted as {}", limit.name(), other.name());
    }
}

#[tokio::test]
async fn each_limit_has_a_count_of_its_own() {
    let short = Duration::from_millis(50);
    reaches(
        Limit::Connections,
        |l| l.limits.connections = 1,
        async |bench| {
            let _first = bench.client().await;
            bench.client().await.closed().await;
        },
    )
    .await;
    reaches(
        Limit::ConnectionsPerAddress,
        |l| l.limits.connections_per_address = 1,
        async |bench| {
            let _first = bench.client().await;
            bench.client().await.closed().await;
        },
    )
    .await;
    reaches(
        Limit::RequestSize,
        |l| l.limits.request_size = 100,
        async |bench| {
            bench.client().await.send(&search(1, &"x".repeat(200))).await;
        },
    )
    .await;
    reaches(
        Limit::AnswerSize,
        |l| l.limits.answer_size = 100,
        async |bench| {
            let mut client = bench.client().await;
            client.send(&search(1, "dc=a")).await;
            let mut directory = bench.accept().await;
            directory.next().await;
            directory.send(&[0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x01]).await;
            client.next().await;
        },
    )
    .await;
    reaches(
        Limit::FirstMessage,
        |l| l.limits.first_message_timeout = short,
        async |bench| {
            bench.client().await.next().await;
        },
    )
    .await;
    reaches(
        Limit::Idle,
        |l| l.limits.idle_timeout = Some(20 * short),
        async |bench| {
            let (mut client, _directory) = bench.bound("uid=alice").await;
            client.next().await;
        },
    )
    .await;
    reaches(
        Limit::Drain,
        |l| l.limits.drain = short,
        async |bench| {
            let mut client = bench.client().await;
            client.send(&search(1, "dc=a")).await;
            let mut directory = bench.accept().await;
            directory.next().await;
            bench.stop.cancel();
            client.next().await;
        },
    )
    .await;
}

#[tokio::test]
async fn failed_handshakes_and_headers_are_counted() {
    let (server, _) = tls::certificate();
    let bench = Bench::with(&[], Mode::Ldaps(server.clone()), |_| {}).await;
    bench.client().await.send(b"0\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0").await;
    until("a failed handshake", || bench.shared.metrics().failed_handshakes.get() == 1).await;

    let short = |listener: &mut Listener| listener.limits.handshake_timeout = Duration::from_millis(50);
    let bench = Bench::with(&[], Mode::Ldaps(server), short).await;
    bench.client().await.closed().await;
    assert_eq!(bench.shared.metrics().reached(Limit::Handshake), 1);

    let behind = |listener: &mut Listener| listener.proxy_protocol_from = vec!["127.0.0.0/8".parse().unwrap()];
    let bench = Bench::with(&[], PLAIN, behind).await;
    bench.client().await.send(b"GET / HTTP/1.1\r\n\r\n").await;
    until("a bad header", || bench.shared.metrics().bad_proxy_headers.get() == 1).await;
}

#[tokio::test]
async fn streams_that_are_relayed_unseen_are_counted_as_they_run() {
    let relay = |listener: &mut Listener| listener.rules.opaque_sasl = crate::OpaqueSasl::Relay;
    let mut bench = Bench::with(&[], PLAIN, relay).await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "GSSAPI", b"token")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    bench.question().await.permit();
    client.next().await;
    let (asked, told) = (b"\0\0\0\x06sealed", b"\0\0\0\x05shut!");
    client.send(asked).await;
    let mut seen = [0; 10];
    directory.stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, asked);
    directory.send(told).await;
    let mut seen = [0; 9];
    client.stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, told);
    let metrics = bench.shared.metrics();
    assert_eq!((metrics.opaque_open.get(), metrics.opaque_streams.get()), (1, 1));
    until("all is counted", || {
        let metrics = bench.shared.metrics();
        (metrics.opaque_received.get(), metrics.opaque_sent.get()) == (asked.len() as u64, told.len() as u64)
    })
    .await;
    drop(client);
    drop(directory);
    until("the stream is over", || bench.shared.metrics().opaque_open.get() == 0).await;
}
