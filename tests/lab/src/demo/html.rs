//! Reading the gateway's pages as somebody in front of a browser would.

/// The words of a page, without its mark-up, styles and scripts.
pub(super) fn visible_text(page: &str) -> String {
    let mut words = String::new();
    let mut rest = page;
    while let Some((text, after)) = rest.split_once('<') {
        words.push_str(text);
        words.push(' ');
        let hidden = ["style", "script", "!--"].into_iter().find(|name| after.starts_with(name));
        let end = match hidden {
            Some("!--") => "-->",
            Some("style") => "</style>",
            Some(_) => "</script>",
            None => ">",
        };
        rest = after.split_once(end).map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    unescaped(&words.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether the text has this as a word of its own: `42` is in "pick 42." but not in "10:42".
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.split_whitespace().any(|found| found.trim_matches(['.', ',', ';', '!', '?', '(', ')', '“', '”', '"']) == word)
}

/// The number that a challenge page shows to be picked on the phone.
pub(super) fn number(page: &str) -> Option<u8> {
    let (_, after) = page.split_once("class=\"number\">")?;
    after.split_once('<')?.0.trim().parse().ok()
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_is_read() {
        let page = "<html><style>p { color: red }</style><p>Pick <b>42</b>.<!-- 43 --></p><script>44</script>a &amp; b";
        assert_eq!(visible_text(page), "Pick 42 . a & b");
    }

    #[test]
    fn a_number_inside_a_time_is_no_word() {
        assert!(has_word("At 10:42 pick 17.", "17"));
        assert!(!has_word("At 10:42 pick 17.", "42"));
    }

    #[test]
    fn the_number_is_read_where_there_is_one() {
        assert_eq!(number(r#"<p class="advice">Pick 17</p><p class="number">42</p>"#), Some(42));
        assert_eq!(number(r#"<p class="number">soon</p>"#), None);
        assert_eq!(number("<p>42</p>"), None);
    }
}
