//! Putting text from elsewhere into addresses and filters.

use std::fmt::Write;

/// Percent-encodes text for one segment of a path or one value of a query: everything but the unreserved characters of
/// RFC 3986, section 2.3. None for a text that no encoding makes a segment: the empty one, those that stand for "here" and
/// "above" in every encoding, and those with a slash, which servers and proxies decode before they cut the path.
#[must_use]
pub fn path_segment(text: &str) -> Option<String> {
    let impossible = text.is_empty() || text == "." || text == ".." || text.contains('/');
    (!impossible).then(|| percent(text))
}

/// Percent-encodes a whole filter expression, in which `value` has been quoted as SCIM wants it (RFC 7644, section 3.4.2.2):
/// `attribute eq "value"`.
#[must_use]
pub fn filter_text(attribute: &str, value: &str) -> String {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    percent(&format!("{attribute} eq \"{quoted}\""))
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_any_login() {
        assert_eq!(path_segment("mona.reyes@acme.example").unwrap(), "mona.reyes%40acme.example");
        assert_eq!(path_segment("o'neil+test%").unwrap(), "o%27neil%2Btest%25");
        assert_eq!(path_segment("zoë ?#").unwrap(), "zo%C3%AB%20%3F%23");
    }

    #[test]
    fn some_texts_are_no_segment() {
        for text in ["", ".", "..", "acme/mona", "/"] {
            assert_eq!(path_segment(text), None, "{text}");
        }
        assert!(path_segment("...").is_some());
    }

    #[test]
    fn a_filter_value_cannot_leave_its_quotes() {
        assert_eq!(filter_text("profile.login", "a"), "profile.login%20eq%20%22a%22");
        assert_eq!(filter_text("l", "x\" or l pr\\"), "l%20eq%20%22x%5C%22%20or%20l%20pr%5C%5C%22");
    }
}
