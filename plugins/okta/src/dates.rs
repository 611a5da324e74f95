//! The two forms of dates in Okta's answers.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MS_PER_SECOND: u64 = 1000;

/// Reads the `Date` header, e.g. `Tue, 24 Nov 2026 03:10:02 GMT` (RFC 9110, section 5.6.7, the preferred form), into
/// milliseconds since 1970.
#[must_use]
pub fn http_date(text: &str) -> Option<u64> {
    let (_, text) = text.trim().split_once(", ")?;
    let mut words = text.split(' ');
    let day = number(words.next()?, 2)?;
    let name = words.next()?;
    let month = MONTHS.iter().zip(1..).find_map(|(month, number)| (*month == name).then_some(number))?;
    let year = number(words.next()?, 4)?;
    let clock = words.next()?;
    if words.next() != Some("GMT") || words.next().is_some() {
        return None;
    }
    Some((days(year, month, day)? * 86_400 + seconds(clock)?) * MS_PER_SECOND)
}

/// Reads a time of the API, e.g. `2026-11-24T03:05:11.773Z` (ISO 8601, UTC), into milliseconds since 1970. The fraction
/// may be missing or have any number of digits.
#[must_use]
pub fn iso_time(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milliseconds = number(fraction.chars().chain("00".chars()).take(3).collect::<String>().as_str(), 3)?;
    Some((days(year, month, day)? * 86_400 + seconds(clock)?) * MS_PER_SECOND + milliseconds)
}

/// Writes milliseconds since 1970 the way the API wants times.
#[must_use]
pub fn iso_text(time: u64) -> String {
    let (days, rest) = (time / (86_400 * MS_PER_SECOND), time % (86_400 * MS_PER_SECOND));
    let (year, month, day) = date(days);
    let (seconds, milliseconds) = (rest / MS_PER_SECOND, rest % MS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The inverse of [`days`]: eras of 400 years, which have a fixed number of days.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

fn number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn seconds(clock: &str) -> Option<u64> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    // A leap second is written as 60.
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Counted in years that begin in March, so that the leap day is
/// the last of its year.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    let days_before_year = 365 * year + year / 4 - year / 100 + year / 400;
    // From 0000-03-01 to 1970-01-01.
    (days_before_year + days_before_month + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for time in [0, 951_782_399_999, 951_782_400_000, 1_709_164_800_000, 1_795_489_511_773, 4_107_542_399_999] {
            assert_eq!(iso_time(&iso_text(time)), Some(time), "{}", iso_text(time));
        }
        assert_eq!(iso_text(1_795_489_511_773), "2026-11-24T03:05:11.773Z");
        assert!((0..40_000).all(|day| iso_time(&iso_text(day * 86_400_000)) == Some(day * 86_400_000)));
    }

    #[test]
    fn both_forms_name_the_same_moment() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Tue, 24 Nov 2026 03:10:02 GMT"), Some(1_795_489_802_000));
        assert_eq!(iso_time("2026-11-24T03:10:02.000Z"), Some(1_795_489_802_000));
        assert_eq!(iso_time("2026-11-24T03:10:02.773Z"), Some(1_795_489_802_773));
        assert_eq!(iso_time("2026-11-24T03:10:02Z"), Some(1_795_489_802_000));
        assert_eq!(iso_time("2026-11-24T03:10:02.5Z"), Some(1_795_489_802_500));
        assert_eq!(iso_time("2000-02-29T00:00:00Z"), Some(951_782_400_000));
        assert_eq!(iso_time("2100-03-01T00:00:00Z"), Some(4_107_542_400_000));
    }

    #[test]
    fn nonsense_is_no_date() {
        for text in ["", "now", "Tue, 24 Nov 2026", "Tue, 24 Foo 2026 03:10:02 GMT", "Tue, 24 Nov 2026 25:10:02 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
        for text in ["", "2026-11-24", "2026-13-24T03:10:02Z", "2026-11-24T03:10:02+01:00", "2026-11-24T03:10:02.Z"] {
            assert_eq!(iso_time(text), None, "{text}");
        }
    }
}
