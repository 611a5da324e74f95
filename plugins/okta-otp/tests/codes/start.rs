//! Asking for a code.

use okta::contract::portcullis::gateway::http::{HttpError, Method};
use okta::script::{error, header, reply};
use okta_otp::codes;
use okta_otp::contract::exports::portcullis::gateway::authenticator::{Progress, StartError};
use okta_otp::contract::exports::portcullis::gateway::connector::ConnectorError;

use crate::answers::*;

#[test]
fn an_application_that_shows_codes_needs_no_request() {
    for (id, name) in [(TOTP, "Okta Verify"), (GOOGLE, "Google Authenticator")] {
        let (script, step) = asked(&[id]);
        assert_eq!(script.requests().len(), 2, "user and factors");
        assert_eq!(step.progress, Progress::Waiting);
        assert!(hint(&step).contains(name) && hint(&step).contains("6-digit"), "{}", hint(&step));
        assert_eq!(choices(&step), Vec::<String>::new());
        assert_eq!((step.note, step.expires_in_seconds), (None, 300));
    }
}

#[test]
fn a_code_is_sent_by_a_request_without_a_body() {
    for (id, place) in [(SMS, "ending in 78"), (CALL, "ending in 37"), (EMAIL, "m•••@acme.example")] {
        let (script, step) = asked(&[id]);
        let request = script.requests().pop().unwrap();
        assert_eq!((request.method, request.url, request.body), (Method::Post, verify_link(id), Vec::new()));
        assert_eq!(step.progress, Progress::Waiting);
        assert!(hint(&step).contains(place) && step.choices[0].label.contains(place), "{step:?}");
        assert_eq!(choices(&step), [format!("{id}*")], "it can be sent again");
    }
}

#[test]
fn numbers_and_addresses_leave_the_connector_masked() {
    let (_, step) = asked(&[SMS, CALL, EMAIL]);
    let shown = format!("{:?} {:?} {:?}", step.prompt, step.choices, step.note);
    for secret in ["336", "1234567", "555", "415", "mona.reyes"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!step.handle.contains(secret), "{}", step.handle);
    }
}

#[test]
fn the_first_factor_of_the_settings_is_asked_and_the_others_are_offered() {
    let all = [EMAIL, SMS, GOOGLE, CALL, TOTP];
    let (_, step) = started_with("", &all, &[]);
    assert_eq!(choices(&step.unwrap()), [GOOGLE, SMS, CALL, EMAIL], "in the order of the settings");
    let (script, step) = started_with(r#","factors":["email","sms"]"#, &all, &[challenge()]);
    assert_eq!(choices(&step.unwrap()), [format!("{EMAIL}*"), SMS.to_owned()], "and no others");
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn only_active_factors_with_a_link_are_used() {
    let strange = r#"{"factorType":"sms"}"#.to_owned();
    let no_link = factor(GOOGLE, "ACTIVE").replace("verify\":{\"href", "poll\":{\"href");
    let bad_id = factor(CALL, "ACTIVE").replace(&format!("\"id\":\"{CALL}\""), "\"id\":\"../x\"");
    let listed = [strange, "5".to_owned(), no_link, bad_id, factor(SMS, "PENDING_ACTIVATION"), factor(TOTP, "ACTIVE")];
    let script = script([user("ACTIVE"), list(&listed)]);
    let step = codes::start(&script, &settings(""), &mona()).unwrap();
    assert!(hint(&step).contains("Okta Verify"));
    assert_eq!(choices(&step), Vec::<String>::new());
}

#[test]
fn nobody_to_ask_is_not_enrolled() {
    let not_enrolled = |answers: Vec<Answer>| {
        let step = codes::start(&script(answers), &settings(""), &mona());
        assert!(matches!(step, Err(StartError::NotEnrolled(_))), "{step:?}");
    };
    not_enrolled(vec![Ok(error(404, "E0000007"))]);
    not_enrolled(vec![user("STAGED")]);
    not_enrolled(vec![user("ACTIVE"), Ok(error(404, "E0000007"))]);
    not_enrolled(vec![user("ACTIVE"), list(&[])]);
    not_enrolled(vec![user("ACTIVE"), list(&[factor(SMS, "INACTIVE")])]);
}

#[test]
fn whoever_is_stopped_at_okta_has_failed_and_is_not_missing() {
    for status in ["SUSPENDED", "LOCKED_OUT", "DEPROVISIONED", "PASSWORD_EXPIRED", "SOMETHING_NEW"] {
        let script = script([user(status)]);
        assert_eq!(codes::start(&script, &settings(""), &mona()).unwrap().progress, Progress::Failed, "{status}");
        assert_eq!(script.requests().len(), 1);
    }
    for code in ["E0000038", "E0000069", "E0000119"] {
        let (_, step) = started_with("", &[SMS, EMAIL], &[Ok(error(403, code))]);
        assert_eq!(step.unwrap().progress, Progress::Failed, "{code}");
    }
    let (_, step) = started_with("", &[SMS], &[Ok(error(403, "E0000073"))]);
    assert_eq!(step.unwrap().progress, Progress::Denied);
}

#[test]
fn where_one_way_is_shut_the_next_is_asked() {
    let shut = [
        error(403, "E0000150"),
        error(429, "E0000204"),
        error(410, "E0000154"),
        error(423, "E0000180"),
        error(404, "E0000007"),
        error(429, "E0000047"),
        reply(200, &[], r#"{"factorResult":"FAILED"}"#),
    ];
    for answer in shut {
        let text = format!("{answer:?}");
        let (script, step) = started_with("", &[SMS, EMAIL], &[Ok(answer.clone()), challenge()]);
        let step = step.unwrap();
        assert_eq!(step.progress, Progress::Waiting, "{text}");
        assert!(hint(&step).contains("mail"), "{text}");
        assert_eq!(script.requests().len(), 4, "{text}");
        // Not "unavailable": a policy that lets people in while Okta is down would be opened by asking often.
        let (_, step) = started_with("", &[SMS], &[Ok(answer)]);
        assert_eq!(step.unwrap().progress, Progress::Failed, "{text}");
    }
}

#[test]
fn a_code_that_was_sent_a_moment_ago_is_still_good() {
    for (id, code) in [(SMS, "E0000109"), (CALL, "E0000133"), (EMAIL, "E0000118")] {
        let (script, step) = started_with("", &[id], &[Ok(error(429, code))]);
        let step = step.unwrap();
        assert_eq!(step.progress, Progress::Waiting);
        assert!(note(&step).contains("still good"), "{}", note(&step));
        assert!(step.choices[0].wait_ms > 0);
        assert_eq!(script.requests().len(), 3);
    }
}

#[test]
fn a_lost_answer_is_not_asked_for_again_and_the_code_can_be_typed_all_the_same() {
    let lost = [
        Err(HttpError::Timeout),
        Err(HttpError::Malformed("reset".to_owned())),
        Err(HttpError::TooLarge),
        Ok(reply(500, &[], "")),
        Ok(reply(200, &[], "")),
        Ok(reply(200, &[], "<html>")),
        Ok(reply(200, &[], "{}")),
        result("WAITING"),
        result("SUCCESS"),
    ];
    for answer in lost {
        let (script, step) = started_with("", &[SMS, EMAIL], &[answer]);
        let step = step.unwrap();
        assert_eq!((step.progress, script.requests().len()), (Progress::Waiting, 3));
        assert!(note(&step).contains("not certain"), "{}", note(&step));
        script.push(result("SUCCESS"));
        let step = codes::verify(&script, &settings(""), &step.handle, "294871").unwrap();
        assert_eq!(step.progress, Progress::Approved);
    }
}

#[test]
fn trouble_that_is_nobodys_fault_is_told_as_such() {
    let failed = |answer: Answer| match started_with("", &[SMS], &[answer]).1 {
        Err(StartError::Failed(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(failed(Err(HttpError::Unreachable("no".to_owned()))), ConnectorError::Unavailable(_)));
    assert!(matches!(failed(Err(HttpError::Denied("no".to_owned()))), ConnectorError::Misconfigured(_)));
    assert!(matches!(failed(Ok(error(401, "E0000011"))), ConnectorError::Unauthorized(_)));
    assert!(matches!(failed(Ok(error(403, "E0000005"))), ConnectorError::Unauthorized(_)));
    assert!(matches!(failed(Ok(error(403, "E0000006"))), ConnectorError::Forbidden(_)));
    assert!(matches!(failed(Ok(error(501, "E0000060"))), ConnectorError::Protocol(_)));
}

#[test]
fn a_link_that_leads_elsewhere_is_not_followed() {
    let listed = [factor(SMS, "ACTIVE").replace(BASE, "https://evil.example")];
    let script = script([user("ACTIVE"), list(&listed)]);
    let step = codes::start(&script, &settings(""), &mona());
    assert!(matches!(step, Err(StartError::Failed(ConnectorError::Protocol(_)))), "{step:?}");
    assert_eq!(script.requests().len(), 2);
}

#[test]
fn okta_is_told_the_clients_address_where_the_administrator_wants_it() {
    for (more, told) in [("", None), (r#","forward-client-address":true"#, Some("203.0.113.7"))] {
        let (script, step) = started_with(more, &[SMS], &[challenge()]);
        script.push(result("SUCCESS"));
        codes::verify(&script, &settings(more), &step.unwrap().handle, "294871").unwrap();
        for request in script.requests() {
            assert_eq!(header(&request, "x-forwarded-for"), told);
        }
    }
}
