//! What the demo looks like in a terminal.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Text is wrapped to this many columns; the windows of most terminals have 80 or more.
const WIDTH: usize = 78;
/// Commands may be wider: they are easier to paste in one piece.
const WIDTH_OF_COMMANDS: usize = 98;
const INDENT: &str = "    ";
/// Columns for the name in a row.
const NAME: usize = 16;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Standard output, with colour where that is wanted.
pub(super) struct Page {
    colour: bool,
}

impl Page {
    /// With colour when standard output is a terminal and nobody asked for none (<https://no-color.org>).
    pub(super) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { colour: !unwanted && std::io::stdout().is_terminal() }
    }

    /// The first line.
    pub(super) fn title(&self, text: &str) {
        line(format_args!("\n{}\n", self.paint(BOLD, text)));
    }

    /// The head of a part.
    pub(super) fn heading(&self, text: &str) {
        line(format_args!("\n{}", self.paint(BOLD, text)));
    }

    /// Prose, wrapped.
    #[expect(clippy::unused_self, reason = "prose is printed to the page, although it has no colour today")]
    pub(super) fn text(&self, text: &str) {
        for wrapped in wrap(text, WIDTH - INDENT.len()) {
            line(format_args!("{INDENT}{wrapped}"));
        }
    }

    /// Something that went as it should, and how long it took.
    pub(super) fn done(&self, text: &str, took: Option<Duration>) {
        let time = took.map(|took| self.paint(DIM, &format!("  {}", duration(took)))).unwrap_or_default();
        let mark = self.paint(GREEN, "✓");
        let wrapped = wrap(text, WIDTH - INDENT.len() - 2);
        for (nth, text) in wrapped.iter().enumerate() {
            let time = if nth + 1 == wrapped.len() { time.as_str() } else { "" };
            let mark = if nth == 0 { mark.as_str() } else { " " };
            line(format_args!("{INDENT}{mark} {text}{time}"));
        }
    }

    /// Something that went wrong. Lines are left as they are: they may be a program's output.
    pub(super) fn failed(&self, text: &str) {
        line(format_args!("\n{INDENT}{} {}", self.paint(RED, "✗"), text.replace('\n', &format!("\n{INDENT}  "))));
    }

    /// A name and what belongs to it.
    pub(super) fn row(&self, name: &str, value: &str) {
        for (nth, value) in wrap(value, WIDTH - INDENT.len() - NAME).iter().enumerate() {
            let name = if nth == 0 { name } else { "" };
            line(format_args!("{INDENT}{}{value}", self.paint(DIM, &format!("{name:<NAME$}"))));
        }
    }

    /// Something to paste into a shell. What is too long goes on after a backslash, as shells have it; no argument with
    /// blanks inside quotes may be in it.
    pub(super) fn command(&self, text: &str) {
        let lines = wrap_words(&with_values(text), WIDTH_OF_COMMANDS - 3 * INDENT.len() - 2);
        for (nth, text) in lines.iter().enumerate() {
            let indent = if nth == 0 { "" } else { INDENT };
            let more = if nth + 1 == lines.len() { "" } else { " \\" };
            line(format_args!("{INDENT}{INDENT}{indent}{}", self.paint(CYAN, &format!("{text}{more}"))));
        }
    }

    /// Lines of a program's output, as they are.
    pub(super) fn quoted(&self, lines: &[String]) {
        for text in lines {
            line(format_args!("{INDENT}{}", self.paint(DIM, text)));
        }
    }

    /// An empty line.
    #[expect(clippy::unused_self, reason = "it belongs to the page like everything else that is printed")]
    pub(super) fn gap(&self) {
        line("");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A reader who has gone away (`portcullis-demo | head`) is no reason to end before everything is cleaned up.
fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// The words of a command, each option in one piece with its value.
fn with_values(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in command.split_whitespace() {
        match words.last_mut() {
            Some(last) if last.starts_with('-') && !last.contains(' ') && !word.starts_with('-') => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Lines of at most so many columns; a longer word has a line of its own.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    wrap_words(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), columns)
}

fn wrap_words(words: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= columns => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// A duration as people say it.
pub(super) fn duration(took: Duration) -> String {
    if took < Duration::from_millis(1) {
        "under 1 ms".to_owned()
    } else if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// `1 push`, `2 pushes`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_and_lines_short() {
        assert_eq!(wrap("one  two\nthree", 7), ["one two", "three"]);
        assert_eq!(wrap("a incomprehensibilities b", 5), ["a", "incomprehensibilities", "b"]);
        assert_eq!(wrap("Zoë Ño", 6), ["Zoë Ño"], "columns are characters, not bytes");
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn options_keep_their_values() {
        let words = with_values("tool -x -D name --as alice file 'a&b'");
        assert_eq!(words, ["tool", "-x", "-D name", "--as alice", "file", "'a&b'"]);
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        assert_eq!(Page { colour: false }.paint(RED, "text"), "text");
        assert_eq!(Page { colour: true }.paint(RED, "text"), "\x1b[31mtext\x1b[0m");
    }

    #[test]
    fn durations_and_counts() {
        assert_eq!(duration(Duration::from_micros(999)), "under 1 ms");
        assert_eq!(duration(Duration::from_millis(999)), "999 ms");
        assert_eq!(duration(Duration::from_millis(2_150)), "2.1 s");
        assert_eq!(counted(1, "push", "pushes"), "1 push");
        assert_eq!(counted(0, "push", "pushes"), "0 pushes");
    }
}
