//! Reading the subset of BER that LDAP allows (RFC 4511, section 5.1), in place and strictly.
//!
//! Strict, because a directory and the gateway must never read the same octets differently: whatever a lenient decoder
//! could take two ways is malformed here. In place, because some of these octets are passwords and must not be copied.

use crate::frame::FrameError;

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const ENUMERATED: u8 = 0x0a;

/// How deep elements may be nested before a message counts as malformed. The recursive decoders of other crates are only
/// shown what is within it. 128 leaves more room than any directory gives a filter.
pub(crate) const MAX_DEPTH: usize = 128;

/// Tag and length of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) tag: u8,
    /// Octets that tag and length take.
    pub(crate) size: usize,
    /// Octets of the value.
    pub(crate) length: usize,
}

/// Reads a tag and a length; none when `octets` end before they do.
pub(crate) fn head(octets: &[u8]) -> Result<Option<Head>, FrameError> {
    let Some((&tag, rest)) = octets.split_first() else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(FrameError::HighTag);
    }
    let Some((&first, rest)) = rest.split_first() else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some(Head { tag, size: 2, length: usize::from(first) }));
    }
    let count = usize::from(first & 0x7f);
    match count {
        0 => return Err(FrameError::Indefinite),
        1..=4 => {}
        _ => return Err(FrameError::LongLength),
    }
    let Some(digits) = rest.get(..count) else { return Ok(None) };
    let length = digits.iter().fold(0_usize, |sum, &digit| (sum << 8) | usize::from(digit));
    Ok(Some(Head { tag, size: 2 + count, length }))
}

/// One element.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
}

impl<'a> Element<'a> {
    /// The value as text, where it is UTF-8.
    pub(crate) fn text(self) -> Result<&'a str, FrameError> {
        std::str::from_utf8(self.value).map_err(|_| FrameError::Malformed)
    }

    /// The value as a number that is not negative and fits (RFC 4511 calls it `INTEGER (0 .. maxInt)`).
    pub(crate) fn number(self) -> Result<i32, FrameError> {
        match self.value {
            [first, ..] if self.value.len() <= 4 && first & 0x80 == 0 => {
                Ok(self.value.iter().fold(0_i32, |sum, &octet| (sum << 8) | i32::from(octet)))
            }
            _ => Err(FrameError::Malformed),
        }
    }
}

/// Reads elements one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next element; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Element<'a>>, FrameError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let head = head(self.0)?.ok_or(FrameError::Malformed)?;
        let (_, rest) = self.0.split_at_checked(head.size).ok_or(FrameError::Malformed)?;
        let (value, rest) = rest.split_at_checked(head.length).ok_or(FrameError::Malformed)?;
        self.0 = rest;
        Ok(Some(Element { tag: head.tag, value }))
    }

    /// The next element, which has to bear this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, FrameError> {
        match self.next()? {
            Some(element) if element.tag == tag => Ok(element),
            _ => Err(FrameError::Malformed),
        }
    }

    /// That nothing follows.
    pub(crate) fn end(self) -> Result<(), FrameError> {
        if self.is_empty() { Ok(()) } else { Err(FrameError::Malformed) }
    }
}

/// Checks that every element lies wholly inside its parent and none is nested deeper than [`MAX_DEPTH`]. Does not recurse.
pub(crate) fn check(octets: &[u8]) -> Result<(), FrameError> {
    let mut open = vec![Reader::new(octets)];
    while let Some(reader) = open.last_mut() {
        match reader.next()? {
            None => {
                open.pop();
            }
            Some(element) if element.tag & 0x20 != 0 => {
                if open.len() >= MAX_DEPTH {
                    return Err(FrameError::Malformed);
                }
                open.push(Reader::new(element.value));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_both_forms() {
        assert_eq!(head(&[0x30, 0x05]), Ok(Some(Head { tag: 0x30, size: 2, length: 5 })));
        assert_eq!(head(&[0x30, 0x84, 0, 0, 1, 2]), Ok(Some(Head { tag: 0x30, size: 6, length: 258 })));
        assert_eq!(head(&[0x30, 0x84, 0, 0]), Ok(None));
        assert_eq!(head(&[0x30, 0x80]), Err(FrameError::Indefinite));
        assert_eq!(head(&[0x30, 0x85]), Err(FrameError::LongLength));
        assert_eq!(head(&[0x7f]), Err(FrameError::HighTag));
    }

    #[test]
    fn a_child_may_not_be_longer_than_its_parent() {
        assert!(check(&[0x30, 0x02, 0x04, 0x00]).is_ok());
        assert_eq!(check(&[0x30, 0x02, 0x04, 0x01, 0x00]), Err(FrameError::Malformed));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| (0..depth).fold(Vec::new(), |inner, _| wrap(&inner));
        assert!(check(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(FrameError::Malformed));
        assert_eq!(check(&nested(20_000)), Err(FrameError::Malformed));
    }

    fn wrap(inner: &[u8]) -> Vec<u8> {
        let length = u32::try_from(inner.len()).unwrap().to_be_bytes();
        [&[0x30, 0x84][..], &length, inner].concat()
    }

    #[test]
    fn numbers_are_neither_negative_nor_long() {
        let number = |value: &[u8]| Element { tag: INTEGER, value }.number();
        assert_eq!(number(&[0x7f, 0xff, 0xff, 0xff]), Ok(i32::MAX));
        assert_eq!(number(&[0x00, 0x01]), Ok(1));
        assert!(number(&[]).is_err());
        assert!(number(&[0x80]).is_err());
        assert!(number(&[0, 0, 0, 0, 1]).is_err());
    }
}
