//! A connector that asks for codes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::plugin::{
    Authenticator, ChallengeContext, Choice, ConnectorError, Health, Progress, Prompt, StartError, Step,
};

/// Sends codes by `sms` and `mail`; the right one is 294871.
#[derive(Default)]
pub struct Codes {
    /// The latest step's number, which the next call has to bring.
    turn: AtomicU32,
    /// What was asked of it, in order.
    pub calls: Mutex<Vec<String>>,
    /// Answers the next call instead.
    pub trouble: Mutex<Option<ConnectorError>>,
    /// How long a verdict takes.
    pub takes: Mutex<Duration>,
    pub current: Mutex<String>,
}

impl Codes {
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn step(&self, progress: Progress, note: Option<&str>, wait_ms: u32) -> Step {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst) + 1;
        let current = self.current.lock().unwrap().clone();
        let choice = |id: &str| Choice {
            id: id.to_owned(),
            label: format!("By {id}"),
            current: id == current,
            wait_ms: if id == current { wait_ms } else { 0 },
        };
        Step {
            progress,
            handle: turn.to_string(),
            prompt: Prompt::Code(format!("Type the code from {current}.")),
            poll_after_ms: 1000,
            expires_in_seconds: 300,
            choices: vec![choice("sms"), choice("mail")],
            note: note.map(str::to_owned),
        }
    }

    async fn call(&self, handle: &str, what: String) -> Result<(), ConnectorError> {
        assert_eq!(handle, self.turn.load(Ordering::SeqCst).to_string(), "the latest handle has to be used");
        self.calls.lock().unwrap().push(what);
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.trouble.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Authenticator for Codes {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Ok(Health { detail: String::new(), warnings: Vec::new() })
    }

    async fn start(&self, _: &ChallengeContext) -> Result<Step, StartError> {
        self.calls.lock().unwrap().push("start".to_owned());
        "sms".clone_into(&mut self.current.lock().unwrap());
        Ok(self.step(Progress::Waiting, None, 30_000))
    }

    /// Nothing is polled for while a code is awaited; the calls would show it.
    async fn poll(&self, handle: &str) -> Result<Step, ConnectorError> {
        self.call(handle, "poll".to_owned()).await?;
        Ok(self.step(Progress::Failed, None, 0))
    }

    async fn verify(&self, handle: &str, code: &str) -> Result<Step, ConnectorError> {
        self.call(handle, format!("verify {code}")).await?;
        Ok(match code {
            "294871" => self.step(Progress::Approved, None, 0),
            "111111" => self.step(Progress::Denied, None, 0),
            "letters" => self.step(Progress::Waiting, Some("A code has digits."), 0),
            _ => self.step(Progress::WrongCode, Some("Not this one."), 0),
        })
    }

    async fn choose(&self, handle: &str, choice: &str) -> Result<Step, ConnectorError> {
        self.call(handle, format!("choose {choice}")).await?;
        choice.clone_into(&mut self.current.lock().unwrap());
        Ok(self.step(Progress::Waiting, Some("Sent."), 30_000))
    }

    async fn cancel(&self, handle: &str) -> Result<(), ConnectorError> {
        self.calls.lock().unwrap().push(format!("cancel {handle}"));
        Ok(())
    }
}
