use super::*;
use crate::contract::portcullis::gateway::http::{HttpError, Response};
use crate::script::{Script, error, header, reply};

type Next = Result<Response, HttpError>;

const VERIFY: [Right; 2] = [Right::ReadUsers, Right::VerifyFactors];
const DATE: (&str, &str) = ("date", "Tue, 24 Nov 2026 03:10:02 GMT");

fn base() -> BaseUrl {
    BaseUrl::parse("https://acme.okta.com").unwrap()
}

fn me() -> Next {
    Ok(reply(200, &[], r#"{"id":"00u1","status":"ACTIVE","profile":{"login":"svc@acme.example"}}"#))
}

fn roles(kinds: &[&str]) -> Next {
    let roles: Vec<_> = kinds.iter().map(|kind| format!(r#"{{"id":"r","type":"{kind}","status":"ACTIVE"}}"#)).collect();
    Ok(reply(200, &[], &format!("[{}]", roles.join(","))))
}

fn tokens(ends: &str) -> Next {
    let body = format!(
        r#"[{{"id":"00T1","userId":"00u1","expiresAt":"{ends}","tokenWindow":"P30D"}},
            {{"id":"00T2","userId":"00u2","expiresAt":"2030-01-01T00:00:00.000Z"}}, {{"id":"00T3"}}]"#
    );
    Ok(reply(200, &[DATE], &body))
}

fn forbidden() -> Next {
    Ok(error(403, "E0000006"))
}

fn unknown() -> Next {
    Ok(error(404, "E0000007"))
}

fn fine() -> Next {
    Ok(reply(200, &[], "[]"))
}

fn org() -> Next {
    Ok(reply(200, &[], r#"{"companyName":"Acme\u0007 Inc."}"#))
}

fn with_token(answers: impl IntoIterator<Item = Next>) -> Result<Report, Fault> {
    check(&Script::new(answers), &base(), &Authorization::ApiToken, &VERIFY)
}

fn app(scopes: &[&str]) -> Authorization {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Authorization::ServiceApp { client_id: "0oa9".to_owned(), scopes }
}

#[test]
fn organisation_and_owner_are_named() {
    let script = Script::new([me(), forbidden(), forbidden(), fine(), unknown(), org()]);
    let report = check(&script, &base(), &Authorization::ApiToken, &VERIFY).unwrap();
    assert_eq!(report.detail, "acme.okta.com (Acme Inc.), with the API token of svc@acme.example.");
    assert_eq!(report.warnings, Vec::<String>::new(), "not to be told one's roles is no fault");
    let requests = script.requests();
    let paths: Vec<_> =
        requests.iter().map(|request| request.url.trim_start_matches("https://acme.okta.com")).collect();
    assert_eq!(
        paths,
        [
            "/api/v1/users/me",
            "/api/v1/users/00u1/roles",
            "/api/v1/api-tokens",
            "/api/v1/users?limit=1",
            "/api/v1/users/00uPortcullisNobody0/factors/opfPortcullisNobody0/verify",
            "/api/v1/org",
        ]
    );
    assert!(requests.iter().all(|request| header(request, "authorization") == Some("SSWS {{secret:api-token}}")));
}

#[test]
fn rights_beyond_need_are_named() {
    let warnings = |kinds: &[&str], needs: &[Right]| {
        let answers =
            [me(), roles(kinds), forbidden()].into_iter().chain(needs.iter().map(|_| unknown())).chain([org()]);
        check(&Script::new(answers), &base(), &Authorization::ApiToken, needs).unwrap().warnings
    };
    let said = warnings(&["APP_ADMIN", "SUPER_ADMIN"], &VERIFY);
    assert!(said.len() == 1 && said[0].contains("super administrator"), "{said:?}");
    let said = warnings(&["ORG_ADMIN", "APP_ADMIN", "READ_ONLY_ADMIN"], &VERIFY);
    assert!(said.len() == 1 && said[0].contains("APP_ADMIN, ORG_ADMIN."), "{said:?}");
    assert!(warnings(&["HELP_DESK_ADMIN", "CUSTOM", "A_NEW_ROLE"], &VERIFY).is_empty());
    let said = warnings(&["HELP_DESK_ADMIN"], &[Right::ReadLogs]);
    assert!(said[0].contains("HELP_DESK_ADMIN"), "{said:?}");
    assert!(warnings(&["READ_ONLY_ADMIN", "REPORT_ADMIN"], &[Right::ReadLogs, Right::ReadApps]).is_empty());
}

#[test]
fn a_token_about_to_end_is_named() {
    let warnings =
        |ends: &str| with_token([me(), forbidden(), tokens(ends), fine(), unknown(), org()]).unwrap().warnings;
    assert!(warnings("2026-12-24T03:10:02.000Z").is_empty());
    assert_eq!(warnings("2026-11-26T05:10:02.000Z"), ["The token ends within 3 days: make another one."]);
    assert_eq!(warnings("2026-11-24T05:10:02.000Z"), ["The token ends within a day: make another one."]);
    assert!(warnings("soon").is_empty(), "what cannot be read says nothing");
}

#[test]
fn missing_rights_are_named() {
    let Err(Fault::Forbidden(text)) = with_token([me(), forbidden(), forbidden(), forbidden(), unknown(), org()])
    else {
        panic!("it can do without reading users?")
    };
    assert!(text.contains("no right to read users") && text.contains("E0000006"), "{text}");
    let report = with_token([me(), forbidden(), forbidden(), fine(), forbidden(), org()]).unwrap();
    assert!(report.warnings[0].contains("the right to verify factors"), "{:?}", report.warnings);
}

#[test]
fn a_service_app_is_held_against_its_scopes() {
    let script = Script::new([fine(), unknown(), forbidden()]);
    let authorization = app(&["okta.users.read", "okta.users.manage"]);
    let report = check(&script, &base(), &authorization, &VERIFY).unwrap();
    assert_eq!(report.detail, "acme.okta.com, as the service app 0oa9.");
    assert_eq!(report.warnings, Vec::<String>::new());
    assert!(script.requests().iter().all(|it| header(it, "authorization") == Some("Bearer {{secret:api-token}}")));

    let silent = Script::new([]);
    let Err(Fault::Misconfigured(text)) = check(&silent, &base(), &app(&["okta.users.read"]), &VERIFY) else {
        panic!("a scope is missing")
    };
    assert!(text.contains("lack okta.users.manage") && silent.requests().is_empty(), "{text}");

    let more = app(&["okta.users.read", "okta.users.manage", "okta.orgs.read", "okta.apps.manage"]);
    let report = check(&Script::new([fine(), unknown(), org()]), &base(), &more, &VERIFY).unwrap();
    assert!(report.warnings.len() == 1 && report.warnings[0].contains("leave out okta.apps.manage."), "{report:?}");

    let lacks = [("www-authenticate", "Bearer scope=\"okta.users.manage\", error=\"insufficient_scope\"")];
    let answers = [fine(), Ok(reply(403, &lacks, "")), org()];
    let Err(Fault::Forbidden(text)) = check(&Script::new(answers), &base(), &authorization, &VERIFY) else {
        panic!("the scope was not granted")
    };
    assert!(text.contains("verify factors") && text.contains("okta.users.manage"), "{text}");
}

#[test]
fn what_cannot_be_told_is_a_warning() {
    for owner in [unknown(), Ok(reply(200, &[], r#"{"status":"ACTIVE"}"#)), Ok(reply(200, &[], "null"))] {
        let report = with_token([owner, fine(), unknown(), org()]).unwrap();
        assert_eq!(report.warnings.len(), 1, "{report:?}");
    }
    let suspended = r#"{"status":"SUSPENDED","profile":{"login":"svc@acme.example"}}"#;
    let report = with_token([Ok(reply(200, &[], suspended)), fine(), unknown(), org()]).unwrap();
    assert!(report.warnings[0].contains("SUSPENDED"), "{report:?}");
}

#[test]
fn what_is_wrong_is_an_error() {
    let first = |answer| with_token([answer]).unwrap_err();
    assert!(matches!(first(Ok(error(401, "E0000011"))), Fault::Unauthorized(_)));
    assert!(matches!(first(forbidden()), Fault::Forbidden(_)));
    assert!(matches!(first(Err(HttpError::Unreachable("no".to_owned()))), Fault::Unreachable(_)));
    assert!(matches!(first(Err(HttpError::Denied("no".to_owned()))), Fault::Misconfigured(_)));
    assert!(matches!(first(Ok(reply(302, &[], ""))), Fault::Misconfigured(_)));
    assert!(matches!(first(Ok(reply(200, &[], "<html>"))), Fault::Protocol(_)));
    let late = with_token([me(), forbidden(), forbidden(), Ok(error(429, "E0000047"))]);
    assert!(matches!(late, Err(Fault::RateLimited(_))));
}
