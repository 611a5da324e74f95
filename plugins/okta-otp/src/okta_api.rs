//! What Okta's answers about codes mean (Okta API: User Factors, verify; error codes).
//!
//! The same news comes in two forms: as an error with a code, or as a success of HTTP whose `factorResult` is none. Only the
//! one exact word is a yes.

use okta::person::text;
use okta::{Answer, Fault};
use serde_json::Value;

use crate::contract::exports::portcullis::gateway::authenticator::Progress;

/// What became of a code that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Accepted,
    /// Another may be tried; the sentence says why this one was not taken.
    Wrong(&'static str),
    /// Nothing may be tried any more.
    Over(Progress),
    /// The factor is not there any more, or suspended.
    Gone,
}

/// What became of a wish for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    /// The answer is lost, or says nothing: it may be on its way.
    Maybe,
    /// Not this time, because one was sent a moment ago. That one is still good.
    JustBefore,
    /// Okta sends no more to this person for now.
    NoMore,
    /// The factor is not there any more, or suspended.
    Gone,
    /// Nothing may be asked any more.
    Over(Progress),
}

const WRONG: &str = "This code is not right.";
const USED: &str = "This code was used before. Wait until there is a new one.";
const WINDOW: &str = "This code is not good at this time. Type the one that is shown now; if it is not accepted either, set \
                      the clock of the phone that shows it.";
const TOO_OLD: &str = "This code is too old. Ask for a new one.";
const NOT_LOOKED_AT: &str = "Okta did not look at this code. Try again with the latest one.";

/// Judges the answer to a code.
///
/// # Errors
/// The answer says nothing about the code, which may have been used up all the same.
pub(crate) fn tried(answer: Result<Answer, Fault>) -> Result<Tried, Fault> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Fault::NotFound) => return Ok(Tried::Gone),
        Err(Fault::Refused(code)) => return refused(&code),
        Err(fault) => return Err(fault),
    };
    Ok(match result(&answer)?.as_str() {
        "SUCCESS" => Tried::Accepted,
        "FAILED" => Tried::Wrong(WRONG),
        "PASSCODE_REPLAYED" => Tried::Wrong(USED),
        "TIME_WINDOW_EXCEEDED" => Tried::Wrong(WINDOW),
        "EXPIRED" | "TIMEOUT" => Tried::Wrong(TOO_OLD),
        // Okta sends a code where it sees none in the request.
        "CHALLENGE" => Tried::Wrong(NOT_LOOKED_AT),
        "REJECTED" => Tried::Over(Progress::Denied),
        _ => Tried::Over(Progress::Failed),
    })
}

fn refused(code: &str) -> Result<Tried, Fault> {
    Ok(match code {
        "E0000068" => Tried::Wrong(WRONG),
        "E0000082" => Tried::Wrong(USED),
        "E0000083" => Tried::Wrong(WINDOW),
        "E0000073" => Tried::Over(Progress::Denied),
        "E0000154" | "E0000180" => Tried::Gone,
        // About sending, which nobody asked for: no verdict on the code.
        "E0000109" | "E0000118" | "E0000133" => return Err(Fault::RateLimited(5_000)),
        // The user is locked or not active; or something that nobody knows yet, of which no yes can come.
        _ => Tried::Over(Progress::Failed),
    })
}

/// Judges the answer to the wish for a code.
///
/// # Errors
/// None was sent, for a reason that is not the person's.
pub(crate) fn sent(answer: Result<Answer, Fault>) -> Result<Sent, Fault> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Fault::Uncertain(_)) => return Ok(Sent::Maybe),
        Err(Fault::NotFound) => return Ok(Sent::Gone),
        Err(Fault::Refused(code)) => {
            return Ok(match code.as_str() {
                "E0000109" | "E0000118" | "E0000133" => Sent::JustBefore,
                "E0000150" | "E0000151" | "E0000204" | "E0000205" => Sent::NoMore,
                "E0000154" | "E0000180" => Sent::Gone,
                "E0000073" => Sent::Over(Progress::Denied),
                _ => Sent::Over(Progress::Failed),
            });
        }
        Err(fault) => return Err(fault),
    };
    Ok(match result(&answer).as_deref() {
        Ok("CHALLENGE") => Sent::Yes,
        Ok("REJECTED") => Sent::Over(Progress::Denied),
        Ok("FAILED" | "ERROR" | "CANCELLED") => Sent::NoMore,
        // A yes to a question that nobody answered is no yes; whatever it means, a code may have been sent.
        _ => Sent::Maybe,
    })
}

fn result(answer: &Answer) -> Result<String, Fault> {
    let body: Value = answer.json()?;
    let missing = || Fault::Protocol("Okta's answer has no factorResult".to_owned());
    text(&body, "/factorResult").map(str::to_owned).ok_or_else(missing)
}
