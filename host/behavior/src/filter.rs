//! Search filters in string form (RFC 4515), as far as detections look at them.

/// One comparison of a filter: attribute (with a matching rule, where there is one) and value, as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison<'a> {
    /// The attribute, in whatever case.
    pub attribute: &'a str,
    /// The matching rule of an extensible match.
    pub rule: Option<&'a str>,
    /// The value; `*` for presence.
    pub value: &'a str,
    /// By order: not less, or not more, than the value.
    pub is_order: bool,
}

/// All comparisons of a filter.
pub fn comparisons(filter: &str) -> impl Iterator<Item = Comparison<'_>> {
    filter.split(['(', ')']).filter_map(comparison)
}

fn comparison(part: &str) -> Option<Comparison<'_>> {
    let (left, value) = part.split_once('=')?;
    let is_order = left.ends_with(['<', '>']);
    let left = left.trim_end_matches(['~', '<', '>', ':']);
    let mut names = left.split(':');
    let attribute = names.next()?.trim();
    let rule = names.find(|name| !name.eq_ignore_ascii_case("dn"));
    (!attribute.is_empty()).then_some(Comparison { attribute, rule, value, is_order })
}

/// Filters nested deeper are not looked into; the gateway reads none.
const DEEPEST: usize = 256;

/// The filter names nothing in particular, where its comparisons for which `is_broad` holds do not. What is excluded and what is compared
/// by order leaves everything else.
pub fn is_broad(filter: &str, is_broad: &impl Fn(&Comparison<'_>) -> bool) -> bool {
    let mut rest = filter;
    broad(&mut rest, DEEPEST, is_broad).unwrap_or(true)
}

fn broad(rest: &mut &str, depth: usize, is_broad: &impl Fn(&Comparison<'_>) -> bool) -> Option<bool> {
    let depth = depth.checked_sub(1)?;
    let inner = rest.strip_prefix('(')?;
    let sign = inner.chars().next()?;
    let Some(parts) = inner.strip_prefix(['&', '|', '!']) else {
        let (item, behind) = inner.split_once(')')?;
        *rest = behind;
        return Some(comparison(item).is_none_or(|one| one.is_order || is_broad(&one)));
    };
    *rest = parts;
    let (mut all, mut any) = (true, false);
    while rest.starts_with('(') {
        let part = broad(rest, depth, is_broad)?;
        (all, any) = (all && part, any || part);
    }
    *rest = rest.strip_prefix(')')?;
    Some(match sign {
        '&' => all,
        '|' => any,
        _ => true,
    })
}

/// The filter without its values: what a program asks again and again has one shape. Numbers behind a matching rule stay: which bits
/// are asked for is not asked of somebody in particular.
#[must_use]
pub fn shape(filter: &str) -> String {
    let mut shape = String::with_capacity(filter.len().min(256));
    let mut in_value = false;
    for (at, letter) in filter.char_indices().take(2_048) {
        match letter {
            '=' if !in_value => {
                let value = filter.get(at + 1..).and_then(|rest| rest.split(')').next()).unwrap_or_default();
                in_value = !(shape.ends_with(':') && value.bytes().all(|octet| octet.is_ascii_digit()));
                shape.push('=');
            }
            '(' | ')' => {
                in_value = false;
                shape.push(letter);
            }
            '*' if in_value => shape.push('*'),
            _ if in_value => {}
            letter => shape.push(letter.to_ascii_lowercase()),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_its_comparisons() {
        let filter = "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(cn=a*b)(mail=*)(n>=3))";
        let found: Vec<_> = comparisons(filter).map(|one| (one.attribute, one.rule, one.value, one.is_order)).collect();
        assert_eq!(
            found,
            [
                ("objectClass", None, "user", false),
                ("userAccountControl", Some("1.2.840.113556.1.4.803"), "2", false),
                ("cn", None, "a*b", false),
                ("mail", None, "*", false),
                ("n", None, "3", true),
            ]
        );
        assert_eq!(comparisons("").count() + comparisons("(=x)").count() + comparisons("(((").count(), 0);
    }

    #[test]
    fn a_shape_has_no_values() {
        assert_eq!(shape("(&(UID=alice)(mail=*))"), "(&(uid=)(mail=*))");
        assert_eq!(shape("(&(uid=bob)(mail=*))"), shape("(&(uid=alice)(mail=*))"));
        assert_ne!(shape("(uid=*)"), shape("(uid=a)"));
        let bits = |value: &str| shape(&format!("(userAccountControl:1.2.840.113556.1.4.803:={value})"));
        assert_ne!(bits("2"), bits("4194304"));
        let chain = |of: &str| shape(&format!("(member:1.2.840.113556.1.4.1941:=cn={of},dc=x)"));
        assert_eq!(chain("alice"), chain("bob2"));
    }

    #[test]
    fn a_filter_is_broad_as_a_whole() {
        let is = |filter: &str| is_broad(filter, &|one| one.attribute == "objectClass");
        for filter in [
            "(objectClass=*)",
            "(|(objectClass=*)(cn=x))",
            "(!(cn=x))",
            "(cn>=!)",
            "(&(objectClass=user)(!(cn=x)))",
            "(&)",
            "nonsense",
            &"(!".repeat(100_000),
        ] {
            assert!(is(filter), "{filter:.40}");
        }
        for filter in
            ["(cn=x)", "(&(objectClass=user)(cn=x))", "(|(cn=x)(uid=x))", "(|)", "(&(|(objectClass=*)(a=b))(cn=x))"]
        {
            assert!(!is(filter), "{filter}");
        }
    }
}
