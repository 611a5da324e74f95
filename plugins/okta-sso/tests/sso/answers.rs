//! Okta's answers and the gateway's questions, as the tests need them.

use okta::contract::portcullis::gateway::http::{HttpError, Response};
use okta::contract::portcullis::gateway::types::Attribute;
use okta::script::{Script, reply};
use okta_sso::contract::exports::portcullis::gateway::event_source::ForeignEvent;
use okta_sso::mapping;
use okta_sso::settings::Settings;
use serde_json::{Value, json};

pub type Answer = Result<Response, HttpError>;

pub const BASE: &str = "https://acme.okta.com";
pub const USER: &str = "00u7exampleUSER00001";
pub const LOGIN: &str = "mona.reyes@acme.example";
/// Okta's clock.
pub const CLOCK: u64 = 1_795_489_802_000;
pub const DATE: (&str, &str) = ("Date", "Tue, 24 Nov 2026 03:10:02 GMT");
/// The gateway's clock is ten minutes ahead of Okta's.
pub const NOW: u64 = CLOCK + 600_000;
pub const NEXT: &str =
    "https://acme.okta.com/api/v1/logs?since=2026-10-25T03%3A20%3A02.000Z&limit=1000&after=1795489511773_1";

pub fn settings(more: &str) -> Settings {
    Settings::parse(&format!(r#"{{"base-url":"{BASE}"{more}}}"#)).unwrap()
}

pub fn script(answers: impl IntoIterator<Item = Answer>) -> Script {
    let script = Script::new(answers);
    script.set_now(NOW);
    script
}

/// An event as Okta's documentation shows one; `changes` are laid over it, member by member.
pub fn event(changes: Value) -> Value {
    let mut event = json!({
        "actor": {"alternateId": LOGIN, "detailEntry": null, "displayName": "Mona Reyes", "id": USER, "type": "User"},
        "authenticationContext": {"authenticationProvider": "FACTOR_PROVIDER", "authenticationStep": 0, "credentialProvider": null,
            "credentialType": null, "externalSessionId": "102kExampleSessionId0001", "interface": null, "issuer": null,
            "rootSessionId": "102kExampleSessionId0001"},
        "client": {"device": "Computer", "id": null, "ipAddress": "203.0.113.24", "zone": "null",
            "geographicalContext": {"city": "Lyon", "country": "France", "geolocation": {"lat": 45.76, "lon": 4.84},
                "postalCode": "69001", "state": "Auvergne-Rhone-Alpes"},
            "userAgent": {"browser": "CHROME", "os": "Windows 10", "rawUserAgent": "Mozilla/5.0 (Windows NT 10.0)"}},
        "debugContext": {"debugData": {"requestId": "b7f0exampleRequest01", "requestUri": "/idp/idx/identify", "threatSuspected": "false"}},
        "device": null, "displayMessage": "User login to Okta", "eventType": "user.session.start", "legacyEventType": null,
        "outcome": {"reason": null, "result": "SUCCESS"}, "published": "2026-11-24T03:05:11.773Z",
        "request": {"ipChain": [{"geographicalContext": null, "ip": "203.0.113.24", "source": null, "version": "V4"}]},
        "securityContext": {"asNumber": 64500, "asOrg": "example telecom", "domain": "isp.example", "isProxy": false, "isp": "example isp"},
        "severity": "INFO", "target": null,
        "transaction": {"detail": {}, "id": "b7f0exampleRequest01", "type": "WEB"},
        "uuid": "0f6a1c52-c8e5-11f1-9d1a-0242ac120002", "version": "0"
    });
    lay_over(&mut event, changes);
    event
}

fn lay_over(value: &mut Value, changes: Value) {
    match (value, changes) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                lay_over(members.entry(name).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change,
    }
}

pub fn read(changes: Value) -> ForeignEvent {
    mapping::read(&event(changes).to_string(), CLOCK).unwrap()
}

pub fn values<'a>(attributes: &'a [Attribute], name: &str) -> Vec<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.name == name);
    found.map(|attribute| attribute.values.iter().map(String::as_str).collect()).unwrap_or_default()
}

/// An event with a number for its id, published so many seconds after [`CLOCK`] less an hour.
pub fn numbered(number: usize) -> Value {
    let published = okta::dates::iso_text(CLOCK - 3_600_000 + u64::try_from(number).unwrap() * 1_000);
    event(json!({"uuid": format!("uuid-{number}"), "published": published}))
}

pub fn page(events: &[Value], next: Option<&str>, more: &[(&str, &str)]) -> Answer {
    let link = next.map(|next| format!("<{next}>; rel=\"next\""));
    let this = format!("<{BASE}/api/v1/logs?limit=1000>; rel=\"self\"");
    let mut headers = vec![DATE, ("link", this.as_str())];
    headers.extend(link.as_deref().map(|link| ("Link", link)));
    headers.extend(more);
    Ok(reply(200, &headers, &Value::from(events.to_vec()).to_string()))
}

pub fn full_page() -> Vec<Value> {
    (0..1_000).map(numbered).collect()
}

pub fn user(status: &str) -> Value {
    json!({"id": USER, "status": status, "created": "2024-02-01T09:00:00.000Z", "lastLogin": null,
        "statusChanged": "2024-02-01T09:00:05.000Z", "type": {"id": "oty1"},
        "profile": {"login": LOGIN, "email": LOGIN, "firstName": "Mona", "lastName": "Reyes", "mobilePhone": null}})
}

pub fn json_answer(value: &Value) -> Answer {
    Ok(reply(200, &[DATE, ("content-type", "application/json")], &value.to_string()))
}

pub fn urls(script: &Script) -> Vec<String> {
    script
        .requests()
        .into_iter()
        .map(|request| request.url.strip_prefix(BASE).unwrap_or("elsewhere").to_owned())
        .collect()
}
