//! Each fault of the Okta simulator, as a client sees it.

use std::time::{Duration, Instant};

use portcullis_lab::okta::{Behaviour, Call, Fault, RateHeaders};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::okta::{Api, poll_link};

/// The answer to a question about Alice while the next one is faulty.
async fn under(api: &Api, fault: Fault) -> reqwest::Result<Response> {
    api.okta.fail_next(1, &fault);
    api.call(Method::GET, &api.url("/api/v1/users/alice"), None).await
}

#[tokio::test]
async fn answers_are_wrong_in_every_way_and_right_again_after() {
    let api = Api::start().await;
    let answer = under(&api, Fault::Status(500, "E0000009".to_owned())).await.unwrap();
    assert_eq!(answer.status().as_u16(), 500);
    assert_eq!(answer.json::<Value>().await.unwrap()["errorCode"], "E0000009");

    let answer = under(&api, Fault::Html(502)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (502, "text/html"));

    let answer = under(&api, Fault::EmptyBody).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.bytes().await.unwrap().len()), (200, 0));

    let answer = under(&api, Fault::BadJson).await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    assert!(answer.json::<Value>().await.is_err());

    let answer = under(&api, Fault::Huge(3_000_000)).await.unwrap();
    let body = answer.bytes().await.unwrap();
    assert_eq!(body.len(), 3_000_000);
    assert!(serde_json::from_slice::<Value>(&body).is_ok());

    let began = Instant::now();
    let answer = under(&api, Fault::Slow(Duration::from_millis(300))).await.unwrap();
    assert!(answer.status().is_success() && began.elapsed() >= Duration::from_millis(300));

    let answer = under(&api, Fault::ForeignNextLink("https://evil.example".to_owned())).await.unwrap();
    let links: Vec<_> = answer.headers().get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert!(links.iter().any(|link| link.starts_with("<https://evil.example/") && link.contains("next")), "{links:?}");

    assert_eq!(api.get(&api.url("/api/v1/users/alice")).await.0, 200, "every fault came once");
}

#[tokio::test]
async fn connections_break_before_and_within_the_answer() {
    let api = Api::start().await;
    let reset = under(&api, Fault::Reset).await.unwrap_err();
    assert!(reset.is_request(), "{reset:?}");
    let truncated = under(&api, Fault::Truncated).await.unwrap();
    assert_eq!(truncated.status().as_u16(), 200);
    assert!(truncated.bytes().await.is_err(), "half an answer must not look like a whole one");
    let statuses: Vec<u16> = api.okta.journal().iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [0, 200]);
}

#[tokio::test]
async fn a_429_comes_with_and_without_its_headers() {
    let api = Api::start().await;
    for (headers, limit, remaining) in [
        (RateHeaders::Absent, None, None),
        (RateHeaders::Bucket, Some("600"), Some("0")),
        (RateHeaders::Concurrency, Some("0"), Some("0")),
    ] {
        let answer = under(&api, Fault::RateLimited(headers)).await.unwrap();
        assert_eq!(answer.status().as_u16(), 429);
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!((header("x-rate-limit-limit"), header("x-rate-limit-remaining")), (limit, remaining));
        assert_eq!(answer.json::<Value>().await.unwrap()["errorCode"], "E0000047");
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_start_has_rung_the_phone_and_a_reset_has_not() {
    let api = Api::start().await;
    let verify = api.push_factor("alice").await;
    api.okta.fail_next_call(Call::Verify, 1, &Fault::Reset);
    assert!(api.call(Method::POST, &verify, None).await.is_err());
    assert_eq!(api.okta.pushes_started("alice").unwrap(), 0);
    for (count, fault) in [(1, Fault::LostAnswer), (2, Fault::Truncated), (3, Fault::EmptyBody), (4, Fault::BadJson)] {
        api.okta.fail_next_call(Call::Verify, 1, &fault);
        let answer = api.call(Method::POST, &verify, None).await;
        if let Ok(answer) = answer {
            assert!(answer.json::<Value>().await.is_err());
        }
        assert_eq!(api.okta.pushes_started("alice").unwrap(), count, "{fault:?}");
    }
}

#[tokio::test]
async fn a_poll_that_was_lost_can_be_repeated() {
    let api = Api::start().await;
    let waiting = api.push("alice", None).await;
    for fault in [Fault::Reset, Fault::LostAnswer, Fault::Truncated, Fault::BadJson, Fault::EmptyBody, Fault::Html(504)]
    {
        api.okta.fail_next_call(Call::Poll, 1, &fault);
        if let Ok(answer) = api.call(Method::GET, poll_link(&waiting), None).await {
            assert!(answer.json::<Value>().await.is_err(), "{fault:?}");
        }
    }
    assert_eq!(api.poll(&waiting).await["factorResult"], "WAITING");
}

#[tokio::test]
async fn results_nobody_knows_and_links_that_lead_away() {
    let api = Api::start().await;
    api.okta.on_push("alice", Behaviour::ApproveAfter(Duration::ZERO)).unwrap();
    api.okta.fail_next_call(Call::Poll, 1, &Fault::UnknownFactorResult("SUCCESS_BUT_NOT_QUITE".to_owned()));
    let waiting = api.push("alice", None).await;
    assert_eq!(api.poll(&waiting).await["factorResult"], "SUCCESS_BUT_NOT_QUITE");

    api.okta.fail_next_call(Call::Verify, 1, &Fault::ForeignPollLink("https://evil.example:1".to_owned()));
    let away = api.push("bob", None).await;
    assert!(poll_link(&away).starts_with("https://evil.example:1/api/v1/users/"), "{away}");
    assert!(away["_links"]["cancel"]["href"].as_str().unwrap().starts_with("https://evil.example:1/"), "{away}");
}

#[tokio::test]
async fn a_standing_fault_stays_until_it_is_taken_away() {
    let api = Api::start().await;
    api.okta.set_fault(Some(Fault::Html(503)));
    api.okta.fail_next(1, &Fault::Html(502));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(api.call(Method::GET, &api.url("/api/v1/users/alice"), None).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [502, 503, 503]);
    api.okta.set_fault(None);
    assert_eq!(api.get(&api.url("/api/v1/users/alice")).await.0, 200);
}
