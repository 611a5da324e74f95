//! The lines of a file or of standard input, one at a time, with the hash of everything that was read.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::out::hex;

/// Octets of a line; events are smaller.
pub(crate) const LONGEST_LINE: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line, or that it was too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// Without its end.
    Line(&'a [u8]),
    /// More than [`LONGEST_LINE`].
    TooLong,
}

/// Reads lines.
pub(crate) struct Lines {
    from: BufReader<Box<dyn Read>>,
    hash: Sha256,
    line: Vec<u8>,
    /// The line that was read last, from 1 on.
    pub(crate) number: u64,
}

impl Lines {
    /// `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let from: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?)
        };
        Ok(Self::of(from))
    }

    fn of(from: Box<dyn Read>) -> Self {
        let from = BufReader::with_capacity(256 * 1024, from);
        Self { from, hash: Sha256::new(), line: Vec::new(), number: 0 }
    }

    /// The next line that is not empty; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Next<'_>>> {
        loop {
            self.line.clear();
            self.line.shrink_to(LONGEST_LINE);
            let most = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX).saturating_add(1);
            if (&mut self.from).take(most).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.hash.update(&self.line);
            // Windows begins a file so.
            if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if self.line.len() > LONGEST_LINE && self.line.last() != Some(&b'\n') {
                self.skip()?;
                return Ok(Some(Next::TooLong));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Next::Line(self.line.trim_ascii())))
    }

    /// To the end of the line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let there = self.from.fill_buf()?;
            let end = there.iter().position(|octet| *octet == b'\n');
            let count = end.map_or(there.len(), |end| end + 1);
            self.hash.update(there.get(..count).unwrap_or_default());
            let is_over = end.is_some() || count == 0;
            self.from.consume(count);
            if is_over {
                return Ok(());
            }
        }
    }

    /// SHA-256 of everything that was read, in hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_passed_over_and_everything_is_hashed() {
        let long = vec![b'x'; 3 * LONGEST_LINE];
        let text = [BYTE_ORDER_MARK, b"one\r\n\n  \n", &long, b"\ntwo\n", &long[..LONGEST_LINE], b"\nlast"].concat();
        let mut lines = Lines::of(Box::new(io::Cursor::new(text.clone())));
        assert_eq!(lines.next().unwrap(), Some(Next::Line(b"one")));
        assert_eq!(lines.next().unwrap(), Some(Next::TooLong));
        assert_eq!(lines.number, 4);
        assert_eq!(lines.next().unwrap(), Some(Next::Line(b"two")));
        assert!(matches!(lines.next().unwrap(), Some(Next::Line(line)) if line.len() == LONGEST_LINE));
        assert_eq!(lines.next().unwrap(), Some(Next::Line(b"last")));
        assert_eq!(lines.number, 7);
        assert_eq!(lines.next().unwrap(), None);
        let expected: String = Sha256::digest(&text).iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(lines.hash(), expected);
    }
}
