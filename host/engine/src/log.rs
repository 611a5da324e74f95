//! What plugins say in the gateway's log: bounded in number and length, and never able to forge a line.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_core::Clock;

use crate::bindings::policy::portcullis::gateway::log::Level;
use crate::minute::{Allowance, Minute};

/// Longest line, in bytes before escaping.
const MAX_LINE: usize = 2 << 10;

/// The log of one plugin; shared by its instances, so that a fresh instance is no fresh allowance.
pub(crate) struct PluginLog {
    plugin: String,
    clock: Arc<dyn Clock>,
    minute: Mutex<Minute>,
}

impl PluginLog {
    pub(crate) fn new(plugin: &str, lines_per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        Self { plugin: plugin.to_owned(), clock, minute: Mutex::new(Minute::new(lines_per_minute)) }
    }

    /// Writes a line, or drops it when the plugin has said enough this minute. Says whether it was written.
    pub(crate) fn write(&self, level: Level, message: &str) -> bool {
        let now = self.clock.now();
        match self.minute.lock().unwrap_or_else(PoisonError::into_inner).take(now) {
            Allowance::Granted => self.emit(level, &printable(message, MAX_LINE)),
            Allowance::JustUsedUp => {
                tracing::warn!(target: "plugin", plugin = self.plugin, "more log lines than allowed; the rest of this minute is dropped");
                return false;
            }
            Allowance::UsedUp => return false,
        }
        true
    }

    fn emit(&self, level: Level, line: &str) {
        match level {
            Level::Debug => tracing::debug!(target: "plugin", plugin = self.plugin, "{line}"),
            Level::Info => tracing::info!(target: "plugin", plugin = self.plugin, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin = self.plugin, "{line}"),
            Level::Error => tracing::error!(target: "plugin", plugin = self.plugin, "{line}"),
        }
    }
}

/// The text with control characters (and those that break or turn around a line) escaped, cut off after `max` bytes.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for (at, character) in text.char_indices() {
        if at.saturating_add(character.len_utf8()) > max {
            out.push('…');
            break;
        }
        if character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            // Writing into a string cannot fail.
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_plugin_cannot_forge_a_line_or_steer_a_terminal() {
        assert_eq!(printable("a\n2026 ERROR\u{1b}[2J\u{202e}b", 100), "a\\n2026 ERROR\\u{1b}[2J\\u{202e}b");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(printable("ééé", 5), "éé…");
        assert_eq!(printable("éé", 4), "éé");
    }
}
