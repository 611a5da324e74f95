//! Directory entries, and writing them as LDIF (RFC 2849).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A directory entry, ready to be loaded or searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The distinguished name as it is shown.
    pub dn: String,
    /// The value of `entryUUID`, derived from the name and therefore always the same.
    pub uuid: String,
    /// Attribute names in their usual spelling, and their values.
    pub attributes: Vec<(&'static str, Vec<String>)>,
}

impl Entry {
    pub(crate) fn new(dn: String, attributes: Vec<(&'static str, Vec<String>)>) -> Self {
        let uuid = uuid_of(&dn);
        Self { dn, uuid, attributes }
    }

    /// The values of an attribute by its name in any case; none when the entry does not have it.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[String] {
        self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute)).map_or(&[], |(_, values)| values)
    }
    pub(crate) fn write_ldif(&self, text: &mut String) {
        push_ldif_line(text, "dn", &self.dn);
        for (name, values) in &self.attributes {
            for value in values {
                push_ldif_line(text, name, value);
            }
        }
        push_ldif_line(text, "entryUUID", &self.uuid);
        text.push('\n');
    }
}

/// A version 8 UUID (RFC 9562) made of two FNV-1a hashes of the name: stable, which is all that a sample needs.
fn uuid_of(dn: &str) -> String {
    let hash = |seed: u64| {
        dn.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let high = (hash(0) & 0xffff_ffff_ffff_0fff) | 0x8000;
    let low = (hash(0x9e37_79b9_7f4a_7c15) & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let hex = format!("{high:016x}{low:016x}");
    let mut text = String::with_capacity(36);
    for (nth, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&nth) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// RFC 2849 wants base64 for what is not plain ASCII; long lines may stay whole, every reader takes them.
fn push_ldif_line(text: &mut String, name: &str, value: &str) {
    let plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && !value.starts_with([' ', ':', '<'])
        && !value.ends_with(' ');
    // Writing into a String cannot fail.
    let _ =
        if plain { writeln!(text, "{name}: {value}") } else { writeln!(text, "{name}:: {}", STANDARD.encode(value)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beyond_ascii_is_written_in_base64() {
        let mut text = String::new();
        push_ldif_line(&mut text, "sn", "Müller");
        push_ldif_line(&mut text, "sn", "Miller");
        assert_eq!(text, "sn:: TcO8bGxlcg==\nsn: Miller\n");
    }
}
