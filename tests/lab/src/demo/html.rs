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

/// Names and values of the hidden fields of the page's forms.
pub(super) fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let tags = page.split("<input").skip(1).filter_map(|after| after.split_once('>')).map(|(tag, _)| tag);
    tags.filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, after) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescaped(after.split_once('"')?.0))
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
    fn hidden_fields_are_found_and_others_are_not() {
        let page = r#"<input type="hidden" name="csrf" value="a&amp;b"><input name="login" type="text" value="x">"#;
        assert_eq!(hidden_fields(page), [("csrf".to_owned(), "a&b".to_owned())]);
    }
}
