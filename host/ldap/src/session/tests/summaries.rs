//! What the gate is told of everything that it did not want to see.

use std::time::Duration;

use ldap3_proto::proto::LdapOp;
use portcullis_core::OperationKind;
use portcullis_core::gate::Claim;
use portcullis_core::summary::{LONGEST_BASE, MOST_BASES, ResultCount};

use super::bench::{encode, extended};
use super::*;
use crate::frame::op;
use crate::listener::Mode;

fn named(name: &str) -> Claim {
    Claim::Name(name.to_owned())
}

/// An entry without attributes (RFC 4511, section 4.5.2), 18 octets long.
fn entry(id: u8) -> Vec<u8> {
    let mut out = vec![0x30, 0x10, 0x02, 0x01, id, 0x60 | op::SEARCH_ENTRY, 0x0b, 0x04, 0x07];
    out.extend_from_slice(b"uid=bob\x30\x00");
    out
}

async fn searched(client: &mut Peer<tokio::net::TcpStream>, directory: &mut Peer<tokio::net::TcpStream>, id: u8) {
    client.send(&search(id.into(), "dc=a")).await;
    directory.next().await;
    directory.send(&response(id, op::SEARCH_DONE, 0)).await;
    client.next().await;
}

#[tokio::test]
async fn a_connection_is_summed_up_at_its_end() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    for (id, base) in (2..=101).zip(["dc=a", "dc=b", "DC=A"].into_iter().cycle()) {
        client.send(&search(id.into(), base)).await;
        directory.next().await;
        directory
            .send(&[entry(id), entry(id), response(id, op::SEARCH_DONE, if id == 50 { 32 } else { 0 })].concat())
            .await;
        for _ in 0..3 {
            client.next().await;
        }
    }
    client.send(&[extended(102, "1.2.3"), encode(103, LdapOp::AbandonRequest(102)), unbind(104)].concat()).await;
    client.closed().await;
    let summary = bench.summary().await;
    assert_eq!((summary.claim, summary.continues), (named("uid=alice"), false));
    assert_eq!(summary.connection.client, client.stream.local_addr().unwrap());
    let tally = summary.tally;
    let kinds = [(OperationKind::Search, 100), (OperationKind::Extended, 1), (OperationKind::Other, 1)];
    assert_eq!(tally.operations, kinds.into());
    assert_eq!(tally.bases, ["dc=a", "dc=b"]);
    assert_eq!((tally.entries, tally.octets), (200, 100 * (2 * 18 + 17)));
    assert_eq!(tally.failures, [ResultCount { code: Some(32), count: 1 }]);
    bench.no_summary().await;
}

#[tokio::test]
async fn another_bind_begins_another_summary_and_the_same_name_does_not() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    searched(&mut client, &mut directory, 2).await;
    for (id, name) in [(3, "uid=alice"), (5, "uid=bob")] {
        client.send(&bind(id, name, "secret")).await;
        directory.next().await;
        directory.send(&response(u8::try_from(id).unwrap(), 1, 0)).await;
        bench.question().await.permit();
        client.next().await;
        searched(&mut client, &mut directory, u8::try_from(id).unwrap() + 1).await;
    }
    let first = bench.summary().await;
    assert_eq!((first.claim, first.tally.total(), first.continues), (named("uid=alice"), 2, false));
    drop((client, directory));
    let second = bench.summary().await;
    assert_eq!((second.claim, second.tally.total()), (named("uid=bob"), 1));
}

#[tokio::test]
async fn what_comes_back_during_a_bind_is_his_who_asked_for_it() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&[search(2, "dc=a"), bind(3, "uid=bob", "wrong")].concat()).await;
    directory.next().await;
    directory.next().await;
    directory.send(&[entry(2), entry(2), response(2, op::SEARCH_DONE, 0), response(3, 1, 49)].concat()).await;
    bench.note().await;
    for _ in 0..4 {
        client.next().await;
    }
    let first = bench.summary().await;
    assert_eq!((first.claim, first.tally.total(), first.tally.entries), (named("uid=alice"), 1, 2));
    // The refused bind has left nobody, on a connection of nobody's.
    client.send(&search(4, "dc=a")).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, search(4, "dc=a"));
    directory.send(&response(4, op::SEARCH_DONE, 0)).await;
    client.next().await;
    drop((client, directory));
    let second = bench.summary().await;
    assert_eq!((second.claim, second.tally.total(), second.tally.entries), (Claim::Anonymous, 1, 0));
}

#[tokio::test]
async fn a_connection_that_goes_on_is_summed_up_in_between() {
    let short = Duration::from_millis(100);
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, |l| l.limits.summary_period = short).await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    // Nothing was counted yet.
    bench.no_summary().await;
    let search_done = response(2, op::SEARCH_DONE, 0).len() as u64;
    for id in [2, 3] {
        searched(&mut client, &mut directory, id).await;
        // Where the machine is slow, the answer comes into the next one.
        let (mut total, mut octets) = (0, 0);
        while (total, octets) != (1, search_done) {
            let summary = bench.summary().await;
            assert_eq!((summary.claim, summary.continues), (named("uid=alice"), true));
            assert!(summary.age >= short);
            total += summary.tally.total();
            octets += summary.tally.octets;
        }
        bench.no_summary().await;
    }
    // Nothing but an entry more: a search that goes on for long.
    directory.send(&entry(9)).await;
    let summary = bench.summary().await;
    assert_eq!((summary.tally.total(), summary.tally.entries), (0, 1));
}

#[tokio::test]
async fn what_was_watched_is_not_counted_again() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    bench.question().await.permit();
    directory.next().await;
    client.send(&unbind(2)).await;
    client.closed().await;
    bench.no_summary().await;
}

#[tokio::test]
async fn the_end_of_the_gateway_loses_nothing() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    searched(&mut client, &mut directory, 2).await;
    bench.stop.cancel();
    assert_eq!(bench.summary().await.tally.total(), 1);
}

#[tokio::test]
async fn bases_are_few_short_and_text() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    // One that is no UTF-8, one that is long, and too many.
    let mut odd = search(2, "dc=x");
    let at = odd.windows(4).position(|window| window == b"dc=x").unwrap();
    odd[at] = 0xff;
    let long = format!("ou={}", "x".repeat(1_000));
    client.send(&[odd, search(3, &long)].concat()).await;
    for id in 4..24 {
        client.send(&search(id, &format!("ou={id}"))).await;
    }
    for _ in 2..24 {
        directory.next().await;
    }
    drop((client, directory));
    let tally = bench.summary().await.tally;
    assert_eq!((tally.total(), tally.bases.len()), (22, MOST_BASES));
    assert_eq!((tally.bases[0].as_str(), tally.bases[1].len()), ("\u{fffd}c=x", LONGEST_BASE));
}

#[tokio::test]
async fn where_no_summaries_are_wanted_there_are_none() {
    let mut bench = Bench::without_summaries().await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::SEARCH_DONE, 32)).await;
    client.next().await;
    client.send(&unbind(2)).await;
    client.closed().await;
    bench.no_summary().await;
}
