//! Channels as people see them, and try them.

use std::collections::HashMap;

use async_trait::async_trait;
use portcullis_core::ChannelName;
use portcullis_core::channel::{ChannelDesk, ChannelError, ChannelStatus, Settled};
use portcullis_core::store::StoreError;
use tracing::{info, warn};

use super::{ChannelEntry, Dispatcher, PATIENCE, Standing, test_notice};

#[async_trait]
impl ChannelDesk for Dispatcher {
    async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        let mut logs: HashMap<_, _> = self.outbox.channel_logs().await?.into_iter().collect();
        let entries = self.entries();
        let standing = self.standing();
        let status = |(name, entry): (&ChannelName, &ChannelEntry)| ChannelStatus {
            name: name.clone(),
            kind: entry.kind.clone(),
            target: entry.target.clone(),
            incidents: entry.subscription.incidents,
            resolved: entry.subscription.resolved,
            per_hour: entry.per_hour,
            stopped: standing.get(name).is_some_and(|one| one.is_stopped),
            log: logs.remove(name).unwrap_or_default(),
        };
        Ok(entries.iter().map(status).collect())
    }

    async fn test(&self, channel: &ChannelName, person: &str) -> Option<Result<(), ChannelError>> {
        let entry = self.entries().get(channel)?.clone();
        let now = self.clock.now();
        let notice = test_notice(person, now, self.ids.event_id(now));
        let sent = tokio::time::timeout(PATIENCE, entry.channel.send(&notice)).await;
        let sent = sent.unwrap_or_else(|_| Err(ChannelError::later("it took too long")));
        let what = match &sent {
            Ok(()) => {
                info!(%channel, "a test message went out");
                let mut standing = self.standing();
                let one = standing.entry(channel.clone()).or_default();
                *one = Standing { is_busy: one.is_busy, ..Standing::default() };
                Settled::Delivered { left_out: 0 }
            }
            Err(error) => Settled::Later { not_before: now, why: error.to_string() },
        };
        if let Err(error) = self.outbox.settle(channel, Vec::new(), what, self.clock.now()).await {
            warn!(%channel, %error, "what became of a test message cannot be stored");
        }
        self.wake.notify_one();
        Some(sent)
    }
}
