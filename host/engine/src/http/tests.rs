//! The connectors' way to the network, against a real TLS server.

mod oauth;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::{Clock, Secret, Timestamp};

use self::server::Server;
use super::HttpGate;
use crate::bindings::connector::portcullis::gateway::http::{Header, HttpError, Method, Request, Response};
use crate::grants::{Grants, HostGrant, SecretGrant};
use crate::limits::ConnectorLimits;

const TOKEN: &str = "00q7-token-of-the-service";
/// 100,000 zero bytes.
const BOMB: &[u8] = b"\
    \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\x6d\x0d\x0f\xa0\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x57\x03\x7d\x95\x11\xd4\xa0\x86\x01\x00";
/// `hello hello`.
const GREETING: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x00\x91\x00\x40\xa6\x2d\x01\x0b\x00\x00\x00";

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

fn limits() -> ConnectorLimits {
    ConnectorLimits {
        request_timeout: Duration::from_millis(1500),
        request_body: 1 << 10,
        response_body: 64 << 10,
        ..ConnectorLimits::default()
    }
}

fn grants(server: &Server) -> Grants {
    let host = HostGrant { host: "127.0.0.1".into(), port: server.port };
    let secret = SecretGrant { value: Secret::new(TOKEN), hosts: vec![host.clone()] };
    // Granted as a host, but not for the secret.
    let other = HostGrant { host: "localhost".into(), port: server.port };
    let secrets = [("api-token".to_owned(), secret)].into();
    Grants { hosts: vec![host, other], secrets, ca_file: Some(server.authority.clone()), ..Grants::default() }
}

fn gate(server: &Server) -> HttpGate {
    HttpGate::new(grants(server).checked().unwrap(), &limits(), Arc::new(StoppedClock)).unwrap()
}

fn get(url: String) -> Request {
    Request { method: Method::Get, url, headers: vec![], body: vec![] }
}

fn with_header(request: Request, name: &str, value: &str) -> Request {
    Request { headers: vec![Header { name: name.into(), value: value.into() }], ..request }
}

fn denied(answer: Result<Response, HttpError>) -> String {
    match answer {
        Err(HttpError::Denied(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_secret_is_filled_in_outside_the_sandbox() {
    let server =
        Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: a\r\nX-ID: b\r\nSet-Cookie: c=d\r\n\r\nok")
            .await;
    let request = with_header(get(server.url("/api/v1?x=y")), "Authorization", "SSWS {{secret:api-token}}");
    let answer = gate(&server).send(request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    let headers: Vec<_> = answer.headers.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
    assert_eq!(headers, [("content-length", "2"), ("x-id", "a"), ("x-id", "b")], "no cookies, names in lower case");
    let seen = server.requests();
    assert!(seen[0].starts_with("GET /api/v1?x=y HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].contains(&format!("authorization: SSWS {TOKEN}\r\n")), "{}", seen[0]);
    assert!(seen[0].contains("user-agent: portcullis/"), "{}", seen[0]);
}

#[tokio::test]
async fn a_secret_does_not_go_to_a_host_that_it_is_not_granted_for() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("https://localhost:{}/", server.port);
    let text = denied(gate(&server).send(with_header(get(url), "authorization", "{{secret:api-token}}")).await);
    assert!(text.contains("api-token") && !text.contains(TOKEN), "{text}");
    let text = denied(gate(&server).send(with_header(get(server.url("/")), "x", "{{secret:other}}")).await);
    assert!(text.contains("`other`"), "{text}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn what_is_not_granted_is_not_sent() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gate = gate(&server);
    let port = server.port;
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{}/", port ^ 1),
        "https://127.0.0.1/".into(),
        format!("https://127.0.0.2:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://127.0.0.1.example:{port}/"),
        format!("https://user@127.0.0.1:{port}/"),
        format!("https://:password@127.0.0.1:{port}/"),
        format!("https://localhost.:{port}/"),
        format!("file:///127.0.0.1:{port}"),
        "/relative".into(),
        String::new(),
        format!("https://127.0.0.1:{port}/{}", "x".repeat(9000)),
    ] {
        denied(gate.send(get(url)).await);
    }
    for name in ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "te", "expect", "bad name", ""] {
        denied(gate.send(with_header(get(server.url("/")), name, "x")).await);
    }
    denied(gate.send(with_header(get(server.url("/")), "x", "a\r\nhost: b")).await);
    denied(gate.send(Request { method: Method::Post, body: vec![0; 2000], ..get(server.url("/")) }).await);
    denied(gate.send(with_header(get(server.url("/")), "x", &"y".repeat(70_000))).await);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_same_host_written_differently_is_the_same_host() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    // Decimal and short forms of 127.0.0.1 are made one by the parser before anything is compared.
    for host in ["2130706433", "127.1", "LOCALHOST"] {
        gate(&server).send(get(format!("https://{host}:{}/", server.port))).await.unwrap();
    }
}

#[tokio::test]
async fn a_redirection_is_returned() {
    let server = Server::answering(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n").await;
    let answer = gate(&server).send(get(server.url("/"))).await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_empty_body_of_post_and_put_has_a_length() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for method in [Method::Post, Method::Put] {
        gate(&server).send(Request { method, ..get(server.url("/")) }).await.unwrap();
    }
    for request in server.requests() {
        assert_eq!(request.to_lowercase().matches("content-length: 0\r\n").count(), 1, "{request}");
    }
    let request = Request { method: Method::Post, body: b"abc".to_vec(), ..get(server.url("/")) };
    gate(&server).send(request).await.unwrap();
    assert!(server.requests()[2].ends_with("\r\n\r\nabc"));
}

#[tokio::test]
async fn a_service_that_repeats_the_secret_does_not_hand_it_to_the_plugin() {
    let answer =
        format!("HTTP/1.1 401 No\r\nX-Echo: SSWS {TOKEN}\r\nContent-Length: {}\r\n\r\n<{TOKEN}>", TOKEN.len() + 2);
    let server = Server::answering(answer.as_bytes()).await;
    let request = with_header(get(server.url("/")), "authorization", "SSWS {{secret:api-token}}");
    let answer = gate(&server).send(request).await.unwrap();
    assert_eq!(answer.body, b"<[secret]>");
    let echo = answer.headers.iter().find(|header| header.name == "x-echo").unwrap();
    assert_eq!(echo.value, "SSWS [secret]");
    assert!(!format!("{answer:?}").contains(TOKEN));
}

#[tokio::test]
async fn an_answer_is_unpacked_but_not_beyond_the_limit() {
    let packed = |body: &[u8]| {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        answer
    };
    let server = Server::answering(&packed(GREETING)).await;
    assert_eq!(gate(&server).send(get(server.url("/"))).await.unwrap().body, b"hello hello");
    let server = Server::answering(&packed(BOMB)).await;
    assert!(matches!(gate(&server).send(get(server.url("/"))).await, Err(HttpError::TooLarge)));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_cut_off() {
    let mut body = b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n".to_vec();
    body.resize(body.len() + 70_000, b'x');
    let server = Server::answering(&body).await;
    assert!(matches!(gate(&server).send(get(server.url("/"))).await, Err(HttpError::TooLarge)));

    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    let server = Server::answering(large.as_bytes()).await;
    assert!(matches!(gate(&server).send(get(server.url("/"))).await, Err(HttpError::TooLarge)));
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_not_waited_for() {
    // Nothing at all, and an answer that never ends.
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"] {
        let server = Server::silent_after(answer).await;
        let before = Instant::now();
        assert!(matches!(gate(&server).send(get(server.url("/"))).await, Err(HttpError::Timeout)));
        assert!(before.elapsed() < Duration::from_secs(15));
        assert_eq!(server.requests().len(), 1, "sent once");
    }
}

#[tokio::test]
async fn it_is_told_whether_the_request_was_sent() {
    for broken in [&b"SSH-2.0-something\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b""] {
        let server = Server::answering_once(broken).await;
        let answer = gate(&server).send(get(server.url("/"))).await;
        assert!(matches!(answer, Err(HttpError::Malformed(_))), "{answer:?}");
        assert_eq!(server.requests().len(), 1, "not repeated: it may have had its effect");
    }
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let stranger = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gate = HttpGate::new(
        Grants { ca_file: Some(stranger.authority.clone()), ..grants(&server) },
        &limits(),
        Arc::new(StoppedClock),
    );
    let answer = gate.unwrap().send(get(server.url("/"))).await;
    assert!(matches!(&answer, Err(HttpError::Unreachable(text)) if !text.contains("127.0.0.1")), "{answer:?}");
    assert!(server.requests().is_empty(), "a certificate that nobody vouches for");

    let gate = self::gate(&server);
    let url = server.url("/");
    drop(server);
    assert!(matches!(gate.send(get(url)).await, Err(HttpError::Unreachable(_))));
}

#[tokio::test]
async fn a_certificate_that_ended_or_is_for_another_host_gets_no_secret() {
    for (names, expired, says) in
        [(&["127.0.0.1"][..], true, "xpired"), (&["okta.example"][..], false, "not valid for name")]
    {
        let server = Server::certified(names, expired).await;
        let request = with_header(get(server.url("/")), "authorization", "SSWS {{secret:api-token}}");
        let answer = gate(&server).send(request).await;
        assert!(matches!(&answer, Err(HttpError::Unreachable(text)) if text.contains(says)), "{answer:?}");
        assert!(server.requests().is_empty());
    }
    let server = Server::certified(&["127.0.0.1"], false).await;
    assert_eq!(gate(&server).send(get(server.url("/"))).await.unwrap().status, 200);
}

#[tokio::test]
async fn so_many_requests_a_minute_and_no_more() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let limits = ConnectorLimits { requests: 2, ..limits() };
    let gate = HttpGate::new(grants(&server), &limits, Arc::new(StoppedClock)).unwrap();
    for _ in 0..2 {
        gate.send(get(server.url("/"))).await.unwrap();
    }
    assert!(matches!(gate.send(get(server.url("/"))).await, Err(HttpError::Unreachable(text)) if text.contains('2')));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_authority_file_has_to_be_one() {
    let server = Server::answering(b"").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path().to_owned(), "/nonexistent/ca.pem".into()] {
        let grants = Grants { ca_file: Some(path.clone()), ..grants(&server) };
        let refused = HttpGate::new(grants, &limits(), Arc::new(StoppedClock)).err().unwrap();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
    }
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let server = Server::answering(b"").await;
    let grants = grants(&server);
    assert!(!format!("{grants:?}").contains(TOKEN));
    let secret = |name: &str| grants.secrets.get(name).map(|grant| grant.value.clone());
    let filled = super::secrets::fill("{{secret:api-token}}", secret).unwrap();
    assert!(!format!("{filled:?}").contains(TOKEN));
}
