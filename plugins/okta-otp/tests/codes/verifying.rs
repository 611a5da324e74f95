//! Trying codes.

use okta::contract::portcullis::gateway::http::{HttpError, Method};
use okta::script::{error, header, reply};
use okta_otp::codes;
use okta_otp::contract::exports::portcullis::gateway::authenticator::{Progress, Step};
use okta_otp::contract::exports::portcullis::gateway::connector::ConnectorError;

use crate::answers::*;

fn verify_with(answer: Answer) -> Result<Step, ConnectorError> {
    let (script, step) = asked(&[SMS, EMAIL]);
    script.push(answer);
    let tried = codes::verify(&script, &settings(""), &step.handle, "294871");
    assert_eq!(script.requests().len(), 4, "a code is tried once, whatever comes back");
    tried
}

#[test]
fn a_code_is_sent_as_text_with_its_zeros() {
    for (typed, sent) in [("294871", "294871"), ("004871", "004871"), (" 294 871 ", "294871")] {
        let (script, step) = asked(&[TOTP]);
        script.push(result("SUCCESS"));
        let step = codes::verify(&script, &settings(""), &step.handle, typed).unwrap();
        assert_eq!(step.progress, Progress::Approved);
        let request = script.requests().pop().unwrap();
        assert_eq!((request.method, request.url.as_str()), (Method::Post, verify_link(TOTP).as_str()));
        assert_eq!(String::from_utf8(request.body.clone()).unwrap(), format!(r#"{{"passCode":"{sent}"}}"#));
        assert_eq!(header(&request, "content-type"), Some("application/json"));
    }
}

#[test]
fn what_cannot_be_a_code_never_gets_to_okta() {
    for typed in
        ["", " ", "29487", "2948711", "29487a", "-29487", "+294871", "294.71", "٢٩٤٨٧١", "29487１", "\u{0}294871"]
    {
        let (script, step) = asked(&[SMS]);
        let before = script.requests().len();
        let step = codes::verify(&script, &settings(""), &step.handle, typed).unwrap();
        assert_eq!(script.requests().len(), before, "{typed:?} would have been a wish for another text message");
        assert_eq!(step.progress, Progress::Waiting, "{typed:?}");
        assert!(note(&step).contains("6 digits"), "{}", note(&step));
    }
    let (script, step) = asked(&[TOTP]);
    script.push(result("SUCCESS"));
    let eight = settings(r#","digits":8"#);
    assert_eq!(codes::verify(&script, &eight, &step.handle, "294871").unwrap().progress, Progress::Waiting);
    assert_eq!(codes::verify(&script, &eight, &step.handle, "29487111").unwrap().progress, Progress::Approved);
}

#[test]
fn only_the_exact_word_is_a_yes() {
    for (word, progress) in [
        ("SUCCESS", Progress::Approved),
        ("success", Progress::Failed),
        ("SUCCESS ", Progress::Failed),
        ("SUCCESSFUL", Progress::Failed),
        ("", Progress::Failed),
        ("WAITING", Progress::Failed),
        ("CHALLENGE", Progress::WrongCode),
        ("FAILED", Progress::WrongCode),
        ("PASSCODE_REPLAYED", Progress::WrongCode),
        ("TIME_WINDOW_EXCEEDED", Progress::WrongCode),
        ("EXPIRED", Progress::WrongCode),
        ("TIMEOUT", Progress::WrongCode),
        ("REJECTED", Progress::Denied),
        ("ERROR", Progress::Failed),
        ("CANCELLED", Progress::Failed),
        ("SOMETHING_NEW", Progress::Failed),
    ] {
        assert_eq!(verify_with(result(word)).unwrap().progress, progress, "{word}");
    }
}

#[test]
fn used_wrong_and_out_of_window_are_told_apart_in_both_forms() {
    let forms = [
        ("E0000068", "FAILED", "not right"),
        ("E0000082", "PASSCODE_REPLAYED", "used before"),
        ("E0000083", "TIME_WINDOW_EXCEEDED", "clock"),
    ];
    for (code, word, said) in forms {
        for answer in [Ok(error(403, code)), result(word)] {
            let step = verify_with(answer).unwrap();
            assert_eq!(step.progress, Progress::WrongCode, "{code}");
            assert!(note(&step).contains(said), "{code}: {}", note(&step));
        }
    }
}

#[test]
fn a_code_that_okta_did_not_look_at_is_no_yes() {
    let step = verify_with(challenge()).unwrap();
    assert!(note(&step).contains("did not look"), "{}", note(&step));
}

#[test]
fn whoever_is_stopped_meanwhile_gets_no_more_tries() {
    for code in ["E0000038", "E0000069", "E0000119", "E0000079", "E0000150", "E9999999"] {
        assert_eq!(verify_with(Ok(error(403, code))).unwrap().progress, Progress::Failed, "{code}");
    }
    assert_eq!(verify_with(Ok(error(403, "E0000073"))).unwrap().progress, Progress::Denied);
}

#[test]
fn a_factor_that_is_gone_leaves_the_others() {
    for answer in [error(410, "E0000154"), error(423, "E0000180"), error(404, "E0000007")] {
        let step = verify_with(Ok(answer.clone())).unwrap();
        assert_eq!((step.progress, choices(&step)), (Progress::Waiting, vec![EMAIL.to_owned()]));
        assert!(note(&step).contains("Choose another"), "{}", note(&step));
        let (script, step) = asked(&[SMS]);
        script.push(Ok(answer));
        let step = codes::verify(&script, &settings(""), &step.handle, "294871").unwrap();
        assert_eq!(step.progress, Progress::Failed, "there is no other");
    }
}

#[test]
fn too_many_attempts_are_a_pause_and_not_a_verdict() {
    let headers =
        [("date", "Tue, 24 Nov 2026 03:10:02 GMT"), ("x-rate-limit-limit", "60"), ("x-rate-limit-reset", "1795489812")];
    let body = r#"{"errorCode":"E0000047","errorSummary":"x"}"#;
    let Err(ConnectorError::RateLimited(wait)) = verify_with(Ok(reply(429, &headers, body))) else {
        panic!("no pause")
    };
    assert_eq!(wait, 11_000);
    for code in ["E0000109", "E0000118", "E0000133"] {
        assert!(matches!(verify_with(Ok(error(429, code))), Err(ConnectorError::RateLimited(_))), "{code}");
    }
}

#[test]
fn without_a_verdict_the_challenge_stays_open_and_the_code_is_not_tried_again() {
    for answer in [
        Err(HttpError::Timeout),
        Err(HttpError::Malformed("reset".to_owned())),
        Err(HttpError::TooLarge),
        Err(HttpError::Unreachable("no".to_owned())),
        Ok(error(500, "E0000009")),
        Ok(error(503, "E0000010")),
        Ok(error(504, "E0000067")),
        Ok(reply(502, &[], "<html>")),
    ] {
        assert!(matches!(verify_with(answer), Err(ConnectorError::Unavailable(_))));
    }
    for answer in [
        reply(200, &[], ""),
        reply(200, &[], "<html>"),
        reply(200, &[], "[]"),
        reply(200, &[], "{}"),
        reply(200, &[], r#"{"factorResult":true}"#),
        reply(200, &[], r#"{"status":"SUCCESS"}"#),
        reply(204, &[], ""),
        error(400, "E0000001"),
        error(400, "E0000074"),
        error(405, "E0000022"),
    ] {
        assert!(matches!(verify_with(Ok(answer)), Err(ConnectorError::Protocol(_))));
    }
    assert!(matches!(verify_with(Ok(error(401, "E0000011"))), Err(ConnectorError::Unauthorized(_))));
    assert!(matches!(verify_with(Ok(error(403, "E0000006"))), Err(ConnectorError::Forbidden(_))));
}

#[test]
fn after_a_wrong_code_another_may_be_tried_with_the_new_handle() {
    let (script, step) = asked(&[SMS]);
    script.push(Ok(error(403, "E0000068")));
    script.push(result("SUCCESS"));
    let wrong = codes::verify(&script, &settings(""), &step.handle, "000000").unwrap();
    let right = codes::verify(&script, &settings(""), &wrong.handle, "294871").unwrap();
    assert_eq!((wrong.progress, right.progress), (Progress::WrongCode, Progress::Approved));
}

#[test]
fn a_challenge_has_an_end() {
    let (script, step) = asked(&[SMS]);
    script.set_now(NOW + 299_000);
    assert_eq!(codes::poll(&script, &settings(""), &step.handle).unwrap().progress, Progress::Waiting);
    script.set_now(NOW + 300_000);
    for ended in [
        codes::poll(&script, &settings(""), &step.handle),
        codes::verify(&script, &settings(""), &step.handle, "294871"),
        codes::choose(&script, &settings(""), &step.handle, SMS),
    ] {
        assert_eq!(ended.unwrap().progress, Progress::Expired);
    }
    assert_eq!(script.requests().len(), 3, "none of this asks Okta");
}
