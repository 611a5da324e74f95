//! Events that look strange. Each is kept as far as it can be read, and none stops the others.

use okta_sso::{feed, mapping};
use serde_json::{Value, json};

use crate::answers::*;

#[test]
fn a_job_has_no_client_and_nobody_acts() {
    let nobody = json!({"alternateId": "system@okta.com", "displayName": "Okta System", "id": "okta.1", "type": "SystemPrincipal"});
    let client =
        json!({"device": null, "geographicalContext": null, "ipAddress": null, "userAgent": null, "zone": null});
    let job = read(
        json!({"actor": nobody, "client": client, "request": {"ipChain": []}, "transaction": {"type": "JOB"}, "target": []}),
    );
    assert_eq!(
        (job.identities.len(), job.address, job.user_agent, job.place, job.position),
        (0, None, None, None, None)
    );
    assert_eq!(values(&job.attributes, "job"), ["JOB"]);
    assert_eq!(values(&job.attributes, "actor"), ["SystemPrincipal: Okta System"]);
}

#[test]
fn the_text_null_is_nothing() {
    let read = read(json!({"client": {"ipAddress": "null", "zone": "null"}, "request": {"ipChain": []}}));
    assert_eq!(read.address, None);
    assert_eq!(values(&read.attributes, "zone"), Vec::<&str>::new());
}

#[test]
fn the_chain_of_proxies_stands_in_for_a_missing_address() {
    let read =
        read(json!({"client": {"ipAddress": null}, "request": {"ipChain": [{"ip": null}, {"ip": "198.51.100.7"}]}}));
    assert_eq!(read.address.as_deref(), Some("198.51.100.7"));
}

#[test]
fn an_unknown_actor_is_nobody() {
    let actor = json!({"alternateId": "unknown", "displayName": null, "id": "unknown", "type": "User"});
    assert_eq!(read(json!({"actor": actor})).identities, Vec::<String>::new());
    let typed = json!({"alternateId": "nobody@acme.example", "id": "unknown", "type": "User"});
    assert_eq!(read(json!({"actor": typed})).identities, ["nobody@acme.example"], "what was typed is worth knowing");
}

#[test]
fn any_member_can_be_null_missing_or_of_another_kind() {
    let whole = event(json!({}));
    let names: Vec<String> = whole.as_object().unwrap().keys().filter(|name| *name != "uuid").cloned().collect();
    for name in &names {
        for strange in
            [Value::Null, json!(7), json!(true), json!("x"), json!([]), json!([1, null, {}]), json!({"x": [{}]})]
        {
            let mut event = whole.clone();
            event[name] = strange;
            assert!(mapping::read(&event.to_string(), CLOCK).is_some(), "{event}");
        }
        let mut event = whole.clone();
        event.as_object_mut().unwrap().remove(name);
        assert!(mapping::read(&event.to_string(), CLOCK).is_some(), "{event}");
    }
    let alone = mapping::read(r#"{"uuid":"only-me"}"#, CLOCK).unwrap();
    assert_eq!((alone.id.as_str(), alone.at), ("only-me", CLOCK));
}

#[test]
fn strangeness_deep_inside_costs_only_what_is_strange() {
    let read = read(json!({
        "client": {"geographicalContext": {"geolocation": "nowhere"}, "userAgent": 5},
        "debugContext": {"debugData": {"originalPrincipal": {"id": "00u"}, "threatSuspected": true, "factor": {"a": 1}}},
        "target": [null, 3, {"type": "AppInstance", "displayName": "Wiki", "detailEntry": {"x": "y"}}],
        "version": 0,
    }));
    assert_eq!((read.address.as_deref(), read.position), (Some("203.0.113.24"), None));
    assert_eq!(read.application.as_deref(), Some("Wiki"));
    assert_eq!(values(&read.attributes, "threat-suspected"), ["true"]);
}

#[test]
fn a_time_that_cannot_be_read_is_the_time_of_the_answer() {
    let read = read(json!({"published": "yesterday"}));
    assert_eq!(read.at, CLOCK);
    assert_eq!(values(&read.attributes, "published"), ["yesterday"]);
}

#[test]
fn an_event_that_is_spoiled_is_kept_by_its_id() {
    for text in [
        r#"{"uuid":"u1","eventType":"user.session.start","published":"2026-11-24T03:05:11.773Z","client":{"zone":1,"zone":2}}"#,
        r#"{"uuid":"u1","eventType":"user.session.start","published":"2026-11-24T03:05:11.773Z","severity":1e999}"#,
    ] {
        let read = mapping::read(text, CLOCK).unwrap();
        assert_eq!((read.id.as_str(), read.at), ("u1", 1_795_489_511_773), "{text}");
        assert_eq!(values(&read.attributes, "event-type"), ["user.session.start"]);
    }
}

#[test]
fn what_has_no_id_is_counted_and_the_rest_of_the_page_goes_on() {
    let odd = [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!({}),
        json!({"uuid": null}),
        json!({"uuid": {}}),
        numbered(1),
    ];
    let script = script([page(&odd, Some(NEXT), &[])]);
    let batch = feed::poll(&script, &settings(""), None).unwrap();
    assert_eq!(batch.events.len(), 1);
    assert!(script.lines().iter().any(|line| line.starts_with("7 entries")), "{:?}", script.lines());
}

#[test]
fn a_page_with_bytes_that_are_no_text_is_read_all_the_same() {
    let mut answer = page(&[numbered(1)], Some(NEXT), &[]).unwrap();
    let at = answer.body.windows(4).position(|four| four == b"Lyon").unwrap();
    answer.body[at] = 0xff;
    let batch = feed::poll(&script([Ok(answer)]), &settings(""), None).unwrap();
    assert_eq!(batch.events[0].place.as_deref(), Some("\u{fffd}yon, Auvergne-Rhone-Alpes, France"));
}
