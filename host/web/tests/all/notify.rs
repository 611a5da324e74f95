//! Machines that listen for their challenges, and how the connectors stand.

use std::net::IpAddr;

use portcullis_core::challenge::ChallengeState;
use portcullis_core::cloud::SourceStatus;
use portcullis_core::plugin::Health;
use portcullis_core::status::{AboutConnector, ConnectorRole, ConnectorStatus};
use portcullis_core::{ConnectorName, Secret, Timestamp};
use portcullis_web::WebOptions;

use crate::stage::{Stage, Stream, header};
use crate::support::{BEGIN, sample};

fn at(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

#[tokio::test]
async fn a_machine_hears_of_its_own_challenges_each_once() {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, at(1), Timestamp(BEGIN)));
    stage.world.desk.put(sample::challenge(2, at(2), Timestamp(BEGIN)));
    let mut ended = sample::challenge(3, at(1), Timestamp(BEGIN));
    ended.state = ChallengeState::Approved;
    stage.world.desk.put(ended);
    let mut stream = Stream::open(&stage.browser_at(at(1)), "/notify/events").await;
    let first = stream.json().await;
    assert_eq!(first["path"], format!("/challenge/{}", sample::link(1).reveal()));
    assert_eq!((first["login"].as_str(), first["application"].as_str()), (Some("alice"), Some("wiki")));
    stage.world.desk.put(sample::challenge(4, at(2), Timestamp(BEGIN)));
    stage.world.desk.put(sample::challenge(5, at(1), Timestamp(BEGIN)));
    let second = stream.json().await;
    assert_eq!(second["path"], format!("/challenge/{}", sample::link(5).reveal()), "not the same again, not others'");
}

#[tokio::test]
async fn so_many_listen_from_one_address_and_no_more() {
    let stage = Stage::new().await;
    let (here, there) = (stage.browser_at(at(1)), stage.browser_at(at(2)));
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open(&here, "/notify/events").await);
    }
    let refused = here.get("/notify/events").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after").as_str()), (503, "5"));
    drop(Stream::open(&there, "/notify/events").await);
    assert_eq!(here.get("/challenge").await.status(), 200, "the pages have seats of their own");
}

#[tokio::test]
async fn a_token_is_needed_where_the_administrator_demands_one() {
    let token = Some(Secret::new("a token for those who listen"));
    let stage = Stage::with(WebOptions { notify_token: token, ..WebOptions::default() }).await;
    let browser = stage.browser();
    let ask = |value: Option<&str>| {
        let request = browser.http.get(format!("{}/notify/events", stage.base));
        value.map_or(browser.http.get(format!("{}/notify/events", stage.base)), |value| {
            request.header("authorization", value)
        })
    };
    for wrong in [
        None,
        Some("Bearer "),
        Some("Bearer a token for those who liste"),
        Some("Bearer a token for those who listen!"),
        Some("a token for those who listen"),
    ] {
        let answer = ask(wrong).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{wrong:?}");
        assert!(header(&answer, "www-authenticate").starts_with("Bearer"));
    }
    assert_eq!(ask(Some("Bearer a token for those who listen")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn whoever_is_signed_in_sees_how_the_connectors_stand() {
    let stage = Stage::new().await;
    let health = Health { detail: "acme.okta.com.".to_owned(), warnings: vec!["Look here.".to_owned()] };
    let about = AboutConnector {
        plugin: Some(("okta-sso".to_owned(), "0.1.0".to_owned())),
        roles: vec![ConnectorRole::EventSource, ConnectorRole::Enforcement],
    };
    let tried = |outcome| Some((Timestamp(BEGIN), outcome));
    *stage.world.connectors.lock().unwrap() = vec![
        ConnectorStatus { name: ConnectorName::new("a"), about: about.clone(), tried: tried(Ok(health)) },
        ConnectorStatus { name: ConnectorName::new("b"), about, tried: tried(Err("No such token.".to_owned())) },
        ConnectorStatus { name: ConnectorName::new("c"), about: AboutConnector::default(), tried: None },
    ];
    *stage.world.sources.lock().unwrap() = vec![SourceStatus {
        source: ConnectorName::new("b"),
        last_success: Some(Timestamp(BEGIN - 3_000)),
        last_error: Some((Timestamp(BEGIN), "No answer.".to_owned())),
        complete_to: Some(Timestamp(BEGIN - 90_000_000)),
        behind: true,
        stored: 1_204,
        again: 3,
        polls: 40,
        failures: 2,
    }];
    let shown = stage.signed_in().await.json("/api/v1/connectors").await;
    let plugin = serde_json::json!({"name": "okta-sso", "version": "0.1.0"});
    let roles = serde_json::json!(["event-source", "enforcement"]);
    let reading = serde_json::json!({
        "last_success": BEGIN - 3_000, "last_error": {"at": BEGIN, "detail": "No answer."},
        "complete_to": BEGIN - 90_000_000, "behind": true, "events": 1_204, "events_again": 3, "polls": 40, "failures": 2,
    });
    let expected = serde_json::json!({"connectors": [
        {"name": "a", "plugin": plugin, "roles": roles, "state": "working", "detail": "acme.okta.com.",
         "warnings": ["Look here."], "tried_at": BEGIN, "reading": null},
        {"name": "b", "plugin": plugin, "roles": roles, "state": "failing", "detail": "No such token.", "warnings": [],
         "tried_at": BEGIN, "reading": reading},
        {"name": "c", "plugin": null, "roles": [], "state": "not-tried", "detail": "", "warnings": [], "tried_at": null,
         "reading": null},
    ]});
    assert_eq!(shown, expected);
    let page = stage.signed_in().await.text("/connectors").await;
    for expected in [
        "href=\"/connectors\" aria-current=\"page\"",
        "okta-sso 0.1.0",
        "acme.okta.com.",
        "Look here.",
        "No such token.",
        "Cannot be read",
        "No answer.",
        "1,204 events",
        "1 day and 1 hour",
        "acts against accounts",
        "could not be loaded",
    ] {
        assert!(page.contains(expected), "{expected} is not on the page: {page}");
    }
}
