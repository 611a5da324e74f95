//! Lines that anybody on the network could fill the log with.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// A line that is written now and then, with the number of those that were left out.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether a line is to be written now: then, how many were left out since the last.
    pub(crate) fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.written.is_some_and(|written| now < written + PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.written = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_while_says_how_many_there_were() {
        let (seldom, begin) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.due(begin), Some(0));
        for second in 1..10 {
            assert_eq!(seldom.due(begin + Duration::from_secs(second)), None);
        }
        assert_eq!(seldom.due(begin + PAUSE), Some(9));
        assert_eq!(seldom.due(begin + PAUSE), None);
        assert_eq!(seldom.due(begin + 3 * PAUSE), Some(1));
    }
}
