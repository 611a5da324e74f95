//! Search filters as text (RFC 4515).

use anyhow::Context as _;
use ldap3_proto::proto::{LdapFilter, LdapMatchingRuleAssertion, LdapSubstringFilter};

const MAX_DEPTH: usize = 50;

/// Reads a filter. Values have to be UTF-8 once their escapes are resolved, because that is all that
/// [`LdapFilter`] holds.
///
/// # Errors
/// When the text is not exactly one filter.
pub fn parse_filter(text: &str) -> anyhow::Result<LdapFilter> {
    let (filter, rest) = filter(text, MAX_DEPTH).with_context(|| format!("in the filter {text:?}"))?;
    anyhow::ensure!(rest.is_empty(), "{rest:?} follows the filter {text:?}");
    Ok(filter)
}

fn filter(text: &str, depth: usize) -> anyhow::Result<(LdapFilter, &str)> {
    let depth = depth.checked_sub(1).context("nested too deeply")?;
    let inner = text.strip_prefix('(').context("a '(' is missing")?;
    let (filter, rest) = match inner.chars().next() {
        Some('&') => list(inner, depth).map(|(filters, rest)| (LdapFilter::And(filters), rest))?,
        Some('|') => list(inner, depth).map(|(filters, rest)| (LdapFilter::Or(filters), rest))?,
        Some('!') => {
            let (negated, rest) = filter(inner.get(1..).unwrap_or_default(), depth)?;
            (LdapFilter::Not(Box::new(negated)), rest)
        }
        _ => {
            let end = inner.find(')').context("a ')' is missing")?;
            let (item, rest) = inner.split_at(end);
            (self::item(item)?, rest)
        }
    };
    Ok((filter, rest.strip_prefix(')').context("a ')' is missing")?))
}

fn list(text: &str, depth: usize) -> anyhow::Result<(Vec<LdapFilter>, &str)> {
    let mut rest = text.get(1..).unwrap_or_default();
    let mut filters = Vec::new();
    while rest.starts_with('(') {
        let (filter, after) = filter(rest, depth)?;
        filters.push(filter);
        rest = after;
    }
    Ok((filters, rest))
}

fn item(text: &str) -> anyhow::Result<LdapFilter> {
    anyhow::ensure!(!text.contains('('), "an unescaped '(' in {text:?}");
    let (left, value) = text.split_once('=').with_context(|| format!("{text:?} has no '='"))?;
    if let Some(rule) = left.strip_suffix(':') {
        return extensible(rule, value);
    }
    let (name, operator) = match left.char_indices().next_back() {
        Some((at, operator @ ('>' | '<' | '~'))) => (left.get(..at).unwrap_or_default(), Some(operator)),
        _ => (left, None),
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';');
    anyhow::ensure!(!name.is_empty() && name.chars().all(valid), "{name:?} is not an attribute");
    let name = name.to_owned();
    match operator {
        Some('>') => Ok(LdapFilter::GreaterOrEqual(name, unescape(value)?)),
        Some('<') => Ok(LdapFilter::LessOrEqual(name, unescape(value)?)),
        Some(_) => Ok(LdapFilter::Approx(name, unescape(value)?)),
        None if value == "*" => Ok(LdapFilter::Present(name)),
        None if value.contains('*') => Ok(LdapFilter::Substring(name, pieces(value)?)),
        None => Ok(LdapFilter::Equality(name, unescape(value)?)),
    }
}

fn extensible(left: &str, value: &str) -> anyhow::Result<LdapFilter> {
    let mut parts = left.split(':');
    let kind = parts.next().filter(|kind| !kind.is_empty()).map(String::from);
    let mut parts = parts.peekable();
    let dn_attributes = parts.next_if(|part| part.eq_ignore_ascii_case("dn")).is_some();
    let matching_rule = parts.next().map(String::from);
    anyhow::ensure!(parts.next().is_none() && (kind.is_some() || matching_rule.is_some()), "{left:?} is no rule");
    Ok(LdapFilter::Extensible(LdapMatchingRuleAssertion {
        matching_rule,
        type_: kind,
        match_value: unescape(value)?,
        dn_attributes,
    }))
}

fn pieces(value: &str) -> anyhow::Result<LdapSubstringFilter> {
    let mut pieces: Vec<String> = value.split('*').map(unescape).collect::<anyhow::Result<_>>()?;
    let last = pieces.pop().filter(|piece| !piece.is_empty());
    let mut pieces = pieces.into_iter();
    let initial = pieces.next().filter(|piece| !piece.is_empty());
    let any: Vec<String> = pieces.filter(|piece| !piece.is_empty()).collect();
    anyhow::ensure!(initial.is_some() || last.is_some() || !any.is_empty(), "nothing between the '*' of {value:?}");
    Ok(LdapSubstringFilter { initial, any, final_: last })
}

fn unescape(text: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let value = escape.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.extend(before.bytes());
        bytes.push(value.with_context(|| format!("a malformed escape in {text:?}"))?);
        rest = escape.get(3..).unwrap_or_default();
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).with_context(|| format!("{text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equality(name: &str, value: &str) -> LdapFilter {
        LdapFilter::Equality(name.to_owned(), value.to_owned())
    }

    #[test]
    fn filters_are_read() {
        let both = LdapFilter::And(vec![equality("cn", "a b"), LdapFilter::Not(Box::new(equality("sn", "c")))]);
        assert_eq!(parse_filter("(&(cn=a b)(!(sn=c)))").unwrap(), both);
        assert_eq!(parse_filter("(member=cn=x,dc=y)").unwrap(), equality("member", "cn=x,dc=y"));
        assert_eq!(parse_filter(r"(cn=\28\2a\c3\a9)").unwrap(), equality("cn", "(*é"));
        assert_eq!(parse_filter("(cn=*)").unwrap(), LdapFilter::Present("cn".to_owned()));
        assert_eq!(parse_filter("(uid>=a)").unwrap(), LdapFilter::GreaterOrEqual("uid".to_owned(), "a".to_owned()));
        let LdapFilter::Substring(_, pattern) = parse_filter("(cn=a*b*c*)").unwrap() else { panic!() };
        assert_eq!((pattern.initial.as_deref(), pattern.final_.as_deref()), (Some("a"), None));
        assert_eq!(pattern.any, ["b", "c"]);
        let LdapFilter::Extensible(rule) = parse_filter("(userAccountControl:1.2.3:=2)").unwrap() else { panic!() };
        assert_eq!((rule.type_.as_deref(), rule.matching_rule.as_deref()), (Some("userAccountControl"), Some("1.2.3")));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "cn=a", "(cn=a", "(cn=a))", "(cn)", "(=a)", r"(cn=\g0)", r"(cn=\ff)", "(cn=**)", "(cn=a(b)"] {
            assert!(parse_filter(text).is_err(), "{text}");
        }
        let deep = format!("{}(cn=a){}", "(!".repeat(60), ")".repeat(60));
        assert!(parse_filter(&deep).is_err());
    }
}
