//! Events that were imported teach as those that the gateway has seen itself, each by its own time: at the start, and while the
//! gateway runs, as soon as another process has put them into the store.

use std::time::Duration;

use portcullis_core::event::{Event, PastEvent};
use portcullis_core::gate::Tried;
use portcullis_core::store::{Sequence, StoreError, StoredEvent};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::keep::Marks;
use crate::Guard;

/// How often the store is asked whether something was imported.
const LOOK: Duration = Duration::from_secs(1);
/// Events that are read at a time.
const PAGE: u32 = 512;
/// After so many events what was learned is written: fewer profiles than there is room for in memory have changed then.
const WRITE_AFTER: u64 = 8_192;
/// How often the log says how far it is.
const TELL: Duration = Duration::from_secs(10);

impl Guard {
    /// Goes on where the profiles in the store stop, up to the last imported event that any of them has: from there on it is the
    /// same for all.
    pub(super) async fn recover_imported(&self, marks: &Marks) -> Result<(), StoreError> {
        let (complete, most) = marks.imported();
        self.mind.inner().imported = complete;
        loop {
            let after = self.mind.inner().imported;
            if after >= most {
                return Ok(());
            }
            let events = self.rooms.profiles.imported_after(Sequence(after), PAGE).await?;
            if events.is_empty() {
                return Ok(());
            }
            for stored in &events {
                self.learn_past(stored, &|mark| marks.has_imported(mark, stored.sequence.0)).await?;
            }
        }
    }

    /// Learns from what was imported, for as long as `end` is not cancelled.
    pub async fn follow_imports(&self, end: CancellationToken) {
        let mut stuck = false;
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let learned = tokio::select! {
                () = end.cancelled() => return,
                learned = self.learn_imported(None) => learned,
            };
            match &learned {
                Err(error) if !stuck => error!(%error, "what was imported cannot be learned from; it is tried again"),
                Ok(_) if stuck => info!("what was imported is learned from again"),
                _ => {}
            }
            stuck = learned.is_err();
        }
    }

    /// Learns from everything that was imported and has not taught yet, for so long at most. Returns how many events that
    /// were.
    ///
    /// # Errors
    /// The store cannot be read or written. What has taught is known.
    pub async fn learn_imported(&self, at_most: Option<Duration>) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let (mut learned, mut told) = (0_u64, begun);
        let mut written = 0;
        loop {
            let after = self.mind.inner().imported;
            let events = self.rooms.profiles.imported_after(Sequence(after), PAGE).await?;
            let is_over = events.is_empty() || at_most.is_some_and(|most| begun.elapsed() >= most);
            if learned > written && (is_over || learned - written >= WRITE_AFTER) {
                self.write_profiles().await?;
                written = learned;
            }
            if is_over {
                break;
            }
            for stored in &events {
                self.learn_past(stored, &|_| false).await?;
                learned += 1;
            }
            if told.elapsed() >= TELL {
                info!(events = learned, "learning from imported events");
                told = Instant::now();
            }
            tokio::task::yield_now().await;
        }
        if learned > 0 {
            info!(events = learned, "learned from imported events");
        }
        Ok(learned)
    }

    async fn learn_past(&self, stored: &StoredEvent, is_in: &(dyn Fn(u64) -> bool + Sync)) -> Result<(), StoreError> {
        let sequence = stored.sequence.0;
        let settings = &self.options.behavior;
        let past = match &stored.event {
            Event::Imported(imported) => Some(&imported.event),
            // The list of where they are says otherwise; it is not what counts.
            Event::Access(_) | Event::Summary(_) | Event::Administration(_) => None,
        };
        let site = match past {
            Some(PastEvent::Access(event)) => self.load_of_access(event).await?,
            Some(PastEvent::Summary(summary)) => {
                self.load_of_summary(summary).await?;
                None
            }
            None => None,
        };
        // Both at one moment: a writing has the event, and says so, or neither.
        let mut inner = self.mind.inner();
        match past {
            Some(PastEvent::Access(event)) => inner.memory.learn(event, (Tried::Nothing, site), settings, is_in),
            Some(PastEvent::Summary(summary)) => inner.memory.learn_summary(summary, settings, is_in),
            None => {}
        }
        inner.imported = inner.imported.max(sequence);
        Ok(())
    }
}
