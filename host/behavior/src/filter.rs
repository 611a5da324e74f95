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
}

/// All comparisons of a filter.
pub fn comparisons(filter: &str) -> impl Iterator<Item = Comparison<'_>> {
    filter.split(['(', ')']).filter_map(|part| {
        let (left, value) = part.split_once('=')?;
        let left = left.trim_end_matches(['~', '<', '>', ':']);
        let mut names = left.split(':');
        let attribute = names.next()?.trim();
        let rule = names.find(|name| !name.eq_ignore_ascii_case("dn"));
        (!attribute.is_empty()).then_some(Comparison { attribute, rule, value })
    })
}

/// The filter without its values: what a program asks again and again has one shape.
#[must_use]
pub fn shape(filter: &str) -> String {
    let mut shape = String::with_capacity(filter.len().min(256));
    let mut in_value = false;
    for letter in filter.chars().take(2_048) {
        match letter {
            '=' if !in_value => {
                in_value = true;
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
        let found: Vec<_> = comparisons(filter).map(|one| (one.attribute, one.rule, one.value)).collect();
        assert_eq!(
            found,
            [
                ("objectClass", None, "user"),
                ("userAccountControl", Some("1.2.840.113556.1.4.803"), "2"),
                ("cn", None, "a*b"),
                ("mail", None, "*"),
                ("n", None, "3"),
            ]
        );
        assert_eq!(comparisons("").count() + comparisons("(=x)").count() + comparisons("(((").count(), 0);
    }

    #[test]
    fn a_shape_has_no_values() {
        assert_eq!(shape("(&(UID=alice)(mail=*))"), "(&(uid=)(mail=*))");
        assert_eq!(shape("(&(uid=bob)(mail=*))"), shape("(&(uid=alice)(mail=*))"));
        assert_ne!(shape("(uid=*)"), shape("(uid=a)"));
    }
}
