//! What connectors to cloud identity providers are told, and what they say. Everything in an event was typed by somebody
//! somewhere, so nothing of it is taken on trust: texts are bounded, what is no address or no position is none, and no event
//! claims to come from the future.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_core::plugin::PluginFault;
use portcullis_core::source::{Attribute, CloudAccount, CloudFactor, Enforcement, ForeignEvent, Position, SourceBatch};
use portcullis_core::{BindMethod, Operation, Outcome, Search, SearchScope, Timestamp};
use serde_json::value::RawValue;

use crate::bindings::connector::exports::portcullis::gateway::account_directory as accounts;
use crate::bindings::connector::exports::portcullis::gateway::enforcement as acts;
use crate::bindings::connector::exports::portcullis::gateway::event_source as events;
use crate::bindings::policy::portcullis::gateway::types as wit;
use crate::log::printable;

/// Events of one batch.
const MAX_EVENTS: usize = 10_000;
/// Longest cursor, in bytes; it is an address with a long query at most.
const MAX_CURSOR: usize = 16 << 10;
/// Longest id, in bytes. A longer one is not cut off, because two could become one.
const MAX_ID: usize = 256;
/// Longest name, application, place and the like, in bytes.
const MAX_WORD: usize = 512;
/// Longest sentence and user agent, in bytes.
const MAX_SENTENCE: usize = 1 << 10;
/// Longest event in the service's own form, in bytes.
const MAX_RAW: usize = 256 << 10;
/// Names of an account; attributes; values of an attribute.
const MAX_LIST: usize = 64;
/// Applications of an account.
const MAX_APPLICATIONS: usize = 4_096;
/// How far a service's clock may be ahead of ours before its time is not believed.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// The batch, and how many events were left out because nothing tells them from others.
pub(crate) fn batch(batch: events::Batch, now: Timestamp) -> Result<(SourceBatch, usize), PluginFault> {
    if batch.events.len() > MAX_EVENTS {
        let found = batch.events.len();
        return Err(PluginFault::Limit(format!("{found} events at once, where {MAX_EVENTS} are allowed")));
    }
    if batch.cursor.len() > MAX_CURSOR {
        let found = batch.cursor.len();
        return Err(PluginFault::Limit(format!("a cursor of {found} bytes, where {MAX_CURSOR} are allowed")));
    }
    let delivered = batch.events.len();
    let events: Vec<_> = batch.events.into_iter().filter_map(|event| foreign_event(event, now)).collect();
    let dropped = delivered.saturating_sub(events.len());
    let complete_to = batch.complete_to.map(|at| Timestamp(at.min(now.0)));
    Ok((SourceBatch { events, cursor: batch.cursor, poll_after_ms: batch.poll_after_ms, complete_to }, dropped))
}

fn foreign_event(event: events::ForeignEvent, now: Timestamp) -> Option<ForeignEvent> {
    if !is_id(&event.id) {
        return None;
    }
    let mut attributes = attributes(event.attributes);
    let mut keep = |name: &str, text: &str| {
        attributes.push(Attribute { name: name.to_owned(), values: vec![printable(text, MAX_WORD)] });
    };
    let address = event.address.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    if let (None, Some(text)) = (address, &event.address) {
        keep("address", text);
    }
    let at = if event.at > now.plus(CLOCK_SKEW).0 {
        keep("time", &event.at.to_string());
        now
    } else {
        Timestamp(event.at)
    };
    Some(ForeignEvent {
        id: event.id,
        at,
        identities: words(&event.identities, MAX_LIST),
        address: address.map(|address| address.to_canonical()),
        user_agent: event.user_agent.map(|text| printable(&text, MAX_SENTENCE)),
        position: event.position.and_then(position),
        place: event.place.map(|text| word(&text)),
        application: event.application.map(|text| word(&text)),
        operation: operation(event.operation),
        outcome: match event.outcome {
            wit::Outcome::Pending => Outcome::Pending,
            wit::Outcome::Success => Outcome::Success,
            wit::Outcome::Failure => Outcome::Failure,
        },
        detail: printable(&event.detail, MAX_SENTENCE),
        attributes,
        raw: raw(event.raw),
    })
}

/// An id that can be compared, stored and shown as it is.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

/// An event of the service that is no JSON, or too large to keep, is replaced by JSON that says so.
fn raw(text: String) -> String {
    if text.len() > MAX_RAW {
        return format!(r#"{{"left-out":"the event has {} bytes; {MAX_RAW} are kept"}}"#, text.len());
    }
    if serde_json::from_str::<&RawValue>(&text).is_err() {
        return r#"{"left-out":"the connector handed over something that is not JSON"}"#.to_owned();
    }
    text
}

fn position(position: events::Position) -> Option<Position> {
    let events::Position { latitude, longitude } = position;
    let is_on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    is_on_earth.then_some(Position { latitude, longitude })
}

fn word(text: &str) -> String {
    printable(text, MAX_WORD)
}

fn words(texts: &[String], most: usize) -> Vec<String> {
    texts.iter().filter(|text| !text.is_empty()).take(most).map(|text| word(text)).collect()
}

fn attributes(attributes: Vec<wit::Attribute>) -> Vec<Attribute> {
    let attribute = |it: wit::Attribute| Attribute { name: word(&it.name), values: words(&it.values, MAX_LIST) };
    attributes.into_iter().take(MAX_LIST).map(attribute).collect()
}

fn operation(operation: wit::Operation) -> Operation {
    match operation {
        wit::Operation::Bind(method) => Operation::Bind(match method {
            wit::BindMethod::Anonymous => BindMethod::Anonymous,
            wit::BindMethod::Simple => BindMethod::Simple,
            wit::BindMethod::Sasl(mechanism) => BindMethod::Sasl(word(&mechanism)),
            wit::BindMethod::OpaqueSasl(mechanism) => BindMethod::OpaqueSasl(word(&mechanism)),
        }),
        wit::Operation::Search(search) => Operation::Search(Some(Search {
            base: word(&search.base),
            scope: match search.scope {
                wit::SearchScope::Base => SearchScope::Base,
                wit::SearchScope::OneLevel => SearchScope::OneLevel,
                wit::SearchScope::Subtree => SearchScope::Subtree,
            },
            filter: printable(&search.filter, MAX_SENTENCE),
            attributes: words(&search.attributes, MAX_LIST),
        })),
        wit::Operation::Compare => Operation::Compare,
        wit::Operation::Add => Operation::Add,
        wit::Operation::Modify(attributes) => Operation::Modify(words(&attributes, MAX_LIST)),
        wit::Operation::Delete => Operation::Delete,
        wit::Operation::Rename => Operation::Rename,
        wit::Operation::PasswordChange => Operation::PasswordChange,
        wit::Operation::Extended(oid) => Operation::Extended(word(&oid)),
        wit::Operation::SignIn => Operation::SignIn,
        wit::Operation::AppAccess => Operation::AppAccess,
        wit::Operation::Other(name) => Operation::Other(word(&name)),
    }
}

pub(crate) fn cloud_account(account: accounts::CloudAccount) -> Result<CloudAccount, PluginFault> {
    if !is_id(&account.id) {
        return Err(PluginFault::Limit(format!(
            "an account without an id, or with one that has control characters or more than {MAX_ID} bytes"
        )));
    }
    let factor = |factor: accounts::Factor| CloudFactor { kind: word(&factor.kind), active: factor.active };
    Ok(CloudAccount {
        id: account.id,
        login: word(&account.login),
        mail: account.mail.filter(|mail| !mail.is_empty()).map(|mail| word(&mail)),
        status: word(&account.status),
        enabled: account.enabled,
        applications: words(&account.applications, MAX_APPLICATIONS),
        factors: account.factors.into_iter().take(MAX_LIST).map(factor).collect(),
        attributes: attributes(account.attributes),
    })
}

pub(crate) fn enforcement(action: Enforcement) -> acts::Action {
    match action {
        Enforcement::EndSessions => acts::Action::EndSessions,
        Enforcement::Suspend => acts::Action::Suspend,
        Enforcement::Unsuspend => acts::Action::Unsuspend,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn event(id: &str) -> events::ForeignEvent {
        events::ForeignEvent {
            id: id.into(),
            at: 1_700_000_000_000,
            identities: vec!["00u1".into(), String::new(), "mona@acme.example".into()],
            address: Some("203.0.113.24".into()),
            user_agent: None,
            position: Some(events::Position { latitude: 45.76, longitude: 4.84 }),
            place: Some("Lyon".into()),
            application: None,
            operation: wit::Operation::SignIn,
            outcome: wit::Outcome::Success,
            detail: "Signed in.".into(),
            attributes: Vec::new(),
            raw: "{}".into(),
        }
    }

    fn read(event: events::ForeignEvent) -> ForeignEvent {
        foreign_event(event, NOW).unwrap()
    }

    fn one(event: events::ForeignEvent) -> Result<(SourceBatch, usize), PluginFault> {
        batch(events::Batch { events: vec![event], cursor: "c".into(), poll_after_ms: 7, complete_to: Some(5) }, NOW)
    }

    #[test]
    fn a_plain_event_comes_through() {
        let (batch, dropped) = one(event("e1")).unwrap();
        assert_eq!((batch.cursor.as_str(), batch.poll_after_ms, batch.complete_to), ("c", 7, Some(Timestamp(5))));
        assert_eq!(dropped, 0);
        let found = &batch.events[0];
        assert_eq!(found.identities, ["00u1", "mona@acme.example"]);
        assert_eq!(found.address, Some("203.0.113.24".parse().unwrap()));
        assert_eq!(found.at, Timestamp(1_700_000_000_000));
        assert!(found.attributes.is_empty());
    }

    #[test]
    fn what_is_no_address_is_kept_as_text() {
        for text in ["null", "203.0.113.24:80", "999.1.1.1", "a\nb", ""] {
            let found = read(events::ForeignEvent { address: Some(text.into()), ..event("e1") });
            assert_eq!(found.address, None, "{text}");
            assert_eq!(found.attributes[0].name, "address");
            assert!(!found.attributes[0].values[0].contains('\n'));
        }
        let mapped = read(events::ForeignEvent { address: Some("::ffff:203.0.113.24".into()), ..event("e1") });
        assert_eq!(mapped.address, Some("203.0.113.24".parse().unwrap()));
    }

    #[test]
    fn no_event_comes_from_the_future() {
        for at in [u64::MAX, NOW.0 + 3_600_001] {
            let found = read(events::ForeignEvent { at, ..event("e1") });
            assert_eq!((found.at, found.attributes[0].values[0].as_str()), (NOW, at.to_string().as_str()));
        }
        assert_eq!(read(events::ForeignEvent { at: NOW.0 + 60_000, ..event("e1") }).at.0, NOW.0 + 60_000);
        let late =
            events::Batch { events: vec![], cursor: String::new(), poll_after_ms: 0, complete_to: Some(u64::MAX) };
        assert_eq!(batch(late, NOW).unwrap().0.complete_to, Some(NOW));
    }

    #[test]
    fn an_event_without_a_usable_id_is_left_out_and_counted() {
        for id in ["", "a\u{0}", &"x".repeat(MAX_ID + 1)] {
            let (batch, dropped) = one(event(id)).unwrap();
            assert_eq!((batch.events.len(), dropped), (0, 1), "{id:?}");
        }
    }

    #[test]
    fn positions_are_on_earth() {
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            let position = Some(events::Position { latitude, longitude });
            assert_eq!(read(events::ForeignEvent { position, ..event("e1") }).position, None);
        }
    }

    #[test]
    fn texts_are_bounded_and_printable() {
        let long = "y".repeat(100_000);
        let found = read(events::ForeignEvent {
            detail: format!("a\u{1b}{long}"),
            user_agent: Some(long.clone()),
            identities: vec![long.clone(); 100],
            attributes: vec![wit::Attribute { name: long.clone(), values: vec![long.clone(); 100] }; 100],
            operation: wit::Operation::Other(long),
            ..event("e1")
        });
        assert!(found.detail.len() < 1_100 && !found.detail.contains('\u{1b}'));
        assert!(found.user_agent.unwrap().len() < 1_100);
        assert!(found.identities.len() == 64 && found.identities[0].len() < 600);
        assert!(found.attributes.len() == 64 && found.attributes[0].values.len() == 64);
        assert!(matches!(found.operation, Operation::Other(name) if name.len() < 600));
    }

    #[test]
    fn what_is_kept_of_the_service_is_json() {
        for text in [String::new(), "{".into(), "{} {}".into(), format!("\"{}\"", "z".repeat(MAX_RAW))] {
            let found = read(events::ForeignEvent { raw: text, ..event("e1") });
            let value: serde_json::Value = serde_json::from_str(&found.raw).unwrap();
            assert!(value["left-out"].is_string());
        }
    }

    #[test]
    fn a_batch_has_bounds() {
        let many = events::Batch {
            events: vec![event("e1"); MAX_EVENTS + 1],
            cursor: String::new(),
            poll_after_ms: 0,
            complete_to: None,
        };
        assert!(matches!(batch(many, NOW), Err(PluginFault::Limit(text)) if text.contains("10001 events")));
        let cursor = "c".repeat(MAX_CURSOR + 1);
        let long = events::Batch { events: vec![], cursor, poll_after_ms: 0, complete_to: None };
        assert!(matches!(batch(long, NOW), Err(PluginFault::Limit(text)) if text.contains("cursor")));
    }

    #[test]
    fn an_account_has_an_id() {
        let account = |id: &str| accounts::CloudAccount {
            id: id.into(),
            login: "mona@acme.example".into(),
            mail: Some(String::new()),
            status: "ACTIVE".into(),
            enabled: true,
            applications: vec!["Wiki".into()],
            factors: vec![accounts::Factor { kind: "push".into(), active: true }],
            attributes: Vec::new(),
        };
        let found = cloud_account(account("00u1")).unwrap();
        assert_eq!((found.mail, found.factors[0].active), (None, true));
        assert!(cloud_account(account("")).is_err());
    }
}
