//! Several servers of one directory, and what a client sees when one of them is lost.

use tokio::net::TcpListener;

use super::*;
use crate::frame::op;
use crate::listener::Mode;
use crate::upstream::{Security, Upstream};
use crate::upstreams::{Balance, UpstreamOptions, Upstreams};

fn plain() -> Mode {
    Mode::Plain { starttls: None }
}

/// A gateway in front of `first`, which the test plays by itself, and of the bench's own directory.
async fn behind(first: &TcpListener, balance: Balance, connections: Option<usize>) -> Bench {
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server =
        |listener: &TcpListener| Upstream::new("127.0.0.1", listener.local_addr().unwrap().port(), Security::Plain);
    let options = UpstreamOptions { balance, connections, spare: 0, warm: 0, health_interval: None };
    let upstreams = Upstreams::new(vec![server(first), server(&second)], options);
    Bench::before(second, upstreams, &[], plain(), |_| {}).await
}

async fn first() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn the_next_server_is_taken_when_the_first_is_not_there() {
    let first = first().await;
    let bench = behind(&first, Balance::InOrder, None).await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let (accepted, _) = tokio::time::timeout(bench::SOON, first.accept()).await.unwrap().unwrap();
    assert_eq!(Peer::new(accepted).next().await, search(1, "dc=a"));
    bench.no_connection().await;
    drop(first);
    let mut client = bench.client().await;
    client.send(&search(1, "dc=b")).await;
    let mut there = bench.accept().await;
    assert_eq!(there.next().await, search(1, "dc=b"));
    let status = bench.shared.upstreams().status();
    let told: Vec<_> = status.iter().map(|s| (s.up, s.connected, s.failures)).collect();
    assert_eq!(told, [(false, 1, 1), (true, 1, 0)]);
    assert_eq!(status.iter().map(|s| (s.open, s.spare)).collect::<Vec<_>>(), [(0, 0), (1, 0)]);
    let each: Vec<_> = bench.shared.upstreams().each().map(|(address, only)| (address, only.status())).collect();
    let alone: Vec<_> = status.into_iter().map(|status| (status.address.clone(), vec![status])).collect();
    assert_eq!(each, alone, "each server by itself is the same server");
}

#[tokio::test]
async fn a_full_server_leaves_its_clients_to_the_next_and_then_there_is_none() {
    let first = first().await;
    let bench = behind(&first, Balance::InOrder, Some(1)).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = bench.client().await;
        client.send(&search(1, "dc=a")).await;
        clients.push(client);
        tokio::time::sleep(bench::A_WHILE).await;
    }
    let _second = bench.accept().await;
    let mut third = bench.client().await;
    third.send(&search(1, "dc=a")).await;
    assert_eq!(third.result().await, (1, op::SEARCH_DONE, 52));
    assert_eq!(third.result().await, (0, op::EXTENDED_RESPONSE, 52));
}

#[tokio::test]
async fn clients_are_spread_where_that_is_wanted() {
    let first = first().await;
    let bench = behind(&first, Balance::LeastConnections, None).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = bench.client().await;
        client.send(&search(1, "dc=a")).await;
        clients.push(client);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    for _ in 0..3 {
        tokio::time::timeout(bench::SOON, first.accept()).await.expect("half of them").unwrap();
        bench.accept().await;
    }
    bench.no_connection().await;
}

#[tokio::test]
async fn what_is_open_when_a_server_is_lost_is_answered_once_and_not_sent_again() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&[search(2, "dc=a"), search(3, "dc=b")].concat()).await;
    directory.next().await;
    directory.next().await;
    directory.send(&response(2, op::SEARCH_ENTRY, 0)).await;
    assert_eq!(client.next().await, response(2, op::SEARCH_ENTRY, 0));
    drop(directory);
    let mut answers = vec![client.result().await, client.result().await];
    answers.sort_unstable();
    assert_eq!(answers, [(2, op::SEARCH_DONE, 52), (3, op::SEARCH_DONE, 52)]);
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
    bench.no_connection().await;
}

#[tokio::test]
async fn a_bind_that_the_directory_did_not_answer_is_no_success() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    drop(directory);
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 52));
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    assert_eq!(bench.note().await.1, "The directory was lost before it had answered.");
    bench.no_question().await;
}
