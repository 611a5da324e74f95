//! Each type of event that Okta's API page lists, Classic and Identity Engine.

use okta::contract::portcullis::gateway::types::{Operation, Outcome};
use serde_json::{Value, json};

use crate::answers::*;

fn other(name: &str) -> Operation {
    Operation::Other(name.to_owned())
}

fn admin() -> Value {
    json!({"alternateId": "root@acme.example", "displayName": "Root", "id": "00uADMIN", "type": "User"})
}

fn mona(kind: &str) -> Value {
    json!({"alternateId": LOGIN, "displayName": "Mona Reyes", "id": USER, "type": kind})
}

fn thing(kind: &str, name: &str) -> Value {
    json!({"alternateId": "unknown", "displayName": name, "id": "0oaTHING", "type": kind})
}

/// Reads an event of the type: the administrator acts on Mona, beside other targets that stand before her.
fn acted_on(event_type: &str, result: &str) -> (Operation, Outcome, Vec<String>) {
    let targets = [thing("PolicyEntity", "Default"), thing("UserGroup", "Staff"), mona("User")];
    let read =
        read(json!({"eventType": event_type, "actor": admin(), "target": targets, "outcome": {"result": result}}));
    (read.operation, read.outcome, read.identities)
}

/// Reads an event of the type that Mona caused herself.
fn done_by(event_type: &str, result: &str) -> (Operation, Outcome, Vec<String>) {
    let read = read(json!({"eventType": event_type, "outcome": {"result": result}}));
    (read.operation, read.outcome, read.identities)
}

#[test]
fn what_people_do_is_about_them() {
    for (event_type, operation) in [
        ("user.session.start", Operation::SignIn),
        ("user.authentication.sso", Operation::AppAccess),
        ("policy.evaluate_sign_on", other("sign-on-policy")),
        ("security.threat.detected", other("threat-detected")),
        ("security.attack.start", other("attack-started")),
        ("security.attack.end", other("attack-ended")),
        ("security.request.blocked", other("request-blocked")),
        ("group.privilege.grant", other("group-privilege-granted")),
        ("system.api_token.create", other("api-token-created")),
        ("app.oauth2.token.grant.access_token", other("access-token-granted")),
        ("system.org.rate_limit.violation", other("rate-limit-exceeded")),
        ("system.operation.rate_limit.violation", other("rate-limit-exceeded")),
        ("core.concurrency.org.limit.violation", other("rate-limit-exceeded")),
        ("user.lifecycle.of_later_times", other("user.lifecycle.of_later_times")),
    ] {
        let expected = (operation.clone(), Outcome::Success, vec![USER.to_owned(), LOGIN.to_owned()]);
        assert_eq!(done_by(event_type, "SUCCESS"), expected, "{event_type}");
        assert_eq!(done_by(event_type, "FAILURE").1, Outcome::Failure, "{event_type}");
    }
}

#[test]
fn what_is_done_to_people_is_about_them_and_names_who_did_it() {
    for (event_type, operation) in [
        ("user.authentication.auth_via_mfa", "second-factor"),
        ("system.push.send_factor_verify_push", "push-sent"),
        ("user.account.lock", "account-locked"),
        ("user.account.lock.limit", "account-locked"),
        ("user.account.unlock_by_admin", "account-unlocked"),
        ("user.lifecycle.suspend", "account-suspended"),
        ("user.lifecycle.unsuspend", "account-unsuspended"),
        ("user.lifecycle.deactivate", "account-deactivated"),
        ("user.lifecycle.delete.initiated", "account-deleted"),
        ("user.session.clear", "sessions-ended"),
        ("user.mfa.factor.activate", "factor-added"),
        ("user.mfa.factor.deactivate", "factor-removed"),
        ("user.mfa.factor.reset_all", "factors-reset"),
        ("user.mfa.attempt_bypass", "factor-bypass"),
        ("application.user_membership.add", "application-assigned"),
        ("application.user_membership.remove", "application-unassigned"),
        ("group.user_membership.add", "group-joined"),
        ("group.user_membership.remove", "group-left"),
        ("user.account.privilege.grant", "privilege-granted"),
        ("user.session.impersonation.initiate", "impersonation-started"),
        ("user.session.impersonation.grant", "impersonation-allowed"),
        ("user.session.impersonation.extend", "impersonation-extended"),
        ("user.session.impersonation.end", "impersonation-ended"),
        ("user.session.impersonation.revoke", "impersonation-revoked"),
        ("user.session.context.change", "session-changed"),
        ("policy.auth_reevaluate.fail", "session-refused"),
        ("user.risk.change", "risk-changed"),
        ("user.risk.detect", "risk-detected"),
        ("user.account.report_suspicious_activity_by_enduser", "activity-reported"),
    ] {
        let expected = (other(operation), Outcome::Success, vec![USER.to_owned(), LOGIN.to_owned()]);
        assert_eq!(acted_on(event_type, "SUCCESS"), expected, "{event_type}");
        assert_eq!(acted_on(event_type, "FAILURE").1, Outcome::Failure, "{event_type}");
        // Where Okta names no target it is the actor's own account.
        assert_eq!(done_by(event_type, "SUCCESS"), expected, "{event_type}");
    }
    let read = read(json!({"eventType": "user.mfa.factor.reset_all", "actor": admin(), "target": [mona("User")]}));
    assert_eq!(values(&read.attributes, "actor"), ["User: Root"]);
    assert_eq!(read.detail, "All second factors reset: success.");
}

#[test]
fn a_password_that_is_changed_or_reset_is_a_change_of_its_owner_s() {
    for event_type in ["user.account.update_password", "user.account.reset_password"] {
        let owner = vec![USER.to_owned(), LOGIN.to_owned()];
        let expected = (Operation::PasswordChange, Outcome::Success, owner);
        assert_eq!(acted_on(event_type, "SUCCESS"), expected, "{event_type}");
        assert_eq!(done_by(event_type, "SUCCESS"), expected, "{event_type}: one's own");
        assert_eq!(acted_on(event_type, "FAILURE").1, Outcome::Failure, "{event_type}");
    }
}

#[test]
fn a_denied_push_is_a_failure_in_both_engines() {
    // Classic: an event of its own, which says that denying succeeded.
    let classic = read(json!({"eventType": "user.mfa.okta_verify.deny_push", "outcome": {"result": "SUCCESS"}}));
    assert_eq!((classic.operation, classic.outcome), (other("push-denied"), Outcome::Failure));
    // Identity Engine: a failed factor, and the phone's answer.
    for debug in [
        json!({"factor": "OKTA_VERIFY_PUSH", "pushOnlyResponseType": "OV_RESPONSE_DENY"}),
        json!({"factor": "OKTA_VERIFY_PUSH", "pushWithNumberChallengeResponseType": "OV_WITH_CHALLENGE_RESPONSE_INVALID"}),
    ] {
        let denied = read(json!({"eventType": "user.authentication.auth_via_mfa", "target": [mona("User")],
            "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}, "debugContext": {"debugData": debug}}));
        assert_eq!((denied.operation, denied.outcome), (other("push-denied"), Outcome::Failure));
        assert_eq!(denied.detail, "Okta Verify push denied: failure, INVALID_CREDENTIALS.");
        assert_eq!(values(&denied.attributes, "engine"), ["identity"]);
        assert_eq!(values(&denied.attributes, "push-answer").len(), 1);
    }
    let approved = read(json!({"eventType": "user.authentication.auth_via_mfa",
        "debugContext": {"debugData": {"factor": "OKTA_VERIFY_PUSH", "pushOnlyResponseType": "OV_RESPONSE_APPROVE"}}}));
    assert_eq!((approved.operation, approved.outcome), (other("second-factor"), Outcome::Success));
}

#[test]
fn a_password_is_a_first_factor_although_it_is_logged_as_one_of_several() {
    for (change, operation) in [
        (json!({"debugContext": {"debugData": {"factor": "PASSWORD_AS_FACTOR"}}}), "first-factor"),
        (json!({"authenticationContext": {"credentialType": "PASSWORD"}}), "first-factor"),
        (json!({"debugContext": {"debugData": {"factor": "FIDO_WEBAUTHN"}}}), "second-factor"),
        (json!({"authenticationContext": {"credentialType": "OTP"}}), "second-factor"),
    ] {
        let mut change = change;
        change["eventType"] = json!("user.authentication.auth_via_mfa");
        assert_eq!(read(change.clone()).operation, other(operation), "{change}");
    }
    let classic = read(json!({"debugContext": {"debugData": {"requestUri": "/api/v1/authn/factors/opf/verify"}}}));
    assert_eq!(values(&classic.attributes, "engine"), ["classic"]);
}

#[test]
fn every_result_is_a_yes_a_no_or_not_decided() {
    for (result, outcome) in [
        ("SUCCESS", Outcome::Success),
        ("ALLOW", Outcome::Success),
        ("FAILURE", Outcome::Failure),
        ("DENY", Outcome::Failure),
        ("RATE_LIMIT", Outcome::Failure),
        ("ABANDONED", Outcome::Failure),
        ("UNANSWERED", Outcome::Failure),
        ("SKIPPED", Outcome::Pending),
        ("CHALLENGE", Outcome::Pending),
        ("UNKNOWN", Outcome::Pending),
        ("DEFERRED", Outcome::Pending),
        ("SCHEDULED", Outcome::Pending),
        ("OF_LATER_TIMES", Outcome::Pending),
    ] {
        let read = read(json!({"outcome": {"result": result}}));
        assert_eq!((read.outcome, values(&read.attributes, "result").as_slice()), (outcome, &[result][..]));
    }
    assert_eq!(read(json!({"outcome": null})).outcome, Outcome::Pending);
}

#[test]
fn a_failed_sign_in_says_why() {
    let read = read(json!({"outcome": {"result": "FAILURE", "reason": "LOCKED_OUT"},
        "authenticationContext": {"externalSessionId": null, "rootSessionId": "unknown"}}));
    assert_eq!((read.operation, read.outcome), (Operation::SignIn, Outcome::Failure));
    assert_eq!(read.detail, "Sign-in to Okta: failure, LOCKED_OUT.");
    assert_eq!(values(&read.attributes, "reason"), ["LOCKED_OUT"]);
    assert_eq!(values(&read.attributes, "session"), Vec::<&str>::new());
}

#[test]
fn a_sign_on_names_its_application_even_when_it_failed() {
    let wiki = json!({"alternateId": "Wiki", "displayName": "Acme Wiki", "id": "0oa1", "type": "AppInstance"});
    let assigned = json!({"alternateId": "mona", "displayName": "Mona", "id": "0ua1", "type": "AppUser"});
    let read = read(
        json!({"eventType": "user.authentication.sso", "target": [assigned, wiki], "outcome": {"result": "FAILURE"}}),
    );
    assert_eq!((read.operation, read.outcome), (Operation::AppAccess, Outcome::Failure));
    assert_eq!(read.application.as_deref(), Some("Acme Wiki"));
    assert_eq!(read.detail, "Sign-on to Acme Wiki: failure.");
    assert_eq!(read.identities, [USER, LOGIN], "the assignment's own names are not the account's");
}

#[test]
fn an_assignment_is_found_by_login_and_not_by_its_own_id() {
    let assigned = json!({"alternateId": "zoe@acme.example", "displayName": "Zoe", "id": "0ua1", "type": "AppUser"});
    let read = read(json!({"eventType": "application.user_membership.add", "actor": admin(), "target": [assigned]}));
    assert_eq!(read.identities, ["zoe@acme.example"]);
}

#[test]
fn where_what_and_how_are_told() {
    let read = read(json!({"securityContext": {"isProxy": true}, "device": {"id": "guo1", "name": "Mona's laptop"}}));
    assert_eq!((read.id.as_str(), read.at), ("0f6a1c52-c8e5-11f1-9d1a-0242ac120002", 1_795_489_511_773));
    assert_eq!(read.address.as_deref(), Some("203.0.113.24"));
    assert_eq!(read.user_agent.as_deref(), Some("Mozilla/5.0 (Windows NT 10.0)"));
    assert_eq!(read.place.as_deref(), Some("Lyon, Auvergne-Rhone-Alpes, France"));
    let position = read.position.unwrap();
    assert_eq!((position.latitude, position.longitude), (45.76, 4.84));
    for (name, value) in [
        ("event-type", "user.session.start"),
        ("session", "102kExampleSessionId0001"),
        ("root-session", "102kExampleSessionId0001"),
        ("transaction", "b7f0exampleRequest01"),
        ("network", "example telecom"),
        ("proxy", "true"),
        ("device", "Mona's laptop"),
        ("severity", "INFO"),
    ] {
        assert_eq!(values(&read.attributes, name), [value], "{name}");
    }
    let raw: Value = serde_json::from_str(&read.raw).unwrap();
    assert_eq!(raw["version"], "0");
}

#[test]
fn risk_threats_and_privileges_are_told() {
    let risky = read(json!({"eventType": "policy.evaluate_sign_on", "outcome": {"result": "CHALLENGE"},
        "securityContext": {"risk": {"level": "HIGH", "reasons": ["Anomalous Location"]},
            "userBehaviors": [{"id": "bhv1", "name": "New Geo-Location", "result": "POSITIVE"}]},
        "debugContext": {"debugData": {"threatSuspected": "true"}}}));
    assert_eq!(risky.outcome, Outcome::Pending);
    assert_eq!(values(&risky.attributes, "risk"), ["HIGH"]);
    assert_eq!(values(&risky.attributes, "risk-reason"), ["Anomalous Location"]);
    assert_eq!(values(&risky.attributes, "behavior"), ["New Geo-Location=POSITIVE"]);
    assert_eq!(values(&risky.attributes, "threat-suspected"), ["true"]);
    let granted = read(json!({"eventType": "user.account.privilege.grant",
        "debugContext": {"debugData": {"privilegeGranted": "Super administrator, Read-only administrator"}}}));
    assert_eq!(values(&granted.attributes, "privilege"), ["Super administrator", "Read-only administrator"]);
    let support = read(json!({"eventType": "user.session.impersonation.grant",
        "debugContext": {"debugData": {"caseNumber": "00912345"}}}));
    assert_eq!(values(&support.attributes, "case"), ["00912345"]);
}
