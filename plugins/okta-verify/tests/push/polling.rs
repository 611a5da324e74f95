//! Following a push to its end.

use okta::contract::portcullis::gateway::http::{HttpError, Method};
use okta::script::{error, reply};
use okta_verify::contract::exports::portcullis::gateway::authenticator::{Progress, Step};
use okta_verify::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_verify::push;

use crate::answers::*;

fn poll_with(answer: Answer) -> Result<Step, ConnectorError> {
    let (script, step) = sent("");
    script.push(answer);
    push::poll(&script, &settings(""), &step.handle)
}

#[test]
fn only_the_exact_word_is_a_yes() {
    for (word, progress) in [
        ("SUCCESS", Progress::Approved),
        ("WAITING", Progress::Waiting),
        ("REJECTED", Progress::Denied),
        ("TIMEOUT", Progress::Expired),
        ("EXPIRED", Progress::Expired),
        ("CANCELLED", Progress::Expired),
        ("FAILED", Progress::Failed),
        ("ERROR", Progress::Failed),
        ("CHALLENGE", Progress::Failed),
        ("success", Progress::Failed),
        ("SUCCESS ", Progress::Failed),
        ("SUCCESSFUL", Progress::Failed),
        ("", Progress::Failed),
    ] {
        assert_eq!(poll_with(result(word)).unwrap().progress, progress, "{word}");
    }
}

#[test]
fn an_answer_without_the_word_is_no_news() {
    for body in ["", "[]", "{}", r#"{"factorResult":true}"#, r#"{"status":"SUCCESS"}"#] {
        assert!(matches!(poll_with(Ok(reply(200, &[], body))), Err(ConnectorError::Protocol(_))), "{body}");
    }
}

#[test]
fn each_poll_follows_the_latest_link() {
    let (script, first) = sent("");
    script.push(waiting("v2mst.Ab3example", ""));
    script.push(result("SUCCESS"));
    let second = push::poll(&script, &settings(""), &first.handle).unwrap();
    assert_eq!((second.progress, second.poll_after_ms), (Progress::Waiting, 2_000));
    let third = push::poll(&script, &settings(""), &second.handle).unwrap();
    assert_eq!(third.progress, Progress::Approved);
    let urls: Vec<_> = script.requests().into_iter().skip(3).map(|request| (request.method, request.url)).collect();
    let expected = ["mst5exampleTxn001", "v2mst.Ab3example"].map(|id| (Method::Get, transaction_link(id)));
    assert_eq!(urls, expected);
}

#[test]
fn a_number_may_show_up_later_and_stays() {
    let (script, first) = sent("");
    assert_eq!(number(&first), None);
    script.push(waiting("mst5", r#","_embedded":{"challenge":{"correctAnswer":93}}"#));
    script.push(waiting("mst5", ""));
    let second = push::poll(&script, &settings(""), &first.handle).unwrap();
    let third = push::poll(&script, &settings(""), &second.handle).unwrap();
    assert_eq!((number(&second), number(&third)), (Some(93), Some(93)));
}

#[test]
fn a_link_that_leads_elsewhere_is_not_followed() {
    let Ok(mut answer) = waiting("mst5", "") else { panic!("no answer") };
    answer.body = String::from_utf8(answer.body).unwrap().replace(BASE, "https://evil.example").into_bytes();
    assert!(matches!(poll_with(Ok(answer)), Err(ConnectorError::Protocol(_))));

    let (script, step) = sent("");
    let forged = step.handle.replace(BASE, "https://evil.example");
    assert!(matches!(push::poll(&script, &settings(""), &forged), Err(ConnectorError::Protocol(_))));
    assert!(matches!(push::cancel(&script, &settings(""), &forged), Err(ConnectorError::Protocol(_))));
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn a_lost_poll_leaves_the_push_open() {
    for answer in [
        Err(HttpError::Timeout),
        Err(HttpError::TooLarge),
        Err(HttpError::Malformed("cut".to_owned())),
        Err(HttpError::Unreachable("refused".to_owned())),
        Ok(error(500, "E0000009")),
        Ok(error(503, "E0000010")),
        Ok(reply(504, &[], "")),
    ] {
        assert!(matches!(poll_with(answer), Err(ConnectorError::Unavailable(_))));
    }
    let (script, step) = sent("");
    script.push(Err(HttpError::Timeout));
    script.push(result("SUCCESS"));
    assert!(push::poll(&script, &settings(""), &step.handle).is_err());
    assert_eq!(push::poll(&script, &settings(""), &step.handle).unwrap().progress, Progress::Approved);
}

#[test]
fn refusals_of_a_poll_are_told_apart() {
    for (status, code, progress) in [
        (404, "E0000007", Progress::Expired),
        (404, "E0000048", Progress::Expired),
        (403, "E0000073", Progress::Denied),
        (403, "E0000069", Progress::Failed),
        (403, "E0000038", Progress::Failed),
        (403, "E0000079", Progress::Failed),
        (403, "E9999999", Progress::Failed),
    ] {
        assert_eq!(poll_with(Ok(error(status, code))).unwrap().progress, progress, "{code}");
    }
    assert!(matches!(poll_with(Ok(error(401, "E0000011"))), Err(ConnectorError::Unauthorized(_))));
    assert!(matches!(poll_with(Ok(reply(401, &[], ""))), Err(ConnectorError::Unauthorized(_))));
    assert!(matches!(poll_with(Ok(error(403, "E0000006"))), Err(ConnectorError::Forbidden(_))));
}

#[test]
fn rate_limits_say_how_long_to_wait() {
    let limited = |headers: &[(&str, &str)]| poll_with(Ok(reply(429, headers, "{}"))).unwrap_err();
    let both = [DATE, ("x-rate-limit-reset", "1795489860"), ("x-rate-limit-reset", "1795489807")];
    assert_eq!(limited(&both), ConnectorError::RateLimited(6_000));
    assert_eq!(limited(&[]), ConnectorError::RateLimited(2_000));
    assert_eq!(limited(&[DATE, ("x-rate-limit-reset", "1795499999")]), ConnectorError::RateLimited(60_000));
}

#[test]
fn a_small_budget_is_spent_slowly() {
    let Ok(mut answer) = waiting("mst5", "") else { panic!("no answer") };
    let scarce = reply(200, &[("x-rate-limit-limit", "100"), ("x-rate-limit-remaining", "9")], "");
    answer.headers.extend(scarce.headers);
    assert_eq!(poll_with(Ok(answer)).unwrap().poll_after_ms, 6_000);
}

#[test]
fn after_its_end_a_push_is_not_asked_about() {
    let (script, step) = sent("");
    script.push(result("SUCCESS"));
    script.set_now(NOW + 90_000);
    let late = push::poll(&script, &settings(""), &step.handle).unwrap();
    assert_eq!((late.progress, late.expires_in_seconds), (Progress::Expired, 0));
    assert_eq!((script.requests().len(), script.left()), (3, 1));
}

#[test]
fn a_push_is_taken_back() {
    for answer in
        [Ok(reply(200, &[], "{}")), Ok(reply(202, &[], "")), Ok(reply(204, &[], "")), Ok(error(404, "E0000007"))]
    {
        let (script, step) = sent("");
        script.push(answer);
        push::cancel(&script, &settings(""), &step.handle).unwrap();
        let request = &script.requests()[3];
        assert_eq!((request.method, &*request.url), (Method::Delete, &*transaction_link("mst5exampleTxn001")));
    }
    for answer in [Ok(error(500, "E0000009")), Err(HttpError::Timeout)] {
        let (script, step) = sent("");
        script.push(answer);
        assert!(matches!(push::cancel(&script, &settings(""), &step.handle), Err(ConnectorError::Unavailable(_))));
    }
}

#[test]
fn a_push_without_a_cancel_link_cannot_be_taken_back_and_that_is_fine() {
    let link = transaction_link("mst5");
    let body = format!(r#"{{"factorResult":"WAITING","_links":{{"poll":{{"href":"{link}"}}}}}}"#);
    let script = script([active(), one_phone(), Ok(reply(201, &[DATE], &body))]);
    let step = push::start(&script, &settings(""), &mona()).unwrap();
    push::cancel(&script, &settings(""), &step.handle).unwrap();
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn a_handle_of_something_else_is_refused() {
    let script = script([]);
    for handle in ["", "{}", "null", r#"{"poll":"https://acme.okta.com/"}"#] {
        assert!(matches!(push::poll(&script, &settings(""), handle), Err(ConnectorError::Protocol(_))));
        assert!(matches!(push::cancel(&script, &settings(""), handle), Err(ConnectorError::Protocol(_))));
    }
}
