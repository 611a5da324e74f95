//! Values that each directory chooses for itself, and nothing else, are replaced by fillers.
//!
//! Each is looked for where it belongs and has to look as it should; whatever does not is compared as it is. Entries that
//! were loaded bear the same `entryUUID` (version 8) everywhere, so only those that slapd made (another version) are
//! replaced.

use std::ops::Range;

use super::ber::{Found, Octets, element, elements, seq, tlv};

/// Attributes that hold the time of a change (RFC 4512, section 3.4), and slapd's own of that kind.
const TIMES: [&str; 3] = ["createtimestamp", "modifytimestamp", "pwdchangedtime"];
const CSNS: [&str; 2] = ["entrycsn", "contextcsn"];

const SYNC_STATE: &[u8] = b"1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_DONE: &[u8] = b"1.3.6.1.4.1.4203.1.9.1.3";
const PRE_READ: &[u8] = b"1.3.6.1.1.13.1";
const POST_READ: &[u8] = b"1.3.6.1.1.13.2";
/// Its context id is an address in slapd's memory.
const VLV_RESPONSE: &[u8] = b"2.16.840.1.113730.3.4.10";
/// So is the cookie when the results are also sorted; when they are not, it is the number of an entry.
const PAGED: &[u8] = b"1.2.840.113556.1.4.319";

/// A whole message with fillers for what the server chose.
pub(super) fn normalised(message: &[u8]) -> Octets {
    let mut octets = without_challenge(message).unwrap_or_else(|| message.to_vec());
    let Some(outer) = element(&octets, 0) else { return octets };
    let parts = elements(&octets, outer.value);
    let [_, operation, rest @ ..] = parts.as_slice() else { return octets };
    match operation.tag {
        0x61 => bind_answer(&mut octets, operation),
        0x64 => entry(&mut octets, operation.value.clone()),
        0x78 => generated_password(&mut octets, operation),
        0x79 => sync_info(&mut octets, operation.value.clone()),
        _ => {}
    }
    for controls in rest.iter().filter(|part| part.tag == 0xa0) {
        for control in elements(&octets, controls.value.clone()) {
            self::control(&mut octets, control.value);
        }
    }
    octets
}

/// SearchResultEntry without its tag.
fn entry(octets: &mut [u8], range: Range<usize>) {
    let parts = elements(octets, range);
    let [_, attributes] = parts.as_slice() else { return };
    for attribute in elements(octets, attributes.value.clone()) {
        let parts = elements(octets, attribute.value);
        let [name, values] = parts.as_slice() else { continue };
        let name = String::from_utf8_lossy(&octets[name.value.clone()]).to_ascii_lowercase();
        for value in elements(octets, values.value.clone()) {
            let is_chosen = |value: &[u8]| {
                TIMES.contains(&name.as_str()) && is_time(value)
                    || CSNS.contains(&name.as_str()) && is_csn(value)
                    || name == "entryuuid" && is_uuid_text(value)
            };
            if is_chosen(&octets[value.value.clone()]) {
                octets[value.value].fill(b'*');
            }
        }
    }
}

fn control(octets: &mut [u8], range: Range<usize>) {
    let parts = elements(octets, range);
    let (Some(oid), Some(value)) = (parts.first(), parts.iter().skip(1).find(|part| part.tag == 0x04)) else { return };
    let oid = octets[oid.value.clone()].to_vec();
    let Some(inner) = element(octets, value.value.start) else { return };
    let inside = elements(octets, inner.value.clone());
    match oid.as_slice() {
        SYNC_STATE => {
            if let Some(uuid) = inside.get(1) {
                made_uuid(octets, uuid);
            }
            csns(octets, inner.value);
        }
        SYNC_DONE => csns(octets, inner.value),
        PRE_READ | POST_READ => entry(octets, inner.value),
        VLV_RESPONSE => {
            if let Some(context) = inside.get(3).filter(|context| context.value.len() == size_of::<usize>()) {
                octets[context.value.clone()].fill(b'*');
            }
        }
        PAGED => {
            if let Some(cookie) = inside.get(1).filter(|cookie| is_address(&octets[cookie.value.clone()])) {
                octets[cookie.value.clone()].fill(b'*');
            }
        }
        _ => {}
    }
}

/// An address in memory is larger than the number of any entry here.
fn is_address(value: &[u8]) -> bool {
    <[u8; 8]>::try_from(value).is_ok_and(|value| u64::from_le_bytes(value) > u64::from(u32::MAX))
}

/// Sync Info Message (RFC 4533, section 2.5): cookies, and sets of UUIDs.
fn sync_info(octets: &mut [u8], range: Range<usize>) {
    for value in elements(octets, range).into_iter().filter(|part| part.tag == 0x81) {
        csns(octets, value.value.clone());
        let Some(choice) = element(octets, value.value.start) else { continue };
        for set in elements(octets, choice.value).into_iter().filter(|part| part.tag == 0x31) {
            for uuid in elements(octets, set.value) {
                made_uuid(octets, &uuid);
            }
        }
    }
}

/// Password modify without a new password is answered with one (RFC 3062, section 2).
fn generated_password(octets: &mut [u8], operation: &Found) {
    let parts = elements(octets, operation.value.clone());
    let Some(value) = parts.into_iter().find(|part| part.tag == 0x8b) else { return };
    let Some(inner) = element(octets, value.value.start).filter(|inner| inner.tag == 0x30) else { return };
    if let [password] = elements(octets, inner.value).as_slice()
        && password.tag == 0x80
    {
        octets[password.value.clone()].fill(b'*');
    }
}

/// CRAM-MD5's challenge (RFC 2195) is a number of no fixed length, so it is the only value whose filler has another one.
fn without_challenge(message: &[u8]) -> Option<Octets> {
    let parts = elements(message, element(message, 0)?.value);
    let [id, operation] = parts.as_slice() else { return None };
    let inside = elements(message, operation.value.clone());
    let credentials = inside.last().filter(|part| part.tag == 0x87)?;
    let challenge = &message[credentials.value.clone()];
    if operation.tag != 0x61 || !challenge.starts_with(b"<") || !challenge.ends_with(b">") {
        return None;
    }
    let before = inside.iter().rev().nth(1)?.value.end;
    let operation = [&message[operation.value.start..before], &tlv(0x87, "<*>")].concat();
    Some(seq(&[tlv(id.tag, &message[id.value.clone()]), tlv(0x61, operation)]))
}

/// SCRAM (RFC 5802, section 7): the server's part of the nonce, the salt, and the proof made of both.
fn bind_answer(octets: &mut [u8], operation: &Found) {
    let parts = elements(octets, operation.value.clone());
    let Some(credentials) = parts.into_iter().find(|part| part.tag == 0x87) else { return };
    let text = String::from_utf8_lossy(&octets[credentials.value.clone()]).into_owned();
    let mut at = credentials.value.start;
    for piece in text.split(',') {
        if ["r=", "s=", "v="].iter().any(|name| piece.starts_with(name)) {
            octets[at + 2..at + piece.len()].fill(b'*');
        }
        at += piece.len() + 1;
    }
}

fn made_uuid(octets: &mut [u8], uuid: &Found) {
    let range = uuid.value.clone();
    if range.len() == 16 && octets[range.start + 6] >> 4 != 8 {
        octets[range].fill(b'*');
    }
}

/// Every CSN in a sync cookie.
fn csns(octets: &mut [u8], range: Range<usize>) {
    const LENGTH: usize = "20261124141152.000000Z#000000#000#000000".len();
    let mut at = range.start;
    while at + LENGTH <= range.end {
        if is_csn(&octets[at..at + LENGTH]) {
            octets[at..at + LENGTH].fill(b'*');
        }
        at += 1;
    }
}

/// `d` stands for a digit, `x` for a hexadecimal one, everything else for itself.
fn looks_like(value: &[u8], pattern: &str) -> bool {
    value.len() == pattern.len()
        && value.iter().zip(pattern.bytes()).all(|(&octet, sign)| match sign {
            b'd' => octet.is_ascii_digit(),
            b'x' => octet.is_ascii_hexdigit(),
            sign => octet == sign,
        })
}

fn is_time(value: &[u8]) -> bool {
    looks_like(value, "ddddddddddddddZ")
}

fn is_csn(value: &[u8]) -> bool {
    looks_like(value, "dddddddddddddd.ddddddZ#xxxxxx#xxx#xxxxxx")
}

fn is_uuid_text(value: &[u8]) -> bool {
    looks_like(value, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") && value[14] != b'8'
}

#[test]
fn only_what_looks_as_it_should_is_replaced() {
    use super::ber::{int, set, text};
    let entry = |name: &str, value: &str| {
        let attribute = seq(&[text(name), set(&[text(value)])]);
        seq(&[int(1), tlv(0x64, [text("dc=x"), seq(&[attribute])].concat())])
    };
    for (name, value, replaced) in [
        ("entryCSN", "20261124141152.123456Z#000000#000#000000", true),
        ("entryCSN", "20261124141152.123456Z#000000#000#00000g", false),
        ("description", "20261124141152.123456Z#000000#000#000000", false),
        ("createTimestamp", "20261124141152Z", true),
        ("entryUUID", "3f1c8a52-0000-1041-8000-000000000001", true),
        ("entryUUID", "3f1c8a52-0000-8041-8000-000000000001", false),
    ] {
        let message = entry(name, value);
        assert_eq!(normalised(&message) != message, replaced, "{name} {value}");
        assert_eq!(normalised(&message).len(), message.len());
    }
}
