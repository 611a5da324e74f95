//! What is read of a request, for the gate to decide on.
//!
//! Requests that may carry a password (bind, modify, add, compare, password modify) are read in place; nothing of the
//! password is copied. Searches are read with `ldap3_proto`, and with `lber` where that cannot.

mod search;

use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::{BindMethod, Operation, OperationKind, SearchScope, Secret, attribute};
use thiserror::Error;

use crate::ber::{self, INTEGER, OCTET_STRING, Reader, SEQUENCE, SET};
use crate::encode::NOTICE_OF_DISCONNECTION;
use crate::frame::{Frame, FrameError, op};
use crate::sasl::{self, Step};
use search::search;

/// StartTLS (RFC 4511, section 4.14).
pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// Password modify (RFC 3062).
pub const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
/// Cancel (RFC 3909).
pub const CANCEL: &str = "1.3.6.1.1.8";
/// Who am I? (RFC 4532).
pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// Attributes that hold a password.
const PASSWORD_ATTRIBUTES: [&str; 3] = ["userPassword", "unicodePwd", "dBCSPwd"];

/// A modification with more changes is refused, and a search that asks for more attributes counts as one for all: each of their
/// names would go to every policy and into the event.
const MOST_ATTRIBUTES: usize = 4_096;

/// A bind request, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Name of the bind; often empty with SASL.
    pub name: String,
    /// Method. Anonymous only with neither name nor password.
    pub method: BindMethod,
    /// Simple, and the password is empty.
    pub empty_password: bool,
    /// What the SASL credentials tell; nothing with other methods.
    pub step: Step,
    /// The one-time code that stood behind the password, and does not go to the directory.
    pub code: Option<Secret>,
    /// What a simple bind is tried with, once somebody has made a tag of its password.
    pub tried: Tried,
}

impl Bind {
    /// Notes the tag of the password in `frame`, where there is one and somebody wants to know.
    pub(crate) fn tag(&mut self, frame: &Frame, tag: impl FnOnce(&[u8]) -> Option<PasswordTag>) {
        let password = simple_password(frame).filter(|password| !password.is_empty());
        if let Some(tag) = password.and_then(tag) {
            self.tried = Tried::Password(tag);
        }
    }
}

/// Why a bind is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BindError {
    /// The directory might read it differently from the gateway.
    #[error("the bind request cannot be read")]
    Malformed,
    /// An authentication choice that is neither simple nor SASL nor Sicily's NTLM.
    #[error("an authentication choice other than simple, SASL and NTLM")]
    UnknownMethod,
}

impl From<FrameError> for BindError {
    fn from(_: FrameError) -> Self {
        Self::Malformed
    }
}

/// Reads a bind request (RFC 4511, section 4.2), strictly.
///
/// # Errors
/// When any part of it is not exactly as the RFC has it: such a bind must not reach a directory.
pub fn bind(frame: &Frame) -> Result<Bind, BindError> {
    ber::check(frame.bytes())?;
    let mut parts = Reader::new(operation(frame, 0x60 | op::BIND)?);
    parts.expect(INTEGER)?.number()?;
    let name = parts.expect(OCTET_STRING)?.text()?.to_owned();
    if name.contains('\0') {
        return Err(BindError::Malformed);
    }
    let choice = parts.next()?.ok_or(BindError::Malformed)?;
    parts.end()?;
    match choice.tag {
        0x80 => {
            let empty_password = choice.value.is_empty();
            let tried = if empty_password && !name.is_empty() { Tried::EmptyPassword } else { Tried::Nothing };
            let method = if name.is_empty() && empty_password { BindMethod::Anonymous } else { BindMethod::Simple };
            Ok(Bind { name, method, empty_password, step: Step::default(), code: None, tried })
        }
        0xa3 => {
            let mut parts = Reader::new(choice.value);
            let mechanism = parts.expect(OCTET_STRING)?.text()?.to_ascii_uppercase();
            let credentials = if parts.is_empty() { &[][..] } else { parts.expect(OCTET_STRING)?.value };
            parts.end()?;
            let step = sasl::step(&mechanism, credentials);
            let method = BindMethod::Sasl(mechanism);
            Ok(Bind { name, method, empty_password: false, step, code: None, tried: Tried::Nothing })
        }
        choice_of_sicily => {
            let step = sasl::sicily(choice_of_sicily, choice.value).ok_or(BindError::UnknownMethod)?;
            let method = BindMethod::Sasl(sasl::NTLM.to_owned());
            Ok(Bind { name, method, empty_password: false, step, code: None, tried: Tried::Nothing })
        }
    }
}

/// A request other than a bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub operation: Operation,
    /// The entry that it names.
    pub entry: Option<String>,
}

/// The kind of a request, which is all that the gate wants to know of most. Reads no further than the kind needs.
///
/// # Errors
/// When a modification or an extended request cannot be read, since then it cannot be told whether it changes a password, or the
/// entry of another one that names one: no policy could say what it is about, and the directory may be able to read it.
pub fn kind(frame: &Frame) -> Result<OperationKind, FrameError> {
    match frame.op() {
        // One with nothing in it is nothing to any directory.
        op::SEARCH | op::COMPARE | op::ADD | op::MODIFY_DN if !operation(frame, 0x60 | frame.op())?.is_empty() => {
            first_name(frame)?;
        }
        op::DELETE => drop(deleted(frame)?),
        _ => {}
    }
    Ok(match frame.op() {
        op::BIND => OperationKind::Bind,
        op::SEARCH => OperationKind::Search,
        op::COMPARE => OperationKind::Compare,
        op::ADD => OperationKind::Add,
        op::DELETE => OperationKind::Delete,
        op::MODIFY_DN => OperationKind::Rename,
        op::MODIFY => {
            let mut password = false;
            modification(frame, |attribute| password |= is_password(attribute))?;
            if password { OperationKind::PasswordChange } else { OperationKind::Modify }
        }
        op::EXTENDED if extended(frame)?.0 == PASSWORD_MODIFY => OperationKind::PasswordChange,
        op::EXTENDED => OperationKind::Extended,
        _ => OperationKind::Other,
    })
}

/// Everything that the gate is told about a request. What cannot be read is left out.
#[must_use]
pub fn request(frame: &Frame) -> Request {
    let (operation, entry) = match frame.op() {
        op::SEARCH => (Operation::Search(search(frame)), first_name(frame).ok().map(lossy)),
        op::COMPARE => (Operation::Compare, first_name(frame).ok().map(lossy)),
        op::ADD => (Operation::Add, first_name(frame).ok().map(lossy)),
        op::MODIFY_DN => (Operation::Rename, first_name(frame).ok().map(lossy)),
        op::DELETE => (Operation::Delete, deleted(frame).ok().map(lossy)),
        op::MODIFY => {
            let (mut passwords, mut others) = (false, Vec::new());
            let entry = modification(frame, |attribute| {
                if is_password(attribute) { passwords = true } else { others.push(attribute.to_owned()) }
            });
            let operation = match (passwords, others.is_empty()) {
                (false, _) => Operation::Modify(others),
                (true, true) => Operation::PasswordChange,
                (true, false) => Operation::MixedChange(others),
            };
            (operation, entry.ok().map(lossy))
        }
        op::EXTENDED => match extended(frame) {
            Ok((PASSWORD_MODIFY, value)) => (Operation::PasswordChange, value.and_then(password_owner)),
            Ok((oid, _)) => (Operation::Extended(oid.to_owned()), None),
            Err(_) => (Operation::Extended(String::new()), None),
        },
        op::ABANDON => (Operation::Other("abandon".to_owned()), None),
        other => (Operation::Other(format!("application-{other}")), None),
    };
    Request { operation, entry }
}

/// The request is StartTLS.
#[must_use]
pub fn is_start_tls(frame: &Frame) -> bool {
    frame.op() == op::EXTENDED && extended(frame).is_ok_and(|(oid, _)| oid == START_TLS)
}

/// The request holds a password, or what is as good as one, in the clear: a simple bind, a SASL mechanism that sends it as it
/// is, or a change of a password (RFC 3062, or a modification of a password attribute). One that cannot be read holds none,
/// and is not forwarded either.
#[must_use]
pub fn has_password(frame: &Frame) -> bool {
    if frame.op() != op::BIND {
        return kind(frame) == Ok(OperationKind::PasswordChange);
    }
    bind(frame).is_ok_and(|bind| match &bind.method {
        BindMethod::Anonymous => false,
        BindMethod::Simple => !bind.empty_password,
        // In whatever case: directories compare mechanisms without it.
        BindMethod::Sasl(mechanism) | BindMethod::OpaqueSasl(mechanism) => {
            ["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"].iter().any(|plain| plain.eq_ignore_ascii_case(mechanism))
        }
    })
}

/// The password of a simple bind, in place; none in any other request.
pub(crate) fn simple_password(frame: &Frame) -> Option<&[u8]> {
    let mut parts = Reader::new(operation(frame, 0x60 | op::BIND).ok()?);
    parts.expect(INTEGER).ok()?;
    parts.expect(OCTET_STRING).ok()?;
    parts.expect(0x80).ok().map(|password| password.value)
}

/// The request reads the root DSE, which a client may need before it can protect itself (RFC 4512, section 5.1).
#[must_use]
pub fn is_root_dse(frame: &Frame) -> bool {
    frame.op() == op::SEARCH
        && search(frame).is_some_and(|search| search.base.is_empty() && search.scope == SearchScope::Base)
}

/// The base of a search, as it was sent. Reads nothing else of the request.
pub(crate) fn search_base(frame: &Frame) -> Option<&[u8]> {
    first_name(frame).ok().filter(|_| frame.op() == op::SEARCH)
}

/// The parts of a search, as they were sent.
pub(crate) fn search_parts(frame: &Frame) -> Result<&[u8], FrameError> {
    operation(frame, 0x60 | op::SEARCH)
}

/// The message id that an abandon request names (RFC 4511, section 4.11).
#[must_use]
pub fn abandoned(frame: &Frame) -> Option<i32> {
    let value = operation(frame, 0x40 | op::ABANDON).ok()?;
    ber::Element { tag: INTEGER, value }.number().ok()
}

/// The message id that a Cancel request names (RFC 3909, section 2.1). None when it is another request, or is malformed.
#[must_use]
pub fn cancelled(frame: &Frame) -> Option<i32> {
    let Ok((CANCEL, Some(value))) = extended(frame) else { return None };
    let mut outer = Reader::new(value);
    let mut inner = Reader::new(outer.expect(SEQUENCE).ok()?.value);
    let id = inner.expect(INTEGER).ok()?.number().ok()?;
    outer.end().and(inner.end()).is_ok().then_some(id)
}

/// The authorization identity in an answer to [`WHO_AM_I`]: none when the directory did not say, empty for anonymous.
#[must_use]
pub fn identity(answer: &Frame) -> Option<String> {
    if crate::frame::result_code(answer.bytes()) != Ok(0) {
        return None;
    }
    let mut parts = Reader::new(operation(answer, 0x60 | op::EXTENDED_RESPONSE).ok()?);
    while let Some(part) = parts.next().ok()? {
        if part.tag == 0x8b {
            return part.text().ok().map(ToOwned::to_owned);
        }
    }
    // A success without a value is the empty identity (RFC 4532, section 2.2).
    Some(String::new())
}

/// This extended response says that it is something other than a Notice of Disconnection (RFC 4511, section 4.4.1). One that
/// does not say what it is counts as one.
pub(crate) fn is_other_notification(message: &[u8]) -> bool {
    let name = || {
        let mut outer = Reader::new(Reader::new(message).expect(SEQUENCE)?.value);
        outer.expect(INTEGER)?;
        let mut parts = Reader::new(outer.expect(0x60 | op::EXTENDED_RESPONSE)?.value);
        while let Some(part) = parts.next()? {
            if part.tag == 0x8a {
                return Ok(Some(part.value));
            }
        }
        Ok::<_, FrameError>(None)
    };
    matches!(name(), Ok(Some(name)) if name != NOTICE_OF_DISCONNECTION.as_bytes())
}

/// The first security identifier in the answer to a search for `tokenGroups`, in its text form (MS-DTYP, section 2.4.2.1): that of
/// the account itself, which its groups' follow.
#[must_use]
pub fn first_sid(entry: &Frame) -> Option<String> {
    let mut parts = Reader::new(operation(entry, 0x60 | op::SEARCH_ENTRY).ok()?);
    parts.expect(OCTET_STRING).ok()?;
    let mut attributes = Reader::new(parts.expect(SEQUENCE).ok()?.value);
    while let Some(attribute) = attributes.next().ok()? {
        let mut attribute = Reader::new(attribute.value);
        let name = attribute.expect(OCTET_STRING).ok()?.text().ok()?;
        if name.eq_ignore_ascii_case("tokenGroups") {
            return sid(Reader::new(attribute.expect(SET).ok()?.value).expect(OCTET_STRING).ok()?.value);
        }
    }
    None
}

/// MS-DTYP, section 2.4.2.2: a revision, a count, an authority of six octets, and so many numbers.
fn sid(octets: &[u8]) -> Option<String> {
    let ([1, count, authority @ ..], numbers) = octets.split_first_chunk::<8>()? else { return None };
    let (numbers, []) = numbers.as_chunks::<4>() else { return None };
    if numbers.len() != usize::from(*count) {
        return None;
    }
    let authority = authority.iter().fold(0_u64, |sum, &octet| (sum << 8) | u64::from(octet));
    let numbers: String = numbers.iter().map(|&number| format!("-{}", u32::from_le_bytes(number))).collect();
    Some(format!("S-1-{authority}{numbers}"))
}

/// The diagnostic message in an answer (RFC 4511, section 4.1.9), where it can be read.
#[must_use]
pub fn diagnostic(answer: &Frame) -> Option<&str> {
    let mut parts = Reader::new(operation(answer, 0x60 | answer.op()).ok()?);
    parts.expect(ber::ENUMERATED).ok()?;
    parts.expect(OCTET_STRING).ok()?;
    parts.expect(OCTET_STRING).ok()?.text().ok()
}

/// The value of the operation, whose tag has to be this one, with nothing but well-formed controls after it.
fn operation(frame: &Frame, tag: u8) -> Result<&[u8], FrameError> {
    let mut outer = Reader::new(Reader::new(frame.bytes()).expect(SEQUENCE)?.value);
    outer.expect(INTEGER)?;
    let value = outer.expect(tag)?.value;
    if !outer.is_empty() {
        outer.expect(0xa0)?;
    }
    outer.end()?;
    Ok(value)
}

/// The entry that leads a search, compare, add or modify DN request.
fn first_name(frame: &Frame) -> Result<&[u8], FrameError> {
    Ok(Reader::new(operation(frame, 0x60 | frame.op())?).expect(OCTET_STRING)?.value)
}

/// The entry of a delete request, which is nothing else.
fn deleted(frame: &Frame) -> Result<&[u8], FrameError> {
    operation(frame, 0x40 | op::DELETE)
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Shows each changed attribute of a modify request (RFC 4511, section 4.6) and gives the entry.
fn modification(frame: &Frame, mut see: impl FnMut(&str)) -> Result<&[u8], FrameError> {
    let mut parts = Reader::new(operation(frame, 0x60 | op::MODIFY)?);
    let entry = parts.expect(OCTET_STRING)?.value;
    let mut changes = Reader::new(parts.expect(SEQUENCE)?.value);
    parts.end()?;
    let mut left = MOST_ATTRIBUTES;
    while !changes.is_empty() {
        left = left.checked_sub(1).ok_or(FrameError::Malformed)?;
        let mut change = Reader::new(changes.expect(SEQUENCE)?.value);
        change.expect(ber::ENUMERATED)?;
        let mut attribute = Reader::new(change.expect(SEQUENCE)?.value);
        see(attribute.expect(OCTET_STRING)?.text()?);
    }
    Ok(entry)
}

/// The attribute holds a password, however its name is written.
fn is_password(attribute: &str) -> bool {
    PASSWORD_ATTRIBUTES.iter().any(|password| attribute::is(attribute, password))
}

/// OID and value of an extended request (RFC 4511, section 4.12).
fn extended(frame: &Frame) -> Result<(&str, Option<&[u8]>), FrameError> {
    let mut parts = Reader::new(operation(frame, 0x60 | op::EXTENDED)?);
    let oid = parts.expect(0x80)?.text()?;
    let value = if parts.is_empty() { None } else { Some(parts.expect(0x81)?.value) };
    parts.end()?;
    Ok((oid, value))
}

/// Whose password a password modify request changes, where it says so (RFC 3062, section 2).
fn password_owner(value: &[u8]) -> Option<String> {
    let owner = Reader::new(Reader::new(value).expect(SEQUENCE).ok()?.value).expect(0x80).ok()?;
    owner.text().ok().map(ToOwned::to_owned)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
