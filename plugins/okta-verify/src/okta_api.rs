//! The parts of Okta's answers that this connector reads (Okta API: Users, User Factors). Fields that it does not know, and
//! factors that look strange, are passed over: Okta adds to both at any time.

use okta::{Answer, Fault, dates};
use serde::Deserialize;
use serde_json::Value;

use crate::contract::exports::portcullis::gateway::authenticator::StartError;
use crate::settings::Device;

/// A user.
#[derive(Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) profile: Profile,
}

/// What a user is called.
#[derive(Deserialize)]
pub(crate) struct Profile {
    pub(crate) login: String,
}

impl User {
    /// Whether this is whom we asked for. Okta also finds users by id, by `me`, and by the part of a login before the `@`;
    /// only the last of these is somebody's name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let (login, name) = (self.profile.login.to_lowercase(), name.to_lowercase());
        login == name || login.split_once('@').is_some_and(|(short, _)| short == name)
    }

    /// Whether the user may be asked: yes when active, no when stopped in any way, new ways included.
    ///
    /// # Errors
    /// The user has never begun to use Okta, and so has nothing to answer with.
    pub(crate) fn can_answer(&self) -> Result<bool, StartError> {
        match self.status.as_str() {
            "ACTIVE" => Ok(true),
            status @ ("STAGED" | "PROVISIONED") => {
                Err(StartError::NotEnrolled(format!("The Okta user was never activated; the status is {status}.")))
            }
            _ => Ok(false),
        }
    }
}

/// A phone that can be asked.
pub(crate) struct Phone {
    pub(crate) id: String,
    /// Where to ask.
    pub(crate) verify: String,
    /// Milliseconds since 1970.
    changed: u64,
}

impl Phone {
    /// Chooses among the factors of an answer.
    pub(crate) fn choose(answer: &Answer, device: Device) -> Result<Option<Self>, Fault> {
        let factors: Vec<Value> = answer.json()?;
        let mut phones = factors.iter().filter_map(Self::read);
        Ok(match device {
            Device::First => phones.next(),
            // Of equally old ones the first, as Okta lists them.
            Device::Latest => phones.reduce(|best, next| if next.changed > best.changed { next } else { best }),
        })
    }

    /// Only an active push with a link to verify it can be asked.
    fn read(factor: &Value) -> Option<Self> {
        if text(factor, "/factorType") != Some("push") || text(factor, "/status") != Some("ACTIVE") {
            return None;
        }
        let time = |pointer| text(factor, pointer).and_then(dates::iso_time);
        Some(Self {
            id: text(factor, "/id")?.to_owned(),
            verify: text(factor, "/_links/verify/href")?.to_owned(),
            changed: time("/lastUpdated").max(time("/created")).unwrap_or(0),
        })
    }
}

/// Where a push stands.
pub(crate) struct Transaction {
    /// `WAITING`, `SUCCESS` and others.
    pub(crate) result: String,
    /// Okta's clock, milliseconds since 1970.
    pub(crate) expires_at: Option<u64>,
    pub(crate) poll: Option<String>,
    pub(crate) cancel: Option<String>,
    /// To be picked on the phone. May show up in any answer.
    pub(crate) number: Option<u8>,
}

impl Transaction {
    pub(crate) fn read(answer: &Answer) -> Result<Self, Fault> {
        let body: Value = answer.json()?;
        let Some(result) = text(&body, "/factorResult") else {
            return Err(Fault::Protocol("Okta's answer has no factorResult".to_owned()));
        };
        let owned = |pointer| text(&body, pointer).map(str::to_owned);
        // Okta's own pages disagree on the place.
        let numbers = ["/_embedded/challenge/correctAnswer", "/_embedded/factor/_embedded/challenge/correctAnswer"];
        let number = numbers.iter().find_map(|pointer| body.pointer(pointer)).and_then(Value::as_u64);
        Ok(Self {
            result: result.to_owned(),
            expires_at: text(&body, "/expiresAt").and_then(dates::iso_time),
            poll: owned("/_links/poll/href"),
            cancel: owned("/_links/cancel/href"),
            number: number.and_then(|number| u8::try_from(number).ok()),
        })
    }
}

/// Whether a text can be an identifier of Okta's, and so part of a path.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A text inside a JSON value.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
