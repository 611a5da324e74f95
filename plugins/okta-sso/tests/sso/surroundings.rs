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

fn refused() -> Answer {
    Ok(error(403, "E0000006"))
}

/// Whose token it is, and nothing of that owner's roles and tokens.
fn owner() -> [Answer; 3] {
    [json_answer(&user("ACTIVE")), refused(), refused()]
}

fn found() -> Answer {
    Ok(reply(200, &[], "[]"))
}

fn nobody() -> Answer {
    Ok(error(404, "E0000007"))
}

#[test]
fn health_names_the_organisation_and_the_tokens_owner() {
    let script = script(owner().into_iter().chain([logs(), found(), nobody(), org()]));
    let health = health::check(&script, &settings("")).unwrap();
    assert_eq!(health.detail, format!("acme.okta.com (Acme Inc.), with the API token of {LOGIN}."));
    assert_eq!(health.warnings, Vec::<String>::new());
    assert_eq!(urls(&script)[3], "/api/v1/logs?limit=1&sortOrder=DESCENDING");
}

#[test]
fn health_says_which_right_is_missing() {
    let with =
        |answers: [Answer; 3]| health::check(&script(owner().into_iter().chain(answers).chain([org()])), &settings(""));
    let missing = with([refused(), found(), nobody()]).unwrap_err();
    assert!(matches!(&missing, ConnectorError::Forbidden(text) if text.contains("read the System Log")), "{missing:?}");
    let reads_only = with([logs(), found(), refused()]).unwrap();
    assert!(reads_only.warnings[0].contains("right to manage users"), "{reads_only:?}");
}

#[test]
fn health_tries_the_application_of_the_settings() {
    const APP: &str = r#","application":"0oa1""#;
    let with = |apps: Answer, answer: Answer| {
        let rights = [logs(), found(), apps, nobody(), org(), answer];
        health::check(&script(owner().into_iter().chain(rights)), &settings(APP))
    };
    assert!(with(found(), json_answer(&json!({"id": "0oa1", "status": "ACTIVE"}))).unwrap().warnings.is_empty());
    assert_eq!(with(found(), json_answer(&json!({"id": "0oa1", "status": "INACTIVE"}))).unwrap().warnings.len(), 1);
    let unknown = with(found(), nobody()).unwrap_err();
    assert!(matches!(&unknown, ConnectorError::Misconfigured(text) if text.contains("0oa1")), "{unknown:?}");
    let missing = with(refused(), nobody()).unwrap_err();
    assert!(matches!(&missing, ConnectorError::Forbidden(text) if text.contains("read applications")), "{missing:?}");
}

#[test]
fn health_holds_a_service_app_against_its_scopes() {
    let with = |scopes: &str, answers: Vec<Answer>| {
        let script = script(answers);
        let settings = settings(&format!(r#","oauth":{{"client-id":"0oa9","scopes":[{scopes}]}}"#));
        let health = health::check(&script, &settings);
        let is_bearer = |header: &okta::contract::portcullis::gateway::http::Header| {
            header.name == "authorization" && header.value == "Bearer {{secret:api-token}}"
        };
        assert!(script.requests().iter().all(|request| request.headers.iter().any(is_bearer)));
        health
    };
    let reads = with(r#""okta.logs.read","okta.users.read""#, vec![logs(), found(), org()]).unwrap();
    assert_eq!(reads.detail, "acme.okta.com (Acme Inc.), as the service app 0oa9.");
    assert!(reads.warnings.len() == 1 && reads.warnings[0].contains("okta.users.manage"), "{reads:?}");
    let acts = r#""okta.logs.read","okta.users.read","okta.users.manage""#;
    assert!(with(acts, vec![logs(), found(), nobody(), org()]).unwrap().warnings.is_empty());
    let blind = with(r#""okta.users.read""#, vec![]).unwrap_err();
    assert!(matches!(&blind, ConnectorError::Misconfigured(text) if text.contains("okta.logs.read")), "{blind:?}");
}

#[test]
fn health_warns_about_its_owner() {
    let suspended = [json_answer(&user("SUSPENDED")), refused(), refused(), logs(), found(), nobody(), org()];
    let unnamed = [nobody(), logs(), found(), nobody(), org()];
    let script = script(suspended.into_iter().chain(unnamed));
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
