//! Whose the account is that an event names.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use portcullis_core::cloud::{CloudMatch, CloudTwin, MatchedBy};
use portcullis_core::directory::DirectoryAccount;
use portcullis_core::source::{CloudAccount, ForeignEvent};
use portcullis_core::{Account, AccountFacts, AccountId, AccountKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::poll::Trouble;
use super::{Cloud, Reader, matching};

/// How long it is remembered what the directory said of an account.
const FRESH: Duration = Duration::from_secs(60);
/// Accounts that are remembered; then it begins anew.
const MOST: usize = 20_000;
/// Look-ups at the same time.
const AT_ONCE: usize = 16;

/// Whose an event is.
#[derive(Clone, Default)]
pub(super) struct Whose {
    /// None for an event that names nobody.
    pub(super) account: Option<Account>,
    pub(super) facts: Arc<AccountFacts>,
}

#[derive(Default)]
pub(super) struct Remembered {
    generation: u64,
    known: HashMap<String, (Instant, Whose)>,
}

impl Reader {
    /// For each account that the events name, by its id at the service.
    pub(super) async fn whose_all(
        self: &Arc<Self>,
        cloud: &Cloud,
        events: &[ForeignEvent],
    ) -> Result<HashMap<String, Whose>, Trouble> {
        let (mut all, mut missing) = (HashMap::new(), BTreeMap::new());
        let now = cloud.guard.rooms.clock.now();
        {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            let generation = cloud.guard.twins.generation();
            if remembered.generation != generation || remembered.known.len() > MOST {
                *remembered = Remembered { generation, known: HashMap::new() };
            }
            for event in events {
                let Some(id) = event.identities.first().filter(|id| !all.contains_key(*id)) else { continue };
                let recent = now.since(event.at) <= self.source.options.act_within;
                match remembered.known.get(id).filter(|(at, _)| at.elapsed() < FRESH) {
                    Some((_, whose)) => drop(all.insert(id.clone(), whose.clone())),
                    None => {
                        let entry = missing.entry(id.clone()).or_insert((event.identities.clone(), recent));
                        entry.1 |= recent;
                    }
                }
            }
        }
        let mut tasks = JoinSet::new();
        let mut waiting = missing.into_iter();
        loop {
            while tasks.len() < AT_ONCE
                && let Some((id, (identities, recent))) = waiting.next()
            {
                let (reader, guard, store) = (Arc::clone(self), Arc::clone(&cloud.guard), Arc::clone(&cloud.store));
                tasks.spawn(async move {
                    let whose = reader.whose(&guard, store.as_ref(), &identities, recent).await;
                    (id, whose)
                });
            }
            let Some(done) = tasks.join_next().await else { break };
            let (id, whose) = done.map_err(Trouble::of)?;
            let whose = whose?;
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.known.insert(id.clone(), (Instant::now(), whose.clone()));
            all.insert(id, whose);
        }
        Ok(all)
    }

    /// The directory has to answer: what policies say of groups would not hold otherwise.
    async fn whose(
        &self,
        guard: &crate::Guard,
        store: &dyn super::CloudStore,
        identities: &[String],
        recent: bool,
    ) -> Result<Whose, Trouble> {
        let Some(id) = identities.first() else { return Ok(Whose::default()) };
        let known = guard.twins.get(&self.source.name, id);
        if recent && known.as_ref().is_none_or(|twin| twin.asked_at.is_none()) {
            self.put_down(id, identities);
        }
        if let Some(twin) = &known
            && let Some(found) = twin.belongs_to()
            && let Some(theirs) = guard.rooms.directory.find(&found.name).await.map_err(Trouble::of)?
            && theirs.account.id == found.account
            // Names change, and with them whose it is.
            && (twin.decided.is_some() || self.matched_by(&theirs, &twin.account) == Some(found.by))
        {
            return Ok(Self::of_directory(guard, theirs));
        }
        let twin = match known {
            Some(twin) if twin.decided.is_some() => twin,
            known => {
                let account = known.as_ref().map_or_else(|| named(id, identities), |twin| twin.account.clone());
                let candidates = self.candidates(guard, &account).await?;
                let twin = self.twin(known, account, &candidates);
                if guard.twins.get(&self.source.name, id).as_ref() != Some(&twin) {
                    store.put_cloud_account(&twin).await.map_err(Trouble::of)?;
                    guard.twins.put(twin.clone());
                }
                if let Some(found) = twin.belongs_to()
                    && let Some(theirs) = candidates.into_iter().find(|theirs| theirs.account.id == found.account)
                {
                    return Ok(Self::of_directory(guard, theirs));
                }
                twin
            }
        };
        Ok(Whose { account: Some(self.of_cloud(&twin)), facts: Arc::default() })
    }

    fn of_directory(guard: &crate::Guard, theirs: DirectoryAccount) -> Whose {
        let DirectoryAccount { mut account, facts } = theirs;
        let now = guard.rooms.clock.now();
        // It has just done something there.
        let found = DirectoryAccount { account: account.clone(), facts: Arc::clone(&facts) };
        account.cloud_enabled = guard.twins.enabled(&found, now).or(Some(true));
        Whose { account: Some(account), facts }
    }

    /// A cloud account that is nobody's in the directory is an account of its own.
    fn of_cloud(&self, twin: &CloudTwin) -> Account {
        let cloud = &twin.account;
        Account {
            id: AccountId::new(format!("{}:{}", self.source.name, cloud.id)),
            login: cloud.login.clone(),
            dn: None,
            mail: cloud.mail.clone(),
            kind: AccountKind::Unknown,
            privileged: false,
            cloud_enabled: Some(twin.asked_at.is_none() || cloud.enabled),
            risk: 0,
        }
    }

    /// Directory accounts that a cloud account may belong to.
    pub(super) async fn candidates(
        &self,
        guard: &crate::Guard,
        cloud: &CloudAccount,
    ) -> Result<Vec<DirectoryAccount>, Trouble> {
        let directory = &guard.rooms.directory;
        let mut found: Vec<DirectoryAccount> = Vec::new();
        if let Some(attribute) = &self.source.options.match_attribute {
            let theirs = cloud.attributes.iter().filter(|known| known.name.eq_ignore_ascii_case(&attribute.cloud));
            for value in theirs.flat_map(|known| &known.values) {
                found.extend(directory.with_value(&attribute.directory, value).await.map_err(Trouble::of)?);
            }
        }
        let mails = [Some(&cloud.login), cloud.mail.as_ref()];
        for mail in mails.into_iter().flatten().filter(|mail| mail.contains('@')) {
            found.extend(directory.with_value("mail", mail).await.map_err(Trouble::of)?);
        }
        found.extend(directory.find(&cloud.login).await.map_err(Trouble::of)?);
        if let Some((short, _)) = cloud.login.split_once('@') {
            found.extend(directory.find(short).await.map_err(Trouble::of)?);
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|theirs| seen.insert(theirs.account.id.clone()));
        Ok(found)
    }

    /// What is known of a cloud account now. The candidates are all that any of its names finds.
    pub(super) fn twin(
        &self,
        before: Option<CloudTwin>,
        account: CloudAccount,
        candidates: &[DirectoryAccount],
    ) -> CloudTwin {
        let (asked_at, decided) = before.map_or((None, None), |twin| (twin.asked_at, twin.decided));
        let found =
            candidates.iter().filter_map(|theirs| Some(matching::matched(theirs, self.matched_by(theirs, &account)?)));
        let mut matches: Vec<_> = found.collect();
        matches.sort_by(|one: &CloudMatch, other| one.account.cmp(&other.account));
        CloudTwin { source: self.source.name.clone(), account, asked_at, matches, decided }
    }

    fn matched_by(&self, theirs: &DirectoryAccount, account: &CloudAccount) -> Option<MatchedBy> {
        matching::by(theirs, account, self.source.options.match_attribute.as_ref())
    }

    pub(super) fn put_down(&self, id: &str, identities: &[String]) {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).add(id, identities);
    }
}

/// An account of which only events have told.
fn named(id: &str, identities: &[String]) -> CloudAccount {
    let names = identities.get(1..).unwrap_or_default();
    CloudAccount {
        id: id.to_owned(),
        login: names.first().map_or(id, String::as_str).to_owned(),
        mail: names.iter().find(|name| name.contains('@')).cloned(),
        status: String::new(),
        enabled: true,
        applications: Vec::new(),
        factors: Vec::new(),
        attributes: Vec::new(),
    }
}
