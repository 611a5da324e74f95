//! SASL: several steps, who it was, and streams that cannot be read.

use ldap3_proto::proto::{LdapExtendedResponse, LdapOp, LdapResult, LdapResultCode};
use portcullis_core::Outcome;
use portcullis_core::gate::Claim;
use tokio::net::TcpStream;

use super::*;
use crate::decode::WHO_AM_I;
use crate::frame::{Frame, op};
use crate::listener::{Mode, OpaqueSasl};

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
async fn without_who_am_i_plain_says_who_and_others_do_not() {
    for (mechanism, expected) in [("PLAIN", Claim::Name("alice".to_owned())), ("EXTERNAL", Claim::Unreadable)] {
        let mut bench = Bench::new().await;
        let mut client = bench.client().await;
        client.send(&sasl_bind(1, mechanism, b"\0alice\0secret")).await;
        let mut directory = bench.accept().await;
        directory.next().await;
        directory.send(&response(1, 1, 0)).await;
        let own = Frame::new(directory.next().await.into()).unwrap();
        let no = crate::encode::OwnAnswer::refusal(own.id(), op::EXTENDED, crate::encode::Code::ProtocolError, "");
        directory.send(&no.unwrap().into_bytes()).await;
        assert_eq!(bench.question().await.asked.claim, expected);
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
    let relay = |listener: &mut crate::Listener| listener.rules.opaque_sasl = OpaqueSasl::Relay;
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, relay).await;
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "GSSAPI", b"token")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Unreadable);
    client.nothing().await;
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
    use tokio::io::AsyncReadExt as _;
    client.send(b"\xff\x00not ldap").await;
    let mut got = [0; 10];
    directory.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\xff\x00not ldap");
    directory.send(b"nor\x00this").await;
    let mut got = [0; 8];
    client.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"nor\x00this");
}
