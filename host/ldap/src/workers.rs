//! Threads that serve clients, each with a runtime of its own.
//!
//! A connection stays with one thread, so what it waits for wakes that thread and no other, and what goes from one of its
//! sockets to the other crosses no queue between threads. A new connection comes to the thread that has the fewest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Threads that serve clients. They end when this is dropped, whatever they are at.
#[derive(Debug)]
pub struct Workers {
    places: Places,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

/// The places on those threads. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<[Worker]>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Connections that it serves.
    serves: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts this many.
    ///
    /// # Errors
    /// When the operating system has no thread, or nothing to wait for sockets with.
    pub fn start(count: usize) -> io::Result<Self> {
        let (mut workers, mut threads) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let stop = CancellationToken::new();
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.push(Worker { runtime: runtime.handle().clone(), serves: Arc::default() });
            let stop = stop.clone();
            let thread = thread::Builder::new().name(format!("clients-{number}"));
            threads.push(thread.spawn(move || runtime.block_on(stop.cancelled()))?);
        }
        Ok(Self { places: Places(workers.into()), stop, threads })
    }

    pub(crate) fn places(&self) -> Places {
        self.places.clone()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // It has said on standard error why, if it has panicked.
            let _ = thread.join();
        }
    }
}

impl Places {
    /// Where the next connection is to be served; none where there is no thread.
    pub(crate) fn take(&self) -> Option<Place> {
        let worker = self.0.iter().min_by_key(|worker| worker.serves.load(Ordering::Relaxed))?;
        worker.serves.fetch_add(1, Ordering::Relaxed);
        Some(Place { runtime: worker.runtime.clone(), serves: Arc::clone(&worker.serves) })
    }
}

/// A connection's place on a thread; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) runtime: Handle,
    serves: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serves.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_with_the_fewest_gets_the_next() {
        let workers = Workers::start(2).unwrap();
        let (one, other) = (workers.places().take().unwrap(), workers.places().take().unwrap());
        assert_ne!(one.runtime.id(), other.runtime.id());
        let left = one.runtime.id();
        drop(one);
        assert_eq!(workers.places().take().unwrap().runtime.id(), left);
        let ran = other.runtime.spawn(async { thread::current().name().map(str::to_owned) });
        let ran = Builder::new_current_thread().build().unwrap().block_on(ran).unwrap();
        assert!(ran.unwrap().starts_with("clients-"));
    }

    #[test]
    fn the_end_ends_what_is_under_way() {
        let workers = Workers::start(1).unwrap();
        let place = workers.places().take().unwrap();
        let waiting = place.runtime.spawn(std::future::pending::<()>());
        drop(workers);
        let end = Builder::new_current_thread().build().unwrap().block_on(waiting);
        assert!(end.unwrap_err().is_cancelled());
    }
}
