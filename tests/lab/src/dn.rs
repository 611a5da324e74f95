//! Distinguished names, normalised so that equal names are equal values (RFC 4514, RFC 4518 in its simple part).

/// A name without the differences that do not matter: case, blanks around and within values, kinds of escape, and
/// the order within a multi-valued part. The first part is the most specific one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dn(Vec<String>);

impl Dn {
    /// Reads the text form; the empty text is the root. Nothing when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::root());
        }
        split_unescaped(text, &[',', ';'])?.into_iter().map(normal_rdn).collect::<Option<Vec<_>>>().map(Self)
    }

    /// The empty name, above all others.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// Whether this is the root, above all others.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The name one level up; nothing above the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_first().map(|(_, rest)| Self(rest.to_vec()))
    }

    /// Whether this name is the given one or stands anywhere below it.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        self.0.ends_with(&base.0)
    }
}

/// A value for comparison under `caseIgnoreMatch` (RFC 4517, section 4.2.11): case, and runs of blanks, do not count.
#[must_use]
pub fn fold(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn normal_rdn(text: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in split_unescaped(text, &['+'])? {
        let (kind, value) = part.split_once('=')?;
        let kind = kind.trim().to_lowercase();
        let named = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        if !named {
            return None;
        }
        parts.push(format!("{kind}={}", fold(&unescape(value.trim_start())?)));
    }
    parts.sort_unstable();
    Some(parts.join("+"))
}

fn split_unescaped<'a>(text: &'a str, separators: &[char]) -> Option<Vec<&'a str>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if separators.contains(&c) {
            parts.push(text.get(start..at)?);
            start = at + c.len_utf8();
        }
    }
    if escaped {
        return None;
    }
    parts.push(text.get(start..)?);
    Some(parts)
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let pair = rest.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = rest.get(2..)?;
            }
            None => {
                let (&special, after) = rest.split_first()?;
                bytes.push(special);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        let plain = dn("uid=alice,ou=people,dc=example,dc=com");
        assert_eq!(plain, dn("UID = Alice , OU=People,DC=example, dc=COM"));
        assert_eq!(plain, dn(r"uid=\61lice,ou=people,dc=example,dc=com"));
        assert_eq!(dn("cn=a b"), dn("cn=a   B"));
        assert_eq!(dn("cn=a+sn=b,dc=c"), dn("sn=B+cn=A,dc=c"));
        assert_eq!(dn(r"cn=a\,b"), dn(r"cn=a\2cb"));
        assert_ne!(dn(r"cn=a\,b"), dn("cn=a,dc=b"));
    }

    #[test]
    fn families_are_told() {
        let base = dn("dc=example,dc=com");
        let alice = dn("uid=alice,dc=example,dc=com");
        assert!(alice.is_within(&base) && base.is_within(&base) && !base.is_within(&alice));
        assert_eq!(alice.parent(), Some(base));
        assert!(dn("").is_root() && dn("").parent().is_none());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["alice", "=x", "cn=a,,dc=b", r"cn=a\", "c n=a", "cn=a,"] {
            assert_eq!(Dn::parse(text), None, "{text}");
        }
    }
}
