//! What is wrong with a configuration: where, what, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Something wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Keys and positions from the top of the file, e.g. `listener`, `0`, `certificate`.
    pub(crate) path: Vec<String>,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|part| (*part).to_owned()).collect(), message: message.into() }
    }

    /// The same problem, one or more levels further down.
    pub(crate) fn below(path: &[String], rest: impl IntoIterator<Item = String>, message: impl Into<String>) -> Self {
        Self { path: path.iter().cloned().chain(rest).collect(), message: message.into() }
    }
}

/// The parts of a JSON Pointer (RFC 6901).
pub(crate) fn pointer_path(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"))
}

/// Everything wrong with a file, ready to be printed.
#[derive(Debug)]
pub(crate) struct Problems {
    lines: Vec<String>,
}

impl Problems {
    /// One problem a line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    pub(crate) fn of_file(path: &Path, message: impl fmt::Display) -> Self {
        Self { lines: vec![format!("{}: {message}", path.display())] }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The text of a configuration file.
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        Self { path: path.to_owned(), text }
    }

    /// The text is no TOML, or has other keys or types than the configuration.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> Problems {
        let line = error.span().map_or(1, |span| self.line(&span));
        let advice = nearest_key(error.message()).map(|key| format!("; did you mean `{key}`?")).unwrap_or_default();
        Problems { lines: vec![format!("{}:{line}: {}{advice}", self.path.display(), error.message())] }
    }

    pub(super) fn problems(&self, mut problems: Vec<Problem>) -> Problems {
        let document = DeTable::parse(&self.text).ok();
        let root = document.as_ref().map(toml::Spanned::get_ref);
        let mut lines: Vec<(usize, String)> = Vec::new();
        for problem in problems.drain(..) {
            let line = root.and_then(|root| locate(root, &problem.path)).map_or(1, |span| self.line(&span));
            let text = format!("{}:{line}: {}: {}", self.path.display(), problem.path.join("."), problem.message);
            lines.push((line, text));
        }
        lines.sort();
        Problems { lines: lines.into_iter().map(|(_, text)| text).collect() }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Where the value at the path stands, or the deepest one above it that stands in the file at all.
fn locate(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first.as_str())?;
    if rest.is_empty() {
        return Some(key.span());
    }
    locate_in(value.get_ref(), rest).or_else(|| Some(key.span()))
}

fn locate_in(value: &DeValue<'_>, path: &[String]) -> Option<Range<usize>> {
    match value {
        DeValue::Table(table) => locate(table, path),
        DeValue::Array(items) => {
            let (first, rest) = path.split_first()?;
            let item = items.get(first.parse::<usize>().ok()?)?;
            locate_in(item.get_ref(), rest).or_else(|| Some(item.span()))
        }
        _ => None,
    }
}

/// The expected key that an unknown one resembles, out of serde's message "unknown field `a`, expected one of `b`, `c`".
fn nearest_key(message: &str) -> Option<&str> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown ") {
        return None;
    }
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
