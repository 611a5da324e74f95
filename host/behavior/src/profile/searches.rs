//! What a service account searches for, as text, so that a fence can name it; and what a detection has pointed at, so that it
//! does not.

use portcullis_core::{Search, SearchScope, Signal, Timestamp};
use serde::{Deserialize, Serialize};

use super::cut;
use super::window::{Habits, seconds};
use crate::seen::short;
use crate::shape::shape;

/// What is kept at most.
pub(crate) const MOST_FILTERS: usize = 6;
pub(crate) const MOST_PLACES: usize = 6;
const MOST_MARKS: usize = 32;
/// Octets beyond which a shape, and a name, is not kept: a part of it would not be it.
const LONGEST_FILTER: usize = 128;
const LONGEST_PLACE: usize = 96;

/// What an account searches for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Searches {
    /// When the first was looked at, in seconds since 1970.
    pub(crate) first: u32,
    /// How many were looked at, those that found no room included.
    pub(crate) count: u32,
    /// Shapes of filters.
    pub(crate) filters: Habits<String>,
    pub(crate) places: Habits<Place>,
}

/// Where a search looks: an entry, and what is below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) dn: String,
    pub(crate) below: bool,
}

impl Place {
    /// A program that reads one entry after the other reads what is below the entry above them. Above the top two levels
    /// there is nothing of which that could be said.
    fn of(search: &Search) -> Option<Self> {
        let dn = search.base.trim().to_ascii_lowercase();
        if dn.len() > LONGEST_PLACE {
            return None;
        }
        if search.scope != SearchScope::Base {
            return Some(Self { dn, below: true });
        }
        match parent(&dn).filter(|above| parent(above).is_some()) {
            Some(above) => Some(Self { dn: above.trim().to_owned(), below: true }),
            None => Some(Self { dn, below: false }),
        }
    }
}

/// What stands behind the first comma of a name that separates (RFC 4514).
fn parent(dn: &str) -> Option<&str> {
    let (mut escaped, mut quoted) = (false, false);
    for (at, letter) in dn.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => return dn.get(at + 1..),
            _ => {}
        }
    }
    None
}

impl Searches {
    pub(crate) fn learn(&mut self, search: &Search, at: Timestamp) {
        let now = seconds(at);
        self.first = if self.first == 0 { now } else { self.first.min(now) };
        self.count = self.count.saturating_add(1);
        if let Some(shape) = shape(&search.filter).filter(|shape| shape.len() <= LONGEST_FILTER) {
            self.filters.did(&shape, at, MOST_FILTERS);
        }
        if let Some(place) = Place::of(search) {
            self.places.did(&place, at, MOST_PLACES);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.first =
            if self.first == 0 || other.first == 0 { self.first.max(other.first) } else { self.first.min(other.first) };
        self.count = self.count.saturating_add(other.count);
        self.filters.merge(&other.filters, MOST_FILTERS);
        self.places.merge(&other.places, MOST_PLACES);
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        self.first = self.first.min(seconds(now));
        self.filters.forget_future(now);
        self.places.forget_future(now);
    }
}

/// For so many days what a detection has pointed at is not what the account is there for.
pub(crate) const SUSPECT_DAYS: u32 = 90;

/// What detections have pointed at, the latest of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks(Vec<Mark>);

/// Something that was there when a detection had something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// An address, an application or the shape of a filter, as [`short`] has it.
    what: u32,
    /// When, in seconds since 1970.
    pub(crate) at: u32,
    /// The signal's name, as [`short`] has it.
    pub(crate) signal: u32,
}

impl Marks {
    /// Where there is no room, a mark goes that is on nothing the account uses (`used`), else the oldest: whoever tries from many
    /// machines must not wash the one clean from which he got in.
    pub(crate) fn add(&mut self, what: &str, signal: &Signal, at: Timestamp, used: impl FnOnce() -> Vec<u32>) {
        let new = Mark { what: short(what), at: seconds(at), signal: short(cut(&signal.name)) };
        if let Some(known) = self.0.iter_mut().find(|mark| mark.what == new.what) {
            if known.at <= new.at {
                *known = new;
            }
        } else if self.0.len() < MOST_MARKS {
            self.0.push(new);
        } else {
            let used = used();
            let worth = |mark: &&mut Mark| (used.contains(&mark.what), mark.at, mark.what);
            if let Some(least) = self.0.iter_mut().min_by_key(worth) {
                *least = new;
            }
        }
    }

    /// The mark on something; none where that was long ago.
    pub(crate) fn on(&self, what: &str, now: Timestamp) -> Option<Mark> {
        let what = short(what);
        let is_fresh = |mark: &&Mark| seconds(now).saturating_sub(mark.at) / 86_400 < SUSPECT_DAYS;
        self.0.iter().find(|mark| mark.what == what).filter(is_fresh).copied()
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        self.0.iter_mut().for_each(|mark| mark.at = mark.at.min(seconds(now)));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for mark in &other.0 {
            match self.0.iter_mut().find(|known| known.what == mark.what) {
                Some(known) if (known.at, known.signal) < (mark.at, mark.signal) => *known = *mark,
                Some(_) => {}
                None => self.0.push(*mark),
            }
        }
        self.0.sort_unstable_by_key(|mark| (std::cmp::Reverse(mark.at), mark.what));
        self.0.truncate(MOST_MARKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(base: &str, scope: SearchScope) -> Option<(String, bool)> {
        let search = Search { base: base.to_owned(), scope, filter: "(a=b)".to_owned(), attributes: Vec::new() };
        Place::of(&search).map(|place| (place.dn, place.below))
    }

    #[test]
    fn where_a_search_looks() {
        for (base, scope, expected) in [
            ("OU=People,dc=x,dc=y", SearchScope::Subtree, ("ou=people,dc=x,dc=y", true)),
            ("ou=people,dc=x,dc=y", SearchScope::OneLevel, ("ou=people,dc=x,dc=y", true)),
            ("uid=a, ou=people,dc=x,dc=y", SearchScope::Base, ("ou=people,dc=x,dc=y", true)),
            ("cn=a\\,b,ou=it,dc=x", SearchScope::Base, ("ou=it,dc=x", true)),
            ("cn=\"a,b\",ou=it,dc=x", SearchScope::Base, ("ou=it,dc=x", true)),
            ("dc=x,dc=y", SearchScope::Base, ("dc=x,dc=y", false)),
            ("cn=Subschema", SearchScope::Base, ("cn=subschema", false)),
            ("", SearchScope::Base, ("", false)),
            ("", SearchScope::Subtree, ("", true)),
        ] {
            assert_eq!(place(base, scope), Some((expected.0.to_owned(), expected.1)), "{base}");
        }
        assert_eq!(place(&"x".repeat(LONGEST_PLACE + 1), SearchScope::Subtree), None);
    }

    #[test]
    fn many_marks_wash_none_clean_that_is_on_something_used() {
        let mut marks = Marks::default();
        let signal = Signal { name: "brute-force".to_owned(), score: 60, reason: String::new() };
        let used = short("10.0.0.1");
        let at = |second: u64| Timestamp(1_800_000_000_000 + second * 1_000);
        marks.add("10.0.0.1", &signal, at(0), || vec![used]);
        for number in 1..1_000_u64 {
            marks.add(&format!("10.9.{}.{}", number / 250, number % 250), &signal, at(number), || vec![used]);
        }
        assert_eq!(marks.0.len(), MOST_MARKS);
        assert_eq!(marks.on("10.0.0.1", at(1_000)).map(|mark| mark.signal), Some(short("brute-force")));
    }
}
