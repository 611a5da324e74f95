//! What has to be remembered of a challenge between two calls. It holds no credentials and no code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::exports::portcullis::gateway::authenticator::{Choice, Progress, Prompt, Step};
use crate::contract::exports::portcullis::gateway::connector::ConnectorError;
use crate::factor::Factor;
use crate::settings::Settings;

/// How long a code that Okta sends is good (Okta API: User Factors, `tokenLifetimeSeconds`, which is left as it is), and how
/// long the person is waited for where nothing is sent.
const LIFETIME_MS: u64 = 300_000;

/// The state of a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handle {
    pub(crate) factors: Vec<Factor>,
    /// Id of the factor in use.
    pub(crate) current: String,
    /// When codes were last sent, by factor, on the gateway's clock.
    sent: BTreeMap<String, u64>,
    /// The gateway's clock, milliseconds since 1970.
    pub(crate) deadline: u64,
    /// The client's address, where Okta is told it.
    pub(crate) address: Option<String>,
}

impl Handle {
    pub(crate) fn new(factors: Vec<Factor>, address: Option<String>, now: u64) -> Self {
        let sent = BTreeMap::new();
        Self { factors, current: String::new(), sent, deadline: now.saturating_add(LIFETIME_MS), address }
    }

    pub(crate) fn read(text: &str) -> Result<Self, ConnectorError> {
        serde_json::from_str(text)
            .map_err(|_| ConnectorError::Protocol("this is no handle of this connector".to_owned()))
    }

    pub(crate) fn factor(&self, id: &str) -> Option<&Factor> {
        self.factors.iter().find(|factor| factor.id == id)
    }

    /// The factor is in use from now on.
    pub(crate) fn uses(&mut self, id: &str, now: u64) {
        id.clone_into(&mut self.current);
        self.deadline = now.saturating_add(LIFETIME_MS);
    }

    /// A code was sent, or may have been.
    pub(crate) fn has_sent(&mut self, id: &str, now: u64) {
        self.sent.insert(id.to_owned(), now);
    }

    /// The factor cannot be used any more.
    pub(crate) fn forget(&mut self, id: &str) {
        self.factors.retain(|factor| factor.id != id);
    }

    /// Milliseconds until Okta would send another code by the factor.
    pub(crate) fn wait_ms(&self, factor: &Factor, now: u64) -> u64 {
        let window = factor.kind.resend_window_ms().unwrap_or(0);
        let sent = self.sent.get(&factor.id);
        sent.map_or(0, |sent| sent.saturating_add(window).saturating_sub(now).min(window))
    }

    pub(crate) fn step(
        &self,
        progress: Progress,
        settings: &Settings,
        now: u64,
        note: Option<String>,
    ) -> Result<Step, ConnectorError> {
        let handle = serde_json::to_string(self)
            .map_err(|error| ConnectorError::Protocol(format!("the handle cannot be written: {error}")))?;
        let hint = self.factor(&self.current).map(|factor| factor.hint(settings.digits));
        let choice = |factor: &Factor| Choice {
            id: factor.id.clone(),
            label: factor.label(),
            current: factor.id == self.current,
            wait_ms: u32::try_from(self.wait_ms(factor, now)).unwrap_or(u32::MAX),
        };
        // To pick once more what an application shows all the time changes nothing.
        let can_be_picked = |factor: &&Factor| factor.id != self.current || factor.kind.is_sent();
        let left = self.deadline.saturating_sub(now).div_ceil(1000);
        Ok(Step {
            progress,
            handle,
            prompt: Prompt::Code(hint.unwrap_or_else(|| "Choose where the code is to come from.".to_owned())),
            poll_after_ms: 60_000,
            expires_in_seconds: u32::try_from(left).unwrap_or(u32::MAX),
            choices: self.factors.iter().filter(can_be_picked).map(choice).collect(),
            note,
        })
    }
}
