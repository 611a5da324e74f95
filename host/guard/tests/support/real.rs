//! The real time, and ids that nobody else has: for tests with a real store, which outlives a guard.

use std::time::Instant;

use portcullis_core::{Clock, EventId, Ids, Timestamp};

pub struct Real;

impl Clock for Real {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(u64::try_from(since.as_millis()).unwrap())
    }
}

impl Ids for Real {
    /// Begins with its time, as ids of version 7 do (RFC 9562, section 5.7).
    fn event_id(&self, at: Timestamp) -> EventId {
        let random = u128::from_be_bytes(self.random()) >> 52;
        EventId(uuid::Uuid::from_u128(u128::from(at.0) << 80 | 7 << 76 | random))
    }
    fn random(&self) -> [u8; 16] {
        use std::hash::{BuildHasher as _, RandomState};
        // Each state has keys of its own.
        let half = || RandomState::new().hash_one(Instant::now()).to_be_bytes();
        [half(), half()].concat().try_into().unwrap()
    }
}
