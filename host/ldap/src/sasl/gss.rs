//! Tokens of the Generic Security Service: SPNEGO (RFC 4178) with Kerberos or NTLM inside, and the mechanism GSSAPI with
//! Kerberos (RFC 4752).

use super::{Layer, Step, ntlm};
use crate::ber::{OCTET_STRING, Reader, SEQUENCE};
use crate::frame::FrameError;

const OID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
/// 1.3.6.1.5.5.2
const SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
/// 1.2.840.113554.1.2.2
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

/// Reads a message of the mechanism GSS-SPNEGO (MS-ADTS, section 5.1.1.1.2). There the layer is what the inner mechanism has
/// negotiated. Kerberos encrypts that.
pub(super) fn spnego(token: &[u8]) -> Step {
    if token.is_empty() {
        return Step::nameless(Layer::Open);
    }
    // Directories also take NTLM without SPNEGO around it.
    if ntlm::is_ntlm(token) {
        return ntlm::step(token);
    }
    let read = if token.first() == Some(&0xa1) { response(token) } else { initial(token) };
    read.unwrap_or_else(|_| Step::nameless(Layer::Unknown))
}

/// `negTokenInit`.
fn initial(token: &[u8]) -> Result<Step, FrameError> {
    let (oid, inner) = framed(token)?;
    if oid != SPNEGO {
        return Err(FrameError::Malformed);
    }
    let mut parts = Reader::new(only(only(inner, 0xa0)?, SEQUENCE)?);
    only(parts.expect(0xa0)?.value, SEQUENCE)?;
    let (mut last, mut inside) = (0xa0, None);
    while let Some(part) = parts.next()? {
        if part.tag <= last {
            return Err(FrameError::Malformed);
        }
        last = part.tag;
        match part.tag {
            0xa1 => _ = only(part.value, BIT_STRING)?,
            0xa2 => inside = Some(only(part.value, OCTET_STRING)?),
            0xa3 => {}
            _ => return Err(FrameError::Malformed),
        }
    }
    Ok(inside.map_or_else(|| Step::nameless(Layer::Open), mechanism))
}

/// `negTokenResp`.
fn response(token: &[u8]) -> Result<Step, FrameError> {
    let mut parts = Reader::new(only(only(token, 0xa1)?, SEQUENCE)?);
    let (mut last, mut inside) = (0, None);
    while let Some(part) = parts.next()? {
        if part.tag <= last {
            return Err(FrameError::Malformed);
        }
        last = part.tag;
        match part.tag {
            0xa0 | 0xa1 | 0xa3 => {}
            0xa2 => inside = Some(only(part.value, OCTET_STRING)?),
            _ => return Err(FrameError::Malformed),
        }
    }
    // Without a token it is the check value over the list of mechanisms, for what was sent before.
    Ok(inside.map_or_else(|| Step::more(Layer::Open), mechanism))
}

fn mechanism(token: &[u8]) -> Step {
    if ntlm::is_ntlm(token) { ntlm::step(token) } else { Step::nameless(Layer::Unknown) }
}

/// Reads a message of the mechanism GSSAPI. Its last one is wrapped and says which layer the client has chosen.
pub(super) fn gssapi(token: &[u8]) -> Step {
    if token.is_empty() {
        return Step::nameless(Layer::Open);
    }
    if token.starts_with(&[0x05, 0x04]) {
        return Step::nameless(chosen(token).unwrap_or(Layer::Unknown));
    }
    match framed(token) {
        // RFC 4121, section 4.1: a request for a context.
        Ok((KERBEROS, [0x01, 0x00, ..])) => Step::nameless(Layer::Open),
        _ => Step::nameless(Layer::Unknown),
    }
}

/// The layer in the last message (RFC 4752, section 3.1), where its wrap token (RFC 4121, section 4.2.6.2) is not encrypted.
fn chosen(token: &[u8]) -> Option<Layer> {
    const SEALED_OR_FROM_SERVER: u8 = 0b11;
    let (head, rest) = token.split_first_chunk::<16>()?;
    let [_, _, flags, 0xff, check_high, check_low, turn_high, turn_low, ..] = *head else { return None };
    if flags & SEALED_OR_FROM_SERVER != 0 {
        return None;
    }
    let check = usize::from(u16::from_be_bytes([check_high, check_low]));
    let turn = usize::from(u16::from_be_bytes([turn_high, turn_low]));
    // The check value stands behind the text, then all of it is turned to the right by so many octets.
    let mut text = rest.to_vec();
    let turn = turn.checked_rem(text.len())?;
    text.rotate_left(turn);
    text.truncate(text.len().checked_sub(check)?);
    // One octet of the layer, three of a size, and perhaps a name.
    match text.as_slice() {
        [1, _, _, _, ..] => Some(Layer::None),
        [2 | 4, _, _, _, ..] => Some(Layer::Wanted),
        _ => None,
    }
}

/// The mechanism and what is inside of an initial token (RFC 2743, section 3.1).
fn framed(token: &[u8]) -> Result<(&[u8], &[u8]), FrameError> {
    let inner = only(token, 0x60)?;
    let mut parts = Reader::new(inner);
    let oid = parts.expect(OID)?.value;
    Ok((oid, parts.rest()))
}

/// The value of the element with this tag, which is all that there is.
fn only(octets: &[u8], tag: u8) -> Result<&[u8], FrameError> {
    let mut parts = Reader::new(octets);
    let value = parts.expect(tag)?.value;
    parts.end()?;
    Ok(value)
}
