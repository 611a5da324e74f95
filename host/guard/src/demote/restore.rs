//! Putting accounts back into groups.

use portcullis_core::Timestamp;
use portcullis_core::demotion::{Demotion, DemotionState, DemotionStep, GroupError};
use portcullis_core::store::StoreError;
use tracing::{info, warn};

use super::{ANOTHER, Done, NOBODY_WHO_MAY, Worker, is_of};

impl Worker {
    /// Puts the account back, unless another demotion wants it out for longer.
    pub(super) async fn restore(&self, demotion: &Demotion) -> Result<Done, StoreError> {
        let (Some(groups), Some(place)) = (&self.groups, &demotion.membership) else {
            return Ok(Done::Later(NOBODY_WHO_MAY.to_owned()));
        };
        let mut others = self.standing_beside(demotion).await?;
        others.retain(|other| is_of(other, &place.group));
        if others.iter().any(|other| other.state == DemotionState::Leaving) {
            return Ok(Done::Later(ANOTHER.to_owned()));
        }
        let now = self.now();
        // With a note, it is one whose end failed.
        let longer = others.iter().filter(|other| other.note.is_empty() && other.restore_at.is_none_or(|at| at > now));
        let longest = longer.max_by_key(|other| other.restore_at.unwrap_or(Timestamp(u64::MAX)));
        if let Some(other) = longest.filter(|_| demotion.restore_by.is_none()) {
            let (login, until) = (&demotion.wanted.login, self.until(other.restore_at));
            let detail = format!("{login} stays out of {} {until}, because of demotion {}.", place.group, other.number);
            let record = self.note("demotion-prolonged", detail, None);
            return self.step(demotion, DemotionStep::Demoted(other.restore_at), Some(record)).await;
        }
        match groups.join(place, &demotion.wanted.account).await {
            Ok(()) => {
                let why = match &demotion.restore_by {
                    Some(person) => format!("because {person} wants so"),
                    None => "because its time is over".to_owned(),
                };
                let detail = format!("{} was put back into {}, {why}.", demotion.wanted.login, place.group);
                info!(detail, "an account was put back into a group");
                let record = self.note("account-restored", detail, None);
                self.step_from(demotion, DemotionStep::Restored, Some(record)).await?;
                for other in &others {
                    self.step_from(other, DemotionStep::Restored, None).await?;
                }
                Ok(Done::Step)
            }
            Err(GroupError::Unreachable(why)) => Ok(Done::Later(why)),
            Err(error) => {
                self.not_restored(demotion, &error.to_string()).await?;
                Ok(Done::Step)
            }
        }
    }

    /// It stays out until a person sees to it.
    pub(super) async fn not_restored(&self, demotion: &Demotion, why: &str) -> Result<(), StoreError> {
        let group = demotion.membership.as_ref().map_or(&demotion.wanted.group, |place| &place.group);
        let title = format!("The account could not be put back into {group}: {why}");
        let detail = format!("{} could not be put back into {group}: {why}.", demotion.wanted.login);
        warn!(detail, "an account could not be put back into a group");
        let record = self.note("restoration-failed", detail, Some((demotion, title)));
        self.step_from(demotion, DemotionStep::NotRestored(why.to_owned()), Some(record)).await.map(drop)
    }
}
