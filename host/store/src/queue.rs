//! Where writes wait for the writer's thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bounded queue with many who put and one who takes. Who puts wakes the one who takes only when there is as much as that waits
/// for: each waking costs about as much as a row.
pub(crate) struct Queue<T> {
    capacity: usize,
    inner: Mutex<Inner<T>>,
    ready: Condvar,
}

struct Inner<T> {
    waiting: VecDeque<T>,
    /// How many are to wait before the one who takes is woken; `usize::MAX` while it is awake.
    wake_at: usize,
    is_closed: bool,
}

/// Why something was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { waiting: VecDeque::new(), wake_at: usize::MAX, is_closed: false };
        Self { capacity, inner: Mutex::new(inner), ready: Condvar::new() }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.inner().waiting.len()
    }

    pub(crate) fn put(&self, what: T) -> Result<(), Refusal> {
        let mut inner = self.inner();
        if inner.is_closed {
            return Err(Refusal::Closed);
        }
        if inner.waiting.len() >= self.capacity {
            return Err(Refusal::Full);
        }
        inner.waiting.push_back(what);
        if inner.waiting.len() >= inner.wake_at {
            inner.wake_at = usize::MAX;
            drop(inner);
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Nothing is put any more; what waits is still to be taken.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.is_closed = true;
        inner.wake_at = usize::MAX;
        drop(inner);
        self.ready.notify_one();
    }

    /// Nobody takes any more. What waits is dropped.
    pub(crate) fn abandon(&self) {
        let mut inner = self.inner();
        inner.is_closed = true;
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(waiting);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner().is_closed
    }

    /// Takes what there is, at most `most`, and waits until there is something; once there is, it waits for `wanted` to be
    /// there, but no longer than `patience`. Nothing is taken once the queue is closed and empty.
    pub(crate) fn take(&self, wanted: usize, patience: Duration, most: usize, taken: &mut Vec<T>) {
        let mut inner = self.inner();
        while inner.waiting.is_empty() && !inner.is_closed {
            inner.wake_at = 1;
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.waiting.len() < wanted && !inner.is_closed {
            inner.wake_at = wanted;
            let is_less = |inner: &mut Inner<T>| inner.waiting.len() < wanted && !inner.is_closed;
            let waited = self.ready.wait_timeout_while(inner, patience, is_less);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.wake_at = usize::MAX;
        let count = inner.waiting.len().min(most);
        taken.extend(inner.waiting.drain(..count));
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn take(queue: &Queue<u32>, wanted: usize, patience: Duration, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        queue.take(wanted, patience, most, &mut taken);
        taken
    }

    #[test]
    fn what_is_there_comes_in_order_and_no_more_than_asked_for() {
        let queue = Queue::new(10);
        (0..5).for_each(|number| queue.put(number).unwrap());
        assert_eq!(queue.len(), 5);
        assert_eq!(take(&queue, 1, LONG, 3), [0, 1, 2]);
        assert_eq!(take(&queue, 1, LONG, 3), [3, 4]);
    }

    #[test]
    fn a_full_or_closed_queue_refuses_and_gives_what_it_has() {
        let queue = Queue::new(2);
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        assert_eq!(queue.put(3), Err(Refusal::Full));
        assert!(!queue.is_closed());
        queue.close();
        assert_eq!(queue.put(3), Err(Refusal::Closed));
        // Nobody is waited for any more.
        assert_eq!(take(&queue, 5, LONG, 10), [1, 2]);
        assert!(take(&queue, 5, LONG, 10).is_empty());
    }

    #[test]
    fn it_waits_for_as_many_as_are_wanted_and_not_for_ever() {
        let queue = Arc::new(Queue::new(10));
        let putting = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                for number in 0..3 {
                    thread::sleep(Duration::from_millis(20));
                    queue.put(number).unwrap();
                }
            }
        });
        assert_eq!(take(&queue, 3, LONG, 10), [0, 1, 2]);
        putting.join().unwrap();
        queue.put(7).unwrap();
        let began = Instant::now();
        assert_eq!(take(&queue, 3, Duration::from_millis(30), 10), [7]);
        assert!(began.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn closing_wakes_who_waits() {
        let queue = Arc::new(Queue::<u32>::new(1));
        let taking = thread::spawn({
            let queue = Arc::clone(&queue);
            move || take(&queue, 1, LONG, 1)
        });
        thread::sleep(Duration::from_millis(20));
        queue.close();
        assert!(taking.join().unwrap().is_empty());
    }

    #[test]
    fn what_waits_is_dropped_when_nobody_takes_any_more() {
        let (queue, watched) = (Queue::new(4), Arc::new(()));
        queue.put(Arc::clone(&watched)).unwrap();
        queue.abandon();
        assert_eq!(Arc::strong_count(&watched), 1);
        assert_eq!(queue.put(watched), Err(Refusal::Closed));
    }
}
