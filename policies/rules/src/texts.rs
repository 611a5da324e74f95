//! Lists of words and texts in settings, and comparing with them.

use settings::{Node, Problems};

/// Texts to compare with; case does not matter, as it does not in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts(Vec<String>);

impl Texts {
    /// Reads one text or a list of them.
    pub(crate) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        Self::read_as(node, problems, |text| text)
    }

    /// The same, of texts of which another form is compared.
    pub(crate) fn read_as(node: &Node<'_>, problems: &mut Problems, form: fn(&str) -> &str) -> Option<Self> {
        Some(Self(each(node, problems, |node, problems| Some(fold(form(&node.text(problems)?))))?))
    }

    /// Whether the text is among them.
    #[must_use]
    pub fn hold(&self, text: &str) -> bool {
        let text = text.trim();
        // What is kept is folded already, and folding ASCII takes no memory when it is done while comparing.
        if text.is_ascii() {
            return self.0.iter().any(|known| known.eq_ignore_ascii_case(text));
        }
        self.0.contains(&fold(text))
    }
}

/// Texts to compare with in which `*` stands for anything, or nothing; case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// Reads one pattern or a list of them.
    pub(crate) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        Texts::read(node, problems).map(|Texts(patterns)| Self(patterns))
    }

    /// Whether one of them fits the whole text.
    #[must_use]
    pub fn fit(&self, text: &str) -> bool {
        let text = fold(text);
        self.0.iter().any(|pattern| fits(pattern, &text))
    }
}

/// The first part stands at the beginning, the last one at the end, each other one as early behind the one before as it can.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(last)
}

fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Reads every element of a list; none when one of them is wrong.
pub(crate) fn each<T>(
    node: &Node<'_>,
    problems: &mut Problems,
    read: impl Fn(&Node<'_>, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let elements: Vec<_> = node.some(problems)?.iter().map(|element| read(element, problems)).collect();
    elements.into_iter().collect()
}

/// Reads one word or a list of them.
pub(crate) fn words<T: Copy>(node: &Node<'_>, known: &[(&str, T)], problems: &mut Problems) -> Option<Vec<T>> {
    each(node, problems, |element, problems| element.word(known, problems))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("*a", "ba"),
            ("a*b", "ab"),
            ("a*b", "axxb"),
            ("a*b*c", "abc"),
            ("*b*", "abc"),
            ("a**c", "abc"),
            ("a*b*b", "abb"),
            ("*aa", "aaa"),
            ("a*ab*b", "aabb"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a", ""),
            ("a*", "ba"),
            ("*a", "ab"),
            ("a*b", "a"),
            ("aa*aa", "aaa"),
            ("a*b*b", "ab"),
            ("a*b*c", "acb"),
            ("*bc*cd", "abcd"),
            ("", "a"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
