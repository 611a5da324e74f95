//! The System Log: `GET /api/v1/logs` (Okta, "System Log query").
//!
//! Events stand in the order in which they were stored here, which is not that of their times: what a test pushes with an
//! older time is a late event. A cursor is the place behind an event and the beginning that it was asked with.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Content};

/// The most events of a page, and how many are given when nobody says.
const MOST: usize = 1_000;
const USUAL: usize = 100;
/// Okta refuses to look back further, and keeps less.
const REFUSED_BEYOND_DAYS: i64 = 180;
const KEPT_DAYS: i64 = 90;
const SECONDS_PER_DAY: i64 = 86_400;

/// An event and when it was stored. As text, because tests log a hundred thousand.
struct Stored {
    at: Timestamp,
    event: String,
}

/// Everything that was logged.
#[derive(Default)]
pub(super) struct SystemLog {
    events: Vec<Stored>,
    /// Cursors of earlier generations are refused.
    generation: u64,
    /// The most events of a page, where a test wants small ones.
    page_limit: Option<usize>,
}

impl SystemLog {
    /// Stores events in this order, now.
    pub(super) fn push(&mut self, events: impl IntoIterator<Item = Value>) {
        let at = Timestamp::now();
        self.events.extend(events.into_iter().map(|event| Stored { at, event: event.to_string() }));
    }

    /// Stores one event as if it had been stored at another time, behind all others.
    #[cfg(test)]
    pub(super) fn push_at(&mut self, at: Timestamp, event: &Value) {
        self.events.push(Stored { at, event: event.to_string() });
    }

    pub(super) fn expire_cursors(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    pub(super) fn limit_pages(&mut self, most: Option<usize>) {
        self.page_limit = most;
    }

    /// Answers a request with this query.
    pub(super) fn answer(&self, base: &str, query: &[(String, String)], now: Timestamp) -> Answer {
        let asked = match Asked::read(query, now) {
            Ok(asked) => asked,
            Err(refused) => return refused,
        };
        let begin = match &asked.after {
            Some(cursor) => match self.place(cursor) {
                Some(place) => place,
                None => return invalid("The cursor is not valid"),
            },
            None => 0,
        };
        let limit = asked.limit.min(self.page_limit.unwrap_or(MOST));
        let wanted = |stored: &&Stored| stored.at >= asked.since && asked.until.is_none_or(|until| stored.at < until);
        let (mut page, mut end) = (Vec::new(), begin);
        if asked.descending {
            page.extend(self.events.iter().rev().filter(wanted).take(limit).map(|stored| stored.event.as_str()));
        } else {
            for stored in self.events.iter().skip(begin) {
                if page.len() == limit {
                    break;
                }
                end += 1;
                if wanted(&stored) {
                    page.push(stored.event.as_str());
                }
            }
        }
        let is_polling = asked.until.is_none() && !asked.descending;
        let has_more = end < self.events.len() && !asked.descending;
        let since = escape(&asked.since.to_string());
        let link = |more: String| format!("<{base}/api/v1/logs?since={since}&limit={}{more}>", asked.limit);
        let mut answer = page_of(&page).with_header("link", format!("{}; rel=\"self\"", link(String::new())));
        if is_polling || has_more {
            let cursor = format!("&after={}_{end}", self.generation);
            answer = answer.with_header("link", format!("{}; rel=\"next\"", link(cursor)));
        }
        answer
    }

    fn place(&self, cursor: &str) -> Option<usize> {
        let (generation, place) = cursor.split_once('_')?;
        let place = place.parse().ok().filter(|place| *place <= self.events.len())?;
        (generation.parse() == Ok(self.generation)).then_some(place)
    }
}

fn page_of(events: &[&str]) -> Answer {
    Answer { status: 200, content: Content::JsonText(format!("[{}]", events.join(","))), headers: Vec::new() }
}

struct Asked {
    since: Timestamp,
    until: Option<Timestamp>,
    after: Option<String>,
    limit: usize,
    descending: bool,
}

impl Asked {
    fn read(query: &[(String, String)], now: Timestamp) -> Result<Self, Answer> {
        let get = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let time = |name: &str| match get(name) {
            Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| invalid(&format!("Invalid {name}"))),
            None => Ok(None),
        };
        let days_ago =
            |days: i64| Timestamp::from_second(now.as_second() - days * SECONDS_PER_DAY).unwrap_or(Timestamp::MIN);
        let since = time("since")?.unwrap_or_else(|| days_ago(7));
        if since < days_ago(REFUSED_BEYOND_DAYS) {
            return Err(Answer::error(400, "E0000053", "The since parameter is too far in the past."));
        }
        let limit = match get("limit").map(str::parse::<usize>) {
            None => USUAL,
            Some(Ok(limit)) if limit <= MOST => limit,
            Some(_) => return Err(invalid("limit must be between 0 and 1000")),
        };
        let descending = match get("sortOrder") {
            None | Some("ASCENDING") => false,
            Some("DESCENDING") => true,
            Some(_) => return Err(invalid("Invalid sortOrder")),
        };
        Ok(Self {
            since: since.max(days_ago(KEPT_DAYS)),
            until: time("until")?,
            after: get("after").map(str::to_owned),
            limit,
            descending,
        })
    }
}

fn invalid(summary: &str) -> Answer {
    Answer::error(400, "E0000001", &format!("Api validation failed: {summary}"))
}

fn escape(time: &str) -> String {
    time.replace(':', "%3A")
}

/// A sign-in as Okta logs one. `number` makes its id.
pub(super) fn sign_in(number: usize, user: (&str, &str), at: Timestamp) -> Value {
    let (id, login) = user;
    json!({
        "actor": { "id": id, "type": "User", "alternateId": login, "displayName": login, "detailEntry": null },
        "authenticationContext": { "authenticationStep": 0, "externalSessionId": format!("102lab{number:09}"), "rootSessionId": format!("102lab{number:09}"), "credentialType": null },
        "client": {
            "device": "Computer", "id": null, "zone": "null",
            "ipAddress": format!("198.51.{}.{}", number / 250 % 250, number % 250 + 1),
            "userAgent": { "browser": "CHROME", "os": "Windows 10", "rawUserAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36" },
            "geographicalContext": { "city": "Lyon", "country": "France", "state": "Auvergne-Rhone-Alpes", "postalCode": "69001", "geolocation": { "lat": 45.76, "lon": 4.84 } }
        },
        "debugContext": { "debugData": {
            "requestId": format!("lab-request-{number}"), "requestUri": "/idp/idx/identify", "url": "/idp/idx/identify?", "threatSuspected": "false",
            "behaviors": "{New Geo-Location=NEGATIVE, New Device=NEGATIVE, Velocity=NEGATIVE}",
            "risk": "{reasons=Anomalous Location, Anomalous Device, level=LOW}"
        } },
        "device": null,
        "displayMessage": "User login to Okta",
        "eventType": "user.session.start",
        "legacyEventType": "core.user_auth.login_success",
        "outcome": { "reason": null, "result": "SUCCESS" },
        "published": format!("{at:.3}"),
        "request": { "ipChain": [{ "ip": "198.51.100.1", "version": "V4", "source": null, "geographicalContext": null }] },
        "securityContext": { "asNumber": 64500, "asOrg": "example telecom", "domain": "isp.example", "isProxy": false, "isp": "example isp", "risk": { "level": "LOW", "reasons": [] }, "userBehaviors": [] },
        "severity": "INFO",
        "target": null,
        "transaction": { "detail": {}, "id": format!("lab-request-{number}"), "type": "WEB" },
        "uuid": uuid(number),
        "version": "0"
    })
}

/// The id of the sign-in with this number.
pub(super) fn uuid(number: usize) -> String {
    format!("{number:08x}-c8e5-11f1-9d1a-0242ac120002")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://localhost:1";

    fn ask(log: &SystemLog, query: &[(&str, &str)]) -> Answer {
        let query: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        log.answer(BASE, &query, Timestamp::now())
    }

    fn ids(answer: &Answer) -> Vec<String> {
        let page: Vec<Value> = serde_json::from_slice(&answer.bytes()).unwrap();
        page.iter().map(|event| event["uuid"].as_str().unwrap().to_owned()).collect()
    }

    fn after(answer: &Answer) -> Option<String> {
        let next = answer.headers.iter().find(|(_, value)| value.contains("rel=\"next\""))?;
        next.1.split_once("after=").and_then(|(_, rest)| rest.split_once('>')).map(|(cursor, _)| cursor.to_owned())
    }

    fn filled(count: usize) -> SystemLog {
        let mut log = SystemLog::default();
        log.push((0..count).map(|number| sign_in(number, ("00u1", "mona@example.com"), Timestamp::now())));
        log
    }

    #[test]
    fn polling_pages_lead_on_for_ever() {
        let mut log = filled(3);
        let first = ask(&log, &[("limit", "2")]);
        assert_eq!(ids(&first), [uuid(0), uuid(1)]);
        let second = ask(&log, &[("limit", "2"), ("after", &after(&first).unwrap())]);
        assert_eq!(ids(&second), [uuid(2)]);
        let cursor = after(&second).unwrap();
        let empty = ask(&log, &[("limit", "2"), ("after", &cursor)]);
        assert_eq!((ids(&empty).len(), after(&empty).as_deref()), (0, Some(cursor.as_str())));
        let hour_ago = Timestamp::from_second(Timestamp::now().as_second() - 3_600).unwrap();
        log.push([sign_in(9, ("00u1", "mona@example.com"), hour_ago)]);
        assert_eq!(ids(&ask(&log, &[("limit", "2"), ("after", &cursor)])), [uuid(9)], "late, and there all the same");
    }

    #[test]
    fn bounded_and_descending_requests_end() {
        let log = filled(3);
        let until = Timestamp::from_second(Timestamp::now().as_second() + 60).unwrap().to_string();
        let bounded = ask(&log, &[("limit", "2"), ("until", &until)]);
        let cursor = after(&bounded).unwrap();
        assert_eq!(after(&ask(&log, &[("limit", "2"), ("until", &until), ("after", &cursor)])), None);
        let last = ask(&log, &[("limit", "1"), ("sortOrder", "DESCENDING")]);
        assert_eq!((ids(&last), after(&last)), (vec![uuid(2)], None));
    }

    #[test]
    fn an_expired_cursor_is_refused() {
        let mut log = filled(1);
        let cursor = after(&ask(&log, &[])).unwrap();
        log.expire_cursors();
        for cursor in [cursor.as_str(), "", "x", "1_99"] {
            assert_eq!(ask(&log, &[("after", cursor)]).status, 400, "{cursor}");
        }
    }

    #[test]
    fn what_is_older_than_okta_keeps_is_left_out_without_a_word() {
        let mut log = SystemLog::default();
        let days_ago =
            |days: i64| Timestamp::from_second(Timestamp::now().as_second() - days * SECONDS_PER_DAY).unwrap();
        log.push_at(days_ago(100), &sign_in(1, ("00u1", "mona@example.com"), days_ago(100)));
        assert_eq!(ids(&ask(&log, &[("since", &days_ago(170).to_string())])).len(), 0);
        assert_eq!(ask(&log, &[("since", &days_ago(181).to_string())]).status, 400);
        assert_eq!((log.events.len(), ask(&log, &[("limit", "1001")]).status), (1, 400));
    }
}
