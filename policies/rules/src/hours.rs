//! Times of the week.

use settings::{Node, Problems};

use crate::texts::words;

/// Keys of `time`.
pub const KEYS: [&str; 4] = ["days", "from", "to", "utc-offset-minutes"];

/// Monday is 0.
const DAYS: [(&str, u8); 7] = [("mon", 0), ("tue", 1), ("wed", 2), ("thu", 3), ("fri", 4), ("sat", 5), ("sun", 6)];
const MINUTES_PER_DAY: i64 = 24 * 60;
const MS_PER_MINUTE: u64 = 60_000;
/// 1970-01-01 was a Thursday.
const FIRST_DAY: i64 = 3;

/// A window on some days of the week. One that ends before it begins goes on past midnight and belongs to the day on which
/// it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    days: Vec<u8>,
    /// Minutes from midnight; the window begins with this one and ends before `to`.
    from: i64,
    to: i64,
    offset: i64,
}

impl Hours {
    /// Reads a `time` table.
    pub(crate) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let table = node.table(&KEYS, problems)?;
        let days = match table.get("days") {
            Some(days) => words(&days, &DAYS, problems),
            None => Some((0..7).collect()),
        };
        let offset = match table.get("utc-offset-minutes") {
            Some(offset) => offset.number(&(-14 * 60..=14 * 60), problems),
            None => Some(0),
        };
        let (from, to) = match (table.get("from"), table.get("to")) {
            (Some(from), Some(to)) => (clock(&from, problems), clock(&to, problems)),
            (None, None) => (Some(0), Some(MINUTES_PER_DAY)),
            (Some(alone), None) | (None, Some(alone)) => {
                problems.add(&alone, "`from` and `to` belong together; give both, or neither for the whole day");
                return None;
            }
        };
        if from == to && from.is_some() {
            problems.add(node, "begins when it ends; leave `from` and `to` out for the whole day");
            return None;
        }
        Some(Self { days: days?, from: from?, to: to?, offset: offset? })
    }

    /// Whether a moment (milliseconds since 1970, UTC) is inside.
    #[must_use]
    pub fn hold(&self, at: u64) -> bool {
        let minutes = i64::try_from(at / MS_PER_MINUTE).unwrap_or(i64::MAX).saturating_add(self.offset);
        let minute = minutes.rem_euclid(MINUTES_PER_DAY);
        let day = minutes.div_euclid(MINUTES_PER_DAY) + FIRST_DAY;
        let is_named = |day: i64| self.days.iter().any(|named| i64::from(*named) == day.rem_euclid(7));
        if self.from < self.to {
            is_named(day) && (self.from..self.to).contains(&minute)
        } else {
            (is_named(day) && minute >= self.from) || (is_named(day - 1) && minute < self.to)
        }
    }
}

/// Reads `HH:MM`, up to `24:00`.
fn clock(node: &Node<'_>, problems: &mut Problems) -> Option<i64> {
    let text = node.text(problems)?;
    let number = |text: &str| {
        let is_pair = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_pair.then(|| text.parse::<i64>().ok()).flatten()
    };
    let minutes = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (number(hour)?, number(minute).filter(|minute| *minute < 60)?);
        Some(hour * 60 + minute).filter(|minutes| *minutes <= MINUTES_PER_DAY)
    });
    if minutes.is_none() {
        problems.add(node, "has to be a time of day like 08:30");
    }
    minutes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Result<Hours, Vec<String>> {
        let places = |problems: Vec<settings::Problem>| problems.into_iter().map(|problem| problem.setting).collect();
        settings::parse(text, Hours::read).map_err(places)
    }

    /// Tuesday, 2026-11-24, at this time of day, UTC.
    fn tuesday(hour: u64, minute: u64) -> u64 {
        1_795_478_400_000 + (hour * 60 + minute) * MS_PER_MINUTE
    }

    #[test]
    fn a_window_has_its_first_minute_and_not_its_last() {
        let office = hours(r#"{"days":["mon","tue"],"from":"08:00","to":"18:30"}"#).unwrap();
        let inside = [(7, 59, false), (8, 0, true), (18, 29, true), (18, 30, false)];
        for (hour, minute, expected) in inside {
            assert_eq!(office.hold(tuesday(hour, minute)), expected, "{hour}:{minute}");
        }
        assert!(!hours(r#"{"days":"wed","from":"08:00","to":"18:30"}"#).unwrap().hold(tuesday(9, 0)));
        assert!(hours(r#"{"days":["tue"]}"#).unwrap().hold(tuesday(23, 59)));
        assert!(hours(r#"{"from":"23:00","to":"24:00"}"#).unwrap().hold(tuesday(23, 59)));
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_began_on() {
        let night = hours(r#"{"days":["mon"],"from":"22:00","to":"06:00"}"#).unwrap();
        assert!(night.hold(tuesday(5, 59)) && !night.hold(tuesday(6, 0)));
        assert!(!night.hold(tuesday(22, 0)));
        assert!(night.hold(tuesday(22, 0) - 24 * 60 * MS_PER_MINUTE));
    }

    #[test]
    fn another_zone_moves_the_day_too() {
        let late = hours(r#"{"days":["wed"],"from":"00:00","to":"02:00","utc-offset-minutes":120}"#).unwrap();
        assert!(late.hold(tuesday(22, 0)) && !late.hold(tuesday(21, 59)) && !late.hold(tuesday(1, 0)));
        let early = hours(r#"{"days":["mon"],"utc-offset-minutes":-300}"#).unwrap();
        assert!(early.hold(tuesday(4, 59)) && !early.hold(tuesday(5, 0)));
    }

    #[test]
    fn mistakes_are_found() {
        for (text, place) in [
            (r#"{"from":"08:00"}"#, "/from"),
            (r#"{"to":"08:00"}"#, "/to"),
            (r#"{"from":"8:00","to":"09:00"}"#, "/from"),
            (r#"{"from":"08:60","to":"09:00"}"#, "/from"),
            (r#"{"from":"08:00","to":"24:01"}"#, "/to"),
            (r#"{"from":"08:00","to":"08:00"}"#, ""),
            (r#"{"days":["monday"]}"#, "/days/0"),
            (r#"{"days":[]}"#, "/days"),
            (r#"{"utc-offset-minutes":900}"#, "/utc-offset-minutes"),
            (r#"{"zone":"CET"}"#, "/zone"),
        ] {
            assert_eq!(hours(text).unwrap_err(), [place], "{text}");
        }
    }
}
