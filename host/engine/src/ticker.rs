//! The clock that ends calls which take too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

use crate::EngineError;

/// Length of a tick of the policies' engine. Each tick wakes a processor; with one of a millisecond, that is some
/// hundredths of what a busy gateway does at all. A call that takes too long is found out this much later.
const TICK: Duration = Duration::from_millis(5);
/// Policy ticks per tick of the connectors' engine, whose guests give way to each other at every tick.
const PER_CONNECTOR_TICK: u32 = 2;

/// An operating system thread, because a runtime whose workers are all kept busy by guests could not count.
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(policies: &Engine, connectors: &Engine) -> Result<Self, EngineError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (policies, connectors, stopped) = (policies.clone(), connectors.clone(), Arc::clone(&stop));
        let tick = move || {
            let mut count = 0_u32;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                policies.increment_epoch();
                count = count.wrapping_add(1);
                if count.is_multiple_of(PER_CONNECTOR_TICK) {
                    connectors.increment_epoch();
                }
            }
        };
        let thread = std::thread::Builder::new().name("plugin-ticker".into()).spawn(tick).map_err(|error| {
            EngineError::Setup(format!("the thread that bounds plugin calls cannot start: {error}"))
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ticks of the policies' engine that a call of this length may see; one more, because the first may come at once.
    pub(crate) fn ticks(duration: Duration) -> u64 {
        let ticks = duration.as_millis().div_ceil(TICK.as_millis()).max(1);
        u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread only counts; it cannot have panicked in a way that anybody could act on.
            let _ = thread.join();
        }
    }
}
