//! Faults that a test or a person can switch on: what networks, proxies and Okta itself do on bad days.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Something that goes wrong instead of, or on top of, the true answer.
///
/// In JSON, for the control interface, a fault is a word or an object with one word: `"reset"`,
/// `{"status":[503,"E0000010"]}`, `{"slow":1500}` (milliseconds), `{"rate-limited":"absent"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// An error in Okta's form with this HTTP status and error code; nothing is done.
    Status(u16, String),
    /// A page of a front-end server with this HTTP status; nothing is done.
    Html(u16),
    /// The request is done, and the answer has its status but no body.
    EmptyBody,
    /// The request is done, and the connection breaks in the middle of the answer.
    Truncated,
    /// The connection is reset before anything is done.
    Reset,
    /// The request is done, and the connection is reset before the answer.
    LostAnswer,
    /// The request is done after this time.
    Slow(#[serde(with = "super::millis")] Duration),
    /// A JSON answer of this many bytes; nothing is done.
    Huge(usize),
    /// The request is done, and the answer is not JSON although it says so.
    BadJson,
    /// 429 with Okta's code for a rate limit; nothing is done.
    RateLimited(RateHeaders),
    /// The request is done, and a `link` header with `rel="next"` leads to this base URL.
    ForeignNextLink(String),
    /// The request is done, and the `poll` and `cancel` links of the answer lead to this base URL.
    ForeignPollLink(String),
    /// The request is done, and the answer has this `factorResult`, if it has one.
    UnknownFactorResult(String),
    /// A small body that unpacks to a hundred megabytes; nothing is done.
    GzipBomb,
    /// The request is done, and the answer comes byte by byte, with this time between two.
    Drip(#[serde(with = "super::millis")] Duration),
    /// A redirection to the same path of this base URL; nothing is done.
    Redirect(String),
    /// The request is done, and what these JSON Pointers lead to in the answer is null.
    Null(Vec<String>),
    /// The request is done, and what these JSON Pointers lead to is not in the answer.
    Missing(Vec<String>),
    /// The request is done, and by the answer Okta's clock is so many seconds ahead of the true time, or behind.
    Clock(i64),
}

/// What a 429 says about the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateHeaders {
    /// No rate-limit headers at all.
    Absent,
    /// The bucket's limit, nothing remaining, and when the window ends.
    Bucket,
    /// Limit 0 and remaining 0: too many requests at once.
    Concurrency,
}

/// A kind of request. Rate limits count by it, and faults can be limited to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// `GET /api/v1/users/{id or login}`
    User,
    /// `GET /api/v1/users/{id}/factors` and one factor
    Factors,
    /// `POST .../factors/{id}/verify`
    Verify,
    /// `GET .../transactions/{id}`
    Poll,
    /// `DELETE .../transactions/{id}`
    Cancel,
    /// `GET /api/v1/logs`
    Logs,
    /// Everything else.
    Other,
}

impl Call {
    pub(super) fn of(method: &str, segments: &[String]) -> Self {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (method, segments.as_slice()) {
            ("GET", ["api", "v1", "users", _]) => Self::User,
            ("GET", ["api", "v1", "users", _, "factors"] | ["api", "v1", "users", _, "factors", _]) => Self::Factors,
            ("POST", ["api", "v1", "users", _, "factors", _, "verify"]) => Self::Verify,
            ("GET", ["api", "v1", "users", _, "factors", _, "transactions", _]) => Self::Poll,
            ("DELETE", ["api", "v1", "users", _, "factors", _, "transactions", _]) => Self::Cancel,
            ("GET", ["api", "v1", "logs"]) => Self::Logs,
            _ => Self::Other,
        }
    }
}

/// The faults that are switched on.
#[derive(Default)]
pub(super) struct Faults {
    standing: Option<Fault>,
    next: VecDeque<(Option<Call>, Fault)>,
}

impl Faults {
    pub(super) fn set(&mut self, fault: Option<Fault>) {
        self.standing = fault;
    }

    pub(super) fn add(&mut self, call: Option<Call>, count: usize, fault: &Fault) {
        self.next.extend(std::iter::repeat_n((call, fault.clone()), count));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault that meets this request. Counted ones come first and are used up.
    pub(super) fn take(&mut self, call: Call) -> Option<Fault> {
        let at = self.next.iter().position(|(wanted, _)| wanted.is_none_or(|wanted| wanted == call));
        at.and_then(|at| self.next.remove(at)).map(|(_, fault)| fault).or_else(|| self.standing.clone())
    }
}
