//! Reading the log page by page: where it begins, goes on, waits, and how it finds its place again.

use okta::contract::portcullis::gateway::http::HttpError;
use okta::dates::iso_text;
use okta::script::{error, header, reply};
use okta_sso::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_sso::contract::exports::portcullis::gateway::event_source::Batch;
use okta_sso::feed;
use serde_json::Value;

use crate::answers::*;

fn first(answer: Answer, more: &str) -> Batch {
    feed::poll(&script([answer]), &settings(more), None).unwrap()
}

fn beginning(since: u64) -> String {
    format!("/api/v1/logs?since={}&sortOrder=ASCENDING&limit=1000", iso_text(since).replace(':', "%3A"))
}

#[test]
fn the_first_run_goes_back_as_far_as_the_settings_say() {
    for (more, days) in [("", 30), (r#","history-days":90"#, 90), (r#","history-days":0"#, 0)] {
        let script = script([page(&[], Some(NEXT), &[])]);
        feed::poll(&script, &settings(more), None).unwrap();
        assert_eq!(urls(&script), [beginning(NOW - days * 86_400_000)], "a polling request has no end");
        assert_eq!(header(&script.requests()[0], "authorization"), Some("SSWS {{secret:api-token}}"));
    }
}

#[test]
fn the_next_link_is_followed_exactly_as_given() {
    let batch = first(page(&[numbered(1)], Some(NEXT), &[]), "");
    let script = script([page(&[], Some(NEXT), &[])]);
    let after = feed::poll(&script, &settings(""), Some(&batch.cursor)).unwrap();
    assert_eq!(script.requests()[0].url, NEXT);
    assert!(after.events.is_empty() && after.cursor.contains("after=1795489511773_1"), "an empty page has a link too");
}

#[test]
fn a_full_page_means_that_more_is_waiting() {
    let batch = first(page(&full_page(), Some(NEXT), &[]), "");
    assert_eq!((batch.events.len(), batch.poll_after_ms), (1_000, 0));
    assert_eq!(batch.complete_to, Some(CLOCK - 3_600_000 + 999_000), "the newest event of the page");
    let batch = first(page(&full_page()[..999], Some(NEXT), &[]), r#","poll-seconds":20"#);
    assert_eq!((batch.poll_after_ms, batch.complete_to), (20_000, Some(CLOCK)), "the end of the log, by Okta's clock");
}

#[test]
fn progress_never_goes_back() {
    let mut old = full_page();
    let batch = first(page(&old, Some(NEXT), &[]), "");
    for event in &mut old {
        event["published"] = "2026-01-01T00:00:00.000Z".into();
    }
    old[0]["published"] = "2199-01-01T00:00:00.000Z".into();
    let after = feed::poll(&script([page(&old, Some(NEXT), &[])]), &settings(""), Some(&batch.cursor)).unwrap();
    assert_eq!(after.complete_to, batch.complete_to, "late events and events of the future do not move it");
}

#[test]
fn events_keep_the_order_of_the_page_whatever_their_times() {
    let mut events = [numbered(3), numbered(1), numbered(2), numbered(3)];
    events[1]["published"] = "2026-11-24T02:00:00.000Z".into();
    let ids: Vec<_> = first(page(&events, Some(NEXT), &[]), "").events.into_iter().map(|event| event.id).collect();
    assert_eq!(ids, ["uuid-3", "uuid-1", "uuid-2", "uuid-3"], "the gateway stores each once");
}

#[test]
fn a_refused_cursor_goes_back_from_where_the_log_had_been_read_to() {
    let cursor = first(page(&full_page(), Some(NEXT), &[]), "").cursor;
    let read_to = CLOCK - 3_600_000 + 999_000;
    for refusal in [
        Ok(error(400, "E0000001")),
        Ok(error(400, "E0000053")),
        Ok(reply(400, &[], "<html>")),
        Ok(error(404, "E0000007")),
        Ok(error(410, "E0000007")),
        Ok(reply(410, &[], "")),
    ] {
        let script = script([refusal, page(&[numbered(5)], Some(NEXT), &[])]);
        let batch = feed::poll(&script, &settings(r#","overlap-minutes":60"#), Some(&cursor)).unwrap();
        assert_eq!(urls(&script)[1], beginning(read_to - 3_600_000));
        assert_eq!(batch.events.len(), 1);
        assert!(script.lines()[0].contains("is lost"), "{:?}", script.lines());
    }
}

#[test]
fn going_back_ends_where_okta_keeps_nothing() {
    let script = script([page(&[], Some(NEXT), &[])]);
    feed::poll(&script, &settings(""), Some(r#"{"next":null,"read_to":5}"#)).unwrap();
    assert_eq!(urls(&script), [beginning(NOW - 90 * 86_400_000)]);
}

#[test]
fn a_cursor_of_somebody_else_is_a_beginning() {
    for cursor in ["", "null", "{}", "https://acme.okta.com/api/v1/logs?after=1", r#"{"next":5,"read_to":1}"#] {
        let script = script([page(&[], Some(NEXT), &[])]);
        feed::poll(&script, &settings(""), Some(cursor)).unwrap();
        assert_eq!(urls(&script), [beginning(NOW - 30 * 86_400_000)], "{cursor}");
    }
}

#[test]
fn a_link_that_leads_away_is_not_followed() {
    for foreign in [
        "https://evil.example/api/v1/logs?after=1",
        "http://acme.okta.com/api/v1/logs",
        "https://acme.okta.com@evil.example/",
    ] {
        let given = script([page(&[numbered(1)], Some(foreign), &[])]);
        let refused = feed::poll(&given, &settings(""), None).unwrap_err();
        assert!(matches!(&refused, ConnectorError::Protocol(text) if text.contains("outside")), "{refused:?}");
        // One that is stored, because the organisation's address was another, is a place that is lost.
        let stored = script([page(&[numbered(1)], Some(NEXT), &[])]);
        let cursor = format!(r#"{{"next":"{foreign}","read_to":{CLOCK}}}"#);
        feed::poll(&stored, &settings(""), Some(&cursor)).unwrap();
        assert_eq!(urls(&stored), [beginning(CLOCK - 7_200_000)]);
    }
}

#[test]
fn a_page_without_a_link_is_used_and_read_again_from_its_end() {
    let batch = first(page(&[numbered(1)], None, &[]), "");
    assert_eq!(batch.events.len(), 1);
    let script = script([page(&[], Some(NEXT), &[])]);
    feed::poll(&script, &settings(""), Some(&batch.cursor)).unwrap();
    assert_eq!(urls(&script), [beginning(CLOCK - 7_200_000)]);
}

#[test]
fn half_of_the_rate_limit_is_left_to_others() {
    let pause = |events: &[Value], remaining: &str, more: &str| {
        let headers =
            [("x-rate-limit-limit", "60"), ("x-rate-limit-remaining", remaining), ("x-rate-limit-reset", "1795489822")];
        first(page(events, Some(NEXT), &headers), more).poll_after_ms
    };
    let full = full_page();
    assert_eq!(pause(&full, "31", ""), 0);
    assert_eq!(pause(&full, "30", ""), 21_000, "until the window ends by Okta's own clock, and a second");
    assert_eq!(pause(&full, "30", r#","log-share":80"#), 0);
    assert_eq!(pause(&full, "12", r#","log-share":80"#), 21_000);
    assert_eq!(pause(&[], "30", ""), 21_000);
    assert_eq!(pause(&[], "30", r#","poll-seconds":60"#), 60_000, "the longer of the two");
    assert_eq!(pause(&[], "59", ""), 15_000);
}

#[test]
fn faults_are_told_and_lose_nothing() {
    let cursor = first(page(&full_page(), Some(NEXT), &[]), "").cursor;
    let window =
        [DATE, ("x-rate-limit-limit", "60"), ("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1795489860")];
    let limited = r#"{"errorCode":"E0000047"}"#;
    type Is = fn(&ConnectorError) -> bool;
    let cases: [(Answer, Is); 20] = [
        (Ok(error(401, "E0000011")), |e| matches!(e, ConnectorError::Unauthorized(_))),
        (Ok(reply(401, &[], "")), |e| matches!(e, ConnectorError::Unauthorized(_))),
        (Ok(error(401, "E0000015")), |e| matches!(e, ConnectorError::Forbidden(_))),
        (Ok(error(403, "E0000005")), |e| matches!(e, ConnectorError::Unauthorized(_))),
        (Ok(error(403, "E0000006")), |e| matches!(e, ConnectorError::Forbidden(_))),
        (
            Ok(reply(403, &[("www-authenticate", r#"Bearer scope="okta.logs.read", error="insufficient_scope""#)], "")),
            |e| matches!(e, ConnectorError::Forbidden(text) if text.contains("okta.logs.read")),
        ),
        (Ok(reply(429, &window, limited)), |e| *e == ConnectorError::RateLimited(59_000)),
        (Ok(reply(429, &[], limited)), |e| *e == ConnectorError::RateLimited(2_000)),
        (Ok(reply(429, &[DATE, ("x-rate-limit-limit", "0")], limited)), |e| *e == ConnectorError::RateLimited(2_000)),
        (Ok(error(500, "E0000009")), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Ok(error(500, "E0000053")), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Ok(error(503, "E0000010")), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Ok(reply(502, &[], "<html>")), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Ok(reply(200, &[DATE], "<html>hello</html>")), |e| matches!(e, ConnectorError::Protocol(_))),
        (Ok(reply(200, &[DATE], "")), |e| matches!(e, ConnectorError::Protocol(_))),
        (Ok(reply(200, &[DATE], r#"[{"uuid":"a"},{"uu"#)), |e| matches!(e, ConnectorError::Protocol(_))),
        (Ok(reply(200, &[DATE], r#"{"uuid":"a"}"#)), |e| matches!(e, ConnectorError::Protocol(_))),
        (Err(HttpError::Timeout), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Err(HttpError::TooLarge), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Err(HttpError::Malformed("reset".into())), |e| matches!(e, ConnectorError::Unavailable(_))),
    ];
    for (answer, is_right) in cases {
        let said = format!("{answer:?}");
        let script = script([answer]);
        let fault = feed::poll(&script, &settings(""), Some(&cursor)).unwrap_err();
        assert!(is_right(&fault), "{said}: {fault:?}");
        assert_eq!(script.requests().len(), 1, "{said}: no other request is made in its place");
    }
}

#[test]
fn a_redirection_is_a_wrong_address() {
    let away = || Ok(reply(302, &[("location", "https://evil.example/")], ""));
    let fault = feed::poll(&script([away()]), &settings(""), None).unwrap_err();
    assert!(matches!(fault, ConnectorError::Misconfigured(_)), "{fault:?}");
}
