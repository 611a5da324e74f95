//! Referrals on their way to the client.

use std::sync::Arc;

use super::*;
use crate::frame::op;
use crate::listener::{Listener, Mode};
use crate::referral::Referrals;

/// A message whose operation is this, short enough for lengths of one octet.
fn message(id: u8, tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    [&[0x30, length + 5, 0x02, 0x01, id, tag, length], value].concat()
}

fn urls(url: &str) -> Vec<u8> {
    [&[4, u8::try_from(url.len()).unwrap()], url.as_bytes()].concat()
}

fn reference(id: u8, url: &str) -> Vec<u8> {
    message(id, 0x60 | op::SEARCH_REFERENCE, &urls(url))
}

fn referral(id: u8, op: u8, url: &str) -> Vec<u8> {
    let urls = urls(url);
    let result = [&[10, 1, 10, 4, 0, 4, 0, 0xa3, u8::try_from(urls.len()).unwrap()], &urls[..]].concat();
    message(id, 0x60 | op, &result)
}

fn entry(id: u8) -> Vec<u8> {
    message(id, 0x60 | op::SEARCH_ENTRY, b"\x04\x04dc=x\x30\0")
}

const THERE: &str = "ldap://dc1:389/dc=x??sub";
const HERE: &str = "ldaps://gw/dc=x??sub";

fn rewriting(listener: &mut Listener) {
    listener.referrals = Some(Arc::new(Referrals::new(["dc1"], "ldaps://gw")));
}

async fn searching(
    change: impl FnOnce(&mut Listener),
) -> (Bench, Peer<tokio::net::TcpStream>, Peer<tokio::net::TcpStream>) {
    let bench = Bench::with(&[], Mode::Plain { starttls: None }, change).await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=x")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    (bench, client, directory)
}

#[tokio::test]
async fn only_referrals_are_changed_and_the_order_stays() {
    let (_bench, mut client, mut directory) = searching(rewriting).await;
    let other = reference(1, "ldap://dc2/dc=x");
    let answers = |url| {
        [
            entry(1),
            entry(1),
            reference(1, url),
            other.clone(),
            entry(1),
            reference(1, url),
            referral(1, op::SEARCH_DONE, url),
        ]
    };
    directory.send(&answers(THERE).concat()).await;
    for answer in answers(HERE) {
        assert_eq!(client.next().await, answer);
    }
    // The search is over, so its id is free for a bind.
    client.send(&bind(1, "uid=alice", "secret")).await;
    directory.next().await;
    directory.send(&referral(1, op::BIND_RESPONSE, THERE)).await;
    assert_eq!(client.next().await, referral(1, op::BIND_RESPONSE, HERE));
}

#[tokio::test]
async fn they_are_changed_in_whatever_pieces_they_come() {
    let (_bench, mut client, mut directory) = searching(rewriting).await;
    directory.stream.set_nodelay(true).unwrap();
    for octet in [entry(1), reference(1, THERE), referral(1, op::SEARCH_DONE, THERE)].concat() {
        directory.send(&[octet]).await;
        tokio::task::yield_now().await;
    }
    for answer in [entry(1), reference(1, HERE), referral(1, op::SEARCH_DONE, HERE)] {
        assert_eq!(client.next().await, answer);
    }
}

#[tokio::test]
async fn they_stay_as_they_are_unless_told_otherwise() {
    let (_bench, mut client, mut directory) = searching(|_| {}).await;
    for answer in [reference(1, THERE), referral(1, op::SEARCH_DONE, THERE)] {
        directory.send(&answer).await;
        assert_eq!(client.next().await, answer);
    }
}
