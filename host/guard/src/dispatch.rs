//! Sending what waits in the outbox.
//!
//! One task looks at the store; each channel is served by one task of its own at a time, so that a receiver that is slow or away
//! holds up no other. What cannot be sent stays and is tried again, in pauses that grow, for a day.

mod desk;
mod notice;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use portcullis_core::channel::{
    Channel, ChannelError, LONGEST_PAUSE, Notice, OutboxStore, Settled, Subscription, Waiting,
};
use portcullis_core::event::{AdministrationEvent, Event, Record};
use portcullis_core::store::StoreError;
use portcullis_core::{ChannelName, Clock, Ids, Timestamp};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::pause::pause;

pub use notice::test_notice;

/// The store is looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// Rows that are read at once. The outbox keeps no more for a channel.
const MOST: u32 = 1_000;
/// The first pause before something is tried again.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// What could not be sent for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// The time over which messages of a channel are counted.
const HOUR: Duration = Duration::from_secs(3600);
/// A message may take so long. Channels have limits of their own below that.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is under way when the gateway ends has so long.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// A channel of the configuration.
#[derive(Clone)]
pub struct ChannelEntry {
    /// What it is told unasked.
    pub subscription: Subscription,
    /// `webhook`, `smtp` or `syslog`.
    pub kind: String,
    /// Where it leads, without anything that is secret.
    pub target: String,
    /// Messages that it takes in an hour; at least 1.
    pub per_hour: u32,
    /// What sends.
    pub channel: Arc<dyn Channel>,
}

/// What has become of messages since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelCounts {
    /// Messages that went out.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Things to tell that were given up.
    pub given_up: u64,
    /// Things to tell that wait, as of a second ago.
    pub waiting: u64,
}

/// What is known of a channel beyond its row.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    is_busy: bool,
    is_stopped: bool,
    /// Attempts in a row that failed.
    failures: u32,
    not_before: Option<Instant>,
}

/// Sends what waits.
pub struct Dispatcher {
    outbox: Arc<dyn OutboxStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// The console's address, for links.
    console: Option<String>,
    channels: RwLock<Arc<BTreeMap<ChannelName, ChannelEntry>>>,
    standing: Mutex<HashMap<ChannelName, Standing>>,
    counts: Mutex<BTreeMap<ChannelName, ChannelCounts>>,
    wake: Notify,
}

/// How a pass over what is due of a channel ended.
enum Pass {
    /// All that may go out has.
    Done,
    /// It has got all that it takes for so long.
    Full(Duration),
    /// The receiver does not take anything at the moment.
    Later(Duration),
    /// The receiver wants nothing any more.
    Gone,
}

impl Dispatcher {
    /// One without channels yet.
    #[must_use]
    pub fn new(
        outbox: Arc<dyn OutboxStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        console: Option<String>,
    ) -> Self {
        let console = console.map(|url| url.trim_end_matches('/').to_owned());
        Self {
            outbox,
            clock,
            ids,
            console,
            channels: RwLock::default(),
            standing: Mutex::default(),
            counts: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// From now on these are the channels, all of them or, with an error, none.
    ///
    /// # Errors
    /// The store does not take them.
    pub async fn set_channels(&self, entries: Vec<ChannelEntry>) -> Result<(), StoreError> {
        self.outbox.set_channels(entries.iter().map(|entry| entry.subscription.clone()).collect()).await?;
        let channels: BTreeMap<_, _> =
            entries.into_iter().map(|entry| (entry.subscription.name.clone(), entry)).collect();
        {
            let mut standing = self.standing();
            standing.retain(|name, one| one.is_busy || channels.contains_key(name));
            // Whoever was gone or away may be somewhere else now.
            for one in standing.values_mut() {
                *one = Standing { is_busy: one.is_busy, ..Standing::default() };
            }
        }
        *self.channels.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(channels);
        self.wake.notify_one();
        Ok(())
    }

    /// What has become of the messages of each channel.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<ChannelName, ChannelCounts> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.entries().keys().map(|name| (name.clone(), counts.get(name).copied().unwrap_or_default())).collect()
    }

    fn count(&self, name: &ChannelName, change: impl FnOnce(&mut ChannelCounts)) {
        change(self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default());
    }

    /// Sends until the end.
    pub async fn run(self: Arc<Self>, end: CancellationToken) {
        let (mut tasks, mut whose) = (JoinSet::new(), HashMap::new());
        loop {
            if let Err(error) = self.begin(&mut tasks, &mut whose, &end).await {
                warn!(%error, "what is to be told cannot be read");
            }
            tokio::select! {
                () = end.cancelled() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(ended) = tasks.join_next_with_id() => match ended {
                    Ok((id, ())) => drop(whose.remove(&id)),
                    Err(error) => {
                        warn!(%error, "a channel's task has failed");
                        if let Some(name) = whose.remove(&error.id()) {
                            self.note(&name, Ok(Pass::Later(LONGEST_PAUSE)));
                        }
                    }
                },
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn begin(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        whose: &mut HashMap<Id, ChannelName>,
        end: &CancellationToken,
    ) -> Result<(), StoreError> {
        for (name, log) in self.outbox.channel_logs().await? {
            self.count(&name, |counts| counts.waiting = log.waiting);
        }
        for name in self.outbox.channels_due(self.clock.now()).await? {
            let Some(entry) = self.entries().get(&name).cloned() else {
                self.give_up_all(&name).await?;
                continue;
            };
            {
                let mut standing = self.standing();
                let one = standing.entry(name.clone()).or_default();
                if one.is_busy || one.is_stopped || one.not_before.is_some_and(|at| at > Instant::now()) {
                    continue;
                }
                one.is_busy = true;
            }
            let (dispatcher, end, of) = (Arc::clone(self), end.clone(), name.clone());
            let task = tasks.spawn(async move {
                let pass = dispatcher.pass(&of, &entry, &end).await;
                dispatcher.note(&of, pass);
            });
            whose.insert(task.id(), name);
        }
        Ok(())
    }

    fn note(&self, name: &ChannelName, pass: Result<Pass, StoreError>) {
        let mut standing = self.standing();
        let Some(one) = standing.get_mut(name) else { return };
        one.is_busy = false;
        match pass {
            Ok(Pass::Done) => (one.failures, one.not_before) = (0, None),
            Ok(Pass::Full(time)) => (one.failures, one.not_before) = (0, Some(Instant::now() + time)),
            Ok(Pass::Later(after)) => {
                one.not_before = Some(Instant::now() + pause(PAUSE_MIN, LONGEST_PAUSE, one.failures).max(after));
                one.failures = one.failures.saturating_add(1);
            }
            Ok(Pass::Gone) => one.is_stopped = true,
            Err(error) => {
                warn!(channel = %name, %error, "what became of a message cannot be stored");
                // It may have gone out: it is not sent again and again while the store does not work.
                one.not_before = Some(Instant::now() + LONGEST_PAUSE);
            }
        }
    }

    /// Sends what is due of one channel and fits into its hour.
    async fn pass(
        &self,
        name: &ChannelName,
        entry: &ChannelEntry,
        end: &CancellationToken,
    ) -> Result<Pass, StoreError> {
        let now = self.clock.now();
        let mut due = self.outbox.due(name, now, MOST).await?;
        let logs = self.outbox.channel_logs().await?;
        let log = logs.into_iter().find(|(known, _)| known == name).map(|(_, log)| log).unwrap_or_default();
        // An hour that begins in the future is one of a clock that has been set back since.
        let is_now = |began: Timestamp| began <= now && now.since(began) < HOUR;
        let (began, sent) = log.hour.filter(|(began, _)| is_now(*began)).unwrap_or((now, 0));
        let room = entry.per_hour.saturating_sub(sent) as usize;
        let until = began.plus(HOUR);
        if room == 0 {
            return Ok(Pass::Full(until.since(now)));
        }
        // What would not fit goes out as one message, which takes the last place; so does the number of what was not kept.
        let rest = if due.len() > room || log.left_out > 0 {
            due.split_off(due.len().saturating_sub(1).min(room.saturating_sub(1)))
        } else {
            Vec::new()
        };
        let singles = due.len();
        for (place, waiting) in due.iter().enumerate() {
            if end.is_cancelled() {
                return Ok(Pass::Done);
            }
            let is_last = rest.is_empty() && place + 1 == singles && singles == room;
            let notice = notice::single(waiting, self.console.as_deref(), is_last.then_some(until));
            if let Some(pass) = self.send(name, entry, &notice, std::slice::from_ref(waiting), 0, end).await? {
                return Ok(pass);
            }
        }
        if rest.is_empty() {
            return Ok(Pass::Done);
        }
        let Some(notice) = notice::sum_up(&rest, log.left_out, (singles + 1 >= room).then_some(until)) else {
            return Ok(Pass::Done);
        };
        Ok(self.send(name, entry, &notice, &rest, log.left_out, end).await?.unwrap_or(Pass::Done))
    }

    /// None goes on with the next one.
    async fn send(
        &self,
        name: &ChannelName,
        entry: &ChannelEntry,
        notice: &Notice,
        rows: &[Waiting],
        left_out: u64,
        end: &CancellationToken,
    ) -> Result<Option<Pass>, StoreError> {
        let sending = tokio::time::timeout(PATIENCE, entry.channel.send(notice));
        let sent = tokio::select! {
            sent = sending => sent.unwrap_or_else(|_| Err(ChannelError::later("it took too long"))),
            // The message may have arrived: with the same id it comes again after the next start.
            () = async { end.cancelled().await; tokio::time::sleep(LAST_MOMENTS).await } => return Ok(Some(Pass::Done)),
        };
        let now = self.clock.now();
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        let Err(error) = sent else {
            self.outbox.settle(name, numbers, Settled::Delivered { left_out }, now).await?;
            self.count(name, |counts| counts.delivered += 1);
            self.standing().entry(name.clone()).or_default().failures = 0;
            return Ok(None);
        };
        self.count(name, |counts| counts.failed += 1);
        let why = error.to_string();
        warn!(channel = %name, message = notice.id, why, "a message did not go out");
        let first_try = rows.iter().filter_map(|row| row.first_try).min().unwrap_or(now);
        let (is_given_up, pass) = match error {
            ChannelError::Later { after, .. } => {
                (now.since(first_try) >= GIVE_UP, Some(Pass::Later(after.unwrap_or_default())))
            }
            ChannelError::Refused(_) => (true, None),
            ChannelError::Gone(_) => (true, Some(Pass::Gone)),
        };
        if is_given_up {
            // Of a sum-up, what has waited for long is given up, and the rest has its time.
            let old = |row: &&Waiting| row.first_try.is_some_and(|at| now.since(at) >= GIVE_UP);
            let all = !matches!(pass, Some(Pass::Later(_)));
            let (gone, kept): (Vec<&Waiting>, Vec<&Waiting>) = rows.iter().partition(|row| all || old(row));
            self.give_up(name, gone.iter().map(|row| row.number).collect(), &why).await?;
            if !kept.is_empty() {
                self.postpone(name, &kept, why).await?;
            }
        } else {
            self.postpone(name, &rows.iter().collect::<Vec<_>>(), why).await?;
        }
        Ok(pass)
    }

    async fn postpone(&self, name: &ChannelName, rows: &[&Waiting], why: String) -> Result<(), StoreError> {
        let now = self.clock.now();
        let tries = rows.iter().map(|row| row.tries).min().unwrap_or(0);
        let what = Settled::Later { not_before: now.plus(pause(PAUSE_MIN, LONGEST_PAUSE, tries)), why };
        self.outbox.settle(name, rows.iter().map(|row| row.number).collect(), what, now).await
    }

    async fn give_up_all(&self, name: &ChannelName) -> Result<(), StoreError> {
        let due = self.outbox.due(name, self.clock.now(), MOST).await?;
        self.give_up(name, due.iter().map(|row| row.number).collect(), "there is no such channel").await
    }

    async fn give_up(&self, name: &ChannelName, rows: Vec<u64>, why: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.count(name, |counts| counts.given_up += rows.len() as u64);
        let things = if rows.len() == 1 { "1 thing".to_owned() } else { format!("{} things", rows.len()) };
        let detail = format!("The channel {name} was not told of {things}: {why}.");
        warn!(detail, "what was to be told is given up");
        let event = Event::Administration(AdministrationEvent {
            id: self.ids.event_id(now),
            at: now,
            actor: "gateway".to_owned(),
            action: "notification-given-up".to_owned(),
            detail,
        });
        let record = Box::new(Record { event, learned: None, incidents: Vec::new() });
        self.outbox.settle(name, rows, Settled::GivenUp { why: why.to_owned(), record }, now).await
    }

    fn entries(&self) -> Arc<BTreeMap<ChannelName, ChannelEntry>> {
        Arc::clone(&self.channels.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelName, Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
