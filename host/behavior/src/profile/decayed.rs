//! Numbers that fade: what was long ago weighs less than what was yesterday.

use portcullis_core::Timestamp;
use serde::{Deserialize, Serialize};

/// After so many days, what was counted weighs half.
pub(crate) const HALF_LIFE_DAYS: f32 = 30.0;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 86_400_000;

/// Days since 1970.
pub(crate) fn day(at: Timestamp) -> u32 {
    u32::try_from(at.0 / DAY).unwrap_or(u32::MAX)
}

/// Hour of the day, 0 to 23, in UTC.
pub(crate) fn hour(at: Timestamp) -> usize {
    usize::try_from(at.0 / HOUR % 24).unwrap_or(0)
}

/// Day of the week, 0 for Monday, in UTC.
pub(crate) fn weekday(at: Timestamp) -> usize {
    // 1970-01-01 was a Thursday.
    usize::try_from((at.0 / DAY + 3) % 7).unwrap_or(0)
}

fn fade(hours: u32) -> f32 {
    (-(hours as f32) / (24.0 * HALF_LIFE_DAYS)).exp2()
}

/// How often something fell into each of some classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    /// The hour, since 1970, for which the weights are true.
    at: u32,
    /// As long as the highest class that was seen.
    weights: Vec<f32>,
}

impl Histogram {
    pub(crate) fn add(&mut self, class: usize, classes: usize, by: f32, at: Timestamp) {
        let class = class.min(classes.saturating_sub(1));
        let now = u32::try_from(at.0 / HOUR).unwrap_or(u32::MAX);
        // What is told late weighs what is left of it.
        let by = if now < self.at { by * fade(self.at - now) } else { by };
        self.fade_to(now);
        if self.weights.len() <= class {
            self.weights.resize(class + 1, 0.0);
        }
        if let Some(weight) = self.weights.get_mut(class) {
            *weight += by;
        }
    }

    pub(crate) fn weight(&self, class: usize) -> f32 {
        self.weights.get(class).copied().unwrap_or(0.0)
    }

    pub(crate) fn total(&self) -> f32 {
        self.weights.iter().sum()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let now = self.at.max(other.at);
        self.fade_to(now);
        let factor = fade(now - other.at);
        if self.weights.len() < other.weights.len() {
            self.weights.resize(other.weights.len(), 0.0);
        }
        for (weight, more) in self.weights.iter_mut().zip(&other.weights) {
            *weight += more * factor;
        }
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        self.at = self.at.min(u32::try_from(now.0 / HOUR).unwrap_or(u32::MAX));
    }

    fn fade_to(&mut self, now: u32) {
        if now > self.at {
            if !self.weights.is_empty() {
                let factor = fade(now - self.at);
                self.weights.iter_mut().for_each(|weight| *weight *= factor);
            }
            self.at = now;
        }
    }
}

/// How much there is on a day on which there is anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Volume {
    day: u32,
    today: u64,
    /// Of the days before: how many, their sum and the sum of their squares, fading.
    days: f32,
    sum: f32,
    squares: f32,
    /// The earlier day that is being told of, and what there was on it so far. Not stored: where it is lost in the middle of such
    /// a day, that day counts as two.
    #[serde(skip)]
    past: (u32, u64),
}

impl Volume {
    pub(crate) fn add(&mut self, amount: u64, at: Timestamp) {
        let day = day(at);
        self.roll_to(day);
        if day == self.day {
            self.today = self.today.saturating_add(amount);
        } else if day + 1 < self.day {
            self.add_past(amount, day);
        }
        // What is told late of the day before is part of a day that is summed up: it would count as a day of its own.
    }

    /// History, day by day: weighs what is left of it.
    fn add_past(&mut self, amount: u64, day: u32) {
        if amount == 0 {
            return;
        }
        let before = if self.past.0 == day { self.past.1 } else { 0 };
        let now = before.saturating_add(amount);
        let left = (-((self.day - day) as f32) / HALF_LIFE_DAYS).exp2();
        let (one, other) = (before as f32, now as f32);
        self.days += if before == 0 { left } else { 0.0 };
        self.sum += (other - one) * left;
        self.squares += (other * other - one * one) * left;
        self.past = (day, now);
    }

    /// What was counted on the day of this moment.
    pub(crate) fn on(&self, at: Timestamp) -> u64 {
        if day(at) == self.day { self.today } else { 0 }
    }

    /// Earlier days with anything, fading.
    pub(crate) fn days_before(&self, at: Timestamp) -> f32 {
        self.rolled(day(at)).days
    }

    /// Mean and standard deviation over the days before this moment's.
    pub(crate) fn usual(&self, at: Timestamp) -> (f32, f32) {
        let rolled = self.rolled(day(at));
        if rolled.days <= 0.0 {
            return (0.0, 0.0);
        }
        let mean = rolled.sum / rolled.days;
        (mean, (rolled.squares / rolled.days - mean * mean).max(0.0).sqrt())
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let day = self.day.max(other.day);
        self.roll_to(day);
        let other = other.rolled(day);
        self.today = self.today.saturating_add(other.today);
        self.days += other.days;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// What was counted on a day that is still to come is forgotten.
    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        if self.day > day(now) {
            (self.day, self.today, self.past) = (day(now), 0, (0, 0));
        }
    }

    fn rolled(&self, day: u32) -> Self {
        let mut rolled = self.clone();
        rolled.roll_to(day);
        rolled
    }

    fn roll_to(&mut self, day: u32) {
        if day <= self.day {
            return;
        }
        if self.today > 0 {
            let today = self.today as f32;
            self.days += 1.0;
            self.sum += today;
            self.squares += today * today;
        }
        let factor = (-((day - self.day) as f32) / HALF_LIFE_DAYS).exp2();
        self.days *= factor;
        self.sum *= factor;
        self.squares *= factor;
        (self.day, self.today) = (day, 0);
    }
}

/// How regular the pauses between logins are: a program that asks every minute is, a person is not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timing {
    pauses: f32,
    /// In seconds.
    mean: f32,
    square: f32,
}

impl Timing {
    /// Beyond so many pauses, the older ones fade.
    const MEMORY: f32 = 64.0;

    pub(crate) fn add(&mut self, seconds: f32) {
        self.pauses = (self.pauses + 1.0).min(Self::MEMORY);
        self.mean += (seconds - self.mean) / self.pauses;
        self.square += (seconds * seconds - self.square) / self.pauses;
    }

    /// How many pauses are known, at most 64.
    pub(crate) fn pauses(&self) -> f32 {
        self.pauses
    }

    pub(crate) fn mean(&self) -> f32 {
        self.mean
    }

    /// Standard deviation by mean: 0 for a clock, about 1 for chance, more for a person's day.
    pub(crate) fn irregularity(&self) -> f32 {
        if self.mean <= 0.0 {
            return 0.0;
        }
        (self.square - self.mean * self.mean).max(0.0).sqrt() / self.mean
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let sum = self.pauses + other.pauses;
        if sum <= 0.0 {
            return;
        }
        let mix = |one: f32, two: f32| (one * self.pauses + two * other.pauses) / sum;
        let (mean, square) = (mix(self.mean, other.mean), mix(self.square, other.square));
        *self = Self { pauses: sum.min(Self::MEMORY), mean, square };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: u64) -> Timestamp {
        Timestamp(days * DAY)
    }

    #[test]
    fn weekdays_and_hours_are_those_of_the_calendar() {
        // 2026-11-24T10:00:00Z is a Tuesday.
        let at = Timestamp(1_795_514_400_000);
        assert_eq!((weekday(at), hour(at)), (1, 10));
    }

    #[test]
    fn what_was_long_ago_weighs_less() {
        let mut histogram = Histogram::default();
        histogram.add(3, 24, 8.0, days(100));
        histogram.add(5, 24, 1.0, days(130));
        assert!((histogram.weight(3) - 4.0).abs() < 0.01, "{histogram:?}");
        histogram.add(3, 24, 8.0, days(100));
        assert!((histogram.weight(3) - 8.0).abs() < 0.01, "told late, it weighs what is left");
        histogram.add(99, 24, 1.0, days(130));
        assert!(histogram.weight(23) > 0.9, "nothing grows beyond the classes");
    }

    #[test]
    fn a_day_is_compared_with_the_days_before_it() {
        let mut volume = Volume::default();
        for day in 0..10 {
            volume.add(if day % 2 == 0 { 90 } else { 110 }, days(day));
        }
        volume.add(500, days(10));
        let (mean, deviation) = volume.usual(days(10));
        assert!((mean - 100.0).abs() < 1.0 && (deviation - 10.0).abs() < 1.0, "{mean} {deviation}");
        assert_eq!(volume.on(days(10)), 500);
        assert_eq!(volume.on(days(11)), 0);
        assert!(volume.usual(days(11)).0 > 110.0, "now that day is over");
    }

    #[test]
    fn days_that_are_told_of_later_count_as_if_they_had_been_told_in_time() {
        let (mut in_time, mut late) = (Volume::default(), Volume::default());
        let history = |volume: &mut Volume| {
            for day in 0..10 {
                (0..=day).for_each(|_| volume.add(25, days(day)));
            }
        };
        history(&mut in_time);
        in_time.add(7, days(20));
        late.add(7, days(20));
        history(&mut late);
        let ((one, deviation), (other, also)) = (in_time.usual(days(20)), late.usual(days(20)));
        assert!((one - other).abs() < 0.1 && (deviation - also).abs() < 0.1, "{in_time:?} {late:?}");
        assert!((in_time.days_before(days(20)) - late.days_before(days(20))).abs() < 0.01);
        assert_eq!(late.on(days(20)), 7);
        let before = late.clone();
        late.add(100, days(19));
        assert_eq!(late, before, "a minute after midnight, what is told of the minute before it is no day");
    }

    #[test]
    fn a_clock_is_regular_and_a_day_s_work_is_not() {
        let (mut clock, mut person) = (Timing::default(), Timing::default());
        for number in 0..40_u16 {
            clock.add(60.0 + f32::from(number % 2));
            person.add(if number % 8 == 0 { 40_000.0 } else { 30.0 * f32::from(number % 7) });
        }
        assert!(clock.irregularity() < 0.05, "{}", clock.irregularity());
        assert!(person.irregularity() > 1.0, "{}", person.irregularity());
    }
}
