//! NTLM: who it is, whether a layer follows, and what becomes of the stream.

use ldap3_proto::proto::{LdapOp, LdapResult, LdapResultCode};
use portcullis_core::gate::Claim;
use portcullis_core::{BindMethod, Operation, OperationKind, Outcome};
use tokio::net::TcpStream;

use super::bench::Log;
use super::sasl::{relay, tell, tell_nothing};
use super::*;
use crate::encode::OwnRequest;
use crate::frame::{Frame, op};
use crate::listener::Mode;

/// NTLM's two messages for alice of EXAMPLE, with these flags beside Unicode.
fn ntlm(flags: u8) -> [Vec<u8>; 2] {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let payload = [b"proof".to_vec(), utf16("EXAMPLE"), utf16("alice")];
    let (mut fields, mut place) = (vec![0; 8], 64_u8);
    for value in &payload {
        let length = u8::try_from(value.len()).unwrap();
        fields.extend([length, 0, length, 0, place, 0, 0, 0]);
        place += length;
    }
    fields.extend([0; 16]);
    let last = [&b"NTLMSSP\0\x03\0\0\0"[..], &fields, &[1 | flags, 0, 0, 0], &payload.concat()].concat();
    [b"NTLMSSP\0\x01\0\0\0\x01\0\0\0".to_vec(), last]
}

/// A client that has sent both messages, and its directory, which has not answered the last one.
async fn ntlm_bind(bench: &Bench, flags: u8) -> (Peer<TcpStream>, Peer<TcpStream>) {
    let [first, last] = ntlm(flags);
    let mut client = bench.client().await;
    client.send(&sasl_bind(1, "GSS-SPNEGO", &first)).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, sasl_bind(1, "GSS-SPNEGO", &first));
    directory.send(&response(1, 1, 14)).await;
    assert_eq!(client.next().await, response(1, 1, 14));
    client.send(&sasl_bind(2, "GSS-SPNEGO", &last)).await;
    (client, directory)
}

#[tokio::test]
async fn ntlm_without_a_layer_leaves_a_stream_that_is_read() {
    for told in [Some("u:EXAMPLE\\alice"), None] {
        let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
        let (mut client, mut directory) = ntlm_bind(&bench, 0).await;
        directory.next().await;
        directory.send(&response(2, 1, 0)).await;
        match told {
            Some(identity) => tell(&mut directory, identity).await,
            None => tell_nothing(&mut directory).await,
        }
        let question = bench.question().await;
        let alice = Claim::Name("EXAMPLE\\alice".to_owned());
        assert_eq!(question.asked.claim, alice);
        assert_eq!(question.asked.operation, Operation::Bind(BindMethod::Sasl("GSS-SPNEGO".to_owned())));
        question.permit();
        assert_eq!(client.next().await, response(2, 1, 0));
        client.send(&search(3, "dc=a")).await;
        let question = bench.question().await;
        assert_eq!(question.asked.claim, alice);
        question.refuse("no");
        assert_eq!(client.result().await, (3, op::SEARCH_DONE, 50));
        directory.nothing().await;
    }
}

#[tokio::test]
async fn the_directory_s_word_counts_more_than_the_name_in_ntlm() {
    let mut bench = Bench::new().await;
    let (_client, mut directory) = ntlm_bind(&bench, 0).await;
    directory.next().await;
    directory.send(&response(2, 1, 0)).await;
    tell(&mut directory, "u:EXAMPLE\\bob").await;
    assert_eq!(bench.question().await.asked.claim, Claim::Name("EXAMPLE\\bob".to_owned()));
}

#[tokio::test]
async fn a_refused_ntlm_bind_is_noted_under_the_name_that_was_tried() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = ntlm_bind(&bench, 0).await;
    directory.next().await;
    directory.send(&response(2, 1, 49)).await;
    let (asked, _) = bench.note().await;
    assert_eq!((asked.claim, asked.outcome), (Claim::Name("EXAMPLE\\alice".to_owned()), Outcome::Failure));
    assert_eq!(client.next().await, response(2, 1, 49));
}

#[tokio::test]
async fn ntlm_with_a_layer_is_refused_before_the_directory_sees_the_proof() {
    for flag in [0x10, 0x20] {
        let mut bench = Bench::new().await;
        let (mut client, mut directory) = ntlm_bind(&bench, flag).await;
        let (asked, _) = bench.note().await;
        assert_eq!((asked.claim, asked.outcome), (Claim::Name("EXAMPLE\\alice".to_owned()), Outcome::Failure));
        assert_eq!(client.result().await, (2, op::BIND_RESPONSE, 7));
        directory.closed().await;
    }
}

#[tokio::test]
async fn a_relayed_ntlm_bind_is_decided_on_under_the_name_that_the_directory_has_verified() {
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, relay).await;
    let (mut client, mut directory) = ntlm_bind(&bench, 0x30).await;
    directory.next().await;
    directory.send(&response(2, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name("EXAMPLE\\alice".to_owned()));
    assert_eq!(question.asked.operation, Operation::Bind(BindMethod::OpaqueSasl("GSS-SPNEGO".to_owned())));
    question.refuse("no");
    assert_eq!(client.result().await, (2, op::BIND_RESPONSE, 49));
    directory.closed().await;
}

/// A client asks for a layer, gets leave to be relayed unseen, and then does without: its requests are judged.
#[tokio::test]
async fn who_goes_on_in_the_clear_is_heard_on() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, relay).await;
    let (mut client, mut directory) = ntlm_bind(&bench, 0x30).await;
    directory.next().await;
    directory.send(&response(2, 1, 0)).await;
    bench.question().await.permit();
    assert_eq!(client.next().await, response(2, 1, 0));
    client.send(&search(3, "dc=a")).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name("EXAMPLE\\alice".to_owned()));
    question.refuse("no");
    assert_eq!(client.result().await, (3, op::SEARCH_DONE, 50));
    directory.nothing().await;
}

#[tokio::test]
async fn what_is_neither_ends_the_connection() {
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, relay).await;
    let (mut client, mut directory) = ntlm_bind(&bench, 0x30).await;
    directory.next().await;
    directory.send(&response(2, 1, 0)).await;
    bench.question().await.permit();
    client.next().await;
    client.send(b"\x16\x03\x01").await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
    directory.closed().await;
}

/// Between two steps the directory may still take the connection for whom it was before (Samba does).
#[tokio::test]
async fn a_request_between_two_steps_is_judged_for_whom_the_connection_was_before() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
    let (mut client, mut directory) = bench.bound("uid=alice,dc=example").await;
    let [first, last] = ntlm(0);
    client.send(&sasl_bind(2, "GSS-SPNEGO", &first)).await;
    directory.next().await;
    directory.send(&response(2, 1, 14)).await;
    client.next().await;
    client.send(&search(3, "dc=a")).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name("uid=alice,dc=example".to_owned()));
    question.refuse("no");
    assert_eq!(client.result().await, (3, op::SEARCH_DONE, 50));
    client.send(&sasl_bind(4, "GSS-SPNEGO", &last)).await;
    assert_eq!(directory.next().await, sasl_bind(4, "GSS-SPNEGO", &last));
}

/// A bind request with one of Sicily's choices.
fn sicily(id: u8, name: &str, choice: u8, value: &[u8]) -> Vec<u8> {
    let short = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
    let request = [short(0x02, &[3]), short(0x04, name.as_bytes()), short(choice, value)].concat();
    short(0x30, &[short(0x02, &[id]), short(0x60, &request)].concat())
}

#[tokio::test]
async fn the_successes_in_the_middle_of_sicily_pass_and_the_last_one_waits_for_the_gate() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
    let [first, last] = ntlm(0);
    let mut client = bench.client().await;
    client.send(&sicily(1, "", 0x89, b"")).await;
    let mut directory = bench.accept().await;
    for (id, step) in [(1, sicily(1, "", 0x89, b"")), (2, sicily(2, "NTLM", 0x8a, &first))] {
        if id > 1 {
            client.send(&step).await;
        }
        assert_eq!(directory.next().await, step);
        directory.send(&response(id, 1, 0)).await;
        assert_eq!(client.next().await, response(id, 1, 0));
    }
    // Nobody is bound yet.
    client.send(&search(3, "dc=a")).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Anonymous);
    question.refuse("no");
    client.next().await;
    client.send(&sicily(4, "", 0x8b, &last)).await;
    assert_eq!(directory.next().await, sicily(4, "", 0x8b, &last));
    directory.send(&response(4, 1, 0)).await;
    tell(&mut directory, "u:EXAMPLE\\alice").await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name("EXAMPLE\\alice".to_owned()));
    assert_eq!(question.asked.operation, Operation::Bind(BindMethod::Sasl("NTLM".to_owned())));
    client.nothing().await;
    question.refuse("no");
    assert_eq!(client.result().await, (4, op::BIND_RESPONSE, 49));
    directory.closed().await;
}

#[tokio::test]
async fn sicily_with_a_layer_is_refused() {
    let mut bench = Bench::new().await;
    let [first, last] = ntlm(0x20);
    let mut client = bench.client().await;
    client.send(&sicily(1, "NTLM", 0x8a, &first)).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    client.next().await;
    client.send(&sicily(2, "", 0x8b, &last)).await;
    assert_eq!(bench.note().await.0.claim, Claim::Name("EXAMPLE\\alice".to_owned()));
    assert_eq!(client.result().await, (2, op::BIND_RESPONSE, 7));
    directory.closed().await;
}

/// A client that negotiates a layer and hides that: the directory takes the gateway's own question for a broken buffer.
#[tokio::test]
async fn a_layer_that_was_not_shown_ends_the_connection_and_not_the_policies() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = ntlm_bind(&bench, 0).await;
    directory.next().await;
    directory.send(&response(2, 1, 0)).await;
    directory.next().await;
    directory.send(b"\0\0\0\x06sealed").await;
    assert_eq!(client.result().await, (2, op::BIND_RESPONSE, 52));
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
    directory.closed().await;
    bench.no_question().await;
}

/// What Active Directory says of a channel binding reaches the client as it is, and the administrator in words.
#[tokio::test]
async fn a_channel_binding_to_another_certificate_is_named_in_the_log() {
    let log = Log::default();
    let _listening = log.listen();
    let refusal = |id: u8, text: &str| {
        let result = [&[0x0a, 0x01, 49, 0x04, 0x00, 0x04, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let size = u8::try_from(result.len()).unwrap();
        [&[0x30, size + 5, 0x02, 0x01, id, 0x61, size][..], &result].concat()
    };
    for (text, named) in [("80090308: data 52e, v4563\0", false), ("80090346: data 80090346, v4563\0", true)] {
        let mut bench = Bench::new().await;
        let (mut client, mut directory) = ntlm_bind(&bench, 0).await;
        directory.next().await;
        directory.send(&refusal(2, text)).await;
        bench.note().await;
        assert_eq!(client.next().await, refusal(2, text));
        assert_eq!(log.lines().iter().any(|line| line.contains("channel binding")), named, "{text}");
    }
}

/// The security identifiers that Active Directory shows of somebody: the own one, then a group's.
fn own_sids(id: i32, first: &[u8]) -> Vec<u8> {
    let short = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
    let group = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let values = short(0x31, &[short(0x04, first), short(0x04, &group)].concat());
    let attribute = short(0x30, &[short(0x04, b"tokenGroups"), values].concat());
    let entry = short(0x64, &[short(0x04, b""), short(0x30, &attribute)].concat());
    short(0x30, &[short(0x02, &id.to_be_bytes()), entry].concat())
}

#[tokio::test]
async fn active_directory_without_who_am_i_shows_who_by_the_security_identifier() {
    let alice = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0x4e, 4, 0, 0];
    let nobody = [1, 1, 0, 0, 0, 0, 0, 5, 7, 0, 0, 0];
    for (first, expected) in [
        (Some(&alice[..]), Claim::Name("<SID=S-1-5-21-1-2-3-1102>".to_owned())),
        (Some(&nobody), Claim::Anonymous),
        (Some(&alice[..27]), Claim::Name("EXAMPLE\\alice".to_owned())),
        (None, Claim::Name("EXAMPLE\\alice".to_owned())),
    ] {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut upstream = crate::Upstream::new("127.0.0.1", port, crate::Security::Plain);
        upstream.active_directory = true;
        let mut bench =
            Bench::before(socket, crate::Upstreams::single(upstream), &[], Mode::Plain { starttls: None }, |_| {})
                .await;
        let (_client, mut directory) = ntlm_bind(&bench, 0).await;
        directory.next().await;
        directory.send(&response(2, 1, 0)).await;
        tell_nothing(&mut directory).await;
        let own = Frame::new(directory.next().await.into()).unwrap();
        assert_eq!(own.bytes(), OwnRequest::own_sids(own.id()).into_bytes());
        if let Some(first) = first {
            directory.send(&own_sids(own.id(), first)).await;
        }
        let done = LdapOp::SearchResultDone(LdapResult {
            code: LdapResultCode::Success,
            matcheddn: String::new(),
            message: String::new(),
            referral: vec![],
        });
        directory.send(&bench::encode(own.id(), done)).await;
        assert_eq!(bench.question().await.asked.claim, expected);
    }
}
