//! Requests other than binds: forwarded as they are, held one by one, refused in their own type.

use ldap3_proto::proto::LdapOp;
use portcullis_core::gate::Claim;
use portcullis_core::{Operation, OperationKind, Outcome};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::frame::op;
use crate::listener::Mode;

fn plain() -> Mode {
    Mode::Plain { starttls: None }
}

#[tokio::test]
async fn what_is_undecided_is_held_and_the_rest_goes_on() {
    let mut bench = Bench::with(&[OperationKind::Delete], plain(), |_| {}).await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    let delete = bench::encode(2, LdapOp::DelRequest("uid=x".to_owned()));
    client.send(&[delete.clone(), search(3, "dc=a")].concat()).await;
    let question = bench.question().await;
    assert_eq!(question.asked.operation, Operation::Delete);
    assert_eq!(question.asked.entry.as_deref(), Some("uid=x"));
    assert_eq!(question.asked.claim, Claim::Name("uid=alice".to_owned()));
    assert_eq!(question.asked.outcome, Outcome::Pending);
    assert_eq!(directory.next().await, search(3, "dc=a"));
    question.permit();
    assert_eq!(directory.next().await, delete);
}

#[tokio::test]
async fn a_refused_request_is_answered_in_its_own_type() {
    let mut bench = Bench::with(&[OperationKind::Delete, OperationKind::Search], plain(), |_| {}).await;
    let mut client = bench.client().await;
    client.send(&bench::encode(1, LdapOp::DelRequest("uid=x".to_owned()))).await;
    let mut directory = bench.accept().await;
    bench.question().await.refuse("no");
    assert_eq!(client.result().await, (1, op::DELETE_RESPONSE, 50));
    client.send(&search(2, "dc=a")).await;
    bench.question().await.refuse("no");
    assert_eq!(client.result().await, (2, op::SEARCH_DONE, 50));
    directory.nothing().await;
}

#[tokio::test]
async fn abandoning_a_held_request_gives_it_up() {
    let mut bench = Bench::with(&[OperationKind::Delete], plain(), |_| {}).await;
    let mut client = bench.client().await;
    client.send(&bench::encode(1, LdapOp::DelRequest("uid=x".to_owned()))).await;
    let mut directory = bench.accept().await;
    let question = bench.question().await;
    client.send(&bench::encode(2, LdapOp::AbandonRequest(1))).await;
    question.cancelled().await;
    directory.nothing().await;
    client.nothing().await;
    let other = bench::encode(4, LdapOp::AbandonRequest(3));
    client.send(&other).await;
    assert_eq!(directory.next().await, other);
}

#[tokio::test]
async fn leaving_gives_up_what_is_held() {
    let mut bench = Bench::with(&[OperationKind::Delete], plain(), |_| {}).await;
    let mut client = bench.client().await;
    client.send(&bench::encode(1, LdapOp::DelRequest("uid=x".to_owned()))).await;
    let mut directory = bench.accept().await;
    let question = bench.question().await;
    client.stream.shutdown().await.unwrap();
    question.cancelled().await;
    directory.closed().await;
}

#[tokio::test]
async fn an_unknown_request_that_is_refused_ends_the_connection() {
    let mut bench = Bench::with(&[OperationKind::Other], plain(), |_| {}).await;
    let mut client = bench.client().await;
    client.send(&[0x30, 0x05, 0x02, 0x01, 0x01, 0x7d, 0x00]).await;
    let mut directory = bench.accept().await;
    bench.question().await.refuse("no");
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 50));
    client.closed().await;
    directory.closed().await;
}

#[tokio::test]
async fn what_a_client_sends_before_it_closes_still_arrives_and_is_answered() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&[search(1, "dc=a"), search(2, "dc=b")].concat()).await;
    client.stream.shutdown().await.unwrap();
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, search(1, "dc=a"));
    assert_eq!(directory.next().await, search(2, "dc=b"));
    directory.closed().await;
    directory.send(&response(1, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(1, op::SEARCH_DONE, 0));
    drop(directory);
    client.closed().await;
}

#[tokio::test]
async fn an_unbind_is_passed_on() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&unbind(2)).await;
    let last = crate::frame::header(&directory.next().await).unwrap();
    assert_eq!(last.op, op::UNBIND);
    directory.closed().await;
    client.closed().await;
}

#[tokio::test]
async fn a_directory_that_goes_away_is_told_to_the_client() {
    let mut bench = Bench::new().await;
    let (mut client, directory) = bench.bound("uid=alice").await;
    drop(directory);
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

#[tokio::test]
async fn a_directory_s_own_farewell_is_not_repeated() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    directory.send(&response(0, op::EXTENDED_RESPONSE, 51)).await;
    drop(directory);
    assert_eq!(client.next().await, response(0, op::EXTENDED_RESPONSE, 51));
    client.closed().await;
}

#[tokio::test]
async fn what_a_directory_announces_otherwise_is_no_farewell() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    let name = b"1.2.3.4";
    let announcement = [&[0x30, 21, 2, 1, 0, 0x78, 16, 0x0a, 1, 0, 4, 0, 4, 0, 0x8a, 7][..], name].concat();
    directory.send(&announcement).await;
    assert_eq!(client.next().await, announcement);
    drop(directory);
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52), "the gateway says that the directory is gone");
    client.closed().await;
}

#[tokio::test]
async fn without_a_directory_the_request_is_answered_and_the_connection_ends() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = crate::Upstream::new("127.0.0.1", free, crate::Security::Plain);
    let bench = Bench::before(unused, crate::Upstreams::single(upstream), &[], plain(), |_| {}).await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 52));
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

#[tokio::test]
async fn the_end_of_the_gateway_is_told_after_what_is_under_way() {
    let mut bench = Bench::with(&[], plain(), |listener| listener.limits.drain = bench::SOON).await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    let mut idle = bench.client().await;
    client.send(&search(2, "dc=a")).await;
    directory.next().await;
    bench.stop.cancel();
    assert_eq!(idle.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.nothing().await;
    directory.send(&response(2, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(2, op::SEARCH_DONE, 0));
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
    drop((client, idle));
    tokio::time::timeout(bench::SOON, bench.serving).await.expect("serving ends").unwrap();
}

#[tokio::test]
async fn silence_ends_a_connection_where_it_is_configured() {
    let short = std::time::Duration::from_millis(80);
    let bench = Bench::with(&[], plain(), |listener| listener.limits.idle_timeout = Some(short)).await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    // Not while the directory still has to answer.
    client.nothing().await;
    directory.send(&response(1, op::SEARCH_DONE, 0)).await;
    client.next().await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

/// Any application number but those that the session itself has a part in.
fn forwarded_op() -> impl Strategy<Value = u8> {
    (3..=30_u8).prop_filter("has rules of its own", |number| {
        ![op::BIND, op::BIND_RESPONSE, op::UNBIND, op::MODIFY, op::DELETE, op::EXTENDED, op::ABANDON].contains(number)
    })
}

fn message(id: u8, op: u8, body: &[u8]) -> Vec<u8> {
    let length = |size: usize| u32::try_from(size).unwrap().to_be_bytes();
    // What names an entry has one that can be read.
    let entry: &[u8] = match op {
        op::SEARCH | op::COMPARE | op::ADD | op::MODIFY_DN => &[0x04, 0x01, b'x'],
        _ => &[],
    };
    let operation = [&[0x60 | op, 0x84][..], &length(entry.len() + body.len()), entry, body].concat();
    [&[0x30, 0x84][..], &length(3 + operation.len()), &[0x02, 0x01, id], &operation].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn octets_pass_unchanged_in_both_directions(
        requests in prop::collection::vec((forwarded_op(), prop::collection::vec(any::<u8>(), 0..20_000)), 1..12),
        answers in prop::collection::vec((1..=127_u8, forwarded_op(), prop::collection::vec(any::<u8>(), 0..20_000)), 1..12),
    ) {
        let up: Vec<u8> = (1..).zip(&requests).flat_map(|(id, (op, body))| message(id, *op, body)).collect();
        let down: Vec<u8> = answers.iter().flat_map(|(id, op, body)| message(*id, *op, body)).collect();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let bench = Bench::new().await;
            let mut client = bench.client().await;
            client.send(&up).await;
            let mut directory = bench.accept().await;
            let mut got = Vec::new();
            while got.len() < up.len() {
                got.extend(directory.next().await);
            }
            assert!(got == up, "requests changed");
            directory.send(&down).await;
            let mut got = Vec::new();
            while got.len() < down.len() {
                got.extend(client.next().await);
            }
            assert!(got == down, "answers changed");
        });
    }
}
