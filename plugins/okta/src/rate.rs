//! How long Okta wants to be left alone.

use crate::client::Answer;

/// Where Okta does not say when a window ends.
const UNKNOWN_WAIT_MS: u64 = 2_000;
/// Windows are a minute long; a longer wait is a mistake of somebody's clock.
const LONGEST_WAIT_MS: u64 = 60_000;

/// Milliseconds to wait after an answer with status 429.
///
/// The window's end minus the time of the answer, both by Okta's clock, plus a second because the end has no fraction.
/// Okta sends no `Retry-After`. The headers have occurred twice in one answer; the nearest end counts. A limit of 0 means
/// too many requests at once, where the end is no help (Okta, "Rate limits").
pub(crate) fn wait_ms(answer: &Answer) -> u32 {
    let too_many_at_once = smallest(answer, "x-rate-limit-limit") == Some(0);
    let window = smallest(answer, "x-rate-limit-reset").zip(answer.date());
    let wait = match window {
        Some((end, now)) if !too_many_at_once => end.saturating_mul(1000).saturating_sub(now).saturating_add(1000),
        _ => UNKNOWN_WAIT_MS,
    };
    u32::try_from(wait.min(LONGEST_WAIT_MS)).unwrap_or(u32::MAX)
}

/// What is left of a window of the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests that the window allows.
    pub limit: u64,
    /// Requests that are left of them.
    pub remaining: u64,
    /// Milliseconds until the next window, by Okta's clock.
    pub renewed_in_ms: u32,
}

impl Budget {
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let limit = smallest(answer, "x-rate-limit-limit")?;
        let remaining = smallest(answer, "x-rate-limit-remaining")?;
        Some(Self { limit, remaining, renewed_in_ms: wait_ms(answer) })
    }
}

/// Whether less than a quarter of the window's requests is left.
pub(crate) fn is_scarce(answer: &Answer) -> bool {
    let limit = smallest(answer, "x-rate-limit-limit");
    let remaining = smallest(answer, "x-rate-limit-remaining");
    limit.zip(remaining).is_some_and(|(limit, remaining)| remaining.saturating_mul(4) < limit)
}

fn smallest(answer: &Answer, name: &str) -> Option<u64> {
    answer.headers(name).filter_map(|value| value.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::reply;

    const DATE: (&str, &str) = ("date", "Tue, 24 Nov 2026 03:10:02 GMT");

    fn wait(headers: &[(&str, &str)]) -> u32 {
        wait_ms(&Answer::from(reply(429, headers, "")))
    }

    #[test]
    fn the_wait_is_counted_on_oktas_clock() {
        assert_eq!(wait(&[DATE, ("x-rate-limit-limit", "60"), ("x-rate-limit-reset", "1795489810")]), 9_000);
    }

    #[test]
    fn the_nearest_of_several_ends_counts() {
        let headers = [DATE, ("x-rate-limit-reset", "1795489850"), ("X-Rate-Limit-Reset", "1795489805")];
        assert_eq!(wait(&headers), 4_000);
    }

    #[test]
    fn a_wait_has_bounds() {
        assert_eq!(wait(&[DATE, ("x-rate-limit-reset", "1795499999")]), 60_000);
        assert_eq!(wait(&[DATE, ("x-rate-limit-reset", "18446744073709551615")]), 60_000);
        assert_eq!(wait(&[DATE, ("x-rate-limit-reset", "1795489700")]), 1_000);
    }

    #[test]
    fn without_the_headers_it_is_short() {
        for headers in [
            &[][..],
            &[DATE][..],
            &[("x-rate-limit-reset", "1795489810")][..],
            &[DATE, ("x-rate-limit-reset", "soon")][..],
            &[DATE, ("x-rate-limit-limit", "0"), ("x-rate-limit-reset", "1795489860")][..],
        ] {
            assert_eq!(wait(headers), 2_000, "{headers:?}");
        }
    }

    #[test]
    fn a_budget_tells_when_it_is_renewed() {
        let headers = [
            DATE,
            ("x-rate-limit-limit", "60"),
            ("x-rate-limit-remaining", "29"),
            ("x-rate-limit-reset", "1795489810"),
        ];
        let found = Budget::of(&Answer::from(reply(200, &headers, "")));
        assert_eq!(found, Some(Budget { limit: 60, remaining: 29, renewed_in_ms: 9_000 }));
        assert_eq!(Budget::of(&Answer::from(reply(200, &headers[..2], ""))), None);
    }

    #[test]
    fn a_budget_is_scarce_in_its_last_quarter() {
        let scarce = |remaining| {
            let headers = [("x-rate-limit-limit", "100"), ("x-rate-limit-remaining", remaining)];
            is_scarce(&Answer::from(reply(200, &headers, "")))
        };
        assert!(scarce("24") && !scarce("25"));
        assert!(!is_scarce(&Answer::from(reply(200, &[], ""))));
    }
}
