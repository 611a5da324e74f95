//! The health check, and what is kept out of the log.

use okta::contract::portcullis::gateway::http::HttpError;
use okta::script::{error, reply};
use okta_sso::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_sso::{feed, health};
use serde_json::json;

use crate::answers::*;

fn org() -> Answer {
    json_answer(&json!({"id": "00o1", "companyName": "Acme\u{7} Inc."}))
}

fn logs() -> Answer {
    page(&[numbered(1)], Some(NEXT), &[])
}

#[test]
fn health_names_the_organisation_and_the_tokens_owner() {
    let script = script([json_answer(&user("ACTIVE")), logs(), org()]);
    let health = health::check(&script, &settings("")).unwrap();
    assert_eq!(health.detail, format!("acme.okta.com (Acme Inc.), with the API token of {LOGIN}."));
    assert_eq!(health.warnings, Vec::<String>::new());
    assert_eq!(urls(&script)[1], "/api/v1/logs?limit=1&sortOrder=DESCENDING");
}

#[test]
fn health_says_which_right_is_missing() {
    let script = script([json_answer(&user("ACTIVE")), Ok(error(403, "E0000006"))]);
    let missing = health::check(&script, &settings("")).unwrap_err();
    assert!(matches!(&missing, ConnectorError::Forbidden(text) if text.contains("okta.logs.read")), "{missing:?}");
}

#[test]
fn health_tries_the_application_of_the_settings() {
    const APP: &str = r#","application":"0oa1""#;
    let with =
        |answer: Answer| health::check(&script([json_answer(&user("ACTIVE")), logs(), answer, org()]), &settings(APP));
    assert!(with(json_answer(&json!({"id": "0oa1", "status": "ACTIVE"}))).unwrap().warnings.is_empty());
    assert_eq!(with(json_answer(&json!({"id": "0oa1", "status": "INACTIVE"}))).unwrap().warnings.len(), 1);
    let unknown = with(Ok(error(404, "E0000007"))).unwrap_err();
    assert!(matches!(&unknown, ConnectorError::Misconfigured(text) if text.contains("0oa1")), "{unknown:?}");
    let missing = with(Ok(error(403, "E0000006"))).unwrap_err();
    assert!(matches!(&missing, ConnectorError::Forbidden(text) if text.contains("okta.apps.read")), "{missing:?}");
}

#[test]
fn health_warns_about_its_owner() {
    let script = script([json_answer(&user("SUSPENDED")), logs(), org(), Ok(error(404, "E0000007")), logs(), org()]);
    assert!(health::check(&script, &settings("")).unwrap().warnings[0].contains("SUSPENDED"));
    assert!(health::check(&script, &settings("")).unwrap().warnings[0].contains("whose token"));
}

#[test]
fn health_reports_what_is_wrong() {
    let check = |answer| health::check(&script([answer]), &settings("")).unwrap_err();
    assert!(matches!(check(Ok(error(401, "E0000011"))), ConnectorError::Unauthorized(_)));
    assert!(matches!(check(Ok(error(403, "E0000005"))), ConnectorError::Unauthorized(_)));
    assert!(matches!(check(Err(HttpError::Unreachable("no".to_owned()))), ConnectorError::Unavailable(_)));
    assert!(matches!(check(Ok(reply(302, &[], ""))), ConnectorError::Misconfigured(_)));
    assert!(matches!(check(Ok(reply(200, &[], "<html>"))), ConnectorError::Protocol(_)));
}

#[test]
fn nothing_of_an_event_gets_into_the_log_or_an_error() {
    let spoiled = r#"[{"uuid":null,"actor":{"alternateId":"mona"}},{"secret":"#;
    let good = page(&[json!({"actor": {"alternateId": "mona"}})], Some(NEXT), &[]);
    let script = script([Ok(reply(200, &[DATE], spoiled)), good, Ok(reply(400, &[], spoiled)), logs()]);
    let error = feed::poll(&script, &settings(""), None).unwrap_err();
    assert!(!format!("{error:?}").contains("mona"), "{error:?}");
    let batch = feed::poll(&script, &settings(""), None).unwrap();
    feed::poll(&script, &settings(""), Some(&batch.cursor)).unwrap();
    assert_eq!(script.lines().len(), 2);
    assert!(
        script.lines().iter().all(|line| !line.contains("mona") && !line.contains("after=")),
        "{:?}",
        script.lines()
    );
}
