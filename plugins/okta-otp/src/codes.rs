//! A challenge by code, from asking for it to the answer.

use std::net::IpAddr;

use okta::contract::portcullis::gateway::http::Method;
use okta::contract::portcullis::gateway::log::Level;
use okta::person::{self, User};
use okta::{Client, Fault, Host};
use serde_json::json;

use crate::contract::exports::portcullis::gateway::authenticator::{Context, Progress, StartError, Step};
use crate::contract::exports::portcullis::gateway::connector::ConnectorError;
use crate::factor::Factor;
use crate::handle::Handle;
use crate::okta_api::{self, Sent, Tried};
use crate::settings::Settings;

/// What became of asking by one factor.
enum Asked {
    /// It is in use now; the person may have to know something about it.
    Yes(Option<&'static str>),
    /// Not by this one, for a reason that the person is told.
    NotByThis(&'static str),
    Over(Progress),
}

const MAYBE: &str = "It is not certain that the code was sent. If none comes, ask for another one.";
const JUST_BEFORE: &str = "A code was sent a moment ago. It is still good.";
const NO_MORE: &str = "Okta sends no more codes in this way for now. Choose another way.";
const GONE: &str = "This way is not set up any more. Choose another one.";
const BUSY: &str = "Okta wants fewer requests at the moment. Try again in a minute, or choose another way.";

/// Finds the person and what codes can come from, and asks by the first of these that works.
///
/// # Errors
/// The person cannot be asked this way, or Okta, the network or the settings do not let us.
pub fn start(host: &impl Host, settings: &Settings, context: &Context) -> Result<Step, StartError> {
    let address = context.endpoint.as_ref().filter(|_| settings.forward_client_address);
    let address = address.and_then(|endpoint| endpoint.address.parse::<IpAddr>().ok()).map(|it| it.to_string());
    let client = settings.client(host).on_behalf_of(address.clone());
    let user = User::of_account(&client, &context.account, settings.login)?;
    let ended = |progress| {
        let over = Handle::new(Vec::new(), None, host.now());
        over.step(progress, settings, host.now(), None).map_err(StartError::Failed)
    };
    // The person is known and cannot answer now. That is a failed challenge and not a missing enrolment: whoever tries wrong
    // passwords at Okta can have an account locked, and must not get what a policy leaves to people without a factor.
    if !user.can_answer()? {
        host.log(Level::Warn, "no code was asked for: the Okta user is locked, suspended or not active");
        return ended(Progress::Failed);
    }
    let factors = Factor::usable(&person::factors(&client, &user)?, &settings.factors);
    if factors.is_empty() {
        let why = "The Okta user has none of the factors that this connector may ask for a code.".to_owned();
        return Err(StartError::NotEnrolled(why));
    }
    let mut handle = Handle::new(factors.clone(), address, host.now());
    for factor in &factors {
        let asked = match ask(host, &client, &mut handle, factor) {
            // Whoever has the password can use up what Okta grants to a user, and must not get what a policy leaves to people
            // whose service is down.
            Err(Fault::RateLimited(_)) => Asked::NotByThis(BUSY),
            asked => asked.map_err(|fault| not_sent(host, fault))?,
        };
        match asked {
            Asked::Yes(note) => {
                let note = note.map(str::to_owned);
                return handle.step(Progress::Waiting, settings, host.now(), note).map_err(StartError::Failed);
            }
            Asked::NotByThis(_) => {}
            Asked::Over(progress) => return ended(progress),
        }
    }
    host.log(Level::Warn, "no code was asked for: Okta sends none to this user for now");
    ended(Progress::Failed)
}

/// Nothing happens at Okta until something is typed, so nothing is asked.
///
/// # Errors
/// The handle is not one of this connector's.
pub fn poll(host: &impl Host, settings: &Settings, handle: &str) -> Result<Step, ConnectorError> {
    let (handle, now) = (Handle::read(handle)?, host.now());
    let progress = if now >= handle.deadline { Progress::Expired } else { Progress::Waiting };
    handle.step(progress, settings, now, None)
}

/// Tries a code, once.
///
/// What cannot be a code never gets to Okta: without a code the same request is one for another text message or call, and the
/// answer to it is a success.
///
/// # Errors
/// Okta gave no verdict. The code may have been used up.
pub fn verify(host: &impl Host, settings: &Settings, handle: &str, code: &str) -> Result<Step, ConnectorError> {
    let (mut handle, now) = (Handle::read(handle)?, host.now());
    if now >= handle.deadline {
        return handle.step(Progress::Expired, settings, now, None);
    }
    let waiting = |handle: &Handle, note: String| handle.step(Progress::Waiting, settings, host.now(), Some(note));
    // People type codes as applications show them: in two groups.
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    if code.len() != settings.digits || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return waiting(&handle, format!("A code has {} digits and nothing else.", settings.digits));
    }
    let Some(factor) = handle.factor(&handle.current).cloned() else { return waiting(&handle, GONE.to_owned()) };
    let client = settings.client(host).on_behalf_of(handle.address.clone());
    // A text and not a number: codes begin with zeros, too.
    let body = json!({ "passCode": code }).to_string().into_bytes();
    let tried = okta_api::tried(client.follow(Method::Post, &factor.verify, body)).map_err(|fault| {
        host.log(Level::Warn, &format!("no verdict on a code: {fault:?}"));
        ConnectorError::from(fault)
    })?;
    let now = host.now();
    match tried {
        Tried::Accepted => handle.step(Progress::Approved, settings, now, None),
        Tried::Wrong(why) => handle.step(Progress::WrongCode, settings, now, Some(why.to_owned())),
        Tried::Over(progress) => {
            host.log(Level::Warn, "Okta takes no code of this user any more");
            handle.step(progress, settings, now, None)
        }
        Tried::Gone => {
            handle.forget(&factor.id);
            if handle.factors.is_empty() {
                return handle.step(Progress::Failed, settings, now, None);
            }
            waiting(&handle, GONE.to_owned())
        }
    }
}

/// Asks by another factor, or for another code by the same.
///
/// # Errors
/// No code was asked for.
pub fn choose(host: &impl Host, settings: &Settings, handle: &str, choice: &str) -> Result<Step, ConnectorError> {
    let (mut handle, now) = (Handle::read(handle)?, host.now());
    if now >= handle.deadline {
        return handle.step(Progress::Expired, settings, now, None);
    }
    let waiting = |handle: &Handle, note: Option<String>| handle.step(Progress::Waiting, settings, host.now(), note);
    let Some(factor) = handle.factor(choice).cloned() else { return waiting(&handle, Some(GONE.to_owned())) };
    let wait = handle.wait_ms(&factor, now).div_ceil(1000);
    if wait > 0 {
        // Back to a factor by which a code is still on its way.
        handle.uses(&factor.id, now);
        let note = format!("Another code can be sent in {wait} s. The one that was sent before is still good.");
        return waiting(&handle, Some(note));
    }
    let client = settings.client(host).on_behalf_of(handle.address.clone());
    match ask(host, &client, &mut handle, &factor)? {
        Asked::Yes(note) => waiting(&handle, note.map(str::to_owned)),
        Asked::NotByThis(note) if !handle.factors.is_empty() => waiting(&handle, Some(note.to_owned())),
        Asked::NotByThis(_) => handle.step(Progress::Failed, settings, host.now(), None),
        Asked::Over(progress) => handle.step(progress, settings, host.now(), None),
    }
}

/// Okta cannot take a code back. It is of no use without the challenge, and dies by itself.
///
/// # Errors
/// The handle is not one of this connector's.
pub fn cancel(handle: &str) -> Result<(), ConnectorError> {
    Handle::read(handle).map(|_| ())
}

/// Asks by one factor. A wish whose answer is lost is not repeated: the code may be on its way, and trying it needs nothing
/// of that answer.
fn ask<H: Host>(host: &H, client: &Client<'_, H>, handle: &mut Handle, factor: &Factor) -> Result<Asked, Fault> {
    if !factor.kind.is_sent() {
        handle.uses(&factor.id, host.now());
        return Ok(Asked::Yes(None));
    }
    let sent = okta_api::sent(client.follow(Method::Post, &factor.verify, Vec::new()))?;
    let now = host.now();
    let note = match sent {
        Sent::Yes => None,
        Sent::Maybe => Some(MAYBE),
        Sent::JustBefore => Some(JUST_BEFORE),
        Sent::NoMore => return Ok(Asked::NotByThis(NO_MORE)),
        Sent::Gone => {
            handle.forget(&factor.id);
            return Ok(Asked::NotByThis(GONE));
        }
        Sent::Over(progress) => return Ok(Asked::Over(progress)),
    };
    handle.has_sent(&factor.id, now);
    handle.uses(&factor.id, now);
    Ok(Asked::Yes(note))
}

/// Why no code was asked for, in the contract's words.
fn not_sent(host: &impl Host, fault: Fault) -> StartError {
    let error = StartError::from(fault);
    host.log(Level::Warn, &format!("no code was asked for: {error:?}"));
    error
}
