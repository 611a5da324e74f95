//! What Okta's refusals mean.

use serde::Deserialize;

use crate::client::Answer;
use crate::contract::portcullis::gateway::http::HttpError;
use crate::rate;

/// Why a request did not get what it asked for. The texts are for administrators; they hold Okta's error codes and request
/// ids, and nothing of an answer's body, which may repeat what people typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The token is wrong, expired or revoked.
    Unauthorized(String),
    /// The token lacks a right.
    Forbidden(String),
    /// Too many requests; milliseconds to wait.
    RateLimited(u32),
    /// Okta cannot be reached: the request was not carried out. Later it may work.
    Unreachable(String),
    /// Okta failed, or its answer did not arrive: the request may have been carried out all the same.
    Uncertain(String),
    /// The answer makes no sense.
    Protocol(String),
    /// A setting is wrong.
    Misconfigured(String),
    /// There is no such thing (any more).
    NotFound,
    /// Okta understood and says no for a reason that the caller has to judge: its error code.
    Refused(String),
}

/// The parts of an error's body that may steer a program (Okta, "Core Okta API": only code and status may).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    error_code: String,
}

impl Fault {
    /// Judges an answer that is no success, by status and error code together: the same status has many reasons.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let code = serde_json::from_slice::<ErrorBody>(answer.body()).ok().map(|body| body.error_code);
        // It is repeated in texts, so it has to look like a code.
        let code = code.filter(|code| code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let named = describe(answer, code.as_deref());
        match (answer.status(), code.as_deref()) {
            (401, Some("E0000015")) => Self::Forbidden(format!("the organisation lacks this feature ({named})")),
            (401, Some("E0000004")) => Self::Refused("E0000004".to_owned()),
            (401, _) => Self::Unauthorized(format!("Okta does not accept the token ({named})")),
            (403, Some("E0000005")) => Self::Unauthorized(format!("Okta saw no valid token ({named})")),
            (403, Some("E0000006")) => Self::Forbidden(format!("the token lacks the right to do this ({named})")),
            (403, None) => Self::Forbidden(format!("{} ({named})", missing_scope(answer))),
            (403 | 410 | 423, Some(code)) => Self::Refused(code.to_owned()),
            (404, _) => Self::NotFound,
            (429, Some(code @ ("E0000109" | "E0000118" | "E0000133" | "E0000204" | "E0000205"))) => {
                Self::Refused(code.to_owned())
            }
            (429, _) => Self::RateLimited(rate::wait_ms(answer)),
            (400, None) => Self::Misconfigured(format!(
                "Okta's front end refused the request; blanks or line breaks in the API token cause this ({named})"
            )),
            (501, Some("E0000060")) => Self::Protocol(format!("Okta does not support the request ({named})")),
            (300..=399, _) => Self::Misconfigured(format!(
                "the base URL redirects elsewhere; use the organisation's own address ({named})"
            )),
            (500..=599, _) => Self::Uncertain(format!("Okta failed ({named})")),
            _ => Self::Protocol(format!("Okta did not understand the request ({named})")),
        }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(what) => Self::Misconfigured(format!("the gateway does not allow the request: {what}")),
            HttpError::Unreachable(why) => Self::Unreachable(format!("Okta cannot be reached: {why}")),
            HttpError::Timeout => Self::Uncertain("Okta did not answer in time".to_owned()),
            HttpError::TooLarge => Self::Uncertain("Okta's answer is larger than the gateway allows".to_owned()),
            HttpError::Malformed(why) => Self::Uncertain(format!("Okta's answer broke off: {why}")),
        }
    }
}

/// Status, code and request id, by which Okta's support finds the request.
fn describe(answer: &Answer, code: Option<&str>) -> String {
    let mut text = format!("HTTP {}", answer.status());
    for (label, value) in [("", code), ("request ", answer.request_id())] {
        if let Some(value) = value {
            text = format!("{text}, {label}{value}");
        }
    }
    text
}

/// OAuth's way to say that a token lacks a scope: an empty body and a header (RFC 6750, section 3).
fn missing_scope(answer: &Answer) -> String {
    let scope = answer.headers("www-authenticate").find_map(|value| {
        let scope = value.split_once("scope=\"")?.1.split_once('"')?.0;
        scope.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ').then_some(scope)
    });
    match scope {
        Some(scope) => format!("the token lacks the scope {scope}"),
        None => "Okta forbids this without saying why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{error, reply};

    #[test]
    fn status_and_code_together_decide() {
        let name = |fault: &Fault| {
            let text = format!("{fault:?}");
            text.split(['(', ' ']).next().unwrap_or_default().to_owned()
        };
        for (status, code, expected) in [
            (400, "E0000001", "Protocol"),
            (400, "E0000003", "Protocol"),
            (400, "E0000021", "Protocol"),
            (400, "E0000031", "Protocol"),
            (400, "E0000053", "Protocol"),
            (500, "E0000053", "Uncertain"),
            (401, "E0000004", "Refused"),
            (403, "E0000005", "Unauthorized"),
            (401, "E0000011", "Unauthorized"),
            (403, "E0000006", "Forbidden"),
            (401, "E0000015", "Forbidden"),
            (404, "E0000007", "NotFound"),
            (404, "E0000008", "NotFound"),
            (404, "E0000048", "NotFound"),
            (500, "E0000009", "Uncertain"),
            (503, "E0000010", "Uncertain"),
            (503, "E0000100", "Uncertain"),
            (405, "E0000022", "Protocol"),
            (403, "E0000038", "Refused"),
            (429, "E0000047", "RateLimited"),
            (501, "E0000060", "Protocol"),
            (504, "E0000067", "Uncertain"),
            (400, "E0000074", "Protocol"),
            (403, "E0000068", "Refused"),
            (403, "E0000069", "Refused"),
            (403, "E0000119", "Refused"),
            (403, "E0000073", "Refused"),
            (403, "E0000079", "Refused"),
            (403, "E0000082", "Refused"),
            (403, "E0000083", "Refused"),
            (429, "E0000109", "Refused"),
            (429, "E0000118", "Refused"),
            (429, "E0000133", "Refused"),
            (403, "E0000150", "Refused"),
            (429, "E0000204", "Refused"),
            (410, "E0000154", "Refused"),
            (423, "E0000180", "Refused"),
        ] {
            assert_eq!(name(&Fault::of(&Answer::from(error(status, code)))), expected, "{status} {code}");
        }
    }

    #[test]
    fn bodies_without_a_code_are_judged_by_status() {
        let of = |status, headers: &[(&str, &str)], body| Fault::of(&Answer::from(reply(status, headers, body)));
        assert!(matches!(
            of(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], ""),
            Fault::Unauthorized(_)
        ));
        let scope = [("WWW-Authenticate", "Bearer scope=\"okta.users.manage\", error=\"insufficient_scope\"")];
        let Fault::Forbidden(text) = of(403, &scope, "") else { panic!("not forbidden") };
        assert!(text.contains("okta.users.manage"), "{text}");
        assert!(matches!(of(400, &[], "<html>Bad Request</html>"), Fault::Misconfigured(_)));
        assert!(matches!(of(411, &[], "Length Required"), Fault::Protocol(_)));
        assert!(matches!(of(302, &[("location", "https://acme.example")], ""), Fault::Misconfigured(_)));
        assert!(matches!(of(502, &[], "<html>"), Fault::Uncertain(_)));
        assert!(matches!(of(429, &[], ""), Fault::RateLimited(2000)));
    }

    #[test]
    fn texts_name_the_request_and_repeat_no_body() {
        let body = r#"{"errorCode":"E0000011","errorSummary":"Invalid token: mona","errorCauses":[]}"#;
        let answer = Answer::from(reply(401, &[("x-okta-request-id", "Zx9exampleRequest")], body));
        let Fault::Unauthorized(text) = Fault::of(&answer) else { panic!("not unauthorized") };
        assert!(text.contains("Zx9exampleRequest") && text.contains("E0000011") && !text.contains("mona"), "{text}");
        let strange = Answer::from(reply(403, &[], r#"{"errorCode":"look at\nthis"}"#));
        assert!(!format!("{:?}", Fault::of(&strange)).contains("look"));
    }
}
