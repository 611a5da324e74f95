//! What administrators can ask of the list, through the console or on the command line.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use portcullis_core::Clock as _;
use portcullis_core::policies::{BacktestOf, BacktestState, CheckedDraft, PoliciesInForce, PolicyDesk, PolicyError};
use portcullis_core::revision::{
    LastChange, ListedPolicy, PolicyChange, PolicyDraft, PolicyStore as _, Revision, difference,
};

use super::book::Shown;
use super::{Basis, Book};
use crate::events::administration;
use crate::system::System;

#[async_trait]
impl PolicyDesk for Book {
    async fn in_force(&self) -> Result<PoliciesInForce, PolicyError> {
        let (revision, Shown { problems, refused, .. }) = self.current().await?;
        let (since, doings) = self.guard().map_or_else(|| (System.now(), Default::default()), |guard| guard.doings());
        Ok(PoliciesInForce { revision, refused, problems, doings, doings_since: since })
    }

    async fn draft(&self) -> Result<(u64, Option<CheckedDraft>), PolicyError> {
        let (version, draft) = self.store.draft().await?;
        let checked = match draft {
            None => None,
            Some(draft) => Some(self.checked(draft).await?),
        };
        Ok((version, checked))
    }

    async fn save(
        &self,
        person: &str,
        version: u64,
        newest: Option<u64>,
        mut policies: Vec<ListedPolicy>,
    ) -> Result<CheckedDraft, PolicyError> {
        let (latest, before) = self.store.draft().await?;
        let base = self.store.newest_revision().await?;
        if latest != version || newest.is_some_and(|seen| seen != base) {
            return Err(PolicyError::Conflict);
        }
        // Which component it is will be found out, and is nobody's to say.
        let (in_force, _) = self.current().await?;
        policies.iter_mut().for_each(|policy| policy.component = known_component(&in_force.policies, policy));
        let saved = LastChange { actor: person.to_owned(), at: System.now() };
        let next = PolicyDraft::next(version, before.as_ref(), &in_force, policies, saved);
        let draft = PolicyDraft { based_on: base, ..next };
        let detail = format!("Saved draft {} of the policies.", draft.version);
        let event = administration(draft.saved.at, person, "policy-draft-saved", detail);
        if !self.store.put_draft(draft.clone(), event).await? {
            return Err(PolicyError::Conflict);
        }
        self.checked(draft).await
    }

    async fn drop_draft(&self, person: &str, version: u64) -> Result<(), PolicyError> {
        let detail = format!("Dropped draft {version} of the policies.");
        let event = administration(System.now(), person, "policy-draft-dropped", detail);
        if self.store.drop_draft(version, event).await? {
            return Ok(());
        }
        let (_, draft) = self.store.draft().await?;
        Err(if draft.is_some() { PolicyError::Conflict } else { PolicyError::NoDraft })
    }

    async fn apply(&self, person: &str, version: u64, comment: &str) -> Result<Revision, PolicyError> {
        let draft = self.store.draft().await?.1.ok_or(PolicyError::NoDraft)?;
        if draft.version != version {
            return Err(PolicyError::Conflict);
        }
        let basis = Basis { revision: Some(draft.based_on), draft: Some(draft.version) };
        self.put_into_force(person, comment, draft.policies, basis).await
    }

    async fn revert(&self, person: &str, number: u64) -> Result<Revision, PolicyError> {
        let old = self.store.revision(number).await?.ok_or(PolicyError::NoRevision(number))?;
        let comment = format!("Back to revision {number}.");
        self.put_into_force(person, &comment, old.policies, Basis::default()).await
    }

    async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, PolicyError> {
        Ok(self.store.revisions(before, limit).await?)
    }

    async fn revision(&self, number: u64) -> Result<(Revision, Vec<PolicyChange>), PolicyError> {
        let revision = self.store.revision(number).await?.ok_or(PolicyError::NoRevision(number))?;
        let before = self.store.revision(number.saturating_sub(1)).await?.map(|before| before.policies);
        let changes = difference(&before.unwrap_or_default(), &revision.policies);
        Ok((revision, changes))
    }

    async fn start_backtest(&self, of: BacktestOf, days: u32) -> Result<(), PolicyError> {
        self.start(of, days).await
    }

    fn backtest(&self) -> BacktestState {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = running.state.clone();
        if let Some(progress) = &running.progress {
            state.done = progress.done.load(Ordering::Relaxed);
            state.total = progress.total.load(Ordering::Relaxed);
        }
        state
    }

    fn cancel_backtest(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = &running.progress {
            progress.cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl Book {
    /// The revision in force, and what there is to say of it.
    async fn current(&self) -> Result<(Revision, Shown), PolicyError> {
        let shown = self.shown();
        let revision = match shown.number {
            0 => self.newest().await?,
            number => self.store.revision(number).await?.ok_or(PolicyError::NoRevision(number))?,
        };
        Ok((revision, shown))
    }

    /// Looks at a draft.
    pub(super) async fn checked(&self, draft: PolicyDraft) -> Result<CheckedDraft, PolicyError> {
        let mut state = self.lock().await;
        let loaded = self.load(&mut state, draft.policies.clone()).await?;
        drop(state);
        let (in_force, _) = self.current().await?;
        Ok(CheckedDraft {
            problems: loaded.all_problems(),
            difference: difference(&in_force.policies, &loaded.list),
            draft,
        })
    }
}

/// The component of the policy in force that is otherwise loaded from the same file.
fn known_component(in_force: &[ListedPolicy], policy: &ListedPolicy) -> Option<String> {
    let same = |other: &&ListedPolicy| other.name == policy.name && other.plugin == policy.plugin;
    in_force.iter().find(same).and_then(|other| other.component.clone())
}
