//! What stands behind an account, as its behaviour tells: a program keeps time, stays where it is, asks the same and never
//! answers a challenge. It is proposed with the reasons; a person decides.

use portcullis_core::{AccountKind, Timestamp};

use crate::profile::AccountProfile;

/// Logins, and days, below which nothing is said.
const LOGINS: u64 = 100;
const DAYS: u32 = 7;
/// Signs that it takes.
const SIGNS: usize = 3;
/// Standard deviation of the pauses by their mean, below which somebody keeps time.
const REGULAR: f32 = 0.25;

/// What the account seems to be, and why; none where that is what is known of it, or where too little is known.
#[must_use]
pub fn propose(profile: &AccountProfile, known: AccountKind, at: Timestamp) -> Option<(AccountKind, Vec<String>)> {
    match known {
        AccountKind::Machine => None,
        AccountKind::Service => (profile.approvals > 0).then(|| {
            let reason =
                format!("It has approved a second factor {}, which a program does not.", times(profile.approvals));
            (AccountKind::Human, vec![reason])
        }),
        AccountKind::Human | AccountKind::Unknown => service(profile, at).map(|why| (AccountKind::Service, why)),
    }
}

fn service(profile: &AccountProfile, at: Timestamp) -> Option<Vec<String>> {
    if profile.approvals > 0 || profile.logins < LOGINS || profile.days_known(at) < DAYS {
        return None;
    }
    let mut reasons = Vec::new();
    if profile.timing.pauses() >= 30.0 && profile.timing.irregularity() < REGULAR {
        reasons.push(format!("It logs in every {:.0} seconds, as a clock does.", profile.timing.mean()));
    }
    let total = profile.hours.total();
    let awake = (0..24).filter(|hour| profile.hours.weight(*hour) > total / 240.0).count();
    let weekend: f32 = [5, 6].iter().map(|day| profile.weekdays.weight(*day)).sum();
    if awake >= 22 && weekend > profile.weekdays.total() * 0.2 {
        reasons.push("It is used around the clock and at weekends.".to_owned());
    }
    if profile.endpoints.len() == 1 {
        reasons.push("It comes from one machine only.".to_owned());
    }
    let searches: u64 = profile.shapes.iter().map(|shape| u64::from(shape.count)).sum();
    if searches >= 50 && profile.shapes.iter().any(|shape| u64::from(shape.count) >= searches - searches / 20) {
        reasons.push("All its searches look the same.".to_owned());
    }
    if reasons.len() < SIGNS - 1 {
        return None;
    }
    reasons.push("It has never answered a second factor.".to_owned());
    Some(reasons)
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
