//! The hash chain over batches of events.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// What stands in place of the hash before the first batch.
pub(crate) const START: [u8; 32] = [0; 32];

/// The end of the hash chain at some moment: worth keeping outside of the store. Its text is `NUMBER:HASH` with the
/// hash in 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the batch; the first is 1.
    pub batch: u64,
    /// SHA-256 of the batch and, through the one before, of all earlier ones.
    pub hash: [u8; 32],
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.batch)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a head is the number of a batch, a colon and 64 hexadecimal digits";
        let (number, digits) = text.split_once(':').ok_or(FORM)?;
        let batch = number.parse().map_err(|_| FORM)?;
        let digits = digits.as_bytes();
        if digits.len() != 64 {
            return Err(FORM);
        }
        let mut hash = START;
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().try_fold(0, |value, digit| Some(value * 16 + hex_value(*digit)?)).ok_or(FORM)?;
        }
        Ok(Self { batch, hash })
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The hash of a batch in the making: SHA-256 over the hash before, the number of the batch, and the digest of each of
/// its events. Numbers are 8 bytes, the highest first.
pub(crate) struct BatchHash(Sha256);

impl BatchHash {
    pub(crate) fn new(previous: &[u8; 32], number: u64) -> Self {
        Self(Sha256::new().chain_update(previous).chain_update(number.to_be_bytes()))
    }

    pub(crate) fn add(&mut self, digest: &[u8; 32]) {
        self.0.update(digest);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The hash of one event at its place: SHA-256 over its sequence, the length of its JSON and the JSON.
pub(crate) fn event_digest(sequence: u64, json: &str) -> [u8; 32] {
    // A usize has at most 64 bits on every platform that Rust supports.
    let length = u64::try_from(json.len()).unwrap_or(u64::MAX);
    Sha256::new()
        .chain_update(sequence.to_be_bytes())
        .chain_update(length.to_be_bytes())
        .chain_update(json.as_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_being_written_down() {
        let head = Head { batch: 42, hash: event_digest(7, "{}") };
        assert_eq!(head.to_string().parse(), Ok(head));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in ["", "1", "1:", ":00", "x:00", &format!("1:{}", "0g".repeat(32)), &format!("1:{}", "0".repeat(65))]
        {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_border_between_events_counts() {
        let hash = |events: &[(u64, &str)]| {
            let mut hash = BatchHash::new(&START, 1);
            events.iter().for_each(|(sequence, json)| hash.add(&event_digest(*sequence, json)));
            hash.finish()
        };
        assert_ne!(hash(&[(1, "ab"), (2, "c")]), hash(&[(1, "a"), (2, "bc")]));
        assert_ne!(hash(&[(1, "a"), (2, "b")]), hash(&[(2, "b"), (1, "a")]));
    }
}
