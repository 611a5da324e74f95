//! A line of a file that is imported: an event of another gateway's export, or the short form for other logs.
//!
//! What is wrong with a line is said without anything of what stands in it: whatever it is, it may be a password.

use std::net::IpAddr;

use portcullis_core::event::{Event, PastEvent};
use portcullis_core::{BindMethod, EventId, Operation, Outcome, Timestamp};
use portcullis_guard::PastAccess;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Octets of a text in the short form.
const LONGEST_TEXT: usize = 1_024;
/// Octets of a name of a field that are shown.
const LONGEST_FIELD: usize = 32;

/// What a line is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    /// An event of an export, and where it came from if it was imported there.
    Exported(Box<PastEvent>, Option<String>),
    /// The short form.
    Short(Box<PastAccess>),
    /// What people and the gateway did elsewhere: it teaches nothing, and did not happen here.
    Administration,
}

impl Line {
    /// When it happened.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Exported(event, _) => Some(event.at()),
            Self::Short(past) => Some(past.at),
            Self::Administration => None,
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<serde::de::IgnoredAny>,
}

/// Reads a line; what is wrong with it, in words.
pub(crate) fn read(line: &[u8]) -> Result<Line, String> {
    let kind: Kind = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "is no JSON object".to_owned(),
        _ => format!("is no JSON (column {})", error.column()),
    })?;
    // The library takes a list for a structure, too.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err("is no JSON object".to_owned());
    }
    if kind.kind.is_some() { exported(line) } else { short(line).map(|past| Line::Short(Box::new(past))) }
}

fn exported(line: &[u8]) -> Result<Line, String> {
    // The library's own words would show what stands there.
    let event: Event = serde_json::from_slice(line).map_err(|_| "is no event that this version knows".to_owned())?;
    Ok(match event {
        Event::Access(event) => Line::Exported(Box::new(PastEvent::Access(event)), None),
        Event::Summary(summary) => Line::Exported(Box::new(PastEvent::Summary(summary)), None),
        Event::Imported(imported) => Line::Exported(Box::new(imported.event), Some(imported.origin)),
        Event::Administration(_) => Line::Administration,
    })
}

/// The fields of the short form.
const FIELDS: [&str; 9] =
    ["time", "account", "address", "application", "listener", "operation", "entry", "outcome", "id"];

fn short(line: &[u8]) -> Result<PastAccess, String> {
    let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|_| "is no JSON object".to_owned())?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let is_plain = unknown.len() <= LONGEST_FIELD
            && unknown.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
        let shown = if is_plain { format!("`{unknown}`") } else { "of another name".to_owned() };
        return Err(format!("has a field {shown}; what can be there is {}", FIELDS.join(", ")));
    }
    let at = time(&fields)?;
    let account = text(&fields, "account")?;
    let outcome = match text(&fields, "outcome")?.as_deref() {
        Some("success") => Outcome::Success,
        Some("failure") => Outcome::Failure,
        _ => return Err("`outcome` is neither `success` nor `failure`".to_owned()),
    };
    let operation = operation(&fields, account.is_some())?;
    let address: Option<IpAddr> = match text(&fields, "address")? {
        Some(address) => Some(address.parse().map_err(|_| "`address` is no IP address".to_owned())?),
        None => None,
    };
    let known = text(&fields, "id")?;
    // Lines of one id are one event; so are those that are alike, where they have none.
    let names = match &known {
        Some(id) => format!("id {id}"),
        None => {
            let names = FIELDS.iter().filter_map(|name| Some(format!("{name}={}", fields.get(*name)?)));
            names.collect::<Vec<_>>().join("\n")
        }
    };
    Ok(PastAccess {
        id: id_of(at, &names),
        at,
        account,
        address,
        application: text(&fields, "application")?,
        listener: text(&fields, "listener")?,
        operation,
        entry: text(&fields, "entry")?,
        outcome,
    })
}

/// A text; none where it is not there, empty, or null.
fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= LONGEST_TEXT => {
            Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
        }
        Some(Value::String(_)) => Err(format!("`{name}` is longer than {LONGEST_TEXT} octets")),
        Some(_) => Err(format!("`{name}` is no text")),
    }
}

fn time(fields: &Map<String, Value>) -> Result<Timestamp, String> {
    const FORM: &str = "`time` is neither RFC 3339 with a zone nor milliseconds since 1970";
    match fields.get("time") {
        Some(Value::Number(number)) => number.as_u64().map(Timestamp).ok_or_else(|| FORM.to_owned()),
        Some(Value::String(text)) => moment(text).ok_or_else(|| FORM.to_owned()),
        _ => Err("has no `time`".to_owned()),
    }
}

/// A moment as RFC 3339 writes it.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.trim().parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}

fn operation(fields: &Map<String, Value>, is_somebody: bool) -> Result<Operation, String> {
    Ok(match text(fields, "operation")?.as_deref() {
        Some("bind") if is_somebody => Operation::Bind(BindMethod::Simple),
        Some("bind") => Operation::Bind(BindMethod::Anonymous),
        Some("search") => Operation::Search(None),
        Some("compare") => Operation::Compare,
        Some("add") => Operation::Add,
        Some("modify") => Operation::Modify(Vec::new()),
        Some("delete") => Operation::Delete,
        Some("rename") => Operation::Rename,
        Some("password-change") => Operation::PasswordChange,
        _ => {
            let all = "bind, search, compare, add, modify, delete, rename, password-change";
            return Err(format!("`operation` is none of {all}"));
        }
    })
}

/// Always the same for the same, and as all ids of events: version 7 (RFC 9562, section 5.7), with a hash for its random part.
fn id_of(at: Timestamp, names: &str) -> EventId {
    let hash: [u8; 32] = Sha256::digest(names.as_bytes()).into();
    let mut random = [0; 10];
    random.iter_mut().zip(hash).for_each(|(octet, of)| *octet = of);
    EventId(uuid::Builder::from_unix_timestamp_millis(at.0, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(line: &str) -> PastAccess {
        match read(line.as_bytes()).unwrap() {
            Line::Short(past) => *past,
            other => panic!("{other:?}"),
        }
    }

    const GOOD: &str = r#"{"time":"2026-11-20T08:30:00.5+01:00","account":"alice","address":"10.1.2.3","application":"wiki",
        "operation":"bind","outcome":"success"}"#;

    #[test]
    fn the_short_form_is_read() {
        let read = past(GOOD);
        assert_eq!(read.at, Timestamp(1_795_159_800_500));
        assert_eq!((read.account.as_deref(), read.application.as_deref()), (Some("alice"), Some("wiki")));
        assert_eq!((read.operation, read.outcome), (Operation::Bind(BindMethod::Simple), Outcome::Success));
        assert_eq!(past(r#"{"time":1795159800500,"operation":"search","outcome":"failure"}"#).address, None);
        let nobodys = past(r#"{"time":1,"account":"","operation":"bind","outcome":"success"}"#);
        assert_eq!(nobodys.operation, Operation::Bind(BindMethod::Anonymous));
    }

    #[test]
    fn the_same_line_has_the_same_id_and_no_other_has_it() {
        let id = |line: &str| past(line).id;
        assert_eq!(id(GOOD), id(GOOD));
        assert_ne!(id(GOOD), id(&GOOD.replace("alice", "bob")));
        assert_ne!(id(GOOD), id(&GOOD.replace("wiki", "mail")));
        let named = |id: &str, account: &str| GOOD.replace("alice\"", &format!("{account}\",\"id\":\"{id}\""));
        assert_eq!(id(&named("conn=1 op=0", "alice")), id(&named("conn=1 op=0", "bob")));
        assert_ne!(id(&named("conn=1 op=0", "alice")), id(&named("conn=1 op=1", "alice")));
        assert_eq!(id(GOOD).0.get_version_num(), 7);
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_of_what_stands_there() {
        let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
        let lines = [
            (r#"{"time":1"#.to_owned(), "no JSON"),
            ("[1]".to_owned(), "no JSON object"),
            (format!(r#""{secret}""#), "no JSON object"),
            (format!(r#"{{"password":"{secret}"}}"#), "`password`"),
            (format!(r#"{{"{secret}":1}}"#), "of another name"),
            (format!(r#"{{"time":"{secret}"}}"#), "`time`"),
            (r#"{"time":"2026-11-20T08:30:00"}"#.to_owned(), "`time`"),
            (r#"{"time":-5}"#.to_owned(), "`time`"),
            ("{}".to_owned(), "no `time`"),
            (GOOD.replace("\"success\"", &format!("\"{secret}\"")), "`outcome`"),
            (GOOD.replace("\"bind\"", &format!("\"{secret}\"")), "`operation`"),
            (GOOD.replace("10.1.2.3", secret), "`address`"),
            (GOOD.replace("\"wiki\"", &format!("[\"{secret}\"]")), "`application` is no text"),
            (GOOD.replace("wiki", &secret.repeat(99)), "`application` is longer"),
            (format!(r#"{{"type":"access","access":"{secret}"}}"#), "no event"),
            (format!(r#"{{"type":"{secret}"}}"#), "no event"),
        ];
        for (line, words) in lines {
            let problem = read(line.as_bytes()).unwrap_err();
            assert!(problem.contains(words) && !problem.contains("hunter2"), "{line}: {problem}");
        }
        assert!(read(b"{\"account\":\"\xff\"}").is_err());
    }

    #[test]
    fn administration_teaches_nothing() {
        let line = r#"{"type":"administration","id":"01900000-0000-7000-8000-000000000000","at":1,"actor":"ada","action":"x","detail":"y"}"#;
        assert_eq!(read(line.as_bytes()), Ok(Line::Administration));
    }
}
