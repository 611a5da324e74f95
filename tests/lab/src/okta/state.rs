//! Everything the simulator remembers, behind one lock that is never held across a wait.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::answer::Answer;
use super::fault::Faults;
use super::journal::Journal;
use super::limits::Limits;
use super::oauth::Tokens;
use super::people::{User, enrol};
use super::push::{NumberChallenge, Outcome, Pending, Push};
use super::system_log::SystemLog;
use super::{Cast, OktaOptions, TokenRights};
use crate::company::Company;

/// Older pushes than this many are forgotten.
const KEPT_PUSHES: usize = 10_000;

/// The state and what never changes beside it.
pub(super) struct Shared {
    /// The URL that all links start with, without a slash at the end.
    pub(super) base_url: String,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) users: Vec<User>,
    pub(super) cast: Cast,
    pub(super) pushes: Vec<Push>,
    pub(super) token: Option<String>,
    pub(super) rights: TokenRights,
    pub(super) tokens: Tokens,
    /// Roles of the token's owner; none when it may not read them.
    pub(super) owner_roles: Vec<String>,
    pub(super) limits: Limits,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) log: SystemLog,
    /// Ids of users who are not assigned to the application.
    pub(super) unassigned: BTreeSet<String>,
    push_lifetime: Duration,
    dice: u64,
}

impl Shared {
    pub(super) fn new(base_url: String, company: &Company, options: &OktaOptions) -> Self {
        let (users, cast) = enrol(company);
        let state = State {
            users,
            cast,
            pushes: Vec::new(),
            token: Some(options.token.clone()),
            rights: TokenRights::Full,
            tokens: Tokens::default(),
            owner_roles: Vec::new(),
            limits: Limits::new(options.rate_limit, options.rate_window),
            faults: Faults::default(),
            journal: Journal::default(),
            log: SystemLog::default(),
            unassigned: BTreeSet::new(),
            push_lifetime: options.push_lifetime,
            dice: 1,
        };
        Self { base_url, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A user by id, login or short name.
    pub(super) fn user(&self, name: &str) -> Option<usize> {
        self.users.iter().position(|user| user.is_named(name))
    }

    /// The user for a method of the control interface.
    pub(super) fn known_user(&mut self, name: &str) -> anyhow::Result<&mut User> {
        let at = self.user(name);
        let user = at.and_then(|at| self.users.get_mut(at));
        user.ok_or_else(|| anyhow::anyhow!("the simulated organization has no user {name:?}"))
    }

    /// Sends a push to a phone. Gives its place.
    pub(super) fn start_push(&mut self, user_at: usize, factor_at: usize, number_asked: bool, agent: &str) -> usize {
        if self.pushes.len() >= KEPT_PUSHES {
            self.pushes.remove(0);
        }
        let link = self.next_id("mst");
        let number = u8::try_from(self.roll() % 89).unwrap_or(0) + 10;
        let lifetime = self.push_lifetime;
        let expires_at = Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
        if let Some(user) = self.users.get_mut(user_at)
            && let Some(factor) = user.factors.get(factor_at)
        {
            user.pushes += 1;
            let (shown, number_from_poll) = match user.number_challenge {
                NumberChallenge::OnRequest => (number_asked, 0),
                NumberChallenge::InPoll(poll) => (true, poll.max(1)),
                NumberChallenge::Never => (false, 0),
            };
            self.pushes.push(Push {
                user: user_at,
                factor_id: factor.id.clone(),
                login: user.login.clone(),
                device: factor.device.clone(),
                asked_by: agent.to_owned(),
                link,
                started: Instant::now(),
                lifetime,
                expires_at,
                behaviour: user.behaviour,
                outcome: None,
                number: shown.then_some(number),
                number_from_poll,
                polls: 0,
            });
        }
        self.pushes.len().saturating_sub(1)
    }

    /// Tries a code, or sends one.
    pub(super) fn verify_code(&mut self, user_at: usize, factor_at: usize, body: &serde_json::Value) -> Answer {
        let fresh = format!("{:06}", self.roll() % 1_000_000);
        let Some(user) = self.users.get_mut(user_at) else { return Answer::not_found("", "User") };
        let phone = user.phone();
        let Some(factor) = user.factors.get(factor_at) else { return Answer::not_found("", "UserFactor") };
        user.codes.verify(factor, &phone, body, fresh)
    }

    /// Ends the open pushes of a user; gives how many there were.
    pub(super) fn decide(&mut self, name: &str, outcome: Outcome) -> anyhow::Result<usize> {
        self.decide_by(name, |_| outcome)
    }

    /// As [`State::decide`], with an outcome for each push.
    pub(super) fn decide_by(&mut self, name: &str, outcome: impl Fn(&Push) -> Outcome) -> anyhow::Result<usize> {
        self.known_user(name)?;
        let user = self.user(name);
        let now = Instant::now();
        let mut count = 0;
        for push in self.pushes.iter_mut().filter(|push| Some(push.user) == user) {
            push.settle(now);
            if push.outcome.is_none() {
                push.outcome = Some(outcome(push));
                count += 1;
            }
        }
        Ok(count)
    }

    /// The pushes that are open now.
    pub(super) fn pending(&mut self) -> Vec<Pending> {
        let now = Instant::now();
        self.pushes.iter_mut().for_each(|push| push.settle(now));
        self.pushes.iter().filter(|push| push.outcome.is_none()).map(|push| push.pending(now)).collect()
    }

    /// Sign-ins of all users in turn, a second apart, the last of them now.
    pub(super) fn sign_ins(&self, first: usize, count: usize) -> Vec<serde_json::Value> {
        let now = Timestamp::now().as_millisecond();
        let event = |nth: usize| {
            let number = first.saturating_add(nth);
            let user = self.users.get(number % self.users.len().max(1));
            let names = user.map_or(("unknown", "unknown"), |user| (user.id.as_str(), user.login.as_str()));
            let ago = i64::try_from(count.saturating_sub(nth.saturating_add(1))).unwrap_or(0).saturating_mul(1_000);
            let at = Timestamp::from_millisecond(now.saturating_sub(ago)).unwrap_or_default();
            super::system_log::sign_in(number, names, at)
        };
        (0..count).map(event).collect()
    }

    /// A new id in the manner of Okta's. Ids only have to differ from each other here, and the same run gives the
    /// same ids.
    pub(super) fn next_id(&mut self, prefix: &str) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut rest = u128::from(self.roll()) << 64 | u128::from(self.roll());
        let mut id = String::from(prefix);
        for _ in 0..17 {
            let at = usize::try_from(rest % 62).unwrap_or(0);
            id.push(LETTERS.get(at).copied().map_or('A', char::from));
            rest /= 62;
        }
        id
    }

    /// SplitMix64: a stream of well mixed numbers from a counter.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
