//! Whether a policy used up its time lately.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For so long a policy counts as slow.
const LATELY: Duration = Duration::from_secs(60);

/// What times are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When it was slow last, in milliseconds since the start and one more; 0 when it never was.
#[derive(Debug, Default)]
pub(super) struct Slow(AtomicU64);

impl Slow {
    pub(super) fn note(&self) {
        self.0.store(millis().saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn is_recent(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            // What is asked before each evaluation looks at no clock.
            0 => false,
            last => millis().saturating_sub(last) < u64::try_from(LATELY.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn millis() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}
