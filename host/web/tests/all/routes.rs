//! Every route with the authority that it takes. A route that is not in this file fails a test.

use portcullis_web::{Authority, Route, routes};

use crate::stage::{Browser, Stage, header};
use crate::support::{BEGIN, sample};
use portcullis_core::Timestamp;
use portcullis_core::policy::Severity;

/// What was decided on by hand.
const EXPECTED: [(&str, &str, Authority); 84] = [
    ("GET", "/", Authority::Anybody),
    ("GET", "/healthz", Authority::Anybody),
    ("GET", "/static/console.css", Authority::Anybody),
    ("GET", "/static/live.js", Authority::Anybody),
    ("GET", "/static/mark.svg", Authority::Anybody),
    ("GET", "/challenge", Authority::Anybody),
    ("GET", "/challenge/events", Authority::Anybody),
    ("GET", "/challenge/{token}", Authority::Link),
    ("GET", "/challenge/{token}/events", Authority::Link),
    ("POST", "/challenge/{token}/code", Authority::LinkAndOwnForm),
    ("POST", "/challenge/{token}/choose", Authority::LinkAndOwnForm),
    ("POST", "/challenge/{token}/deny", Authority::LinkAndOwnForm),
    ("POST", "/challenge/{token}/dismiss", Authority::LinkAndOwnForm),
    ("POST", "/challenge/{token}/seen", Authority::LinkAndOwnForm),
    ("GET", "/sign-in", Authority::Anybody),
    ("POST", "/sign-in", Authority::OwnForm),
    ("POST", "/sign-out", Authority::SessionForm),
    ("GET", "/activity", Authority::Session),
    ("GET", "/activity/fragment", Authority::ClientSession),
    ("GET", "/activity/events", Authority::ClientSession),
    ("GET", "/incidents", Authority::Session),
    ("GET", "/incidents/{id}", Authority::Session),
    ("POST", "/incidents/{id}/take", Authority::SessionForm),
    ("POST", "/incidents/{id}/release", Authority::SessionForm),
    ("POST", "/incidents/{id}/resolve", Authority::SessionForm),
    ("POST", "/incidents/{id}/exclude", Authority::SessionForm),
    ("POST", "/incidents/{id}/reopen", Authority::SessionForm),
    ("POST", "/incidents/{id}/note", Authority::SessionForm),
    ("GET", "/policy", Authority::Session),
    ("GET", "/policy/edit", Authority::Session),
    ("GET", "/policy/revisions/{number}", Authority::Session),
    ("POST", "/policy/save", Authority::SessionForm),
    ("POST", "/policy/drop", Authority::SessionForm),
    ("POST", "/policy/apply", Authority::SessionForm),
    ("POST", "/policy/revert", Authority::SessionForm),
    ("POST", "/policy/backtest", Authority::SessionForm),
    ("POST", "/policy/backtest/cancel", Authority::SessionForm),
    ("GET", "/connectors", Authority::Session),
    ("GET", "/demotions", Authority::Session),
    ("GET", "/notifications", Authority::Session),
    ("POST", "/notifications/{name}/test", Authority::SessionForm),
    ("POST", "/demotions/{number}/restore", Authority::SessionForm),
    ("GET", "/service-accounts", Authority::Session),
    ("POST", "/service-accounts/kind", Authority::SessionForm),
    ("POST", "/service-accounts/fence", Authority::SessionForm),
    ("GET", "/exclusions", Authority::Session),
    ("POST", "/exclusions/{number}/undo", Authority::SessionForm),
    ("GET", "/api/v1/session", Authority::ClientSession),
    ("GET", "/api/v1/events", Authority::ClientSession),
    ("GET", "/api/v1/incidents", Authority::ClientSession),
    ("GET", "/api/v1/incidents/{id}", Authority::ClientSession),
    ("POST", "/api/v1/incidents/{id}/take", Authority::SessionForm),
    ("POST", "/api/v1/incidents/{id}/release", Authority::SessionForm),
    ("POST", "/api/v1/incidents/{id}/resolve", Authority::SessionForm),
    ("POST", "/api/v1/incidents/{id}/reopen", Authority::SessionForm),
    ("POST", "/api/v1/incidents/{id}/note", Authority::SessionForm),
    ("POST", "/api/v1/incidents/{id}/exclude", Authority::SessionForm),
    ("GET", "/api/v1/exclusions", Authority::ClientSession),
    ("POST", "/api/v1/exclusions/{number}/undo", Authority::SessionForm),
    ("GET", "/api/v1/connectors", Authority::ClientSession),
    ("GET", "/api/v1/demotions", Authority::ClientSession),
    ("POST", "/api/v1/demotions/{number}/restore", Authority::SessionForm),
    ("GET", "/api/v1/channels", Authority::ClientSession),
    ("GET", "/api/v1/risk/{kind}", Authority::ClientSession),
    ("GET", "/api/v1/risk/{kind}/{key}", Authority::ClientSession),
    ("POST", "/api/v1/risk/{kind}/{key}/add", Authority::SessionForm),
    ("POST", "/api/v1/risk/{kind}/{key}/put-out", Authority::SessionForm),
    ("GET", "/api/v1/accounts/kinds", Authority::ClientSession),
    ("POST", "/api/v1/accounts/{key}/kind", Authority::SessionForm),
    ("GET", "/api/v1/accounts/fences", Authority::ClientSession),
    ("GET", "/api/v1/accounts/{key}/fence", Authority::ClientSession),
    ("POST", "/api/v1/accounts/{key}/fence/accept", Authority::SessionForm),
    ("GET", "/api/v1/policies", Authority::ClientSession),
    ("GET", "/api/v1/policies/revisions", Authority::ClientSession),
    ("GET", "/api/v1/policies/revisions/{number}", Authority::ClientSession),
    ("GET", "/api/v1/policies/draft", Authority::ClientSession),
    ("POST", "/api/v1/policies/draft/save", Authority::SessionForm),
    ("POST", "/api/v1/policies/draft/drop", Authority::SessionForm),
    ("POST", "/api/v1/policies/draft/apply", Authority::SessionForm),
    ("POST", "/api/v1/policies/revert", Authority::SessionForm),
    ("GET", "/api/v1/policies/backtest", Authority::ClientSession),
    ("POST", "/api/v1/policies/backtest/start", Authority::SessionForm),
    ("POST", "/api/v1/policies/backtest/cancel", Authority::SessionForm),
    ("GET", "/notify/events", Authority::Machine),
];

#[test]
fn every_route_has_the_authority_that_was_decided_on() {
    let found: Vec<_> = routes().into_iter().map(|route| (route.method, route.path, route.authority)).collect();
    assert_eq!(found, EXPECTED);
}

/// The route with parameters that exist.
fn real(route: Route) -> String {
    let incident = sample::incident(1, "bob", Severity::Low, "title", Timestamp(BEGIN)).id;
    let path = route.path.replace("{token}", sample::link(1).reveal()).replace("{id}", &incident.to_string());
    path.replace("{kind}", "accounts").replace("{key}", "bob-id").replace("{number}", "2").replace("{name}", "soc")
}

/// A stage on which every route has something to show.
async fn full_stage() -> Stage {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, "127.0.0.1".parse().unwrap(), Timestamp(BEGIN)));
    stage.world.store.put_incident(sample::incident(1, "bob", Severity::Low, "title", Timestamp(BEGIN)));
    stage
}

/// A request with nothing but the address, from the machine itself.
async fn bare(browser: &Browser, route: Route, path: &str) -> u16 {
    let answer = if route.method == "GET" { browser.get(path).await } else { browser.post(path, "").await };
    answer.status().as_u16()
}

#[tokio::test]
async fn every_route_refuses_whoever_lacks_its_authority() {
    let stage = full_stage().await;
    let nobody = stage.browser();
    let mut impostor = stage.browser();
    impostor.cookie = Some("portcullis=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
    let signed_in = stage.signed_in().await;
    for route in routes() {
        let path = real(route);
        match route.authority {
            Authority::Anybody => {
                let status = bare(&nobody, route, &path).await;
                assert!(status == 200 || status == 303, "{path} gave {status}");
            }
            // With a token: tests of their own.
            Authority::Machine => assert_eq!(bare(&nobody, route, &path).await, 200, "{path}"),
            Authority::OwnForm => {
                let answer = nobody.post_from(&path, "", &[("sec-fetch-site", "cross-site")]).await;
                assert_eq!(answer.status(), 403, "{path}");
            }
            Authority::Link | Authority::LinkAndOwnForm => {
                let wrong = path.replace(sample::link(1).reveal(), sample::link(9).reveal());
                assert_eq!(bare(&nobody, route, &wrong).await, 404, "{path}");
                assert_eq!(bare(&nobody, route, &path.replace(sample::link(1).reveal(), "x")).await, 404, "{path}");
                // A session is no link.
                assert_eq!(bare(&signed_in, route, &wrong).await, 404, "{path}");
                if route.authority == Authority::LinkAndOwnForm {
                    let answer = nobody.post_from(&path, "", &[("sec-fetch-site", "cross-site")]).await;
                    assert_eq!(answer.status(), 403, "{path}");
                }
            }
            Authority::Session => {
                for browser in [&nobody, &impostor] {
                    let answer = browser.get(&path).await;
                    assert_eq!(answer.status(), 303, "{path}");
                    assert_eq!(header(&answer, "location"), "/sign-in", "{path}");
                }
            }
            Authority::ClientSession => {
                assert_eq!(bare(&nobody, route, &path).await, 401, "{path}");
                assert_eq!(bare(&impostor, route, &path).await, 401, "{path}");
            }
            Authority::SessionForm => {
                let refused = if path.starts_with("/api/") { 401 } else { 403 };
                assert_eq!(bare(&nobody, route, &path).await, refused, "{path}");
                assert_eq!(bare(&impostor, route, &path).await, refused, "{path}");
                let csrf = signed_in.csrf().await;
                for wrong in ["", "csrf=", "csrf=wrong", &format!("csrf={csrf}x"), &format!("csrf={}", &csrf[1..])] {
                    assert_eq!(signed_in.post(&path, wrong).await.status(), 403, "{path} with {wrong:?}");
                }
                let answer =
                    signed_in.post_from(&path, &format!("csrf={csrf}"), &[("sec-fetch-site", "cross-site")]).await;
                assert_eq!(answer.status(), 403, "{path} from another site");
            }
        }
    }
    // Nothing of all this has had an effect.
    assert!(stage.world.risks.changes.lock().unwrap().is_empty());
    assert!(stage.world.demotions.restored.lock().unwrap().is_empty());
    assert!(stage.world.exclusions.said.lock().unwrap().is_empty());
    assert!(stage.world.channels.tested.lock().unwrap().is_empty());
    assert!(stage.world.policies.said().is_empty());
    assert!(stage.world.fences.accepted.lock().unwrap().is_empty());
    let incidents = signed_in.json("/api/v1/incidents").await;
    assert_eq!(incidents["incidents"][0]["state"], "open");
    let view = stage.world.desk.view(&sample::link(1)).unwrap();
    assert_eq!(view.state, portcullis_core::challenge::ChallengeState::Open);
}

#[tokio::test]
async fn programs_are_refused_in_json_whatever_the_reason() {
    let stage = full_stage().await;
    let (nobody, signed_in) = (stage.browser(), stage.signed_in().await);
    let csrf = signed_in.csrf().await;
    let large = "x".repeat(600 * 1024);
    let programs = routes().into_iter().filter(|route| route.path.starts_with("/api/"));
    for (method, path) in programs.map(|route| (route.method, real(route))).chain([("GET", "/api/v1/x".to_owned())]) {
        let mut answers = vec![nobody.get(&path).await];
        if method == "POST" {
            answers = vec![
                nobody.post(&path, "").await,
                signed_in.post(&path, "csrf=wrong").await,
                signed_in.post(&path, &large).await,
                signed_in.post_from(&path, &format!("csrf={csrf}"), &[("sec-fetch-site", "cross-site")]).await,
                signed_in.post(&path.replace("000", "zzz"), &format!("csrf={csrf}&revision=x&of=x&mode=x&name=")).await,
            ];
        }
        for answer in answers {
            let status = answer.status().as_u16();
            if status < 300 {
                continue;
            }
            assert!((400..500).contains(&status), "{path} gave {status}");
            assert_eq!(header(&answer, "content-type"), "application/json", "{path} with {status}");
            let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert!(body["error"].is_string(), "{path}: {body}");
        }
    }
    assert_eq!(
        header(&nobody.post("/api/v1/policies/revert", "").await, "www-authenticate"),
        "Session realm=\"portcullis\""
    );
}

#[tokio::test]
async fn a_program_is_told_the_secret_of_its_session() {
    let stage = full_stage().await;
    let browser = stage.signed_in().await;
    let about = browser.json("/api/v1/session").await;
    assert_eq!((about["login"].as_str(), about["csrf"].as_str()), (Some("admin"), Some(browser.csrf().await.as_str())));
}

#[tokio::test]
async fn who_is_signed_out_meanwhile_gets_back_what_he_has_written() {
    let stage = full_stage().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    stage.world.clock.forward(8 * 3_600);
    let path = "/incidents/00000000-0000-0000-0000-000100000000/note";
    let body = format!("csrf={csrf}&text=%3Cb%3E+long");
    let answer = browser.post(path, &body).await;
    assert_eq!(answer.status(), 403);
    let page = answer.text().await.unwrap();
    assert!(page.contains("You are signed out") && page.contains("&lt;b&gt; long"), "{page}");
    assert!(!page.contains(&csrf) && !page.contains("<b>"), "{page}");
    // Another site cannot have it shown.
    let answer = browser.post_from(path, &body, &[("sec-fetch-site", "cross-site")]).await;
    assert!(!answer.text().await.unwrap().contains("long"));
}

#[tokio::test]
async fn lists_without_pages_refuse_before() {
    let stage = full_stage().await;
    let browser = stage.signed_in().await;
    for path in ["risk/accounts", "accounts/kinds", "accounts/fences"] {
        assert_eq!(browser.get(&format!("/api/v1/{path}?limit=3")).await.status(), 200, "{path}");
        assert_eq!(browser.get(&format!("/api/v1/{path}?before=3")).await.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let stage = full_stage().await;
    let (nobody, signed_in) = (stage.browser(), stage.signed_in().await);
    let mut answers = Vec::new();
    for route in routes() {
        let path = real(route);
        for browser in [&nobody, &signed_in] {
            let answer = if route.method == "GET" { browser.get(&path).await } else { browser.post(&path, "").await };
            answers.push((path.clone(), answer));
        }
    }
    answers.push(("/nowhere".to_owned(), nobody.get("/nowhere").await));
    answers.push(("/challenge/x/events".to_owned(), nobody.get("/challenge/x/events").await));
    answers.push(("/activity".to_owned(), nobody.post("/activity", "").await));
    for (path, answer) in answers {
        assert_eq!(
            header(&answer, "content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "{path}"
        );
        assert_eq!(header(&answer, "referrer-policy"), "same-origin", "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        let cached = if path.starts_with("/static/") { "public, max-age=31536000, immutable" } else { "no-store" };
        assert!(header(&answer, "cache-control") == cached || path.ends_with("/events"), "{path}");
        assert_eq!(header(&answer, "strict-transport-security"), "", "{path}: there is no TLS");
        let status = answer.status().as_u16();
        assert!(status < 500, "{path} gave {status}");
    }
}

#[tokio::test]
async fn pages_have_no_inline_script_or_style_and_nothing_from_elsewhere() {
    let stage = full_stage().await;
    stage.world.store.put_event(portcullis_core::event::Event::Access(Box::new(sample::challenged(
        7,
        "bob",
        Timestamp(BEGIN),
        portcullis_core::policy::ChallengeOutcome::Denied,
    ))));
    let signed_in = stage.signed_in().await;
    for path in [
        "/challenge",
        "/activity",
        "/incidents",
        "/policy",
        "/policy/edit",
        "/policy/revisions/2",
        "/service-accounts",
        "/exclusions",
    ] {
        let page = signed_in.text(path).await;
        for forbidden in ["<style", " style=", "onclick", "onload", "javascript:", "http://", "https://", "//cdn"] {
            assert!(!page.contains(forbidden), "{path} contains {forbidden}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{path}: our one script");
        assert!(page.contains("<script src=\"/static/live.js?v="), "{path}");
    }
}

#[tokio::test]
async fn health_says_a_word_and_nothing_else() {
    let stage = Stage::new().await;
    assert_eq!(stage.browser().text("/healthz").await, "ok");
    stage.world.healthy.store(false, std::sync::atomic::Ordering::SeqCst);
    let answer = stage.browser().get("/healthz").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text().await.unwrap(), "degraded");
}

#[tokio::test]
async fn a_broken_store_is_no_way_in_and_tells_nobody_about_itself() {
    let stage = full_stage().await;
    let signed_in = stage.signed_in().await;
    stage.world.store.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    for path in ["/activity", "/activity/fragment", "/activity/events", "/api/v1/events", "/api/v1/incidents"] {
        let answer = signed_in.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert!(!answer.text().await.unwrap().contains("secret-path"), "{path}");
    }
    assert_eq!(signed_in.sign_in("admin", &stage.password).await.status(), 503);
}
