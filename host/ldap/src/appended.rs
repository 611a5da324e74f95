//! One-time codes behind passwords, for clients that have no other place for one: `password,123456`.
//!
//! What stands before the delimiter goes to the directory, once. Trying the whole as a password too would count twice
//! against a lockout, and would let whoever knows half of it find out which half is right.

use bytes::{BufMut as _, Bytes, BytesMut};
use portcullis_core::Secret;

use crate::ber::{INTEGER, OCTET_STRING, Reader, SEQUENCE};
use crate::frame::{Frame, FrameError, op};

/// Tag of a simple bind's password (RFC 4511, section 4.2).
const SIMPLE: u8 = 0x80;
const BIND: u8 = 0x60 | op::BIND;
/// How many digits a code has.
const DIGITS: std::ops::RangeInclusive<usize> = 6..=10;

/// The simple bind with nothing but the password, and the code; none where its password does not end with the delimiter and
/// a code, or nothing is before them: an empty password would be another kind of bind. The bind has been read already.
pub(crate) fn split(frame: &Frame, delimiter: &str) -> Option<(Frame, Secret)> {
    let parts = Parts::read(frame).ok()?;
    let (password, code) = code_behind(parts.password, delimiter.as_bytes())?;
    let code = std::str::from_utf8(code).ok()?;
    let frame = Frame::new(parts.with_password(password)).ok()?;
    Some((frame, Secret::new(code)))
}

fn code_behind<'a>(password: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let digits = password.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let (head, code) = password.split_at_checked(password.len().checked_sub(digits)?)?;
    let password = head.strip_suffix(delimiter).filter(|password| !password.is_empty())?;
    DIGITS.contains(&digits).then_some((password, code))
}

/// A bind request in its parts, as the octets are.
struct Parts<'a> {
    id: &'a [u8],
    version: &'a [u8],
    name: &'a [u8],
    password: &'a [u8],
    controls: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(frame: &'a Frame) -> Result<Self, FrameError> {
        let mut message = Reader::new(Reader::new(frame.bytes()).expect(SEQUENCE)?.value);
        let id = message.expect(INTEGER)?.value;
        let mut bind = Reader::new(message.expect(BIND)?.value);
        let version = bind.expect(INTEGER)?.value;
        let name = bind.expect(OCTET_STRING)?.value;
        let password = bind.expect(SIMPLE)?.value;
        bind.end()?;
        Ok(Self { id, version, name, password, controls: message.rest() })
    }

    /// The request anew. Lengths are as short as can be, whatever they were before.
    fn with_password(&self, password: &[u8]) -> Bytes {
        let mut bind = BytesMut::with_capacity(self.name.len() + password.len() + 24);
        element(&mut bind, INTEGER, self.version);
        element(&mut bind, OCTET_STRING, self.name);
        element(&mut bind, SIMPLE, password);
        let mut message = BytesMut::with_capacity(bind.len() + self.controls.len() + 24);
        element(&mut message, INTEGER, self.id);
        element(&mut message, BIND, &bind);
        message.extend_from_slice(self.controls);
        let mut whole = BytesMut::with_capacity(message.len() + 8);
        element(&mut whole, SEQUENCE, &message);
        whole.freeze()
    }
}

fn element(out: &mut BytesMut, tag: u8, value: &[u8]) {
    out.put_u8(tag);
    let length = value.len().to_be_bytes();
    let zeros = length.iter().take_while(|octet| **octet == 0).count();
    let digits = length.get(zeros..).unwrap_or_default();
    match digits {
        [] => out.put_u8(0),
        [short] if *short < 0x80 => out.put_u8(*short),
        digits => {
            // At most eight octets of length.
            out.put_u8(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(password: &[u8], controls: &[u8]) -> Frame {
        let name = b"uid=alice,dc=example";
        let parts = Parts { id: &[3], version: &[3], name, password: b"", controls };
        Frame::new(parts.with_password(password)).unwrap()
    }

    #[test]
    fn the_code_is_taken_off_and_everything_else_stays() {
        let controls: &[u8] = &[0xa0, 0x07, 0x30, 0x05, 0x04, 0x03, b'1', b'.', b'2'];
        for long in [b"secret".to_vec(), vec![b'x'; 127], vec![b'x'; 300], vec![b'x'; 70_000], vec![0xff, 0xfe]] {
            let (frame, code) = split(&bind(&[&long[..], b",012345"].concat(), controls), ",").unwrap();
            assert_eq!(frame, bind(&long, controls));
            assert_eq!(code.reveal(), "012345");
        }
    }

    #[test]
    fn what_is_no_password_with_a_code_stays_as_it_is() {
        let passwords: [&[u8]; 9] = [
            b"",
            b"secret",
            b",123456",
            b"secret123456",
            b"secret,12345",
            b"secret,12345678901",
            b"secret,12345a",
            b"secret,",
            b"secret, 123456",
        ];
        for password in passwords {
            assert!(split(&bind(password, &[]), ",").is_none(), "{password:?}");
        }
        assert!(split(&bind(b"a,123456,654321", &[]), ",").is_some_and(|(frame, _)| frame == bind(b"a,123456", &[])));
        assert!(split(&bind(b"secret::123456", &[]), "::").is_some());
    }

    #[test]
    fn other_binds_have_no_password_to_look_at() {
        let sasl = [0x30, 0x0e, 2, 1, 1, 0x60, 9, 2, 1, 3, 4, 0, 0xa3, 2, 4, 0];
        assert!(split(&Frame::new(Bytes::copy_from_slice(&sasl)).unwrap(), ",").is_none());
    }
}
