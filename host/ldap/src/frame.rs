//! Where a message ends, and the little that is read of every one: its id and what kind of message it is.
//!
//! Messages are `LDAPMessage` (RFC 4511, section 4.1.1) in the BER subset of section 5.1: definite lengths, at most four
//! octets in the long form. They are cut by the length of the outermost element and forwarded as they are.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::ber::{self, ENUMERATED, INTEGER, Reader, SEQUENCE};

/// Longest message that is taken by default, in octets.
pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

/// Application numbers of the operations (RFC 4511, appendix B).
pub mod op {
    #![expect(missing_docs, reason = "named as in RFC 4511, appendix B")]
    pub const BIND: u8 = 0;
    pub const BIND_RESPONSE: u8 = 1;
    pub const UNBIND: u8 = 2;
    pub const SEARCH: u8 = 3;
    pub const SEARCH_ENTRY: u8 = 4;
    pub const SEARCH_DONE: u8 = 5;
    pub const MODIFY: u8 = 6;
    pub const MODIFY_RESPONSE: u8 = 7;
    pub const ADD: u8 = 8;
    pub const ADD_RESPONSE: u8 = 9;
    pub const DELETE: u8 = 10;
    pub const DELETE_RESPONSE: u8 = 11;
    pub const MODIFY_DN: u8 = 12;
    pub const MODIFY_DN_RESPONSE: u8 = 13;
    pub const COMPARE: u8 = 14;
    pub const COMPARE_RESPONSE: u8 = 15;
    pub const ABANDON: u8 = 16;
    pub const SEARCH_REFERENCE: u8 = 19;
    pub const EXTENDED: u8 = 23;
    pub const EXTENDED_RESPONSE: u8 = 24;
    pub const INTERMEDIATE: u8 = 25;
}

/// These octets are no LDAP message, or one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The outermost element is no sequence.
    #[error("not an LDAP message")]
    NotLdap,
    /// A length of the indefinite form, which RFC 4511 forbids.
    #[error("a length of the indefinite form")]
    Indefinite,
    /// A length in more than four octets.
    #[error("a length in more than four octets")]
    LongLength,
    /// A tag in more than one octet, which LDAP has no use for.
    #[error("a tag in more than one octet")]
    HighTag,
    /// Longer than the limit.
    #[error("a message of {size} octets, where at most {limit} are taken")]
    TooLong {
        /// Octets that its header announces.
        size: usize,
        /// Octets that are taken.
        limit: usize,
    },
    /// The parts do not fit together.
    #[error("a malformed message")]
    Malformed,
}

/// Finds the end of the first message in `octets`. None when its header is not there yet; the message itself need not be.
///
/// # Errors
/// When this cannot become a message of at most `limit` octets. Known as soon as the header is there, before memory for
/// the message is taken.
pub fn peek_frame(octets: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    if octets.first().is_some_and(|&first| first != SEQUENCE) {
        return Err(FrameError::NotLdap);
    }
    let Some(head) = ber::head(octets)? else { return Ok(None) };
    let size = head.size.saturating_add(head.length);
    if size > limit { Err(FrameError::TooLong { size, limit }) } else { Ok(Some(size)) }
}

/// What is read of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Message id, 0 to 2³¹−1.
    pub id: i32,
    /// Application number of the operation; see [`op`].
    pub op: u8,
    /// Something follows the operation: controls (section 4.1.11).
    pub controls: bool,
}

/// Reads the header of a whole message.
///
/// # Errors
/// When there is no message id in range or no operation of the application class.
pub fn header(message: &[u8]) -> Result<Header, FrameError> {
    let mut outer = Reader::new(message);
    let mut inner = Reader::new(outer.expect(SEQUENCE)?.value);
    outer.end()?;
    let id = inner.expect(INTEGER)?.number()?;
    let operation = inner.next()?.ok_or(FrameError::Malformed)?;
    if operation.tag & 0xc0 != 0x40 {
        return Err(FrameError::Malformed);
    }
    Ok(Header { id, op: operation.tag & 0x1f, controls: !inner.is_empty() })
}

/// Reads the result code of an answer (RFC 4511, section 4.1.9).
///
/// # Errors
/// When the operation does not begin with a result.
pub fn result_code(message: &[u8]) -> Result<u32, FrameError> {
    let mut inner = Reader::new(Reader::new(message).expect(SEQUENCE)?.value);
    inner.expect(INTEGER)?;
    let operation = inner.next()?.ok_or(FrameError::Malformed)?;
    let code = Reader::new(operation.value).expect(ENUMERATED)?.number()?;
    u32::try_from(code).map_err(|_| FrameError::Malformed)
}

/// One message, byte for byte as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    header: Header,
}

impl Frame {
    /// Takes the octets of one message.
    ///
    /// # Errors
    /// As [`header`].
    pub fn new(bytes: Bytes) -> Result<Self, FrameError> {
        let header = header(&bytes)?;
        Ok(Self { bytes, header })
    }

    /// Message id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.header.id
    }

    /// Application number of the operation; see [`op`].
    #[must_use]
    pub fn op(&self) -> u8 {
        self.header.op
    }

    /// Something follows the operation.
    pub(crate) fn has_controls(&self) -> bool {
        self.header.controls
    }

    /// Its octets.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its octets.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The same message in memory of its own, so that one that has to wait does not keep a whole read buffer alive.
    pub(crate) fn detached(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), header: self.header }
    }
}

impl fmt::Debug for Frame {
    /// Nothing of the content: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame(id {}, op {}, {} octets)", self.header.id, self.header.op, self.bytes.len())
    }
}

/// Cuts a stream of octets into messages.
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
}

impl FrameReader {
    /// Takes messages of at most `limit` octets.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes messages of at most `limit` octets from here on.
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where what was received is appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes these octets in the place of what is here, in memory of just their size.
    pub(crate) fn replace(&mut self, octets: &[u8]) {
        self.buffer = BytesMut::from(octets);
    }

    /// Gives back memory in which nothing is.
    pub(crate) fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// What is here and not yet cut off.
    pub(crate) fn all(&self) -> &[u8] {
        &self.buffer
    }

    /// Octets that are here and not yet cut off.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Nothing is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole message.
    ///
    /// # Errors
    /// When what comes next is no message that is taken; the stream cannot be read on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        match self.peek(0)? {
            Some((size, header)) => Ok(Some(Frame { bytes: self.cut(size), header })),
            None => Ok(None),
        }
    }

    /// Size and header of the whole message that begins at `offset`; none when it is not whole yet.
    pub(crate) fn peek(&self, offset: usize) -> Result<Option<(usize, Header)>, FrameError> {
        let rest = self.buffer.get(offset..).unwrap_or_default();
        match peek_frame(rest, self.limit)?.and_then(|size| rest.get(..size)) {
            Some(message) => Ok(Some((message.len(), header(message)?))),
            None => Ok(None),
        }
    }

    /// The octets of a message that [`FrameReader::peek`] has found.
    pub(crate) fn octets(&self, offset: usize, size: usize) -> &[u8] {
        self.buffer.get(offset..).and_then(|rest| rest.get(..size)).unwrap_or_default()
    }

    /// Takes this many octets off the front, or what is there.
    pub(crate) fn cut(&mut self, size: usize) -> Bytes {
        if size >= self.buffer.len() && self.buffer.capacity() == self.buffer.len() {
            return std::mem::take(&mut self.buffer).freeze();
        }
        self.buffer.split_to(size.min(self.buffer.len())).freeze()
    }

    /// Forgets everything that is here.
    pub(crate) fn discard(&mut self) {
        self.buffer.advance(self.buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(id: u8, op: u8, body: &[u8], long: bool) -> Vec<u8> {
        let mut operation = vec![0x60 | op];
        append_length(&mut operation, body.len(), long);
        operation.extend_from_slice(body);
        let mut out = vec![0x30];
        append_length(&mut out, 3 + operation.len(), long);
        out.extend_from_slice(&[0x02, 0x01, id]);
        out.extend_from_slice(&operation);
        out
    }

    fn append_length(out: &mut Vec<u8>, length: usize, long: bool) {
        if long || length > 127 {
            out.push(0x84);
            out.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        } else {
            out.push(u8::try_from(length).unwrap());
        }
    }

    #[test]
    fn the_limit_is_known_from_the_header_alone() {
        assert_eq!(
            peek_frame(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], 100),
            Err(FrameError::TooLong { size: 0x1_0000_0005, limit: 100 })
        );
        assert_eq!(peek_frame(&[0x30, 0x84, 0xff], 100), Ok(None));
        assert_eq!(peek_frame(b"GET / HTTP/1.1", 100), Err(FrameError::NotLdap));
        assert_eq!(peek_frame(&[0x30, 0x80], 100), Err(FrameError::Indefinite));
        assert_eq!(peek_frame(&[], 100), Ok(None));
    }

    #[test]
    fn a_message_needs_an_id_and_an_operation_of_the_application_class() {
        assert_eq!(header(&message(7, op::SEARCH, &[], false)), Ok(Header { id: 7, op: op::SEARCH, controls: false }));
        assert_eq!(header(&[0x30, 0x05, 0x02, 0x01, 0x81, 0x60, 0x00]), Err(FrameError::Malformed));
        assert_eq!(header(&[0x30, 0x05, 0x02, 0x01, 0x01, 0x30, 0x00]), Err(FrameError::Malformed));
        assert_eq!(header(&[0x30, 0x06, 0x02, 0x01, 0x01, 0x7f, 0x00, 0x00]), Err(FrameError::HighTag));
        assert_eq!(header(&[0x30, 0x03, 0x02, 0x01, 0x01]), Err(FrameError::Malformed));
    }

    #[test]
    fn a_result_code_is_an_enumeration() {
        assert_eq!(result_code(&message(1, op::BIND_RESPONSE, &[0x0a, 0x01, 49, 4, 0, 4, 0], false)), Ok(49));
        assert_eq!(result_code(&message(1, op::BIND_RESPONSE, &[0x02, 0x01, 0], false)), Err(FrameError::Malformed));
        assert_eq!(result_code(&message(1, op::BIND_RESPONSE, &[], false)), Err(FrameError::Malformed));
    }

    #[test]
    fn debug_shows_nothing_of_the_content() {
        let frame = Frame::new(Bytes::from(message(1, op::BIND, b"hunter2", false))).unwrap();
        assert_eq!(format!("{frame:?}"), "Frame(id 1, op 0, 14 octets)");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            parts in prop::collection::vec((1..=127_u8, 0..=30_u8, prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..8),
            cuts in prop::collection::vec(1..64_usize, 1..64),
        ) {
            let sent: Vec<Vec<u8>> = parts.iter().map(|(id, op, body, long)| message(*id, *op, body, *long)).collect();
            let stream = sent.concat();
            let mut reader = FrameReader::new(DEFAULT_LIMIT);
            let mut got = Vec::new();
            let (mut at, mut turn) = (0, 0);
            while at < stream.len() {
                let end = stream.len().min(at + cuts[turn % cuts.len()]);
                reader.buffer().extend_from_slice(&stream[at..end]);
                (at, turn) = (end, turn + 1);
                while let Some(frame) = reader.next_frame().unwrap() {
                    got.push(frame.into_bytes().to_vec());
                }
            }
            prop_assert!(reader.is_empty());
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn garbage_never_panics(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = header(&octets);
            let _ = result_code(&octets);
            let _ = ber::check(&octets);
            let mut reader = FrameReader::new(64);
            reader.buffer().extend_from_slice(&octets);
            while let Ok(Some(frame)) = reader.next_frame() {
                prop_assert!(frame.bytes().len() <= 64);
            }
        }
    }
}
