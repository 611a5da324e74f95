//! What the story has left behind: requests to Okta, and no secrets.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::print::{Page, counted, duration};
use super::world::World;
use crate::okta::{DEFAULT_TOKEN, Entry};

/// The user that connectors ask about to learn what they may do; there is none with this id.
const NOBODY: &str = "00uPortcullisNobody0";

/// How often Okta was asked for what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// To try the connection, whenever the gateway starts.
    tries: usize,
    /// Who somebody is.
    people: usize,
    /// Which phones somebody has.
    phones: usize,
    /// To send a push.
    pub(super) pushes: usize,
    /// Whether a push was answered.
    polls: usize,
    /// To take a push back.
    cancelled: usize,
    other: usize,
}

impl Calls {
    /// Counts what the simulator has written down.
    pub(super) fn of(journal: &[Entry]) -> Self {
        let mut calls = Self::default();
        for entry in journal {
            *calls.kind(&entry.method, &entry.path) += 1;
        }
        calls
    }

    fn kind(&mut self, method: &str, path: &str) -> &mut usize {
        let path = path.split('?').next().unwrap_or_default();
        let below = path.strip_prefix("/api/v1/").unwrap_or_default();
        let (kind, rest) = below.split_once('/').unwrap_or((below, ""));
        let rest: Vec<&str> = rest.split('/').collect();
        if kind != "users" {
            return if (method, kind) == ("GET", "org") { &mut self.tries } else { &mut self.other };
        }
        match (method, rest.as_slice()) {
            ("GET", ["me"]) => &mut self.tries,
            // Whether the token may do something is found out by trying it on nobody.
            (_, [NOBODY, ..]) => &mut self.tries,
            ("GET", [_]) => &mut self.people,
            ("GET", [_, "factors"]) => &mut self.phones,
            ("POST", [_, "factors", _, "verify"]) => &mut self.pushes,
            ("GET", [_, "factors", _, "transactions", _]) => &mut self.polls,
            ("DELETE", [_, "factors", _, "transactions", _]) => &mut self.cancelled,
            _ => &mut self.other,
        }
    }
}

/// What the event log says about binds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) allowed: usize,
    /// By the directory.
    pub(super) refused: usize,
    /// By the gateway.
    pub(super) blocked: usize,
    /// Challenges that were confirmed.
    pub(super) approved: usize,
    /// Challenges that were denied.
    pub(super) denied: usize,
}

impl Seen {
    /// Counts in what `portcullis events list` prints.
    ///
    /// # Errors
    /// When a line is not JSON.
    pub(super) fn of(events: &str) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        for line in events.lines() {
            let event: Value = serde_json::from_str(line).context("an event is not JSON")?;
            if event.pointer("/access/operation/bind").is_none() {
                continue;
            }
            match event.get("decision").and_then(Value::as_str) {
                Some("allow") => seen.allowed += 1,
                Some("refused") => seen.refused += 1,
                Some("block") => seen.blocked += 1,
                other => anyhow::bail!("a bind was decided as {other:?}"),
            }
            for challenge in event.get("challenges").and_then(Value::as_array).into_iter().flatten() {
                match challenge.get("outcome").and_then(Value::as_str) {
                    Some("approved") => seen.approved += 1,
                    Some("denied") => seen.denied += 1,
                    other => anyhow::bail!("a challenge ended as {other:?}"),
                }
            }
        }
        Ok(seen)
    }
}

/// The end of the story.
pub(super) struct Summary {
    pub(super) seen: Seen,
    pub(super) calls: Calls,
    /// A bind that nobody was asked about.
    pub(super) usual: Duration,
    /// From the phone's answer to the gateway's.
    pub(super) confirmed: Duration,
    pub(super) all: Duration,
}

pub(super) fn print(page: &Page, summary: &Summary) {
    let Summary { seen, calls, usual, confirmed, all } = summary;
    let Seen { allowed, refused, blocked, approved, denied } = seen;
    let Calls { tries, people, phones, pushes, polls, cancelled, other } = *calls;
    page.heading("Summary");
    page.row("story", &format!("everything was as it should be, in {}", duration(*all)));
    page.row("binds", &format!("{allowed} allowed, {refused} refused by the directory, {blocked} blocked"));
    page.row("second factor", &format!("{approved} confirmed, {denied} denied"));
    page.row("time", &format!("{} for a bind that nobody is asked about", duration(*usual)));
    page.row("", &format!("{} from the phone's answer to the gateway's", duration(*confirmed)));
    let asked = [
        counted(tries, "try of the connection", "tries of the connection"),
        counted(people, "look-up of a person", "look-ups of a person"),
        counted(phones, "list of phones", "lists of phones"),
        counted(pushes, "push", "pushes"),
        counted(polls, "look for an answer", "looks for an answer"),
        counted(cancelled, "push taken back", "pushes taken back"),
        counted(other, "other", "others"),
    ];
    page.row("asked of Okta", &asked.join(", "));
    page.gap();
}

/// Makes sure that the API token and the passwords that were typed are nowhere in what the gateway has written.
///
/// # Errors
/// Where one was found, without showing it.
pub(super) fn no_secrets(world: &World, log: &[String], events: &str) -> anyhow::Result<()> {
    let alice = world.alice()?;
    let service = world.company.service("portcullis")?;
    let secrets = [
        ("the API token", DEFAULT_TOKEN),
        ("alice's password", alice.password.as_str()),
        ("a guessed password", super::story::GUESS),
        ("the service account's password", service.password.as_str()),
    ];
    let mut places = vec![("log".to_owned(), log.join("\n").into_bytes()), ("events".to_owned(), events.into())];
    places.extend(files(&world.data_folder())?);
    match leak(&places, &secrets) {
        Some((place, what)) => anyhow::bail!("{what} is in the gateway's {place}"),
        None => Ok(()),
    }
}

/// The first place that holds a secret, and which.
fn leak<'a>(places: &'a [(String, Vec<u8>)], secrets: &[(&'a str, &str)]) -> Option<(&'a str, &'a str)> {
    places.iter().find_map(|(place, content)| {
        let is_inside = |secret: &str| content.windows(secret.len()).any(|window| window == secret.as_bytes());
        secrets.iter().find(|(_, secret)| is_inside(secret)).map(|(what, _)| (place.as_str(), *what))
    })
}

/// Files right in the folder: the database, and nothing that was compiled.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            files.push((path.display().to_string(), std::fs::read(&path)?));
        }
    }
    anyhow::ensure!(!files.is_empty(), "there is no database in {}", folder.display());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart() {
        let mut calls = Calls::default();
        for (method, path) in [
            ("GET", "/api/v1/users/me"),
            ("GET", "/api/v1/users/alice%40example.com"),
            ("GET", "/api/v1/users/00u1/factors"),
            ("POST", "/api/v1/users/00u1/factors/opf1/verify"),
            ("GET", "/api/v1/users/00u1/factors/opf1/transactions/v2mst.a?x=/y"),
            ("DELETE", "/api/v1/users/00u1/factors/opf1/transactions/v2mst.a"),
            ("GET", "/api/v1/org"),
            ("POST", "/api/v1/users/00uPortcullisNobody0/factors/opfPortcullisNobody0/verify"),
            ("PUT", "/api/v1/users/00u1"),
            ("GET", "/elsewhere"),
        ] {
            *calls.kind(method, path) += 1;
        }
        assert_eq!(calls, Calls { tries: 3, people: 1, phones: 1, pushes: 1, polls: 1, cancelled: 1, other: 2 });
    }

    #[test]
    fn recorded_binds_are_counted_and_nothing_else() {
        let bind = r#"{"type":"access","access":{"operation":{"bind":"simple"}},"decision":"#;
        let events = format!(
            "{bind}\"allow\",\"challenges\":[{{\"outcome\":\"approved\"}}]}}\n{bind}\"refused\",\"challenges\":[]}}\n\
             {{\"type\":\"access\",\"access\":{{\"operation\":{{\"search\":null}}}},\"decision\":\"allow\"}}\n\
             {{\"type\":\"administration\"}}\n"
        );
        let seen = Seen::of(&events).unwrap();
        assert_eq!(seen, Seen { allowed: 1, refused: 1, approved: 1, ..Seen::default() });
        assert!(Seen::of(&format!("{bind}\"abandoned\"}}")).is_err());
        assert!(Seen::of("no JSON").is_err());
    }

    #[test]
    fn a_secret_is_found_wherever_it_is() {
        let places = [("log".to_owned(), b"all is well".to_vec()), ("file".to_owned(), b"\0\xffa s3cret b".to_vec())];
        assert_eq!(leak(&places, &[("one", "absent"), ("two", "s3cret")]), Some(("file", "two")));
        assert_eq!(leak(&places, &[("one", "absent")]), None);
    }
}
