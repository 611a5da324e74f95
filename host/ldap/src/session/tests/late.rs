//! What the directory does not finish in time, and what comes of it when it does after all.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::frame::op;
use crate::listener::{Limits, Mode};
use crate::metrics::Limit;

/// Longer than what is not late takes on a busy machine.
const SHORT: Duration = Duration::from_millis(600);

async fn with(change: impl FnOnce(&mut Limits)) -> Bench {
    Bench::with(&[], Mode::Plain { starttls: None }, |listener| change(&mut listener.limits)).await
}

/// An abandon of the gateway's own, whose message id is random.
async fn abandoned(directory: &mut Peer<tokio::net::TcpStream>) -> i32 {
    let frame = crate::frame::Frame::new(directory.next().await.into()).unwrap();
    assert_eq!(frame.op(), op::ABANDON);
    crate::decode::abandoned(&frame).unwrap()
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_ended_and_what_still_comes_of_it_is_for_nobody() {
    let bench = with(|limits| limits.search_timeout = Some(SHORT)).await;
    let mut client = bench.client().await;
    client.send(&search(2, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(2, op::SEARCH_ENTRY, 0)).await;
    assert_eq!(client.next().await, response(2, op::SEARCH_ENTRY, 0));
    assert_eq!(client.result().await, (2, op::SEARCH_DONE, 3));
    assert_eq!(abandoned(&mut directory).await, 2);
    assert_eq!(bench.shared.metrics().reached(Limit::Operation), 1);

    // The same id, while the directory may still answer the first: an answer could be to either.
    client.send(&search(2, "dc=b")).await;
    assert_eq!(client.result().await, (2, op::SEARCH_DONE, 51));
    client.send(&delete(3)).await;
    assert_eq!(directory.next().await, delete(3), "the second search did not get there");
    let late = response(2, op::SEARCH_ENTRY, 0);
    let others = response(3, op::DELETE_RESPONSE, 0);
    directory.send(&[&late[..], &others, &late, &response(2, op::SEARCH_DONE, 0)].concat()).await;
    assert_eq!(client.next().await, others);
    client.nothing().await;

    // It has said its last word about it.
    client.send(&search(2, "dc=c")).await;
    assert_eq!(directory.next().await, search(2, "dc=c"));
    directory.send(&response(2, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(2, op::SEARCH_DONE, 0));
}

#[tokio::test]
async fn a_late_change_is_answered_with_unavailable_and_a_persistent_search_goes_on() {
    let bench = with(|limits| limits.operation_timeout = Some(SHORT)).await;
    let mut client = bench.client().await;
    client.send(&[search(1, "dc=a"), delete(2)].concat()).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.next().await;
    assert_eq!(client.result().await, (2, op::DELETE_RESPONSE, 52));
    assert_eq!(abandoned(&mut directory).await, 2);
    client.nothing().await;
    directory.send(&response(1, op::SEARCH_ENTRY, 0)).await;
    assert_eq!(client.next().await, response(1, op::SEARCH_ENTRY, 0));
}

#[tokio::test]
async fn a_bind_ends_what_was_abandoned() {
    let mut bench = with(|limits| limits.search_timeout = Some(SHORT)).await;
    let mut client = bench.client().await;
    client.send(&search(2, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    assert_eq!(client.result().await, (2, op::SEARCH_DONE, 3));
    abandoned(&mut directory).await;
    client.send(&bind(2, "uid=alice", "secret")).await;
    directory.next().await;
    directory.send(&response(2, op::BIND_RESPONSE, 0)).await;
    bench.question().await.permit();
    assert_eq!(client.next().await, response(2, op::BIND_RESPONSE, 0));
    client.send(&search(2, "dc=b")).await;
    assert_eq!(directory.next().await, search(2, "dc=b"));
}

#[tokio::test]
async fn a_bind_that_the_directory_does_not_answer_takes_its_connection_along() {
    let mut bench = with(|limits| limits.operation_timeout = Some(SHORT)).await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 52));
    let (asked, why) = bench.note().await;
    assert_eq!((asked.entry.as_deref(), asked.directory_result), (Some("uid=alice"), None));
    assert_eq!(why, "The directory did not answer in time.");
    directory.closed().await;
    client.send(&search(2, "dc=a")).await;
    let mut fresh = bench.accept().await;
    assert_eq!(fresh.next().await, search(2, "dc=a"));
    bench.no_question().await;
}

#[tokio::test]
async fn a_bind_that_waits_for_a_decision_is_not_late() {
    let mut bench = with(|limits| limits.operation_timeout = Some(SHORT)).await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    let question = bench.question().await;
    tokio::time::sleep(SHORT).await;
    client.nothing().await;
    question.permit();
    assert_eq!(client.next().await, response(1, op::BIND_RESPONSE, 0));
}

#[tokio::test]
async fn more_operations_than_may_be_outstanding_are_answered_with_busy() {
    let bench = with(|limits| limits.outstanding = 2).await;
    let mut client = bench.client().await;
    client.send(&[search(1, "dc=a"), search(2, "dc=a"), search(3, "dc=a"), delete(4)].concat()).await;
    let mut directory = bench.accept().await;
    assert_eq!(client.result().await, (3, op::SEARCH_DONE, 51));
    assert_eq!(client.result().await, (4, op::DELETE_RESPONSE, 51));
    assert_eq!(bench.shared.metrics().reached(Limit::Outstanding), 2);
    directory.next().await;
    directory.next().await;
    directory.send(&response(1, op::SEARCH_DONE, 0)).await;
    client.next().await;
    client.send(&search(5, "dc=a")).await;
    assert_eq!(directory.next().await, search(5, "dc=a"));
}

#[tokio::test]
async fn a_directory_that_finishes_nothing_loses_the_connection() {
    let bench = with(|limits| {
        limits.outstanding = 3;
        limits.search_timeout = Some(SHORT);
    })
    .await;
    let mut client = bench.client().await;
    let mut directory = None;
    for id in 1..=3 {
        client.send(&search(id, "dc=a")).await;
        if directory.is_none() {
            directory = Some(bench.accept().await);
        }
        assert_eq!(client.result().await, (id, op::SEARCH_DONE, 3));
    }
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

#[tokio::test]
async fn a_request_over_the_limit_is_told_off() {
    let bench = with(|limits| limits.request_size = 100).await;
    let mut client = bench.client().await;
    client.send(&search(1, &"x".repeat(200))).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
    client.closed().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_the_order_nothing_late_comes_through_and_nothing_else_is_lost(
        answers in prop::collection::vec((prop::sample::select(vec![1_u8, 2, 3, 11, 12]), any::<bool>()), 1..60),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let bench = with(|limits| limits.search_timeout = Some(Duration::from_millis(20))).await;
            let mut client = bench.client().await;
            client.send(&[search(1, "dc=a"), search(2, "dc=a"), search(3, "dc=a")].concat()).await;
            let mut directory = bench.accept().await;
            for _ in 1..=3 {
                assert_eq!(client.result().await.2, 3);
            }
            client.send(&[delete(11), delete(12)].concat()).await;
            let (mut up, mut wanted, mut late) = (Vec::new(), Vec::new(), vec![1, 2, 3]);
            for (id, last) in answers {
                let answer = response(id, if last { op::SEARCH_DONE } else { op::SEARCH_ENTRY }, 0);
                up.extend_from_slice(&answer);
                if !late.contains(&id) {
                    wanted.extend_from_slice(&answer);
                } else if last {
                    // With its last answer, the id is as good as new.
                    late.retain(|other| *other != id);
                }
            }
            // Known to come last, so that all before it has been looked at.
            let end = response(99, op::SEARCH_DONE, 0);
            directory.send(&[&up[..], &end].concat()).await;
            wanted.extend_from_slice(&end);
            let mut got = Vec::new();
            while !got.ends_with(&end) {
                got.extend(client.next().await);
            }
            assert_eq!(got, wanted);
        });
    }
}
