//! The last hour or so, and lists that stay short whatever comes.

use portcullis_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds since 1970.
pub(crate) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.0 / 1_000).unwrap_or(u32::MAX)
}

const BUCKETS: usize = 30;
const BUCKET_SECONDS: u32 = 120;

/// How often something happened in the last hour, in steps of two minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Number, since 1970, of the latest step.
    latest: u32,
    /// By the step's number modulo their count.
    counts: [u16; BUCKETS],
}

impl Window {
    pub(crate) fn add(&mut self, at: Timestamp) {
        let step = seconds(at) / BUCKET_SECONDS;
        self.move_to(step);
        if self.latest - step < BUCKETS as u32
            && let Some(count) = self.counts.get_mut(step as usize % BUCKETS)
        {
            *count = count.saturating_add(1);
        }
    }

    /// How often within so many minutes, at most sixty, before this moment: the step of now and so many before it that none of
    /// those minutes is left out.
    pub(crate) fn count(&self, at: Timestamp, minutes: u32) -> u32 {
        let now = seconds(at) / BUCKET_SECONDS;
        let steps = minutes.div_ceil(2).saturating_add(1).min(BUCKETS as u32);
        (0..steps).filter_map(|back| now.checked_sub(back)).map(|step| u32::from(self.at(step))).sum()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.move_to(other.latest);
        for step in (0..BUCKETS as u32).filter_map(|back| self.latest.checked_sub(back)) {
            let more = other.at(step);
            if let Some(count) = self.counts.get_mut(step as usize % BUCKETS) {
                *count = count.saturating_add(more);
            }
        }
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        if self.latest > seconds(now) / BUCKET_SECONDS {
            *self = Self::default();
        }
    }

    fn at(&self, step: u32) -> u16 {
        let is_kept = step <= self.latest && self.latest - step < BUCKETS as u32;
        self.counts.get(step as usize % BUCKETS).copied().filter(|_| is_kept).unwrap_or(0)
    }

    fn move_to(&mut self, step: u32) {
        if step <= self.latest {
            return;
        }
        for fresh in (self.latest + 1..=step).take(BUCKETS) {
            // Where all of them are fresh, the order does not matter.
            if let Some(count) = self.counts.get_mut(fresh as usize % BUCKETS) {
                *count = 0;
            }
        }
        self.latest = step;
    }
}

/// Which different things were seen lately: the latest of them, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recent<T> {
    /// With the second, since 1970, in which it was seen last. The oldest first, so that the one that goes is not looked for.
    seen: Vec<(T, u32)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { seen: Vec::new() }
    }
}

impl<T: Copy + Ord> Recent<T> {
    /// Keeps at most `most`: the oldest goes.
    pub(crate) fn saw(&mut self, what: T, at: Timestamp, most: usize) {
        let now = seconds(at);
        let known = self.seen.iter().rposition(|(known, _)| *known == what);
        let goes = known.or_else(|| (self.seen.len() >= most).then_some(0));
        if let Some(place) = goes {
            if self.seen.get(place).is_none_or(|(_, at)| *at > now) {
                return;
            }
            self.seen.remove(place);
        }
        let place = self.seen.partition_point(|(other, at)| (*at, *other) <= (now, what));
        self.seen.insert(place, (what, now));
    }

    pub(crate) fn has(&self, what: T, at: Timestamp, minutes: u32) -> bool {
        self.lately(at, minutes).any(|known| known == what)
    }

    /// How many different ones within so many minutes before this moment.
    pub(crate) fn distinct(&self, at: Timestamp, minutes: u32) -> usize {
        self.lately(at, minutes).count()
    }

    /// Those, in no order.
    pub(crate) fn lately(&self, at: Timestamp, minutes: u32) -> impl Iterator<Item = T> {
        let since = seconds(at).saturating_sub(minutes.saturating_mul(60));
        self.seen.iter().filter(move |(_, when)| *when >= since).map(|(what, _)| *what)
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        self.seen.iter_mut().for_each(|(_, at)| *at = (*at).min(seconds(now)));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(crate) fn merge(&mut self, other: &Self, most: usize) {
        for (what, at) in &other.seen {
            match self.seen.iter_mut().find(|(known, _)| known == what) {
                Some((_, known)) => *known = (*known).max(*at),
                None => self.seen.push((*what, *at)),
            }
        }
        self.seen.sort_unstable_by_key(|(what, at)| (*at, *what));
        self.seen.drain(..self.seen.len().saturating_sub(most));
    }
}

/// Something that is done again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Habit<K> {
    pub(crate) what: K,
    /// In seconds since 1970, as below.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) count: u32,
}

/// Habits: the most frequent ones, where there are more than may be kept. So one that is old and often is not driven out by
/// any number that come once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Habits<K> {
    all: Vec<Habit<K>>,
}

impl<K> Default for Habits<K> {
    fn default() -> Self {
        Self { all: Vec::new() }
    }
}

/// What was not done for so long, in seconds, goes before anything else.
const STALE: u32 = 180 * 86_400;

impl<K: Ord + Clone> Habits<K> {
    pub(crate) fn did<Q>(&mut self, what: &Q, at: Timestamp, most: usize)
    where
        Q: ?Sized + ToOwned<Owned = K>,
        K: std::borrow::Borrow<Q>,
        Q: Eq,
    {
        let now = seconds(at);
        if let Some(known) = self.all.iter_mut().find(|known| known.what.borrow() == what) {
            known.first = known.first.min(now);
            known.last = known.last.max(now);
            known.count = known.count.saturating_add(1);
            return;
        }
        let new = Habit { what: what.to_owned(), first: now, last: now, count: 1 };
        if self.all.len() < most {
            self.all.push(new);
            return;
        }
        let worth = |habit: &Habit<K>| (habit.last.saturating_add(STALE) >= now, habit.count, habit.last);
        if let Some(least) = self.all.iter_mut().min_by(|one, other| worth(one).cmp(&worth(other))) {
            *least = new;
        }
    }

    pub(crate) fn get<Q>(&self, what: &Q) -> Option<&Habit<K>>
    where
        Q: ?Sized + Eq,
        K: std::borrow::Borrow<Q>,
    {
        self.all.iter().find(|known| known.what.borrow() == what)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Habit<K>> {
        self.all.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        let now = seconds(now);
        for habit in &mut self.all {
            (habit.first, habit.last) = (habit.first.min(now), habit.last.min(now));
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, most: usize) {
        for habit in &other.all {
            match self.all.iter_mut().find(|known| known.what == habit.what) {
                Some(known) => {
                    known.first = known.first.min(habit.first);
                    known.last = known.last.max(habit.last);
                    known.count = known.count.saturating_add(habit.count);
                }
                None => self.all.push(habit.clone()),
            }
        }
        self.all.sort_by(|one, other| (other.count, other.last, &one.what).cmp(&(one.count, one.last, &other.what)));
        self.all.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Timestamp {
        Timestamp(1_800_000_000_000 + minutes * 60_000)
    }

    #[test]
    fn a_window_forgets_after_its_time() {
        let mut window = Window::default();
        for minute in 0..10 {
            window.add(minutes(minute));
        }
        assert_eq!(window.count(minutes(9), 10), 10);
        assert_eq!(
            window.count(minutes(13), 10),
            8,
            "the step that the last of the ten minutes is in counts as a whole"
        );
        assert_eq!(window.count(minutes(15), 10), 6);
        assert_eq!(window.count(minutes(58), 60), 10);
        assert_eq!(window.count(minutes(500), 60), 0);
        window.add(minutes(500));
        assert_eq!(window.count(minutes(500), 60), 1, "what was there an age ago does not come back");
        window.add(minutes(1));
        assert_eq!(window.count(minutes(500), 60), 1, "what is told too late does not count");
    }

    #[test]
    fn lists_stay_short_and_keep_what_matters() {
        let (mut recent, mut habits) = (Recent::default(), Habits::default());
        for day in 0..10 {
            habits.did(&7_u32, minutes(day * 1440), 4);
        }
        for number in 0..10_000 {
            recent.saw(number, minutes(number), 8);
            habits.did(&(u32::try_from(number).unwrap() + 100), minutes(20_000 + number), 4);
        }
        assert_eq!((recent.len(), recent.distinct(minutes(9_999), 5), habits.len()), (8, 6, 4));
        assert_eq!(habits.get(&7).unwrap().count, 10, "it was done often");
    }
}
