//! NTLM messages (MS-NLMP, section 2.2.1), as far as they are the client's.

use portcullis_core::gate::Claim;

use super::{Layer, Step};

/// What every NTLM message begins with.
const SIGNATURE: &[u8] = b"NTLMSSP\0";

/// Types of messages.
const NEGOTIATE: u32 = 1;
const AUTHENTICATE: u32 = 3;

/// Flags (MS-NLMP, section 2.2.2.5).
const UNICODE: u32 = 0x0000_0001;
const SIGN: u32 = 0x0000_0010;
const SEAL: u32 = 0x0000_0020;

/// Octets before the payload of an AUTHENTICATE message, the optional version and check value not counted.
const HEADER: usize = 64;

pub(super) fn is_ntlm(token: &[u8]) -> bool {
    token.starts_with(SIGNATURE)
}

/// NEGOTIATE, which proves nothing.
pub(super) fn is_first(message: &[u8]) -> bool {
    is_ntlm(message) && u32_at(message, 8) == Some(NEGOTIATE)
}

/// AUTHENTICATE.
pub(super) fn is_last(message: &[u8]) -> bool {
    is_ntlm(message) && u32_at(message, 8) == Some(AUTHENTICATE)
}

/// Reads a message of the client's.
pub(super) fn step(message: &[u8]) -> Step {
    if !is_ntlm(message) {
        return Step::nameless(Layer::Unknown);
    }
    match u32_at(message, 8) {
        // What it asks for may still be given up.
        Some(NEGOTIATE) => {
            let unicode = u32_at(message, 12).map(|flags| flags & UNICODE != 0);
            Step { unicode, ..Step::nameless(Layer::Open) }
        }
        Some(AUTHENTICATE) => authenticate(message).unwrap_or_else(|| Step::nameless(Layer::Unknown)),
        _ => Step::nameless(Layer::Unknown),
    }
}

/// AUTHENTICATE (MS-NLMP, section 2.2.1.3). The directory looks the name up in the domain and has found the answer to its
/// challenge right with both, when it says success.
fn authenticate(message: &[u8]) -> Option<Step> {
    let flags = u32_at(message, 60)?;
    let unicode = flags & UNICODE != 0;
    let [lm, nt, domain, user] = [12, 20, 28, 36].map(|at| field(message, at));
    let (lm, nt, domain, user) = (lm?, nt?, domain?, user?);
    let claim = if user.is_empty() {
        // MS-NLMP, section 3.2.5.1.2: nobody, and nothing that could prove somebody.
        if nt.is_empty() && matches!(lm, [] | [0]) { Claim::Anonymous } else { Claim::Unreadable }
    } else {
        account(text(domain, unicode), text(user, unicode)).map_or(Claim::Unreadable, Claim::Name)
    };
    let layer = if flags & (SIGN | SEAL) == 0 { Layer::None } else { Layer::Wanted };
    Some(Step { claim: Some(claim), layer, unicode: Some(unicode), ..Step::default() })
}

/// The name as a simple bind would have it. None where it could be taken for another form of name than it is.
fn account(domain: Option<String>, user: Option<String>) -> Option<String> {
    let (domain, user) = (domain?, user?);
    let is_plain = |text: &str| !text.contains(|letter: char| letter.is_control() || "\\/=\"".contains(letter));
    if user.is_empty() || !is_plain(&domain) || !is_plain(&user) {
        return None;
    }
    Some(if domain.is_empty() { user } else { format!("{domain}\\{user}") })
}

/// A field's value: its length, its room and its place are eight octets of the header.
fn field(message: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_le_bytes(*message.get(at..)?.first_chunk()?));
    if length == 0 {
        return Some(&[]);
    }
    let offset = usize::try_from(u32_at(message, at + 4)?).ok().filter(|&offset| offset >= HEADER)?;
    message.get(offset..offset.checked_add(length)?)
}

/// Without Unicode, text is in some code page; all have ASCII in common.
fn text(octets: &[u8], unicode: bool) -> Option<String> {
    if !unicode {
        return std::str::from_utf8(octets).ok().filter(|text| text.is_ascii()).map(ToOwned::to_owned);
    }
    let (units, []) = octets.as_chunks::<2>() else { return None };
    let units = units.iter().map(|&unit| u16::from_le_bytes(unit));
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}

fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|octets| u32::from_le_bytes(*octets))
}
