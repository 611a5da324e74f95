//! Clients that mean harm.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::frame::op;
use crate::listener::Mode;
use crate::metrics::Limit;

#[tokio::test]
async fn garbage_is_told_off_and_closed_without_a_directory() {
    let deep = {
        let mut inner = vec![0xa0, 0x00];
        for _ in 0..3_000 {
            inner = [&[0xa0, 0x84][..], &u32::try_from(inner.len()).unwrap().to_be_bytes(), &inner].concat();
        }
        inner
    };
    let wrapped =
        [&[0x30, 0x84][..], &u32::try_from(deep.len() + 3).unwrap().to_be_bytes(), &[2, 1, 1], &deep].concat();
    let cases: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02],
        &[0x30, 0x80, 0x02, 0x01, 0x01],
        &[0x30, 0x88, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0x30, 0x05, 0x02, 0x01, 0x00, 0x63, 0x00],
        &wrapped,
    ];
    for case in cases {
        let bench = Bench::new().await;
        let mut client = bench.client().await;
        client.send(case).await;
        assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2), "{:02x?}", &case[..case.len().min(8)]);
        client.closed().await;
        bench.no_connection().await;
    }
}

#[tokio::test]
async fn deep_nesting_inside_a_search_is_survived() {
    let watched = [portcullis_core::OperationKind::Search];
    let mut bench = Bench::with(&watched, Mode::Plain { starttls: None }, |listener| {
        listener.limits.anonymous_request_size = listener.limits.request_size;
    })
    .await;
    let mut filter = vec![0x87, 0x01, b'a'];
    for _ in 0..50_000 {
        filter = [&[0xa2, 0x84][..], &u32::try_from(filter.len()).unwrap().to_be_bytes(), &filter].concat();
        if filter.len() > 300_000 {
            break;
        }
    }
    let length = |size: usize| u32::try_from(size).unwrap().to_be_bytes();
    let body = [&[4, 0, 10, 1, 0, 10, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0][..], &filter, &[0x30, 0x00]].concat();
    let operation = [&[0x63, 0x84][..], &length(body.len()), &body].concat();
    let message = [&[0x30, 0x84][..], &length(operation.len() + 3), &[2, 1, 1], &operation].concat();
    let mut client = bench.client().await;
    client.send(&message).await;
    let question = bench.question().await;
    assert_eq!(question.asked.operation, portcullis_core::Operation::Search(None));
    question.refuse("no");
    assert_eq!(client.result().await, (1, op::SEARCH_DONE, 50));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let short = Duration::from_millis(80);
    let bench = Bench::with(&[], Mode::Plain { starttls: None }, |listener| {
        listener.limits.first_message_timeout = short;
    })
    .await;
    let mut client = bench.client().await;
    client.send(&[0x30, 0x20, 0x02]).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

/// The beginning of a search of this many octets, without its end.
fn beginning(id: u8, size: usize) -> Vec<u8> {
    let base = vec![b'x'; size];
    let length = |size: usize| u32::try_from(size).unwrap().to_be_bytes();
    let operation = [&[0x63, 0x84][..], &length(size + 6), &[4, 0x84], &length(size), &base].concat();
    let message = [&[0x30, 0x84][..], &length(operation.len() + 3), &[2, 1, id], &operation].concat();
    message[..message.len() - 1].to_vec()
}

#[tokio::test]
async fn a_message_that_is_not_whole_in_time_ends_the_connection() {
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, |listener| {
        listener.limits.message_timeout = 2 * bench::A_WHILE;
    })
    .await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    // Not even when a little of it comes now and then; whole ones begin anew.
    for id in 2..6 {
        client.send(&search(id, "dc=a")).await;
        assert_eq!(directory.next().await, search(id, "dc=a"));
        tokio::time::sleep(bench::A_WHILE).await;
    }
    for octet in beginning(7, 100) {
        if client.stream.write_all(&[octet]).await.is_err() {
            break;
        }
        tokio::time::sleep(bench::A_WHILE / 10).await;
    }
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    assert_eq!(bench.shared.metrics().reached(Limit::Message), 1);
}

#[tokio::test]
async fn who_is_nobody_sends_no_large_messages() {
    let small = |listener: &mut crate::Listener| {
        listener.limits.anonymous_request_size = 1_000;
        listener.limits.request_size = 10_000;
    };
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, small).await;
    let mut stranger = bench.client().await;
    stranger.send(&beginning(1, 1_000)[..20]).await;
    assert_eq!(stranger.result().await, (0, op::EXTENDED_RESPONSE, 2));
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&search(2, &"x".repeat(9_000))).await;
    assert_eq!(directory.next().await, search(2, &"x".repeat(9_000)));
    client.send(&beginning(3, 10_000)[..20]).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
    assert_eq!(bench.shared.metrics().reached(Limit::RequestSize), 2);

    // Whose bind fails is nobody again.
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    client.send(&bind(2, "uid=alice", "wrong")).await;
    directory.next().await;
    directory.send(&response(2, op::BIND_RESPONSE, 49)).await;
    assert_eq!(client.next().await, response(2, op::BIND_RESPONSE, 49));
    client.send(&beginning(3, 1_000)[..20]).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
}

#[tokio::test]
async fn all_connections_together_hold_only_so_much_of_large_messages() {
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, |listener| {
        listener.limits.large_messages = 1_000_000;
    })
    .await;
    let (mut one, _directory) = bench.bound("uid=alice").await;
    let (mut other, mut directory) = bench.bound("uid=bob").await;
    one.send(&beginning(2, 1_100_000)).await;
    other.send(&beginning(2, 1_100_000)).await;
    let first = tokio::select! {
        result = one.result() => result,
        result = other.result() => result,
    };
    assert_eq!(first, (0, op::EXTENDED_RESPONSE, 51));
    assert_eq!(bench.shared.metrics().reached(Limit::LargeMessages), 1);
    drop((one, other));
    directory.closed().await;

    // What the others have left is free again.
    let (mut next, mut directory) = bench.bound("uid=carol").await;
    next.send(&[&beginning(2, 1_100_000)[..], b"x"].concat()).await;
    assert_eq!(directory.next().await.len(), beginning(2, 1_100_000).len() + 1);
}

#[tokio::test]
async fn what_is_undecided_is_bounded_in_octets() {
    let watched = [portcullis_core::OperationKind::Search];
    let mut bench = Bench::with(&watched, Mode::Plain { starttls: None }, |_| {}).await;
    let (mut client, mut directory) = bench.bound("uid=alice").await;
    let large = |id| search(id, &"x".repeat(40_000));
    for id in 2..7 {
        client.send(&large(id)).await;
    }
    let held = [bench.question().await, bench.question().await];
    bench.no_question().await;
    for question in held {
        question.permit();
    }
    assert_eq!(directory.next().await, large(2));
    assert_eq!(directory.next().await, large(3));
    bench.question().await.permit();
    assert_eq!(directory.next().await, large(4));
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let bench = Bench::with(&[], Mode::Plain { starttls: None }, |listener| {
        listener.limits.connections_per_address = 2;
    })
    .await;
    let (_one, other) = (bench.client().await, bench.client().await);
    bench.client().await.closed().await;
    assert_eq!(bench.shared.connections(), 2);
    drop(other);
    let mut again = bench.client().await;
    for _ in 0..100 {
        if bench.shared.connections() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        again = bench.client().await;
    }
    again.send(&search(1, "")).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_directory() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    let entry = vec![b'x'; 60_000];
    let operation = [&[0x64, 0x84][..], &u32::try_from(entry.len()).unwrap().to_be_bytes(), &entry].concat();
    let message =
        [&[0x30, 0x84][..], &u32::try_from(operation.len() + 3).unwrap().to_be_bytes(), &[2, 1, 1], &operation]
            .concat();
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_millis(300), directory.stream.write_all(&message)).await {
        written.unwrap();
        sent += 1;
        assert!(sent < 1_000, "60 MB were taken from the directory for a client that reads nothing");
    }
    // Once it reads, everything arrives.
    let mut got = 0;
    let mut buffer = vec![0; 65_536];
    while got < sent * message.len() {
        got += timeout(bench::SOON, client.stream.read(&mut buffer)).await.expect("more comes").unwrap();
    }
}

#[tokio::test]
async fn what_a_client_piles_up_behind_a_bind_is_bounded() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    let pile = search(2, &"x".repeat(100)).repeat(10_000);
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_millis(300), client.stream.write_all(&pile)).await {
        written.unwrap();
        sent += 1;
        assert!(sent < 50, "50 MB were taken behind a waiting bind");
    }
    assert_eq!(bench.shared.metrics().reached(Limit::Waiting), 1);
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
}
