//! Rate limits: a budget for every kind of request and window of time.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::fault::Call;

/// Buckets by kind of request.
pub(super) struct Limits {
    default_limit: u32,
    own_limits: HashMap<Call, u32>,
    window: Duration,
    buckets: HashMap<Call, Bucket>,
}

struct Bucket {
    used: u32,
    ends: Timestamp,
}

/// What the headers of an answer tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// When the window ends, in seconds of the UTC epoch.
    pub(super) reset: i64,
}

impl Limits {
    pub(super) fn new(default_limit: u32, window: Duration) -> Self {
        Self { default_limit, own_limits: HashMap::new(), window, buckets: HashMap::new() }
    }

    /// Changes a limit, for one kind of request or for all, and starts new windows.
    pub(super) fn set(&mut self, call: Option<Call>, limit: u32) {
        match call {
            Some(call) => {
                self.own_limits.insert(call, limit);
                self.buckets.remove(&call);
            }
            None => {
                self.default_limit = limit;
                self.own_limits.clear();
                self.buckets.clear();
            }
        }
    }

    /// Takes one request from the budget; nothing is taken when none is left.
    pub(super) fn take(&mut self, call: Call, now: Timestamp) -> Result<Budget, Budget> {
        let limit = self.limit(call);
        let bucket = self.bucket(call, now);
        let left = bucket.used < limit;
        if left {
            bucket.used += 1;
        }
        let budget = self.peek(call, now);
        if left { Ok(budget) } else { Err(budget) }
    }

    /// The budget as it is.
    pub(super) fn peek(&mut self, call: Call, now: Timestamp) -> Budget {
        let limit = self.limit(call);
        let bucket = self.bucket(call, now);
        // Rounded up, so that whoever waits until then meets a new window.
        let reset = bucket.ends.as_second() + i64::from(bucket.ends.subsec_nanosecond() > 0);
        Budget { limit, remaining: limit.saturating_sub(bucket.used), reset }
    }

    fn limit(&self, call: Call) -> u32 {
        self.own_limits.get(&call).copied().unwrap_or(self.default_limit)
    }

    fn bucket(&mut self, call: Call, now: Timestamp) -> &mut Bucket {
        let window = self.window;
        let fresh = || Bucket { used: 0, ends: now.checked_add(window).unwrap_or(Timestamp::MAX) };
        let bucket = self.buckets.entry(call).or_insert_with(fresh);
        if bucket.ends <= now {
            *bucket = fresh();
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_and_comes_back() {
        let mut limits = Limits::new(2, Duration::from_secs(60));
        let now = Timestamp::from_second(1_000).unwrap();
        assert_eq!(limits.take(Call::Poll, now), Ok(Budget { limit: 2, remaining: 1, reset: 1_060 }));
        assert!(limits.take(Call::Poll, now).is_ok());
        assert_eq!(limits.take(Call::Poll, now), Err(Budget { limit: 2, remaining: 0, reset: 1_060 }));
        assert!(limits.take(Call::Verify, now).is_ok(), "another kind has its own budget");
        let later = Timestamp::from_second(1_060).unwrap();
        assert!(limits.take(Call::Poll, later).is_ok());
        limits.set(Some(Call::Poll), 0);
        assert!(limits.take(Call::Poll, later).is_err());
    }
}
