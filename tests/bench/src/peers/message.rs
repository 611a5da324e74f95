//! The few LDAP messages that the load consists of (RFC 4511). Written out here, because a library that makes values of
//! everything in an answer would cost the generator more than some of the peers spend on it.

/// What a message of the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `SearchResultEntry`
    Entry,
    /// `SearchResultDone`
    SearchDone,
    /// `BindResponse`
    Bind,
}

/// As much of an answer as is checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) id: u32,
    pub(super) kind: Kind,
    /// Name of the entry, or the result code's octets.
    pub(super) first: &'a [u8],
}

impl Answer<'_> {
    /// The result code; nothing for an entry.
    pub(super) fn result(&self) -> Option<u32> {
        if self.kind == Kind::Entry { None } else { number(self.first) }
    }
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;

/// A simple bind (section 4.2).
pub(super) fn bind(id: u32, name: &str, password: &str) -> Vec<u8> {
    let version = element(INTEGER, &[&[3]]);
    let name = element(OCTETS, &[name.as_bytes()]);
    message(id, &element(0x60, &[&version, &name, &element(0x80, &[password.as_bytes()])]))
}

/// A search for one entry by its name, all attributes (section 4.5.1).
pub(super) fn read(id: u32, name: &str) -> Vec<u8> {
    search(id, name, 0)
}

/// A search for all entries right below one, all attributes.
pub(super) fn list(id: u32, base: &str) -> Vec<u8> {
    search(id, base, 1)
}

/// The end of a connection (section 4.3).
pub(super) fn unbind(id: u32) -> Vec<u8> {
    message(id, &element(0x42, &[]))
}

fn search(id: u32, base: &str, scope: u8) -> Vec<u8> {
    let base = element(OCTETS, &[base.as_bytes()]);
    let (scope, never) = (element(ENUMERATED, &[&[scope]]), element(ENUMERATED, &[&[0]]));
    let (no_limit, types_only) = (element(INTEGER, &[&[0]]), element(BOOLEAN, &[&[0]]));
    let present = element(0x87, &[b"objectClass"]);
    let attributes = element(SEQUENCE, &[]);
    message(id, &element(0x63, &[&base, &scope, &never, &no_limit, &no_limit, &types_only, &present, &attributes]))
}

fn message(id: u32, operation: &[u8]) -> Vec<u8> {
    let octets = id.to_be_bytes();
    // The shortest form that is not negative.
    let skipped = octets.iter().take(3).take_while(|octet| **octet == 0).count();
    let short = octets.get(skipped..).unwrap_or_default();
    let sign: &[u8] = if short.first().is_some_and(|first| *first > 0x7f) { &[0] } else { &[] };
    element(SEQUENCE, &[&element(INTEGER, &[sign, short]), operation])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length + 6);
    bytes.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => bytes.push(short),
        _ => {
            bytes.push(0x84);
            bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// How long the message is that begins here; nothing while that cannot be told.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let (_, header, content) = header(bytes)?;
    header.checked_add(content)
}

/// Reads a complete message. Nothing where it is none that the load can be answered with.
pub(super) fn answer(message: &[u8]) -> Option<Answer<'_>> {
    let (SEQUENCE, content, []) = take(message)? else { return None };
    let (INTEGER, id, rest) = take(content)? else { return None };
    let (tag, operation, _) = take(rest)?;
    let (kind, expected) = match tag {
        0x61 => (Kind::Bind, ENUMERATED),
        0x64 => (Kind::Entry, OCTETS),
        0x65 => (Kind::SearchDone, ENUMERATED),
        _ => return None,
    };
    let (found, first, _) = take(operation)?;
    (found == expected).then_some(Answer { id: number(id)?, kind, first })
}

/// Tag, content and what follows.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, header, content) = header(bytes)?;
    let (content, rest) = bytes.get(header..)?.split_at_checked(content)?;
    Some((tag, content, rest))
}

/// Tag, length of tag and length, length of the content.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *first < 0x80 {
        return Some((*tag, 2, usize::from(*first)));
    }
    let count = usize::from(first & 0x7f);
    let length = number(rest.get(..count)?)?;
    Some((*tag, 2 + count, usize::try_from(length).ok()?))
}

fn number(octets: &[u8]) -> Option<u32> {
    octets.iter().try_fold(0_u32, |number, octet| number.checked_mul(256)?.checked_add(u32::from(*octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_written_as_the_standard_says() {
        let expected = [&[0x30, 0x0f, 2, 1, 1, 0x60, 0x0a, 2, 1, 3, 4, 2], b"cn".as_slice(), &[0x80, 1], b"x"].concat();
        assert_eq!(bind(1, "cn", "x"), expected);
    }

    #[test]
    fn identifiers_are_short_and_never_negative() {
        assert_eq!(unbind(0), [0x30, 5, 2, 1, 0, 0x42, 0]);
        assert_eq!(unbind(0x80), [0x30, 6, 2, 2, 0, 0x80, 0x42, 0]);
        assert_eq!(unbind(0x0102_0304), [0x30, 8, 2, 4, 1, 2, 3, 4, 0x42, 0]);
    }

    #[test]
    fn what_is_written_can_be_measured_and_long_content_too() {
        let long = "x".repeat(300);
        for request in [bind(7, "cn=a", &long), read(8, &long), list(9, "ou=people"), unbind(10)] {
            assert_eq!(length(&request), Some(request.len()));
            assert_eq!(length(&request[..1]), None);
        }
    }

    #[test]
    fn answers_are_read() {
        let entry = message(300, &element(0x64, &[&element(OCTETS, &[b"cn=a"]), &element(SEQUENCE, &[])]));
        assert_eq!(answer(&entry), Some(Answer { id: 300, kind: Kind::Entry, first: b"cn=a" }));
        let refused = message(2, &element(0x61, &[&element(ENUMERATED, &[&[49]]), &element(OCTETS, &[])]));
        assert_eq!(answer(&refused).and_then(|answer| answer.result()), Some(49));
        let done = [0x30, 0x84, 0, 0, 0, 12, 2, 1, 3, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0];
        assert_eq!(answer(&done).and_then(|answer| answer.result()), Some(0));
        assert_eq!(length(&done[..5]), None, "the length itself is not complete");
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let entry = message(1, &element(0x64, &[&element(OCTETS, &[b"cn=a"])]));
        assert_eq!(answer(&entry[..entry.len() - 1]), None);
        assert_eq!(answer(&[entry.as_slice(), &[0]].concat()), None);
        assert_eq!(answer(&message(1, &element(0x78, &[&element(ENUMERATED, &[&[0]])]))), None);
        assert_eq!(answer(&message(1, &element(0x61, &[&element(OCTETS, &[&[0]])]))), None);
    }
}
