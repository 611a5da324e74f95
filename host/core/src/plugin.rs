//! What the guard asks of loaded plugins.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::policy::{Evidence, Needs, Ruling};
use crate::{Access, Account, AccountFacts, Endpoint};

/// A plugin did not do what was asked of it. The text is for the log and the incident, never for a client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PluginFault {
    /// It trapped.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It took longer than a call may take.
    #[error("the plugin did not answer within {0} ms")]
    Deadline(u64),
    /// It wanted more memory, stack, tables or instances than it may have.
    #[error("the plugin went over a limit: {0}")]
    Limit(String),
    /// As many calls as allowed are under way already.
    #[error("the plugin is busy with as many calls as it may have at once")]
    Busy,
    /// It refused, on a fresh instance, settings that it had accepted.
    #[error("the plugin no longer accepts its settings: {0}")]
    Settings(String),
    /// Something in the gateway kept it from running.
    #[error("the plugin could not be run: {0}")]
    Host(String),
}

/// A policy: a loaded component with its settings.
pub trait Policy: Send + Sync {
    /// What it asked for when it was configured.
    fn needs(&self) -> &Needs;

    /// Its ruling on the access. Runs on the caller's thread and ends within the plugin's deadline.
    ///
    /// # Errors
    /// A [`PluginFault`]; the caller applies the policy's fail mode.
    fn evaluate(
        &self,
        access: &Access,
        facts: &Arc<AccountFacts>,
        evidence: &[Evidence],
    ) -> Result<Ruling, PluginFault>;

    /// A call took its whole time not long ago: the next one may as well, and should hold up nobody but its own access.
    fn is_slow(&self) -> bool {
        false
    }
}

/// Why a connector could not do it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectorError {
    /// The service does not accept the credentials.
    #[error("the service refuses the credentials: {0}")]
    Unauthorized(String),
    /// A right is missing.
    #[error("the credentials lack a right: {0}")]
    Forbidden(String),
    /// Wait for so many milliseconds.
    #[error("the service asks to wait {0} ms")]
    RateLimited(u32),
    /// Not reachable, no answer, or a failure on the service's side.
    #[error("the service is not available: {0}")]
    Unavailable(String),
    /// An answer that makes no sense.
    #[error("the service answered something unexpected: {0}")]
    Protocol(String),
    /// A wrong setting.
    #[error("a setting is wrong: {0}")]
    Misconfigured(String),
    /// The plugin itself failed.
    #[error(transparent)]
    Fault(#[from] PluginFault),
}

/// Why a challenge was not started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartError {
    /// No usable factor; the text says why.
    #[error("not enrolled: {0}")]
    NotEnrolled(String),
    /// The connector could not do it.
    #[error(transparent)]
    Failed(#[from] ConnectorError),
}

/// What the person is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Answer on a device; pick the number there, where there is one.
    Push(Option<u8>),
    /// Type a code; the text says where it comes from.
    Code(String),
}

/// How far a challenge got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No answer yet.
    Waiting,
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// Not this code; another may be tried.
    WrongCode,
    /// No more tries.
    Failed,
    /// Too late.
    Expired,
}

/// A way to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The connector's own name for it; opaque.
    pub id: String,
    /// What the person reads.
    pub label: String,
    /// The one in use; to choose it again asks again.
    pub current: bool,
    /// Milliseconds until it can be chosen.
    pub wait_ms: u32,
}

/// Where a challenge stands; each step replaces the one before.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// How far it got.
    pub progress: Progress,
    /// The connector's own reference; opaque.
    pub handle: String,
    /// What the person is to do.
    pub prompt: Prompt,
    /// Milliseconds to leave the service alone.
    pub poll_after_ms: u32,
    /// Seconds until the service gives up.
    pub expires_in_seconds: u32,
    /// Ways that the person can pick from.
    pub choices: Vec<Choice>,
    /// What the last call did, for the person.
    pub note: Option<String>,
}

impl std::fmt::Debug for Step {
    /// Leaves out the handle and the number: whoever has them can answer or read the challenge.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// On whose behalf, from where and for what a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeContext {
    /// Who is asked.
    pub account: Account,
    /// The machine that the access comes from.
    pub endpoint: Option<Endpoint>,
    /// The application that the access is for.
    pub application: String,
}

/// What a connector found out about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Which organisation, whose credentials.
    pub detail: String,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// A second factor: a loaded connector with its settings.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Tries the settings on the live service.
    async fn check(&self) -> Result<Health, ConnectorError>;
    /// Asks the person. Never repeated: the phone may have rung although the answer was lost.
    async fn start(&self, context: &ChallengeContext) -> Result<Step, StartError>;
    /// Looks whether the person has answered. Not asked while the prompt is a code.
    async fn poll(&self, handle: &str) -> Result<Step, ConnectorError>;
    /// Tries a code. Never repeated: it may have been used up although the answer was lost.
    async fn verify(&self, handle: &str, code: &str) -> Result<Step, ConnectorError>;
    /// Asks in another of the [`Step::choices`], or once more in the same.
    async fn choose(&self, handle: &str, choice: &str) -> Result<Step, ConnectorError>;
    /// Takes the question back.
    async fn cancel(&self, handle: &str) -> Result<(), ConnectorError>;
}
