//! Channels that are made up: one that works, one that does not, one that was never used.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::channel::{ChannelDesk, ChannelError, ChannelLog, ChannelStatus};
use portcullis_core::policy::Severity;
use portcullis_core::store::StoreError;
use portcullis_core::{ChannelName, Timestamp};

/// Remembers who has tried what.
#[derive(Default)]
pub struct FakeChannels {
    pub tested: Mutex<Vec<String>>,
    /// As long it takes until a receiver has answered.
    pub takes: Mutex<Duration>,
}

fn channel(name: &str, kind: &str, target: &str, log: ChannelLog) -> ChannelStatus {
    ChannelStatus {
        name: ChannelName::new(name),
        kind: kind.to_owned(),
        target: target.to_owned(),
        incidents: Some(Severity::High),
        resolved: false,
        per_hour: 30,
        stopped: false,
        log,
    }
}

#[async_trait]
impl ChannelDesk for FakeChannels {
    async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        let at = |seconds: u64| Timestamp(super::BEGIN + seconds * 1_000);
        let works = ChannelLog { delivered: 1_204, last_success: Some(at(9)), ..ChannelLog::default() };
        let fails = ChannelLog {
            waiting: 12,
            delivered: 7,
            given_up: 2,
            last_success: Some(at(1)),
            last_error: Some((at(60), "mail.example.com:587: <b>connection refused".to_owned())),
            ..ChannelLog::default()
        };
        let unused = ChannelStatus {
            incidents: None,
            ..channel("spare", "syslog", "log.example.com:514 by UDP", ChannelLog::default())
        };
        Ok(vec![
            channel("it", "smtp", "it@example.com by mail.example.com:587", fails.clone()),
            ChannelStatus { stopped: true, ..channel("old", "webhook", "https://old.example.com", fails) },
            ChannelStatus { resolved: true, ..channel("soc", "webhook", "https://hooks.example.com", works) },
            unused,
        ])
    }

    async fn test(&self, channel: &ChannelName, person: &str) -> Option<Result<(), ChannelError>> {
        let all = self.channels().await.ok()?;
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let known = all.iter().find(|one| one.name == *channel)?;
        self.tested.lock().unwrap().push(format!("{person}: {channel}"));
        Some(if known.stopped { Err(ChannelError::Gone("HTTP 410".to_owned())) } else { Ok(()) })
    }
}
