//! Pauses before something is tried again.

use std::time::Duration;

/// After so many failures before this one: `first`, and each time twice as long, but no longer than `longest`.
pub(crate) fn pause(first: Duration, longest: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_double_up_to_the_longest() {
        let of = |failures| pause(Duration::from_secs(2), Duration::from_secs(300), failures).as_secs();
        assert_eq!([0, 1, 7, 8, u32::MAX].map(of), [2, 4, 256, 300, 300]);
    }
}
