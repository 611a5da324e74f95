//! What an account's searches look like, where that is known of nearly all of them.

use portcullis_core::OperationKind;
use portcullis_core::fence::{Part, SearchPlace};

use super::{Eye, nothing, refused};
use crate::profile::searches::Searches;

/// Searches that have to have been looked at.
pub const SEARCHES: u32 = 20;
/// In percent, how many of them have to be of the kinds that are in the fence.
pub const COVERED: u64 = 95;

/// Shapes of filters.
pub(super) fn filters(eye: &Eye<'_>) -> Part<String> {
    let searches = match known(eye) {
        Ok(searches) => searches,
        Err(why) => return refused(nothing(), &why),
    };
    let part = eye.sort(searches.filters.iter(), |shape| eye.profile.marks.on(shape, eye.at), Clone::clone);
    covering(part, searches, "filters")
}

/// Where they look.
pub(super) fn places(eye: &Eye<'_>) -> Part<SearchPlace> {
    let searches = match known(eye) {
        Ok(searches) => searches,
        Err(why) => return refused(nothing(), &why),
    };
    let part =
        eye.sort(searches.places.iter(), |_| None, |place| SearchPlace { dn: place.dn.clone(), below: place.below });
    if part.allowed.iter().any(|known| known.what.below && known.what.dn.is_empty()) {
        return refused(part, "It searches from the root on, which is everywhere.");
    }
    covering(part, searches, "places")
}

fn known<'a>(eye: &Eye<'a>) -> Result<&'a Searches, String> {
    let profile = eye.profile;
    match profile.searches.as_deref() {
        None if eye.reads_are_counted && profile.operations.weight(OperationKind::Search as usize) < 0.5 => Err("It does not search.".to_owned()),
        None => Err(
            "Its searches were not looked at yet, because no policy asks to see them. Once a fence is in the list they are, \
             also in monitor mode; accept the fence again when they are known."
                .to_owned(),
        ),
        Some(searches) if searches.count < SEARCHES => Err(format!(
            "Too little is known: {} of its searches were looked at, of {SEARCHES} that it takes.",
            searches.count,
        )),
        Some(searches) => Ok(searches),
    }
}

/// Where too many of the searches would be outside, it is no fence but a wall.
fn covering<T>(part: Part<T>, searches: &Searches, word: &str) -> Part<T> {
    let covered: u64 = part.allowed.iter().map(|known| known.count).sum();
    let percent = covered * 100 / u64::from(searches.count.max(1));
    if percent < COVERED {
        let why = format!(
            "The {word} that are known well enough are {percent} % of its searches, of {COVERED} % that it takes."
        );
        return refused(part, &why);
    }
    part
}
