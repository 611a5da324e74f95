//! The rooms around the guard: a directory, a clock, a phone and a cloud service that are made up, and a real store.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portcullis_core::cloud::*;
use portcullis_core::directory::{Directory, DirectoryAccount, DirectoryError};
use portcullis_core::event::{AccessEvent, Event, Record};
use portcullis_core::incident::IncidentChange;
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory};
use portcullis_core::plugin::{
    Authenticator, ChallengeContext, ConnectorError, Health, Progress, Prompt, StartError, Step,
};
use portcullis_core::source::*;
use portcullis_core::store::*;
use portcullis_core::summary::SessionSummary;
use portcullis_core::{AccountId, BoxFuture, Clock, ConnectorName, EventId, Ids, Timestamp};
use portcullis_store::Store;

use crate::company::{SERVICES, account};
use crate::scenario::Who;

/// Monday, 2026-01-05.
pub const BEGIN: u64 = 1_767_571_200_000;
/// Writes that may be under way: those who wait for none of them are made to wait here.
const UNDER_WAY: usize = 512;

/// What was decided about an access, and what it did to incidents.
#[derive(Debug, Clone)]
pub struct Seen {
    pub event: AccessEvent,
    pub raises: usize,
}

/// Searches that were summed up.
#[derive(Debug, Clone)]
pub struct SummedUp {
    pub summary: SessionSummary,
    pub raises: usize,
}

pub struct World {
    pub people: u32,
    now: AtomicU64,
    ids: AtomicU64,
    store: Arc<Store>,
    waiting: Mutex<VecDeque<BoxFuture<'static, Result<(), StoreError>>>>,
    seen: Mutex<Vec<Seen>>,
    summed_up: Mutex<Vec<SummedUp>>,
    learned: Mutex<HashMap<AccountId, HashMap<IpAddr, Association>>>,
    users: Mutex<HashMap<IpAddr, HashSet<AccountId>>>,
}

impl World {
    pub fn new(people: u32, store: Arc<Store>) -> Self {
        Self {
            people,
            now: AtomicU64::new(BEGIN),
            ids: AtomicU64::default(),
            store,
            waiting: Mutex::default(),
            seen: Mutex::default(),
            summed_up: Mutex::default(),
            learned: Mutex::default(),
            users: Mutex::default(),
        }
    }

    /// Time goes on, and never back.
    pub fn go_to(&self, since_begin: u64) {
        self.now.fetch_max(BEGIN + since_begin, Ordering::SeqCst);
    }

    /// What was decided since this was asked last.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// The same of what was summed up.
    pub fn take_summed_up(&self) -> Vec<SummedUp> {
        std::mem::take(&mut self.summed_up.lock().unwrap())
    }

    fn note(&self, record: &Record) {
        let raises = record.incidents.iter().filter(|it| matches!(it, IncidentChange::Raise { .. })).count();
        match &record.event {
            Event::Access(event) => self.seen.lock().unwrap().push(Seen { event: event.as_ref().clone(), raises }),
            Event::Summary(summary) => {
                self.summed_up.lock().unwrap().push(SummedUp { summary: summary.as_ref().clone(), raises });
            }
            Event::Administration(_) | Event::Imported(_) => {}
        }
        let Some(learned) = &record.learned else { return };
        self.users.lock().unwrap().entry(learned.address).or_default().insert(learned.account.clone());
        let mut all = self.learned.lock().unwrap();
        let first =
            || Association { address: learned.address, first_seen: learned.at, last_seen: learned.at, count: 0 };
        let known = all.entry(learned.account.clone()).or_default().entry(learned.address).or_insert_with(first);
        known.count += 1;
        known.last_seen = known.last_seen.max(learned.at);
    }

    async fn wait_for_store(&self, most: usize) -> Result<(), StoreError> {
        loop {
            let next = {
                let mut waiting = self.waiting.lock().unwrap();
                if waiting.len() <= most {
                    return Ok(());
                }
                waiting.pop_front()
            };
            if let Some(next) = next {
                next.await?;
            }
        }
    }

    /// Everything is stored.
    pub async fn settle(&self) {
        self.wait_for_store(0).await.unwrap();
    }

    /// Who a name in a bind is.
    fn who(&self, name: &str) -> Who {
        let short = name.split(',').next().unwrap_or(name);
        let short = short.strip_prefix("uid=").or_else(|| short.strip_prefix("cn=")).unwrap_or(short);
        if SERVICES.iter().any(|(known, ..)| *known == short) {
            return Who::Service(short.to_owned());
        }
        let number = short.strip_prefix('p').and_then(|digits| digits.parse().ok());
        number.map_or_else(|| Who::Nobody(short.to_owned()), Who::Person)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }
}

impl Ids for World {
    fn event_id(&self, at: Timestamp) -> EventId {
        let number = u128::from(self.ids.fetch_add(1, Ordering::SeqCst) + 1);
        EventId(uuid::Uuid::from_u128(u128::from(at.0) << 80 | 7 << 76 | 2 << 62 | number))
    }
    fn random(&self) -> [u8; 16] {
        let number = self.ids.fetch_add(1, Ordering::SeqCst) + 1;
        u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
    }
}

#[async_trait]
impl Directory for World {
    async fn find(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError> {
        Ok(account(&self.who(name), self.people))
    }
    async fn with_value(&self, attribute: &str, value: &str) -> Result<Vec<DirectoryAccount>, DirectoryError> {
        let login = value.strip_suffix("@example.com").filter(|_| attribute == "mail");
        Ok(login.and_then(|login| account(&self.who(login), self.people)).into_iter().collect())
    }
}

#[async_trait]
impl EventStore for World {
    /// In the store's queue, but not waited for: what it takes to write is not what is tried here.
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), StoreError>> {
        self.note(&record);
        self.waiting.lock().unwrap().push_back(self.store.append(record));
        Box::pin(async { Ok(()) })
    }
    async fn recent(&self, before: Option<Sequence>, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.recent(before, limit).await
    }
    async fn changed(&self, seen: Sequence) -> Sequence {
        self.store.changed(seen).await
    }
}

#[async_trait]
impl LearnedStore for World {
    async fn account_history(&self, account: &AccountId) -> Result<AccountHistory, StoreError> {
        self.wait_for_store(UNDER_WAY).await?;
        let learned = self.learned.lock().unwrap();
        let associations = learned.get(account).map(|all| all.values().cloned().collect()).unwrap_or_default();
        Ok(AccountHistory { associations })
    }
    async fn endpoint_history(&self, address: IpAddr) -> Result<EndpointHistory, StoreError> {
        let users = self.users.lock().unwrap();
        Ok(EndpointHistory { accounts: users.get(&address).map_or(0, |users| users.len() as u64) })
    }
    async fn endpoint_histories(&self, addresses: &[IpAddr]) -> Result<HashMap<IpAddr, EndpointHistory>, StoreError> {
        let mut found = HashMap::new();
        for address in addresses {
            found.insert(*address, self.endpoint_history(*address).await?);
        }
        Ok(found)
    }
}

#[async_trait]
impl SourceStore for World {
    async fn source_state(&self, source: &ConnectorName) -> Result<Option<SourceState>, StoreError> {
        self.store.source_state(source).await
    }
    async fn known_ids(&self, source: &ConnectorName, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        self.store.known_ids(source, ids).await
    }
    async fn put_page(&self, page: SourcePage) -> Result<u64, StoreError> {
        page.records.iter().for_each(|foreign| self.note(&foreign.record));
        self.store.put_page(page).await
    }
    async fn open_follow_ups(&self, after: u64, limit: u32) -> Result<Vec<OpenFollowUp>, StoreError> {
        self.store.open_follow_ups(after, limit).await
    }
    async fn end_follow_up(&self, number: u64, record: Record, next: Option<FollowUp>) -> Result<(), StoreError> {
        self.note(&record);
        self.store.end_follow_up(number, record, next).await
    }
}

#[async_trait]
impl CloudAccountStore for World {
    async fn cloud_accounts(&self) -> Result<Vec<CloudTwin>, StoreError> {
        self.store.cloud_accounts().await
    }
    async fn put_cloud_account(&self, twin: &CloudTwin) -> Result<(), StoreError> {
        self.store.put_cloud_account(twin).await
    }
    async fn decide_cloud_account(
        &self,
        source: &ConnectorName,
        id: &str,
        decision: Option<CloudOverride>,
        event: Event,
    ) -> Result<bool, StoreError> {
        self.store.decide_cloud_account(source, id, decision, event).await
    }
    async fn without_cloud_account(&self) -> Result<Vec<(ConnectorName, AccountId, Timestamp)>, StoreError> {
        self.store.without_cloud_account().await
    }
    async fn put_without_cloud_account(
        &self,
        source: &ConnectorName,
        account: &AccountId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.store.put_without_cloud_account(source, account, at).await
    }
}

/// Everybody's phone. On quiet days people say yes; whoever is attacked says no.
#[derive(Default)]
pub struct Phone {
    pub says_no: AtomicBool,
    pub asked: AtomicU64,
}

#[async_trait]
impl Authenticator for Phone {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Ok(Health { detail: String::new(), warnings: Vec::new() })
    }
    async fn start(&self, _: &ChallengeContext) -> Result<Step, StartError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let progress = if self.says_no.load(Ordering::SeqCst) { Progress::Denied } else { Progress::Approved };
        Ok(Step {
            progress,
            handle: String::new(),
            prompt: Prompt::Push(None),
            poll_after_ms: 1_000,
            expires_in_seconds: 60,
            choices: Vec::new(),
            note: None,
        })
    }
    async fn poll(&self, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("it was answered at once".to_owned()))
    }
    async fn verify(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("a push has no code".to_owned()))
    }
    async fn choose(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Protocol("a push has no choices".to_owned()))
    }
    async fn cancel(&self, _: &str) -> Result<(), ConnectorError> {
        Ok(())
    }
}

/// The cloud identity provider.
#[derive(Default)]
pub struct Service {
    log: Mutex<Vec<ForeignEvent>>,
    pub ended: Mutex<Vec<String>>,
}

impl Service {
    pub fn tell(&self, event: ForeignEvent) -> u64 {
        let mut log = self.log.lock().unwrap();
        log.push(event);
        log.len() as u64
    }
}

#[async_trait]
impl EventSource for Service {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Ok(Health { detail: String::new(), warnings: Vec::new() })
    }
    async fn poll(&self, cursor: Option<&str>) -> Result<SourceBatch, ConnectorError> {
        let read: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let log = self.log.lock().unwrap();
        let events: Vec<_> = log.iter().skip(read).take(1_000).cloned().collect();
        Ok(SourceBatch { cursor: (read + events.len()).to_string(), events, poll_after_ms: 2, complete_to: None })
    }
}

#[async_trait]
impl AccountDirectory for Service {
    async fn find(&self, identities: &[String]) -> Result<Option<CloudAccount>, ConnectorError> {
        let Some(login) = identities.first() else { return Ok(None) };
        Ok(Some(CloudAccount {
            id: login.clone(),
            login: login.clone(),
            mail: Some(login.clone()),
            status: "ACTIVE".to_owned(),
            enabled: true,
            applications: Vec::new(),
            factors: Vec::new(),
            attributes: Vec::new(),
        }))
    }
}

#[async_trait]
impl Enforcer for Service {
    async fn enforce(&self, account: &str, action: Enforcement) -> Result<(), ConnectorError> {
        if action == Enforcement::EndSessions {
            self.ended.lock().unwrap().push(account.to_owned());
        }
        Ok(())
    }
}
