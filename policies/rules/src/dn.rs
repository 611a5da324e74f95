//! Distinguished names, as they are written, and comparing them without a directory's schema.

use unicode_normalization::UnicodeNormalization as _;

use crate::attribute;

/// One attribute and value of a relative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Attribute, in lower case and by its short name.
    pub attribute: String,
    /// Value, with its escapes undone.
    pub value: String,
}

/// The parts of a name, the leaf first; those of one relative name are together. None for what is no name. Read are RFC 4514, and the
/// older forms of RFC 2253, section 4, that directories still take (quotes, semicolons).
#[must_use]
pub fn parse(text: &str) -> Option<Vec<Vec<Part>>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut relatives = vec![Vec::new()];
    let mut letters = Letters(text.chars().peekable());
    loop {
        let attribute = letters.attribute()?;
        let (value, end) = letters.value()?;
        relatives.last_mut()?.push(Part { attribute, value });
        match end {
            Some('+') => {}
            Some(_) => relatives.push(Vec::new()),
            None => return Some(relatives),
        }
    }
}

/// A name in a form in which it is compared. Case and repeated blanks do not count, as in the matching rules of naming attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dn(Vec<Vec<(String, String)>>);

impl Dn {
    /// For a name that a client has written: equal are all names that some directory takes for the same. OpenLDAP does not tell
    /// compatible letters apart (ｓ, ſ and s), Active Directory accents neither.
    #[must_use]
    pub fn loose(text: &str) -> Option<Self> {
        Self::folded(text, loosely)
    }

    /// For names that the directory or the administrator has written: equal are those alone that are the same to every directory.
    #[must_use]
    pub fn exact(text: &str) -> Option<Self> {
        Self::folded(text, exactly)
    }

    fn folded(text: &str, fold: fn(&str) -> String) -> Option<Self> {
        let fold = |part: Part| (part.attribute, fold(&part.value));
        let relatives = parse(text)?.into_iter().map(|relative| {
            let mut relative: Vec<_> = relative.into_iter().map(fold).collect();
            relative.sort();
            relative
        });
        Some(Self(relatives.collect()))
    }

    /// It is the other entry, or below it.
    #[must_use]
    pub fn is_under(&self, base: &Self) -> bool {
        self.0.ends_with(&base.0)
    }

    /// It has no parts: the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

/// Combining diacritical marks, which NFKD leaves behind the letters that they stood on.
const ACCENTS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// A value in a form that is equal for all that some directory takes for the same; see [`Dn::loose`].
#[must_use]
pub fn loosely(value: &str) -> String {
    if value.is_ascii() {
        return exactly(value);
    }
    let letters = value.nfkd().filter(|letter| !ACCENTS.contains(letter));
    // By way of capitals, so that letters with two small forms (σ and ς) have one.
    let folded: String = letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    exactly(&folded)
}

/// A value in lower case, with blanks at the ends left out and others as one (RFC 4518): equal are values that are the same to every
/// directory.
#[must_use]
pub fn exactly(value: &str) -> String {
    let mut folded = String::with_capacity(value.len());
    for word in value.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        // Lower case of other letters can depend on what is around them, so it is for the whole word.
        if word.is_ascii() {
            folded.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        } else {
            folded.push_str(&word.to_lowercase());
        }
    }
    folded
}

struct Letters<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Letters<'_> {
    /// An attribute and the sign behind it.
    fn attribute(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            match self.0.next()? {
                '=' => break,
                ',' | ';' | '+' => return None,
                letter => name.push(letter),
            }
        }
        let name = attribute::name(&name);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_ascii_lowercase())
    }

    /// A value, and what ends it. Blanks around it do not belong to it, unless they are escaped.
    fn value(&mut self) -> Option<(String, Option<char>)> {
        while self.0.next_if_eq(&' ').is_some() {}
        if self.0.next_if_eq(&'#').is_some() {
            return self.encoded();
        }
        let mut octets = Vec::new();
        let mut is_quoted = false;
        // Where the value ends, unless more than blanks follows.
        let mut firm = 0;
        let end = loop {
            match self.0.next() {
                None if is_quoted => return None,
                None => break None,
                Some('"') => is_quoted = !is_quoted,
                Some('\\') => {
                    self.escaped(&mut octets)?;
                    firm = octets.len();
                }
                Some(letter @ (',' | ';' | '+')) if !is_quoted => break Some(letter),
                Some(letter) => {
                    push(&mut octets, letter);
                    if letter != ' ' || is_quoted {
                        firm = octets.len();
                    }
                }
            }
        };
        octets.truncate(firm);
        Some((String::from_utf8(octets).ok()?, end))
    }

    /// What stands behind a backslash: two hexadecimal digits, or a letter that stands for itself.
    fn escaped(&mut self, octets: &mut Vec<u8>) -> Option<()> {
        let first = self.0.next()?;
        let digits = first.to_digit(16).zip(self.0.peek().and_then(|second| second.to_digit(16)));
        if let Some((high, low)) = digits {
            self.0.next();
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            push(octets, first);
        }
        Some(())
    }

    /// A value as the octets of its encoding, in hexadecimal digits (RFC 4514, section 2.4); of strings in ASCII or UTF-8.
    fn encoded(&mut self) -> Option<(String, Option<char>)> {
        let mut octets = Vec::new();
        let end = loop {
            match self.0.next() {
                None => break None,
                Some(letter @ (',' | ';' | '+')) => break Some(letter),
                Some(' ') => {}
                Some(high) => {
                    let (high, low) = (high.to_digit(16)?, self.0.next()?.to_digit(16)?);
                    octets.push(u8::try_from(high * 16 + low).ok()?);
                }
            }
        };
        // Octet string, UTF8String, NumericString, PrintableString, IA5String and VisibleString (X.690, section 8.1).
        let ([0x04 | 0x0c | 0x12 | 0x13 | 0x16 | 0x1a, length], text) = octets.split_first_chunk::<2>()? else {
            return None;
        };
        let text = match length {
            0x81 => text.split_first().filter(|(length, text)| usize::from(**length) == text.len())?.1,
            _ => Some(text).filter(|text| usize::from(*length) == text.len() && *length < 0x80)?,
        };
        Some((String::from_utf8(text.to_vec()).ok()?, end))
    }
}

fn push(octets: &mut Vec<u8>, letter: char) {
    octets.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_under(entry: &str, base: &str) -> bool {
        Dn::loose(entry).unwrap().is_under(&Dn::loose(base).unwrap())
    }

    #[test]
    fn an_entry_is_under_itself_and_what_is_above() {
        let entry = "uid=alice,ou=People,dc=acme,dc=example";
        for base in [
            entry,
            "ou=people,dc=acme,dc=example",
            "OU = People , DC=ACME;dc=example",
            "2.5.4.11=people,domainComponent=acme,OID.0.9.2342.19200300.100.1.25=example",
            "ou=\"People\",dc=acme,dc=example",
            "ou=\\50eople,dc=acme,dc=example",
            "ou=#0c0650656F706c65,dc=acme,dc=example",
            "dc=example",
            "",
        ] {
            assert!(is_under(entry, base), "{base}");
        }
        for base in ["ou=people", "ou=peop,dc=acme,dc=example", "uid=bob,ou=People,dc=acme,dc=example", "dc=acme"] {
            assert!(!is_under(entry, base), "{base}");
        }
    }

    #[test]
    fn a_comma_inside_a_value_cuts_nothing() {
        assert!(is_under("cn=a,ou=Sales\\, East,dc=x", "ou=sales\\2C east,dc=x"));
        assert!(!is_under("cn=a\\,dc=x", "dc=x"));
        assert!(!is_under("cn=\"a,dc=x\"", "dc=x"));
        assert!(is_under("cn=a,cn=b+uid=c,dc=x", "UID=C+CN=B,dc=x"));
        assert!(is_under("cn=zo\\C3\\AB,dc=x", "cn=ZOË,dc=x"));
    }

    #[test]
    fn letters_that_a_directory_takes_for_the_same_are_so_in_what_clients_write() {
        for written in
            ["ou=Ｓecrets,dc=x", "ou=ſecrets,dc=x", "ou=Sécrets,dc=x", "ou=Se\u{301}crets,dc=x", "ou= secrets,DC=X"]
        {
            assert!(is_under(&format!("uid=a,{written}"), "ou=secrets,dc=x"), "{written}");
            assert_eq!(Dn::exact(written) == Dn::exact("ou=secrets,dc=x"), written.is_ascii(), "{written}");
        }
        assert_eq!(loosely("DOMÄNEN-ADMINS  ΟΔΟΣ"), loosely("domänen-admins οδοσ"));
        assert!(!is_under("ou=secret,dc=x", "ou=secrets,dc=x"));
    }

    #[test]
    fn values_are_told_as_they_are_meant() {
        let parts = parse("cn=a\\,b\\+c\\=d+uid=\"x,y\" , dc=\\ e\\ ;o= a  b ").unwrap();
        let values: Vec<Vec<&str>> = parts.iter().map(|r| r.iter().map(|p| p.value.as_str()).collect()).collect();
        assert_eq!(values, [vec!["a,b+c=d", "x,y"], vec![" e "], vec!["a  b"]]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "alice",
            "=x",
            "cn=a,",
            "cn=a,,dc=x",
            "cn=\"a",
            "cn=a\\",
            "c n=a",
            "cn=\\FF",
            "alice@acme.example",
            "<SID=S-1-5-21-1>",
            "cn=#0c0",
            "cn=#0c0541",
            "cn=#xy",
        ] {
            assert_eq!(Dn::loose(text), None, "{text}");
        }
    }
}
