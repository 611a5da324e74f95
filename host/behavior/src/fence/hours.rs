//! When an account logs in, where that is narrow.

use portcullis_core::Timestamp;
use portcullis_core::fence::{Known, Part, WeekHours};

use super::{nothing, refused};
use crate::profile::AccountProfile;
use crate::profile::decayed::Histogram;

/// Logins that have to be known, fading by half in a month, and days.
pub const LOGINS: f32 = 50.0;
pub const DAYS: u32 = 14;
/// Days that have to be known before a day of the week without logins means anything.
pub const DAYS_FOR_WEEKDAYS: u32 = 28;
/// Hours and days that are narrow enough to be worth a condition, the margin included.
const MOST_HOURS: usize = 16;
const MOST_DAYS: usize = 5;
/// An hour or a day with less than this share of the logins is one at which the account is not used.
const SHARE: f32 = 0.01;

/// The hours at which it logs in, with one more before and behind: that is also what summer time moves them by.
pub(super) fn hours(profile: &AccountProfile, at: Timestamp) -> Part<WeekHours> {
    let total = profile.hours.total();
    let days = profile.days_known(at);
    if total < LOGINS || days < DAYS {
        let text = format!(
            "Too little is known: about {total:.0} logins of late in {days} days, of {LOGINS:.0} and {DAYS} days that it takes."
        );
        return refused(nothing(), &text);
    }
    let awake = classes(&profile.hours, 24);
    let Some((first, length)) = window(&awake).filter(|(_, length)| length + 2 <= MOST_HOURS) else {
        return refused(nothing(), "It logs in at most hours of the day.");
    };
    let (from, to) = ((first + 23) % 24, (first + length) % 24 + 1);
    let weekdays = classes(&profile.weekdays, 7);
    let is_within_a_day = from < to;
    let days =
        if is_within_a_day && days >= DAYS_FOR_WEEKDAYS && weekdays.len() <= MOST_DAYS { weekdays } else { vec![] };
    let small = |number: usize| u8::try_from(number).unwrap_or(0);
    let what = WeekHours { days: days.into_iter().map(small).collect(), from: small(from), to: small(to) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of logins")]
    let count = total.round() as u64;
    Part { allowed: vec![Known { what, count, first: None, last: None }], ..nothing() }
}

/// Classes in which there is something.
fn classes(histogram: &Histogram, count: usize) -> Vec<usize> {
    let total = histogram.total();
    (0..count).filter(|class| histogram.weight(*class) >= total * SHARE).collect()
}

/// The shortest stretch of the day that has all the hours in it: its first hour and its length. It begins behind the longest gap.
fn window(awake: &[usize]) -> Option<(usize, usize)> {
    let next = awake.iter().cycle().skip(1);
    let gaps = awake.iter().zip(next).map(|(hour, next)| ((next + 23 - hour) % 24, *next));
    let (gap, first) = gaps.max_by_key(|(gap, first)| (*gap, std::cmp::Reverse(*first)))?;
    Some((first, 24 - gap))
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn a_window_is_the_shortest_one() {
        for (awake, expected) in [
            (vec![8, 9, 17], Some((8, 10))),
            (vec![23, 0, 1], Some((23, 3))),
            (vec![3], Some((3, 1))),
            (vec![0, 12], Some((0, 13))),
            ((0..24).collect(), Some((0, 24))),
            (vec![], None),
        ] {
            let mut sorted = awake.clone();
            sorted.sort_unstable();
            assert_eq!(window(&sorted), expected, "{awake:?}");
        }
    }
}
