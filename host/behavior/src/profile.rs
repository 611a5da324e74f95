//! What is learned: a profile for each account, endpoint and application.
//!
//! A profile is bounded whatever happens ([`MOST_BYTES`]), fades (a month ago weighs half), can be merged with what another
//! gateway learned of the same subject, and is stored as a version and what `postcard` makes of it. What is of use for an hour at most,
//! and must not or need not be stored, is in memory alone: passwords that were tried, accounts that were turned away, and the
//! rhythm of logins.

mod account;
mod application;
pub(crate) mod decayed;
mod endpoint;
mod places;
#[cfg(test)]
mod properties;
mod rhythm;
pub(crate) mod searches;
#[cfg(test)]
mod tests;
mod usual;
pub(crate) mod window;

use portcullis_core::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use account::AccountProfile;
pub(crate) use account::marked_application;
pub use application::ApplicationProfile;
pub use endpoint::EndpointProfile;
pub(crate) use places::SAME_PLACE_KM;
pub use usual::{Usual, UsualThing};

use crate::risk::Risk;

/// No profile takes more than so many octets in the store, with all its lists full and a risk of as many and as long factors as
/// there can be. In memory it is about twice that at most.
pub const MOST_BYTES: usize = 32 * 1024;

/// Version of the stored form.
const VERSION: u8 = 2;
/// What version 1 lacks stands at the end of the account's profile and is empty there, which is written as zeros.
const LACKED_BY_1: [u8; 2] = [0; 2];
/// Octets of a name that are kept.
pub(crate) const LONGEST_NAME: usize = 128;

/// What all profiles can.
pub trait Profile: Default + Clone + Serialize + DeserializeOwned {
    /// Adds what another gateway learned of the same subject. The order does not matter, nor which are merged first, but for
    /// what has to be left out of lists that are full, places that are near each other, and the pauses beyond the last 64. A day
    /// that was over at two gateways counts as two to the volume. What is merged twice counts twice.
    fn merge(&mut self, other: &Self);

    /// The clock was ahead when some of this was learned: what is of later than `now` is as of now, or is forgotten.
    fn forget_future(&mut self, now: Timestamp);

    /// The subject's risk.
    fn risk(&self) -> &Risk;

    /// The same, to be changed.
    fn risk_mut(&mut self) -> &mut Risk;

    /// Its name for people; none where the subject's key is that.
    fn name(&self) -> Option<&str>;

    /// The stored form.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        // Writing to memory fails for what has no length beforehand, and there is none of that here.
        let octets = postcard::to_extend(self, vec![VERSION]);
        octets.unwrap_or_default()
    }

    /// From the stored form; none where it is of a version, or damaged in a way, that nobody can read.
    #[must_use]
    fn decode(octets: &[u8]) -> Option<Self> {
        let (version, rest) = octets.split_first()?;
        match *version {
            VERSION => postcard::from_bytes(rest).ok(),
            1 => postcard::from_bytes(&[rest, &LACKED_BY_1].concat()).ok(),
            _ => None,
        }
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_NAME)).unwrap_or(text)
}
