use portcullis_core::cloud::{Foreign, SourceStatus};
use portcullis_core::event::{AdministrationEvent, Decision, Event};
use portcullis_core::incident::IncidentState;
use portcullis_core::policy::{ChallengeOutcome, Severity};
use portcullis_core::source::{Attribute, Position};
use portcullis_core::summary::{MOST_BASES, SessionSummary, Tally};
use portcullis_core::{Ids as _, OperationKind, Timestamp};

use crate::stage::{Stage, Stream, header};
use crate::support::{BEGIN, sample};

fn at(seconds: u64) -> Timestamp {
    Timestamp(BEGIN + seconds * 1_000)
}

fn put(stage: &Stage, event: portcullis_core::event::AccessEvent) {
    stage.world.store.put_event(Event::Access(Box::new(event)));
}

#[tokio::test]
async fn the_page_shows_events_with_what_was_decided_and_why() {
    let stage = Stage::new().await;
    put(&stage, sample::search(1, at(1)));
    put(&stage, sample::challenged(2, "bob", at(2), ChallengeOutcome::Denied));
    let mut refused = sample::allowed(3, "carol", at(3));
    refused.decision = Decision::Refused;
    put(&stage, refused);
    let browser = stage.signed_in().await;
    let page = browser.text("/activity").await;
    for expected in [
        "2026-11-24T10:00:02.000Z",
        ">bob<",
        "meeting-room-3",
        "title=\"10.1.9.3\"",
        "unusual-endpoint",
        "Blocked",
        "Refused by directory",
        "Allowed",
        "the second factor was denied.",
        "bob has not used meeting-room-3 before.",
        "challenge through okta-verify",
        "incident (high): Second factor denied",
        "after 8.4 s",
        "uid=bob,ou=people,dc=example,dc=com",
        "userAccountControl:1.2.840.113556.1.4.803:=4194304",
        "console-sign-in",
    ] {
        assert!(page.contains(expected), "{expected} is not on the page");
    }
    let position = |text: &str| page.find(text).unwrap();
    assert!(position("10:00:03") < position("10:00:02") && position("10:00:02") < position("10:00:01"));
}

#[tokio::test]
async fn what_a_cloud_service_told_is_said_in_words_and_how_reading_it_goes() {
    let stage = Stage::new().await;
    let mut event = sample::allowed(1, "alice", at(1));
    event.access.source = "okta".to_owned();
    event.access.operation = portcullis_core::Operation::SignIn;
    event.foreign = Some(Box::new(Foreign {
        id: "e-1".to_owned(),
        received_at: at(9),
        account: Some("00u1".to_owned()),
        detail: "User <login> to Okta".to_owned(),
        place: Some("Berlin, Germany".to_owned()),
        position: Some(Position { latitude: 52.52, longitude: 13.405 }),
        user_agent: Some("Firefox".to_owned()),
        attributes: vec![Attribute { name: "event type".to_owned(), values: vec!["user.session.start".to_owned()] }],
        raw: "{}".to_owned(),
        follows: None,
    }));
    let mut blocked = event.clone();
    blocked.access.id = sample::allowed(2, "alice", at(2)).access.id;
    blocked.decision = Decision::Block;
    put(&stage, event);
    put(&stage, blocked);
    let mut status = SourceStatus {
        source: portcullis_core::ConnectorName::new("okta"),
        last_success: Some(at(9)),
        last_error: None,
        complete_to: Some(at(5)),
        behind: false,
        stored: 1_204,
        again: 3,
        polls: 2,
        failures: 0,
    };
    let browser = stage.signed_in().await;
    let page_with = async |status: &SourceStatus| {
        *stage.world.sources.lock().unwrap() = vec![status.clone()];
        browser.text("/activity").await
    };
    let page = page_with(&status).await;
    for expected in [
        "Berlin, Germany (52.52, 13.40",
        "User &lt;login&gt; to Okta",
        "user.session.start",
        "Firefox",
        "Acted against",
        "Up to date",
        "1,204 events",
        "2026-11-24T10:00:05.000Z",
    ] {
        assert!(page.contains(expected), "{expected} is not on the page");
    }
    status.behind = true;
    assert!(page_with(&status).await.contains("Behind"));
    status.last_error = Some((at(8), "the credentials lack a right: okta.logs.read".to_owned()));
    let page = page_with(&status).await;
    assert!(page.contains("Cannot be read") && page.contains("okta.logs.read"));
}

fn put_summary(stage: &Stage, summary: SessionSummary) {
    stage.world.store.put_event(Event::Summary(Box::new(summary)));
}

#[tokio::test]
async fn what_was_summed_up_is_one_plain_line_with_its_numbers_behind() {
    let stage = Stage::new().await;
    put_summary(&stage, sample::summary(1, "alice", at(60)));
    let mut merged = sample::summary(2, "", at(100));
    (merged.from, merged.account, merged.client, merged.connections) = (at(90), None, None, 1_000);
    merged.tally = Tally::default();
    merged.tally.operations = [(OperationKind::Search, 1), (OperationKind::Extended, 1)].into();
    merged.tally.fail(Some(32), 2);
    merged.tally.fail(Some(9_999), 1);
    merged.tally.fail(None, 1);
    put_summary(&stage, merged);
    let mut late = sample::summary(3, "bob", at(180));
    late.tally.operations.clear();
    late.tally.bases = (0..MOST_BASES).map(|number| format!("ou={number}")).collect();
    put_summary(&stage, late);
    let page = stage.signed_in().await.text("/activity").await;
    // As it is read, with the marks taken out.
    let mut plain = String::new();
    let mut inside = false;
    for letter in page.chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => plain.push(letter),
            _ => {}
        }
    }
    for expected in [
        "alice read 1,204 times (3 bases, 12,000 entries) between 10:00 and 10:01 from meeting-room-3.",
        "Somebody without an account read once (4 without success) and sent 1 other request at 10:01 from meeting-room-3 \
         over 1,000 connections.",
        "bob went on receiving answers (8 bases or more, 12,000 entries) between 10:02 and 10:03",
        "Search\u{a0}×1,204",
        "Summed up",
        "10.1.9.3:50123",
        "ou=people,dc=example,dc=com",
        "the root",
        "3,481,022",
        "noSuchObject (32) ×2",
        "9999 ×1",
        "other codes ×1",
    ] {
        assert!(plain.contains(expected), "{expected} is not on the page: {plain}");
    }
    let events = stage.signed_in().await.json("/api/v1/events").await;
    let found = events["events"].as_array().unwrap().iter().find(|one| one["event"]["id"] == sample_id(1)).unwrap();
    assert_eq!(
        (&found["event"]["type"], &found["event"]["tally"]["operations"]["search"]),
        (&"summary".into(), &1_204.into())
    );
}

fn sample_id(number: u64) -> String {
    sample::summary(number, "", at(60)).id.to_string()
}

#[tokio::test]
async fn empty_pages_are_friendly() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let page = browser.text("/activity?before=1").await;
    assert!(page.contains("No events yet") && page.contains("No open incidents"), "{page}");
}

#[tokio::test]
async fn older_events_are_on_the_pages_before() {
    let stage = Stage::new().await;
    for number in 1..=120 {
        put(&stage, sample::allowed(number, &format!("user-{number}-"), at(number)));
    }
    let browser = stage.signed_in().await;
    let newest = browser.text("/activity").await;
    assert!(newest.contains("user-120-") && !newest.contains("user-70-"), "fifty, one of which is the sign-in");
    assert!(newest.contains("/activity?before=72") && newest.contains("data-events"));
    let older = browser.text("/activity?before=72").await;
    assert!(older.contains("user-71-") && older.contains("user-22-") && !older.contains("user-72-"));
    assert!(!older.contains("data-events"), "only the newest page is live");
    let oldest = browser.text("/activity?before=22").await;
    assert!(oldest.contains("user-1-") && !oldest.contains("Older events"));
    assert_eq!(browser.get("/activity?before=x").await.status(), 400);
}

#[tokio::test]
async fn an_incident_is_resolved_by_a_person_who_is_on_record() {
    let stage = Stage::new().await;
    let mut incident = sample::incident(1, "bob", Severity::High, "Second factor denied", at(1));
    incident.count = 3;
    stage.world.store.put_incident(incident.clone());
    let critical = sample::incident(2, "svc", Severity::Critical, "Hunting", at(0));
    stage.world.store.put_incident(critical);
    let browser = stage.signed_in().await;
    let page = browser.text("/activity").await;
    for expected in ["Second factor denied", "High", "×3", "2 open"] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(page.find("Hunting") < page.find("Second factor denied"), "the worst first");

    let (csrf, path) = (browser.csrf().await, format!("/incidents/{}/resolve", incident.id));
    let answer = browser.post(&path, &format!("csrf={csrf}&back=activity")).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, "/activity".to_owned()));
    let resolved = stage.world.store.incident(incident.id);
    assert_eq!(resolved.state, IncidentState::Resolved);
    assert_eq!(resolved.resolved_by_person.as_deref(), Some("admin"));
    let event = stage.world.store.administration().pop().unwrap();
    assert_eq!((event.actor.as_str(), event.action.as_str()), ("admin", "incident-resolved"));
    assert!(event.detail.contains(&incident.id.to_string()));
    // A second time there is nothing to do and nothing to record.
    let again = browser.post(&path, &format!("csrf={csrf}&back=activity")).await;
    assert_eq!(again.status(), 409);
    assert!(again.text().await.unwrap().contains("Nothing was done: the incident is resolved."));
    assert_eq!(stage.world.store.administration().len(), 2);
    assert_eq!(browser.post("/incidents/x/resolve", &format!("csrf={csrf}")).await.status(), 404);
    assert!(browser.text("/activity").await.contains("resolved by admin"));
}

#[tokio::test]
async fn the_stream_says_that_there_is_something_new_and_the_fragment_has_it() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let mut stream = Stream::open(&browser, "/activity/events").await;
    assert_eq!(stream.next().await.as_deref(), Some("ready"));
    put(&stage, sample::allowed(5, "mallory", at(5)));
    assert_eq!(stream.next().await.as_deref(), Some("changed"));
    let fragment = browser.text("/activity/fragment").await;
    assert!(fragment.contains("mallory") && !fragment.contains("<html"));
}

#[tokio::test]
async fn the_stream_ends_with_the_session() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let mut stream = Stream::open(&browser, "/activity/events").await;
    assert_eq!(stream.next().await.as_deref(), Some("ready"));
    let csrf = browser.csrf().await;
    assert_eq!(browser.post("/sign-out", &format!("csrf={csrf}")).await.status(), 303);
    // Signing out is an event, so the stream looks.
    assert_eq!(stream.next().await.as_deref(), Some("signed-out"));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn programs_get_the_same_as_json() {
    let stage = Stage::new().await;
    for number in 1..=5 {
        put(&stage, sample::allowed(number, &format!("user-{number}"), at(number)));
    }
    stage.world.store.put_incident(sample::incident(1, "bob", Severity::High, "Second factor denied", at(1)));
    let browser = stage.signed_in().await;
    let first = browser.json("/api/v1/events?limit=3").await;
    assert_eq!(first["events"][0]["event"]["action"], "console-sign-in");
    assert_eq!(first["events"][1]["event"]["access"]["account"]["login"], "user-5");
    assert_eq!((first["events"][2]["sequence"].as_u64(), first["next_before"].as_u64()), (Some(4), Some(4)));
    let next = browser.json("/api/v1/events?limit=10&before=4").await;
    assert_eq!(next["events"].as_array().unwrap().len(), 3);
    assert!(next["next_before"].is_null());
    let incidents = browser.json("/api/v1/incidents").await;
    assert_eq!(incidents["incidents"][0]["title"], "Second factor denied");
    for wrong in ["limit=0", "limit=501", "limit=x", "before=-1"] {
        let answer = browser.get(&format!("/api/v1/events?{wrong}")).await;
        assert_eq!(answer.status(), 400, "{wrong}");
        assert_eq!(header(&answer, "content-type"), "application/json");
    }
}

#[tokio::test]
async fn what_comes_from_outside_is_text_and_nothing_else() {
    let stage = Stage::new().await;
    let hostile = "\"'><script>alert(1)</script>";
    let mut event = sample::challenged(1, hostile, at(1), ChallengeOutcome::Denied);
    event.reason = hostile.to_owned();
    event.access.target.application = hostile.to_owned();
    event.access.target.entry = Some(hostile.to_owned());
    event.access.source = hostile.to_owned();
    event.access.operation = portcullis_core::Operation::Other(hostile.to_owned());
    event.rulings[0].fault = Some(hostile.to_owned());
    event.rulings[0].reason = hostile.to_owned();
    event.challenges[0].detail = hostile.to_owned();
    event.access.signals[0].name = hostile.to_owned();
    put(&stage, event);
    let mut summary = sample::summary(7, hostile, at(60));
    summary.application = hostile.to_owned();
    summary.endpoint.name = Some(hostile.to_owned());
    summary.tally.bases = vec![hostile.to_owned()];
    put_summary(&stage, summary);
    stage.world.store.put_incident(sample::incident(1, hostile, Severity::Low, hostile, at(1)));
    stage.world.store.put_event(Event::Administration(AdministrationEvent {
        id: stage.world.ids.event_id(at(2)),
        at: at(2),
        actor: hostile.to_owned(),
        action: hostile.to_owned(),
        detail: hostile.to_owned(),
    }));
    let page = stage.signed_in().await.text("/activity").await;
    assert!(!page.contains("<script>alert") && !page.contains("\"'>"), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 19, "it is shown, as text");
}

#[tokio::test]
async fn a_critical_incident_is_not_pushed_off_by_thirty_newer_ones() {
    let stage = Stage::new().await;
    stage.world.store.put_incident(sample::incident(1, "mallory", Severity::Critical, "Honeytoken", at(0)));
    for number in 2..=40 {
        let login = format!("user-{number}");
        stage.world.store.put_incident(sample::incident(number, &login, Severity::Medium, "Guesses", at(number)));
    }
    let page = stage.signed_in().await.text("/activity").await;
    assert!(page.contains("Honeytoken") && page.contains("40 open, 30 shown"), "{page}");
    assert!(page.contains("href=\"/incidents\""));
}

#[tokio::test]
async fn what_can_have_the_focus_in_the_live_part_can_be_found_again() {
    let stage = Stage::new().await;
    put(&stage, sample::challenged(2, "bob", at(2), ChallengeOutcome::Denied));
    put_summary(&stage, sample::summary(3, "alice", at(60)));
    for number in 1..=60 {
        put(&stage, sample::allowed(100 + number, "carol", at(number)));
    }
    stage.world.store.put_incident(sample::incident(1, "bob", Severity::High, "Denied", at(1)));
    let mut done = sample::incident(2, "eve", Severity::High, "Denied", at(1));
    done.state = IncidentState::Resolved;
    stage.world.store.put_incident(done);
    let fragment = stage.signed_in().await.text("/activity/fragment").await;
    for name in ["a", "button", "summary"] {
        let tags: Vec<_> =
            fragment.split(&format!("<{name}")).skip(1).filter(|rest| rest.starts_with([' ', '>'])).collect();
        assert!(!tags.is_empty(), "{name}");
        for tag in tags {
            let tag = tag.split('>').next().unwrap();
            assert!(tag.contains(" id=\""), "<{name}{tag}>");
        }
    }
}
