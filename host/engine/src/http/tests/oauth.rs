//! Access tokens: got by the gateway, used, renewed, and kept out of the sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use portcullis_core::Secret;
use reqwest::Url;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use super::server::Server;
use super::{StoppedClock, denied, get, limits, with_header};
use crate::bindings::connector::portcullis::gateway::http::{HttpError, Request};
use crate::grants::{Grants, HostGrant, TokenGrant};
use crate::http::HttpGate;
use crate::oauth::OAuthClient;

fn reply(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn token(value: &str, lifetime: u32) -> String {
    let body = format!(
        r#"{{"token_type":"Bearer","expires_in":{lifetime},"access_token":"{value}","scope":"okta.users.read","x":1}}"#
    );
    reply(200, "", &body)
}

fn is_for_token(request: &str) -> bool {
    request.starts_with("POST /oauth2/v1/token ")
}

/// A service with a token endpoint that numbers its tokens, and an API that does as the function says.
async fn service(api: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    let given = AtomicUsize::new(0);
    Server::with(move |request| {
        if is_for_token(request) {
            token(&format!("eyJtoken-{}", given.fetch_add(1, Ordering::SeqCst)), 3600)
        } else {
            api(request)
        }
    })
    .await
}

fn gate_with(server: &Server, key: &str) -> HttpGate {
    let host = HostGrant { host: "127.0.0.1".into(), port: server.port };
    let other = HostGrant { host: "localhost".into(), port: server.port };
    let client = OAuthClient {
        token_url: server.url("/oauth2/v1/token"),
        client_id: "0oa9exampleCLIENT".into(),
        key: Secret::new(key),
        key_id: Some("gw-2026-1".into()),
        scopes: vec!["okta.users.read".into(), "okta.users.manage".into()],
    };
    let tokens = [("api-token".to_owned(), TokenGrant { client, hosts: vec![host.clone()] })].into();
    let ca_file = Some(server.authority.clone());
    let grants = Grants { hosts: vec![host, other], tokens, ca_file, ..Grants::default() };
    HttpGate::new(grants.checked().unwrap(), &limits(), Arc::new(StoppedClock)).unwrap()
}

fn gate(server: &Server) -> HttpGate {
    gate_with(server, &rcgen::KeyPair::generate().unwrap().serialize_pem())
}

fn ask(server: &Server) -> Request {
    with_header(get(server.url("/api/v1/users/me")), "authorization", "Bearer {{secret:api-token}}")
}

/// How many requests there were for a token, and how many for the API.
fn counts(server: &Server) -> (usize, usize) {
    let requests = server.requests();
    let tokens = requests.iter().filter(|request| is_for_token(request)).count();
    (tokens, requests.len() - tokens)
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_signed_assertion_and_used_until_it_ends() {
    let server = service(|_| reply(200, "", "ok")).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let gate = gate_with(&server, &key.serialize_pem());
    for _ in 0..3 {
        assert_eq!(gate.send(ask(&server)).await.unwrap().body, b"ok");
    }
    assert_eq!(counts(&server), (1, 3));
    let requests = server.requests();
    assert!(requests[1].contains("authorization: Bearer eyJtoken-0\r\n"), "{}", requests[1]);

    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    let form = Url::parse(&format!("https://x/?{body}")).unwrap();
    let form: std::collections::BTreeMap<_, _> = form.query_pairs().into_owned().collect();
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "okta.users.read okta.users.manage");
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let assertion = &form["client_assertion"];
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64URL.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key_raw())
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let part = |text: &str| -> Value { serde_json::from_slice(&BASE64URL.decode(text).unwrap()).unwrap() };
    let (header, claims) = signed.split_once('.').unwrap();
    let (header, claims) = (part(header), part(claims));
    assert_eq!((&header["alg"], &header["kid"]), (&Value::from("ES256"), &Value::from("gw-2026-1")));
    assert_eq!((&claims["iss"], &claims["sub"]), (&claims["sub"], &Value::from("0oa9exampleCLIENT")));
    assert_eq!(claims["aud"], server.url("/oauth2/v1/token"));
    assert_eq!((&claims["iat"], &claims["exp"]), (&Value::from(1_000), &Value::from(1_300)));
    assert!(claims["jti"].as_str().unwrap().len() > 20);
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_request_for_a_token() {
    let server = service(|_| reply(200, "", "ok")).await;
    let gate = Arc::new(gate(&server));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (gate, request) = (Arc::clone(&gate), ask(&server));
            tokio::spawn(async move { gate.send(request).await.unwrap().status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(counts(&server), (1, 8));
}

#[tokio::test]
async fn a_token_near_its_end_is_replaced() {
    let given = AtomicUsize::new(0);
    let server = Server::with(move |request| {
        let number = || given.fetch_add(1, Ordering::SeqCst);
        if is_for_token(request) { token(&format!("eyJtoken-{}", number()), 1) } else { reply(200, "", "ok") }
    })
    .await;
    let gate = gate(&server);
    gate.send(ask(&server)).await.unwrap();
    gate.send(ask(&server)).await.unwrap();
    assert_eq!(counts(&server), (1, 2));
    tokio::time::sleep(Duration::from_millis(950)).await;
    gate.send(ask(&server)).await.unwrap();
    assert_eq!(counts(&server), (2, 3));
    assert!(server.requests()[4].contains("Bearer eyJtoken-1"));
}

#[tokio::test]
async fn a_token_that_was_revoked_is_renewed_once() {
    let revoked = |request: &str| request.contains("eyJtoken-0");
    let server = service(move |request| reply(if revoked(request) { 401 } else { 200 }, "", "")).await;
    let gate = gate(&server);
    assert_eq!(gate.send(ask(&server)).await.unwrap().status, 200, "the plugin notices nothing");
    assert_eq!(counts(&server), (2, 2));

    let server = service(|_| reply(401, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", "")).await;
    let gate = self::gate(&server);
    assert_eq!(gate.send(ask(&server)).await.unwrap().status, 401);
    assert_eq!(counts(&server), (2, 2));
    for _ in 0..5 {
        assert_eq!(gate.send(ask(&server)).await.unwrap().status, 401);
    }
    assert_eq!(counts(&server), (2, 7), "no storm at the token endpoint");
}

#[tokio::test]
async fn a_refusal_names_the_secret_and_the_code_and_sends_nothing() {
    let server = Server::with(|request| {
        let assertion = request.rsplit("client_assertion=").next().unwrap_or_default();
        let body = format!(r#"{{"error":"invalid_client","error_description":"No good: {assertion}\nx"}}"#);
        reply(401, "", &body.replace('\n', "\\n"))
    })
    .await;
    let gate = gate(&server);
    let text = denied(gate.send(ask(&server)).await);
    assert!(text.contains("`api-token`") && text.contains("invalid_client") && text.contains("No good"), "{text}");
    assert!(!text.contains("eyJ") && text.contains("[secret]") && !text.contains('\n'), "{text}");
    assert_eq!(denied(gate.send(ask(&server)).await), text, "and the next hears the same");
    assert_eq!(counts(&server), (1, 0), "without asking again at once");
}

#[tokio::test]
async fn demands_that_cannot_be_met_are_said_plainly() {
    for answer in [
        reply(400, "", r#"{"error":"invalid_dpop_proof","error_description":"The DPoP proof JWT header is missing."}"#),
        reply(400, "dpop-nonce: abc\r\n", r#"{"error":"use_dpop_nonce"}"#),
        reply(200, "", r#"{"token_type":"DPoP","expires_in":3600,"access_token":"eyJtoken-of-another-kind"}"#),
    ] {
        let server = Server::with(move |_| answer.clone()).await;
        let text = denied(gate(&server).send(ask(&server)).await);
        assert!(text.contains("DPoP, which is not supported") && text.contains("take the mark off"), "{text}");
        assert_eq!(counts(&server), (1, 0));
    }
}

#[tokio::test]
async fn a_wrong_clock_is_named() {
    // The clock of these tests stands at 00:16:40 on the first day of 1970.
    let date = "Date: Thu, 01 Jan 1970 01:00:00 GMT\r\n";
    let server = Server::with(move |_| reply(401, date, r#"{"error":"invalid_client"}"#)).await;
    let text = denied(gate(&server).send(ask(&server)).await);
    assert!(text.contains("differ by 2600 s: set the clock"), "{text}");
}

#[tokio::test]
async fn a_service_out_of_order_is_no_refusal_and_is_tried_again() {
    for broken in [
        reply(500, "", "<html>"),
        reply(503, "", ""),
        reply(429, "", r#"{"errorCode":"E0000047"}"#),
        reply(200, "", &"x".repeat(70 << 10)),
        "SSH-2.0-something\r\n\r\n".to_owned(),
    ] {
        let failed = AtomicUsize::new(0);
        let server = Server::with(move |request| match is_for_token(request) {
            true if failed.fetch_add(1, Ordering::SeqCst) == 0 => broken.clone(),
            true => token("eyJtoken-late", 3600),
            false => reply(200, "", "ok"),
        })
        .await;
        let gate = gate(&server);
        let answer = gate.send(ask(&server)).await;
        assert!(matches!(&answer, Err(HttpError::Unreachable(text)) if text.contains("`api-token`")), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(gate.send(ask(&server)).await.unwrap().body, b"ok");
    }
    let server = Server::silent_after(b"").await;
    let answer = gate(&server).send(ask(&server)).await;
    assert!(matches!(&answer, Err(HttpError::Unreachable(text)) if text.contains("in time")), "{answer:?}");
    assert_eq!(server.requests().len(), 1, "the plugin's own request was never sent");
}

#[tokio::test]
async fn what_is_no_token_is_not_used() {
    for answer in [
        reply(200, "", "<html>"),
        reply(200, "", "{}"),
        reply(200, "", r#"{"token_type":"Bearer"}"#),
        reply(200, "", r#"{"token_type":"mac","access_token":"eyJsomething"}"#),
        reply(200, "", r#"{"token_type":"Bearer","access_token":"short"}"#),
        reply(200, "", r#"{"token_type":"Bearer","access_token":"eyJ with blanks"}"#),
        reply(302, "Location: https://localhost/oauth2/v1/token\r\n", ""),
    ] {
        let server = Server::with(move |_| answer.clone()).await;
        denied(gate(&server).send(ask(&server)).await);
        assert_eq!(counts(&server), (1, 0));
    }
}

#[tokio::test]
async fn a_token_goes_to_its_hosts_only_and_never_comes_back() {
    let server = service(|request| {
        let sent = request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
        reply(401, &format!("X-Echo: {sent}\r\n"), sent)
    })
    .await;
    let gate = gate(&server);
    let answer = gate.send(ask(&server)).await.unwrap();
    assert_eq!(answer.body, b"Bearer [secret]");
    assert!(!format!("{answer:?} {gate:?}", gate = gate.tokens).contains("eyJ"));
    let before = server.requests().len();
    let url = format!("https://localhost:{}/", server.port);
    let text = denied(gate.send(with_header(get(url), "authorization", "Bearer {{secret:api-token}}")).await);
    assert!(text.contains("may not be sent"), "{text}");
    assert_eq!(server.requests().len(), before, "not even a token was asked for");
}

#[tokio::test]
async fn a_client_that_cannot_work_is_not_loaded() {
    let server = Server::answering(b"").await;
    let host = HostGrant { host: "127.0.0.1".into(), port: server.port };
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let good = OAuthClient {
        token_url: server.url("/token"),
        client_id: "0oa9".into(),
        key: Secret::new(key),
        key_id: None,
        scopes: vec![],
    };
    let refused = |client: OAuthClient| {
        let tokens = [("api-token".to_owned(), TokenGrant { client, hosts: vec![host.clone()] })].into();
        let grants = Grants { hosts: vec![host.clone()], tokens, ..Grants::default() };
        let made = grants.checked().and_then(|grants| HttpGate::new(grants, &limits(), Arc::new(StoppedClock)));
        made.err().unwrap_or_default()
    };
    assert_eq!(refused(good.clone()), "");
    for (client, says) in [
        (OAuthClient { token_url: "https://elsewhere.example/token".into(), ..good.clone() }, "elsewhere.example"),
        (OAuthClient { token_url: server.url("/token").replace("https", "http"), ..good.clone() }, "no https address"),
        (OAuthClient { client_id: " ".into(), ..good.clone() }, "client id"),
        (OAuthClient { key: Secret::new("00secret"), ..good.clone() }, "private key"),
        (OAuthClient { scopes: vec!["two words".into()], ..good.clone() }, "`two words` is no scope"),
    ] {
        let text = refused(client);
        assert!(text.contains(says) && text.contains("`api-token`") && !text.contains("00secret"), "{text}");
    }
}
