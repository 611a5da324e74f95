//! Reading and comparing distinguished names (RFC 4514) without a directory's schema.

/// One attribute and value of a relative distinguished name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Attribute, in lower case.
    pub attribute: String,
    /// Value, with its escapes undone.
    pub value: String,
}

/// The parts of a name, the leaf first; those of one relative name are together. None when it is no DN.
#[must_use]
pub fn parse(dn: &str) -> Option<Vec<Vec<Part>>> {
    if dn.trim().is_empty() {
        return Some(Vec::new());
    }
    split(dn, b",;").map(|relative| split(relative, b"+").map(part).collect()).collect()
}

/// Names of the organizational units above and in the name, the nearest first.
#[must_use]
pub fn units(dn: &str) -> Vec<String> {
    let parts = parse(dn).unwrap_or_default();
    // The first relative name is the entry's own.
    parts.into_iter().skip(1).flatten().filter(|part| part.attribute == "ou").map(|part| part.value).collect()
}

/// `dn` is `above`, or below it. Case and blanks do not count.
#[must_use]
pub fn is_under(dn: &str, above: &str) -> bool {
    let (Some(dn), Some(above)) = (folded(dn), folded(above)) else { return false };
    !above.is_empty() && dn.ends_with(&above)
}

/// Both name the same entry.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    matches!((folded(one), folded(other)), (Some(one), Some(other)) if one == other)
}

/// The value of the leaf, which for a group is its common name.
#[must_use]
pub fn leaf(dn: &str) -> Option<String> {
    parse(dn)?.into_iter().next()?.into_iter().next().map(|part| part.value)
}

/// A value in the form in which it is compared: letters in lower case, blanks at the ends left out and others as one, as the
/// matching rules of naming attributes have it (RFC 4518).
#[must_use]
pub fn folded_value(value: &str) -> String {
    let mut folded = String::with_capacity(value.len());
    for word in value.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        // Lower case of other letters can depend on what is around them, so it is for the whole word.
        if word.is_ascii() {
            let start = folded.len();
            folded.push_str(word);
            if let Some(added) = folded.get_mut(start..) {
                added.make_ascii_lowercase();
            }
        } else {
            folded.push_str(&word.to_lowercase());
        }
    }
    folded
}

fn folded(dn: &str) -> Option<Vec<Vec<(String, String)>>> {
    let fold = |part: Part| (part.attribute, folded_value(&part.value));
    let folded = parse(dn)?.into_iter().map(|relative| {
        let mut relative: Vec<_> = relative.into_iter().map(fold).collect();
        relative.sort();
        relative
    });
    Some(folded.collect())
}

/// Splits at separators that are neither escaped nor quoted.
fn split<'a>(text: &'a str, separators: &'a [u8]) -> impl Iterator<Item = &'a str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut escaped, mut quoted) = (false, false);
        for (at, octet) in text.bytes().enumerate() {
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                _ if !quoted && separators.contains(&octet) => {
                    let (before, after) = text.split_at_checked(at)?;
                    rest = after.get(1..);
                    return Some(before);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

fn part(text: &str) -> Option<Part> {
    let (attribute, value) = text.split_once('=')?;
    let attribute = attribute.trim().to_ascii_lowercase();
    if attribute.is_empty() {
        return None;
    }
    Some(Part { attribute, value: unescape(trim(value))? })
}

/// Blanks around a value do not belong to it, unless the last one is escaped.
fn trim(value: &str) -> &str {
    let value = value.trim_start();
    let end = value.trim_end();
    let slashes = end.bytes().rev().take_while(|&octet| octet == b'\\').count();
    if slashes % 2 == 1 && end.len() < value.len() { value.get(..=end.len()).unwrap_or(end) } else { end }
}

fn unescape(value: &str) -> Option<String> {
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut out = Vec::with_capacity(value.len());
    let mut octets = value.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        let first = octets.next()?;
        match char::from(first).to_digit(16) {
            Some(high) => {
                let low = char::from(octets.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            None => out.push(first),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_told_the_nearest_first() {
        assert_eq!(units("cn=A,ou=Web\\, Mail,OU=\\c3\\84mter,dc=x"), ["Web, Mail", "Ämter"]);
        assert_eq!(units("ou=self,ou=above,dc=x"), ["above"]);
        assert!(units("nonsense").is_empty());
    }

    #[test]
    fn escapes_do_not_split() {
        let parts = parse("cn=a\\,b\\+c\\=d+uid=\"x,y\" , dc=\\ e\\ ").unwrap();
        let values: Vec<Vec<&str>> = parts.iter().map(|r| r.iter().map(|p| p.value.as_str()).collect()).collect();
        assert_eq!(values, [vec!["a,b+c=d", "x,y"], vec![" e "]]);
    }

    #[test]
    fn what_is_below_is_told_by_whole_parts() {
        assert!(is_under("CN=svc, OU=Services,DC=X", "ou=services,dc=x"));
        assert!(is_under("ou=services,dc=x", "ou=services,dc=x"));
        assert!(!is_under("cn=svc,ou=notservices,dc=x", "services,dc=x"));
        assert!(!is_under("cn=a\\,ou=services,dc=x", "ou=services,dc=x"));
        assert!(!is_under("cn=a", ""));
        assert!(is_same("CN=A  B,DC=X", "cn=a b, dc=x"));
        assert_eq!(leaf("cn=Domain Admins,dc=x").as_deref(), Some("Domain Admins"));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in ".*") {
            let _ = (parse(&text), units(&text), is_under(&text, &text), leaf(&text));
        }
    }
}
