//! The real clock and the real source of randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_core::{Clock, EventId, Ids, Timestamp};

/// The machine's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Ids for System {
    fn event_id(&self, at: Timestamp) -> EventId {
        let mut random = [0; 10];
        random.copy_from_slice(self.random().get(..10).unwrap_or(&[0; 10]));
        EventId(uuid::Builder::from_unix_timestamp_millis(at.0, &random).into_uuid())
    }

    #[expect(clippy::expect_used, reason = "a gateway without randomness must not make identifiers or links")]
    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has a source of randomness");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_are_version_seven_and_sort_by_time() {
        let (early, late) = (System.event_id(Timestamp(1_000)), System.event_id(Timestamp(2_000)));
        assert_eq!(early.0.get_version_num(), 7);
        assert!(early < late);
        assert_ne!(System.event_id(Timestamp(1_000)), early);
    }
}
