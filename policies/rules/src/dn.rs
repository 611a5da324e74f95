//! Distinguished names, as far as telling whether one entry is below another needs them.

/// A distinguished name that has been taken apart: RFC 4514, and the older forms of RFC 2253, section 4, that directories
/// still take (quotes, semicolons). Values are compared without regard to case and repeated blanks, as the matching rules of
/// naming attributes do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dn(Vec<Rdn>);

/// Attributes and values of one level, in one order.
type Rdn = Vec<(String, String)>;

/// Other names of naming attributes (RFC 4519).
const ALIASES: [(&str, &str); 18] = [
    ("2.5.4.3", "cn"),
    ("commonname", "cn"),
    ("2.5.4.6", "c"),
    ("countryname", "c"),
    ("2.5.4.7", "l"),
    ("localityname", "l"),
    ("2.5.4.8", "st"),
    ("stateorprovincename", "st"),
    ("2.5.4.9", "street"),
    ("streetaddress", "street"),
    ("2.5.4.10", "o"),
    ("organizationname", "o"),
    ("2.5.4.11", "ou"),
    ("organizationalunitname", "ou"),
    ("0.9.2342.19200300.100.1.25", "dc"),
    ("domaincomponent", "dc"),
    ("0.9.2342.19200300.100.1.1", "uid"),
    ("userid", "uid"),
];

impl Dn {
    /// Takes a name apart. None for what is no name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self(Vec::new()));
        }
        let mut rdns = vec![Rdn::new()];
        let mut letters = Letters(text.chars().peekable());
        loop {
            let (name, end) = letters.name()?;
            if end != Some('=') {
                return None;
            }
            let (value, end) = letters.value()?;
            rdns.last_mut()?.push((name, value));
            match end {
                Some('+') => {}
                Some(_) => rdns.push(Rdn::new()),
                None => break,
            }
        }
        for rdn in &mut rdns {
            rdn.sort();
        }
        Some(Self(rdns))
    }

    /// Whether this entry is the other one or below it.
    #[must_use]
    pub fn is_under(&self, base: &Self) -> bool {
        self.0.ends_with(&base.0)
    }
}

struct Letters<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Letters<'_> {
    /// An attribute's name, and what ends it.
    fn name(&mut self) -> Option<(String, Option<char>)> {
        let mut name = String::new();
        let end = loop {
            match self.0.next() {
                Some(letter @ ('=' | ',' | ';' | '+')) => break Some(letter),
                Some(letter) => name.push(letter),
                None => break None,
            }
        };
        let name = name.trim().to_lowercase();
        let name = name.strip_prefix("oid.").unwrap_or(&name);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        let name = ALIASES.iter().find_map(|(alias, short)| (*alias == name).then_some(*short)).unwrap_or(name);
        Some((name.to_owned(), end))
    }

    /// A value in the form in which it is compared, and what ends it.
    fn value(&mut self) -> Option<(String, Option<char>)> {
        let mut bytes = Vec::new();
        let mut is_quoted = false;
        let end = loop {
            match self.0.next() {
                None if is_quoted => return None,
                None => break None,
                Some('"') => is_quoted = !is_quoted,
                Some('\\') => bytes.extend_from_slice(&self.escaped()?),
                Some(letter @ (',' | ';' | '+')) if !is_quoted => break Some(letter),
                Some(letter) => push(&mut bytes, letter),
            }
        };
        let value = String::from_utf8(bytes).ok()?.to_lowercase();
        let words: Vec<_> = value.split(' ').filter(|word| !word.is_empty()).collect();
        Some((words.join(" "), end))
    }

    /// What stands behind a backslash: two hexadecimal digits, or a letter that stands for itself.
    fn escaped(&mut self) -> Option<Vec<u8>> {
        let first = self.0.next()?;
        let mut bytes = Vec::new();
        let digits = first.to_digit(16).zip(self.0.peek().and_then(|second| second.to_digit(16)));
        if let Some((high, low)) = digits {
            self.0.next();
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            push(&mut bytes, first);
        }
        Some(bytes)
    }
}

fn push(bytes: &mut Vec<u8>, letter: char) {
    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_under(entry: &str, base: &str) -> bool {
        Dn::parse(entry).unwrap().is_under(&Dn::parse(base).unwrap())
    }

    #[test]
    fn an_entry_is_under_itself_and_what_is_above() {
        let entry = "uid=alice,ou=People,dc=acme,dc=example";
        for base in [
            entry,
            "ou=people,dc=acme,dc=example",
            "OU = People , DC=ACME;dc=example",
            "2.5.4.11=people,domainComponent=acme,0.9.2342.19200300.100.1.25=example",
            "ou=\"People\",dc=acme,dc=example",
            "ou=\\50eople,dc=acme,dc=example",
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
    fn what_is_no_name_is_refused() {
        for text in ["alice", "=x", "cn=a,", "cn=a,,dc=x", "cn=\"a", "cn=a\\", "c n=a", "cn=\\FF", "alice@acme.example"]
        {
            assert_eq!(Dn::parse(text), None, "{text}");
        }
    }
}
