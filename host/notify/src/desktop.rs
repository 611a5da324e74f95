//! The person's desktop: a notification and a browser, by the programs that every desktop brings (libnotify's `notify-send`,
//! and `xdg-open` of xdg-utils).

use std::process::Stdio;

use tokio::process::Command;

/// Longest text of a notification, in characters.
const MAX_TEXT: usize = 200;

/// Shows a notification and opens the page. What cannot be done is said, and not more: the other may work.
pub(crate) fn show(summary: &str, body: &str, address: &str) -> Vec<String> {
    let commands: [&[&str]; 2] = [
        &["notify-send", "--app-name=Portcullis", "--urgency=critical", "--category=im.received", "--", summary, body],
        &["xdg-open", address],
    ];
    commands.iter().filter_map(|command| start(command).err()).collect()
}

fn start(command: &[&str]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let started =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    // Nobody waits for it; the runtime takes its end.
    started.map(drop).map_err(|error| format!("{program} cannot be started: {error}"))
}

/// Text of the gateway's, fit for a notification and for a line: no control characters, no markup, no end.
pub(crate) fn plain(text: &str) -> String {
    let is_plain =
        |letter: &char| !letter.is_control() && !matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().filter(is_plain).take(MAX_TEXT).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_gateways_is_markup_or_steers_a_terminal() {
        assert_eq!(plain("<a href=x>wiki</a> & co\u{1b}[2J\n\u{202e}"), "&lt;a href=x&gt;wiki&lt;/a&gt; &amp; co[2J");
        assert_eq!(plain(&"x".repeat(1000)).len(), MAX_TEXT);
    }
}
