//! What the story has left behind: requests to Okta, and no secrets.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::print::{Page, counted, duration};
use super::world::World;
use crate::okta::{DEFAULT_TOKEN, Entry};

/// How often Okta was asked for what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
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
        let Some(below) = path.strip_prefix("/api/v1/users/") else { return &mut self.other };
        match (method, below.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", [_]) => &mut self.people,
            ("GET", [_, "factors"]) => &mut self.phones,
            ("POST", [_, "factors", _, "verify"]) => &mut self.pushes,
            ("GET", [_, "factors", _, "transactions", _]) => &mut self.polls,
            ("DELETE", [_, "factors", _, "transactions", _]) => &mut self.cancelled,
            _ => &mut self.other,
        }
    }
}

/// The end of the story.
pub(super) fn print(page: &Page, calls: &Calls, took: Duration) {
    let Calls { people, phones, pushes, polls, cancelled, other } = *calls;
    page.heading("Summary");
    page.row("as it should be", &format!("all six acts, in {}", duration(took)));
    page.row("binds", "5 let through or refused by the directory, 1 confirmed, 1 denied");
    page.row("incidents", "1, of the denied one");
    let asked = [
        counted(people, "look-up of a person", "look-ups of a person"),
        counted(phones, "of phones", "of phones"),
        counted(pushes, "push", "pushes"),
        counted(polls, "look for an answer", "looks for an answer"),
    ];
    page.row("asked of Okta", &asked.join(", "));
    if cancelled + other > 0 {
        page.row("", &format!("{cancelled} taken back, {other} other"));
    }
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
    let log = log.join("\n");
    anyhow::ensure!(events.contains(&alice.dn) || events.contains("alice"), "the events do not even name alice");
    let mut places = vec![("log".to_owned(), log.into_bytes()), ("events".to_owned(), events.as_bytes().to_vec())];
    places.extend(files(&world.data_folder())?);
    for (place, content) in &places {
        for (what, secret) in secrets {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            anyhow::ensure!(!found, "{what} is in the gateway's {place}");
        }
    }
    Ok(())
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
            ("GET", "/api/v1/users/00u1/factors"),
            ("POST", "/api/v1/users/00u1/factors/opf1/verify"),
            ("GET", "/api/v1/users/00u1/factors/opf1/transactions/v2mst.a?x=/y"),
            ("DELETE", "/api/v1/users/00u1/factors/opf1/transactions/v2mst.a"),
            ("GET", "/api/v1/org"),
            ("PUT", "/api/v1/users/00u1"),
        ] {
            *calls.kind(method, path) += 1;
        }
        assert_eq!(calls, Calls { people: 1, phones: 1, pushes: 1, polls: 1, cancelled: 1, other: 2 });
    }
}
