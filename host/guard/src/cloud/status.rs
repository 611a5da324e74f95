//! How reading a source goes, for people and for whoever watches the gateway.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::cloud::SourceStatus;
use portcullis_core::{ConnectorName, Timestamp};

/// A source that is not complete up to so long ago is behind.
const BEHIND: Duration = Duration::from_secs(600);

pub(super) struct Status(Mutex<SourceStatus>);

impl Status {
    pub(super) fn new(source: ConnectorName) -> Self {
        Self(Mutex::new(SourceStatus {
            source,
            last_success: None,
            last_error: None,
            complete_to: None,
            behind: false,
            stored: 0,
            again: 0,
            polls: 0,
            failures: 0,
        }))
    }

    pub(super) fn get(&self, now: Timestamp) -> SourceStatus {
        let mut status = self.inner().clone();
        status.behind |= status.complete_to.is_some_and(|to| now.since(to) > BEHIND);
        status
    }

    /// Where the source stood when the gateway ended.
    pub(super) fn begin(&self, complete_to: Option<Timestamp>) {
        self.inner().complete_to = complete_to;
    }

    /// Says whether there was trouble before.
    pub(super) fn read(
        &self,
        now: Timestamp,
        stored: u64,
        again: u64,
        complete_to: Option<Timestamp>,
        more: bool,
    ) -> bool {
        let mut status = self.inner();
        status.last_success = Some(now);
        status.complete_to = complete_to;
        status.behind = more;
        status.stored += stored;
        status.again += again;
        status.polls += 1;
        status.last_error.take().is_some()
    }

    /// Says whether this is news.
    pub(super) fn failed(&self, now: Timestamp, why: &str) -> bool {
        let mut status = self.inner();
        status.failures += 1;
        let is_news = status.last_error.as_ref().is_none_or(|(_, known)| known != why);
        status.last_error = Some((now, why.to_owned()));
        is_news
    }

    fn inner(&self) -> MutexGuard<'_, SourceStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
