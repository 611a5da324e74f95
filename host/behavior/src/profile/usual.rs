//! What is usual for an account, for those who want to read it.

use portcullis_core::AccountKind;
use serde::Serialize;

use super::AccountProfile;
use super::window::Habit;

/// What is usual for an account. Moments are seconds since 1970; hours weigh half a month later.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Usual<'a> {
    pub login: &'a str,
    pub kind: AccountKind,
    pub logins: u64,
    pub first: u32,
    pub last: u32,
    pub endpoints: Vec<UsualThing>,
    pub applications: Vec<UsualThing>,
    pub hours: Vec<f32>,
}

/// A machine or an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UsualThing {
    pub name: String,
    pub count: u32,
    pub first: u32,
    pub last: u32,
}

impl UsualThing {
    fn of<K>(name: String, habit: &Habit<K>) -> Self {
        Self { name, count: habit.count, first: habit.first, last: habit.last }
    }
}

impl AccountProfile {
    /// What is usual for it, for those who want to read it.
    #[must_use]
    pub fn usual(&self) -> Usual<'_> {
        let endpoints = self.endpoints.iter().map(|habit| UsualThing::of(habit.what.to_string(), habit));
        let applications = self.applications.iter().map(|habit| UsualThing::of(habit.what.clone(), habit));
        let sorted = |mut things: Vec<UsualThing>| {
            things.sort_by(|one, other| (other.count, &one.name).cmp(&(one.count, &other.name)));
            things
        };
        Usual {
            login: &self.login,
            kind: self.kind(),
            logins: self.logins,
            first: self.first,
            last: self.last,
            endpoints: sorted(endpoints.collect()),
            applications: sorted(applications.collect()),
            hours: (0..24).map(|hour| self.hours.weight(hour)).collect(),
        }
    }
}
