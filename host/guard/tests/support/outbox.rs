//! An outbox in memory, with the rules of the real one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::channel::*;
use portcullis_core::event::Event;
use portcullis_core::policy::Severity;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, ChannelName, EventId, IncidentId, Timestamp};
use uuid::Uuid;

struct Row {
    channel: ChannelName,
    not_before: Timestamp,
    waiting: Waiting,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    logs: BTreeMap<ChannelName, ChannelLog>,
    notes: Vec<String>,
    last: u64,
}

#[derive(Default)]
pub struct FakeOutbox(Mutex<State>);

impl FakeOutbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn put(&self, channel: &str, text: &str, severity: Option<Severity>) {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        let told = Told {
            kind: NoticeKind::IncidentOpened,
            at: Timestamp(number),
            event: EventId(Uuid::from_u128(u128::from(number))),
            incident: Some(IncidentId(Uuid::from_u128(9))),
            severity,
            account: AccountId::new("alice-id"),
            login: "alice".to_owned(),
            source: "guard".to_owned(),
            text: text.to_owned(),
        };
        let waiting = Waiting { number, tries: 0, first_try: None, told };
        state.rows.push(Row { channel: ChannelName::new(channel), not_before: Timestamp(0), waiting });
    }

    pub fn leave_out(&self, channel: &str, count: u64) {
        self.state().logs.entry(ChannelName::new(channel)).or_default().left_out += count;
    }

    /// So many messages have gone out in the hour that began then.
    pub fn have_sent(&self, channel: &str, began: Timestamp, sent: u32) {
        self.state().logs.entry(ChannelName::new(channel)).or_default().hour = Some((began, sent));
    }

    pub fn waiting(&self, channel: &str) -> usize {
        self.state().rows.iter().filter(|row| row.channel.as_str() == channel).count()
    }

    /// What the events say by which rows were given up.
    pub fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }
}

#[async_trait]
impl OutboxStore for FakeOutbox {
    async fn set_channels(&self, channels: Vec<Subscription>) -> Result<(), StoreError> {
        for channel in channels {
            self.state().logs.entry(channel.name).or_default();
        }
        Ok(())
    }

    async fn channels_due(&self, now: Timestamp) -> Result<Vec<ChannelName>, StoreError> {
        let state = self.state();
        let mut names: Vec<_> =
            state.rows.iter().filter(|row| row.not_before <= now).map(|row| row.channel.clone()).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn due(&self, channel: &ChannelName, now: Timestamp, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let state = self.state();
        let due = state.rows.iter().filter(|row| row.channel == *channel && row.not_before <= now);
        Ok(due.take(limit as usize).map(|row| row.waiting.clone()).collect())
    }

    async fn settle(
        &self,
        channel: &ChannelName,
        numbers: Vec<u64>,
        what: Settled,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let mut log = state.logs.get(channel).cloned().unwrap_or_default();
        if let Settled::Later { not_before, .. } = &what {
            for row in state.rows.iter_mut().filter(|row| numbers.contains(&row.waiting.number)) {
                row.not_before = *not_before;
                row.waiting.tries += 1;
                row.waiting.first_try.get_or_insert(at);
            }
        } else {
            state.rows.retain(|row| !numbers.contains(&row.waiting.number));
        }
        match what {
            Settled::Delivered { left_out } => {
                log.delivered += 1;
                log.left_out -= left_out;
                log.last_success = Some(at);
                let is_now = |began| began <= at && at.since(began) < Duration::from_secs(3_600);
                let hour = log.hour.filter(|(began, _)| is_now(*began));
                log.hour = Some(hour.map_or((at, 1), |(began, sent)| (began, sent + 1)));
            }
            Settled::Later { why, .. } => log.last_error = Some((at, why)),
            Settled::GivenUp { why, record } => {
                log.given_up += numbers.len() as u64;
                log.last_error = Some((at, why));
                match record.event {
                    Event::Administration(event) if event.action == "notification-given-up" => {
                        state.notes.push(event.detail);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        if state.logs.contains_key(channel) {
            state.logs.insert(channel.clone(), log);
        }
        Ok(())
    }

    async fn channel_logs(&self) -> Result<Vec<(ChannelName, ChannelLog)>, StoreError> {
        let state = self.state();
        let waiting = |name: &ChannelName| state.rows.iter().filter(|row| row.channel == *name).count() as u64;
        Ok(state
            .logs
            .iter()
            .map(|(name, log)| (name.clone(), ChannelLog { waiting: waiting(name), ..log.clone() }))
            .collect())
    }
}
