//! Clients that mean harm.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::frame::op;
use crate::listener::Mode;

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
    let mut bench =
        Bench::with(&[portcullis_core::OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
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
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
}
