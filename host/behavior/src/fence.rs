//! What a service account is used for, as a fence around it: machines, applications, hours, kinds of operation, and what its searches
//! look like. A person decides whether it becomes a rule, so each part comes with how well it is known, and what is left out with
//! the reason.
//!
//! Nothing is in a fence that was done a few times, lately or long ago, or to which a detection had something to say: whoever
//! has tried once must not be fenced in.

mod hours;
mod searches;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_core::fence::{Fence, Known, LeftOut, Part};
use portcullis_core::{OperationKind, Timestamp};

use crate::Settings;
use crate::detections::CATALOGUE;
use crate::profile::searches::Mark;
use crate::profile::window::{Habit, seconds};
use crate::profile::{AccountProfile, marked_application};
use crate::seen::short;

/// How often a machine, an application or a search has to have been seen. It also has to be as old as the account's learning
/// period (`learning-days`).
pub const TIMES: u32 = 5;
/// What was not seen for so many days is not in use.
pub const IN_USE_DAYS: u32 = 30;
/// An account that is used from more machines has none of its own.
pub const MOST_MACHINES: usize = 16;
/// How often a kind of operation has to have been seen, fading by half in a month.
pub const OPERATIONS: f32 = 3.0;

/// Kinds of operation that are events of their own whatever the audit and the policies say.
const ALWAYS_SEEN: [OperationKind; 8] = [
    OperationKind::Bind,
    OperationKind::Add,
    OperationKind::Modify,
    OperationKind::Delete,
    OperationKind::Rename,
    OperationKind::PasswordChange,
    OperationKind::SignIn,
    OperationKind::AppAccess,
];
/// Kinds that the gateway itself does not look into, or that are not the account's own doing.
const NEVER_FENCED: OperationKind = OperationKind::Other;

/// The fence of an account. `reads_are_counted` says whether operations that nobody watches are summed up at all.
///
/// # Errors
/// Too little is known of the account; the text says what is missing.
pub fn propose(
    profile: &AccountProfile,
    settings: &Settings,
    reads_are_counted: bool,
    at: Timestamp,
) -> Result<Fence, String> {
    let (days, wanted) = (profile.days_known(at), settings.learning_time.as_secs() / 86_400);
    if profile.logins < settings.learning_accesses.max(1) || u64::from(days) < wanted {
        return Err(format!(
            "Too little is known: {} in {days} days, of {} and {wanted} days that it takes.",
            counted(profile.logins, "login"),
            settings.learning_accesses.max(1),
        ));
    }
    let eye = Eye { profile, settings, reads_are_counted, at };
    Ok(Fence {
        machines: machines(&eye),
        applications: applications(&eye),
        hours: hours::hours(profile, at),
        operations: operations(&eye),
        filters: searches::filters(&eye),
        places: searches::places(&eye),
    })
}

/// Who looks, with what, and when.
struct Eye<'a> {
    profile: &'a AccountProfile,
    settings: &'a Settings,
    reads_are_counted: bool,
    at: Timestamp,
}

impl Eye<'_> {
    /// Why something is not in the fence; none where it is.
    fn objection<K>(&self, habit: &Habit<K>, mark: Option<Mark>) -> Option<String> {
        let days = |since: u32| seconds(self.at).saturating_sub(since) / 86_400;
        if let Some(mark) = mark {
            let signal = CATALOGUE.iter().find(|about| short(about.name) == mark.signal);
            let signal = signal.map_or("a detection", |about| about.name);
            return Some(format!("{signal} was noticed with it {} ago.", counted(days(mark.at).into(), "day")));
        }
        if days(habit.last) > IN_USE_DAYS {
            return Some(format!("It was not seen for {} days.", days(habit.last)));
        }
        if habit.count < TIMES {
            return Some(format!("It was seen {} only, of {TIMES} times that it takes.", times(habit.count)));
        }
        let age = Duration::from_secs(seconds(self.at).saturating_sub(habit.first).into());
        (age < self.settings.learning_time).then(|| {
            let wanted = self.settings.learning_time.as_secs() / 86_400;
            format!("It is known for {} only, of {wanted} that it takes.", counted(days(habit.first).into(), "day"))
        })
    }

    /// Takes habits apart into what is in the fence and what is not.
    fn sort<'h, K: 'h, T>(
        &self,
        habits: impl Iterator<Item = &'h Habit<K>>,
        mark: impl Fn(&K) -> Option<Mark>,
        what: impl Fn(&K) -> T,
    ) -> Part<T> {
        let mut part = nothing();
        for habit in habits {
            let known = Known {
                what: what(&habit.what),
                count: habit.count.into(),
                first: Some(moment(habit.first)),
                last: Some(moment(habit.last)),
            };
            match self.objection(habit, mark(&habit.what)) {
                None => part.allowed.push(known),
                Some(why) => part.left_out.push(LeftOut { known, why }),
            }
        }
        part.allowed.sort_by_key(|known| std::cmp::Reverse(known.count));
        part.left_out.sort_by_key(|left| std::cmp::Reverse(left.known.last));
        if part.allowed.is_empty() {
            part.why_not = Some("None is known well enough.".to_owned());
        }
        part
    }
}

fn machines(eye: &Eye<'_>) -> Part<IpAddr> {
    let mark = |address: &IpAddr| eye.profile.marks.on(&address.to_string(), eye.at);
    let part = eye.sort(eye.profile.endpoints.iter(), mark, |address| *address);
    let count = part.allowed.len();
    if count > MOST_MACHINES {
        return refused(part, &format!("It comes from {count} machines, more than {MOST_MACHINES}: none is its own."));
    }
    part
}

fn applications(eye: &Eye<'_>) -> Part<String> {
    let cut = |name: &str| name.len() >= crate::profile::LONGEST_NAME;
    let mark = |name: &String| eye.profile.marks.on(&marked_application(name), eye.at);
    let part = eye.sort(eye.profile.applications.iter(), mark, Clone::clone);
    if part.allowed.iter().any(|known| cut(&known.what)) {
        return refused(part, "The name of one is too long to be known as a whole.");
    }
    part
}

fn operations(eye: &Eye<'_>) -> Part<OperationKind> {
    let mut part = nothing();
    // Searches that a policy sees are known by their filters at once, and counted with the next summary.
    let seen = eye.profile.shapes.iter().map(|shape| shape.count as f32).sum::<f32>();
    for kind in OperationKind::ALL.into_iter().filter(|kind| *kind != NEVER_FENCED) {
        let weight =
            eye.profile.operations.weight(kind as usize).max(if kind == OperationKind::Search { seen } else { 0.0 });
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of operations")]
        let known = Known { what: kind, count: weight.round().max(0.0) as u64, first: None, last: None };
        let is_counted = eye.reads_are_counted || ALWAYS_SEEN.contains(&kind);
        if weight >= OPERATIONS || kind == OperationKind::Bind || !is_counted {
            part.allowed.push(known);
        } else if weight >= 0.5 {
            let why =
                format!("Of late it was seen about {} only.", times(u32::try_from(known.count).unwrap_or(u32::MAX)));
            part.left_out.push(LeftOut { known, why });
        }
    }
    part
}

/// An empty part.
fn nothing<T>() -> Part<T> {
    Part { allowed: Vec::new(), left_out: Vec::new(), why_not: None }
}

/// Nothing of it is proposed after all.
fn refused<T>(mut part: Part<T>, why: &str) -> Part<T> {
    let all = part.allowed.drain(..).map(|known| LeftOut { known, why: why.to_owned() });
    part.left_out.extend(all.collect::<Vec<_>>());
    part.why_not = Some(why.to_owned());
    part
}

fn moment(seconds: u32) -> Timestamp {
    Timestamp(u64::from(seconds) * 1_000)
}

fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
