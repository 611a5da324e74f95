//! How often a person may be asked. Whoever has the password can make the phone ring by each bind, until the person taps
//! "yes" to have quiet (MITRE ATT&CK T1621).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::challenge::{ChallengeRecord, ChallengeState};
use portcullis_core::policy::ChallengeOutcome;
use portcullis_core::{AccountId, Timestamp};

/// Over how long questions are counted, and how long it stays quiet after refusals.
pub(crate) const WINDOW: Duration = Duration::from_secs(3600);
/// Accounts that are remembered; beyond, those whose window is over are forgotten.
const ACCOUNTS: usize = 50_000;

/// How often an account may be asked, and may answer wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChallengeBudget {
    /// Questions in an hour.
    pub per_hour: u32,
    /// Refusals in a row after which nothing is asked for an hour.
    pub denials_in_a_row: u32,
    /// Wrong codes with which a challenge fails.
    pub wrong_codes: u32,
}

impl Default for ChallengeBudget {
    /// Ten questions in an hour; quiet after two refusals; three wrong codes.
    fn default() -> Self {
        Self { per_hour: 10, denials_in_a_row: 2, wrong_codes: 3 }
    }
}

/// Counts, per account, in memory; a gateway that starts reads from the store what was asked before.
pub(super) struct Fatigue {
    budget: ChallengeBudget,
    accounts: Mutex<HashMap<AccountId, Asked>>,
}

#[derive(Default)]
struct Asked {
    at: VecDeque<Timestamp>,
    denials: u32,
    denied_at: Option<Timestamp>,
}

impl Asked {
    fn forget_old(&mut self, now: Timestamp) {
        self.at.retain(|at| now.since(*at) < WINDOW);
        if self.denied_at.is_some_and(|at| now.since(at) >= WINDOW) {
            (self.denials, self.denied_at) = (0, None);
        }
    }

    fn answered(&mut self, denied: bool, approved: bool, at: Option<Timestamp>) {
        if denied {
            (self.denials, self.denied_at) = (self.denials.saturating_add(1), at);
        } else if approved {
            (self.denials, self.denied_at) = (0, None);
        }
    }

    fn is_forgotten(&self) -> bool {
        self.at.is_empty() && self.denied_at.is_none()
    }
}

impl Fatigue {
    pub(super) fn new(budget: ChallengeBudget) -> Self {
        Self { budget, accounts: Mutex::default() }
    }

    /// Counts what was asked before the gateway was started, the oldest first. What was cancelled is left out: nobody knows
    /// whether it reached the person.
    pub(super) fn recall(&self, before: &[ChallengeRecord], now: Timestamp) {
        let mut accounts = self.accounts();
        for one in before {
            let reached = !matches!(one.state, ChallengeState::Open | ChallengeState::Cancelled);
            if !reached || accounts.len() >= ACCOUNTS {
                continue;
            }
            let asked = accounts.entry(one.account.clone()).or_default();
            asked.at.push_back(one.opened_at);
            asked.answered(one.state == ChallengeState::Denied, one.state == ChallengeState::Approved, one.ended_at);
            asked.forget_old(now);
        }
    }

    /// With so many wrong codes a challenge fails; at least one.
    pub(super) fn wrong_codes(&self) -> u32 {
        self.budget.wrong_codes.max(1)
    }

    /// Takes the right to ask once more, or says why there is none.
    pub(super) fn take(&self, account: &AccountId, now: Timestamp) -> Result<(), String> {
        let mut accounts = self.accounts();
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(account) {
            accounts.retain(|_, asked| {
                asked.forget_old(now);
                !asked.is_forgotten()
            });
            if accounts.len() >= ACCOUNTS {
                return Err("Too many accounts are being asked at the same time.".to_owned());
            }
        }
        let asked = accounts.entry(account.clone()).or_default();
        asked.forget_old(now);
        if asked.denials >= self.budget.denials_in_a_row {
            return Err(format!("The person said no {} times in a row and is left alone for an hour.", asked.denials));
        }
        if asked.at.len() >= usize::try_from(self.budget.per_hour).unwrap_or(usize::MAX) {
            return Err(format!("The person was asked {} times within an hour.", asked.at.len()));
        }
        asked.at.push_back(now);
        Ok(())
    }

    /// How a question ended. One that never reached the person does not count.
    pub(super) fn ended(&self, account: &AccountId, outcome: ChallengeOutcome, was_asked: bool, now: Timestamp) {
        let mut accounts = self.accounts();
        let Some(asked) = accounts.get_mut(account) else { return };
        if !was_asked {
            asked.at.pop_back();
        }
        asked.answered(outcome == ChallengeOutcome::Denied, outcome == ChallengeOutcome::Approved, Some(now));
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Asked>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fatigue() -> (Fatigue, AccountId, Timestamp) {
        let budget = ChallengeBudget { per_hour: 3, denials_in_a_row: 2, ..ChallengeBudget::default() };
        (Fatigue::new(budget), AccountId::new("alice"), Timestamp(1_000_000))
    }

    #[test]
    fn so_many_questions_in_an_hour_and_not_one_more() {
        let (fatigue, alice, now) = fatigue();
        for _ in 0..3 {
            assert!(fatigue.take(&alice, now).is_ok());
        }
        assert!(fatigue.take(&alice, now.plus(WINDOW - SECOND)).is_err());
        assert!(fatigue.take(&AccountId::new("bob"), now).is_ok(), "others have their own");
        assert!(fatigue.take(&alice, now.plus(WINDOW)).is_ok());
    }

    #[test]
    fn what_never_reached_the_person_does_not_count() {
        let (fatigue, alice, now) = fatigue();
        for _ in 0..10 {
            assert!(fatigue.take(&alice, now).is_ok());
            fatigue.ended(&alice, ChallengeOutcome::NotEnrolled, false, now);
        }
    }

    #[test]
    fn two_refusals_in_a_row_are_enough_and_a_yes_between_them_is_not() {
        let (fatigue, alice, now) = fatigue();
        for outcome in [ChallengeOutcome::Denied, ChallengeOutcome::Approved] {
            assert!(fatigue.take(&alice, now).is_ok());
            fatigue.ended(&alice, outcome, true, now);
        }
        let now = now.plus(WINDOW);
        for _ in 0..2 {
            assert!(fatigue.take(&alice, now).is_ok());
            fatigue.ended(&alice, ChallengeOutcome::Denied, true, now);
        }
        assert!(fatigue.take(&alice, now.plus(WINDOW - SECOND)).is_err());
        assert!(fatigue.take(&alice, now.plus(WINDOW)).is_ok());
    }
}
