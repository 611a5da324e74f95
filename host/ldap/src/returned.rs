//! What the directory has sent to a client, counted without being read.

use portcullis_core::summary::{MOST_RESULTS, Tally};

use crate::frame::{op, result_code};

/// Result codes that are no failure: success, compareFalse, compareTrue (RFC 4511, appendix A).
const FINE: [u32; 3] = [0, 5, 6];

/// Counters. They stay where they are, so that counting costs neither memory nor time.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    entries: u64,
    octets: u64,
    /// Codes with their numbers, as many as `distinct` says.
    failures: [(u32, u64); MOST_RESULTS],
    distinct: usize,
    /// Failures with other codes.
    others: u64,
}

impl Returned {
    /// A message of the directory's that ends no operation.
    pub(crate) fn message(&mut self, operation: u8, size: usize) {
        self.octets += size as u64;
        self.entries += u64::from(operation == op::SEARCH_ENTRY);
    }

    /// The end of an operation.
    pub(crate) fn result(&mut self, message: &[u8]) {
        if let Ok(code) = result_code(message)
            && !FINE.contains(&code)
        {
            self.failed(code);
        }
    }

    fn failed(&mut self, code: u32) {
        let known = self.failures.get_mut(..self.distinct).unwrap_or_default();
        if let Some((_, count)) = known.iter_mut().find(|(known, _)| *known == code) {
            *count += 1;
        } else if let Some(free) = self.failures.get_mut(self.distinct) {
            *free = (code, 1);
            self.distinct += 1;
        } else {
            self.others += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// Puts everything into the tally and begins anew.
    pub(crate) fn empty_into(&mut self, tally: &mut Tally) {
        let counted = std::mem::take(self);
        tally.entries += counted.entries;
        tally.octets += counted.octets;
        for (code, count) in counted.failures.into_iter().take(counted.distinct) {
            tally.fail(Some(code), count);
        }
        if counted.others > 0 {
            tally.fail(None, counted.others);
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::summary::ResultCount;

    use super::*;

    fn done(code: u8) -> [u8; 14] {
        [0x30, 0x0c, 0x02, 0x01, 0x01, 0x60 | op::SEARCH_DONE, 0x07, 0x0a, 0x01, code, 0x04, 0x00, 0x04, 0x00]
    }

    #[test]
    fn entries_octets_and_failures_are_counted_and_handed_over_once() {
        let mut returned = Returned::default();
        assert!(returned.is_empty());
        for operation in [op::SEARCH_ENTRY, op::SEARCH_REFERENCE, op::SEARCH_ENTRY, op::SEARCH_DONE] {
            returned.message(operation, 100);
        }
        for code in [0, 5, 6, 32, 50, 32] {
            returned.result(&done(code));
        }
        returned.result(&[0x30, 0x00]);
        let mut tally = Tally::default();
        returned.empty_into(&mut tally);
        assert_eq!((tally.entries, tally.octets), (2, 400));
        let count = |code, count| ResultCount { code: Some(code), count };
        assert_eq!(tally.failures, [count(32, 2), count(50, 1)]);
        assert!(returned.is_empty());
        returned.empty_into(&mut tally);
        assert_eq!((tally.entries, tally.failures.len()), (2, 2));
    }

    #[test]
    fn a_directory_with_many_codes_takes_no_memory() {
        let mut returned = Returned::default();
        (10..100).for_each(|code| returned.result(&done(code)));
        let mut tally = Tally::default();
        returned.empty_into(&mut tally);
        assert_eq!(tally.failures.len(), MOST_RESULTS + 1);
        assert_eq!(tally.failures.iter().map(|failure| failure.count).sum::<u64>(), 90);
    }
}
