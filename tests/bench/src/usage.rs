//! What this process has used so far.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Totals over all threads, the ended ones included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time in the program.
    pub(crate) user: Duration,
    /// Processor time in the kernel on the program's behalf.
    pub(crate) system: Duration,
    /// How often a thread gave up its processor by itself, mostly to wait.
    pub(crate) waits: u64,
}

impl Usage {
    /// # Errors
    /// The kernel's, which gives none for a process that asks about itself.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok(Self {
            user: duration(usage.user_time()),
            system: duration(usage.system_time()),
            waits: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
        })
    }

    /// What has been used between an earlier moment and this one.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            waits: self.waits.saturating_sub(earlier.waits),
        }
    }
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_usec() + time.tv_sec() * 1_000_000;
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
