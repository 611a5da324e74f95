//! `machine-speed-logins`: a person's account logs in as a program does and a person cannot: a program has the password.
//!
//! Threshold: `logins` logins within two minutes to an account of a person that does not have some thousand a day anyway. Or
//! `regular-logins` logins to the directory in a row, let in or not, from one machine that is no server of many, whose pauses (5 seconds to an hour) are
//! within a quarter of their mean, where a usual day of the account has less than four hours of that. Of both, half as many where
//! the account has also reached `targets` machines and applications within an hour that are new to it, and half of that again
//! where `unanswered-challenges` challenges within an hour were not approved: a program spreads, and has no phone. Learning
//! period: none. False positives: mail servers and web applications that log their user in again for each request, and a person's
//! own program that asks every few minutes, which the daily number tells after some days; exclude them by their network before.
//! MITRE ATT&CK: T1078 (Valid Accounts).

use portcullis_core::AccountKind;

use super::{About, Group, Scene, Weights};
use crate::profile::AccountProfile;

/// What it is about.
pub const ABOUT: About = About {
    name: "machine-speed-logins",
    group: Group::Movement,
    technique: Some("T1078"),
    score: 50,
    weights: Weights { account: 30, endpoint: 20, application: 0 },
};

settings! { ABOUT;
    /// Logins within two minutes,
    logins: u32 = 60,
    /// or in a row, with pauses that are alike.
    regular_logins: u32 = 30,
    /// Machines and applications new to the account within an hour that are a sign of a program.
    targets: u32 = 3 => most 32,
    /// Challenges within an hour that were not approved and are a sign of one.
    unanswered_challenges: u32 = 2,
}

/// Logins a day with which nothing in two minutes says anything.
const MANY_A_DAY: f32 = 2_000.0;
/// So many hours of a rhythm, in seconds, on a usual day are a habit.
const HABIT: f32 = 4.0 * 3_600.0;

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let seen = scene.seen;
    let is_person = seen.account.is_some_and(|account| account.kind == AccountKind::Human);
    let account = scene.account.filter(|_| is_person && seen.is_good_login())?;
    let signs = signs(account, scene, settings);
    let enough = |logins: u32, alone: u32| logins >= (alone >> signs.len()).max(2);
    let (usual, _) = account.volume.usual(seen.at);
    let logins = account.recent.as_ref().map_or(0, |recent| recent.count(seen.at, 2)) + 1;
    let rhythm = account.rhythm_with(seen);
    let what = if enough(logins, settings.logins) && usual < MANY_A_DAY {
        format!("{logins} logins within two minutes are more than a person makes")
    } else if enough(rhythm.logins(), settings.regular_logins) && usual < HABIT / rhythm.pause() {
        format!("{} logins in a row, one every {:.0} seconds, are a program's", rhythm.logins(), rhythm.pause())
    } else {
        return None;
    };
    Some(format!("{}.", [vec![what], signs].concat().join("; ")))
}

/// What else a program does.
fn signs(account: &AccountProfile, scene: &Scene<'_>, settings: &Settings) -> Vec<String> {
    let at = scene.seen.at;
    let targets = account.new_targets.distinct(at, 60);
    let unanswered = account.unanswered.as_ref().map_or(0, |unanswered| unanswered.count(at, 60));
    let spreads = targets >= settings.targets as usize;
    let is_silent = unanswered >= settings.unanswered_challenges;
    let signs = [
        spreads.then(|| format!("{targets} machines and applications of the last hour are new to it")),
        is_silent.then(|| format!("{unanswered} challenges of the last hour were not approved")),
    ];
    signs.into_iter().flatten().collect()
}
