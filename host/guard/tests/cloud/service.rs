//! A cloud service and the store that its events go to.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::cloud::*;
use portcullis_core::event::{Event, Record};
use portcullis_core::plugin::{ConnectorError, Health};
use portcullis_core::source::*;
use portcullis_core::store::{ChallengeStore as _, EventStore as _, StoreError};
use portcullis_core::{AccountId, Clock as _, ConnectorName, Operation, Outcome, Timestamp};
use portcullis_guard::PolicyEntry;
use portcullis_guard::cloud::{Cloud, CloudSource, OnBlock, SourceOptions};
use tokio_util::sync::CancellationToken;

use crate::support::*;

#[derive(Default)]
pub struct Service {
    /// What it tells behind each cursor.
    pages: Mutex<BTreeMap<String, (String, Vec<ForeignEvent>)>>,
    last: Mutex<String>,
    asked_with: Mutex<Vec<Option<String>>>,
    failure: Mutex<Option<ConnectorError>>,
    often: std::sync::atomic::AtomicBool,
    pub accounts: Mutex<Vec<CloudAccount>>,
    pub looked_up: Mutex<Vec<Vec<String>>>,
    pub done: Mutex<Vec<(String, Enforcement)>>,
    pub enforcing_fails: Mutex<Option<ConnectorError>>,
}

impl Service {
    /// What comes next, and the cursor behind it.
    pub fn tell(&self, cursor: &str, events: Vec<ForeignEvent>) {
        let before = std::mem::replace(&mut *self.last.lock().unwrap(), cursor.to_owned());
        self.pages.lock().unwrap().insert(before, (cursor.to_owned(), events));
    }

    pub fn fail(&self, error: ConnectorError) {
        *self.failure.lock().unwrap() = Some(error);
    }

    /// For tests whose clock is the real one.
    pub fn poll_often(&self) {
        self.often.store(true, Ordering::SeqCst);
    }

    pub fn asked_with(&self) -> Vec<Option<String>> {
        self.asked_with.lock().unwrap().clone()
    }
}

#[async_trait]
impl EventSource for Service {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Ok(Health { detail: String::new(), warnings: Vec::new() })
    }

    async fn poll(&self, cursor: Option<&str>) -> Result<SourceBatch, ConnectorError> {
        self.asked_with.lock().unwrap().push(cursor.map(str::to_owned));
        if let Some(error) = self.failure.lock().unwrap().take() {
            return Err(error);
        }
        let cursor = cursor.unwrap_or_default();
        let (next, events) = match self.pages.lock().unwrap().get(cursor) {
            Some((next, events)) => (next.clone(), events.clone()),
            None => (cursor.to_owned(), Vec::new()),
        };
        let poll_after_ms = if self.often.load(Ordering::SeqCst) { 20 } else { 10_000 };
        Ok(SourceBatch { events, cursor: next, poll_after_ms, complete_to: None })
    }
}

#[async_trait]
impl AccountDirectory for Service {
    async fn find(&self, identities: &[String]) -> Result<Option<CloudAccount>, ConnectorError> {
        self.looked_up.lock().unwrap().push(identities.to_vec());
        let accounts = self.accounts.lock().unwrap();
        let has = |account: &CloudAccount, name: &String| {
            account.id == *name || account.login == *name || account.mail.as_ref() == Some(name)
        };
        Ok(identities.iter().find_map(|name| accounts.iter().find(|account| has(account, name))).cloned())
    }
}

#[async_trait]
impl Enforcer for Service {
    async fn enforce(&self, account: &str, action: Enforcement) -> Result<(), ConnectorError> {
        if let Some(error) = self.enforcing_fails.lock().unwrap().clone() {
            return Err(error);
        }
        self.done.lock().unwrap().push((account.to_owned(), action));
        Ok(())
    }
}

/// The part of the store that the world does not have.
pub struct Shelf {
    world: Arc<World>,
    ids: Mutex<HashSet<(ConnectorName, String)>>,
    states: Mutex<BTreeMap<ConnectorName, SourceState>>,
    cursors: Mutex<Vec<Option<String>>>,
    open: Mutex<BTreeMap<u64, OpenFollowUp>>,
    pub twins: Mutex<BTreeMap<(ConnectorName, String), CloudTwin>>,
    pub without: Mutex<Vec<(ConnectorName, AccountId, Timestamp)>>,
    /// How often it does not take the end of a follow-up.
    pub busy: AtomicU32,
}

impl Shelf {
    pub fn cursors(&self) -> Vec<Option<String>> {
        self.cursors.lock().unwrap().clone()
    }

    pub fn open(&self) -> usize {
        self.open.lock().unwrap().len()
    }

    fn add(&self, source: &ConnectorName, record: &Record, what: Option<FollowUp>) {
        let (Some(what), Event::Access(event)) = (what, &record.event) else { return };
        let mut open = self.open.lock().unwrap();
        let number = open.last_key_value().map_or(0, |(number, _)| *number) + 1;
        open.insert(number, OpenFollowUp { number, source: source.clone(), what, event: (**event).clone() });
    }
}

#[async_trait]
impl SourceStore for Shelf {
    async fn source_state(&self, source: &ConnectorName) -> Result<Option<SourceState>, StoreError> {
        Ok(self.states.lock().unwrap().get(source).cloned())
    }
    async fn known_ids(&self, source: &ConnectorName, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let known = self.ids.lock().unwrap();
        Ok(ids.iter().filter(|id| known.contains(&(source.clone(), (*id).clone()))).cloned().collect())
    }
    async fn put_page(&self, page: SourcePage) -> Result<u64, StoreError> {
        if self.world.store_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("disk full".to_owned()));
        }
        let mut stored = 0;
        for foreign in page.records {
            if self.ids.lock().unwrap().insert((page.source.clone(), foreign.id)) {
                self.add(&page.source, &foreign.record, foreign.follow_up);
                if let Some(what) = foreign.forget {
                    self.world.forget(what).await?;
                }
                self.world.append(foreign.record).await?;
                stored += 1;
            }
        }
        if stored > 0 {
            self.cursors.lock().unwrap().push(page.state.cursor.clone());
        }
        self.states.lock().unwrap().insert(page.source, page.state);
        Ok(stored)
    }
    async fn open_follow_ups(&self, after: u64, limit: u32) -> Result<Vec<OpenFollowUp>, StoreError> {
        let open = self.open.lock().unwrap();
        Ok(open.range(after + 1..).take(usize::try_from(limit).unwrap()).map(|(_, open)| open.clone()).collect())
    }
    async fn end_follow_up(&self, number: u64, record: Record, next: Option<FollowUp>) -> Result<(), StoreError> {
        let busy = self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if busy.is_ok() {
            return Err(StoreError::Overloaded(1));
        }
        let Some(ended) = self.open.lock().unwrap().remove(&number) else { return Ok(()) };
        self.add(&ended.source, &record, next);
        self.world.append(record).await
    }
}

#[async_trait]
impl CloudAccountStore for Shelf {
    async fn cloud_accounts(&self) -> Result<Vec<CloudTwin>, StoreError> {
        Ok(self.twins.lock().unwrap().values().cloned().collect())
    }
    async fn put_cloud_account(&self, twin: &CloudTwin) -> Result<(), StoreError> {
        let key = (twin.source.clone(), twin.account.id.clone());
        self.twins.lock().unwrap().insert(key, twin.clone());
        Ok(())
    }
    async fn decide_cloud_account(
        &self,
        source: &ConnectorName,
        id: &str,
        decision: Option<CloudOverride>,
        _: Event,
    ) -> Result<bool, StoreError> {
        let mut twins = self.twins.lock().unwrap();
        let twin = twins.get_mut(&(source.clone(), id.to_owned()));
        Ok(twin.map(|twin| twin.decided = decision).is_some())
    }
    async fn without_cloud_account(&self) -> Result<Vec<(ConnectorName, AccountId, Timestamp)>, StoreError> {
        Ok(self.without.lock().unwrap().clone())
    }
    async fn put_without_cloud_account(
        &self,
        source: &ConnectorName,
        account: &AccountId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.without.lock().unwrap().push((source.clone(), account.clone(), at));
        Ok(())
    }
}

pub struct Stage {
    pub scene: Scene,
    pub service: Arc<Service>,
    pub store: Arc<Shelf>,
    pub cloud: Arc<Cloud>,
    pub began: u64,
    end: CancellationToken,
    restarted: Mutex<Vec<CancellationToken>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end.cancel();
        self.restarted.lock().unwrap().iter().for_each(CancellationToken::cancel);
    }
}

pub fn source(name: &str, service: &Arc<Service>, on_block: OnBlock) -> CloudSource {
    let options = SourceOptions { on_block, ..SourceOptions::default() };
    CloudSource { name: ConnectorName::new(name), provider: service.clone(), options }
}

/// A running reader of one service.
pub fn cloud(policies: Vec<PolicyEntry>, on_block: OnBlock) -> Stage {
    cloud_of(scene(policies), on_block)
}

/// The same before this guard.
pub fn cloud_of(scene: Scene, on_block: OnBlock) -> Stage {
    let service = Arc::new(Service::default());
    let store = Arc::new(Shelf {
        world: scene.world.clone(),
        ids: Mutex::default(),
        states: Mutex::default(),
        cursors: Mutex::default(),
        open: Mutex::default(),
        twins: Mutex::default(),
        without: Mutex::default(),
        busy: AtomicU32::default(),
    });
    let cloud = Arc::new(Cloud::new(scene.guard.clone(), store.clone()));
    cloud.set_sources(vec![source("okta", &service, on_block)]);
    let (end, began) = (CancellationToken::new(), scene.world.now().0);
    tokio::spawn(cloud.clone().run(end.clone()));
    Stage { scene, service, store, cloud, began, end, restarted: Mutex::default() }
}

impl Stage {
    pub fn now(&self) -> Timestamp {
        self.scene.world.now()
    }

    /// Ends what runs and begins anew with what the store has; until the token is cancelled.
    pub async fn restart(&self) -> CancellationToken {
        self.end.cancel();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let end = CancellationToken::new();
        self.restarted.lock().unwrap().push(end.clone());
        let cloud = Arc::new(Cloud::new(self.scene.guard.clone(), self.store.clone()));
        cloud.set_sources(vec![source("okta", &self.service, OnBlock::Suspend)]);
        tokio::spawn(cloud.run(end.clone()));
        end
    }

    /// Long enough for a poll and what follows from it, and too short for what is tried again.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(12)).await;
    }

    pub fn rings(&self) -> u32 {
        self.scene.phone.starts.load(Ordering::SeqCst)
    }

    pub fn store_down(&self, down: bool) {
        self.scene.world.store_down.store(down, Ordering::SeqCst);
    }

    pub fn directory_down(&self, down: bool) {
        self.scene.world.directory_down.store(down, Ordering::SeqCst);
    }

    pub fn done(&self) -> Vec<(String, Enforcement)> {
        self.service.done.lock().unwrap().clone()
    }
}

/// Alice signs in.
pub fn sign_in(id: &str, at: u64, address: &str) -> ForeignEvent {
    ForeignEvent {
        id: id.to_owned(),
        at: Timestamp(at),
        identities: vec!["00u1".to_owned(), "alice@example.com".to_owned()],
        address: Some(address.parse().unwrap()),
        user_agent: Some("Firefox".to_owned()),
        position: None,
        place: None,
        application: None,
        operation: Operation::SignIn,
        outcome: Outcome::Success,
        detail: "User login to Okta".to_owned(),
        attributes: vec![],
        raw: format!("{{\"uuid\":\"{id}\"}}"),
    }
}

pub fn cloud_account(id: &str, login: &str, enabled: bool) -> CloudAccount {
    CloudAccount {
        id: id.to_owned(),
        login: login.to_owned(),
        mail: None,
        status: if enabled { "ACTIVE" } else { "SUSPENDED" }.to_owned(),
        enabled,
        applications: vec![],
        factors: vec![],
        attributes: vec![],
    }
}
