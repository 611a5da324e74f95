//! Risks and account kinds for people.

use std::sync::PoisonError;

use async_trait::async_trait;
use portcullis_behavior::kind;
use portcullis_behavior::memory::{KnownRisk, stored_risk};
use portcullis_behavior::profile::{AccountProfile, Profile as _};
use portcullis_core::event::{AdministrationEvent, Event, Record};
use portcullis_core::profile::{DecidedKind, StoredProfile, Subject, SubjectKind};
use portcullis_core::risk::{KindProposal, RiskChange, RiskDesk, RiskError, RiskReport};
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, AccountKind};
use tracing::warn;

use crate::Guard;

/// Profiles that are read at a time, and pages of them at most, in search of the riskiest, and of accounts that seem to be
/// something else.
const PAGE: u32 = 512;
const MOST_PAGES: usize = 400;

#[async_trait]
impl RiskDesk for Guard {
    async fn riskiest(&self, kind: SubjectKind, limit: u32) -> Result<Vec<RiskReport>, StoreError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut found, mut after) = (Vec::new(), None::<(u8, String)>);
        for _ in 0..MOST_PAGES {
            let behind = after.as_ref().map(|(risk, key)| (*risk, key.as_str()));
            let page = self.rooms.profiles.riskiest(kind, behind, PAGE).await?;
            let Some(last) = page.last() else { break };
            let least = last.risk;
            after = Some((least, last.subject.key()));
            self.add_live(page, &mut found).await;
            found.sort_by(|one, other| (other.score, &one.name).cmp(&(one.score, &other.name)));
            found.truncate(most);
            // What was written was more than what is left of it, so nobody behind is riskier than that.
            if found.len() >= most && found.last().is_none_or(|report| report.score >= least) {
                break;
            }
        }
        Ok(found)
    }

    async fn risk(&self, subject: &Subject) -> Result<Option<RiskReport>, StoreError> {
        let (now, settings) = (self.now(), &self.options.behavior);
        if let Some(known) = self.mind.inner().memory.risk(subject, now, settings) {
            return Ok(Some(report(subject.clone(), known)));
        }
        let stored = self.rooms.profiles.profiles(std::slice::from_ref(subject)).await?.pop();
        let known = stored.and_then(|profile| stored_risk(subject, &profile.value, now, settings));
        Ok(known.map(|known| report(subject.clone(), known)))
    }

    async fn change(&self, subject: &Subject, person: &str, change: RiskChange) -> Result<RiskReport, RiskError> {
        if self.mind.inner().memory.lacks(subject) {
            // Only of whom something is known.
            if self.rooms.profiles.profiles(std::slice::from_ref(subject)).await?.is_empty() {
                return Err(RiskError::NotFound);
            }
            self.load(vec![subject.clone()]).await?;
        }
        let (now, settings) = (self.now(), &self.options.behavior);
        let known = self.mind.inner().memory.risk(subject, now, settings).ok_or(RiskError::NotFound)?;
        let before = report(subject.clone(), known);
        let whose = format!("{} {}", subject.kind().as_str(), before.name);
        let (action, detail) = match &change {
            RiskChange::PutOut { name } => {
                if !before.factors.iter().any(|factor| factor.name == *name) {
                    return Err(RiskError::NotFound);
                }
                ("risk-put-out", format!("{name} of {whose} counts no more."))
            }
            RiskChange::Add { name, weight, reason } => {
                ("risk-added", format!("{name} of {whose} weighs {weight}: {reason}"))
            }
        };
        // On record first: what is not does not count.
        self.rooms.events.append(self.administration(person, action, detail)).await?;
        if self.mind.inner().memory.lacks(subject) {
            self.load(vec![subject.clone()]).await?;
        }
        let known = {
            let mut inner = self.mind.inner();
            inner.memory.change_risk(subject, person, &change, now, settings);
            inner.memory.risk(subject, now, settings).ok_or(RiskError::NotFound)?
        };
        self.write_profiles().await?;
        Ok(report(subject.clone(), known))
    }

    async fn proposed_kinds(&self, limit: u32) -> Result<Vec<KindProposal>, StoreError> {
        let (mut proposals, mut after) = (Vec::new(), None::<String>);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        for number in 0..=MOST_PAGES {
            if number == MOST_PAGES {
                warn!(
                    accounts = MOST_PAGES * PAGE as usize,
                    "there are more accounts, which were not looked at for what they seem to be"
                );
                break;
            }
            let page = self.rooms.profiles.profiles_after(SubjectKind::Account, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subject.key());
            for stored in page {
                let Subject::Account(account) = stored.subject else { continue };
                if self.mind.decided_kind(&account).is_some() {
                    continue;
                }
                let Some(profile) = AccountProfile::decode(&stored.value) else { continue };
                if let Some((kind, reasons)) = kind::propose(&profile, profile.kind(), self.now()) {
                    proposals.push(KindProposal { account, login: profile.login().to_owned(), kind, reasons });
                }
            }
            if proposals.len() >= most {
                break;
            }
            tokio::task::yield_now().await;
        }
        proposals.truncate(most);
        Ok(proposals)
    }

    async fn decide_kind(&self, account: &AccountId, person: &str, kind: Option<AccountKind>) -> Result<(), RiskError> {
        let stored = self.rooms.profiles.profiles(&[Subject::Account(account.clone())]).await?.pop();
        let in_memory = !self.mind.inner().memory.lacks(&Subject::Account(account.clone()));
        if stored.is_none() && !in_memory {
            return Err(RiskError::NotFound);
        }
        let profile = stored.and_then(|stored| AccountProfile::decode(&stored.value));
        let login = profile.map_or_else(|| account.to_string(), |profile| profile.login().to_owned());
        let detail = match kind {
            Some(AccountKind::Service) => format!("{login} ({account}) is a service account."),
            Some(_) => format!("{login} ({account}) is a person's account."),
            None => format!("{login} ({account}) is what the directory says."),
        };
        let at = self.now();
        let decision = kind.map(|kind| DecidedKind {
            account: account.clone(),
            login,
            kind: if kind == AccountKind::Service { kind } else { AccountKind::Human },
            person: person.to_owned(),
            at,
        });
        let _deciding = self.mind.deciding.lock().await;
        let decided = decision.as_ref().map(|decision| decision.kind);
        let event = self.administration(person, "account-kind", detail).event;
        self.rooms.profiles.decide_kind(account, decision, event).await?;
        let mut kinds = self.mind.kinds.write().unwrap_or_else(PoisonError::into_inner);
        match decided {
            Some(kind) => drop(kinds.insert(account.clone(), kind)),
            None => drop(kinds.remove(account)),
        }
        Ok(())
    }
}

impl Guard {
    /// Adds what is left of the risks of stored profiles, and stores that of those that have lost half: they are not read in
    /// vain again.
    async fn add_live(&self, stored: Vec<StoredProfile>, found: &mut Vec<RiskReport>) {
        let (now, settings) = (self.now(), &self.options.behavior);
        let mut decayed = Vec::new();
        for profile in stored {
            let in_memory = self.mind.inner().memory.risk(&profile.subject, now, settings);
            let known = in_memory.or_else(|| stored_risk(&profile.subject, &profile.value, now, settings));
            let risk = known.as_ref().map_or(0, |known| known.score);
            let subject = profile.subject.clone();
            if risk <= profile.risk / 2 {
                decayed.push(StoredProfile { risk, value: Vec::new(), ..profile });
            }
            found.extend(known.filter(|_| risk > 0).map(|known| report(subject, known)));
        }
        if !decayed.is_empty()
            && let Err(error) = self.rooms.profiles.put_risks(decayed).await
        {
            warn!(%error, "what is left of risks cannot be stored");
        }
    }

    fn administration(&self, person: &str, action: &str, detail: String) -> Record {
        let at = self.now();
        let event = Event::Administration(AdministrationEvent {
            id: self.rooms.ids.event_id(at),
            at,
            actor: person.to_owned(),
            action: action.to_owned(),
            detail,
        });
        Record { event, learned: None, incidents: Vec::new() }
    }
}

fn report(subject: Subject, known: KnownRisk) -> RiskReport {
    let name = known.name.unwrap_or_else(|| subject.key());
    RiskReport { subject, name, score: known.score, factors: known.factors }
}
