//! Pushes to phones: how the person with the phone behaves, and what the API tells about it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the person with the phone does, counted from the push. A person who picks a wrong number rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Nothing, until told otherwise or until the push expires.
    Wait,
    /// Approves after this time (in JSON: milliseconds).
    ApproveAfter(#[serde(with = "super::millis")] Duration),
    /// Rejects after this time.
    RejectAfter(#[serde(with = "super::millis")] Duration),
    /// Lets it expire; the push says so after this time.
    ExpireAfter(#[serde(with = "super::millis")] Duration),
}

/// When the number that has to be picked on the phone is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberChallenge {
    /// In every answer, when the start of the push asked for it; else never.
    OnRequest,
    /// Unasked, from this poll on; the first poll is 1. Okta does so when it sees a risk.
    InPoll(u32),
    /// Never, even when it was asked for.
    Never,
}

/// A push that is still open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Whose phone it is.
    pub login: String,
    /// What the phone is called.
    pub device: String,
    /// The number that has to be picked on the phone, if one has to be.
    pub number: Option<u8>,
    /// The `User-Agent` of the client that asked, which the phone shows.
    pub asked_by: String,
    /// How long it has been open, in milliseconds.
    #[serde(serialize_with = "super::millis::serialize")]
    pub age: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Approved,
    Rejected,
    Expired,
    Cancelled,
}

pub(super) struct Push {
    pub(super) user: usize,
    pub(super) factor_id: String,
    pub(super) login: String,
    pub(super) device: String,
    pub(super) asked_by: String,
    /// The only transaction id that is answered now. It changes with every answer that says WAITING.
    pub(super) link: String,
    pub(super) started: Instant,
    pub(super) lifetime: Duration,
    pub(super) expires_at: Timestamp,
    pub(super) behaviour: Behaviour,
    pub(super) outcome: Option<Outcome>,
    pub(super) number: Option<u8>,
    pub(super) number_from_poll: u32,
    pub(super) polls: u32,
}

impl Push {
    /// Lets the time that has passed take effect.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.outcome.is_some() {
            return;
        }
        let age = now.saturating_duration_since(self.started);
        let (after, outcome) = match self.behaviour {
            Behaviour::ApproveAfter(after) => (after, Outcome::Approved),
            Behaviour::RejectAfter(after) => (after, Outcome::Rejected),
            Behaviour::ExpireAfter(after) => (after, Outcome::Expired),
            Behaviour::Wait => (Duration::MAX, Outcome::Expired),
        };
        if age >= after.min(self.lifetime) {
            self.outcome = Some(if after < self.lifetime { outcome } else { Outcome::Expired });
        }
    }

    pub(super) fn pending(&self, now: Instant) -> Pending {
        Pending {
            login: self.login.clone(),
            device: self.device.clone(),
            number: self.number,
            asked_by: self.asked_by.clone(),
            age: now.saturating_duration_since(self.started),
        }
    }

    /// The answer to the start, and to every poll. `base` is the URL of the user's factor.
    pub(super) fn json(&self, base: &str) -> Value {
        let profile = json!({ "credentialId": self.login });
        let factor_links = json!({
            "verify": { "href": format!("{base}/verify"), "hints": { "allow": ["POST"] } },
            "factor": { "href": base, "hints": { "allow": ["GET", "DELETE"] } }
        });
        let ended = |result: &str| json!({ "factorResult": result, "profile": profile, "_links": factor_links });
        match self.outcome {
            Some(Outcome::Approved) => json!({ "factorResult": "SUCCESS" }),
            Some(Outcome::Rejected) => ended("REJECTED"),
            Some(Outcome::Expired) => ended("TIMEOUT"),
            Some(Outcome::Cancelled) => ended("CANCELLED"),
            None => self.waiting(base),
        }
    }

    fn waiting(&self, base: &str) -> Value {
        let href = format!("{base}/transactions/{}", self.link);
        let mut body = json!({
            "expiresAt": self.expires_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "factorResult": "WAITING",
            "labFutureProperty": null,
            "_links": {
                "poll": { "href": href, "hints": { "allow": ["GET"] } },
                "cancel": { "href": href, "hints": { "allow": ["DELETE"] } }
            }
        });
        let Some(object) = body.as_object_mut() else { return body };
        if self.polls > 0 {
            object.insert("profile".into(), json!({ "credentialId": self.login }));
        }
        if let Some(number) = self.number.filter(|_| self.polls >= self.number_from_poll) {
            object.insert("_embedded".into(), json!({ "challenge": { "correctAnswer": number } }));
        }
        body
    }
}
