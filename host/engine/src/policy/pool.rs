//! A bounded number of places, and what is kept warm for whoever takes one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// At most so many are inside at once; idle things wait for the next one.
pub(super) struct Pool<T> {
    state: Mutex<State<T>>,
    freed: Condvar,
    places: usize,
}

struct State<T> {
    idle: Vec<T>,
    inside: usize,
    /// Who waits for a place. Telling nobody would be a system call for each evaluation.
    waiting: usize,
}

/// A place inside; left when dropped.
pub(super) struct Place<'a, T>(&'a Pool<T>);

impl<T> Pool<T> {
    pub(super) fn new(places: usize, first: T) -> Self {
        let state = State { idle: vec![first], inside: 0, waiting: 0 };
        Self { state: Mutex::new(state), freed: Condvar::new(), places: places.max(1) }
    }

    /// Takes a place and something idle, if there is any; the newest, whose memory is most likely still in the caches.
    /// None when no place became free within `patience`.
    pub(super) fn enter(&self, patience: Duration) -> Option<(Place<'_, T>, Option<T>)> {
        let full = |state: &mut State<T>| state.inside >= self.places;
        let mut state = self.lock();
        if full(&mut state) {
            state.waiting = state.waiting.saturating_add(1);
            let waited = self.freed.wait_timeout_while(state, patience, full).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            state.waiting = state.waiting.saturating_sub(1);
            if waited.1.timed_out() {
                return None;
            }
        }
        state.inside = state.inside.saturating_add(1);
        let idle = state.idle.pop();
        Some((Place(self), idle))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that is done under the lock can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Place<'_, T> {
    /// Leaves the place, and something for the next one.
    pub(super) fn give_back(self, thing: T) {
        self.0.lock().idle.push(thing);
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.inside = state.inside.saturating_sub(1);
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pool;

    #[test]
    fn what_is_given_back_is_taken_again_and_what_is_kept_is_gone() {
        let pool = Pool::new(2, "first");
        let (place, thing) = pool.enter(Duration::ZERO).unwrap();
        assert_eq!(thing, Some("first"));
        place.give_back("second");
        let (place, thing) = pool.enter(Duration::ZERO).unwrap();
        assert_eq!(thing, Some("second"));
        drop(place);
        assert_eq!(pool.enter(Duration::ZERO).unwrap().1, None);
    }

    #[test]
    fn a_full_pool_makes_wait_and_then_says_no() {
        let pool = Pool::new(1, ());
        let (place, _) = pool.enter(Duration::ZERO).unwrap();
        assert!(pool.enter(Duration::from_millis(5)).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.enter(Duration::from_secs(20)).is_some());
            std::thread::sleep(Duration::from_millis(10));
            drop(place);
            assert!(waiting.join().unwrap());
        });
        assert!(pool.enter(Duration::ZERO).is_some(), "nobody is counted twice");
    }
}
