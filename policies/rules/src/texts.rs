//! Lists of words and texts in settings, and comparing with them.

use settings::{Node, Problems};

/// Texts to compare with; case does not matter, as it does not in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts(Vec<String>);

impl Texts {
    /// Reads one text or a list of them.
    pub(crate) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        Some(Self(each(node, problems, |node, problems| Some(fold(&node.text(problems)?)))?))
    }

    /// Whether the text is among them.
    #[must_use]
    pub fn hold(&self, text: &str) -> bool {
        let text = fold(text);
        self.0.contains(&text)
    }
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
