//! Telling people: channels, what is sent through them, and the outbox in which it waits.
//!
//! What is to be told is stored with the event that it follows from and sent afterwards, so that no decision waits for a mail
//! server and a restart loses nothing. It arrives at least once: when the process ends between the receiver's yes and the
//! note of it, the same message comes again, under the same id.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;

use crate::event::{AccessEvent, Record};
use crate::policy::{Effect, Mode, Severity, Verdict};
use crate::store::StoreError;
use crate::{AccountId, ChannelName, EventId, IncidentId, PolicyName, Timestamp};

/// The longest that something waits until it is tried again. What is to wait longer was postponed by a clock that has been set
/// back since.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// An enforced policy says so.
    Policy,
    /// An incident was opened.
    IncidentOpened,
    /// An incident became more severe.
    IncidentRaised,
    /// An incident was opened again.
    IncidentReopened,
    /// An incident was resolved.
    IncidentResolved,
    /// There was more to tell than the channel takes.
    SumUp,
    /// Somebody wants to see whether it works.
    Test,
}

impl NoticeKind {
    /// All kinds with the names under which they are stored.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Policy, "policy"),
        (Self::IncidentOpened, "incident-opened"),
        (Self::IncidentRaised, "incident-raised"),
        (Self::IncidentReopened, "incident-reopened"),
        (Self::IncidentResolved, "incident-resolved"),
        (Self::SumUp, "sum-up"),
        (Self::Test, "test"),
    ];
}

/// Something to tell, as it was stored. Texts are as they came: some of them are what clients call themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Why.
    pub kind: NoticeKind,
    /// When it happened.
    pub at: Timestamp,
    /// The event that it follows from.
    pub event: EventId,
    /// The incident, where it is about one.
    pub incident: Option<IncidentId>,
    /// How severe that is.
    pub severity: Option<Severity>,
    /// Whose.
    pub account: AccountId,
    /// The account's login, for reading.
    pub login: String,
    /// The policy, or what has raised the incident, as text.
    pub source: String,
    /// What the policy says, or the incident's title.
    pub text: String,
}

/// Of how many things a sum-up tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SummedUp {
    /// All of them, those included that were too many to be kept.
    pub count: u64,
    /// How many of each kind, without those that were not kept.
    pub kinds: Vec<(NoticeKind, u64)>,
    /// The first of them.
    pub first: Vec<Told>,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same for each attempt to send it, and for no other message.
    pub id: String,
    /// What it says; of a sum-up the latest event and the highest severity.
    pub told: Told,
    /// What a sum-up tells of.
    pub summed_up: Option<SummedUp>,
    /// Page of the incident, where there is one and the console's address is known.
    pub link: Option<String>,
    /// With this message the channel has got as many as it may: what comes before then is summed up.
    pub silent_until: Option<Timestamp>,
}

/// Why a message did not go out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// Trying again may help.
    #[error("{why}")]
    Later {
        /// What happened.
        why: String,
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
    },
    /// The receiver will not take this message, however often it is tried.
    #[error("{0}")]
    Refused(String),
    /// The receiver wants no messages any more.
    #[error("{0}")]
    Gone(String),
}

impl ChannelError {
    /// Something that may pass.
    pub fn later(why: impl Into<String>) -> Self {
        Self::Later { why: why.into(), after: None }
    }
}

/// A way to reach people.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Ends when the receiver has taken the message over. Does not take longer than a minute.
    async fn send(&self, notice: &Notice) -> Result<(), ChannelError>;
    /// Looks whether the receiver can be reached, without sending a message. What was found, or what is wrong.
    async fn check(&self) -> Result<String, String>;
}

/// What a channel is told unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The channel.
    pub name: ChannelName,
    /// The lowest severity of incidents that it is told of; none for no incidents.
    pub incidents: Option<Severity>,
    /// Whether it is told of their end as well.
    pub resolved: bool,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub number: u64,
    /// How often it was tried.
    pub tries: u32,
    /// When it was tried first.
    pub first_try: Option<Timestamp>,
    /// What there is to tell.
    pub told: Told,
}

/// What became of rows of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// One message with all of them went out.
    Delivered {
        /// How many more, which were not kept, it told of.
        left_out: u64,
    },
    /// They are tried again.
    Later {
        /// Not before this moment.
        not_before: Timestamp,
        /// Why.
        why: String,
    },
    /// They are not tried any more.
    GivenUp {
        /// Why.
        why: String,
        /// The event that says so.
        record: Box<Record>,
    },
}

/// How a channel has fared, over all starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChannelLog {
    /// Rows of the outbox that wait for it.
    pub waiting: u64,
    /// Messages that went out.
    pub delivered: u64,
    /// Things to tell that were given up.
    pub given_up: u64,
    /// Things to tell that were too many to be kept, and of which no sum-up has told yet.
    pub left_out: u64,
    /// When a message last went out.
    pub last_success: Option<Timestamp>,
    /// When one last did not, and why.
    pub last_error: Option<(Timestamp, String)>,
    /// When the hour began in which messages are counted, and how many have gone out in it.
    pub hour: Option<(Timestamp, u32)>,
}

/// Keeps what is to be told until it is.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// From now on, these are the channels. What is kept of others is forgotten, but for what waits for them.
    async fn set_channels(&self, channels: Vec<Subscription>) -> Result<(), StoreError>;
    /// Channels, known or not, for which something waits that may be tried at `now`.
    async fn channels_due(&self, now: Timestamp) -> Result<Vec<ChannelName>, StoreError>;
    /// What may be tried at `now`, the oldest first.
    async fn due(&self, channel: &ChannelName, now: Timestamp, limit: u32) -> Result<Vec<Waiting>, StoreError>;
    /// Notes what became of rows; without rows, of a message that was none of the outbox.
    async fn settle(
        &self,
        channel: &ChannelName,
        rows: Vec<u64>,
        what: Settled,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// How each channel has fared.
    async fn channel_logs(&self) -> Result<Vec<(ChannelName, ChannelLog)>, StoreError>;
}

/// A channel as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelStatus {
    /// Its name in the configuration.
    pub name: ChannelName,
    /// `webhook`, `smtp` or `syslog`.
    pub kind: String,
    /// Where it leads, without anything that is secret.
    pub target: String,
    /// The lowest severity of incidents that it is told of.
    pub incidents: Option<Severity>,
    /// Whether it is told of their end as well.
    pub resolved: bool,
    /// Messages that it takes in an hour.
    pub per_hour: u32,
    /// The receiver wants no messages any more; a start, SIGHUP or a test that arrives begins anew.
    pub stopped: bool,
    /// How it has fared.
    pub log: ChannelLog,
}

/// What the console does with channels.
#[async_trait]
pub trait ChannelDesk: Send + Sync {
    /// All of them, by name.
    async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError>;
    /// Sends a message that says that it is a test; none where there is no such channel.
    async fn test(&self, channel: &ChannelName, person: &str) -> Option<Result<(), ChannelError>>;
}

/// What enforced policies want to be told about an access, with the channels. All is in the event: a ruling that asks for a
/// second factor has no effects, and what a fail mode puts in place of a ruling has none either.
#[must_use]
pub fn wanted(event: &AccessEvent) -> Vec<(ChannelName, PolicyName, &str)> {
    let counts = event.rulings.iter().filter(|ruling| {
        ruling.mode == Mode::Enforce && ruling.fault.is_none() && !matches!(ruling.verdict, Verdict::Challenge(_))
    });
    let effects = counts.flat_map(|ruling| ruling.effects.iter().map(|effect| (&ruling.policy, effect)));
    effects
        .filter_map(|(policy, effect)| match effect {
            Effect::Notify { channel, text } => Some((ChannelName::new(channel), policy.clone(), text.as_str())),
            _ => None,
        })
        .collect()
}
