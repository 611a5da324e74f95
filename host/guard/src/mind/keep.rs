//! Profiles on their way into the store and, after the start, out of the log.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use portcullis_behavior::memory::summary_seen;
use portcullis_behavior::seen::{Place, Seen};
use portcullis_core::event::{AccessEvent, Event};
use portcullis_core::gate::Tried;
use portcullis_core::profile::{ProfileMark, StoredProfile, event_tag};
use portcullis_core::store::{Sequence, StoreError, StoredEvent};
use portcullis_core::summary::SessionSummary;
use portcullis_core::{Operation, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::Guard;

/// How often what has changed is written.
const PERIOD: Duration = Duration::from_secs(5);
/// How often it is read what people have decided with the command line meanwhile, in periods.
const RELOAD: u32 = 12;
/// How long the last writing may take when the gateway ends.
const LAST_WRITE: Duration = Duration::from_secs(10);
/// Events that are read at a time.
const PAGE: u32 = 512;
/// Where nothing was ever learned, the log's last events teach: so many at most.
const MOST_HISTORY: u64 = 200_000;

/// What the profiles in the store have in them.
pub(super) struct Marks {
    complete: ProfileMark,
    later: HashMap<u64, ProfileMark>,
}

impl Marks {
    /// Profiles that bear the mark have the event in them.
    fn has(&self, mark: u64, sequence: u64, tag: u64) -> bool {
        // All that was known at the last complete writing is in every profile that was not written since.
        let mark = self.later.get(&mark).unwrap_or(&self.complete);
        sequence <= mark.through || mark.ahead.contains(&tag)
    }

    /// The same of an imported event.
    pub(super) fn has_imported(&self, mark: u64, sequence: u64) -> bool {
        sequence <= self.later.get(&mark).unwrap_or(&self.complete).imported
    }

    /// The last imported event that all profiles have, and the last one that any has.
    pub(super) fn imported(&self) -> (u64, u64) {
        let later = self.later.values().map(|mark| mark.imported).max().unwrap_or(0);
        (self.complete.imported, self.complete.imported.max(later))
    }
}

impl Guard {
    /// Learns what the log has and the profiles in the store do not, after a crash or an upgrade. To be called once, before
    /// anything is decided.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recover_profiles(&self) -> Result<(), StoreError> {
        self.load_kinds().await?;
        let marks = self.rooms.profiles.profile_marks().await?;
        let newest = marks.iter().map(|mark| mark.number).max().unwrap_or(0);
        *self.mind.next_mark.lock().await = newest + 1;
        let (complete, later): (Vec<_>, Vec<_>) = marks.into_iter().partition(|mark| mark.complete);
        let last = self.rooms.profiles.last_sequence().await?.0;
        let is_first = complete.is_empty();
        let complete = complete
            .into_iter()
            .next_back()
            .unwrap_or(ProfileMark { through: last.saturating_sub(MOST_HISTORY), ..ProfileMark::default() });
        let mut next = complete.through;
        let marks = Marks { complete, later: later.into_iter().map(|mark| (mark.number, mark)).collect() };
        self.recover_imported(&marks).await?;
        if next >= last {
            return Ok(());
        }
        info!(events = last - next, first = is_first, "learning from events that the profiles do not have yet");
        loop {
            let events = self.rooms.profiles.events_after(Sequence(next), PAGE).await?;
            let Some(end) = events.last().map(|stored| stored.sequence.0) else { break };
            for stored in &events {
                self.learn_again(stored, &marks).await?;
            }
            next = end;
        }
        self.write_profiles().await
    }

    async fn learn_again(&self, stored: &StoredEvent, marks: &Marks) -> Result<(), StoreError> {
        let (sequence, tag) = (stored.sequence.0, event_tag(stored.event.id()));
        let is_in = |mark| marks.has(mark, sequence, tag);
        let settings = &self.options.behavior;
        match &stored.event {
            // What was imported teaches apart from this.
            Event::Administration(_) | Event::Imported(_) => {}
            Event::Access(event) => {
                let site = self.load_of_access(event).await?;
                self.mind.inner().memory.learn(event, (Tried::Nothing, site), settings, &is_in);
            }
            Event::Summary(summary) => {
                self.load_of_summary(summary).await?;
                self.mind.inner().memory.learn_summary(summary, settings, &is_in);
            }
        }
        Ok(())
    }

    /// Takes the profiles that a recorded access is about into memory. Returns where it comes from.
    pub(super) async fn load_of_access(&self, event: &AccessEvent) -> Result<Option<Place>, StoreError> {
        let site = if event.foreign.is_none() { self.site_place(&event.access) } else { None };
        // Which passwords were tried is nowhere any more.
        let seen = Seen::of(&event.access, event.foreign.as_deref(), site, Tried::Nothing);
        let missing = self.mind.inner().memory.missing(&seen);
        self.load(missing).await?;
        Ok(site)
    }

    /// The same of operations that were summed up.
    pub(super) async fn load_of_summary(&self, summary: &SessionSummary) -> Result<(), StoreError> {
        let search = Operation::Search(None);
        let missing = self.mind.inner().memory.missing(&summary_seen(summary, &search));
        self.load(missing).await
    }

    /// Writes profiles to the store until `end` is cancelled, then the last of them, and comes back. Has to run once, and to
    /// end after everything that learns.
    pub async fn keep_profiles(&self, end: CancellationToken) {
        let mut stuck = false;
        for round in 1_u32.. {
            let last = tokio::select! {
                () = end.cancelled() => true,
                () = tokio::time::sleep(PERIOD) => false,
            };
            let written = tokio::select! {
                written = self.write_profiles() => written,
                // Not before the end, and then not for ever.
                () = async { end.cancelled().await; tokio::time::sleep(LAST_WRITE).await } =>
                    Err(StoreError::Unavailable("it did not answer in time".to_owned())),
            };
            match &written {
                Err(error) if !stuck => error!(%error, "what was learned cannot be stored; it waits"),
                Ok(()) if stuck => info!("what is learned is stored again"),
                _ => {}
            }
            stuck = written.is_err();
            if last {
                return;
            }
            if round % RELOAD == 0
                && let Err(error) = self.load_kinds().await
            {
                warn!(%error, "what people have decided about accounts cannot be read");
            }
        }
    }

    /// Writes all profiles that have changed.
    pub(crate) async fn write_profiles(&self) -> Result<(), StoreError> {
        let mut next_mark = self.mind.next_mark.lock().await;
        // Asked before the copies are made: what is stored by now has been learned from before.
        let through = self.rooms.profiles.last_sequence().await?.0;
        let now = self.rooms.clock.now();
        let (changed, ahead, imported) = {
            let mut inner = self.mind.inner();
            let changed = inner.memory.take_changed();
            (changed, inner.latest.iter().map(|(_, tag)| *tag).collect(), inner.imported)
        };
        if changed.is_empty() {
            return Ok(());
        }
        let number = *next_mark;
        *next_mark += 1;
        let half_life = self.options.behavior.risk_half_life;
        let mut profiles = Vec::with_capacity(changed.len());
        for (count, changed) in changed.iter().enumerate() {
            let (value, risk) = changed.encode(now, half_life);
            profiles.push(StoredProfile { subject: changed.subject(), mark: number, value, risk });
            if count % 256 == 255 {
                tokio::task::yield_now().await;
            }
        }
        let mark = ProfileMark { number, through, ahead, imported, complete: true };
        let written = self.rooms.profiles.put_profiles(mark, profiles).await;
        if written.is_err() {
            let mut inner = self.mind.inner();
            changed.iter().for_each(|changed| inner.memory.give_back(&changed.subject()));
        }
        written
    }

    pub(crate) async fn load_kinds(&self) -> Result<(), StoreError> {
        let _deciding = self.mind.deciding.lock().await;
        let decided = self.rooms.profiles.decided_kinds().await?;
        let kinds = decided.into_iter().map(|decided| (decided.account, decided.kind)).collect();
        *self.mind.kinds.write().unwrap_or_else(PoisonError::into_inner) = kinds;
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rooms.clock.now()
    }
}
