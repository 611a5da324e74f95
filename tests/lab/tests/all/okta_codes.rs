//! One-time codes of the simulator, as a client of Okta's API meets them.

use portcullis_lab::okta::{CodeFactor, SentCode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::okta::Api;

/// The link to verify the user's factor of this type and provider.
async fn verify_link(api: &Api, login: &str, kind: &str, provider: &str) -> String {
    let (_, user) = api.get(&api.url(&format!("/api/v1/users/{login}"))).await;
    let (_, factors) = api.get(&api.url(&format!("/api/v1/users/{}/factors", user["id"].as_str().unwrap()))).await;
    let fits = |factor: &&Value| factor["factorType"] == kind && factor["provider"] == provider;
    let found = factors.as_array().unwrap().iter().find(fits).unwrap().clone();
    assert_eq!(found["status"], "ACTIVE");
    found["_links"]["verify"]["href"].as_str().unwrap().to_owned()
}

/// Status, and error code or result.
async fn verify(api: &Api, link: &str, body: Option<Value>) -> (u16, String) {
    let answer = api.call(Method::POST, link, body).await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let word = body["errorCode"].as_str().or(body["factorResult"].as_str()).unwrap();
    (status, word.to_owned())
}

fn code(text: &str) -> Option<Value> {
    Some(json!({ "passCode": text }))
}

#[tokio::test]
async fn without_a_code_one_is_sent_and_with_one_it_is_tried() {
    let api = Api::start().await;
    let kinds = [
        (CodeFactor::Sms, "sms", "E0000109"),
        (CodeFactor::Call, "call", "E0000133"),
        (CodeFactor::Email, "email", "E0000118"),
    ];
    for (factor, kind, too_soon) in kinds {
        api.okta.add_factor("alice", factor).unwrap();
        let link = verify_link(&api, "alice", kind, "OKTA").await;
        let before = api.okta.sent_codes("alice").unwrap().len();
        assert_eq!(verify(&api, &link, None).await, (200, "CHALLENGE".to_owned()), "{kind}");
        let sent: Vec<SentCode> = api.okta.sent_codes("alice").unwrap();
        let sent = sent[before..].to_vec();
        assert_eq!((sent.len(), sent[0].by, sent[0].code.len()), (1, factor, 6));
        // An empty code is none, and asks for another.
        for body in [None, code(""), Some(json!({ "passCode": null })), Some(json!({}))] {
            assert_eq!(verify(&api, &link, body).await, (429, too_soon.to_owned()), "{kind}");
        }
        let wrong = if sent[0].code == "000000" { "111111" } else { "000000" };
        assert_eq!(verify(&api, &link, code(wrong)).await, (403, "E0000068".to_owned()));
        assert_eq!(verify(&api, &link, code(&sent[0].code)).await, (200, "SUCCESS".to_owned()));
        assert_eq!(verify(&api, &link, code(&sent[0].code)).await, (403, "E0000082".to_owned()));
    }
}

#[tokio::test]
async fn what_applications_show_is_one_code_for_both_and_refusals_have_two_forms() {
    let api = Api::start().await;
    api.okta.add_factor("alice", CodeFactor::Google).unwrap();
    api.okta.set_code("alice", "012345").unwrap();
    api.okta.set_code_out_of_window("alice", "543210").unwrap();
    let google = verify_link(&api, "alice", "token:software:totp", "GOOGLE").await;
    let okta = verify_link(&api, "alice", "token:software:totp", "OKTA").await;
    assert_eq!(verify(&api, &okta, code("543210")).await, (403, "E0000083".to_owned()));
    assert_eq!(verify(&api, &google, code("012345")).await, (200, "SUCCESS".to_owned()));
    api.okta.refuse_codes_in_200("alice", true).unwrap();
    assert_eq!(verify(&api, &okta, code("012345")).await, (200, "PASSCODE_REPLAYED".to_owned()));
    assert_eq!(verify(&api, &okta, code("543210")).await, (200, "TIME_WINDOW_EXCEEDED".to_owned()));
    assert_eq!(verify(&api, &okta, code("999999")).await, (200, "FAILED".to_owned()));
    assert_eq!(verify(&api, &okta, None).await, (200, "FAILED".to_owned()), "nothing is sent by an application");
}

#[tokio::test]
async fn after_five_attempts_there_is_a_pause() {
    let api = Api::start().await;
    api.okta.set_code("alice", "012345").unwrap();
    let link = verify_link(&api, "alice", "token:software:totp", "OKTA").await;
    for _ in 0..5 {
        assert_eq!(verify(&api, &link, code("000000")).await.1, "E0000068");
    }
    assert_eq!(verify(&api, &link, code("012345")).await, (429, "E0000047".to_owned()));
}
