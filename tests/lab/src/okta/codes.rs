//! One-time codes: those that an application shows, and those that are sent (Okta API: User Factors, verify).

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::people::{Factor, Kind};

/// How long a code that was sent is good.
const LIFETIME: Duration = Duration::from_secs(300);
/// So many attempts in [`ATTEMPTS_WINDOW`] and no more.
const ATTEMPTS: usize = 5;
const ATTEMPTS_WINDOW: Duration = Duration::from_secs(300);

/// A factor that a person can be given beside Okta Verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeFactor {
    /// Google Authenticator, which shows the same codes as Okta Verify here.
    Google,
    /// A text message.
    Sms,
    /// A call.
    Call,
    /// A mail.
    Email,
}

/// A code that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentCode {
    /// How.
    pub by: CodeFactor,
    /// The code.
    pub code: String,
}

/// A person's codes.
#[derive(Default)]
pub(super) struct Codes {
    /// What the application shows, and whether it has been used.
    pub(super) shown: Option<(String, bool)>,
    /// What it showed some steps ago, or will show: right, and not at this time.
    pub(super) out_of_window: Option<String>,
    /// Everything that was sent, the oldest first.
    pub(super) sent: Vec<SentCode>,
    /// Refusals come as HTTP 200 with a `factorResult` that is none of success.
    pub(super) refusals_in_200: bool,
    latest: HashMap<String, Latest>,
    attempts: VecDeque<Instant>,
}

struct Latest {
    code: String,
    at: Instant,
    used: bool,
}

impl Codes {
    /// Tries a code of a factor, or sends one where there is none in the request. `fresh` is what would be sent.
    pub(super) fn verify(&mut self, factor: &Factor, phone: &str, body: &Value, fresh: String) -> Answer {
        let typed = body.get("passCode").and_then(Value::as_str).filter(|code| !code.is_empty());
        match (factor.kind.sends(), typed) {
            (Some(by), None) => self.send(factor, by, phone, fresh),
            (_, typed) => self.check(factor, typed),
        }
    }

    fn send(&mut self, factor: &Factor, by: CodeFactor, phone: &str, code: String) -> Answer {
        let (window, refusal) = match by {
            CodeFactor::Google | CodeFactor::Sms => (Duration::from_secs(30), "E0000109"),
            CodeFactor::Call => (Duration::from_secs(30), "E0000133"),
            CodeFactor::Email => (Duration::from_secs(5), "E0000118"),
        };
        if self.latest.get(&factor.id).is_some_and(|latest| latest.at.elapsed() < window) {
            return Answer::error(429, refusal, "A code was recently sent. Please wait before trying again.");
        }
        self.sent.push(SentCode { by, code: code.clone() });
        self.latest.insert(factor.id.clone(), Latest { code, at: Instant::now(), used: false });
        let mut answer = json!({ "factorResult": "CHALLENGE", "labFutureProperty": [] });
        if by != CodeFactor::Email
            && let Some(object) = answer.as_object_mut()
        {
            object.insert("profile".to_owned(), json!({ "phoneNumber": phone }));
        }
        Answer::json(200, answer)
    }

    fn check(&mut self, factor: &Factor, typed: Option<&str>) -> Answer {
        self.attempts.retain(|at| at.elapsed() < ATTEMPTS_WINDOW);
        if self.attempts.len() >= ATTEMPTS {
            return super::api::too_many();
        }
        self.attempts.push_back(Instant::now());
        let expected = match (self.latest.get_mut(&factor.id), &mut self.shown) {
            (Some(latest), _) if factor.kind.sends().is_some() => {
                Some((latest.code.as_str(), &mut latest.used)).filter(|_| latest.at.elapsed() < LIFETIME)
            }
            (None, Some((code, used))) if factor.kind.sends().is_none() => Some((code.as_str(), used)),
            _ => None,
        };
        match expected {
            Some((code, used)) if typed == Some(code) => {
                if std::mem::replace(used, true) {
                    let summary = "Each code can only be used once. Please wait for a new code and try again.";
                    return self.refuse("E0000082", "PASSCODE_REPLAYED", summary);
                }
                self.attempts.clear();
                Answer::json(200, json!({ "factorResult": "SUCCESS" }))
            }
            _ if typed.is_some() && typed == self.out_of_window.as_deref() => {
                self.refuse("E0000083", "TIME_WINDOW_EXCEEDED", "The passcode is valid but exceeded time window.")
            }
            _ => self.refuse("E0000068", "FAILED", "Invalid Passcode/Answer"),
        }
    }

    fn refuse(&self, code: &str, result: &str, summary: &str) -> Answer {
        if self.refusals_in_200 {
            Answer::json(200, json!({ "factorResult": result }))
        } else {
            Answer::error(403, code, summary)
        }
    }
}

impl Kind {
    /// How a code of it is sent; none where it is not.
    fn sends(self) -> Option<CodeFactor> {
        match self {
            Self::Sms => Some(CodeFactor::Sms),
            Self::Call => Some(CodeFactor::Call),
            Self::Email => Some(CodeFactor::Email),
            Self::Push | Self::Totp | Self::Google | Self::FastPass => None,
        }
    }
}

impl From<CodeFactor> for Kind {
    fn from(factor: CodeFactor) -> Self {
        match factor {
            CodeFactor::Google => Self::Google,
            CodeFactor::Sms => Self::Sms,
            CodeFactor::Call => Self::Call,
            CodeFactor::Email => Self::Email,
        }
    }
}
