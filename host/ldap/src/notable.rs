//! Searches that are worth a look, told by their octets: every search that nobody watches comes through here, so nothing is
//! copied and nothing decoded that is not needed to tell.

use portcullis_core::gate::Notable;
use portcullis_core::{attribute, dn};

use crate::ber::{self, Element, OCTET_STRING, Reader, SEQUENCE};
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
    let scope = parts.expect(ber::ENUMERATED)?.value;
    for _ in 0..4 {
        // Dereferencing, two limits and whether values are wanted.
        parts.next()?;
    }
    let filter = parts.next()?.ok_or(FrameError::Malformed)?;
    let mut conditions = Conditions { what, is_notable: false, left: MOST_CONDITIONS };
    let broad = conditions.look(filter, 0)?;
    if conditions.is_notable || broad && scope == SUBTREE && what.broad.is_some() {
        return Ok(true);
    }
    let mut attributes = Reader::new(parts.expect(SEQUENCE)?.value);
    let mut left = MOST_ATTRIBUTES;
    while let Some(attribute) = attributes.next()? {
        left -= 1;
        if left == 0 || is_one_of(named(attribute.value), &what.attributes) {
            return Ok(true);
        }
    }
    Ok(!what.entries.is_empty() && is_under(base, &what.entries))
}

/// The conditions of a filter (RFC 4511, section 4.5.1.7).
struct Conditions<'a> {
    what: &'a Notable,
    is_notable: bool,
    left: usize,
}

impl Conditions<'_> {
    /// Whether the filter names nothing in particular. Ends with the first condition that is notable.
    fn look(&mut self, filter: Element<'_>, depth: usize) -> Result<bool, FrameError> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || depth == ber::MAX_DEPTH {
            self.is_notable = true;
        }
        if self.is_notable {
            return Ok(true);
        }
        match filter.tag {
            // And, or, not.
            0xa0..=0xa2 => {
                let (mut all, mut any) = (true, false);
                let mut parts = Reader::new(filter.value);
                while let Some(part) = parts.next()? {
                    let part = self.look(part, depth + 1)?;
                    (all, any) = (all && part, any || part);
                }
                Ok(match filter.tag {
                    0xa0 => all,
                    0xa1 => any,
                    _ => true,
                })
            }
            _ => self.condition(filter),
        }
    }

    fn condition(&mut self, condition: Element<'_>) -> Result<bool, FrameError> {
        let Notable { attributes, listed, matched, broad, .. } = self.what;
        let name = match condition.tag {
            // Present.
            0x87 => condition.value,
            // Equality, substrings, greater, less, approximate: a sequence that the attribute leads.
            0xa3..=0xa6 | 0xa8 => Reader::new(condition.value).expect(OCTET_STRING)?.value,
            // Extensible: its rule and its attribute are optional.
            0xa9 => {
                let mut parts = Reader::new(condition.value);
                loop {
                    match parts.next()? {
                        Some(part) if part.tag == 0x82 => break part.value,
                        Some(_) => {}
                        None => return Ok(false),
                    }
                }
            }
            _ => return Err(FrameError::Malformed),
        };
        let name = named(name);
        let is_order = matches!(condition.tag, 0xa5 | 0xa6);
        let lists = is_order || matches!(condition.tag, 0x87 | 0xa4);
        let matches = is_order || matches!(condition.tag, 0xa3 | 0xa9);
        self.is_notable |=
            is_one_of(name, attributes) || lists && is_one_of(name, listed) || matches && is_one_of(name, matched);
        let is_broad = || condition.tag != 0xa9 && broad.as_ref().is_some_and(|broad| is_one_of(name, broad));
        Ok(condition.tag == 0x87 || is_order || is_broad())
    }
}

/// The name of an attribute, however it is written; of one that is no text, none that there is.
fn named(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).map_or("", attribute::name)
}

fn is_one_of(name: &str, names: &[String]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn is_under(base: Element<'_>, entries: &[String]) -> bool {
    base.text().is_ok_and(|base| entries.iter().any(|entry| dn::may_be_under(base, entry)))
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

    fn ordered(name: &str) -> Vec<u8> {
        element(0xa5, &[text(4, name), text(4, "x")].concat())
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
            (true, search("dc=x", 2, &equals("userAccountControl"), &[])),
            (false, search("dc=x", 2, &equals("userAccountControl2"), &[])),
            (true, search("cn=key,CN=Vault, dc=x", 0, &plain(), &[])),
            (false, search("cn=key,dc=x", 0, &plain(), &[])),
            (true, search("dc=x", 2, &text(0x87, "objectClass"), &["cn"])),
            (false, search("dc=x", 1, &text(0x87, "objectClass"), &["cn"])),
            (true, search("dc=x", 2, &both(equals("objectClass"), text(0x87, "mail")), &["cn"])),
            (false, search("dc=x", 2, &both(equals("objectClass"), plain()), &["cn"])),
            (true, search("dc=x", 2, &text(0x99, "what is this"), &["cn"])),
            // By numbers.
            (true, search("dc=x", 2, &plain(), &["cn", "1.2.840.113556.1.4.90"])),
            (true, search("dc=x", 2, &both(plain(), rule("OID.1.2.840.113556.1.4.8")), &[])),
            (true, search("dc=x", 2, &starts("1.2.840.113556.1.4.771"), &[])),
            (true, search("cn=key,2.5.4.3=Ｖault,dc=x", 0, &plain(), &[])),
            // By order.
            (true, search("dc=x", 1, &ordered("servicePrincipalName"), &["cn"])),
            (true, search("dc=x", 1, &ordered("userAccountControl"), &["cn"])),
            (false, search("dc=x", 1, &ordered("cn"), &["cn"])),
            (true, search("dc=x", 2, &ordered("cn"), &["cn"])),
            // Broad as a whole.
            (true, search("dc=x", 2, &element(0xa1, &[text(0x87, "objectClass"), plain()].concat()), &["cn"])),
            (false, search("dc=x", 2, &element(0xa1, &[plain(), plain()].concat()), &["cn"])),
            (true, search("dc=x", 2, &element(0xa2, &plain()), &["cn"])),
            (false, search("dc=x", 2, &both(plain(), element(0xa2, &plain())), &["cn"])),
        ];
        for (number, (expected, frame)) in cases.iter().enumerate() {
            assert_eq!(is(frame, &what()), *expected, "case {number}");
        }
        let many: Vec<u8> = (0..300).flat_map(|_| plain()).collect();
        assert!(is(&search("dc=x", 2, &element(0xa1, &many), &[]), &what()), "too much to look at");
        let deep = (0..100).fold(plain(), |inner, _| element(0xa2, &inner));
        assert!(!is(&search("dc=x", 1, &deep, &[]), &what()));
        let deeper = (0..50).fold(deep, |inner, _| element(0xa2, &inner));
        assert!(is(&search("dc=x", 1, &deeper, &[]), &what()), "too deep to look at");
        let deep = (0..100).fold(rule("userAccountControl"), |inner, _| element(0xa2, &inner));
        assert!(is(&search("dc=x", 2, &deep, &[]), &what()));
    }
}
