//! SASL: several steps, who it was, and streams that cannot be read.

use std::time::Duration;

use ldap3_proto::proto::{LdapExtendedResponse, LdapOp, LdapResult, LdapResultCode};
use portcullis_core::gate::Claim;
use portcullis_core::{BindMethod, Operation, Outcome};
use tokio::net::TcpStream;

use super::bench::Log;
use super::*;
use crate::decode::WHO_AM_I;
use crate::frame::{Frame, op};
use crate::listener::{Mode, OpaqueSasl};
use crate::metrics::Limit;

/// Answers the gateway's "Who am I?".
pub(super) async fn tell(directory: &mut Peer<TcpStream>, identity: &str) {
    let own = Frame::new(directory.next().await.into()).unwrap();
    assert_eq!(own.bytes(), extended(own.id(), WHO_AM_I));
    let res = LdapResult {
        code: LdapResultCode::Success,
        matcheddn: String::new(),
        message: String::new(),
        referral: vec![],
    };
    let answer = LdapExtendedResponse { res, name: None, value: Some(identity.as_bytes().to_vec()) };
    directory.send(&bench::encode(own.id(), LdapOp::ExtendedResponse(answer))).await;
}

/// The directory knows no "Who am I?".
pub(super) async fn tell_nothing(directory: &mut Peer<TcpStream>) {
    let own = Frame::new(directory.next().await.into()).unwrap();
    assert_eq!(own.bytes(), extended(own.id(), WHO_AM_I));
    let no = crate::encode::OwnAnswer::refusal(own.id(), op::EXTENDED, crate::encode::Code::ProtocolError, "");
    directory.send(&no.unwrap().into_bytes()).await;
}

pub(super) fn relay(listener: &mut crate::Listener) {
    listener.rules.opaque_sasl = OpaqueSasl::Relay;
}

#[tokio::test]
async fn steps_pass_and_the_end_is_decided_on_with_the_name_that_the_directory_gives() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "SCRAM-SHA-256", b"n,,n=mallory,r=x")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 14)).await;
    assert_eq!(client.next().await, response(1, 1, 14));
    client.send(&sasl_bind(2, "SCRAM-SHA-256", b"c=biws,r=x,p=y")).await;
    directory.next().await;
    directory.send(&response(2, 1, 0)).await;
    tell(&mut directory, "dn:uid=alice,dc=example").await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name("uid=alice,dc=example".to_owned()));
    question.permit();
    assert_eq!(client.next().await, response(2, 1, 0));
    client.nothing().await;
}

/// Whatever else says so, a bind that takes another step is told of by a bind response.
#[tokio::test]
async fn an_extended_response_is_no_step_of_a_bind() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "SCRAM-SHA-256", b"n,,n=alice,r=x")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::EXTENDED_RESPONSE, 14)).await;
    assert_eq!(bench.note().await.0.outcome, Outcome::Failure);
    assert_eq!(client.next().await, response(1, op::EXTENDED_RESPONSE, 14));
    directory.closed().await;
}

#[tokio::test]
async fn a_failure_is_noted_under_the_name_of_the_first_step() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "SCRAM-SHA-1", b"n,,n=alice,r=x")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 14)).await;
    client.next().await;
    client.send(&sasl_bind(2, "SCRAM-SHA-1", b"c=biws,r=x,p=y")).await;
    directory.next().await;
    directory.send(&response(2, 1, 49)).await;
    let (asked, _) = bench.note().await;
    assert_eq!((asked.claim, asked.outcome), (Claim::Name("alice".to_owned()), Outcome::Failure));
    assert_eq!(client.next().await, response(2, 1, 49));
}

#[tokio::test]
async fn without_who_am_i_what_the_directory_has_verified_says_who() {
    for (mechanism, credentials) in [("PLAIN", b"\0alice\0secret".as_slice()), ("EXTERNAL", b"u:alice")] {
        let mut bench = Bench::new().await;
        let mut client = bench.client().await;
        client.send(&sasl_bind(1, mechanism, credentials)).await;
        let mut directory = bench.accept().await;
        directory.next().await;
        directory.send(&response(1, 1, 0)).await;
        tell_nothing(&mut directory).await;
        assert_eq!(bench.question().await.asked.claim, Claim::Name("alice".to_owned()));
    }
}

#[tokio::test]
async fn whom_nobody_names_is_refused_unless_the_listener_relays_such_binds() {
    for relays in [false, true] {
        let change = |listener: &mut crate::Listener| {
            if relays {
                relay(listener);
            }
        };
        let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, change).await;
        let mut client = bench.client().await;
        client.send(&sasl_bind(1, "EXTERNAL", b"")).await;
        let mut directory = bench.accept().await;
        directory.next().await;
        directory.send(&response(1, 1, 0)).await;
        tell_nothing(&mut directory).await;
        if relays {
            assert_eq!(bench.question().await.asked.claim, Claim::Unreadable);
            continue;
        }
        let (asked, _) = bench.note().await;
        assert_eq!((asked.claim, asked.outcome), (Claim::Unreadable, Outcome::Failure));
        assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 7));
        directory.closed().await;
    }
}

#[tokio::test]
async fn a_mechanism_that_may_hide_the_stream_is_refused() {
    for mechanism in ["GSSAPI", "GSS-SPNEGO", "DIGEST-MD5", "X-NEW", ""] {
        let mut bench = Bench::new().await;
        let mut client = bench.client().await;
        client.send(&sasl_bind(1, mechanism, b"token")).await;
        assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 7), "{mechanism}");
        assert_eq!(bench.note().await.0.outcome, Outcome::Failure);
        bench.accept().await.nothing().await;
    }
}

#[tokio::test]
async fn a_hidden_stream_is_relayed_only_after_the_gate_s_leave() {
    let log = Log::default();
    let _listening = log.listen();
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, relay).await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "GSSAPI", b"token")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Unreadable);
    assert_eq!(question.asked.operation, Operation::Bind(BindMethod::OpaqueSasl("GSSAPI".to_owned())));
    client.nothing().await;
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
    use tokio::io::AsyncReadExt as _;
    client.send(b"\0\0\0\x06sealed").await;
    let mut got = [0; 10];
    directory.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\0\0\0\x06sealed");
    directory.send(b"nor\x00this").await;
    let mut got = [0; 8];
    client.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"nor\x00this");
    drop(client);
    directory.closed().await;
    drop(directory);
    let line = log.wait_for("an opaque stream has ended").await;
    assert!(line.contains("octets_to_directory=10 ") && line.contains("octets_to_client=8 "), "{line}");
    assert!(line.contains("mechanism=\"GSSAPI\" "), "{line}");
}

/// A client and its directory connection, behind a layer: eight octets have gone each way.
async fn hidden(change: impl FnOnce(&mut crate::Limits)) -> (Bench, Peer<TcpStream>, Peer<TcpStream>) {
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, |listener| {
        relay(listener);
        change(&mut listener.limits);
    })
    .await;
    let (mut client, mut directory) = accepted(&mut bench).await;
    client.send(b"\0\0\0\x04asks").await;
    pass(&mut directory, b"\0\0\0\x04asks").await;
    directory.send(b"\0\0\0\x04says").await;
    pass(&mut client, b"\0\0\0\x04says").await;
    (bench, client, directory)
}

/// A client whose bind may have put a layer on the stream.
async fn accepted(bench: &mut Bench) -> (Peer<TcpStream>, Peer<TcpStream>) {
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "GSSAPI", b"token")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    bench.question().await.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
    (client, directory)
}

async fn pass(to: &mut Peer<TcpStream>, octets: &[u8]) {
    use tokio::io::AsyncReadExt as _;
    let mut got = vec![0; octets.len()];
    tokio::time::timeout(bench::SOON, to.stream.read_exact(&mut got)).await.expect("it passes").unwrap();
    assert_eq!(got, octets);
}

#[tokio::test]
async fn a_hidden_stream_on_which_nothing_happens_ends() {
    let idle = Duration::from_millis(100);
    let (bench, mut client, mut directory) = hidden(|limits| limits.idle_timeout = Some(idle)).await;
    client.closed().await;
    directory.closed().await;
    assert_eq!(bench.shared.metrics().reached(Limit::Idle), 1);
}

#[tokio::test]
async fn a_hidden_stream_is_answered_before_the_gateway_ends() {
    let (bench, mut client, mut directory) = hidden(|limits| limits.drain = bench::SOON).await;
    client.send(b"\0\0\0\x04more").await;
    pass(&mut directory, b"\0\0\0\x04more").await;
    bench.stop.cancel();
    tokio::time::sleep(2 * bench::A_WHILE).await;
    directory.send(b"\0\0\0\x04last").await;
    pass(&mut client, b"\0\0\0\x04last").await;
    let answered = tokio::time::Instant::now();
    client.closed().await;
    assert!(answered.elapsed() < bench::SOON / 2, "nothing more is waited for");
    assert_eq!(bench.shared.metrics().reached(Limit::Drain), 0);
}

#[tokio::test]
async fn a_hidden_stream_that_is_not_answered_ends_with_the_drain() {
    let (bench, mut client, mut directory) = hidden(|limits| limits.drain = bench::A_WHILE).await;
    client.send(b"\0\0\0\x04more").await;
    pass(&mut directory, b"\0\0\0\x04more").await;
    bench.stop.cancel();
    client.closed().await;
    directory.closed().await;
    assert_eq!(bench.shared.metrics().reached(Limit::Drain), 1);
}

#[tokio::test]
async fn half_a_hidden_stream_does_not_stay() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_bench, mut client, mut directory) = hidden(|_| {}).await;
    client.stream.shutdown().await.unwrap();
    directory.closed().await;
    // The directory's side stays open; what comes of it still passes.
    directory.send(b"\0\0\0\x04last").await;
    pass(&mut client, b"\0\0\0\x04last").await;
    tokio::time::pause();
    assert_eq!(client.stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_directory_that_leaves_before_the_client_has_said_anything_is_told_of() {
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, relay).await;
    let (mut client, directory) = accepted(&mut bench).await;
    drop(directory);
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

#[tokio::test]
async fn a_success_before_the_layer_is_known_is_no_success() {
    let kerberos = [0x60, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "GSSAPI", &kerberos)).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let (asked, _) = bench.note().await;
    assert_eq!((asked.claim, asked.outcome, asked.directory_result), (Claim::Unreadable, Outcome::Failure, Some(0)));
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 7));
    directory.closed().await;
}
