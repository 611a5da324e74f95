//! What authenticators are told, and what they say.

use portcullis_core::plugin::{
    ChallengeContext, Choice, ConnectorError, Health, PluginFault, Progress, Prompt, StartError, Step,
};

use crate::bindings::connector::exports::portcullis::gateway::{authenticator as wit, connector};
use crate::log::printable;

pub(crate) fn context(context: &ChallengeContext) -> wit::Context {
    wit::Context {
        account: super::account(&context.account),
        endpoint: context.endpoint.as_ref().map(super::endpoint),
        application: context.application.clone(),
    }
}

/// Longest sentence that a connector may say, in bytes.
const MAX_SENTENCE: usize = 1 << 10;
/// Longest handle, in bytes; it is kept with each open challenge.
const MAX_HANDLE: usize = 16 << 10;
/// More ways to be asked than these are not shown.
const MAX_CHOICES: usize = 16;
/// Longest name of one, in bytes.
const MAX_CHOICE: usize = 64;
/// Longest text by which the person tells one from another, in bytes.
const MAX_LABEL: usize = 120;
const MAX_WARNINGS: usize = 32;

fn sentence(text: &str) -> String {
    printable(text, MAX_SENTENCE)
}

pub(crate) fn step(step: wit::Step) -> Result<Step, PluginFault> {
    if step.handle.len() > MAX_HANDLE {
        return Err(PluginFault::Limit(format!(
            "a handle of {} bytes, where {MAX_HANDLE} are allowed",
            step.handle.len()
        )));
    }
    if step.choices.iter().any(|choice| choice.id.len() > MAX_CHOICE) {
        return Err(PluginFault::Limit(format!("a choice whose name has more than {MAX_CHOICE} bytes")));
    }
    let choice = |choice: wit::Choice| Choice {
        label: printable(&choice.label, MAX_LABEL),
        id: choice.id,
        current: choice.current,
        wait_ms: choice.wait_ms,
    };
    Ok(Step {
        progress: match step.progress {
            wit::Progress::Waiting => Progress::Waiting,
            wit::Progress::Approved => Progress::Approved,
            wit::Progress::Denied => Progress::Denied,
            wit::Progress::WrongCode => Progress::WrongCode,
            wit::Progress::Failed => Progress::Failed,
            wit::Progress::Expired => Progress::Expired,
        },
        handle: step.handle,
        prompt: match step.prompt {
            wit::Prompt::Push(number) => Prompt::Push(number),
            wit::Prompt::Code(hint) => Prompt::Code(sentence(&hint)),
        },
        poll_after_ms: step.poll_after_ms,
        expires_in_seconds: step.expires_in_seconds,
        choices: step.choices.into_iter().take(MAX_CHOICES).map(choice).collect(),
        note: step.note.map(|note| sentence(&note)),
    })
}

pub(crate) fn health(health: &connector::Health) -> Health {
    Health {
        detail: sentence(&health.detail),
        warnings: health.warnings.iter().take(MAX_WARNINGS).map(|warning| sentence(warning)).collect(),
    }
}

pub(crate) fn start_error(error: wit::StartError) -> StartError {
    match error {
        wit::StartError::NotEnrolled(why) => StartError::NotEnrolled(sentence(&why)),
        wit::StartError::Failed(error) => StartError::Failed(connector_error(error)),
    }
}

pub(crate) fn connector_error(error: connector::ConnectorError) -> ConnectorError {
    match error {
        connector::ConnectorError::Unauthorized(why) => ConnectorError::Unauthorized(sentence(&why)),
        connector::ConnectorError::Forbidden(why) => ConnectorError::Forbidden(sentence(&why)),
        connector::ConnectorError::RateLimited(milliseconds) => ConnectorError::RateLimited(milliseconds),
        connector::ConnectorError::Unavailable(why) => ConnectorError::Unavailable(sentence(&why)),
        connector::ConnectorError::Protocol(why) => ConnectorError::Protocol(sentence(&why)),
        connector::ConnectorError::Misconfigured(why) => ConnectorError::Misconfigured(sentence(&why)),
    }
}
