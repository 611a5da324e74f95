use portcullis_tls::{ServerFiles, server_config};
use portcullis_web::WebOptions;
use reqwest::Certificate;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::stage::{Stage, header};

struct Files {
    _folder: TempDir,
    server: ServerFiles,
    pem: String,
}

fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    let pem = made.cert.pem();
    std::fs::write(&certificate, &pem).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Files { _folder: folder, server: ServerFiles::new(certificate, key), pem }
}

#[tokio::test]
async fn over_tls_cookies_are_secure_and_browsers_are_told_to_come_back_by_tls() {
    let files = files();
    let tls = Some(watch::channel(server_config(&files.server).unwrap()).1);
    let stage = Stage::with(WebOptions { tls, ..WebOptions::default() }).await;
    let mut browser = stage.browser();
    browser.http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([Certificate::from_pem(files.pem.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let body = format!("login=admin&password={}", stage.password);
    let answer = browser.post_from("/sign-in", &body, &[("origin", &stage.base)]).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(header(&answer, "strict-transport-security"), "max-age=31536000");
    let cookie = header(&answer, "set-cookie");
    assert!(cookie.starts_with("__Host-portcullis="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    browser.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    assert_eq!(browser.get("/activity").await.status(), 200);
    // A cookie that could have been set over clear text does not count.
    browser.cookie = browser.cookie.map(|cookie| cookie.replace("__Host-", ""));
    assert_eq!(browser.get("/activity").await.status(), 303);
}

#[tokio::test]
async fn behind_a_proxy_the_public_address_counts() {
    let public_url = Some("https://portcullis.example.com/".to_owned());
    let stage = Stage::with(WebOptions { public_url, ..WebOptions::default() }).await;
    let body = format!("login=admin&password={}", stage.password);
    let from = |origin| [("origin", origin)];
    let answer = stage.browser().post_from("/sign-in", &body, &from("https://portcullis.example.com")).await;
    assert_eq!(answer.status(), 303);
    assert!(header(&answer, "set-cookie").ends_with("; Secure"));
    let answer = stage.browser().post_from("/sign-in", &body, &from("http://portcullis.example.com")).await;
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_to_whoever_comes_next() {
    let (first, second) = (files(), files());
    let (sender, tls) = watch::channel(server_config(&first.server).unwrap());
    let stage = Stage::with(WebOptions { tls: Some(tls), ..WebOptions::default() }).await;
    let trusting = |files: &Files| {
        let only = [Certificate::from_pem(files.pem.as_bytes()).unwrap()];
        reqwest::Client::builder().tls_certs_only(only).build().unwrap()
    };
    let url = format!("{}/healthz", stage.base);
    let before = trusting(&first);
    assert!(before.get(&url).send().await.unwrap().status().is_success());
    sender.send_replace(server_config(&second.server).unwrap());
    let mut tries = 0;
    while trusting(&second).get(&url).send().await.is_err() {
        tries += 1;
        assert!(tries < 100, "the second certificate is never shown");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(trusting(&first).get(&url).send().await.is_err(), "the first certificate is shown no more");
    assert!(before.get(&url).send().await.unwrap().status().is_success(), "a connection that is there goes on");
}
