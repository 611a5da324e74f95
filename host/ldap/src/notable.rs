//! Searches that are worth a look, told by their octets: every search that nobody watches comes through here, so nothing is
//! copied and nothing decoded that is not needed to tell.

use portcullis_core::gate::Notable;

use crate::ber::{Element, OCTET_STRING, Reader, SEQUENCE};
use crate::decode;
use crate::frame::{Frame, FrameError};

/// Conditions that are looked at. A filter with more is worth a look for that alone.
const MOST_CONDITIONS: usize = 256;
/// Attributes that are looked at, likewise.
const MOST_ATTRIBUTES: usize = 256;

/// wholeSubtree (RFC 4511, section 4.5.1.2).
const SUBTREE: &[u8] = &[2];

/// The search is worth a look. One that cannot be read is: the directory may be able to.
pub(crate) fn is(frame: &Frame, what: &Notable) -> bool {
    look(frame, what).unwrap_or(true)
}

fn look(frame: &Frame, what: &Notable) -> Result<bool, FrameError> {
    let mut parts = Reader::new(decode::search_parts(frame)?);
    let base = parts.expect(OCTET_STRING)?;
    let scope = parts.expect(crate::ber::ENUMERATED)?.value;
    for _ in 0..4 {
        // Dereferencing, two limits and whether values are wanted.
        parts.next()?;
    }
    let filter = parts.next()?.ok_or(FrameError::Malformed)?;
    let mut conditions = Conditions { what, broad: scope == SUBTREE && what.broad.is_some(), left: MOST_CONDITIONS };
    if conditions.has_notable(filter)? || conditions.broad || conditions.left == 0 {
        return Ok(true);
    }
    let mut attributes = Reader::new(parts.expect(SEQUENCE)?.value);
    let mut left = MOST_ATTRIBUTES;
    while let Some(attribute) = attributes.next()? {
        left -= 1;
        if left == 0 || is_one_of(attribute.value, &what.attributes) {
            return Ok(true);
        }
    }
    Ok(!what.entries.is_empty() && is_under(base, &what.entries))
}

/// The conditions of a filter (RFC 4511, section 4.5.1.7).
struct Conditions<'a> {
    what: &'a Notable,
    /// None so far names anything in particular.
    broad: bool,
    left: usize,
}

impl Conditions<'_> {
    fn has_notable(&mut self, filter: Element<'_>) -> Result<bool, FrameError> {
        // In place of recursion: a filter may be nested as deep as a frame allows.
        let mut open = vec![filter];
        while let Some(element) = open.pop() {
            match element.tag {
                // And, or, not.
                0xa0..=0xa2 => {
                    let mut inner = Reader::new(element.value);
                    while let Some(inner) = inner.next()? {
                        if open.len() >= MOST_CONDITIONS {
                            self.left = 0;
                            return Ok(true);
                        }
                        open.push(inner);
                    }
                }
                _ => {
                    self.left = self.left.saturating_sub(1);
                    if self.left == 0 || self.is_notable(element)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn is_notable(&mut self, condition: Element<'_>) -> Result<bool, FrameError> {
        match condition.tag {
            // Present.
            0x87 => {
                Ok(is_one_of(condition.value, &self.what.attributes) || is_one_of(condition.value, &self.what.listed))
            }
            // Equality, substrings, greater, less, approximate: a sequence that the attribute leads.
            0xa3..=0xa6 | 0xa8 => {
                let name = Reader::new(condition.value).expect(OCTET_STRING)?.value;
                self.broad &= self.what.broad.as_ref().is_some_and(|broad| is_one_of(name, broad));
                let lists = condition.tag == 0xa4 && is_one_of(name, &self.what.listed);
                Ok(lists || is_one_of(name, &self.what.attributes))
            }
            // Extensible: its rule and its attribute are optional.
            0xa9 => {
                self.broad = false;
                let mut parts = Reader::new(condition.value);
                while let Some(part) = parts.next()? {
                    if part.tag == 0x82 {
                        return Ok(
                            is_one_of(part.value, &self.what.matched) || is_one_of(part.value, &self.what.attributes)
                        );
                    }
                }
                Ok(false)
            }
            _ => Err(FrameError::Malformed),
        }
    }
}

/// Options of an attribute (RFC 4512, section 2.5) do not matter.
fn is_one_of(name: &[u8], names: &[String]) -> bool {
    let name = name.split(|octet| *octet == b';').next().unwrap_or(name);
    names.iter().any(|known| known.len() == name.len() && known.as_bytes().eq_ignore_ascii_case(name))
}

fn is_under(base: Element<'_>, entries: &[String]) -> bool {
    base.text().is_ok_and(|base| entries.iter().any(|entry| portcullis_core::dn::is_under(base, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 65_536);
        let mut octets = vec![tag, 0x82];
        octets.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        octets.extend(value);
        octets
    }

    fn text(tag: u8, text: &str) -> Vec<u8> {
        element(tag, text.as_bytes())
    }

    fn equals(name: &str) -> Vec<u8> {
        element(0xa3, &[text(4, name), text(4, "x")].concat())
    }

    fn starts(name: &str) -> Vec<u8> {
        element(0xa4, &[text(4, name), element(0x30, &text(0x80, "x"))].concat())
    }

    fn rule(name: &str) -> Vec<u8> {
        element(0xa9, &[text(0x81, "1.2.840.113556.1.4.803"), text(0x82, name), text(0x83, "2")].concat())
    }

    fn search(base: &str, scope: u8, filter: &[u8], attributes: &[&str]) -> Frame {
        let attributes: Vec<_> = attributes.iter().flat_map(|name| text(4, name)).collect();
        let operation = [
            text(4, base),
            vec![10, 1, scope],
            vec![10, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0],
            filter.to_vec(),
            element(0x30, &attributes),
        ]
        .concat();
        let message = element(0x30, &[vec![2, 1, 1], element(0x63, &operation)].concat());
        Frame::new(bytes::Bytes::from(message)).unwrap()
    }

    fn what() -> Notable {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Notable {
            attributes: names(&["unicodePwd", "adminCount"]),
            listed: names(&["servicePrincipalName"]),
            matched: names(&["userAccountControl"]),
            entries: names(&["cn=vault,dc=x"]),
            broad: Some(names(&["objectClass"])),
        }
    }

    fn both(one: Vec<u8>, other: Vec<u8>) -> Vec<u8> {
        element(0xa0, &[one, other].concat())
    }

    #[test]
    fn what_is_worth_a_look_is_told_by_its_octets() {
        let plain = || equals("uid");
        let cases = [
            (false, search("dc=x", 2, &plain(), &["cn", "mail"])),
            (true, search("dc=x", 2, &plain(), &["cn", "UNICODEPWD;x"])),
            (true, search("dc=x", 0, &both(plain(), equals("admincount")), &[])),
            (true, search("dc=x", 2, &element(0xa2, &starts("serviceprincipalname")), &[])),
            (true, search("dc=x", 2, &both(plain(), text(0x87, "servicePrincipalName")), &[])),
            (false, search("dc=x", 2, &equals("servicePrincipalName"), &[])),
            (true, search("dc=x", 2, &both(plain(), rule("useraccountcontrol")), &[])),
            (false, search("dc=x", 2, &equals("userAccountControl"), &[])),
            (true, search("cn=key,CN=Vault, dc=x", 0, &plain(), &[])),
            (false, search("cn=key,dc=x", 0, &plain(), &[])),
            (true, search("dc=x", 2, &text(0x87, "objectClass"), &["cn"])),
            (false, search("dc=x", 1, &text(0x87, "objectClass"), &["cn"])),
            (true, search("dc=x", 2, &both(equals("objectClass"), text(0x87, "mail")), &["cn"])),
            (false, search("dc=x", 2, &both(equals("objectClass"), plain()), &["cn"])),
            (true, search("dc=x", 2, &text(0x99, "what is this"), &["cn"])),
        ];
        for (number, (expected, frame)) in cases.iter().enumerate() {
            assert_eq!(is(frame, &what()), *expected, "case {number}");
        }
        let many: Vec<u8> = (0..300).flat_map(|_| plain()).collect();
        assert!(is(&search("dc=x", 2, &element(0xa1, &many), &[]), &what()), "too much to look at");
        let deep = (0..100).fold(plain(), |inner, _| element(0xa2, &inner));
        assert!(!is(&search("dc=x", 2, &deep, &[]), &what()));
        let deep = (0..100).fold(rule("userAccountControl"), |inner, _| element(0xa2, &inner));
        assert!(is(&search("dc=x", 2, &deep, &[]), &what()));
    }
}
