//! Cancel (RFC 3909): of what the gateway holds, of what the directory has, and of a bind.

use ldap3_proto::proto::{LdapExtendedRequest, LdapOp};
use portcullis_core::OperationKind;

use super::*;
use crate::decode::CANCEL;
use crate::frame::op;
use crate::listener::Mode;

/// `SEQUENCE { cancelID MessageID }` (section 2.1).
fn cancel(id: i32, operation: u8) -> Vec<u8> {
    let value = Some(vec![0x30, 0x03, 0x02, 0x01, operation]);
    bench::encode(id, LdapOp::ExtendedRequest(LdapExtendedRequest { name: CANCEL.to_owned(), value }))
}

async fn holding_deletes() -> Bench {
    Bench::with(&[OperationKind::Delete], Mode::Plain { starttls: None }, |_| {}).await
}

#[tokio::test]
async fn what_is_undecided_is_cancelled_here() {
    let mut bench = holding_deletes().await;
    let mut client = bench.client().await;
    client.send(&delete(1)).await;
    let mut directory = bench.accept().await;
    let question = bench.question().await;
    client.send(&cancel(2, 1)).await;
    assert_eq!(client.result().await, (1, op::DELETE_RESPONSE, 118));
    assert_eq!(client.result().await, (2, op::EXTENDED_RESPONSE, 0));
    question.cancelled().await;
    directory.nothing().await;
    // Its id is free again.
    client.send(&delete(1)).await;
    bench.question().await.permit();
    assert_eq!(directory.next().await, delete(1));
}

#[tokio::test]
async fn everything_else_is_the_directorys_to_cancel() {
    let mut bench = holding_deletes().await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    client.send(&delete(2)).await;
    let _undecided = bench.question().await;
    let malformed = LdapExtendedRequest { name: CANCEL.to_owned(), value: Some(vec![0x30, 0x01, 0x02]) };
    let malformed = bench::encode(5, LdapOp::ExtendedRequest(malformed));
    for request in [cancel(3, 1), cancel(4, 9), malformed] {
        client.send(&request).await;
        assert_eq!(directory.next().await, request);
    }
    client.nothing().await;
    directory.send(&response(1, op::SEARCH_DONE, 118)).await;
    assert_eq!(client.next().await, response(1, op::SEARCH_DONE, 118));
}

#[tokio::test]
async fn a_cancel_with_the_id_of_what_it_cancels_ends_the_connection() {
    let mut bench = holding_deletes().await;
    let mut client = bench.client().await;
    client.send(&delete(1)).await;
    let _directory = bench.accept().await;
    let _undecided = bench.question().await;
    client.send(&cancel(1, 1)).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
    client.closed().await;
}

#[tokio::test]
async fn a_waiting_bind_cannot_be_cancelled() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    client.send(&cancel(2, 1)).await;
    assert_eq!(client.result().await, (2, op::EXTENDED_RESPONSE, 121));
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    let question = bench.question().await;
    client.send(&[cancel(3, 1), cancel(4, 7), cancel(5, 1)].concat()).await;
    assert_eq!(client.result().await, (3, op::EXTENDED_RESPONSE, 121));
    client.nothing().await;
    question.permit();
    assert_eq!(client.next().await, response(1, op::BIND_RESPONSE, 0));
    assert_eq!(directory.next().await, cancel(4, 7), "what was behind the bind goes on as it came");
    assert_eq!(directory.next().await, cancel(5, 1));
}

#[tokio::test]
async fn a_client_that_asks_without_end_and_reads_nothing_is_not_answered_without_end() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::BIND_RESPONSE, 0)).await;
    let _question = bench.question().await;
    let pile = cancel(2, 1).repeat(20_000);
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, &pile),
    )
    .await
    {
        written.unwrap();
        sent += 1;
        assert!(sent < 50, "answers pile up for a client that reads none");
    }
}
