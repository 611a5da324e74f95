//! A user, as Okta's API tells of one (Okta API: Users).

use okta::person::is_id;
use okta::{Client, Fault, Host};
use serde::Deserialize;

use crate::lenient::{Object, Word};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct User<'a> {
    #[serde(borrow)]
    pub(crate) id: Word<'a>,
    #[serde(borrow)]
    pub(crate) status: Word<'a>,
    #[serde(borrow)]
    pub(crate) created: Word<'a>,
    #[serde(borrow)]
    pub(crate) status_changed: Word<'a>,
    #[serde(borrow)]
    pub(crate) last_login: Word<'a>,
    #[serde(borrow)]
    pub(crate) password_changed: Word<'a>,
    #[serde(borrow)]
    pub(crate) profile: Object<Profile<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Profile<'a> {
    #[serde(borrow)]
    pub(crate) login: Word<'a>,
    #[serde(borrow)]
    pub(crate) email: Word<'a>,
    #[serde(borrow)]
    pub(crate) first_name: Word<'a>,
    #[serde(borrow)]
    pub(crate) last_name: Word<'a>,
}

impl User<'_> {
    /// Whether this is whom we asked for. Okta also finds users by `me`, which is nobody's name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let is = |known: Option<&str>| known.is_some_and(|known| known.to_lowercase() == name.to_lowercase());
        let login = self.profile.login.get();
        let short = login.and_then(|login| login.split_once('@')).map(|(short, _)| short);
        self.id.get() == Some(name) || is(login) || is(short)
    }

    /// The id, if it can be part of a path.
    pub(crate) fn checked_id(&self) -> Result<&str, Fault> {
        let id = self.id.get().filter(|id| is_id(id));
        id.ok_or_else(|| Fault::Protocol("Okta's answer holds a user without an id that can be one".to_owned()))
    }
}

/// Pages of one list that are read at most.
const MOST_PAGES: usize = 50;

/// All pages of a list, one answer each.
pub(crate) fn pages<H: Host>(client: &Client<'_, H>, path: &str) -> Result<Vec<okta::Answer>, Fault> {
    let mut answers = vec![client.get(path)?];
    while let Some(next) = answers.last().and_then(okta::Answer::next_page) {
        if answers.len() >= MOST_PAGES {
            return Err(Fault::Protocol(format!("a list of Okta's does not end after {MOST_PAGES} pages")));
        }
        let next = client.follow(okta::contract::portcullis::gateway::http::Method::Get, next, Vec::new())?;
        answers.push(next);
    }
    Ok(answers)
}
