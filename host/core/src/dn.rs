//! Reading and comparing distinguished names (RFC 4514) without a directory's schema.

#[path = "../../../policies/rules/src/dn.rs"]
mod reader;

pub use reader::{Dn, Part, exactly as folded_value, loosely, parse};

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
    below(Dn::exact(dn), Dn::exact(above))
}

/// `dn`, as a client has written it, is `above` to some directory, or below it; see [`Dn::loose`].
#[must_use]
pub fn may_be_under(dn: &str, above: &str) -> bool {
    below(Dn::loose(dn), Dn::loose(above))
}

fn below(dn: Option<Dn>, above: Option<Dn>) -> bool {
    matches!((dn, above), (Some(dn), Some(above)) if !above.is_root() && dn.is_under(&above))
}

/// Both name the same entry.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    matches!((Dn::exact(one), Dn::exact(other)), (Some(one), Some(other)) if one == other)
}

/// Both name the same entry to some directory; see [`Dn::loose`].
#[must_use]
pub fn may_be_same(one: &str, other: &str) -> bool {
    matches!((Dn::loose(one), Dn::loose(other)), (Some(one), Some(other)) if one == other)
}

/// The value of the leaf, which for a group is its common name.
#[must_use]
pub fn leaf(dn: &str) -> Option<String> {
    parse(dn)?.into_iter().next()?.into_iter().next().map(|part| part.value)
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
    fn what_is_below_is_told_by_whole_parts() {
        assert!(is_under("CN=svc, OU=Services,DC=X", "ou=services,dc=x"));
        assert!(is_under("ou=services,dc=x", "ou=services,dc=x"));
        assert!(!is_under("cn=svc,ou=notservices,dc=x", "services,dc=x"));
        assert!(!is_under("cn=a\\,ou=services,dc=x", "ou=services,dc=x"));
        assert!(!is_under("cn=a", ""));
        assert!(is_same("CN=A  B,DC=X", "cn=a b, dc=x"));
        assert!(may_be_under("cn=svc,ou=Sérvices,dc=x", "ou=services,dc=x") && !may_be_under("cn=a", ""));
        assert!(may_be_same("2.5.4.3=Ａ,dc=x", "cn=a,dc=x") && !is_same("cn=Ａ,dc=x", "cn=a,dc=x"));
        assert_eq!(leaf("cn=Domain Admins,dc=x").as_deref(), Some("Domain Admins"));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in ".*") {
            let _ = (parse(&text), units(&text), is_under(&text, &text), may_be_under(&text, &text), leaf(&text));
        }
    }
}
