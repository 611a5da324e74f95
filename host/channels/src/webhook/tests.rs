use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::text::tests::notice;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secret() -> Secret {
    Secret::new(SECRET)
}

/// A vector of the reference implementation's own tests
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py>).
#[test]
fn signatures_are_those_of_the_specification() {
    let of =
        signature(&key(&secret()).unwrap(), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
    assert_eq!(of, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn keys_are_long_and_marked() {
    assert!(key_problem(&secret()).is_ok());
    for wrong in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!"] {
        let why = key_problem(&Secret::new(wrong)).unwrap_err();
        assert!(why.contains("whsec_") && (wrong.len() < 8 || !why.contains(wrong)), "{wrong}: {why}");
    }
}

#[test]
fn clear_text_stays_on_the_machine_unless_it_may_leave() {
    for right in ["https://hooks.example.com/a", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/x"] {
        assert_eq!(url_problem(right, false), Ok(()), "{right}");
    }
    assert_eq!(url_problem("http://hooks.example.com/a", true), Ok(()));
    for wrong in
        ["http://hooks.example.com/a", "http://127.0.0.1.example.com/", "ftp://x", "x", "https://u:p4ss@example.com/"]
    {
        let why = url_problem(wrong, false).unwrap_err();
        assert!(!why.contains("p4ss"), "{why}");
    }
}

#[test]
fn a_payload_is_harmless_json() {
    let value = payload(&notice("eve\"}\u{202e}", "line\nbreak https://evil.example"));
    assert_eq!(value["type"], "incident.opened");
    assert_eq!(value["timestamp"], "2027-01-15T08:00:00.123Z");
    assert_eq!(value["data"]["login"], "eve\"}");
    assert_eq!(value["data"]["text"], "line break https[:]//evil.example");
    assert_eq!(value["data"]["link"], "https://portcullis.example.com/incidents/9");
}

/// Answers each connection with the next of these texts; what came is kept.
async fn receiver(answers: Vec<String>) -> (Webhook, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn({
        let heard = Arc::clone(&heard);
        async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 16 * 1024];
                let mut length = 0;
                while !request[..length].ends_with(b"\"type\":\"incident.opened\"}") {
                    length += stream.read(&mut request[length..]).await.unwrap();
                }
                heard.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    let options = WebhookOptions { url, secret: secret(), ca_file: None, allow_http: false };
    (Webhook::new(&options).unwrap(), heard)
}

fn answer(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}connection: close\r\n\r\n")
}

#[tokio::test]
async fn answers_say_whether_trying_again_helps() {
    let long = format!("content-length: 900000\r\nx: y\r\nconnection: close\r\n\r\n{}", "ab\n".repeat(300_000));
    let (webhook, heard) = receiver(vec![
        answer("204 No Content", ""),
        answer("429 Too Many Requests", "retry-after: 7\r\n"),
        answer("503 Service Unavailable", "retry-after: 999999\r\n"),
        answer("302 Found", "location: http://127.0.0.1:1/\r\n"),
        answer("404 Not Found", ""),
        answer("410 Gone", ""),
        answer("400 Bad Request", ""),
        format!("HTTP/1.1 500 Oops\r\n{long}"),
        "no HTTP at all\r\n\r\n".to_owned(),
    ])
    .await;
    let notice = notice("alice", "text");
    let mut all = Vec::new();
    for _ in 0..9 {
        all.push(webhook.send(&notice).await);
    }
    let after = |result: &Result<(), ChannelError>| match result {
        Err(ChannelError::Later { after, .. }) => *after,
        other => panic!("{other:?}"),
    };
    assert_eq!(all[0], Ok(()));
    assert_eq!(after(&all[1]), Some(Duration::from_secs(7)));
    assert_eq!(after(&all[2]), Some(LONGEST_PAUSE), "nobody is left alone for a week");
    assert_eq!((after(&all[3]), after(&all[4])), (None, None), "redirects are not followed");
    assert!(matches!(all[5], Err(ChannelError::Gone(_))), "{:?}", all[5]);
    assert!(matches!(all[6], Err(ChannelError::Refused(_))), "{:?}", all[6]);
    after(&all[7]);
    after(&all[8]);
    for result in &all[1..] {
        let why = result.as_ref().unwrap_err().to_string();
        assert!(why.len() < 400 && !why.contains("secret-path") && !why.contains('\n'), "{why}");
    }
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 9, "one request each");
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(header("webhook-id"), "msg_7_1");
    let expected = signature(&key(&secret()).unwrap(), "msg_7_1", &header("webhook-timestamp"), body);
    assert_eq!(header("webhook-signature"), expected);
}
