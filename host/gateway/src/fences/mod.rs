//! Fences of service accounts: proposed from what is stored of them, and put into the list of policies by a person's word.

mod command;
mod rule;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_behavior::fence;
use portcullis_behavior::profile::{AccountProfile, Profile as _};
use portcullis_core::fence::{Acceptance, AcceptedFence, FenceDesk, FenceError, FenceProposal, Fences};
use portcullis_core::policies::PolicyError;
use portcullis_core::profile::{ProfileStore as _, StoredProfile, Subject, SubjectKind};
use portcullis_core::revision::Revision;
use portcullis_core::store::StoreError;
use portcullis_core::summary::Audit;
use portcullis_core::{AccountId, AccountKind, Clock as _};
use portcullis_store::Store;
use sha2::{Digest as _, Sha256};

use crate::assemble;
use crate::config::Config;
use crate::out::hex;
use crate::policies::{Basis, Book};
use crate::system::System;

pub(crate) use command::{Fence, run};

/// Profiles that are read at a time, and how often at most, in search of service accounts.
const PAGE: u32 = 512;
const MOST_PAGES: usize = 400;

/// See [`FenceDesk`]. It reads what was learned from the store, where it is some seconds late, so that the command line sees what
/// the console does.
pub(crate) struct FenceBook {
    store: Store,
    book: Arc<Book>,
    settings: portcullis_behavior::Settings,
    reads_are_counted: bool,
}

impl FenceBook {
    pub(crate) fn new(store: Store, book: Arc<Book>, config: &Config) -> Self {
        let settings = assemble::behavior_settings(config);
        Self { store, book, settings, reads_are_counted: config.events.audit != Audit::Off }
    }

    /// What people have said of accounts.
    async fn kinds(&self) -> Result<HashMap<AccountId, AccountKind>, StoreError> {
        let decided = self.store.decided_kinds().await?;
        Ok(decided.into_iter().map(|decided| (decided.account, decided.kind)).collect())
    }

    fn proposal(
        &self,
        stored: StoredProfile,
        kinds: &HashMap<AccountId, AccountKind>,
        in_force: &Revision,
    ) -> Option<FenceProposal> {
        let Subject::Account(account) = stored.subject else { return None };
        let profile = AccountProfile::decode(&stored.value)?;
        let kind = kinds.get(&account).copied().unwrap_or_else(|| profile.kind());
        if kind != AccountKind::Service {
            return None;
        }
        let login = profile.name().map_or_else(|| account.to_string(), str::to_owned);
        let fence = fence::propose(&profile, &self.settings, self.reads_are_counted, System.now());
        let rule = fence.as_ref().ok().and_then(|fence| rule::rule(&account, &login, fence));
        let seal = rule.as_ref().map(|rule| hex(&Sha256::digest(rule.to_string()))).unwrap_or_default();
        let accepted = rule::accepted(&in_force.policies, &account).map(|(policy, known)| AcceptedFence {
            policy: policy.name.clone(),
            mode: policy.mode,
            is_same: rule.as_ref() == Some(known),
        });
        Some(FenceProposal { account, login, fence, rule, seal, accepted })
    }
}

#[async_trait]
impl FenceDesk for FenceBook {
    async fn fences(&self, limit: u32) -> Result<Fences, FenceError> {
        let (kinds, in_force) = (self.kinds().await?, self.book.newest().await?);
        let (mut proposals, mut after) = (Vec::new(), None::<String>);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        for _ in 0..MOST_PAGES {
            let page = self.store.profiles_after(SubjectKind::Account, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subject.key());
            proposals.extend(page.into_iter().filter_map(|stored| self.proposal(stored, &kinds, &in_force)));
            if proposals.len() >= most {
                break;
            }
            tokio::task::yield_now().await;
        }
        proposals.truncate(most);
        proposals.sort_by(|one, other| (&one.login, &one.account).cmp(&(&other.login, &other.account)));
        Ok(Fences { revision: in_force.number, proposals })
    }

    async fn fence(&self, account: &AccountId) -> Result<FenceProposal, FenceError> {
        let (kinds, in_force) = (self.kinds().await?, self.book.newest().await?);
        let stored = self.store.profiles(&[Subject::Account(account.clone())]).await?.pop();
        stored.and_then(|stored| self.proposal(stored, &kinds, &in_force)).ok_or(FenceError::NotFound)
    }

    async fn accept_fence(
        &self,
        person: &str,
        account: &AccountId,
        acceptance: Acceptance,
    ) -> Result<Revision, FenceError> {
        let in_force = self.book.newest().await?;
        if acceptance.revision.is_some_and(|seen| seen != in_force.number) {
            return Err(PolicyError::Conflict.into());
        }
        let proposal = self.fence(account).await?;
        let Some(rule) = proposal.rule else {
            let why = proposal.fence.err().unwrap_or_else(|| "everything that it may ask is usual".to_owned());
            return Err(FenceError::Nothing(why));
        };
        if acceptance.seal.is_some_and(|seen| seen != proposal.seal) {
            return Err(FenceError::Changed);
        }
        let list = rule::with_rule(in_force.policies, account, rule, acceptance.mode).map_err(FenceError::List)?;
        let mode = portcullis_core::policies::mode_name(acceptance.mode);
        let comment = format!("Fence of {} ({account}) accepted, mode {mode}.", proposal.login);
        let basis = Basis { revision: Some(in_force.number), draft: None };
        Ok(self.book.put_into_force(person, &comment, list, basis).await?)
    }
}
