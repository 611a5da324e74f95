//! Memory for large messages, over all connections of a listener.
//!
//! Each connection may hold a little without asking; beyond that they share one amount, so that nobody can fill the memory
//! by opening many connections and beginning a large message on each.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets that each connection may hold without asking.
const FREE: usize = 256 * 1024;

/// Octets that are taken.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicUsize);

/// What one connection has of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share<'r> {
    room: &'r Room,
    taken: usize,
}

impl<'r> Share<'r> {
    pub(crate) fn new(room: &'r Room) -> Self {
        Self { room, taken: 0 }
    }

    /// The connection holds this many octets. False, and nothing changes, when all of them together would have more than
    /// `most`.
    pub(crate) fn hold(&mut self, octets: usize, most: usize) -> bool {
        let wanted = octets.saturating_sub(FREE);
        if wanted == self.taken {
            return true;
        }
        let change = |all: usize| {
            let all = all - self.taken + wanted;
            (wanted < self.taken || all <= most).then_some(all)
        };
        let fits = self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok();
        if fits {
            self.taken = wanted;
        }
        fits
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_share_what_there_is_and_small_ones_always_fit() {
        let room = Room::default();
        let (mut one, mut other) = (Share::new(&room), Share::new(&room));
        assert!(one.hold(FREE + 60, 100) && other.hold(FREE + 40, 100));
        assert!(!other.hold(FREE + 41, 100) && other.hold(FREE, 100) && other.hold(FREE + 40, 100));
        assert!(Share::new(&room).hold(FREE, 100));
        // Less is always fine, also where the limit was made smaller.
        assert!(one.hold(FREE + 50, 10));
        drop(one);
        assert_eq!(room.0.load(Ordering::Relaxed), 40);
        drop(other);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
