//! The parts of Okta's answers that this connector reads (Okta API: User Factors). Fields that it does not know, and
//! factors that look strange, are passed over: Okta adds to both at any time.

use okta::person::text;
use okta::{Answer, Fault, dates};
use serde_json::Value;

use crate::settings::Device;

/// A phone that can be asked.
pub(crate) struct Phone {
    pub(crate) id: String,
    /// Where to ask.
    pub(crate) verify: String,
    /// Milliseconds since 1970.
    changed: u64,
}

impl Phone {
    /// Chooses among a user's factors.
    pub(crate) fn choose(factors: &[Value], device: Device) -> Option<Self> {
        let mut phones = factors.iter().filter_map(Self::read);
        match device {
            Device::First => phones.next(),
            // Of equally old ones the first, as Okta lists them.
            Device::Latest => phones.reduce(|best, next| if next.changed > best.changed { next } else { best }),
        }
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
