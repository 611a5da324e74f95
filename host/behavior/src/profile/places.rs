//! Where an account has been.

use portcullis_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::AccountProfile;
use super::window::seconds;
use crate::seen::{Place, Seen};

/// What is kept at most.
const MOST_PLACES: usize = 12;
/// Positions that are so near to each other are one place.
pub(crate) const SAME_PLACE_KM: f32 = 200.0;

/// A place where an account has been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Visited {
    pub(crate) place: Place,
    pub(crate) last: u32,
    pub(crate) count: u32,
}

/// A place and when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fix {
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
    pub(crate) in_cloud: bool,
}

impl AccountProfile {
    pub(super) fn visit(&mut self, place: Place, seen: &Seen<'_>) {
        let now = seconds(seen.at);
        if self.latest_place.is_none_or(|latest| latest.at <= seen.at) {
            self.latest_place = Some(Fix { place, at: seen.at, in_cloud: seen.in_cloud });
        }
        match self.places.iter_mut().find(|known| known.place.distance_km(&place) <= SAME_PLACE_KM) {
            Some(known) => {
                known.last = known.last.max(now);
                known.count = known.count.saturating_add(1);
            }
            None => {
                self.places.push(Visited { place, last: now, count: 1 });
                bound(&mut self.places);
            }
        }
    }
}

/// Adds what another gateway knows.
pub(super) fn merge(places: &mut Vec<Visited>, others: &[Visited]) {
    for visited in others {
        match places.iter_mut().find(|known| known.place.distance_km(&visited.place) <= SAME_PLACE_KM) {
            Some(known) => {
                known.last = known.last.max(visited.last);
                known.count = known.count.saturating_add(visited.count);
            }
            None => places.push(visited.clone()),
        }
    }
    bound(places);
}

/// Keeps the places that were visited most.
fn bound(places: &mut Vec<Visited>) {
    places.sort_by(|one, other| {
        let order = |visited: &Visited| (visited.count, visited.last);
        order(other).cmp(&order(one)).then_with(|| one.place.by_position(&other.place))
    });
    if places.len() > MOST_PLACES {
        // The newest one is let in for the last of them; else nothing new could ever come in.
        let newest = places.iter().enumerate().max_by_key(|(_, visited)| visited.last).map(|(place, _)| place);
        if let Some(newest) = newest.filter(|newest| *newest >= MOST_PLACES) {
            places.swap(newest, MOST_PLACES - 1);
        }
        places.truncate(MOST_PLACES);
    }
}
