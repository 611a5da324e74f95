//! Which of the directory's connections go from one client to the next, and which never do.

use std::time::Duration;

use portcullis_core::OperationKind;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::encode::OwnRequest;
use crate::frame::op;
use crate::listener::Mode;
use crate::upstream::{Security, Upstream};
use crate::upstreams::{UpstreamOptions, Upstreams};
use crate::workers::Workers;

async fn kept() -> (TcpListener, Upstreams) {
    let directory = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::new("127.0.0.1", directory.local_addr().unwrap().port(), Security::Plain);
    let options = UpstreamOptions { warm: 0, health_interval: None, ..UpstreamOptions::default() };
    (directory, Upstreams::new(vec![upstream], options))
}

async fn keeping() -> Bench {
    let (directory, upstreams) = kept().await;
    Bench::before(directory, upstreams, &[OperationKind::Delete], Mode::Plain { starttls: None }, |_| {}).await
}

fn anonymous() -> Vec<u8> {
    OwnRequest::anonymous_bind(1).into_bytes().to_vec()
}

/// The client's goodbye leads to this on the directory's connection, which is then ready for another client.
async fn cleaned(mut client: Peer<TcpStream>, directory: &mut Peer<TcpStream>) {
    client.send(&unbind(9)).await;
    assert_eq!(directory.next().await, anonymous());
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    client.closed().await;
    // The session ends a moment after the connection was put where the next one finds it.
    tokio::time::sleep(bench::A_WHILE).await;
}

/// The client's goodbye ends the directory's connection.
async fn ended(mut client: Peer<TcpStream>, directory: &mut Peer<TcpStream>) {
    client.send(&unbind(9)).await;
    while let Some(message) = directory.maybe().await {
        assert_ne!(message, anonymous(), "this connection must not be handed on");
    }
}

#[tokio::test]
async fn the_next_client_that_begins_with_a_bind_goes_on_with_a_cleaned_connection() {
    let mut bench = keeping().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&search(2, "dc=a")).await;
    directory.next().await;
    directory.send(&response(2, op::SEARCH_DONE, 0)).await;
    client.next().await;
    cleaned(client, &mut directory).await;

    // Whoever begins with something else would do it as the nobody that somebody else has left.
    let mut searching = bench.client().await;
    searching.send(&search(1, "dc=a")).await;
    let mut fresh = bench.accept().await;
    assert_eq!(fresh.next().await, search(1, "dc=a"));

    let mut next = bench.client().await;
    next.send(&bind(1, "uid=bob", "secret")).await;
    assert_eq!(directory.next().await, bind(1, "uid=bob", "secret"));
    directory.send(&response(1, op::BIND_RESPONSE, 49)).await;
    assert_eq!(next.next().await, response(1, op::BIND_RESPONSE, 49));
    bench.no_connection().await;
}

#[tokio::test]
async fn what_leaves_something_on_a_connection_ends_it() {
    for request in [extended(2, "1.3.6.1.1.21.1"), extended(2, "1.2.840.113556.1.4.1781"), paged()] {
        let mut bench = keeping().await;
        let (mut client, mut directory) = bench.bound("uid=alice").await;
        client.send(&request).await;
        let answer = if crate::frame::header(&directory.next().await).unwrap().op == op::SEARCH {
            op::SEARCH_DONE
        } else {
            op::EXTENDED_RESPONSE
        };
        directory.send(&response(2, answer, 0)).await;
        client.next().await;
        ended(client, &mut directory).await;
    }
}

/// A search for the root DSE with the control of paged results.
fn paged() -> Vec<u8> {
    let plain = search(2, "");
    let oid = b"1.2.840.113556.1.4.319";
    let length = |more: usize| u8::try_from(oid.len() + more).unwrap();
    let control = [&[0xa0, length(4), 0x30, length(2), 0x04, length(0)][..], oid].concat();
    let inner = [&plain[2..], &control].concat();
    [&[0x30, u8::try_from(inner.len()).unwrap()], &inner[..]].concat()
}

#[tokio::test]
async fn what_is_not_answered_yet_ends_a_connection() {
    let mut bench = keeping().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&search(2, "dc=a")).await;
    directory.next().await;
    ended(client, &mut directory).await;

    // An answer may still come to what was given up.
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&search(2, "dc=a")).await;
    client.send(&[0x30, 6, 2, 1, 3, 0x50, 1, 2]).await;
    directory.next().await;
    directory.next().await;
    ended(client, &mut directory).await;

    // Half an answer has come.
    let (client, mut directory) = bench.bound("uid=alice").await;
    directory.send(&response(0, op::INTERMEDIATE, 0)[..9]).await;
    tokio::time::sleep(bench::A_WHILE).await;
    ended(client, &mut directory).await;
}

#[tokio::test]
async fn a_sasl_bind_ends_a_connection() {
    let bench = keeping().await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "SCRAM-SHA-256", b"n,,n=alice,r=x")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::BIND_RESPONSE, 14)).await;
    client.next().await;
    ended(client, &mut directory).await;
}

#[tokio::test]
async fn a_refused_bind_s_connection_is_never_handed_on() {
    let mut bench = keeping().await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    bench.question().await.refuse("");
    client.next().await;
    directory.closed().await;
    drop(client);
    let mut next = bench.client().await;
    next.send(&bind(1, "uid=bob", "secret")).await;
    assert_eq!(bench.accept().await.next().await, bind(1, "uid=bob", "secret"));
}

#[tokio::test]
async fn a_directory_that_takes_no_anonymous_binds_keeps_its_clients_apart() {
    let mut bench = keeping().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&unbind(2)).await;
    assert_eq!(directory.next().await, anonymous());
    directory.send(&response(1, op::BIND_RESPONSE, 48)).await;
    directory.closed().await;
    let (client, mut directory) = bench.bound("uid=bob").await;
    ended(client, &mut directory).await;
}

#[tokio::test]
async fn a_connection_goes_from_a_client_of_one_thread_to_one_of_another() {
    let (directory, upstreams) = kept().await;
    let workers = Workers::start(2).unwrap();
    let mut bench = Bench::on(&workers, directory, upstreams).await;
    // The first thread accepts as well, so the second has the first client.
    let (client, mut directory) = bench.bound("uid=alice").await;
    cleaned(client, &mut directory).await;
    // A silent client keeps the second thread's place, so the next one comes to the first.
    let silent = bench.client().await;
    tokio::time::sleep(bench::A_WHILE).await;
    let mut third = bench.client().await;
    third.send(&bind(1, "uid=carol", "secret")).await;
    assert_eq!(directory.next().await, bind(1, "uid=carol", "secret"));
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    bench.question().await.permit();
    assert_eq!(third.next().await, response(1, op::BIND_RESPONSE, 0));
    bench.stop.cancel();
    assert_eq!(third.result().await, (0, op::EXTENDED_RESPONSE, 52));
    timeout(bench::SOON, bench.serving).await.expect("the end comes").unwrap();
    drop(silent);
}

/// Directories close connections on which nothing comes, and names lead elsewhere after a while.
#[tokio::test]
async fn an_old_spare_connection_is_not_used() {
    let mut bench = keeping().await;
    let (client, mut directory) = bench.bound("uid=alice").await;
    cleaned(client, &mut directory).await;
    pass_time(61).await;
    let (mut client, mut directory) = bench.bound("uid=bob").await;
    // Used all the time, but made ten minutes ago.
    for _ in 0..11 {
        cleaned(client, &mut directory).await;
        pass_time(55).await;
        client = bench.client().await;
        client.send(&bind(1, "uid=bob", "secret")).await;
        if timeout(bench::A_WHILE, directory.stream.readable()).await.is_err() {
            break;
        }
        match directory.maybe().await {
            Some(asked) => assert_eq!(asked, bind(1, "uid=bob", "secret")),
            None => break,
        }
        directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
        bench.question().await.permit();
        client.next().await;
    }
    assert_eq!(bench.accept().await.next().await, bind(1, "uid=bob", "secret"), "on a new connection");
}

async fn pass_time(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_spare_connection_that_is_gone_or_speaks_is_not_used() {
    let mut bench = keeping().await;
    let (client, mut directory) = bench.bound("uid=alice").await;
    cleaned(client, &mut directory).await;
    drop(directory);
    tokio::time::sleep(bench::A_WHILE).await;
    let (client, mut directory) = bench.bound("uid=bob").await;
    cleaned(client, &mut directory).await;
    directory.send(&response(0, op::EXTENDED_RESPONSE, 52)).await;
    tokio::time::sleep(bench::A_WHILE).await;
    bench.bound("uid=carol").await;
}
