//! Handles, the log, and the health check.

use okta::contract::portcullis::gateway::http::HttpError;
use okta::script::{error, reply};
use okta_otp::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_otp::{codes, health};

use crate::answers::*;

#[test]
fn handles_of_others_are_refused() {
    let script = script([]);
    for handle in ["", "{}", "null", r#"{"user":"x","poll":"y"}"#] {
        assert!(matches!(codes::poll(&script, &settings(""), handle), Err(ConnectorError::Protocol(_))), "{handle}");
        assert!(codes::verify(&script, &settings(""), handle, "294871").is_err());
        assert!(codes::choose(&script, &settings(""), handle, SMS).is_err());
        assert!(codes::cancel(handle).is_err());
    }
    let (script, step) = asked(&[SMS]);
    let forged = step.handle.replace(BASE, "https://evil.example");
    assert!(matches!(codes::verify(&script, &settings(""), &forged, "294871"), Err(ConnectorError::Protocol(_))));
    assert_eq!(script.requests().len(), 3);
    assert!(codes::cancel(&step.handle).is_ok());
}

#[test]
fn no_code_and_nothing_of_a_factor_is_remembered_or_logged() {
    let (script, step) = asked(&[SMS, EMAIL]);
    let mut texts = vec![step.handle.clone()];
    for answer in [
        Ok(error(403, "E0000068")),
        Ok(error(403, "E0000069")),
        Err(HttpError::Timeout),
        Ok(reply(500, &[("x-okta-request-id", "Zx9example")], r#"{"passCode":"294871"}"#)),
        Ok(reply(200, &[], r#"{"passCode":"294871"}"#)),
        Ok(error(429, "E0000047")),
    ] {
        script.push(answer);
        match codes::verify(&script, &settings(""), &step.handle, "294871") {
            Ok(step) => texts.push(format!("{} {:?} {:?}", step.handle, step.note, step.prompt)),
            Err(error) => texts.push(format!("{error:?}")),
        }
    }
    texts.extend(script.lines());
    assert!(script.lines().iter().any(|line| line.contains("Zx9example")), "{:?}", script.lines());
    for text in texts {
        for secret in ["294871", "33612345678", "mona.reyes", "Summary"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn health_names_the_organisation_and_the_tokens_owner() {
    let refused = || Ok(error(403, "E0000006"));
    let (found, unknown) = (Ok(reply(200, &[], "[]")), Ok(error(404, "E0000007")));
    let org = Ok(reply(200, &[], r#"{"id":"00o1","companyName":"Acme"}"#));
    let script = script([user("ACTIVE"), refused(), refused(), found, unknown, org]);
    let health = health::check(&script, &settings("")).unwrap();
    assert_eq!(health.detail, "acme.okta.com (Acme), with the API token of mona.reyes@acme.example.");
    assert_eq!(health.warnings, Vec::<String>::new());
    let requests = script.requests();
    assert!(requests[4].url.ends_with("/verify"), "{}", requests[4].url);
}

#[test]
fn a_service_app_shows_an_access_token() {
    const APP: &str = r#","oauth":{"client-id":"0oa9","scopes":["okta.users.read","okta.users.manage"]}"#;
    let script = script([user("ACTIVE"), Ok(error(403, "E0000006"))]);
    let context = mona();
    assert!(codes::start(&script, &settings(APP), &context).is_err());
    for request in script.requests() {
        let shown = request.headers.iter().find(|header| header.name == "authorization").unwrap();
        assert_eq!(shown.value, "Bearer {{secret:api-token}}");
    }
    assert_eq!(script.requests().len(), 2);
}
