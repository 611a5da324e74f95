//! What a request leaves behind on the directory's connection when it is answered.
//!
//! A connection is handed on to another client only after nothing but requests of which it is known that they leave
//! nothing: with those, a bind is a new beginning (RFC 4511, section 4.2.1). Whatever is not known counts as leaving
//! something: transactions (RFC 5805), Active Directory's fast bind mode, paged results, persistent searches and all that
//! is not invented yet.

use crate::ber::{INTEGER, OCTET_STRING, Reader, SEQUENCE};
use crate::frame::{Frame, op};

/// Tag of the controls of a message (RFC 4511, section 4.1.1).
const CONTROLS: u8 = 0xa0;
/// Tag of an extended request's name (section 4.12).
const REQUEST_NAME: u8 = 0x80;

/// Controls whose effect ends with the operation that they come with.
const PASSING: [&[u8]; 11] = [
    b"2.16.840.1.113730.3.4.2",   // manage DSA IT, RFC 3296
    b"1.3.6.1.1.12",              // assertion, RFC 4528
    b"1.3.6.1.1.13.1",            // pre-read, RFC 4527
    b"1.3.6.1.1.13.2",            // post-read
    b"2.16.840.1.113730.3.4.18",  // proxied authorization, RFC 4370
    b"1.2.826.0.1.3344810.2.3",   // matched values, RFC 3876
    b"1.3.6.1.4.1.4203.1.10.1",   // subentries, RFC 3672
    b"1.3.6.1.4.1.42.2.27.8.5.1", // password policy; what it restricts ends with the next bind
    b"1.2.840.113556.1.4.529",    // extended DN, [MS-ADTS] 3.1.1.3.4.1.5
    b"1.2.840.113556.1.4.801",    // SD flags, [MS-ADTS] 3.1.1.3.4.1.11
    b"1.2.840.113556.1.4.1339",   // domain scope, [MS-ADTS] 3.1.1.3.4.1.4
];

/// Extended operations that end with their answer.
const PASSING_EXTENDED: [&[u8]; 2] = [
    b"1.3.6.1.4.1.4203.1.11.1", // password modify, RFC 3062
    b"1.3.6.1.4.1.4203.1.11.3", // who am I, RFC 4532
];

/// Whether something may be left of this request on the connection after its answer, SASL binds apart.
pub(crate) fn is_left_by(request: &Frame) -> bool {
    let is_passing = match request.op() {
        op::BIND | op::SEARCH | op::MODIFY | op::ADD | op::DELETE | op::MODIFY_DN | op::COMPARE => true,
        op::EXTENDED => extended(request.bytes()).is_some_and(|name| PASSING_EXTENDED.contains(&name)),
        _ => false,
    };
    !is_passing || request.has_controls() && !controls_pass(request.bytes()).unwrap_or(false)
}

fn extended(message: &[u8]) -> Option<&[u8]> {
    let mut inner = Reader::new(Reader::new(message).expect(SEQUENCE).ok()?.value);
    inner.expect(INTEGER).ok()?;
    let operation = inner.next().ok()??;
    Reader::new(operation.value).expect(REQUEST_NAME).ok().map(|name| name.value)
}

/// Whether all controls are known to pass; none when they cannot be read.
fn controls_pass(message: &[u8]) -> Option<bool> {
    let mut inner = Reader::new(Reader::new(message).expect(SEQUENCE).ok()?.value);
    inner.expect(INTEGER).ok()?;
    inner.next().ok()??;
    let mut controls = Reader::new(inner.expect(CONTROLS).ok()?.value);
    inner.end().ok()?;
    while let Some(control) = controls.next().ok()? {
        let name = Reader::new(control.value).expect(OCTET_STRING).ok()?.value;
        if !PASSING.contains(&name) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// `30 len | 02 01 01 | op | controls`, all lengths short.
    fn frame(operation: &[u8], controls: &[&[u8]]) -> Frame {
        let wrap = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
        let mut inner = [&[2, 1, 1], operation].concat();
        if !controls.is_empty() {
            let list: Vec<u8> = controls.iter().flat_map(|name| wrap(0x30, &wrap(0x04, name))).collect();
            inner.extend(wrap(0xa0, &list));
        }
        Frame::new(Bytes::from(wrap(0x30, &inner))).unwrap()
    }

    fn named(name: &[u8]) -> Vec<u8> {
        let name = [&[0x80, u8::try_from(name.len()).unwrap()], name].concat();
        [&[0x77, u8::try_from(name.len()).unwrap()], &name[..]].concat()
    }

    #[test]
    fn only_what_is_known_to_pass_leaves_nothing() {
        let search: &[u8] = &[0x63, 0];
        assert!(!is_left_by(&frame(search, &[])));
        assert!(!is_left_by(&frame(search, &[b"2.16.840.1.113730.3.4.2", b"1.3.6.1.1.12"])));
        let bind: &[u8] = &[0x60, 0];
        assert!(!is_left_by(&frame(bind, &[b"1.3.6.1.4.1.42.2.27.8.5.1"])) && is_left_by(&frame(bind, &[b"1.2.3"])));
        assert!(!is_left_by(&frame(&named(b"1.3.6.1.4.1.4203.1.11.3"), &[])));
        // Paged results; one known and one unknown; Cancel, fast bind, start of a transaction; abandon; an unknown operation.
        assert!(is_left_by(&frame(search, &[b"1.2.840.113556.1.4.319"])));
        assert!(is_left_by(&frame(search, &[b"1.3.6.1.1.12", b"1.2.3"])));
        assert!(is_left_by(&frame(&named(b"1.3.6.1.1.8"), &[])));
        assert!(is_left_by(&frame(&named(b"1.2.840.113556.1.4.1781"), &[])));
        assert!(is_left_by(&frame(&named(b"1.3.6.1.1.21.1"), &[])));
        assert!(is_left_by(&frame(&[0x50, 1, 2], &[])));
        assert!(is_left_by(&frame(&[0x7a, 0], &[])));
    }

    #[test]
    fn controls_that_cannot_be_read_leave_something() {
        let odd = [&[0x30, 9, 2, 1, 1, 0x63, 0][..], &[0xa1, 2, 0x30, 0]].concat();
        assert!(is_left_by(&Frame::new(Bytes::from(odd)).unwrap()));
        let empty = [&[0x30, 9, 2, 1, 1, 0x63, 0][..], &[0xa0, 2, 0x30, 0]].concat();
        assert!(is_left_by(&Frame::new(Bytes::from(empty)).unwrap()));
    }
}
