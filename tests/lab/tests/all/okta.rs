//! The Okta simulator as a client of Okta's API meets it.

use std::time::Duration;

use portcullis_lab::company::Company;
use portcullis_lab::net::{own_address, wait_refused};
use portcullis_lab::okta::{Behaviour, Call, DEFAULT_TOKEN, NumberChallenge, Okta, OktaOptions, TokenRights};
use portcullis_lab::pki::{Pki, client_config_from_pem};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

/// A client of the simulator with a good token.
pub(crate) struct Api {
    pub(crate) okta: Okta,
    pub(crate) client: Client,
    token: String,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(OktaOptions::default()).await
    }

    async fn start_with(options: OktaOptions) -> Self {
        let okta = Okta::start(&Company::generate(), options).await.unwrap();
        let client = client(&okta);
        Self { okta, client, token: format!("SSWS {DEFAULT_TOKEN}") }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.okta.base_url())
    }

    pub(crate) async fn call(&self, method: Method, url: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let request = self.client.request(method, url).header("authorization", &self.token);
        match body {
            Some(body) => request.json(&body),
            None => request.header("content-length", "0"),
        }
        .send()
        .await
    }

    pub(crate) async fn get(&self, url: &str) -> (u16, Value) {
        let answer = self.call(Method::GET, url, None).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The URL of the user and of the first active push factor.
    pub(crate) async fn push_factor(&self, login: &str) -> String {
        let (_, user) = self.get(&self.url(&format!("/api/v1/users/{login}"))).await;
        let id = user["id"].as_str().unwrap();
        let (_, factors) = self.get(&self.url(&format!("/api/v1/users/{id}/factors"))).await;
        let push = factors.as_array().unwrap().iter().find(|factor| factor["factorType"] == "push").unwrap();
        push["_links"]["verify"]["href"].as_str().unwrap().to_owned()
    }

    /// Starts a push and gives the answer.
    pub(crate) async fn push(&self, login: &str, body: Option<Value>) -> Value {
        let verify = self.push_factor(login).await;
        let answer = self.call(Method::POST, &verify, body).await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        answer.json().await.unwrap()
    }

    /// Polls a waiting answer once.
    pub(crate) async fn poll(&self, waiting: &Value) -> Value {
        let (status, answer) = self.get(poll_link(waiting)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

pub(crate) fn client(okta: &Okta) -> Client {
    let tls = client_config_from_pem(okta.ca_pem_path()).unwrap();
    let builder = Client::builder().tls_backend_preconfigured((*tls).clone()).no_proxy();
    builder.user_agent("portcullis-lab-test").timeout(Duration::from_secs(20)).build().unwrap()
}

pub(crate) fn poll_link(waiting: &Value) -> &str {
    waiting["_links"]["poll"]["href"].as_str().unwrap()
}

#[tokio::test]
async fn a_push_is_approved_after_a_while() {
    let api = Api::start().await;
    api.okta.on_push("alice", Behaviour::ApproveAfter(Duration::from_millis(300))).unwrap();
    let first = api.push("alice@example.com", None).await;
    assert_eq!(first["factorResult"], "WAITING");
    assert!(first["_embedded"].is_null() && first["expiresAt"].as_str().unwrap().ends_with('Z'), "{first}");
    assert!(poll_link(&first).contains("/transactions/mst"), "{first}");
    let second = api.poll(&first).await;
    assert_eq!(
        (&second["factorResult"], &second["profile"]["credentialId"]),
        (&json!("WAITING"), &json!("alice@example.com"))
    );
    assert!(poll_link(&second).contains("/transactions/v2mst."), "{second}");

    let (status, gone) = api.get(poll_link(&first)).await;
    assert_eq!((status, gone["errorCode"].as_str()), (404, Some("E0000007")), "an old link is not answered");

    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(api.poll(&second).await, json!({ "factorResult": "SUCCESS" }));
    assert_eq!(api.poll(&second).await, json!({ "factorResult": "SUCCESS" }), "a lost answer can be asked for again");
    assert_eq!(api.okta.pushes_started("alice").unwrap(), 1);
    assert!(api.okta.pending().is_empty());
}

#[tokio::test]
async fn a_push_is_rejected_expired_or_cancelled() {
    let api = Api::start().await;
    let (bob, carol) = (api.push("bob", None).await, api.push("carol", None).await);
    let logins: Vec<String> = api.okta.pending().into_iter().map(|push| push.login).collect();
    assert_eq!(logins, ["bob@example.com", "carol@example.com"]);
    assert_eq!(api.okta.pending()[0].asked_by, "portcullis-lab-test");
    assert_eq!(api.okta.reject("bob").unwrap(), 1);
    assert_eq!(api.okta.reject("bob").unwrap(), 0, "it is decided already");
    let rejected = api.poll(&bob).await;
    assert_eq!(rejected["factorResult"], "REJECTED");
    assert!(rejected["_links"]["verify"]["href"].is_string() && rejected["_links"]["poll"].is_null());
    api.okta.expire("carol").unwrap();
    assert_eq!(api.poll(&carol).await["factorResult"], "TIMEOUT");

    let dave = api.push("dave", None).await;
    let cancel = dave["_links"]["cancel"]["href"].as_str().unwrap();
    let answer = api.call(Method::DELETE, cancel, None).await.unwrap();
    assert_eq!(answer.status().as_u16(), 204);
    assert_eq!(answer.bytes().await.unwrap().len(), 0);
    assert_eq!(api.poll(&dave).await["factorResult"], "CANCELLED");
    assert_eq!(api.call(Method::DELETE, cancel, None).await.unwrap().status().as_u16(), 404);
    assert_eq!(api.okta.approve("dave").unwrap(), 0, "a cancelled push cannot be approved");
}

#[tokio::test]
async fn a_push_that_nobody_answers_expires_by_itself() {
    let options = OktaOptions { push_lifetime: Duration::from_millis(100), ..OktaOptions::default() };
    let api = Api::start_with(options).await;
    api.okta.on_push("alice", Behaviour::ApproveAfter(Duration::from_secs(60))).unwrap();
    let waiting = api.push("alice", None).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(api.okta.approve("alice").unwrap(), 0);
    assert_eq!(api.poll(&waiting).await["factorResult"], "TIMEOUT");
}

#[tokio::test]
async fn numbers_are_shown_when_asked_for_and_later_when_not() {
    let api = Api::start().await;
    let ask = json!({ "useNumberMatchingChallenge": true });
    let asked = api.push("alice", Some(ask.clone())).await;
    let number = u8::try_from(asked["_embedded"]["challenge"]["correctAnswer"].as_u64().unwrap()).unwrap();
    assert_eq!(api.okta.pending()[0].number, Some(number));
    let polled = api.poll(&asked).await;
    assert_eq!(polled["_embedded"]["challenge"]["correctAnswer"], number);
    api.okta.pick("alice", number ^ 1).unwrap();
    assert_eq!(api.poll(&polled).await["factorResult"], "REJECTED");
    let again = api.push("alice", Some(ask.clone())).await;
    let number = u8::try_from(again["_embedded"]["challenge"]["correctAnswer"].as_u64().unwrap()).unwrap();
    api.okta.pick("alice", number).unwrap();
    assert_eq!(api.poll(&again).await["factorResult"], "SUCCESS");

    api.okta.number_challenge("bob", NumberChallenge::InPoll(2)).unwrap();
    let start = api.push("bob", None).await;
    let first = api.poll(&start).await;
    let second = api.poll(&first).await;
    assert!(start["_embedded"].is_null() && first["_embedded"].is_null(), "{first}");
    assert!(second["_embedded"]["challenge"]["correctAnswer"].is_u64(), "{second}");
    api.okta.number_challenge("carol", NumberChallenge::Never).unwrap();
    assert!(api.push("carol", Some(ask)).await["_embedded"].is_null());
}

#[tokio::test]
async fn users_and_factors_are_found_as_documented() {
    let api = Api::start().await;
    let cast = api.okta.cast();
    let (status, alice) = api.get(&api.url("/api/v1/users/ALICE%40example.com")).await;
    assert_eq!((status, alice["status"].as_str()), (200, Some("ACTIVE")));
    let id = alice["id"].as_str().unwrap();
    assert_eq!(api.get(&api.url(&format!("/api/v1/users/{id}"))).await.1, alice);
    assert_eq!(api.get(&api.url("/api/v1/users/alice")).await.1, alice);
    assert_eq!(cast.absent, "erin@example.com");
    let (status, erin) = api.get(&api.url("/api/v1/users/erin@example.com")).await;
    assert_eq!((status, erin["errorCode"].as_str()), (404, Some("E0000007")));

    let factors = async |login: &str| {
        let (_, user) = api.get(&api.url(&format!("/api/v1/users/{login}"))).await;
        let id = user["id"].as_str().unwrap().to_owned();
        let (_, factors) = api.get(&api.url(&format!("/api/v1/users/{id}/factors"))).await;
        let one = |factor: &Value| {
            let text = |name: &str| factor[name].as_str().unwrap().to_owned();
            (text("factorType"), text("status"), factor["_links"]["verify"].is_object())
        };
        (user, factors.as_array().unwrap().iter().map(one).collect::<Vec<_>>())
    };
    let of = |kind: &str, status: &str, verifiable| (kind.to_owned(), status.to_owned(), verifiable);
    let (totp, push) = (of("token:software:totp", "ACTIVE", true), of("push", "ACTIVE", true));
    assert_eq!(factors("alice").await.1, [totp.clone(), push.clone()]);
    assert_eq!(factors(&cast.two_devices).await.1, [totp.clone(), push.clone(), push.clone()]);
    assert_eq!(factors(&cast.pending_activation).await.1, [of("push", "PENDING_ACTIVATION", false)]);
    assert_eq!(factors(&cast.no_factors).await.1, []);
    assert_eq!(factors(&cast.fast_pass).await.1, [of("signed_nonce", "ACTIVE", false), totp, push]);
    assert_eq!(factors(&cast.suspended).await.0["status"], "SUSPENDED");
    let by_login = api.get(&api.url("/api/v1/users/alice@example.com/factors")).await;
    assert_eq!(by_login.0, 404, "below a user, only the id is documented");
}

#[tokio::test]
async fn what_cannot_be_pushed_is_refused() {
    let api = Api::start().await;
    let cast = api.okta.cast();
    let refused = async |url: String, body: Option<Value>| {
        let answer = api.call(Method::POST, &url, body).await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["errorCode"].as_str().unwrap().to_owned())
    };
    let suspended = api.push_factor(&cast.suspended).await;
    assert_eq!(refused(suspended, None).await, (403, "E0000038".to_owned()));
    let alice = api.push_factor("alice").await;
    assert_eq!(refused(alice.clone(), Some(json!([1]))).await, (400, "E0000003".to_owned()));
    assert_eq!(refused(alice.replace("/opf", "/xyz"), None).await, (404, "E0000007".to_owned()));
    assert_eq!(refused(alice.replace("/verify", "/elsewhere"), None).await, (404, "E0000008".to_owned()));
    assert_eq!(refused(api.url("/api/v1/users/alice"), None).await, (405, "E0000022".to_owned()));

    let code = alice.replace("/opf", "/ost");
    let pass = |code: &str| Some(json!({ "passCode": code }));
    assert_eq!(refused(code.clone(), pass("000000")).await, (403, "E0000068".to_owned()));
    api.okta.set_code("alice", "012345").unwrap();
    let right = api.call(Method::POST, &code, pass("012345")).await.unwrap();
    assert_eq!(right.json::<Value>().await.unwrap(), json!({ "factorResult": "SUCCESS" }));
    assert_eq!(refused(code, pass("012345")).await, (403, "E0000082".to_owned()));
    assert_eq!(api.okta.pushes_started("alice").unwrap(), 0);
}

#[tokio::test]
async fn tokens_are_checked_as_okta_does() {
    let api = Api::start().await;
    let url = api.url("/api/v1/users/alice");
    let ask = async |authorization: Option<&str>| {
        let mut request = api.client.get(&url);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.headers().contains_key("x-okta-request-id"));
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        let code =
            serde_json::from_str::<Value>(&body).ok().and_then(|body| body["errorCode"].as_str().map(String::from));
        (status, code.unwrap_or(body), challenge)
    };
    let coded = |status: u16, code: &str| (status, code.to_owned(), None);
    assert_eq!(ask(None).await, coded(403, "E0000005"));
    assert_eq!(ask(Some("Basic abc")).await, coded(403, "E0000005"));
    assert_eq!(ask(Some(&format!("SSWS{DEFAULT_TOKEN}"))).await, coded(403, "E0000005"));
    assert_eq!(ask(Some("SSWS wrong")).await, coded(401, "E0000011"));
    let (status, body, challenge) = ask(Some("Bearer abc")).await;
    assert!(status == 401 && body.is_empty() && challenge.unwrap().contains("invalid_token"));
    let (status, body, _) = ask(Some("SSWS two words")).await;
    assert!(status == 400 && body.contains("<html>"), "{body}");

    api.okta.set_token_rights(TokenRights::ReadOnly);
    let verify = api.push_factor("alice").await;
    let refused = api.call(Method::POST, &verify, None).await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
    assert_eq!(refused.json::<Value>().await.unwrap()["errorCode"], "E0000006");
    assert_eq!(api.okta.pushes_started("alice").unwrap(), 0);
    api.okta.revoke_token();
    assert_eq!(ask(Some(&format!("SSWS {DEFAULT_TOKEN}"))).await, coded(401, "E0000011"));
    api.okta.set_token("00Another");
    assert_eq!(ask(Some("SSWS 00Another")).await.0, 200);
    let seen = api.okta.journal().pop().unwrap();
    assert_eq!((seen.header("Authorization"), seen.status), (Some("SSWS 00Another"), 200));
}

#[tokio::test]
async fn the_front_door_wants_a_length_and_a_name() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let api = Api::start().await;
    let verify = api.push_factor("alice").await;
    let path = verify.strip_prefix(api.okta.base_url()).unwrap();
    let raw = async |head: String| {
        let config = client_config_from_pem(api.okta.ca_pem_path()).unwrap();
        let tcp = tokio::net::TcpStream::connect(api.okta.addr()).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
        let mut tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        tls.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let head = |extra: &str| {
        let token = format!("Authorization: SSWS {DEFAULT_TOKEN}");
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n{extra}\r\n")
    };
    let no_length = raw(head("User-Agent: x\r\n")).await;
    assert!(no_length.starts_with("HTTP/1.1 411 ") && no_length.contains("<html>"), "{no_length}");
    let no_agent = raw(head("Content-Length: 0\r\n")).await;
    assert!(no_agent.starts_with("HTTP/1.1 400 "), "{no_agent}");
    let form = raw(head("User-Agent: x\r\nContent-Length: 3\r\n") + "a=b").await;
    assert!(form.starts_with("HTTP/1.1 400 ") && form.contains("E0000021"), "{form}");
    assert_eq!(api.okta.pushes_started("alice").unwrap(), 0);
    let good = raw(head("User-Agent: x\r\nContent-Length: 0\r\n")).await;
    assert!(good.starts_with("HTTP/1.1 201 ") && good.contains("transfer-encoding: chunked"), "{good}");
}

#[tokio::test]
async fn budgets_run_out_and_say_so() {
    let options = OktaOptions { rate_window: Duration::from_secs(2), ..OktaOptions::default() };
    let api = Api::start_with(options).await;
    api.okta.set_rate_limit(Some(Call::User), 2);
    let url = api.url("/api/v1/users/alice");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = api.call(Method::GET, &url, None).await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().parse::<i64>().unwrap();
        seen.push((answer.status().as_u16(), header("x-rate-limit-limit"), header("x-rate-limit-remaining")));
        let date = jiff::fmt::rfc2822::parse(answer.headers()["date"].to_str().unwrap()).unwrap();
        let wait = header("x-rate-limit-reset") - date.timestamp().as_second();
        assert!((0..=3).contains(&wait), "{wait}");
        assert!(!answer.headers().contains_key("retry-after"));
        if answer.status().as_u16() == 429 {
            assert_eq!(answer.json::<Value>().await.unwrap()["errorCode"], "E0000047");
        }
    }
    assert_eq!(seen, [(200, 2, 1), (200, 2, 0), (429, 2, 0)]);
    let id = "00ulab00000EXAMPLE00";
    assert_eq!(api.get(&api.url(&format!("/api/v1/users/{id}/factors"))).await.0, 200, "another bucket");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(api.get(&url).await.0, 200);
}

#[tokio::test]
async fn people_with_curl_are_in_control_and_web_pages_are_not() {
    let api = Api::start().await;
    let url = |path: &str| format!("{}/{path}", api.okta.control_url());
    let post = async |path: &str| {
        let answer = api.client.post(url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let waiting = api.push("alice", Some(json!({ "useNumberMatchingChallenge": true }))).await;
    let pending: Value = api.client.get(url("pending")).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (pending[0]["login"].as_str(), pending[0]["device"].as_str()),
        (Some("alice@example.com"), Some("Alice's phone"))
    );
    let number = pending[0]["number"].as_u64().unwrap();
    assert_eq!(post(&format!("approve?login=alice&number={number}")).await, (200, r#"{"pushes":1}"#.to_owned()));
    assert_eq!(api.poll(&waiting).await["factorResult"], "SUCCESS");

    assert_eq!(post("behaviour?login=bob&do=reject").await.0, 200);
    let start = api.push("bob", None).await;
    assert_eq!(start["factorResult"], "WAITING", "the start of a push never tells more");
    assert_eq!(api.poll(&start).await["factorResult"], "REJECTED");
    assert_eq!(post("approve?login=nobody").await.0, 404);
    assert_eq!(post("approve?login=bob&typo=1").await.0, 400);

    let fault = json!({ "status": [503, "E0000010"] });
    let set = api.client.post(url("fail-next?n=1&call=user")).json(&fault).send().await.unwrap();
    assert_eq!(set.status().as_u16(), 200);
    let (status, body) = api.get(&api.url("/api/v1/users/alice")).await;
    assert_eq!((status, body["errorCode"].as_str()), (503, Some("E0000010")));
    let journal: Value = api.client.get(url("journal")).send().await.unwrap().json().await.unwrap();
    assert_eq!(journal.as_array().unwrap().len(), api.okta.journal().len());
    assert_eq!(journal.as_array().unwrap().last().unwrap()["status"], 503);

    let page =
        api.client.post(url("approve?login=alice")).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(page.status().as_u16(), 403);
    assert_eq!(post("revoke-token").await.0, 200);
    assert_eq!(api.get(&api.url("/api/v1/users/alice")).await.0, 401);
}

#[tokio::test]
async fn an_outage_ends_and_the_same_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::create(folder.path()).unwrap();
    let company = Company::generate();
    let own = own_address();
    let options = |port| OktaOptions { addr: (own, port).into(), host: own.to_string(), ..OktaOptions::default() };
    let first = Okta::start_with(&company, options(0), &pki).await.unwrap();
    let (addr, client) = (first.addr(), client(&first));
    let url = format!("{}/api/v1/users/alice", first.base_url());
    let ask = async || client.get(&url).header("authorization", format!("SSWS {DEFAULT_TOKEN}")).send().await;
    assert_eq!(ask().await.unwrap().status().as_u16(), 200);
    first.stop().await;
    wait_refused(addr, Duration::from_secs(5)).await.unwrap();
    assert!(ask().await.is_err());
    let _second = Okta::start_with(&company, options(addr.port()), &pki).await.unwrap();
    assert_eq!(ask().await.unwrap().status().as_u16(), 200);
}
