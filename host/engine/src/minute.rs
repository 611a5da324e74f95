//! So many per minute.

use std::time::Duration;

use portcullis_core::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts within windows of one minute; the first use opens a window.
#[derive(Debug)]
pub(crate) struct Minute {
    limit: u32,
    opened: Timestamp,
    used: u32,
}

/// Whether one more is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Yes.
    Granted,
    /// No, for the first time in this window.
    JustUsedUp,
    /// No.
    UsedUp,
}

impl Minute {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, opened: Timestamp(0), used: 0 }
    }

    /// How long to wait until less than half of the window is used up; none when that is so now. Takes nothing.
    pub(crate) fn half_is_used(&self, now: Timestamp) -> Option<Duration> {
        (!self.is_over(now) && self.used >= self.limit.div_ceil(2)).then(|| MINUTE - now.since(self.opened))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        // A clock that was set back opens a new window too, otherwise the plugin would be muted until it caught up.
        now < self.opened || now.since(self.opened) >= MINUTE
    }

    pub(crate) fn take(&mut self, now: Timestamp) -> Allowance {
        if self.is_over(now) {
            self.opened = now;
            self.used = 0;
        }
        let before = self.used;
        self.used = self.used.saturating_add(1);
        match before.cmp(&self.limit) {
            std::cmp::Ordering::Less => Allowance::Granted,
            std::cmp::Ordering::Equal => Allowance::JustUsedUp,
            std::cmp::Ordering::Greater => Allowance::UsedUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_core::Timestamp;

    use super::{Allowance, Minute};

    #[test]
    fn the_limit_holds_within_a_minute_and_the_next_one_starts_anew() {
        let mut minute = Minute::new(2);
        let seen: Vec<_> = (0..4).map(|_| minute.take(Timestamp(1_000_000))).collect();
        assert_eq!(seen, [Allowance::Granted, Allowance::Granted, Allowance::JustUsedUp, Allowance::UsedUp]);
        assert_eq!(minute.take(Timestamp(1_059_999)), Allowance::UsedUp);
        assert_eq!(minute.take(Timestamp(1_060_000)), Allowance::Granted);
    }

    #[test]
    fn half_of_a_minute_can_be_left_to_others() {
        let mut minute = Minute::new(3);
        assert_eq!(minute.half_is_used(Timestamp(1_000_000)), None);
        minute.take(Timestamp(1_000_000));
        assert_eq!(minute.half_is_used(Timestamp(1_000_001)), None);
        minute.take(Timestamp(1_000_000));
        assert_eq!(minute.half_is_used(Timestamp(1_020_000)), Some(Duration::from_secs(40)));
        assert_eq!(minute.half_is_used(Timestamp(1_060_000)), None);
        assert_eq!(minute.half_is_used(Timestamp(999_999)), None);
    }

    #[test]
    fn a_clock_set_back_does_not_lock_anybody_out() {
        let mut minute = Minute::new(1);
        assert_eq!(minute.take(Timestamp(9_000_000)), Allowance::Granted);
        assert_eq!(minute.take(Timestamp(9_000_001)), Allowance::JustUsedUp);
        assert_eq!(minute.take(Timestamp(1_000_000)), Allowance::Granted);
    }
}
