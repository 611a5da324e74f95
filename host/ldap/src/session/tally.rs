//! What a connection does that nobody watches: counted here, summed up once a minute, at another bind and at the end.
//!
//! Counting is part of forwarding a request, so it takes no lock, no memory and no look at the clock. The clock is asked
//! when the first of a minute was counted, and the base of a search is read only while there is room for another one.

use std::time::Duration;

use portcullis_core::OperationKind;
use portcullis_core::gate::{Claim, Gate, Summary};
use portcullis_core::summary::{self, LONGEST_BASE, MOST_BASES};
use tokio::time::Instant;

use super::Session;
use crate::decode;
use crate::frame::{Frame, op};

/// Counters of what was passed.
pub(super) struct Tally {
    /// Summaries are wanted.
    on: bool,
    /// Who did it. It lags behind the session's claim while a bind is under way, so that answers to what was asked before
    /// are counted as his who asked.
    who: Claim,
    total: u64,
    passed: [u64; OperationKind::ALL.len()],
    bases: Vec<Box<[u8]>>,
    /// Since when there is something to tell.
    opened: Option<Instant>,
}

impl Tally {
    pub(super) fn new(on: bool) -> Self {
        let passed = [0; OperationKind::ALL.len()];
        Self { on, who: Claim::Anonymous, total: 0, passed, bases: Vec::new(), opened: None }
    }

    /// The base of a search that is not known yet, if there is room for it.
    pub(super) fn new_base(&self, frame: &Frame) -> Option<Box<[u8]>> {
        if !self.on || self.bases.len() >= MOST_BASES || frame.op() != op::SEARCH {
            return None;
        }
        let base = decode::search_base(frame)?;
        let base = base.get(..LONGEST_BASE).unwrap_or(base);
        let known = self.bases.iter().any(|known| known.eq_ignore_ascii_case(base));
        (!known).then(|| base.into())
    }

    /// The gate has let a request pass.
    pub(super) fn passed(&mut self, kind: OperationKind, base: Option<Box<[u8]>>) {
        if !self.on {
            return;
        }
        self.total += 1;
        if let Some(count) = self.passed.get_mut(kind as usize) {
            *count += 1;
        }
        self.bases.extend(base);
    }

    /// When there has to be a summary.
    pub(super) fn due(&self, period: Duration) -> Option<Instant> {
        self.opened.map(|opened| opened + period)
    }

    fn take(&mut self) -> summary::Tally {
        self.total = 0;
        let passed = std::mem::take(&mut self.passed);
        let operations = OperationKind::ALL.into_iter().zip(passed).filter(|(_, count)| *count > 0).collect();
        let bases = std::mem::take(&mut self.bases);
        let bases = bases.iter().map(|base| String::from_utf8_lossy(base).into_owned()).collect();
        summary::Tally { operations, bases, ..summary::Tally::default() }
    }
}

impl<G: Gate> Session<'_, G> {
    /// Starts the minute of what was counted first.
    pub(super) fn note_first(&mut self) {
        let counted = self.tally.total > 0 || !self.outstanding.returned.is_empty();
        if counted && self.tally.opened.is_none() && self.tally.on {
            self.tally.opened = Some(Instant::now());
        }
    }

    /// Hands over what was counted, if there is anything.
    pub(super) fn summarize(&mut self, continues: bool) {
        let age = self.tally.opened.take().map_or(Duration::ZERO, |opened| opened.elapsed());
        if !self.tally.on || self.tally.total == 0 && self.outstanding.returned.is_empty() {
            return;
        }
        let mut tally = self.tally.take();
        self.outstanding.returned.empty_into(&mut tally);
        let (connection, claim) = (self.connection.clone(), self.tally.who.clone());
        self.shared.gate().summarize(Summary { connection, claim, age, continues, tally });
    }

    /// A bind has ended: what was counted so far was done by whoever the client was before, if that is somebody else.
    pub(super) fn identify(&mut self) {
        if self.tally.who != self.claim {
            self.summarize(false);
            self.tally.who = self.claim.clone();
        }
    }
}
