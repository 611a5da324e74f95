//! What the guard counts, for whoever watches the gateway.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_core::event::{AccessEvent, Decision};
use portcullis_core::policy::ChallengeOutcome;

/// How accesses, challenges and policies ended, since the gateway started.
#[derive(Debug, Default)]
pub struct Counts {
    decisions: [AtomicU64; 4],
    challenges: [AtomicU64; 7],
    policy_faults: AtomicU64,
    not_stored: AtomicU64,
}

impl Counts {
    /// Accesses by what was decided. One whose event could not be stored stands here as it was meant to be.
    #[must_use]
    pub fn decisions(&self) -> [(&'static str, u64); 4] {
        let [allow, block, refused, abandoned] = self.decisions.each_ref().map(|count| count.load(Ordering::Relaxed));
        [("allow", allow), ("block", block), ("refused", refused), ("abandoned", abandoned)]
    }

    /// Challenges by their outcome: one for each access that waited for it. Approvals that were remembered are not counted.
    #[must_use]
    pub fn challenges(&self) -> [(&'static str, u64); 7] {
        let [approved, denied, failed, expired, closed, not_enrolled, unavailable] =
            self.challenges.each_ref().map(|count| count.load(Ordering::Relaxed));
        [
            ("approved", approved),
            ("denied", denied),
            ("failed", failed),
            ("expired", expired),
            ("closed", closed),
            ("not-enrolled", not_enrolled),
            ("unavailable", unavailable),
        ]
    }

    /// Evaluations of policies that gave no ruling.
    #[must_use]
    pub fn policy_faults(&self) -> u64 {
        self.policy_faults.load(Ordering::Relaxed)
    }

    /// Accesses whose event could not be stored.
    #[must_use]
    pub fn not_stored(&self) -> u64 {
        self.not_stored.load(Ordering::Relaxed)
    }

    pub(crate) fn add_not_stored(&self) {
        one(Some(&self.not_stored));
    }

    /// Adds an access that is over.
    pub(crate) fn add(&self, event: &AccessEvent) {
        let place = match event.decision {
            Decision::Allow => 0,
            Decision::Block => 1,
            Decision::Refused => 2,
            Decision::Abandoned => 3,
        };
        one(self.decisions.get(place));
        for challenge in event.challenges.iter().filter(|challenge| !challenge.remembered) {
            let place = match challenge.outcome {
                ChallengeOutcome::Approved => 0,
                ChallengeOutcome::Denied => 1,
                ChallengeOutcome::Failed => 2,
                ChallengeOutcome::Expired => 3,
                ChallengeOutcome::Closed => 4,
                ChallengeOutcome::NotEnrolled => 5,
                ChallengeOutcome::Unavailable => 6,
            };
            one(self.challenges.get(place));
        }
        event.rulings.iter().filter(|ruling| ruling.fault.is_some()).for_each(|_| one(Some(&self.policy_faults)));
    }
}

fn one(count: Option<&AtomicU64>) {
    if let Some(count) = count {
        count.fetch_add(1, Ordering::Relaxed);
    }
}
