//! Several servers of one directory, and what a client sees when one of them is lost.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::frame::{Frame, op};
use crate::listener::Mode;
use crate::upstream::{Security, Upstream};
use crate::upstreams::{Balance, ServerStatus, UpstreamOptions, Upstreams};

fn plain() -> Mode {
    Mode::Plain { starttls: None }
}

/// A gateway in front of `first`, which the test plays by itself, and of the bench's own directory.
async fn behind(first: &TcpListener, balance: Balance, connections: Option<usize>) -> Bench {
    with(first, UpstreamOptions { balance, connections, spare: 0, warm: 0, health_interval: None }).await
}

async fn with(first: &TcpListener, options: UpstreamOptions) -> Bench {
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = |listener: &TcpListener| {
        let port = listener.local_addr().unwrap().port();
        Upstream { connect_timeout: 2 * bench::A_WHILE, ..Upstream::new("127.0.0.1", port, Security::Plain) }
    };
    let upstreams = Upstreams::new(vec![server(first), server(&second)], options);
    Bench::before(second, upstreams, &[], plain(), |_| {}).await
}

/// The next connection to this server.
async fn accept(server: &TcpListener) -> Peer<TcpStream> {
    Peer::new(timeout(bench::SOON, server.accept()).await.expect("somebody connects").unwrap().0)
}

/// Looks after the servers as long as this lives.
struct LookedAfter(JoinHandle<()>);

impl LookedAfter {
    fn new(bench: &Bench) -> Self {
        let upstreams = bench.shared.upstreams().clone();
        Self(tokio::spawn(async move { upstreams.look_after().await }))
    }
}

impl Drop for LookedAfter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The gateway's question whether the server is there, answered with this result.
async fn asked_after(server: &mut Peer<TcpStream>, code: u8) {
    let question = Frame::new(server.next().await.into()).unwrap();
    assert!(crate::decode::is_root_dse(&question));
    let id = u8::try_from(question.id()).unwrap();
    server.send(&response(id, op::SEARCH_DONE, code)).await;
}

/// Waits until this is told of the first server, and of the second.
async fn until<T: PartialEq>(bench: &Bench, of: impl Fn(&ServerStatus) -> T, wanted: [T; 2]) {
    let told = async {
        while !bench.shared.upstreams().status().iter().map(&of).zip(&wanted).all(|(one, other)| one == *other) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(bench::SOON, told).await.expect("that is noticed");
}

fn checking(spare: usize, warm: usize) -> UpstreamOptions {
    let health_interval = Some(Duration::from_millis(50));
    UpstreamOptions { spare, warm, health_interval, ..UpstreamOptions::default() }
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_cannot_work_is_lost_until_it_answers() {
    let first = first().await;
    let bench = with(&first, checking(0, 0)).await;
    let _care = LookedAfter::new(&bench);
    let mut second = bench.accept().await;
    let answering = tokio::spawn(async move {
        loop {
            asked_after(&mut second, 0).await;
        }
    });
    // It does not let anybody read its root DSE, but it is there.
    let mut one = accept(&first).await;
    asked_after(&mut one, 50).await;
    asked_after(&mut one, 0).await;
    assert!(bench.shared.upstreams().status()[0].up);
    // Its connection is closed, for its age perhaps; a new one does.
    drop(one);
    let mut one = accept(&first).await;
    asked_after(&mut one, 0).await;
    assert!(bench.shared.upstreams().status()[0].up);
    // It accepts connections and says nothing.
    let silent = [one, accept(&first).await];
    until(&bench, |status| status.up, [false, true]).await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    assert_eq!(bench.accept().await.next().await, search(1, "dc=a"));
    drop(silent);
    let mut one = loop {
        let mut one = accept(&first).await;
        // Those that were given up meanwhile wait in the queue, too.
        if let Ok(Some(question)) = timeout(bench::A_WHILE, one.maybe()).await {
            let id = u8::try_from(Frame::new(question.into()).unwrap().id()).unwrap();
            one.send(&response(id, op::SEARCH_DONE, 0)).await;
            break one;
        }
    };
    until(&bench, |status| status.up, [true, true]).await;
    // It says that it is busy; asked again, on another connection, as well.
    asked_after(&mut one, 51).await;
    asked_after(&mut accept(&first).await, 52).await;
    until(&bench, |status| status.up, [false, true]).await;
    answering.abort();
}

#[tokio::test]
async fn spare_connections_are_those_of_the_server_whose_turn_it_is() {
    let first = first().await;
    let options = UpstreamOptions { warm: 1, health_interval: None, ..UpstreamOptions::default() };
    let bench = with(&first, options).await;
    let _care = LookedAfter::new(&bench);
    let mut ready = accept(&first).await;
    bench.no_connection().await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    assert_eq!(ready.next().await, search(1, "dc=a"));
    // When the first is lost, so is what was kept of it, and one of the second is made ready.
    let kept = accept(&first).await;
    drop((ready, kept, first));
    let mut client = bench.client().await;
    client.send(&search(1, "dc=b")).await;
    let [mut one, mut other] = [bench.accept().await, bench.accept().await];
    tokio::select! {
        got = one.next() => assert_eq!(got, search(1, "dc=b")),
        got = other.next() => assert_eq!(got, search(1, "dc=b")),
    }
    until(&bench, |status| (status.up, status.spare), [(false, 0), (true, 1)]).await;
}

#[tokio::test]
async fn the_server_with_the_fewest_clients_gives_its_spare_connection() {
    let first = first().await;
    let options = UpstreamOptions {
        balance: Balance::LeastConnections,
        warm: 1,
        health_interval: None,
        ..UpstreamOptions::default()
    };
    let bench = with(&first, options).await;
    let _care = LookedAfter::new(&bench);
    let (mut one, mut other) = (accept(&first).await, bench.accept().await);
    until(&bench, |status| status.spare, [1, 1]).await;
    let mut clients = [bench.client().await, bench.client().await];
    clients[0].send(&search(1, "dc=a")).await;
    assert_eq!(one.next().await, search(1, "dc=a"));
    until(&bench, |status| status.spare, [1, 1]).await;
    clients[1].send(&search(1, "dc=b")).await;
    assert_eq!(other.next().await, search(1, "dc=b"));
}

/// A connection that waits for somebody does not keep the last seat from a client that is here.
#[tokio::test]
async fn at_the_limit_a_spare_connection_makes_room() {
    let only = first().await;
    let upstream = Upstream::new("127.0.0.1", only.local_addr().unwrap().port(), Security::Plain);
    let options =
        UpstreamOptions { connections: Some(1), warm: 0, health_interval: None, ..UpstreamOptions::default() };
    let mut bench = Bench::before(only, Upstreams::new(vec![upstream], options), &[], plain(), |_| {}).await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&unbind(2)).await;
    directory.next().await;
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    client.closed().await;
    tokio::time::sleep(bench::A_WHILE).await;
    assert_eq!(bench.shared.upstreams().status()[0].spare, 1);
    // A search cannot go on with what somebody has used.
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    directory.closed().await;
    assert_eq!(bench.accept().await.next().await, search(1, "dc=a"));
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
    let (accepted, _) = timeout(bench::SOON, first.accept()).await.unwrap().unwrap();
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
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    for _ in 0..3 {
        timeout(bench::SOON, first.accept()).await.expect("half of them").unwrap();
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
