//! The real clock and the real source of randomness.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
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
        EventId(uuid::Builder::from_unix_timestamp_millis(at.0, &for_one_id()).into_uuid())
    }

    #[expect(clippy::expect_used, reason = "a gateway without randomness must not make identifiers or links")]
    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has a source of randomness");
        bytes
    }
}

/// Does what a command line asks for.
///
/// # Errors
/// The system gives no threads, or what was done failed.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(work)
}

/// What a version 7 UUID has of randomness (RFC 9562, section 5.7), a whole number of bytes.
const ID_BYTES: usize = 10;
/// For how many ids the system is asked at once. Each access has an id, and a call of the system costs as much as all the
/// rest of making it.
const AT_ONCE: usize = 64;

thread_local! {
    /// Random bytes that no id has had, and how many ids they are good for.
    static STOCK: Cell<([u8; ID_BYTES * AT_ONCE], usize)> = const { Cell::new(([0; ID_BYTES * AT_ONCE], 0)) };
}

#[expect(clippy::expect_used, reason = "a gateway without randomness must not make identifiers")]
fn for_one_id() -> [u8; ID_BYTES] {
    STOCK.with(|stock| {
        let (mut bytes, mut left) = stock.get();
        if left == 0 {
            getrandom::fill(&mut bytes).expect("the operating system has a source of randomness");
            left = AT_ONCE;
        }
        left -= 1;
        let (ids, _) = bytes.as_chunks::<ID_BYTES>();
        let id = ids.get(left).copied().expect("there are as many as were counted");
        stock.set((bytes, left));
        id
    })
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
