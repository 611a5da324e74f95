//! SQLite's integers have a sign, ours mostly have none. What does not fit becomes the nearest number that does.

use portcullis_core::Timestamp;

pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn millis(at: Timestamp) -> i64 {
    signed(at.0)
}

pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp(unsigned(millis))
}
