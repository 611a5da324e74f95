//! Connections that a load balancer hands on with a PROXY protocol header.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_core::OperationKind;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::tls::{certificate, protect};
use super::*;
use crate::listener::{Listener, Mode};

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.9 10.0.0.1 12345 389\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\x30\x39\x01\x85";
const CLIENT: &str = "203.0.113.9:12345";

fn trusting(listener: &mut Listener) {
    listener.proxy_protocol_from = vec!["127.0.0.1/32".parse().unwrap()];
}

async fn behind(mode: Mode) -> Bench {
    Bench::with(&[OperationKind::Search], mode, trusting).await
}

fn plain() -> Mode {
    Mode::Plain { starttls: None }
}

/// Who the gate is told to be asking.
async fn asking(bench: &mut Bench) -> SocketAddr {
    bench.question().await.asked.connection.client
}

/// A client that comes from another address than the load balancer.
async fn elsewhere(bench: &Bench) -> Peer<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    Peer::new(socket.connect(bench.address).await.unwrap())
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names_and_its_first_message_is_not_lost() {
    for header in [HEADER, V2] {
        let mut bench = behind(plain()).await;
        let mut client = bench.client().await;
        client.send(&[header, &search(1, "dc=a")].concat()).await;
        let mut directory = bench.accept().await;
        let question = bench.question().await;
        assert_eq!(question.asked.connection.client.to_string(), CLIENT);
        question.permit();
        assert_eq!(directory.next().await, search(1, "dc=a"));
    }
}

#[tokio::test]
async fn a_header_may_come_in_any_pieces() {
    for header in [HEADER, V2] {
        for size in [1, 7, 14, 15, 16] {
            let mut bench = behind(plain()).await;
            let mut client = bench.client().await;
            client.stream.set_nodelay(true).unwrap();
            let octets = [header, &search(1, "dc=a")].concat();
            for piece in octets.chunks(size) {
                client.send(piece).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(asking(&mut bench).await.to_string(), CLIENT, "{size}");
        }
    }
}

#[tokio::test]
async fn a_load_balancer_that_speaks_for_itself_keeps_its_address() {
    let local: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for header in [b"PROXY UNKNOWN\r\n", local] {
        let mut bench = behind(plain()).await;
        let mut client = bench.client().await;
        client.send(&[header, &search(1, "dc=a")].concat()).await;
        assert_eq!(asking(&mut bench).await, client.stream.local_addr().unwrap());
    }
}

#[tokio::test]
async fn without_a_proper_header_the_connection_is_closed() {
    let oversized = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
    let mut lying = V2.to_vec();
    lying[14] = 0xff;
    let mut short = V2.to_vec();
    short[15] = 4;
    for octets in [search(1, "dc=a"), oversized, lying, short, b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n".to_vec()] {
        let mut bench = behind(plain()).await;
        let mut client = bench.client().await;
        client.send(&octets).await;
        assert_eq!(client.maybe().await, None, "{octets:?}");
        bench.no_question().await;
        bench.no_connection().await;
        assert_eq!(bench.shared.connections(), 0);
    }
}

#[tokio::test]
async fn a_header_that_never_ends_is_waited_for_no_longer_than_a_handshake() {
    let bench = Bench::with(&[], plain(), |listener| {
        trusting(listener);
        listener.limits.handshake_timeout = Duration::from_millis(100);
    })
    .await;
    let mut client = bench.client().await;
    // It says that 4096 octets are to follow.
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\0\xcb\0").await;
    assert_eq!(client.maybe().await, None);
}

#[tokio::test]
async fn nobody_else_can_say_who_he_is() {
    for header in [HEADER, V2] {
        let mut bench = behind(plain()).await;
        let mut client = elsewhere(&bench).await;
        client.send(&[header, &search(1, "dc=a")].concat()).await;
        assert_eq!(client.result().await, (0, 24, 2), "a Notice of Disconnection: this is no LDAP");
        bench.no_question().await;
    }
    let mut bench = behind(plain()).await;
    let mut client = elsewhere(&bench).await;
    client.send(&search(1, "dc=a")).await;
    assert_eq!(asking(&mut bench).await, client.stream.local_addr().unwrap(), "without a header, nothing is different");
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let (server, trusted) = certificate();
    for header in [HEADER, V2] {
        let mut bench = behind(Mode::Ldaps(server.clone())).await;
        let mut client = bench.client().await;
        client.send(header).await;
        let mut client = protect(client, trusted.clone()).await;
        client.send(&search(1, "dc=a")).await;
        let question = bench.question().await;
        assert_eq!(question.asked.connection.client.to_string(), CLIENT);
        assert!(question.asked.connection.tls.is_some());
    }
}

#[tokio::test]
async fn the_limit_for_one_address_counts_clients_and_not_the_load_balancer() {
    let mut bench = Bench::with(&[OperationKind::Search], plain(), |listener| {
        trusting(listener);
        listener.limits.connections_per_address = 1;
    })
    .await;
    let header = |last: u8| format!("PROXY TCP4 203.0.113.{last} 10.0.0.1 12345 389\r\n").into_bytes();
    let mut open = Vec::new();
    for last in [1, 2] {
        let mut client = bench.client().await;
        client.send(&[header(last), search(1, "dc=a")].concat()).await;
        let question = bench.question().await;
        let mut second = bench.client().await;
        second.send(&header(last)).await;
        assert_eq!(second.maybe().await, None, "one is enough");
        open.push((client, question));
    }
    assert_eq!(bench.shared.connections(), 2);
}

/// A gateway before a directory that wants to know whose connections it gets.
async fn telling(change: impl FnOnce(&mut Listener)) -> Bench {
    let directory = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = directory.local_addr().unwrap().port();
    let mut upstream = crate::upstream::Upstream::new("127.0.0.1", port, crate::upstream::Security::Plain);
    upstream.send_proxy_protocol = true;
    Bench::before(directory, crate::Upstreams::single(upstream), &[], plain(), change).await
}

/// The client and the listener that the next connection to the directory begins with.
async fn told(directory: &mut Peer<TcpStream>) -> (SocketAddr, SocketAddr) {
    let mut header = [0; 28];
    tokio::time::timeout(bench::SOON, directory.stream.read_exact(&mut header)).await.unwrap().unwrap();
    let (header, _) = proxy_header::ProxyHeader::parse(&header, proxy_header::ParseConfig::default()).unwrap();
    let told = header.proxied_address().unwrap();
    (told.source, told.destination)
}

#[tokio::test]
async fn the_directory_is_told_whose_connection_it_gets_before_anything_else() {
    let mut bench = telling(|_| {}).await;
    let mut client = elsewhere(&bench).await;
    let own = client.stream.local_addr().unwrap();
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    assert_eq!(told(&mut directory).await, (own, bench.address));
    assert_eq!(directory.next().await, bind(1, "uid=alice", "secret"));
    directory.send(&response(1, 1, 0)).await;
    bench.question().await.refuse("no");
    client.next().await;
    // The connection that replaces the refused one is the same client's.
    client.send(&search(2, "dc=a")).await;
    let mut directory = bench.accept().await;
    assert_eq!(told(&mut directory).await, (own, bench.address));
    assert_eq!(directory.next().await, search(2, "dc=a"));
}

#[tokio::test]
async fn the_directory_is_told_of_the_client_and_not_of_the_load_balancer_before_it() {
    let bench = telling(trusting).await;
    let mut client = bench.client().await;
    client.send(&[HEADER, &search(1, "dc=a")].concat()).await;
    let mut directory = bench.accept().await;
    assert_eq!(told(&mut directory).await, (CLIENT.parse().unwrap(), bench.address));
}
