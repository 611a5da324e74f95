//! The health check, and what is kept out of the log.

use okta::contract::portcullis::gateway::http::HttpError;
use okta::script::{error, reply};
use okta_verify::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_verify::{health, push};

use crate::answers::*;

fn org() -> Answer {
    Ok(reply(200, &[], r#"{"id":"00o1","companyName":"Acme\u0007 Inc.","subdomain":"acme"}"#))
}

#[test]
fn health_names_the_organisation_and_the_tokens_owner() {
    let refused = || Ok(error(403, "E0000006"));
    let unknown = Ok(error(404, "E0000007"));
    let owner = user("svc-portcullis@acme.example", "ACTIVE");
    let script = script([owner, refused(), refused(), Ok(reply(200, &[], "[]")), unknown, org()]);
    let health = health::check(&script, &settings("")).unwrap();
    assert_eq!(health.detail, "acme.okta.com (Acme Inc.), with the API token of svc-portcullis@acme.example.");
    assert_eq!(health.warnings, Vec::<String>::new());
    assert_eq!(script.left(), 0);
}

#[test]
fn health_reports_what_is_wrong() {
    let check = |answer| health::check(&script([answer]), &settings("")).unwrap_err();
    assert!(matches!(check(Ok(error(401, "E0000011"))), ConnectorError::Unauthorized(_)));
    assert!(matches!(check(Ok(error(403, "E0000006"))), ConnectorError::Forbidden(_)));
    assert!(matches!(check(Err(HttpError::Unreachable("no".to_owned()))), ConnectorError::Unavailable(_)));
}

#[test]
fn nothing_of_a_factor_gets_into_the_log() {
    let secret = r#","_embedded":{"challenge":{"correctAnswer":47},"activation":{"sharedSecret":"JBSWY3DP"}}"#;
    let (script, step) = sent(secret);
    for answer in [
        waiting("mst6", secret),
        Err(HttpError::Timeout),
        Ok(reply(500, &[("x-okta-request-id", "Zx9example")], secret)),
        Ok(reply(200, &[], &format!("{{{secret}"))),
        Ok(error(429, "E0000047")),
        result("REJECTED"),
    ] {
        script.push(answer);
        // Errors are reported by the gateway, so they are held to the same rule.
        if let Err(error) = push::poll(&script, &settings(""), &step.handle) {
            script_is_clean(&format!("{error:?}"));
        }
    }
    assert_eq!(script.left(), 0);
    assert!(!script.lines().is_empty());
    script.lines().iter().for_each(|line| script_is_clean(line));
    assert!(script.lines().iter().any(|line| line.contains("Zx9example")), "{:?}", script.lines());
}

fn script_is_clean(line: &str) {
    for secret in ["47", "JBSWY3DP", "transactions", "opf2", "Pixel", "Summary"] {
        assert!(!line.contains(secret), "{line}");
    }
}
