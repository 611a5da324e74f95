//! Times for people.

use maud::{Markup, html};
use portcullis_core::Timestamp;

/// Which part of a time is written out; the exact one is always in the title.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Show {
    /// Day and time.
    Full,
    /// Time of the day; the script turns it into the reader's own time zone.
    Local,
    /// Hour and minute.
    Minute,
}

/// A time in UTC.
pub(crate) fn time(at: Timestamp, show: Show) -> Markup {
    let exact = exact(at);
    // 2027-01-31T10:11:12.123Z
    let day = exact.get(..10).unwrap_or_default();
    let clock = exact.get(11..19).unwrap_or_default();
    html! {
        @match show {
            Show::Full => time datetime=(exact) title=(exact) { span.day { (day) } " " span.clock { (clock) } },
            Show::Minute => time datetime=(exact) title=(exact) { (minute(at)) },
            Show::Local => time datetime=(exact) title=(exact) data-local { (clock) " UTC" },
        }
    }
}

/// Hour and minute in UTC.
pub(crate) fn minute(at: Timestamp) -> String {
    exact(at).get(11..16).unwrap_or_default().to_owned()
}

/// RFC 3339 with milliseconds.
fn exact(at: Timestamp) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(|| format!("{} ms", at.0), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(exact(Timestamp(1_000_000_000_120)), "2001-09-09T01:46:40.120Z");
        assert_eq!(exact(Timestamp(u64::MAX)), format!("{} ms", u64::MAX));
        let shown = time(Timestamp(1_000_000_000_120), Show::Full).into_string();
        assert!(shown.contains("2001-09-09</span>") && shown.contains(">01:46:40<"), "{shown}");
    }
}
