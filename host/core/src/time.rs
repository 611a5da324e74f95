//! Time and randomness come in from outside, so that tests are deterministic and a stored access can be replayed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::EventId;

/// UTC in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment and `by` more, at most the end of time.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> Timestamp;
}

/// Makes identifiers and secrets.
pub trait Ids: Send + Sync {
    /// A new UUID version 7 (RFC 9562, section 5.7) for an access at `at`.
    fn event_id(&self, at: Timestamp) -> EventId;
    /// Bytes from a cryptographically secure source.
    fn random(&self) -> [u8; 16];
}
