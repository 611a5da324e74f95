//! Search filters (RFC 4511, section 4.5.1.7) in their three-valued logic: true, false and undefined.

use ldap3_proto::proto::{LdapFilter, LdapSubstringFilter};

use super::tree::Node;
use crate::dn::{Dn, fold};

/// Attributes that the directory knows although no entry need have them. Asking for others is undefined, and a
/// negation of the undefined is undefined, as the RFC has it.
const ALSO_KNOWN: [&str; 8] =
    ["telephonenumber", "mobile", "displayname", "employeetype", "manager", "seealso", "entrydn", "entryuuid"];

/// Whether the entry matches; nothing when that is undefined.
pub(super) fn matches(filter: &LdapFilter, node: &Node) -> Option<bool> {
    match filter {
        LdapFilter::And(filters) => all(filters.iter().map(|filter| matches(filter, node))),
        LdapFilter::Or(filters) => any(filters.iter().map(|filter| matches(filter, node))),
        LdapFilter::Not(filter) => matches(filter, node).map(|matched| !matched),
        LdapFilter::Present(name) => with_values(name, node, |values| Some(!values.is_empty())),
        LdapFilter::Equality(name, wanted) | LdapFilter::Approx(name, wanted) => {
            with_values(name, node, |values| equals_any(name, values, wanted))
        }
        LdapFilter::Substring(name, pattern) => {
            // Names and object classes have no substring rule.
            let undefined = is_name(name) || name.eq_ignore_ascii_case("objectClass");
            with_values(name, node, |values| {
                (!undefined).then(|| values.iter().any(|value| contains(&fold(value), pattern)))
            })
        }
        // None of the sample's attributes has an ordering rule or an extensible one.
        LdapFilter::GreaterOrEqual(..) | LdapFilter::LessOrEqual(..) | LdapFilter::Extensible(_) => None,
    }
}

/// Whether one of the values is the wanted one under the attribute's rule; nothing when the wanted one is malformed.
pub(super) fn equals_any(name: &str, values: &[String], wanted: &str) -> Option<bool> {
    if is_name(name) {
        let wanted = Dn::parse(wanted)?;
        return Some(values.iter().any(|value| Dn::parse(value).as_ref() == Some(&wanted)));
    }
    let wanted = fold(wanted);
    Some(values.iter().any(|value| fold(value) == wanted))
}

fn is_name(attribute: &str) -> bool {
    ["member", "manager", "seeAlso", "entryDN"].iter().any(|name| name.eq_ignore_ascii_case(attribute))
}

fn with_values(name: &str, node: &Node, test: impl Fn(&[String]) -> Option<bool>) -> Option<bool> {
    // Nobody may read passwords, so nobody may find out about them by searching either.
    if name.eq_ignore_ascii_case("userPassword") {
        return None;
    }
    match node.readable(name) {
        Some(values) => test(&values),
        None => {
            let lower = name.to_lowercase();
            let known = ALSO_KNOWN.contains(&lower.as_str()) || super::tree::ATTRIBUTES.contains(&lower.as_str());
            known.then_some(false)
        }
    }
}

fn all(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let both = |sum, result| match (sum, result) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    };
    results.reduce(both).unwrap_or(Some(true))
}

fn any(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let either = |sum, result| match (sum, result) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    results.reduce(either).unwrap_or(Some(false))
}

fn contains(value: &str, pattern: &LdapSubstringFilter) -> bool {
    // Blanks at the edge of a piece count, so pieces are put into lower case but not trimmed.
    let lower = |piece: &String| piece.to_lowercase();
    let mut rest = value;
    if let Some(initial) = pattern.initial.as_ref().map(lower) {
        let Some(after) = rest.strip_prefix(&initial) else { return false };
        rest = after;
    }
    if let Some(end) = pattern.final_.as_ref().map(lower) {
        let Some(before) = rest.strip_suffix(&end) else { return false };
        rest = before;
    }
    for piece in pattern.any.iter().map(lower) {
        let Some(at) = rest.find(&piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::company::Company;
    use crate::directory::tree::Tree;
    use crate::filter_text::parse_filter;

    fn on_alice(filter: &str) -> Option<bool> {
        let tree = Tree::new(&Company::generate());
        let alice = Dn::parse("uid=alice,ou=engineering,ou=people,dc=example,dc=com").unwrap();
        matches(&parse_filter(filter).unwrap(), tree.node(&alice).unwrap())
    }

    #[test]
    fn filters_say_true_false_and_undefined() {
        for filter in [
            "(uid=ALICE)",
            "(&(uid=alice)(mail=*))",
            "(|(uid=bob)(cn=alice  archer))",
            "(!(uid=bob))",
            "(cn=al*e*er)",
            "(cn=*ARCH*)",
            "(objectClass=person)",
            "(!(telephoneNumber=*))",
            "(|(nonsense=1)(uid=alice))",
        ] {
            assert_eq!(on_alice(filter), Some(true), "{filter}");
        }
        for filter in ["(uid=bob)", "(cn=al*al*er)", "(cn=b*)", "(&(nonsense=1)(uid=bob))", "(telephoneNumber=1)"] {
            assert_eq!(on_alice(filter), Some(false), "{filter}");
        }
        for filter in ["(nonsense=1)", "(!(nonsense=1))", "(userPassword=*)", "(!(userPassword=x))", "(uid>=a)"] {
            assert_eq!(on_alice(filter), None, "{filter}");
        }
    }
}
