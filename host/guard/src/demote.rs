//! Taking accounts out of groups because a policy says so, and putting them back.
//!
//! A demotion is a row of the store from the moment at which it is wanted. One task goes through those for which something is
//! to be done, one by one, so that no two of them can each leave the other's account as the last one in a group. What is
//! about to be changed is stored before the directory is told: whenever the process ends, what was taken away is known.

mod restore;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::demotion::{
    Demotion, DemotionState, DemotionStep, DemotionStore, DueDemotion, GroupError, Groups, Membership, WantedDemotion,
};
use portcullis_core::event::Record;
use portcullis_core::incident::{IncidentChange, IncidentSource};
use portcullis_core::policy::Severity;
use portcullis_core::store::StoreError;
use portcullis_core::{Timestamp, dn};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::Guard;
use crate::pause::pause;

/// The store is looked at this often without being told.
const LOOK: Duration = Duration::from_secs(2);
/// Rows that are read at once, and pages of them that are read in search of something to do.
const PAGE: u32 = 128;
const MOST_PAGES: usize = 20;
/// First and longest pause before something is tried again.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// What does not succeed for so long becomes an incident: a demotion is given up, a restoration waits for a person.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// An event that is not stored after so long never will be.
const LATEST_EVENT: Duration = Duration::from_secs(60);

/// Why nothing can be done.
const NOBODY_WHO_MAY: &str = "the gateway has no account that may change groups (see [demotion] of the configuration)";
const ANOTHER: &str = "another demotion of the account is under way";

/// Tries of a demotion that has not succeeded.
struct Tries {
    number: u32,
    since: Timestamp,
    not_before: Instant,
}

/// What one attempt came to.
enum Done {
    /// It is as far as it gets for now.
    Step,
    /// Something is in the way that may pass.
    Later(String),
}

impl Guard {
    /// Stores what is wanted. The rows are queued before this returns the future.
    ///
    /// # Errors
    /// Some of them are not stored.
    pub(crate) fn want_demotions(
        &self,
        wanted: Vec<WantedDemotion>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        // The wait for the event counts from now on: what came before, such as a question to a person, was no part of it.
        let at = self.rooms.clock.now();
        let wanted = wanted.into_iter().map(|it| WantedDemotion { at, ..it });
        let queued: Vec<_> = wanted.map(|it| self.rooms.demotions.want_demotion(it)).collect();
        let wake = Arc::clone(&self.demotions_wanted);
        async move {
            let mut outcome = Ok(());
            for stored in queued {
                match stored.await {
                    Ok(()) => wake.notify_one(),
                    Err(error) => {
                        error!(%error, "a demotion is wanted and could not be stored");
                        outcome = Err(error);
                    }
                }
            }
            outcome
        }
    }

    /// Takes accounts out of groups and puts them back, until the end. Without `groups` there is nobody who could: then each
    /// demotion that is wanted becomes an incident.
    pub async fn look_after_demotions(self: Arc<Self>, groups: Option<Arc<dyn Groups>>, end: CancellationToken) {
        let mut worker = Worker { guard: self, groups, tries: HashMap::new() };
        let wake = Arc::clone(&worker.guard.demotions_wanted);
        loop {
            if let Err(error) = worker.do_what_is_due(&end).await {
                warn!(%error, "demotions cannot be read or written");
            }
            tokio::select! {
                () = end.cancelled() => return,
                () = wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

struct Worker {
    guard: Arc<Guard>,
    groups: Option<Arc<dyn Groups>>,
    tries: HashMap<u64, Tries>,
}

impl Worker {
    async fn do_what_is_due(&mut self, end: &CancellationToken) -> Result<(), StoreError> {
        let (mut after, mut seen) = (0, Vec::new());
        for _ in 0..MOST_PAGES {
            let page = self.store().due_demotions(self.now(), after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.demotion.number;
            for due in page {
                if end.is_cancelled() {
                    return Ok(());
                }
                seen.push(due.demotion.number);
                self.attend_to(due).await?;
            }
        }
        self.tries.retain(|number, _| seen.contains(number));
        Ok(())
    }

    async fn attend_to(&mut self, due: DueDemotion) -> Result<(), StoreError> {
        let (number, now) = (due.demotion.number, self.now());
        if self.tries.get(&number).is_some_and(|tries| tries.not_before > Instant::now()) {
            return Ok(());
        }
        let since = self.tries.get(&number).map_or(now, |tries| tries.since);
        let done = match due.demotion.state {
            DemotionState::Wanted => self.begin(&due).await?,
            DemotionState::Leaving => self.resume(&due.demotion).await?,
            DemotionState::Demoted => self.restore(&due.demotion).await?,
            DemotionState::Restored | DemotionState::Failed => Done::Step,
        };
        let Done::Later(why) = done else {
            self.tries.remove(&number);
            return Ok(());
        };
        if now.since(since) >= GIVE_UP {
            self.tries.remove(&number);
            return self.give_up(&due.demotion, &why).await;
        }
        let tries = self.tries.entry(number).or_insert(Tries { number: 0, since, not_before: Instant::now() });
        let pause = pause(PAUSE_MIN, PAUSE_MAX, tries.number);
        tries.number = tries.number.saturating_add(1);
        tries.not_before = Instant::now() + pause;
        warn!(demotion = number, why, ?pause, "a demotion is tried again later");
        Ok(())
    }

    /// Looks whether it is to be done at all, and where the account stands.
    async fn begin(&self, due: &DueDemotion) -> Result<Done, StoreError> {
        let (demotion, wanted) = (&due.demotion, &due.demotion.wanted);
        if !due.is_stored {
            if self.now().since(wanted.at) < LATEST_EVENT {
                return Ok(Done::Later("its event is not stored yet".to_owned()));
            }
            warn!(event = %wanted.event, "a demotion is dropped, because the event that it follows from was never stored");
            return self.step(demotion, DemotionStep::Dropped, None).await;
        }
        if due.times < wanted.from_times {
            return self.step(demotion, DemotionStep::Dropped, None).await;
        }
        let Some(groups) = &self.groups else {
            return self.fail(demotion, NOBODY_WHO_MAY).await;
        };
        // What comes of it decides whether there is something to do here.
        let under_way = |other: &Demotion| {
            let is_awaited = other.restore_by.is_some() && other.restore_at.is_some();
            other.state == DemotionState::Leaving || is_awaited
        };
        if self.standing_beside(demotion).await?.iter().any(under_way) {
            return Ok(Done::Later(ANOTHER.to_owned()));
        }
        match groups.membership(&wanted.group, &wanted.account).await {
            Ok(place) => self.take_out(demotion, place).await,
            Err(GroupError::NotMember(group)) => self.prolong(demotion, &group).await,
            Err(GroupError::NoPlace(why) | GroupError::Refused(why)) => self.fail(demotion, &why).await,
            Err(GroupError::Unreachable(why)) => Ok(Done::Later(why)),
        }
    }

    /// Others of the same account that have begun and not ended.
    async fn standing_beside(&self, demotion: &Demotion) -> Result<Vec<Demotion>, StoreError> {
        let mut standing = self.store().standing_demotions(&demotion.wanted.account).await?;
        standing.retain(|other| other.number != demotion.number);
        Ok(standing)
    }

    /// It is out already. If that was us, it stays out for as long as the newer wish says.
    async fn prolong(&self, demotion: &Demotion, group: &str) -> Result<Done, StoreError> {
        let until = self.restore_at(&demotion.wanted);
        for standing in self.standing_beside(demotion).await? {
            let is_longer = match (standing.restore_at, until) {
                (Some(now), Some(then)) => then > now,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if is_of(&standing, group) && is_longer && standing.restore_by.is_none() {
                let detail = format!(
                    "{} stays out of {group} {}, because policy {} wants so for event {}.",
                    demotion.wanted.login,
                    self.until(until),
                    demotion.wanted.policy,
                    demotion.wanted.event
                );
                let record = self.note("demotion-prolonged", detail, None);
                if !self.step_from(&standing, DemotionStep::Demoted(until), Some(record)).await? {
                    return Ok(Done::Later(ANOTHER.to_owned()));
                }
            }
        }
        self.step(demotion, DemotionStep::Dropped, None).await
    }

    /// Goes on with what was begun, a restart or an hour ago: what was true of the group then need not be true now. An account
    /// that is out of it was taken out by the request whose answer never came.
    async fn resume(&self, demotion: &Demotion) -> Result<Done, StoreError> {
        let (Some(groups), Some(place)) = (&self.groups, &demotion.membership) else {
            return Ok(Done::Later(NOBODY_WHO_MAY.to_owned()));
        };
        match groups.membership(&place.group, &demotion.wanted.account).await {
            Ok(place) => self.take_out(demotion, place).await,
            Err(GroupError::NotMember(_)) => self.demoted(demotion, place).await,
            Err(GroupError::NoPlace(why)) => self.in_doubt(demotion, &why).await,
            Err(GroupError::Refused(why)) => self.fail(demotion, &why).await,
            Err(GroupError::Unreachable(why)) => Ok(Done::Later(why)),
        }
    }

    /// Stores where the account stands.
    async fn take_out(&self, demotion: &Demotion, place: Membership) -> Result<Done, StoreError> {
        let (state, membership) = (DemotionState::Leaving, Some(place.clone()));
        if !self.step_from(demotion, DemotionStep::Leaving(place), None).await? {
            return Ok(Done::Step);
        }
        self.leave(&Demotion { state, membership, ..demotion.clone() }).await
    }

    /// Tells the directory. Where the account stood is stored.
    async fn leave(&self, demotion: &Demotion) -> Result<Done, StoreError> {
        let (Some(groups), Some(place)) = (&self.groups, &demotion.membership) else {
            return Ok(Done::Later(NOBODY_WHO_MAY.to_owned()));
        };
        match groups.leave(place, &demotion.wanted.account).await {
            Ok(()) => self.demoted(demotion, place).await,
            Err(GroupError::Unreachable(why)) => Ok(Done::Later(why)),
            Err(error) => self.fail(demotion, &error.to_string()).await,
        }
    }

    async fn demoted(&self, demotion: &Demotion, place: &Membership) -> Result<Done, StoreError> {
        let wanted = &demotion.wanted;
        let until = self.restore_at(wanted);
        let detail = format!(
            "{} was taken out of {} {}, because policy {} wants so for event {}.",
            wanted.login,
            place.group,
            self.until(until),
            wanted.policy,
            wanted.event
        );
        info!(detail, "an account was taken out of a group");
        let record = self.note("account-demoted", detail, None);
        self.step(demotion, DemotionStep::Demoted(until), Some(record)).await
    }

    async fn give_up(&self, demotion: &Demotion, why: &str) -> Result<(), StoreError> {
        match demotion.state {
            DemotionState::Demoted => self.not_restored(demotion, why).await,
            DemotionState::Leaving => self.in_doubt(demotion, why).await.map(drop),
            _ => self.fail(demotion, why).await.map(drop),
        }
    }

    /// The directory was told, and what came of it cannot be found out: it counts as out, so that it is put back in the end.
    async fn in_doubt(&self, demotion: &Demotion, why: &str) -> Result<Done, StoreError> {
        let wanted = &demotion.wanted;
        let group = demotion.membership.as_ref().map_or(&wanted.group, |place| &place.group);
        let until = self.restore_at(wanted);
        let title = format!("It is not known whether the account is out of {group}: {why}");
        let detail = format!(
            "It is not known whether {} is out of {group}, as policy {} wants for event {}: {why}. It counts as out {}.",
            wanted.login,
            wanted.policy,
            wanted.event,
            self.until(until)
        );
        warn!(detail, "what came of a demotion is not known");
        let record = self.note("demotion-in-doubt", detail, Some((demotion, title)));
        self.step(demotion, DemotionStep::Demoted(until), Some(record)).await
    }

    async fn fail(&self, demotion: &Demotion, why: &str) -> Result<Done, StoreError> {
        let wanted = &demotion.wanted;
        let title = format!("The account could not be taken out of {}: {why}", wanted.group);
        let detail = format!(
            "{} was not taken out of {}, as policy {} wants for event {}: {why}.",
            wanted.login, wanted.group, wanted.policy, wanted.event
        );
        warn!(detail, "an account was not taken out of a group");
        let record = self.note("demotion-failed", detail, Some((demotion, title)));
        self.step(demotion, DemotionStep::Failed(why.to_owned()), Some(record)).await
    }

    async fn step(&self, demotion: &Demotion, to: DemotionStep, record: Option<Record>) -> Result<Done, StoreError> {
        self.step_from(demotion, to, record).await.map(|_| Done::Step)
    }

    async fn step_from(
        &self,
        demotion: &Demotion,
        to: DemotionStep,
        record: Option<Record>,
    ) -> Result<bool, StoreError> {
        self.store().step_demotion(demotion.number, demotion.state, to, record, self.now()).await
    }

    fn note(&self, action: &str, detail: String, incident: Option<(&Demotion, String)>) -> Record {
        let event = self.guard.event_of("gateway", action, detail);
        let incidents = incident.map(|(demotion, title)| IncidentChange::Raise {
            new_id: self.guard.new_incident(),
            account: demotion.wanted.account.clone(),
            login: demotion.wanted.login.clone(),
            source: IncidentSource::Gateway("demotion".to_owned()),
            severity: Severity::High,
            title,
            escalate: Vec::new(),
        });
        Record { event, learned: None, incidents: incidents.into_iter().collect() }
    }

    fn restore_at(&self, wanted: &WantedDemotion) -> Option<Timestamp> {
        let after = Duration::from_secs(u64::from(wanted.restore_after_seconds));
        (!after.is_zero()).then(|| self.now().plus(after))
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        match until {
            Some(until) => format!("for {} s", until.since(self.now()).as_secs()),
            None => "until a person puts it back".to_owned(),
        }
    }

    fn now(&self) -> Timestamp {
        self.guard.rooms.clock.now()
    }

    fn store(&self) -> &dyn DemotionStore {
        self.guard.rooms.demotions.as_ref()
    }
}

/// Whether it is one out of this group.
fn is_of(demotion: &Demotion, group: &str) -> bool {
    demotion.membership.as_ref().is_some_and(|place| dn::is_same(&place.group, group))
}
