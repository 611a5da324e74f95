//! Search filters as text (RFC 4515), from what either decoder makes of them.

use std::fmt::Write as _;

use lber::common::TagClass;
use lber::structure::{PL, StructureTag};
use ldap3_proto::proto::LdapFilter;

/// The text of a filter that `ldap3_proto` has read. Nesting is bounded by [`crate::ber::MAX_DEPTH`].
pub(crate) fn from_proto(filter: &LdapFilter) -> String {
    let mut out = String::new();
    write_proto(&mut out, filter);
    out
}

fn write_proto(out: &mut String, filter: &LdapFilter) {
    out.push('(');
    match filter {
        LdapFilter::And(parts) => write_list(out, '&', parts, write_proto),
        LdapFilter::Or(parts) => write_list(out, '|', parts, write_proto),
        LdapFilter::Not(part) => write_list(out, '!', std::slice::from_ref(&**part), write_proto),
        LdapFilter::Equality(name, value) => item(out, name, "=", value.as_bytes()),
        LdapFilter::GreaterOrEqual(name, value) => item(out, name, ">=", value.as_bytes()),
        LdapFilter::LessOrEqual(name, value) => item(out, name, "<=", value.as_bytes()),
        LdapFilter::Approx(name, value) => item(out, name, "~=", value.as_bytes()),
        LdapFilter::Present(name) => {
            out.push_str(name);
            out.push_str("=*");
        }
        LdapFilter::Substring(name, parts) => {
            out.push_str(name);
            out.push('=');
            escape(out, parts.initial.as_deref().unwrap_or_default().as_bytes());
            for part in &parts.any {
                out.push('*');
                escape(out, part.as_bytes());
            }
            out.push('*');
            escape(out, parts.final_.as_deref().unwrap_or_default().as_bytes());
        }
        LdapFilter::Extensible(rule) => extensible(
            out,
            rule.type_.as_deref().unwrap_or_default(),
            rule.dn_attributes,
            rule.matching_rule.as_deref(),
            rule.match_value.as_bytes(),
        ),
    }
    out.push(')');
}

/// The text of a filter as `lber` has read it; none when it is none. For values that are not UTF-8, which `ldap3_proto`
/// does not take and Active Directory's clients send (`objectGUID`, `objectSid`).
pub(crate) fn from_tag(filter: &StructureTag) -> Option<String> {
    let mut out = String::new();
    write_tag(&mut out, filter)?;
    Some(out)
}

fn write_tag(out: &mut String, filter: &StructureTag) -> Option<()> {
    if filter.class != TagClass::Context {
        return None;
    }
    out.push('(');
    match (filter.id, &filter.payload) {
        (kind @ 0..=2, PL::C(parts)) => {
            out.push(match kind {
                0 => '&',
                1 => '|',
                _ => '!',
            });
            for part in parts {
                write_tag(out, part)?;
            }
        }
        (kind @ (3 | 5 | 6 | 8), PL::C(parts)) => {
            let [name, value] = parts.as_slice() else { return None };
            let relation = match kind {
                3 => "=",
                5 => ">=",
                6 => "<=",
                _ => "~=",
            };
            item(out, &text(name)?, relation, octets(value)?);
        }
        (4, PL::C(parts)) => {
            let [name, StructureTag { payload: PL::C(pieces), .. }] = parts.as_slice() else { return None };
            out.push_str(&text(name)?);
            out.push('=');
            substrings(out, pieces)?;
        }
        (7, PL::P(name)) => {
            out.push_str(&String::from_utf8_lossy(name));
            out.push_str("=*");
        }
        (9, PL::C(parts)) => {
            let part = |id| parts.iter().find(|part| part.id == id);
            let rule = part(1).and_then(text);
            let name = part(2).and_then(text).unwrap_or_default();
            let below = part(4).and_then(octets).is_some_and(|value| value.first().is_some_and(|&octet| octet != 0));
            extensible(out, &name, below, rule.as_deref(), octets(part(3)?)?);
        }
        _ => return None,
    }
    out.push(')');
    Some(())
}

/// Substrings (RFC 4511, section 4.5.1.7.2): initial 0, any 1, final 2.
fn substrings(out: &mut String, pieces: &[StructureTag]) -> Option<()> {
    for piece in pieces {
        if piece.id != 0 {
            out.push('*');
        }
        escape(out, octets(piece)?);
    }
    if pieces.last().is_none_or(|piece| piece.id != 2) {
        out.push('*');
    }
    Some(())
}

fn write_list<T>(out: &mut String, sign: char, parts: &[T], write: fn(&mut String, &T)) {
    out.push(sign);
    for part in parts {
        write(out, part);
    }
}

fn item(out: &mut String, name: &str, relation: &str, value: &[u8]) {
    out.push_str(name);
    out.push_str(relation);
    escape(out, value);
}

fn extensible(out: &mut String, name: &str, below: bool, rule: Option<&str>, value: &[u8]) {
    out.push_str(name);
    if below {
        out.push_str(":dn");
    }
    if let Some(rule) = rule {
        out.push(':');
        out.push_str(rule);
    }
    out.push_str(":=");
    escape(out, value);
}

fn text(tag: &StructureTag) -> Option<String> {
    octets(tag).map(|value| String::from_utf8_lossy(value).into_owned())
}

fn octets(tag: &StructureTag) -> Option<&[u8]> {
    match &tag.payload {
        PL::P(value) => Some(value),
        PL::C(_) => None,
    }
}

/// Writes a value so that no octet of it can be taken for syntax (RFC 4515, section 3). Other than UTF-8 is escaped whole.
pub(crate) fn escape(out: &mut String, value: &[u8]) {
    let hex = |out: &mut String, octet: u8| {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\{octet:02x}");
    };
    match std::str::from_utf8(value) {
        Ok(text) => {
            for letter in text.chars() {
                match u8::try_from(letter) {
                    Ok(octet) if octet < 0x80 && (octet.is_ascii_control() || b"*()\\".contains(&octet)) => {
                        hex(out, octet);
                    }
                    _ => out.push(letter),
                }
            }
        }
        Err(_) => value.iter().for_each(|&octet| hex(out, octet)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_reads_is_written_back() {
        for filter in [
            "(objectClass=*)",
            "(&(objectClass=person)(!(uid=ab))(|(cn=x)(cn~=y)))",
            "(cn=al*c*e)",
            "(cn=*x*)",
            "(uidNumber>=1000)",
            "(userAccountControl:1.2.840.113556.1.4.803:=4194304)",
        ] {
            let parsed = ldap3_proto::parse_ldap_filter_str(filter).unwrap();
            assert_eq!(from_proto(&parsed), filter);
        }
    }

    #[test]
    fn values_that_are_not_text_are_escaped_octet_by_octet() {
        let mut out = String::new();
        escape(&mut out, &[0xff, b'a', 0x00]);
        assert_eq!(out, "\\ff\\61\\00");
        out.clear();
        escape(&mut out, "Zoë*(x)\\".as_bytes());
        assert_eq!(out, "Zoë\\2a\\28x\\29\\5c");
    }
}
