//! How many may be inside at once, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a stream keeps its seat; who still listens then asks for another one.
pub(crate) const LONGEST_STREAM: Duration = Duration::from_secs(3_600);

/// A room with a number of seats.
#[derive(Debug)]
pub(crate) struct Seats {
    in_all: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

/// Memory is bounded because an address is only listed while it has a seat.
#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Seats {
    pub(crate) fn new(in_all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { in_all, per_address, taken: Mutex::default() })
    }

    /// A seat until the value is dropped; none when they are all taken.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut taken = self.lock();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.in_all >= self.in_all || here >= self.per_address {
            return None;
        }
        taken.in_all += 1;
        taken.by_address.insert(address, here + 1);
        Some(Seat { seats: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A taken seat.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.in_all = taken.in_all.saturating_sub(1);
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn seats_are_bounded_in_all_and_per_address_and_come_back() {
        let seats = Seats::new(3, 2);
        let first = seats.take(address(1)).unwrap();
        let _second = seats.take(address(1)).unwrap();
        assert!(seats.take(address(1)).is_none(), "two from one address");
        let _third = seats.take(address(2)).unwrap();
        assert!(seats.take(address(3)).is_none(), "three in all");
        drop(first);
        assert!(seats.take(address(3)).is_some());
        assert_eq!(seats.lock().by_address.len(), 2, "an address without a seat is forgotten");
    }
}
