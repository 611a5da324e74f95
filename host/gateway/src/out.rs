//! Standard output.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

/// Prints a line. What would be a line break in it, or a command to a terminal, is shown as `\u000a`: half of what is printed is
/// what somebody has called himself or typed. In JSON that stands for the same character.
///
/// # Errors
/// Standard output cannot be written, for instance because `head` has read enough.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", harmless(&line.to_string()))
}

/// Prints a text of several lines.
///
/// # Errors
/// As [`say`].
pub(crate) fn say_lines(text: &str) -> io::Result<()> {
    text.lines().try_for_each(say)
}

/// The text without control characters.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_is_a_command_to_a_terminal() {
        assert_eq!(harmless("(\u{1b}]0;x\u{7}=*)\u{9b}2J\u{7f}"), "(\\u001b]0;x\\u0007=*)\\u009b2J\\u007f");
        assert_eq!(harmless("eve\n2 bob: put back\r"), "eve\\u000a2 bob: put back\\u000d");
        assert_eq!(harmless("zoë\t✓ \\n"), "zoë\t✓ \\n");
        let line = serde_json::to_string("\u{1b}[2J\u{9b}1m\u{7f}\n").unwrap();
        assert!(!harmless(&line).contains(char::is_control));
        assert_eq!(serde_json::from_str::<String>(&harmless(&line)).unwrap(), "\u{1b}[2J\u{9b}1m\u{7f}\n");
    }
}
