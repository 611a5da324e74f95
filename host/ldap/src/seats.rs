//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listener::Limits;

/// Open connections.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Seats {
    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(self: &Arc<Self>, limits: &Limits) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.all >= limits.connections {
            return None;
        }
        taken.all += 1;
        Some(Seat { seats: Arc::clone(self), address: None })
    }
}

/// The right of one connection to be there. Behind a load balancer it is taken before it is known for whom.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    address: Option<IpAddr>,
}

impl Seat {
    /// Says whose seat it is. False when that address has as many as it may.
    pub(crate) fn name(&mut self, address: IpAddr, limits: &Limits) -> bool {
        let address = whole(address);
        let mut taken = self.seats.lock();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if here >= limits.connections_per_address {
            return false;
        }
        taken.by_address.insert(address, here + 1);
        self.address = Some(address);
        true
    }
}

/// What one host has: an IPv4 address, or an IPv6 network (RFC 4291, section 2.5.4), named by its first address.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = taken.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_and_given_back() {
        let seats = Arc::new(Seats::default());
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let take = |address| seats.take(&limits).and_then(|mut seat| seat.name(address, &limits).then_some(seat));
        let first = take(one);
        let second = take(one);
        assert!(first.is_some() && second.is_some());
        assert!(take(one).is_none());
        let third = take(other);
        assert!(third.is_some());
        assert!(take(other).is_none());
        drop(first);
        assert!(take(one).is_some());
        // One that is not anybody's yet counts among all.
        let nobody = seats.take(&limits);
        assert!(nobody.is_some() && seats.take(&limits).is_none());
        drop(nobody);
        drop(third);
        // The same host under two of its addresses, and another.
        let host = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"].map(|host| host.parse().unwrap());
        let limits = Limits { connections: 10, connections_per_address: 1, ..Limits::default() };
        let mut seen = host.map(|host| (seats.take(&limits).unwrap(), host));
        assert_eq!(seen.each_mut().map(|(seat, host)| seat.name(*host, &limits)), [true, false, true]);
        drop(seen);
        drop(second);
        let left = seats.lock();
        assert_eq!((left.all, left.by_address.len()), (0, 0));
    }
}
