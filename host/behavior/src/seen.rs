//! What is looked at, and what is learned from: an access as behaviour sees it.

use std::cmp::Ordering;
use std::net::IpAddr;

use portcullis_core::cloud::Foreign;
use portcullis_core::event::{AccessEvent, Decision};
use portcullis_core::gate::Tried;
use portcullis_core::policy::{Mode, Verdict};
use portcullis_core::source::Position;
use portcullis_core::{Access, Account, Operation, Outcome, Protection, Timestamp};
use serde::{Deserialize, Serialize};

/// Where somebody is, as well as anybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Degrees, -90 (south) to 90.
    pub latitude: f32,
    /// Degrees, -180 (west) to 180.
    pub longitude: f32,
    /// How far off it may be, in kilometres.
    pub uncertainty_km: f32,
}

/// How far off the position may be that a cloud service gives for an address.
pub const CLOUD_UNCERTAINTY_KM: f32 = 150.0;
/// A mean radius of the Earth.
const EARTH_KM: f64 = 6_371.0;

impl Place {
    /// The position that a cloud service gives.
    #[must_use]
    pub fn of_cloud(foreign: &Foreign) -> Option<Self> {
        Self::of_position(foreign.position?)
    }

    /// The same; none where it is not on Earth.
    #[must_use]
    pub fn of_position(position: Position) -> Option<Self> {
        let is_on_earth = (-90.0..=90.0).contains(&position.latitude) && (-180.0..=180.0).contains(&position.longitude);
        if !is_on_earth {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "seven digits are a metre")]
        let (latitude, longitude) = (position.latitude as f32, position.longitude as f32);
        Some(Self { latitude, longitude, uncertainty_km: CLOUD_UNCERTAINTY_KM })
    }

    /// Any order, but always the same.
    pub(crate) fn by_position(&self, other: &Self) -> Ordering {
        let parts = |place: &Self| [place.latitude, place.longitude, place.uncertainty_km];
        let each = parts(self).into_iter().zip(parts(other)).map(|(one, other)| one.total_cmp(&other));
        each.fold(Ordering::Equal, Ordering::then)
    }

    /// The shortest way over the surface, in kilometres (haversine).
    #[must_use]
    pub fn distance_km(&self, other: &Self) -> f32 {
        let radians = |degrees: f32| f64::from(degrees).to_radians();
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let (north, east) = (to - from, radians(other.longitude) - radians(self.longitude));
        let half = (north / 2.0).sin().powi(2) + from.cos() * to.cos() * (east / 2.0).sin().powi(2);
        #[expect(clippy::cast_possible_truncation, reason = "the Earth is small enough")]
        let kilometres = (2.0 * EARTH_KM * half.clamp(0.0, 1.0).sqrt().asin()) as f32;
        kilometres
    }
}

/// An access.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When.
    pub at: Timestamp,
    /// Who; none for nobody in particular.
    pub account: Option<&'a Account>,
    /// From where.
    pub address: Option<IpAddr>,
    /// Where that is on Earth.
    pub place: Option<Place>,
    /// On what.
    pub application: &'a str,
    /// The entry that it names; for a bind, that of the account, or the name that was typed where that is not known.
    pub entry: Option<&'a str>,
    /// What.
    pub operation: &'a Operation,
    /// What came of it.
    pub outcome: Outcome,
    /// How the connection is protected.
    pub protection: Option<&'a Protection>,
    /// A cloud service told of it.
    pub in_cloud: bool,
    /// What a simple bind was tried with.
    pub tried: Tried,
    /// The account has used the endpoint before and not forgotten it.
    pub associated: bool,
    /// Many accounts use the endpoint.
    pub shared: bool,
    /// Entries that the directory returned; known only of operations that were summed up.
    pub entries: u64,
    /// How many operations it is; none where they are counted elsewhere.
    pub operations: u64,
    /// What the account has done that is not learned yet.
    pub ahead: Ahead,
}

/// Operations, and entries that the directory returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ahead {
    pub operations: u64,
    pub entries: u64,
}

impl<'a> Seen<'a> {
    /// An access whose endpoint has been looked at. `site` is the position of the site that it comes from.
    #[must_use]
    pub fn of(access: &'a Access, foreign: Option<&Foreign>, site: Option<Place>, tried: Tried) -> Self {
        let endpoint = access.endpoint.as_ref();
        Self {
            at: access.at,
            account: access.account.as_ref(),
            address: endpoint.map(|endpoint| endpoint.address),
            place: foreign.and_then(Place::of_cloud).or(site),
            application: &access.target.application,
            entry: access.target.entry.as_deref(),
            operation: &access.operation,
            outcome: access.outcome,
            protection: access.protection.as_ref(),
            in_cloud: foreign.is_some(),
            tried,
            associated: endpoint.is_some_and(|endpoint| endpoint.associated),
            shared: endpoint.is_some_and(|endpoint| endpoint.shared),
            entries: 0,
            operations: 1,
            ahead: Ahead::default(),
        }
    }

    /// Somebody proves who he is.
    #[must_use]
    pub fn is_login(&self) -> bool {
        matches!(self.operation, Operation::Bind(_) | Operation::SignIn | Operation::AppAccess)
    }

    /// The same, and the directory or the service said no.
    #[must_use]
    pub fn is_failed_login(&self) -> bool {
        self.is_login() && self.outcome == Outcome::Failure
    }

    /// The same, and it said yes.
    #[must_use]
    pub fn is_good_login(&self) -> bool {
        self.is_login() && self.outcome == Outcome::Success
    }
}

/// The directory has an entry for the account; see [`portcullis_core::AccountId`].
#[must_use]
pub fn is_known(account: &Account) -> bool {
    !account.id.as_str().starts_with("name:")
}

/// What an access shows is a habit: it was let through, and nothing about it waits for an answer.
#[must_use]
pub fn teaches(event: &AccessEvent) -> bool {
    let unanswered = event.rulings.iter().rev().find(|ruling| ruling.mode == Mode::Enforce);
    event.decision == Decision::Allow
        && event.access.outcome != Outcome::Failure
        && !unanswered.is_some_and(|ruling| matches!(ruling.verdict, Verdict::Challenge(_)))
}

/// Tells texts apart in little room. Two texts are the same one in four billion times, which then hides one of many.
#[must_use]
pub fn short(text: &str) -> u32 {
    // FNV-1a, folded, over letters in lower case: names in a directory have no case.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u32::try_from(mixed >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_a_globe() {
        let at = |latitude, longitude| Place { latitude, longitude, uncertainty_km: 0.0 };
        let (berlin, new_york) = (at(52.52, 13.405), at(40.7128, -74.006));
        assert!((berlin.distance_km(&new_york) - 6_385.0).abs() < 20.0);
        assert!((at(0.0, 179.5).distance_km(&at(0.0, -179.5)) - 111.2).abs() < 1.0, "over the date line");
        assert!((at(90.0, 0.0).distance_km(&at(-90.0, 50.0)) - 20_015.0).abs() < 5.0);
    }

    #[test]
    fn names_are_told_apart_without_regard_to_case() {
        assert_eq!(short("Alice"), short("aLICE"));
        let all: std::collections::HashSet<_> = (0..20_000).map(|number| short(&format!("user{number}"))).collect();
        assert!(all.len() > 19_995, "{}", all.len());
    }
}
