//! Finding the person and the phone, and sending the push.

use okta::contract::portcullis::gateway::http::{HttpError, Method};
use okta::script::{error, header, reply};
use okta_verify::contract::exports::portcullis::gateway::authenticator::{Progress, StartError, Step};
use okta_verify::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_verify::push;

use crate::answers::*;

fn start(answers: impl IntoIterator<Item = Answer>) -> Result<Step, StartError> {
    push::start(&script(answers), &settings(""), &mona())
}

fn not_enrolled(result: Result<Step, StartError>) -> String {
    match result {
        Err(StartError::NotEnrolled(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn failed(result: Result<Step, StartError>) -> ConnectorError {
    match result {
        Err(StartError::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_push_is_sent_to_the_persons_phone() {
    let (script, step) = sent(r#","_embedded":{"challenge":{"correctAnswer":47}}"#);
    let requests = script.requests();
    let lines: Vec<_> = requests.iter().map(|request| (request.method, request.url.as_str())).collect();
    let user = format!("{BASE}/api/v1/users/mona.reyes%40acme.example");
    let factors = format!("{BASE}/api/v1/users/{USER}/factors");
    let verify = format!("{factors}/opf2examplePUSH00001/verify");
    assert_eq!(lines, [(Method::Get, &*user), (Method::Get, &*factors), (Method::Post, &*verify)]);
    assert_eq!(requests[2].body, br#"{"useNumberMatchingChallenge":true}"#);
    assert_eq!(header(&requests[2], "content-type"), Some("application/json"));
    for request in &requests {
        assert_eq!(header(request, "authorization"), Some("SSWS {{secret:api-token}}"));
        assert_eq!(header(request, "accept"), Some("application/json"));
        assert_eq!(header(request, "user-agent"), Some(concat!("Portcullis/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(header(request, "x-forwarded-for"), None);
    }
    assert_eq!((step.progress, number(&step)), (Progress::Waiting, Some(47)));
    assert_eq!(step.poll_after_ms, 2_000);
    assert!(script.lines().is_empty(), "{:?}", script.lines());
}

#[test]
fn without_a_number_challenge_nothing_is_asked_for() {
    let script = script([active(), one_phone(), waiting("mst5", "")]);
    let step = push::start(&script, &settings(r#","number-challenge":false"#), &mona()).unwrap();
    let request = &script.requests()[2];
    assert!(request.body.is_empty());
    assert_eq!(header(request, "content-type"), None);
    assert_eq!(number(&step), None);
}

#[test]
fn the_older_status_and_place_of_the_number_are_understood_too() {
    let Ok(mut answer) = waiting("mst5", r#","_embedded":{"factor":{"_embedded":{"challenge":{"correctAnswer":7}}}}"#)
    else {
        panic!("no answer")
    };
    answer.status = 200;
    assert_eq!(number(&start([active(), one_phone(), Ok(answer)]).unwrap()), Some(7));
}

#[test]
fn the_clients_address_is_told_only_when_wanted() {
    let script = script([active(), one_phone(), waiting("mst5", "")]);
    push::start(&script, &settings(r#","forward-client-address":true"#), &mona()).unwrap();
    assert_eq!(header(&script.requests()[2], "x-forwarded-for"), Some("203.0.113.7"));
}

#[test]
fn time_is_counted_on_oktas_clock_for_okta_and_on_ours_for_us() {
    let (script, step) = sent("");
    assert_eq!(step.expires_in_seconds, 90);
    script.set_now(NOW + 30_000);
    script.push(waiting("mst5", ""));
    assert_eq!(push::poll(&script, &settings(""), &step.handle).unwrap().expires_in_seconds, 60);
}

#[test]
fn where_okta_does_not_say_a_push_lives_five_minutes() {
    let link = transaction_link("mst5");
    let links = format!(r#""_links":{{"poll":{{"href":"{link}"}}}}"#);
    for (headers, expires) in [
        (&[][..], r#""expiresAt":"2026-11-24T03:11:32.000Z","#),
        (&[DATE][..], ""),
        (&[DATE][..], r#""expiresAt":"soon","#),
        (&[DATE][..], r#""expiresAt":"2027-11-24T03:11:32.000Z","#),
    ] {
        let body = format!(r#"{{{expires}"factorResult":"WAITING",{links}}}"#);
        let step = start([active(), one_phone(), Ok(reply(201, headers, &body))]).unwrap();
        assert_eq!(step.expires_in_seconds, 300, "{expires}");
    }
}

#[test]
fn people_are_looked_up_by_the_name_that_the_settings_choose() {
    for (setting, login, mail, expected) in [
        ("mail-or-login", "mona", Some("m@acme.example"), "m%40acme.example"),
        ("mail-or-login", "mona", None, "mona"),
        ("login", "mona", Some("m@acme.example"), "mona"),
        ("mail", "mona", Some("m@acme.example"), "m%40acme.example"),
        ("login", "o'neil+x", None, "o%27neil%2Bx"),
        ("login", "zoë", None, "zo%C3%AB"),
    ] {
        let script = script([Ok(error(404, "E0000007"))]);
        let settings = settings(&format!(r#","login":"{setting}""#));
        not_enrolled(push::start(&script, &settings, &context(login, mail)));
        assert_eq!(script.requests()[0].url, format!("{BASE}/api/v1/users/{expected}"));
    }
    let script = script([]);
    not_enrolled(push::start(&script, &settings(r#","login":"mail""#), &context("mona", None)));
    not_enrolled(push::start(&script, &settings(""), &context("", Some(""))));
    assert!(script.requests().is_empty());
}

#[test]
fn a_name_that_is_no_path_is_searched_for() {
    for (name, query) in [("acme/mona", "acme%2Fmona"), ("..", ".."), ("a/\"b", "a%2F%5C%22b")] {
        let login = name.replace('"', "\\\"");
        let found = format!("[{}]", user_text(&login, "ACTIVE"));
        let script = script([Ok(reply(200, &[], &found)), one_phone(), waiting("mst5", "")]);
        push::start(&script, &settings(""), &context(name, None)).unwrap();
        let expected = format!("{BASE}/api/v1/users?search=profile.login%20eq%20%22{query}%22");
        assert_eq!(script.requests()[0].url, expected);
    }
    for found in ["[]".to_owned(), format!("[{}]", user_text("else", "ACTIVE"))] {
        let script = script([Ok(reply(200, &[], &found))]);
        not_enrolled(push::start(&script, &settings(""), &context("acme/mona", None)));
    }
}

#[test]
fn nobody_is_asked_in_anothers_place() {
    // Okta answers `me` with the token's owner and an id with its user.
    for name in ["me", USER] {
        let script = script([user("admin@acme.example", "ACTIVE"), one_phone()]);
        not_enrolled(push::start(&script, &settings(""), &context(name, None)));
        assert_eq!(script.requests().len(), 1);
    }
    // The part of a login before the `@` is a name.
    let script = script([user("Mona@acme.example", "ACTIVE"), one_phone(), waiting("mst5", "")]);
    assert!(push::start(&script, &settings(""), &context("mona", None)).is_ok());
}

#[test]
fn only_active_users_are_asked() {
    for status in ["STAGED", "PROVISIONED"] {
        let script = script([user("mona.reyes@acme.example", status), one_phone()]);
        assert!(not_enrolled(push::start(&script, &settings(""), &mona())).contains(status));
        assert_eq!(script.requests().len(), 1);
    }
}

#[test]
fn a_user_who_is_stopped_has_failed_and_is_not_without_a_phone() {
    let stopped =
        ["RECOVERY", "PASSWORD_EXPIRED", "LOCKED_OUT", "SUSPENDED", "DEPROVISIONED", "ACTIVATING", "active", "NEW"];
    for status in stopped {
        let script = script([user("mona.reyes@acme.example", status), one_phone()]);
        let step = push::start(&script, &settings(""), &mona()).unwrap();
        assert_eq!(step.progress, Progress::Failed, "{status}");
        assert_eq!(script.requests().len(), 1, "nothing was sent");
    }
    for (status, code) in
        [(403, "E0000038"), (403, "E0000069"), (403, "E0000119"), (410, "E0000154"), (423, "E0000180")]
    {
        let step = start([active(), one_phone(), Ok(error(status, code))]).unwrap();
        assert_eq!(step.progress, Progress::Failed, "{code}");
    }
}

#[test]
fn an_id_that_is_none_goes_into_no_path() {
    let body = user_text("mona.reyes@acme.example", "ACTIVE").replace(USER, "../../apps");
    assert!(matches!(failed(start([Ok(reply(200, &[], &body))])), ConnectorError::Protocol(_)));
}

#[test]
fn only_active_push_factors_with_a_link_are_used() {
    let old = "2026-01-10T10:00:00.000Z";
    let pending = phone("opf1", "PENDING_ACTIVATION", old, old);
    let no_link = phone("opf2", "ACTIVE", old, old).replace("verify\":", "else\":");
    let totp = phone("ost1", "ACTIVE", old, old).replace("\"push\"", "\"token:software:totp\"");
    let fast_pass = r#"{"id":"pfd1","factorType":"signed_nonce","status":"ACTIVE","_links":{}}"#;
    let answers = [active(), list(&[&pending, &no_link, &totp, fast_pass, "null", "{}"])];
    not_enrolled(start(answers));
    not_enrolled(start([active(), list(&[])]));
}

#[test]
fn of_several_phones_the_settings_choose() {
    let (january, march) = ("2026-01-10T10:00:00.000Z", "2026-03-10T10:00:00.000Z");
    let first = phone("opf1", "ACTIVE", january, january);
    let changed = phone("opf2", "ACTIVE", january, march);
    let last = phone("opf3", "ACTIVE", "2026-02-10T10:00:00.000Z", "2026-02-10T10:00:00.000Z");
    for (setting, chosen) in [("", "opf2"), (r#","device":"latest""#, "opf2"), (r#","device":"first""#, "opf1")] {
        let script = script([active(), list(&[&first, &changed, &last]), waiting("mst5", "")]);
        push::start(&script, &settings(setting), &mona()).unwrap();
        let url = &script.requests()[2].url;
        assert!(url.contains(&format!("/factors/{chosen}/verify")), "{url}");
    }
}

#[test]
fn the_credentials_go_nowhere_else() {
    let foreign = phone("opf1", "ACTIVE", "", "").replace(BASE, "https://acme.okta.com.evil.example");
    let nowhere = script([active(), list(&[&foreign])]);
    let result = push::start(&nowhere, &settings(""), &mona());
    assert!(matches!(failed(result), ConnectorError::Protocol(_)));
    assert_eq!(nowhere.requests().len(), 2);

    let Ok(mut answer) = waiting("mst5", "") else { panic!("no answer") };
    answer.body = String::from_utf8(answer.body).unwrap().replace(BASE, "http://acme.okta.com").into_bytes();
    assert!(matches!(failed(start([active(), one_phone(), Ok(answer)])), ConnectorError::Protocol(_)));
}

#[test]
fn a_lost_start_is_not_repeated() {
    for lost in [
        Err(HttpError::Timeout),
        Err(HttpError::Malformed("cut".to_owned())),
        Err(HttpError::TooLarge),
        Ok(error(500, "E0000009")),
        Ok(error(504, "E0000067")),
        Ok(reply(502, &[], "<html>")),
    ] {
        let script = script([active(), one_phone(), lost, waiting("mst5", "")]);
        let ConnectorError::Unavailable(text) = failed(push::start(&script, &settings(""), &mona())) else {
            panic!("not unavailable")
        };
        assert!(text.contains("may be on the phone"), "{text}");
        assert_eq!((script.requests().len(), script.left()), (3, 1));
    }
    let script = script([active(), one_phone(), Err(HttpError::Unreachable("refused".to_owned()))]);
    let ConnectorError::Unavailable(text) = failed(push::start(&script, &settings(""), &mona())) else {
        panic!("not unavailable")
    };
    assert!(!text.contains("phone"), "{text}");
}

#[test]
fn an_answer_that_cannot_be_used_says_that_the_push_is_out() {
    for body in ["", "<html>", "{}", r#"{"factorResult":"WAITING"}"#, r#"{"factorResult":5}"#] {
        let ConnectorError::Protocol(text) = failed(start([active(), one_phone(), Ok(reply(201, &[], body))])) else {
            panic!("{body}")
        };
        assert!(text.contains("the push is on the phone"), "{text}");
    }
}

#[test]
fn refusals_of_a_start_are_told_apart() {
    not_enrolled(start([active(), one_phone(), Ok(error(404, "E0000007"))]));
    let denied = start([active(), one_phone(), Ok(error(403, "E0000073"))]).unwrap();
    assert_eq!(denied.progress, Progress::Denied);
    for position in 0..3 {
        let refused = |answer: Answer| {
            let answers = [active(), one_phone()].into_iter().take(position).chain([answer]);
            failed(start(answers))
        };
        assert!(matches!(refused(Ok(error(401, "E0000011"))), ConnectorError::Unauthorized(_)));
        assert!(matches!(refused(Ok(error(403, "E0000005"))), ConnectorError::Unauthorized(_)));
        assert!(matches!(refused(Ok(error(403, "E0000006"))), ConnectorError::Forbidden(_)));
        assert!(matches!(refused(Ok(error(401, "E0000015"))), ConnectorError::Forbidden(_)));
        assert!(matches!(refused(Ok(error(400, "E0000001"))), ConnectorError::Protocol(_)));
        assert!(matches!(refused(Ok(error(501, "E0000060"))), ConnectorError::Protocol(_)));
        assert!(matches!(refused(Ok(error(403, "E0000079"))), ConnectorError::Protocol(_)));
        assert!(matches!(refused(Err(HttpError::Denied("host".to_owned()))), ConnectorError::Misconfigured(_)));
        let headers = [DATE, ("x-rate-limit-limit", "60"), ("x-rate-limit-reset", "1795489812")];
        assert_eq!(refused(Ok(reply(429, &headers, ""))), ConnectorError::RateLimited(11_000));
    }
}

#[test]
fn a_start_that_is_answered_at_once_is_judged_like_a_poll() {
    for (word, progress) in
        [("SUCCESS", Progress::Approved), ("REJECTED", Progress::Denied), ("success", Progress::Failed)]
    {
        assert_eq!(start([active(), one_phone(), result(word)]).unwrap().progress, progress, "{word}");
    }
}
