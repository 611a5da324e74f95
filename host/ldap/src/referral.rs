//! Referrals and continuation references that lead around the gateway are made to lead to it.
//!
//! A directory names itself in them, and a client that follows goes there, past everything that the gateway decides. What
//! is not changed is passed on octet for octet: other URLs of the same message, its other parts, and messages that cannot be
//! read.

use std::net::IpAddr;

use crate::ber::{self, ENUMERATED, INTEGER, OCTET_STRING, Reader, SEQUENCE};
use crate::frame::{FrameError, Header, op};

/// The result code that announces a referral (RFC 4511, section 4.1.9).
const REFERRAL: i32 = 10;
/// Where it stands in a result (RFC 4511, section 4.1.9).
const REFERRAL_TAG: u8 = 0xa3;
/// A continuation reference (RFC 4511, section 4.5.3).
const REFERENCE_TAG: u8 = 0x60 | op::SEARCH_REFERENCE;
/// Octets of the longest message that is changed. A referral is a few URLs; this bounds the memory that changing one takes.
const LONGEST: usize = 64 * 1024;

/// What referrals are made of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrals {
    own: Vec<String>,
    gateway: String,
}

impl Referrals {
    /// LDAP URLs (RFC 4516) with one of these hosts, whatever their port, are made to begin with `gateway`, which is
    /// `ldap://` or `ldaps://` with a host and perhaps a port.
    pub fn new<S: AsRef<str>>(own: impl IntoIterator<Item = S>, gateway: impl Into<String>) -> Self {
        let gateway: String = gateway.into();
        Self {
            own: own.into_iter().map(|host| compared(host.as_ref())).collect(),
            gateway: gateway.trim_end_matches('/').to_owned(),
        }
    }

    /// The message has a referral that may have to be changed. Reads no more than its result code.
    pub(crate) fn concern(header: Header, message: &[u8]) -> bool {
        let has_result = matches!(
            header.op,
            op::BIND_RESPONSE
                | op::SEARCH_DONE
                | op::MODIFY_RESPONSE
                | op::ADD_RESPONSE
                | op::DELETE_RESPONSE
                | op::MODIFY_DN_RESPONSE
                | op::COMPARE_RESPONSE
                | op::EXTENDED_RESPONSE
        );
        message.len() <= LONGEST
            && (header.op == op::SEARCH_REFERENCE
                || has_result && crate::frame::result_code(message) == Ok(REFERRAL.unsigned_abs()))
    }

    /// The message with its URLs changed; none when there is nothing to change, or it cannot be read.
    pub(crate) fn rewritten(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.message(message).ok().flatten()
    }

    fn message(&self, message: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let mut outer = Reader::new(message);
        let value = outer.expect(SEQUENCE)?.value;
        outer.end()?;
        let mut parts = Reader::new(value);
        parts.expect(INTEGER)?;
        let from_operation = parts.rest();
        let operation = parts.next()?.ok_or(FrameError::Malformed)?;
        let changed =
            if operation.tag == REFERENCE_TAG { self.urls(operation.value)? } else { self.result(operation.value)? };
        let Some(changed) = changed else { return Ok(None) };
        let changed = like(from_operation, &changed)?;
        let value = around(value, from_operation, &changed, parts.rest());
        like(message, &value).map(Some)
    }

    /// A result (RFC 4511, section 4.1.9), with whatever its kind of answer has behind it.
    fn result(&self, result: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let mut parts = Reader::new(result);
        if parts.expect(ENUMERATED)?.number()? != REFERRAL {
            return Ok(None);
        }
        parts.expect(OCTET_STRING)?;
        parts.expect(OCTET_STRING)?;
        let from_referral = parts.rest();
        let Some(changed) = self.urls(parts.expect(REFERRAL_TAG)?.value)? else { return Ok(None) };
        Ok(Some(around(result, from_referral, &like(from_referral, &changed)?, parts.rest())))
    }

    fn urls(&self, list: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let (mut out, mut has_changed) = (Vec::with_capacity(list.len()), false);
        let mut urls = Reader::new(list);
        while !urls.is_empty() {
            let from_here = urls.rest();
            let url = urls.expect(OCTET_STRING)?.value;
            if let Some(rest) = self.behind_own(url) {
                out.extend(like(from_here, &[self.gateway.as_bytes(), rest].concat())?);
                has_changed = true;
            } else {
                out.extend_from_slice(up_to(from_here, urls.rest()));
            }
        }
        Ok(has_changed.then_some(out))
    }

    /// What stands behind scheme, host and port, where the host is one of the directory's own.
    fn behind_own<'a>(&self, url: &'a [u8]) -> Option<&'a [u8]> {
        let scheme = url.iter().position(|&octet| octet == b':')?;
        let (scheme, rest) = url.split_at_checked(scheme)?;
        let rest = rest.strip_prefix(b"://")?;
        if !scheme.eq_ignore_ascii_case(b"ldap") && !scheme.eq_ignore_ascii_case(b"ldaps") {
            return None;
        }
        let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let host = compared(&unescaped(host(std::str::from_utf8(authority).ok()?)?)?);
        (!host.is_empty() && self.own.contains(&host)).then_some(rest)
    }
}

/// The host of `host[:port]` (RFC 3986, section 3.2); none for what is no such thing.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (host, port) = literal.split_once(']')?;
            (host, if port.is_empty() { "" } else { port.strip_prefix(':')? })
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    (!host.contains('@') && port.bytes().all(|octet| octet.is_ascii_digit())).then_some(host)
}

/// Percent signs and two digits undone (RFC 3986, section 2.1).
fn unescaped(host: &str) -> Option<String> {
    let mut out = Vec::with_capacity(host.len());
    let mut octets = host.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let mut digit = || char::from(octets.next()?).to_digit(16);
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(out).ok()
}

/// A host in the form in which it is compared.
fn compared(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

/// `whole` with its part from `old` to `rest` replaced. Both are tails of it.
fn around(whole: &[u8], old: &[u8], new: &[u8], rest: &[u8]) -> Vec<u8> {
    [up_to(whole, old), new, rest].concat()
}

/// What stands before `tail`.
fn up_to<'a>(whole: &'a [u8], tail: &[u8]) -> &'a [u8] {
    whole.get(..whole.len().saturating_sub(tail.len())).unwrap_or_default()
}

/// An element with the tag of the one that `old` begins with and, where it fits, a length in as many octets.
fn like(old: &[u8], value: &[u8]) -> Result<Vec<u8>, FrameError> {
    let head = ber::head(old)?.ok_or(FrameError::Malformed)?;
    let length = u32::try_from(value.len()).map_err(|_| FrameError::Malformed)?.to_be_bytes();
    let needed = length.len() - length.iter().take_while(|&&octet| octet == 0).count();
    // Behind the tag there is the length itself, or how many octets it takes and these.
    let octets = match head.size - 2 {
        0 if value.len() < 0x80 => 0,
        had => had.max(needed),
    };
    let mut out = Vec::with_capacity(2 + octets + value.len());
    out.push(head.tag);
    match u8::try_from(octets) {
        Ok(0) => out.extend(length.last()),
        Ok(count) => {
            out.push(0x80 | count);
            out.extend(length.iter().skip(length.len() - octets));
        }
        Err(_) => return Err(FrameError::Malformed),
    }
    out.extend_from_slice(value);
    Ok(out)
}

#[cfg(test)]
#[path = "referral_tests.rs"]
mod tests;
