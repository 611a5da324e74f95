//! What Okta knows of an account.

use std::collections::BTreeSet;

use okta::contract::portcullis::gateway::types::Attribute;
use okta::{Answer, Client, Fault, Host, filter_text, path_segment};
use serde::Deserialize;

use crate::contract::exports::portcullis::gateway::account_directory::{CloudAccount, Factor};
use crate::contract::exports::portcullis::gateway::connector::ConnectorError;
use crate::lenient::{Object, Word};
use crate::settings::Settings;
use crate::user::{User, pages};

/// Names of one account that are tried; each costs a request.
const MOST_NAMES: usize = 16;

/// The user of the first of these names that has one, with applications and factors.
///
/// # Errors
/// Okta could not be asked, or some of it could not: half an answer would look like a lock-out.
pub fn find(
    host: &impl Host,
    settings: &Settings,
    identities: &[String],
) -> Result<Option<CloudAccount>, ConnectorError> {
    let client = settings.client(host);
    let names: Vec<&str> =
        identities.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).take(MOST_NAMES).collect();
    let lookups: [Lookup<_>; 2] = [by_name, by_mail];
    for lookup in lookups {
        for name in &names {
            if let Some(found) = lookup(&client, name)? {
                return Ok(Some(tell(&client, settings, &found)?));
            }
        }
    }
    Ok(None)
}

/// A way to look for a user.
type Lookup<H> = fn(&Client<'_, H>, &str) -> Result<Option<Found>, Fault>;

/// The answer that holds the user, as an object or as the only one of a list.
struct Found {
    answer: Answer,
    is_list: bool,
}

impl Found {
    fn user(&self) -> Result<Object<User<'_>>, Fault> {
        let unreadable = || Fault::Protocol("Okta's answer about a user cannot be read".to_owned());
        if self.is_list {
            let list = list::<User<'_>>(&self.answer)?;
            return list.into_iter().next().map(Object).ok_or_else(unreadable);
        }
        serde_json::from_slice(self.answer.body()).map_err(|_| unreadable())
    }
}

/// By id, login or the login's part before the `@`, as the address of the user.
fn by_name<H: Host>(client: &Client<'_, H>, name: &str) -> Result<Option<Found>, Fault> {
    let Some(segment) = path_segment(name) else {
        return search(client, "profile.login", name);
    };
    match client.get(&format!("/api/v1/users/{segment}")) {
        Ok(answer) => {
            let found = Found { answer, is_list: false };
            let is_meant = found.user()?.is_called(name);
            Ok(is_meant.then_some(found))
        }
        Err(Fault::NotFound) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn by_mail<H: Host>(client: &Client<'_, H>, name: &str) -> Result<Option<Found>, Fault> {
    if name.contains('@') { search(client, "profile.email", name) } else { Ok(None) }
}

/// Several users with one mail address are none that could be told apart.
fn search<H: Host>(client: &Client<'_, H>, attribute: &str, value: &str) -> Result<Option<Found>, Fault> {
    let answer = client.get(&format!("/api/v1/users?search={}&limit=2", filter_text(attribute, value)))?;
    let found: Vec<serde::de::IgnoredAny> = answer.json()?;
    Ok((found.len() == 1).then_some(Found { answer, is_list: true }))
}

/// The account in full.
fn tell<H: Host>(client: &Client<'_, H>, settings: &Settings, found: &Found) -> Result<CloudAccount, Fault> {
    let user = found.user()?;
    let id = user.checked_id()?;
    let no_status = || Fault::Protocol("Okta's answer about a user has no status".to_owned());
    let status = user.status.get().ok_or_else(no_status)?;
    // A user who was deactivated has lost applications and factors, and Okta does not list them.
    let is_gone = status == "DEPROVISIONED";
    let enabled = status == "ACTIVE" && is_assigned(client, settings.application.as_deref(), id)?;
    Ok(CloudAccount {
        id: id.to_owned(),
        login: user.profile.login.get().unwrap_or(id).to_owned(),
        mail: user.profile.email.get().map(str::to_owned),
        status: status.to_owned(),
        enabled,
        applications: if is_gone { Vec::new() } else { applications(client, id)? },
        factors: if is_gone { Vec::new() } else { factors(client, id)? },
        attributes: attributes(&user),
    })
}

/// Whether the user may use the application; anybody may where none is named.
fn is_assigned<H: Host>(client: &Client<'_, H>, application: Option<&str>, user: &str) -> Result<bool, Fault> {
    let Some(application) = application else { return Ok(true) };
    let answer = match client.get(&format!("/api/v1/apps/{application}/users/{user}")) {
        Ok(answer) => answer,
        Err(Fault::NotFound) => return Ok(false),
        Err(fault) => return Err(fault),
    };
    let assignment: Assignment = answer.json()?;
    Ok(matches!(assignment.status.as_str(), "ACTIVE" | "PROVISIONED"))
}

#[derive(Deserialize)]
struct Assignment {
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Link<'a> {
    #[serde(borrow)]
    label: Word<'a>,
    #[serde(borrow)]
    app_instance_id: Word<'a>,
}

/// Labels of the applications. One application can have several links, and two can have the same label.
fn applications<H: Host>(client: &Client<'_, H>, user: &str) -> Result<Vec<String>, Fault> {
    let (mut seen, mut labels) = (BTreeSet::new(), Vec::new());
    for answer in pages(client, &format!("/api/v1/users/{user}/appLinks"))? {
        for link in list::<Link<'_>>(&answer)? {
            let (id, label) = (link.app_instance_id.get(), link.label.get());
            if seen.insert(id.or(label).unwrap_or_default().to_owned()) {
                labels.extend(label.or(id).map(str::to_owned));
            }
        }
    }
    Ok(labels)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Listed<'a> {
    #[serde(borrow)]
    factor_type: Word<'a>,
    #[serde(borrow)]
    provider: Word<'a>,
    #[serde(borrow)]
    status: Word<'a>,
}

/// Kinds of the factors and whether they can be used. Nothing else of a factor is read: one that is not active yet holds the
/// secret of its codes.
fn factors<H: Host>(client: &Client<'_, H>, user: &str) -> Result<Vec<Factor>, Fault> {
    let mut factors = Vec::new();
    for answer in pages(client, &format!("/api/v1/users/{user}/factors"))? {
        for factor in list::<Listed<'_>>(&answer)? {
            let Some(kind) = factor.factor_type.get() else { continue };
            let kind = match factor.provider.get() {
                None | Some("OKTA") => kind.to_owned(),
                Some(provider) => format!("{kind} ({provider})"),
            };
            factors.push(Factor { kind, active: factor.status.get() == Some("ACTIVE") });
        }
    }
    Ok(factors)
}

/// A page's objects, which borrow from the answer.
fn list<'a, T: Default + Deserialize<'a>>(answer: &'a Answer) -> Result<Vec<T>, Fault> {
    let list: Vec<Object<T>> = serde_json::from_slice(answer.body()).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Fault::Protocol(format!("Okta's list is not one, at {place}"))
    })?;
    Ok(list.into_iter().map(|object| object.0).collect())
}

fn attributes(user: &User<'_>) -> Vec<Attribute> {
    let profile = &user.profile;
    let known = [
        ("first-name", &profile.first_name),
        ("last-name", &profile.last_name),
        ("created", &user.created),
        ("status-changed", &user.status_changed),
        ("last-login", &user.last_login),
        ("password-changed", &user.password_changed),
    ];
    let known = known.into_iter().filter_map(|(name, value)| value.get().map(|value| (name, value)));
    known.map(|(name, value)| Attribute { name: name.to_owned(), values: vec![value.to_owned()] }).collect()
}
