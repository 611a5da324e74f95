//! What follows from an event that could not be held: a second factor is asked for, an account is acted against.
//!
//! Each is a row in the store until it is done; its end is an event in the same transaction. So what was decided is carried
//! out after a restart as well. A phone may then ring again, and a session be ended that has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_core::challenge::Forget;
use portcullis_core::cloud::{FollowUp, Foreign, OpenFollowUp};
use portcullis_core::event::{AccessEvent, Event, Record};
use portcullis_core::gate::Tried;
use portcullis_core::incident::{IncidentChange, IncidentSource};
use portcullis_core::plugin::ConnectorError;
use portcullis_core::policy::Severity;
use portcullis_core::source::Enforcement;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountFacts, PolicyName, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Cloud, Reader};
use crate::decide::{Asking, Draft, observation};
use crate::pause::pause;

/// Questions that are open at the same time, and accounts that are acted against at the same time. They have places of their
/// own: an enforcement does not wait for people.
const MOST_CHALLENGES: usize = 64;
const MOST_ENFORCEMENTS: usize = 8;
/// Rows that are looked at in search of something to do.
const PAGE: u32 = 256;
const MOST_PAGES: usize = 40;
/// The store is looked at this often without being told.
const LOOK: Duration = Duration::from_secs(5);
/// First and longest pause before something is tried again.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// How often, and after which pause, a store that does not keep up is told of the end of one.
const END_TRIES: u32 = 100;
const END_PAUSE: Duration = Duration::from_millis(50);
/// An enforcement that does not succeed for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// After so many answers that waiting does not mend, as well.
const HOPELESS_ANSWERS: u32 = 3;

/// What has followed, since the gateway started.
#[derive(Debug, Default)]
pub struct FollowUpCounts {
    asked: AtomicU64,
    enforced: AtomicU64,
    failed: AtomicU64,
}

impl FollowUpCounts {
    /// By what it came to: people asked, accounts acted against, given up.
    #[must_use]
    pub fn all(&self) -> [(&'static str, u64); 3] {
        [("asked", &self.asked), ("enforced", &self.enforced), ("given-up", &self.failed)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// What is known of a follow-up beyond its row.
#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    number: u32,
    hopeless: u32,
    /// None while it is under way.
    not_before: Option<Instant>,
    is_challenge: bool,
}

/// It is still to be done.
struct Again {
    why: String,
    passes_by_itself: bool,
}

impl Again {
    #[expect(clippy::needless_pass_by_value, reason = "errors are passed as they come")]
    fn later(why: impl ToString) -> Self {
        Self { why: why.to_string(), passes_by_itself: true }
    }
}

impl Cloud {
    /// Never ends by itself.
    pub(super) async fn follow(self: &Arc<Self>) {
        let (mut tasks, mut tries) = (JoinSet::new(), HashMap::<u64, Tries>::new());
        loop {
            if let Err(error) = self.begin_what_can(&mut tasks, &mut tries).await {
                warn!(%error, "what has to follow from events of cloud services cannot be read");
            }
            tokio::select! {
                () = self.pending.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(ended) = tasks.join_next() => match ended {
                    Ok((number, Ok(()))) => drop(tries.remove(&number)),
                    Ok((number, Err(again))) => postpone(&mut tries, number, &again),
                    Err(error) => {
                        warn!(%error, "a follow-up has failed");
                        // Which one is not known: all that are under way are looked at again, in the end.
                        tries.values_mut().filter(|tries| tries.not_before.is_none()).for_each(|tries| {
                            tries.not_before = Some(Instant::now() + PAUSE_MAX);
                        });
                    }
                },
            }
        }
    }

    async fn begin_what_can(
        self: &Arc<Self>,
        tasks: &mut JoinSet<(u64, Result<(), Again>)>,
        tries: &mut HashMap<u64, Tries>,
    ) -> Result<(), StoreError> {
        let mut after = 0;
        for _ in 0..MOST_PAGES {
            let page = self.store.open_follow_ups(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.number;
            for open in page {
                let under_way = |challenge: bool| {
                    tries.values().filter(|t| t.not_before.is_none() && t.is_challenge == challenge).count()
                };
                let is_challenge = matches!(open.what, FollowUp::Challenge { .. });
                let most = if is_challenge { MOST_CHALLENGES } else { MOST_ENFORCEMENTS };
                let known = tries.get(&open.number).copied();
                let is_due = known.is_none_or(|t| t.not_before.is_some_and(|at| at <= Instant::now()));
                if !is_due || under_way(is_challenge) >= most {
                    continue;
                }
                let before = known.unwrap_or_default();
                tries.insert(open.number, Tries { not_before: None, is_challenge, ..before });
                let cloud = Arc::clone(self);
                tasks.spawn(async move { (open.number, cloud.follow_one(open, before).await) });
            }
        }
        Ok(())
    }

    async fn follow_one(&self, open: OpenFollowUp, before: Tries) -> Result<(), Again> {
        let reader = self.reader(&open.source);
        match open.what.clone() {
            FollowUp::Challenge { policy } => match reader {
                Some(reader) => self.challenge(&reader, open, policy).await,
                None => self.give_up(&open, &policy, "its source is not configured any more").await,
            },
            FollowUp::Enforce { account, actions, policy } => {
                let too_old = self.age(&open.event) > GIVE_UP;
                let done = match reader {
                    Some(reader) => enforce(&reader, &account, &actions).await,
                    None => Err(Again::later(format!("the connector {} is not configured", open.source))),
                };
                match done {
                    Ok(()) => self.enforced(&open, &policy, &actions).await,
                    Err(again) if too_old || before.hopeless + 1 >= HOPELESS_ANSWERS && !again.passes_by_itself => {
                        self.give_up(&open, &policy, &again.why).await
                    }
                    Err(again) => Err(again),
                }
            }
        }
    }

    /// Asks, and evaluates again with the answer. The answer is an event of its own.
    async fn challenge(&self, reader: &Reader, open: OpenFollowUp, policy: PolicyName) -> Result<(), Again> {
        if self.age(&open.event) > reader.source.options.act_within {
            return self.give_up(&open, &policy, "it is too long ago to ask for a second factor").await;
        }
        let guard = &self.guard;
        let mut facts = Ok(Arc::<AccountFacts>::default());
        let mut access = open.event.access.clone();
        if let Some((account, dn)) = access.account.as_ref().and_then(|account| Some((account, account.dn.as_deref()?)))
        {
            let found = guard.rooms.directory.find(dn).await.map_err(Again::later)?;
            // An account without groups would be another one to the policies.
            let same = found.filter(|found| found.account.id == account.id);
            facts = same.map(|found| found.facts).ok_or_else(|| format!("the directory shows {dn} no more"));
        }
        let Some(told) = open.event.foreign.as_deref() else {
            return self.give_up(&open, &policy, "its event is none of a cloud service").await;
        };
        let now = guard.rooms.clock.now();
        (access.id, access.at) = (guard.rooms.ids.event_id(now), now);
        let foreign = Foreign { follows: Some(open.event.access.id), ..told.clone() };
        let mut draft = Draft::foreign(guard, access, foreign, Asking::Again(policy));
        draft.evaluate(&facts).await;
        let Some(finished) = draft.finish() else { return Err(Again::later("its access was closed early")) };
        let demotions = guard.want_demotions(finished.demotions);
        let mut event = finished.event;
        event.access.at = guard.rooms.clock.now();
        let learned = observation(&event).map(|mut learned| {
            learned.at = open.event.access.at;
            learned
        });
        let next = told.account.clone().and_then(|account| reader.enforcement(&event, account));
        guard.counts.add(&event);
        guard.learn(&event, Tried::Nothing);
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        let has_next = next.is_some();
        let record = Record { event: Event::Access(event), learned, incidents: finished.incidents };
        self.end(&open, record, next).await?;
        // What could not be stored is in the log.
        let _ = demotions.await;
        if has_next {
            self.pending.notify_one();
        }
        Ok(())
    }

    /// It is done. A store that is busy is waited for: what a person has answered would be asked again.
    async fn end(&self, open: &OpenFollowUp, record: Record, next: Option<FollowUp>) -> Result<(), Again> {
        for _ in 0..END_TRIES {
            match self.store.end_follow_up(open.number, record.clone(), next.clone()).await {
                Err(StoreError::Overloaded(_)) => tokio::time::sleep(END_PAUSE).await,
                other => return other.map_err(Again::later),
            }
        }
        self.store.end_follow_up(open.number, record, next).await.map_err(Again::later)
    }

    async fn enforced(&self, open: &OpenFollowUp, policy: &PolicyName, actions: &[Enforcement]) -> Result<(), Again> {
        let what: Vec<_> = actions.iter().map(|action| words(*action)).collect();
        let detail = format!(
            "{} at {}: {}, because policy {policy} blocks event {}.",
            login(&open.event),
            open.source,
            what.join(" and "),
            open.event.access.id
        );
        info!(detail, "an account was acted against");
        if let Some(account) = &open.event.access.account {
            let before = self.guard.rooms.clock.now();
            let what = Forget { account: Some(account.id.clone()), before, until_settled: None };
            self.guard.forget(what).await.map_err(Again::later)?;
        }
        let record = self.note("cloud-enforced", detail, Vec::new());
        self.end(open, record, None).await?;
        self.counts.enforced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A person has to do it.
    async fn give_up(&self, open: &OpenFollowUp, policy: &PolicyName, why: &str) -> Result<(), Again> {
        let (id, who) = (open.event.access.id, login(&open.event));
        let (action, detail) = match &open.what {
            FollowUp::Challenge { .. } => {
                ("cloud-challenge-given-up", format!("{who} was not asked for a second factor for event {id}: {why}."))
            }
            FollowUp::Enforce { .. } => (
                "cloud-enforcement-failed",
                format!(
                    "Nothing was done against {who} at {} for event {id}, as policy {policy} wants: {why}.",
                    open.source
                ),
            ),
        };
        warn!(detail, "what has to follow from an event is given up");
        let account = open.event.access.account.as_ref();
        let incidents =
            account.filter(|_| matches!(open.what, FollowUp::Enforce { .. })).map(|account| IncidentChange::Raise {
                new_id: self.guard.new_incident(),
                account: account.id.clone(),
                login: account.login.clone(),
                source: IncidentSource::Gateway("cloud-enforcement".to_owned()),
                severity: Severity::High,
                title: format!("{} could not be told to act against the account: {why}", open.source),
                escalate: Vec::new(),
            });
        let record = self.note(action, detail, incidents.into_iter().collect());
        self.end(open, record, None).await?;
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn note(&self, action: &str, detail: String, incidents: Vec<IncidentChange>) -> Record {
        let event = self.guard.event_of("gateway", action, detail);
        Record { event, learned: None, incidents }
    }

    /// How long ago it happened.
    fn age(&self, event: &AccessEvent) -> Duration {
        let now: Timestamp = self.guard.rooms.clock.now();
        now.since(event.access.at)
    }
}

async fn enforce(reader: &Reader, account: &str, actions: &[Enforcement]) -> Result<(), Again> {
    for action in actions {
        reader.source.provider.enforce(account, *action).await.map_err(|error| Again {
            why: error.to_string(),
            passes_by_itself: matches!(error, ConnectorError::RateLimited(_) | ConnectorError::Unavailable(_)),
        })?;
    }
    Ok(())
}

fn postpone(tries: &mut HashMap<u64, Tries>, number: u64, again: &Again) {
    let tries = tries.entry(number).or_default();
    let pause = pause(PAUSE_MIN, PAUSE_MAX, tries.number);
    tries.number = tries.number.saturating_add(1);
    tries.hopeless = if again.passes_by_itself { 0 } else { tries.hopeless.saturating_add(1) };
    tries.not_before = Some(Instant::now() + pause);
    warn!(follow_up = number, error = again.why, ?pause, "what has to follow from an event is tried again later");
}

fn words(action: Enforcement) -> &'static str {
    match action {
        Enforcement::EndSessions => "sessions ended",
        Enforcement::Suspend => "suspended",
        Enforcement::Unsuspend => "suspension lifted",
    }
}

fn login(event: &AccessEvent) -> &str {
    event.access.account.as_ref().map_or("somebody", |account| &account.login)
}
