//! A push, from sending it to the answer.

use std::net::IpAddr;

use okta::contract::portcullis::gateway::http::Method;
use okta::contract::portcullis::gateway::log::Level;
use okta::person::{self, User};
use okta::{Answer, Client, Fault, Host};
use serde::{Deserialize, Serialize};

use crate::contract::exports::portcullis::gateway::authenticator::{Context, Progress, Prompt, StartError, Step};
use crate::contract::exports::portcullis::gateway::connector::ConnectorError;
use crate::okta_api::{Phone, Transaction};
use crate::settings::Settings;

/// How long a push lives where Okta does not say, and at most.
const LIFETIME_MS: u64 = 300_000;
/// Between two looks at one push; each costs a request of the organisation's budget.
const POLL_AFTER_MS: u32 = 2_000;
/// The same when the budget is nearly used up.
const POLL_AFTER_SCARCE_MS: u32 = 6_000;

/// Refusals of a push because the user or the phone is stopped (Okta, "Error codes").
const STOPPED: [&str; 5] = ["E0000038", "E0000069", "E0000119", "E0000154", "E0000180"];

/// What has to be remembered of a push between two calls. It holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Handle {
    user: String,
    factor: String,
    poll: String,
    cancel: Option<String>,
    /// The gateway's clock, milliseconds since 1970.
    deadline: u64,
    number: Option<u8>,
}

impl Handle {
    fn read(text: &str) -> Result<Self, ConnectorError> {
        serde_json::from_str(text)
            .map_err(|_| ConnectorError::Protocol("this is no handle of this connector".to_owned()))
    }

    fn step(&self, progress: Progress, now: u64, poll_after_ms: u32) -> Result<Step, ConnectorError> {
        let handle = serde_json::to_string(self)
            .map_err(|error| ConnectorError::Protocol(format!("the handle cannot be written: {error}")))?;
        let seconds_left = self.deadline.saturating_sub(now).div_ceil(1000);
        Ok(Step {
            progress,
            handle,
            prompt: Prompt::Push(self.number),
            poll_after_ms,
            expires_in_seconds: u32::try_from(seconds_left).unwrap_or(u32::MAX),
            choices: Vec::new(),
            note: None,
        })
    }
}

fn client<'a, H: Host>(host: &'a H, settings: &'a Settings) -> Client<'a, H> {
    Client::new(host, &settings.base).authorized(&settings.authorization)
}

/// Finds the person and sends the push. Never sends a second one when the answer to the first is lost.
///
/// # Errors
/// The person cannot be asked this way, or Okta, the network or the settings do not let us.
pub fn start(host: &impl Host, settings: &Settings, context: &Context) -> Result<Step, StartError> {
    let address = context.endpoint.as_ref().filter(|_| settings.forward_client_address);
    let address = address.and_then(|endpoint| endpoint.address.parse::<IpAddr>().ok());
    let client = client(host, settings).on_behalf_of(address.map(|address| address.to_string()));
    let user = User::of_account(&client, &context.account, settings.login)?;
    if !user.can_answer()? {
        return out_of_action(host, user.id);
    }
    let phone = find_phone(&client, &user, settings)?;

    let body: &[u8] = if settings.number_challenge { br#"{"useNumberMatchingChallenge":true}"# } else { b"" };
    let answer = match client.follow(Method::Post, &phone.verify, body.to_vec()) {
        Ok(answer) => answer,
        Err(Fault::Refused(code)) if code == "E0000073" => return ended(host, user.id, Progress::Denied),
        // Locked or not active since a moment ago, or the phone is locked.
        Err(Fault::Refused(code)) if STOPPED.contains(&code.as_str()) => return out_of_action(host, user.id),
        Err(fault) => return Err(not_sent(host, fault)),
    };
    let sent = |fault: Fault| StartError::Failed(ConnectorError::Protocol(unreadable(fault)));
    let transaction = Transaction::read(&answer).map_err(sent)?;
    let progress = progress_of(&transaction.result);
    let poll = match transaction.poll {
        Some(link) if settings.base.leads_to(&link) => link,
        None if progress != Progress::Waiting => String::new(),
        _ => {
            let missing = "it has no link inside the organisation under which to look for the result".to_owned();
            return Err(sent(Fault::Protocol(missing)));
        }
    };
    let handle = Handle {
        user: user.id,
        factor: phone.id,
        poll,
        cancel: transaction.cancel,
        deadline: deadline(host.now(), transaction.expires_at, &answer),
        number: transaction.number,
    };
    handle.step(progress, host.now(), poll_after(&answer)).map_err(StartError::Failed)
}

/// The person is known and cannot answer now. That is a failed challenge and not a missing enrolment: whoever tries wrong
/// passwords at Okta can have an account locked, and must not get what a policy leaves to people without a phone.
fn out_of_action(host: &impl Host, user: String) -> Result<Step, StartError> {
    host.log(Level::Warn, "a push was not sent: the Okta user or the phone is locked, suspended or not active");
    ended(host, user, Progress::Failed)
}

/// A challenge that is over before a push was sent.
fn ended(host: &impl Host, user: String, progress: Progress) -> Result<Step, StartError> {
    let now = host.now();
    let over = Handle { user, factor: String::new(), poll: String::new(), cancel: None, deadline: now, number: None };
    over.step(progress, now, 0).map_err(StartError::Failed)
}

/// Looks whether the person has answered.
///
/// # Errors
/// There is no answer to be had at the moment; the push stays open.
pub fn poll(host: &impl Host, settings: &Settings, handle: &str) -> Result<Step, ConnectorError> {
    let mut handle = Handle::read(handle)?;
    let now = host.now();
    if now >= handle.deadline {
        return handle.step(Progress::Expired, now, 0);
    }
    let client = client(host, settings);
    let answer = match client.follow(Method::Get, &handle.poll, Vec::new()) {
        Ok(answer) => answer,
        Err(fault) => {
            let progress = match &fault {
                // Okta forgets a push some time after its end.
                Fault::NotFound => Progress::Expired,
                Fault::Refused(code) if code == "E0000073" => Progress::Denied,
                // Locked, not active any more, or anything new: no yes can come of it.
                Fault::Refused(_) => Progress::Failed,
                _ => {
                    let error = ConnectorError::from(fault);
                    host.log(Level::Debug, &format!("no news of a push: {error:?}"));
                    return Err(error);
                }
            };
            return handle.step(progress, host.now(), 0);
        }
    };
    let transaction = Transaction::read(&answer)?;
    let progress = progress_of(&transaction.result);
    if let Some(link) = transaction.poll {
        if !settings.base.leads_to(&link) {
            return Err(Fault::Protocol("Okta's answer holds a link that leads elsewhere".to_owned()).into());
        }
        handle.poll = link;
    }
    handle.cancel = transaction.cancel.or(handle.cancel);
    handle.number = transaction.number.or(handle.number);
    handle.step(progress, host.now(), poll_after(&answer))
}

/// Takes the push back.
///
/// # Errors
/// Okta did not take it back; it ends by itself when its time is up.
pub fn cancel(host: &impl Host, settings: &Settings, handle: &str) -> Result<(), ConnectorError> {
    let handle = Handle::read(handle)?;
    let Some(link) = handle.cancel else { return Ok(()) };
    match client(host, settings).follow(Method::Delete, &link, Vec::new()) {
        // Not found: it has ended already.
        Ok(_) | Err(Fault::NotFound) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

fn find_phone<H: Host>(client: &Client<'_, H>, user: &User, settings: &Settings) -> Result<Phone, StartError> {
    let phone = Phone::choose(&person::factors(client, user)?, settings.device);
    phone.ok_or_else(|| StartError::NotEnrolled("The Okta user has no active Okta Verify push.".to_owned()))
}

/// Why the push could not be sent, in the contract's words.
fn not_sent(host: &impl Host, fault: Fault) -> StartError {
    let error = match fault {
        Fault::NotFound => StartError::NotEnrolled("The phone is not enrolled in Okta any more.".to_owned()),
        Fault::Uncertain(what) => {
            let text = format!("{what}; a push may be on the phone all the same, so that no other is sent");
            StartError::Failed(ConnectorError::Unavailable(text))
        }
        fault => fault.into(),
    };
    host.log(Level::Warn, &format!("a push was not sent: {error:?}"));
    error
}

fn unreadable(fault: Fault) -> String {
    let what = match fault {
        Fault::Protocol(text) => text,
        other => format!("{other:?}"),
    };
    format!("Okta took the push, but its answer cannot be used: {what}; the push is on the phone and no other is sent")
}

/// Okta's word for where a push stands. One word is a yes; a word that nobody knows is a no.
fn progress_of(result: &str) -> Progress {
    match result {
        "SUCCESS" => Progress::Approved,
        "WAITING" => Progress::Waiting,
        "REJECTED" => Progress::Denied,
        "TIMEOUT" | "EXPIRED" | "CANCELLED" => Progress::Expired,
        _ => Progress::Failed,
    }
}

/// When to stop waiting, on the gateway's clock. How long a push lives is told by two times of Okta's own clock, so that
/// neither clock has to be right.
fn deadline(now: u64, expires_at: Option<u64>, answer: &Answer) -> u64 {
    let lifetime = expires_at.zip(answer.date()).map_or(LIFETIME_MS, |(end, start)| end.saturating_sub(start));
    now.saturating_add(lifetime.min(LIFETIME_MS))
}

fn poll_after(answer: &Answer) -> u32 {
    if answer.is_budget_scarce() { POLL_AFTER_SCARCE_MS } else { POLL_AFTER_MS }
}
