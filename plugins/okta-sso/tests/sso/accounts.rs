//! Looking accounts up.

use okta::contract::portcullis::gateway::http::HttpError;
use okta::script::{Script, error, reply};
use okta_sso::accounts;
use okta_sso::contract::exports::portcullis::gateway::account_directory::{CloudAccount, Factor};
use okta_sso::contract::exports::portcullis::gateway::connector::ConnectorError;
use serde_json::{Value, json};

use crate::answers::*;

fn not_found() -> Answer {
    Ok(error(404, "E0000007"))
}

fn links() -> Answer {
    json_answer(&json!([
        {"id": USER, "label": "Acme Wiki", "appName": "wiki", "appInstanceId": "0oa1"},
        {"id": USER, "label": "Acme Wiki (admin)", "appName": "wiki", "appInstanceId": "0oa1"},
        {"id": USER, "label": "Payroll", "appName": "pay", "appInstanceId": "0oa2"},
        {"label": null}
    ]))
}

fn factors() -> Answer {
    json_answer(&json!([
        {"id": "opf1", "factorType": "push", "provider": "OKTA", "status": "ACTIVE"},
        {"id": "uft1", "factorType": "token:software:totp", "provider": "GOOGLE", "status": "PENDING_ACTIVATION",
            "_embedded": {"activation": {"sharedSecret": "JBSWY3DP"}}},
        {"factorType": null}, 5
    ]))
}

fn find(answers: Vec<Answer>, more: &str, names: &[&str]) -> (Result<Option<CloudAccount>, ConnectorError>, Script) {
    let script = script(answers);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    (accounts::find(&script, &settings(more), &names), script)
}

fn found(user: &Value, more: &str, extra: Vec<Answer>) -> CloudAccount {
    let mut answers = vec![json_answer(user)];
    answers.extend(extra);
    answers.extend([links(), factors()]);
    find(answers, more, &[LOGIN]).0.unwrap().unwrap()
}

#[test]
fn an_account_is_told_in_full() {
    let (account, script) = find(vec![json_answer(&user("ACTIVE")), links(), factors()], "", &[LOGIN]);
    let account = account.unwrap().unwrap();
    assert_eq!((account.id.as_str(), account.login.as_str(), account.mail.as_deref()), (USER, LOGIN, Some(LOGIN)));
    assert_eq!((account.status.as_str(), account.enabled), ("ACTIVE", true));
    assert_eq!(account.applications, ["Acme Wiki", "Payroll"], "one application can have several links");
    let expected = [("push", true), ("token:software:totp (GOOGLE)", false)];
    assert_eq!(account.factors, expected.map(|(kind, active)| Factor { kind: kind.to_owned(), active }));
    assert_eq!(values(&account.attributes, "status-changed"), ["2024-02-01T09:00:05.000Z"]);
    let path = format!("/api/v1/users/{USER}");
    let expected =
        ["/api/v1/users/mona.reyes%40acme.example".to_owned(), format!("{path}/appLinks"), format!("{path}/factors")];
    assert_eq!(urls(&script), expected);
    assert!(!format!("{account:?} {:?}", script.lines()).contains("JBSWY3DP"), "secrets of factors go nowhere");
}

#[test]
fn only_an_active_user_is_enabled() {
    for status in [
        "STAGED",
        "PROVISIONED",
        "RECOVERY",
        "PASSWORD_EXPIRED",
        "LOCKED_OUT",
        "SUSPENDED",
        "ACTIVATING",
        "OF_LATER_TIMES",
    ] {
        let account = found(&user(status), "", vec![]);
        assert_eq!((account.enabled, account.status.as_str()), (false, status));
    }
    let (gone, script) = find(vec![json_answer(&user("DEPROVISIONED"))], "", &[LOGIN]);
    let gone = gone.unwrap().unwrap();
    assert_eq!((gone.enabled, gone.applications.len(), script.requests().len()), (false, 0, 1));
}

#[test]
fn the_application_of_the_settings_decides_too() {
    const APP: &str = r#","application":"0oa1exampleGATEWAY01""#;
    let assigned = |status: &str| json_answer(&json!({"id": USER, "scope": "GROUP", "status": status}));
    for status in ["ACTIVE", "PROVISIONED"] {
        assert!(found(&user("ACTIVE"), APP, vec![assigned(status)]).enabled, "{status}");
    }
    for status in [
        "STAGED",
        "PENDING",
        "APPROVED",
        "IMPORTED",
        "MATCHED",
        "UNASSIGNED",
        "INACTIVE",
        "SUSPENDED",
        "REVOKED",
        "DEPROVISIONED",
        "IMPLICIT",
        "OF_LATER_TIMES",
    ] {
        assert!(!found(&user("ACTIVE"), APP, vec![assigned(status)]).enabled, "{status}");
    }
    assert!(!found(&user("ACTIVE"), APP, vec![not_found()]).enabled, "404 is the answer for who is not assigned");
    assert!(!found(&user("SUSPENDED"), APP, vec![]).enabled, "nobody asks about a suspended user's applications");
    let (_, script) = find(vec![json_answer(&user("ACTIVE")), assigned("ACTIVE"), links(), factors()], APP, &[LOGIN]);
    assert_eq!(urls(&script)[1], format!("/api/v1/apps/0oa1exampleGATEWAY01/users/{USER}"));
}

#[test]
fn the_first_name_that_finds_somebody_decides() {
    let (account, script) = find(
        vec![not_found(), json_answer(&user("ACTIVE")), links(), factors()],
        "",
        &["", "o'neil+x@acme.example", USER, "later"],
    );
    assert_eq!(account.unwrap().unwrap().id, USER);
    assert_eq!(
        urls(&script)[..2],
        ["/api/v1/users/o%27neil%2Bx%40acme.example".to_owned(), format!("/api/v1/users/{USER}")]
    );
}

#[test]
fn a_mail_address_that_is_no_login_is_searched_for() {
    let list = json_answer(&json!([user("ACTIVE")]));
    let (account, script) = find(vec![not_found(), list, links(), factors()], "", &["mona@mail.example"]);
    assert_eq!(account.unwrap().unwrap().id, USER);
    assert_eq!(urls(&script)[1], "/api/v1/users?search=profile.email%20eq%20%22mona%40mail.example%22&limit=2");
    let two = json_answer(&json!([user("ACTIVE"), user("ACTIVE")]));
    assert_eq!(find(vec![not_found(), two], "", &["mona@mail.example"]).0, Ok(None), "two people with one address");
}

#[test]
fn a_login_with_a_slash_is_searched_for() {
    let list = json_answer(&json!([user("ACTIVE")]));
    let (account, script) = find(vec![list, links(), factors()], "", &["acme/mona"]);
    assert!(account.unwrap().is_some());
    assert_eq!(urls(&script)[0], "/api/v1/users?search=profile.login%20eq%20%22acme%2Fmona%22&limit=2");
}

#[test]
fn nobody_is_none() {
    let nobody = json_answer(&json!([]));
    assert_eq!(find(vec![not_found(), nobody], "", &["zoe@acme.example"]).0, Ok(None));
    assert_eq!(find(vec![not_found()], "", &["zoe"]).0, Ok(None));
    assert_eq!(find(vec![], "", &[]).0, Ok(None));
    // Okta answers for `me` with the token's owner, who is not meant.
    assert_eq!(find(vec![json_answer(&user("ACTIVE"))], "", &["me"]).0, Ok(None));
}

#[test]
fn what_okta_could_not_say_is_an_error_and_never_none() {
    type Is = fn(&ConnectorError) -> bool;
    let cases: [(fn() -> Answer, Is); 9] = [
        (|| Ok(error(401, "E0000011")), |e| matches!(e, ConnectorError::Unauthorized(_))),
        (|| Ok(error(403, "E0000006")), |e| matches!(e, ConnectorError::Forbidden(_))),
        (|| Ok(error(429, "E0000047")), |e| matches!(e, ConnectorError::RateLimited(_))),
        (|| Ok(error(500, "E0000009")), |e| matches!(e, ConnectorError::Unavailable(_))),
        (|| Ok(error(410, "E0000007")), |e| matches!(e, ConnectorError::Protocol(_))),
        (|| Err(HttpError::Timeout), |e| matches!(e, ConnectorError::Unavailable(_))),
        (|| Ok(reply(200, &[], "<html>")), |e| matches!(e, ConnectorError::Protocol(_))),
        (|| Ok(reply(200, &[], "")), |e| matches!(e, ConnectorError::Protocol(_))),
        (|| Ok(reply(200, &[], "[{")), |e| matches!(e, ConnectorError::Protocol(_))),
    ];
    const APP: &str = r#","application":"0oa1""#;
    let before: [fn() -> Answer; 3] =
        [|| json_answer(&user("ACTIVE")), || json_answer(&json!({"status": "ACTIVE"})), links];
    for (fault, is_right) in cases {
        // The user, the assignment, the applications and the factors, one after the other.
        for good in 0..=before.len() {
            let mut answers: Vec<Answer> = before[..good].iter().map(|answer| answer()).collect();
            answers.push(fault());
            let (found, script) = find(answers, APP, &[LOGIN]);
            let error = found.unwrap_err();
            assert!(is_right(&error), "{:?} after {good}: {error:?}", fault());
            assert_eq!(script.left(), 0);
        }
    }
}

#[test]
fn a_user_without_id_or_status_is_an_error() {
    for change in [json!({"id": "../x"}), json!({"status": null})] {
        let mut user = user("ACTIVE");
        for (name, value) in change.as_object().unwrap() {
            user[name] = value.clone();
        }
        let (found, _) = find(vec![json_answer(&user)], "", &[LOGIN]);
        assert!(matches!(found, Err(ConnectorError::Protocol(_))), "{user}");
    }
}

#[test]
fn lists_are_read_page_by_page_and_inside_the_organisation() {
    let paged = |next: &str, label: &str| {
        let link = format!("<{next}>; rel=\"next\"");
        let body = json!([{"label": label, "appInstanceId": label}]).to_string();
        Ok(reply(200, &[DATE, ("link", &link)], &body))
    };
    let next = format!("{BASE}/api/v1/users/{USER}/appLinks?after=x");
    let (account, script) =
        find(vec![json_answer(&user("ACTIVE")), paged(&next, "A"), links(), factors()], "", &[LOGIN]);
    assert_eq!(account.unwrap().unwrap().applications, ["A", "Acme Wiki", "Payroll"]);
    assert_eq!(script.requests()[2].url, next);
    let away = vec![json_answer(&user("ACTIVE")), paged("https://evil.example/appLinks", "A")];
    let (refused, script) = find(away, "", &[LOGIN]);
    assert!(matches!(refused, Err(ConnectorError::Protocol(_))));
    assert_eq!(script.requests().len(), 2);
    let endless = std::iter::once(json_answer(&user("ACTIVE"))).chain((0..60).map(|_| paged(&next, "A"))).collect();
    assert!(matches!(find(endless, "", &[LOGIN]).0, Err(ConnectorError::Protocol(text)) if text.contains("50 pages")));
}
