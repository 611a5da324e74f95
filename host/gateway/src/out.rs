//! Standard output.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line.
///
/// # Errors
/// Standard output cannot be written, for instance because `head` has read enough.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
