//! Building and walking BER (X.690) as LDAP uses it (RFC 4511, section 5.1). Nothing here checks anything: what is wrong
//! on purpose can be built as well as what is right.

use std::ops::Range;

pub(super) type Octets = Vec<u8>;

/// An element with its length in the shortest form.
pub(super) fn tlv(tag: u8, value: impl AsRef<[u8]>) -> Octets {
    let value = value.as_ref();
    let mut octets = vec![tag];
    match u8::try_from(value.len()) {
        Ok(length) if length < 0x80 => octets.push(length),
        _ => {
            let digits = u32::try_from(value.len()).unwrap().to_be_bytes();
            let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
            octets.push(0x80 | u8::try_from(4 - zeros).unwrap());
            octets.extend_from_slice(&digits[zeros..]);
        }
    }
    octets.extend_from_slice(value);
    octets
}

/// An element with its length in four octets, however short it is.
pub(super) fn long(tag: u8, value: impl AsRef<[u8]>) -> Octets {
    let value = value.as_ref();
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, value].concat()
}

pub(super) fn seq(parts: &[Octets]) -> Octets {
    tlv(0x30, parts.concat())
}

pub(super) fn set(parts: &[Octets]) -> Octets {
    tlv(0x31, parts.concat())
}

/// OCTET STRING.
pub(super) fn text(value: impl AsRef<[u8]>) -> Octets {
    tlv(0x04, value)
}

fn shortest(number: i64) -> Octets {
    let digits = number.to_be_bytes();
    let start = (0..7).find(|&at| {
        let filler = digits[at] == 0 && digits[at + 1] < 0x80 || digits[at] == 0xff && digits[at + 1] >= 0x80;
        !filler
    });
    digits[start.unwrap_or(7)..].to_vec()
}

pub(super) fn int(number: i64) -> Octets {
    tlv(0x02, shortest(number))
}

pub(super) fn enumerated(number: i64) -> Octets {
    tlv(0x0a, shortest(number))
}

pub(super) fn boolean(yes: bool) -> Octets {
    tlv(0x01, [if yes { 0xff } else { 0 }])
}

/// A primitive element of the context class.
pub(super) fn context(number: u8, value: impl AsRef<[u8]>) -> Octets {
    tlv(0x80 | number, value)
}

/// A constructed element of the context class.
pub(super) fn nested(number: u8, parts: &[Octets]) -> Octets {
    tlv(0xa0 | number, parts.concat())
}

/// An element that was found: where it begins and where its value is in the octets that were walked.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) tag: u8,
    pub(super) start: usize,
    pub(super) value: Range<usize>,
}

/// The elements that follow one another in this range, as far as they are whole.
pub(super) fn elements(octets: &[u8], range: Range<usize>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = range.start;
    while let Some(element) = element(octets.get(..range.end).unwrap_or_default(), at) {
        at = element.value.end;
        found.push(element);
    }
    found
}

/// The whole element that begins here.
pub(super) fn element(octets: &[u8], at: usize) -> Option<Found> {
    let (&tag, &first) = (octets.get(at)?, octets.get(at + 1)?);
    let (start, length) = if first < 0x80 {
        (at + 2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let digits = octets.get(at + 2..at + 2 + count)?;
        (at + 2 + count, digits.iter().fold(0, |sum, &digit| (sum << 8) | usize::from(digit)))
    };
    octets.get(start..start + length)?;
    Some(Found { tag, start: at, value: start..start + length })
}

/// The element with another value. Its length stays as long as it was written, where that was longer than need be.
pub(super) fn with_value(octets: &[u8], found: &Found, value: &[u8]) -> Octets {
    if octets[found.value.clone()] == *value {
        return octets[found.start..found.value.end].to_vec();
    }
    let needed = tlv(found.tag, &octets[found.value.clone()]).len();
    if found.value.end - found.start > needed { long(found.tag, value) } else { tlv(found.tag, value) }
}

/// All elements of a constructed one, changed; nothing where they are no whole elements.
pub(super) fn map(octets: &[u8], found: &Found, mut change: impl FnMut(&[u8], &Found) -> Octets) -> Option<Octets> {
    let inside = elements(octets, found.value.clone());
    let whole = inside.last().map_or(found.value.start, |last| last.value.end) == found.value.end;
    whole.then(|| inside.iter().flat_map(|part| change(octets, part)).collect())
}

/// Message id and tag of the operation of a whole message.
pub(super) fn header(message: &[u8]) -> Option<(i32, u8)> {
    let outer = element(message, 0)?;
    let parts = elements(message, outer.value);
    let [id, operation, ..] = parts.as_slice() else { return None };
    let id = message.get(id.value.clone())?.iter().fold(0_i32, |sum, &octet| (sum << 8) | i32::from(octet));
    Some((id, operation.tag))
}

/// The first part with this tag in the operation of the last of these messages.
pub(super) fn last_part(messages: &[Octets], tag: u8) -> Option<Octets> {
    let message = messages.last()?;
    let operation = elements(message, element(message, 0)?.value).into_iter().nth(1)?;
    let found = elements(message, operation.value).into_iter().find(|part| part.tag == tag)?;
    Some(message[found.value].to_vec())
}

/// The value of the last message's control with this OID.
pub(super) fn last_control(messages: &[Octets], oid: &str) -> Option<Octets> {
    let message = messages.last()?;
    let controls = elements(message, element(message, 0)?.value).into_iter().nth(2)?;
    elements(message, controls.value).into_iter().find_map(|control| {
        let inside = elements(message, control.value);
        let (name, value) = (inside.first()?, inside.iter().skip(1).find(|part| part.tag == 0x04)?);
        (message[name.value.clone()] == *oid.as_bytes()).then(|| message[value.value.clone()].to_vec())
    })
}

/// The parts of the sequence that these octets are.
pub(super) fn parts(sequence: &[u8]) -> Vec<Octets> {
    let inner = element(sequence, 0).map_or(0..0, |found| found.value);
    elements(sequence, inner).into_iter().map(|part| sequence[part.value].to_vec()).collect()
}

#[test]
fn numbers_and_lengths_are_as_short_as_can_be() {
    assert_eq!(int(127), [2, 1, 127]);
    assert_eq!(int(128), [2, 2, 0, 128]);
    assert_eq!(int(0), [2, 1, 0]);
    assert_eq!(int(-1), [2, 1, 255]);
    assert_eq!(int(0x7fff_ffff), [2, 4, 127, 255, 255, 255]);
    assert_eq!(text([0; 200])[..3], [4, 0x81, 200]);
    assert_eq!(header(&seq(&[int(300), tlv(0x42, [])])), Some((300, 0x42)));
}
