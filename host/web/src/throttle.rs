//! Slows down whoever guesses passwords.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::Timestamp;
use sha2::{Digest as _, Sha256};

/// So many attempts go through at once; people mistype.
const FREE: u32 = 5;
/// The longest delay for a login, whoever tries. Who tries from many networks can take each of its turns, so it does not hold
/// where that login has signed in from before.
const LONGEST_FOR_LOGIN: Duration = Duration::from_secs(30);
/// The longest delay for an address.
const LONGEST_FOR_ADDRESS: Duration = Duration::from_secs(900);
/// Attempts are forgotten after this.
const MEMORY: Duration = Duration::from_secs(3_600);
/// So many logins, and as many addresses, are remembered.
const REMEMBERED: usize = 4_096;

/// Counts attempts per login and per address.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    logins: Table<[u8; 32]>,
    addresses: Table<IpAddr>,
    /// Networks that a login has signed in from.
    known: Table<([u8; 32], IpAddr)>,
}

impl Throttle {
    /// Takes note of an attempt, before it is known how it ends: attempts at the same time count as well.
    ///
    /// # Errors
    /// How long to wait, when it comes too early. It is not counted then.
    pub(crate) fn attempt(&self, login: &str, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (login, address) = (login_key(login), network(address));
        let is_known = tables.known.0.contains_key(&(login, address));
        let for_login = if is_known { Duration::ZERO } else { tables.logins.wait(&login, LONGEST_FOR_LOGIN, now) };
        let wait = for_login.max(tables.addresses.wait(&address, LONGEST_FOR_ADDRESS, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        tables.logins.count(login, now);
        tables.addresses.count(address, now);
        Ok(())
    }

    /// Forgets the attempts of somebody who knew the password, and remembers from where.
    pub(crate) fn forget(&self, login: &str, address: IpAddr, now: Timestamp) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (login, address) = (login_key(login), network(address));
        tables.logins.0.remove(&login);
        tables.addresses.0.remove(&address);
        tables.known.count((login, address), now);
    }
}

/// Fixed in size, however long the login is.
fn login_key(login: &str) -> [u8; 32] {
    Sha256::digest(login).into()
}

/// An IPv6 client usually has a whole /64 to choose addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Attempts>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug, Clone, Copy)]
struct Attempts {
    count: u32,
    latest: Timestamp,
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn wait(&self, key: &K, longest: Duration, now: Timestamp) -> Duration {
        // What is later than now is from before the clock was set back: nobody knows how long ago that is.
        let counts = |attempts: &&Attempts| attempts.latest <= now && now.since(attempts.latest) < MEMORY;
        let Some(attempts) = self.0.get(key).filter(counts) else {
            return Duration::ZERO;
        };
        let Some(beyond) = attempts.count.checked_sub(FREE) else {
            return Duration::ZERO;
        };
        let delay = Duration::from_secs(1 << beyond.min(20)).min(longest);
        delay.saturating_sub(now.since(attempts.latest))
    }

    fn count(&mut self, key: K, now: Timestamp) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.0.retain(|_, attempts| now.since(attempts.latest) < MEMORY);
        }
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, attempts)| attempts.latest).map(|(key, _)| key.clone());
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        let attempts = self.0.entry(key).or_insert(Attempts { count: 0, latest: now });
        if now.since(attempts.latest) >= MEMORY {
            attempts.count = 0;
        }
        attempts.count = attempts.count.saturating_add(1);
        attempts.latest = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        IpAddr::from([10, 0, high, low])
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn the_delay_of_an_address_grows_and_has_an_end() {
        let throttle = Throttle::default();
        let (mut now, mut waits) = (0, Vec::new());
        for attempt in 0..FREE + 12 {
            // Another login each time, so that only the address counts.
            let login = format!("login-{attempt}");
            if let Err(wait) = throttle.attempt(&login, address(1), seconds(now)) {
                waits.push(wait.as_secs());
                now += wait.as_secs();
                throttle.attempt(&login, address(1), seconds(now)).unwrap();
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert!(throttle.attempt("x", address(2), seconds(now)).is_ok(), "another address may try");
        assert!(throttle.attempt("x", address(1), seconds(now + 3_600)).is_ok(), "after an hour it may again");
    }

    #[test]
    fn the_delay_of_a_login_does_not_lock_its_owner_out_for_long() {
        let throttle = Throttle::default();
        let mut now = 0;
        for attempt in 0..100 {
            if let Err(wait) = throttle.attempt("admin", address(attempt), seconds(now)) {
                assert!(wait <= LONGEST_FOR_LOGIN);
                now += wait.as_secs();
                throttle.attempt("admin", address(attempt), seconds(now)).unwrap();
            }
        }
        assert_eq!(throttle.attempt("admin", address(200), seconds(now)), Err(LONGEST_FOR_LOGIN));
        throttle.forget("admin", address(200), seconds(now));
        assert!(throttle.attempt("admin", address(200), seconds(now)).is_ok());
    }

    #[test]
    fn who_has_signed_in_from_a_network_does_not_wait_for_those_who_try_from_others() {
        let throttle = Throttle::default();
        throttle.forget("admin", address(1), seconds(0));
        for other in 2..200 {
            let _ = throttle.attempt("admin", address(other), seconds(0));
        }
        assert!(throttle.attempt("admin", address(300), seconds(0)).is_err());
        for _ in 0..FREE {
            assert!(throttle.attempt("admin", address(1), seconds(0)).is_ok());
        }
        assert!(throttle.attempt("admin", address(1), seconds(0)).is_err(), "the network itself guesses");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_until_it_has_caught_up() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            throttle.attempt("admin", address(1), seconds(9_000)).unwrap();
        }
        assert!(throttle.attempt("admin", address(1), seconds(9_000)).is_err());
        assert!(throttle.attempt("admin", address(1), seconds(100)).is_ok());
        assert_eq!(throttle.attempt("admin", address(1), seconds(100)), Err(Duration::from_secs(2)), "and counts on");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let throttle = Throttle::default();
        for host in 0..FREE {
            throttle.attempt(&format!("l{host}"), format!("2001:db8::{host}").parse().unwrap(), seconds(0)).unwrap();
        }
        assert!(throttle.attempt("l", "2001:db8::ffff".parse().unwrap(), seconds(0)).is_err());
        assert!(throttle.attempt("l", "2001:db8:0:1::1".parse().unwrap(), seconds(0)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut table = Table::default();
        for key in 0..REMEMBERED as u64 + 10 {
            table.count(key, seconds(key / 100));
        }
        assert_eq!(table.0.len(), REMEMBERED);
        assert!(table.0.contains_key(&(REMEMBERED as u64 + 9)));
    }
}
