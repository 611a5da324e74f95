//! The shape of a search filter: the filter without its values, so that what a program asks again and again has one shape.
//!
//! The gateway learns shapes with this very file (`host/behavior`), so that what it has learned is what a rule holds an access
//! against.

/// Octets of a filter of which there is a shape.
pub const LONGEST_FILTER: usize = 2_048;
/// Octets of a shape.
pub const LONGEST_SHAPE: usize = 256;

/// The shape of a filter in string form (RFC 4515): in lower case, with `?` for whatever stands in a value and is no wildcard, and
/// equal comparisons in a row named once. `(|(uid=alice)(uid=bob)(cn=a*))` is `(|(uid=?)(cn=?*))`. The shape of a shape is itself.
///
/// None for what is no filter, and for one that is so long that a part of it would have to stand for the whole.
#[must_use]
pub fn shape(filter: &str) -> Option<String> {
    let filter = filter.trim();
    if filter.len() > LONGEST_FILTER {
        return None;
    }
    let mut shape = String::with_capacity(filter.len().min(LONGEST_SHAPE));
    // Where the innermost parenthesis was opened, as long as nothing was closed since.
    let mut leaf = None;
    let (mut depth, mut in_value, mut is_over) = (0_u32, false, false);
    for letter in filter.chars() {
        if is_over {
            return None;
        }
        match letter {
            '(' if in_value => return None,
            '(' => {
                leaf = Some(shape.len());
                depth += 1;
                shape.push('(');
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                if in_value && shape.ends_with('=') {
                    shape.push('?');
                }
                in_value = false;
                shape.push(')');
                if let Some((before, last)) = leaf.take().and_then(|from| shape.split_at_checked(from))
                    && before.ends_with(last)
                {
                    shape.truncate(shape.len() - last.len());
                }
                is_over = depth == 0;
            }
            _ if depth == 0 => return None,
            '=' if !in_value => {
                in_value = true;
                shape.push('=');
            }
            '*' if in_value => push_once(&mut shape, '*'),
            _ if in_value => push_once(&mut shape, '?'),
            letter if letter.is_whitespace() => {}
            letter => shape.push(letter.to_ascii_lowercase()),
        }
    }
    (is_over && shape.len() <= LONGEST_SHAPE).then_some(shape)
}

fn push_once(shape: &mut String, letter: char) {
    if !shape.ends_with(letter) {
        shape.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_no_values_and_keeps_wildcards() {
        for (filter, expected) in [
            ("(uid=alice)", "(uid=?)"),
            ("(UID=)", "(uid=?)"),
            ("(uid=*)", "(uid=*)"),
            ("(uid=a*)", "(uid=?*)"),
            ("(uid=*a**b=c*)", "(uid=*?*?*)"),
            ("(uid=\\28\\2a)", "(uid=?)"),
            ("(&(objectClass=person)(|(uid=a)(uid=b)(mail=*)))", "(&(objectclass=?)(|(uid=?)(mail=*)))"),
            ("(&(uid=a)(uid=b)(uid=c))", "(&(uid=?))"),
            ("(|(uid=a)(!(uid=b))(uid=c))", "(|(uid=?)(!(uid=?))(uid=?))"),
            ("(n>=5)", "(n>=?)"),
            ("(cn~=x)", "(cn~=?)"),
            ("(userAccountControl:1.2.840.113556.1.4.803:=2)", "(useraccountcontrol:1.2.840.113556.1.4.803:=?)"),
            (" ( & ( uid = a b ) ) ", "(&(uid=?))"),
            ("(&)", "(&)"),
        ] {
            assert_eq!(shape(filter).as_deref(), Some(expected), "{filter}");
            assert_eq!(shape(expected).as_deref(), Some(expected), "the shape of a shape");
        }
    }

    #[test]
    fn what_would_be_a_part_for_the_whole_has_no_shape() {
        for filter in ["", "uid=a", "(uid=a", "(uid=a))", "(uid=a)(cn=b)", "((uid=a)", "(uid=(a))", ")("] {
            assert_eq!(shape(filter), None, "{filter}");
        }
        let long = |length: usize| format!("(uid={})", "a".repeat(length - 6));
        assert_eq!(shape(&long(LONGEST_FILTER)).as_deref(), Some("(uid=?)"));
        assert_eq!(shape(&long(LONGEST_FILTER + 1)), None);
        let wide = |length: usize| format!("({}=a)", "a".repeat(length - 4));
        assert_eq!(shape(&wide(LONGEST_SHAPE)).map(|shape| shape.len()), Some(LONGEST_SHAPE));
        assert_eq!(shape(&wide(LONGEST_SHAPE + 1)), None);
    }
}
