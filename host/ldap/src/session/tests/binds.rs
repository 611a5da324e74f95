//! Nothing is a success before the gate says so, and nothing behind a bind is looked at before that.

use portcullis_core::gate::Claim;
use portcullis_core::{BindMethod, Operation, OperationKind, Outcome};

use super::*;
use crate::frame::op;
use crate::listener::Mode;

const ALICE: &str = "uid=alice,dc=example";
const NOTICE: (i32, u8) = (0, op::EXTENDED_RESPONSE);

#[tokio::test]
async fn a_success_waits_for_the_gate() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "secret")).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, bind(1, ALICE, "secret"));
    bench.no_question().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name(ALICE.to_owned()));
    assert_eq!(question.asked.operation, Operation::Bind(BindMethod::Simple));
    assert_eq!((question.asked.outcome, question.asked.directory_result), (Outcome::Success, Some(0)));
    client.nothing().await;
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
}

#[tokio::test]
async fn what_stands_behind_a_bind_waits_for_the_decision() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&[bind(1, ALICE, "secret"), search(2, "dc=a")].concat()).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.nothing().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    directory.nothing().await;
    question.permit();
    assert_eq!(directory.next().await, search(2, "dc=a"));
    assert_eq!(client.next().await, response(1, 1, 0));
}

#[tokio::test]
async fn a_second_bind_waits_for_the_first() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&[bind(1, ALICE, "secret"), bind(2, "uid=bob,dc=example", "other")].concat()).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let first = bench.question().await;
    directory.nothing().await;
    bench.no_question().await;
    first.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
    assert_eq!(directory.next().await, bind(2, "uid=bob,dc=example", "other"));
    directory.send(&response(2, 1, 0)).await;
    let second = bench.question().await;
    assert_eq!(second.asked.claim, Claim::Name("uid=bob,dc=example".to_owned()));
    second.permit();
    assert_eq!(client.next().await, response(2, 1, 0));
}

#[tokio::test]
async fn after_a_refused_bind_the_client_is_anonymous_on_a_fresh_connection() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&[bind(1, ALICE, "secret"), search(2, "dc=a")].concat()).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    bench.question().await.refuse("answer the challenge");
    let refusal = client.next().await;
    assert_eq!(bench::result(&refusal), (1, op::BIND_RESPONSE, 49));
    assert!(refusal.windows(20).any(|part| part == b"answer the challenge"));
    directory.closed().await;
    let mut fresh = bench.accept().await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Anonymous);
    question.permit();
    assert_eq!(fresh.next().await, search(2, "dc=a"));
    fresh.send(&response(2, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(2, op::SEARCH_DONE, 0));
}

#[tokio::test]
async fn a_refused_second_bind_ends_the_first_identity_and_what_ran_under_it() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound(ALICE).await;
    client.send(&search(2, "dc=slow")).await;
    assert_eq!(directory.next().await, search(2, "dc=slow"));
    client.send(&bind(3, "uid=bob", "x")).await;
    directory.next().await;
    directory.send(&response(3, 1, 0)).await;
    bench.question().await.refuse("no");
    assert_eq!(client.result().await, (2, op::SEARCH_DONE, 52));
    assert_eq!(client.result().await, (3, op::BIND_RESPONSE, 49));
    directory.closed().await;
}

#[tokio::test]
async fn what_a_bind_has_made_the_directory_give_up_is_not_outstanding_any_more() {
    for code in [0, 49] {
        let mut bench = Bench::new().await;
        let (mut client, mut directory) = bench.bound(ALICE).await;
        client.send(&search(2, "dc=slow")).await;
        assert_eq!(directory.next().await, search(2, "dc=slow"));
        client.send(&bind(3, "uid=bob", "x")).await;
        directory.next().await;
        directory.send(&response(3, 1, code)).await;
        if code == 0 {
            bench.question().await.permit();
        } else {
            bench.note().await;
        }
        assert_eq!(client.next().await, response(3, 1, code));
        client.send(&bind(2, ALICE, "secret")).await;
        // After a refusal, the connection that was somebody's is not gone on with.
        let mut directory = if code == 0 { directory } else { bench.accept().await };
        assert_eq!(directory.next().await, bind(2, ALICE, "secret"), "its message id is free");
    }
}

/// Samba does so where it does not know a critical control of the bind.
#[tokio::test]
async fn a_bind_that_is_refused_by_an_extended_response_is_over() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&[bind(1, ALICE, "secret"), search(2, "dc=a")].concat()).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::EXTENDED_RESPONSE, 12)).await;
    let (asked, _) = bench.note().await;
    assert_eq!((asked.outcome, asked.directory_result), (Outcome::Failure, Some(12)));
    assert_eq!(client.next().await, response(1, op::EXTENDED_RESPONSE, 12));
    directory.closed().await;
    let mut fresh = bench.accept().await;
    assert_eq!(fresh.next().await, search(2, "dc=a"), "what waited behind it goes on");
    fresh.send(&response(2, op::SEARCH_DONE, 0)).await;
    assert_eq!(client.next().await, response(2, op::SEARCH_DONE, 0));
}

/// Who has the password must not get past the gate with a request that is judged as nobody's and runs as somebody's.
#[tokio::test]
async fn the_answer_to_an_abandoned_request_does_not_let_what_follows_run_under_the_bind() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    let abandon = [0x30, 6, 2, 1, 6, 0x50, 1, 5];
    let all = [&extended(5, "1.2.3"), &abandon[..], &bind(5, ALICE, "secret"), &delete(7)].concat();
    client.send(&all).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, extended(5, "1.2.3"));
    assert_eq!(directory.next().await, abandon);
    assert_eq!(directory.next().await, bind(5, ALICE, "secret"));
    let answers = [response(5, op::EXTENDED_RESPONSE, 2), response(5, op::BIND_RESPONSE, 0)];
    directory.send(&answers.concat()).await;
    let (_, why) = bench.note().await;
    assert!(why.contains("an abandoned request"), "{why}");
    assert_eq!(client.next().await, response(5, op::EXTENDED_RESPONSE, 2));
    directory.closed().await;
    assert_eq!(bench.accept().await.next().await, delete(7), "on a connection that is nobody's");
}

/// One of two answers under one id could be taken for that to a bind.
#[tokio::test]
async fn a_message_id_that_is_in_use_ends_the_connection() {
    for second in [search(2, "dc=b"), extended(2, "1.2.3"), bind(2, ALICE, "secret")] {
        let mut bench = Bench::new().await;
        let (mut client, mut directory) = bench.bound(ALICE).await;
        client.send(&search(2, "dc=a")).await;
        assert_eq!(directory.next().await, search(2, "dc=a"));
        client.send(&second).await;
        assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
        client.closed().await;
        directory.closed().await;
    }
}

/// It cannot say that a password is right.
#[tokio::test]
async fn an_extended_success_is_no_success_of_a_bind() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, op::EXTENDED_RESPONSE, 0)).await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 52));
    bench.no_question().await;
    directory.closed().await;
}

#[tokio::test]
async fn a_failed_bind_is_noted_and_passed_on_as_it_is() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "wrong")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 49)).await;
    let (asked, _) = bench.note().await;
    assert_eq!((asked.outcome, asked.directory_result), (Outcome::Failure, Some(49)));
    assert_eq!(asked.claim, Claim::Name(ALICE.to_owned()));
    assert_eq!(client.next().await, response(1, 1, 49));
    client.send(&search(2, "dc=a")).await;
    assert_eq!(directory.next().await, search(2, "dc=a"));
}

/// Samba goes on taking a connection for whom it was; a request on it would run as somebody else than it was judged for.
#[tokio::test]
async fn after_a_failed_second_bind_the_first_identity_is_gone() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
    let (mut client, mut directory) = bench.bound(ALICE).await;
    client.send(&[bind(2, "uid=bob", "wrong"), search(3, "dc=a")].concat()).await;
    directory.next().await;
    directory.send(&response(2, 1, 49)).await;
    bench.note().await;
    assert_eq!(client.next().await, response(2, 1, 49));
    directory.closed().await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Anonymous);
    question.permit();
    assert_eq!(bench.accept().await.next().await, search(3, "dc=a"));
}

#[tokio::test]
async fn a_name_without_a_password_does_not_reach_the_directory() {
    let mut bench = Bench::new().await;
    let (mut client, mut directory) = bench.bound(ALICE).await;
    client.send(&[bind(2, "uid=bob,dc=example", ""), search(3, "dc=a")].concat()).await;
    assert_eq!(client.result().await, (2, op::BIND_RESPONSE, 53));
    let (asked, _) = bench.note().await;
    assert_eq!((asked.outcome, asked.directory_result), (Outcome::Failure, None));
    // The client is told that the bind failed, so it must not go on as alice.
    directory.closed().await;
    let mut fresh = bench.accept().await;
    assert_eq!(fresh.next().await, search(3, "dc=a"));
}

#[tokio::test]
async fn a_name_without_a_password_is_nobody_where_it_is_allowed() {
    let allow = |listener: &mut crate::Listener| listener.rules.allow_unauthenticated_bind = true;
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, allow).await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    assert_eq!(bench.question().await.asked.claim, Claim::Anonymous);
}

#[tokio::test]
async fn leaving_cancels_the_challenge() {
    for farewell in [None, Some(unbind(2))] {
        let mut bench = Bench::new().await;
        let mut client = bench.client().await;
        client.send(&bind(1, ALICE, "secret")).await;
        let mut directory = bench.accept().await;
        directory.next().await;
        directory.send(&response(1, 1, 0)).await;
        let question = bench.question().await;
        match farewell {
            Some(unbind) => client.send(&unbind).await,
            None => drop(client),
        }
        question.cancelled().await;
        directory.closed().await;
    }
}

#[tokio::test]
async fn abandoning_a_bind_does_nothing() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client
        .send(&[bind(1, ALICE, "secret"), bench::encode(2, ldap3_proto::proto::LdapOp::AbandonRequest(1))].concat())
        .await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    client.nothing().await;
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
}

#[tokio::test]
async fn a_client_that_runs_away_from_the_password_check_is_noted() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "guess")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    drop(client);
    let (asked, _) = bench.note().await;
    assert_eq!(asked.claim, Claim::Name(ALICE.to_owned()));
    assert_eq!((asked.outcome, asked.directory_result), (Outcome::Failure, None));
}

#[tokio::test]
async fn an_undecided_request_never_runs_under_the_identity_of_a_later_bind() {
    let mut bench = Bench::with(&[OperationKind::Delete], Mode::Plain { starttls: None }, |_| {}).await;
    let mut client = bench.client().await;
    let delete = bench::encode(1, ldap3_proto::proto::LdapOp::DelRequest("uid=x".to_owned()));
    client.send(&[delete.clone(), bind(2, ALICE, "secret")].concat()).await;
    let mut directory = bench.accept().await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Anonymous);
    directory.nothing().await;
    question.permit();
    assert_eq!(directory.next().await, delete);
    assert_eq!(directory.next().await, bind(2, ALICE, "secret"));
}

#[tokio::test]
async fn a_success_that_nobody_asked_for_never_arrives() {
    // Before any bind, with another id, and a second one while the first is decided on.
    for case in 0..3 {
        let bench = Bench::new().await;
        let mut client = bench.client().await;
        let first = if case == 0 { search(1, "dc=a") } else { bind(1, ALICE, "secret") };
        client.send(&first).await;
        let mut directory = bench.accept().await;
        directory.next().await;
        match case {
            0 => directory.send(&response(1, 1, 0)).await,
            1 => directory.send(&response(2, 1, 0)).await,
            _ => directory.send(&[response(1, 1, 0), response(1, 1, 0)].concat()).await,
        }
        let refusal = if case == 0 { op::SEARCH_DONE } else { op::BIND_RESPONSE };
        assert_eq!(client.result().await, (1, refusal, 52), "case {case}");
        let (id, op, code) = client.result().await;
        assert_eq!(((id, op), code), (NOTICE, 52), "case {case}");
        client.closed().await;
        directory.closed().await;
    }
}

#[tokio::test]
async fn an_answer_to_a_bind_that_cannot_be_read_never_arrives() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    // The result code with the tag of an integer.
    directory.send(&[0x30, 0x0c, 0x02, 0x01, 1, 0x61, 0x07, 0x02, 0x01, 0, 0x04, 0x00, 0x04, 0x00]).await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 52));
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

#[tokio::test]
async fn a_bind_that_cannot_be_read_is_answered_here() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    let mut strange = bind(1, ALICE, "secret");
    // The name's tag says "in pieces".
    strange[10] = 0x24;
    client.send(&strange).await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 2));
    assert_eq!(bench.note().await.0.claim, Claim::Unreadable);
    bench.accept().await.nothing().await;
}

#[tokio::test]
async fn a_bind_with_an_id_in_use_ends_the_connection() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&search(1, "dc=a")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    client.send(&bind(1, ALICE, "secret")).await;
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 2));
    client.closed().await;
    directory.closed().await;
}

#[tokio::test]
async fn a_name_that_is_no_dn_is_the_directory_s_to_explain() {
    let mut bench = Bench::new().await;
    let mut client = bench.client().await;
    client.send(&bind(1, "Alice Example", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    sasl::tell(&mut directory, "u:EXAMPLE\\alice").await;
    let question = bench.question().await;
    assert_eq!(question.asked.claim, Claim::Name("EXAMPLE\\alice".to_owned()));
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));
    client.nothing().await;
}

#[tokio::test]
async fn a_bind_that_no_directory_could_check_is_recorded_before_it_is_answered() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let upstream = crate::Upstream::new("127.0.0.1", port, crate::Security::Plain);
    let directory = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = Mode::Plain { starttls: None };
    let mut bench = Bench::before(directory, crate::Upstreams::single(upstream), &[], plain, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&bind(1, "uid=alice", "secret")).await;
    assert_eq!(client.result().await, (1, op::BIND_RESPONSE, 52));
    let (asked, why) = bench.noted().expect("it is recorded already");
    assert_eq!((asked.entry.as_deref(), asked.directory_result), (Some("uid=alice"), None));
    assert_eq!(why, "the directory is not available");
    assert_eq!(client.result().await, (0, op::EXTENDED_RESPONSE, 52));
    client.closed().await;
}

/// The application that the gate is reminded of with a bind of this name, and its question.
async fn rebind(
    bench: &mut Bench,
    client: &mut Peer<tokio::net::TcpStream>,
    directory: &mut Peer<tokio::net::TcpStream>,
    id: u8,
    name: &str,
) -> (Option<String>, bench::Question) {
    client.send(&bind(id.into(), name, "secret")).await;
    directory.next().await;
    directory.send(&response(id, 1, 0)).await;
    let question = bench.question().await;
    (question.asked.connection.application.clone(), question)
}

#[tokio::test]
async fn a_connection_stays_its_application_s_after_the_bind_of_somebody_else() {
    let mut bench = Bench::with(&[OperationKind::Search], Mode::Plain { starttls: None }, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&bind(1, "cn=wiki", "secret")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.connection.application, None);
    question.permit_application("wiki");
    client.next().await;

    client.send(&search(2, "dc=a")).await;
    let question = bench.question().await;
    assert_eq!(question.asked.connection.application.as_deref(), Some("wiki"));
    question.permit();
    directory.next().await;
    directory.send(&response(2, op::SEARCH_DONE, 0)).await;
    client.next().await;

    let (application, question) = rebind(&mut bench, &mut client, &mut directory, 3, ALICE).await;
    assert_eq!(application.as_deref(), Some("wiki"));
    question.refuse("no");
    client.next().await;
    // A refusal costs the connection to the directory, but the client's is still the same.
    client.send(&bind(4, ALICE, "wrong")).await;
    let mut directory = bench.accept().await;
    directory.next().await;
    directory.send(&response(4, 1, 49)).await;
    assert_eq!(bench.note().await.0.connection.application.as_deref(), Some("wiki"));
    client.next().await;
    let (application, question) = rebind(&mut bench, &mut client, &mut directory, 5, "cn=payroll").await;
    assert_eq!(application.as_deref(), Some("wiki"));
    question.permit_application("payroll");
    client.next().await;
    let (application, _) = rebind(&mut bench, &mut client, &mut directory, 6, ALICE).await;
    assert_eq!(application.as_deref(), Some("payroll"));

    // Another connection knows nothing of it.
    let mut other = bench.client().await;
    other.send(&search(1, "dc=a")).await;
    assert_eq!(bench.question().await.asked.connection.application, None);
}

#[tokio::test]
async fn a_code_behind_the_password_goes_to_the_gate_and_the_password_to_the_directory() {
    let set = |listener: &mut crate::listener::Listener| listener.rules.appended_codes = Some(",".to_owned());
    let mut bench = Bench::with(&[], Mode::Plain { starttls: None }, set).await;
    let mut client = bench.client().await;
    client.send(&bind(1, ALICE, "secret,294871")).await;
    let mut directory = bench.accept().await;
    assert_eq!(directory.next().await, bind(1, ALICE, "secret"));
    directory.send(&response(1, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.code.as_ref().map(portcullis_core::Secret::reveal), Some("294871"));
    question.permit();
    assert_eq!(client.next().await, response(1, 1, 0));

    client.send(&bind(2, ALICE, "secret,more")).await;
    assert_eq!(directory.next().await, bind(2, ALICE, "secret,more"));
    directory.send(&response(2, 1, 0)).await;
    let question = bench.question().await;
    assert_eq!(question.asked.code, None);
    question.permit();
}
