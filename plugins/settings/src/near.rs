//! Guessing what was meant.

/// Says that a word is not known, and which one was probably meant.
pub(crate) fn not_known<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let word: String = word.chars().take(40).collect();
    let close = known.iter().map(|candidate| (distance(&word, candidate), *candidate)).min();
    match close {
        Some((distance, candidate)) if distance <= 2 => {
            format!("`{word}` is not known here; did you mean `{candidate}`?")
        }
        _ => format!("`{word}` is not known here; known are {}", known.join(", ")),
    }
}

/// How many letters have to be put in, taken out or replaced.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut next = vec![above + 1];
        let pairs = row.iter().zip(row.iter().skip(1));
        for ((diagonal, up), other) in pairs.zip(&right) {
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(letter != *other)).min(up + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted() {
        for (left, right, expected) in [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn only_close_words_are_guessed() {
        assert!(not_known("conector", ["connector", "on"].into_iter()).contains("`connector`"));
        assert!(not_known("zzzzzz", ["connector", "on"].into_iter()).contains("known are connector, on"));
    }
}
