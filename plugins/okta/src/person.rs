//! Finding the person whom an account belongs to (Okta API: Users).

use serde::Deserialize;
use serde_json::Value;

use crate::contract::portcullis::gateway::types::Account;
use crate::{Client, Fault, Host, filter_text, path_segment};

/// What Okta knows a person by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The mail address.
    Mail,
    /// The login.
    Login,
    /// The mail address where there is one, the login otherwise.
    MailOrLogin,
}

/// Why a person cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// Okta has nobody to ask; the text says why.
    NotEnrolled(String),
    /// It could not be found out.
    Fault(Fault),
}

impl From<Fault> for NotFound {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A user.
#[derive(Deserialize)]
pub struct User {
    /// Stays the same when the user is renamed; can be part of a path.
    pub id: String,
    status: String,
    profile: Profile,
}

#[derive(Deserialize)]
struct Profile {
    login: String,
}

impl User {
    /// The user whom the account belongs to.
    ///
    /// # Errors
    /// There is none, or there are several, or Okta could not be asked.
    pub fn of_account<H: Host>(client: &Client<'_, H>, account: &Account, login: Login) -> Result<Self, NotFound> {
        find(client, name_of(account, login)?)
    }

    /// Whether this is whom we asked for. Okta also finds users by id, by `me`, and by the part of a login before the `@`;
    /// only the last of these is somebody's name.
    fn is_called(&self, name: &str) -> bool {
        let (login, name) = (self.profile.login.to_lowercase(), name.to_lowercase());
        login == name || login.split_once('@').is_some_and(|(short, _)| short == name)
    }

    /// Whether the user may be asked: yes when active, no when stopped in any way, new ways included.
    ///
    /// # Errors
    /// The user has never begun to use Okta, and so has nothing to answer with.
    pub fn can_answer(&self) -> Result<bool, NotFound> {
        match self.status.as_str() {
            "ACTIVE" => Ok(true),
            status @ ("STAGED" | "PROVISIONED") => {
                Err(NotFound::NotEnrolled(format!("The Okta user was never activated; the status is {status}.")))
            }
            _ => Ok(false),
        }
    }
}

/// The name that Okta knows the person by.
fn name_of(account: &Account, login: Login) -> Result<&str, NotFound> {
    let mail = account.mail.as_deref().filter(|mail| !mail.is_empty());
    let short = Some(account.login.as_str()).filter(|login| !login.is_empty());
    let (name, missing) = match login {
        Login::Mail => (mail, "mail address"),
        Login::Login => (short, "login"),
        Login::MailOrLogin => (mail.or(short), "mail address and no login"),
    };
    name.ok_or_else(|| NotFound::NotEnrolled(format!("The account has no {missing} by which Okta could know it.")))
}

fn find<H: Host>(client: &Client<'_, H>, name: &str) -> Result<User, NotFound> {
    let unknown = || NotFound::NotEnrolled("Okta does not know the account.".to_owned());
    let found: Vec<User> = match path_segment(name) {
        Some(segment) => match client.get(&format!("/api/v1/users/{segment}")) {
            Ok(answer) => vec![answer.json()?],
            Err(Fault::NotFound) => return Err(unknown()),
            Err(fault) => return Err(fault.into()),
        },
        None => client.get(&format!("/api/v1/users?search={}", filter_text("profile.login", name)))?.json()?,
    };
    let mut called = found.into_iter().filter(|user| user.is_called(name));
    let user = match (called.next(), called.next()) {
        (Some(user), None) => user,
        (Some(_), Some(_)) => return Err(NotFound::NotEnrolled("Okta knows several users of this name.".to_owned())),
        (None, _) => return Err(unknown()),
    };
    if !is_id(&user.id) {
        return Err(Fault::Protocol("Okta's answer holds a user id that cannot be one".to_owned()).into());
    }
    Ok(user)
}

/// What a user can be asked by (Okta API: User Factors), as Okta lists it. Only to be read: a factor that is not active yet
/// holds secrets.
///
/// # Errors
/// The user is gone, or Okta could not be asked.
pub fn factors<H: Host>(client: &Client<'_, H>, user: &User) -> Result<Vec<Value>, NotFound> {
    match client.get(&format!("/api/v1/users/{}/factors", user.id)) {
        Ok(answer) => Ok(answer.json()?),
        Err(Fault::NotFound) => Err(NotFound::NotEnrolled("Okta does not know the account any more.".to_owned())),
        Err(fault) => Err(fault.into()),
    }
}

/// A text inside a JSON value.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// Whether a text can be an identifier of Okta's, and so part of a path.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
