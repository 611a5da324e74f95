use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use portcullis_core::event::{AdministrationEvent, Event, Record};
use portcullis_core::incident::{
    Incident, IncidentAction, IncidentEntry, IncidentPlace, IncidentReport, IncidentState, IncidentStep,
};
use portcullis_core::store::{
    Administrator, ConsoleSession, EventStore, IncidentStore, Sequence, SettingsStore, StoreError, StoredEvent,
};
use portcullis_core::{BoxFuture, IncidentId, Timestamp};
use tokio::sync::watch;

/// A store in memory that can be broken.
pub struct FakeStore {
    events: Mutex<Vec<StoredEvent>>,
    incidents: Mutex<Vec<Incident>>,
    histories: Mutex<Vec<(IncidentId, IncidentEntry)>>,
    settings: Mutex<HashMap<String, String>>,
    administrators: Mutex<HashMap<String, Administrator>>,
    sessions: Mutex<HashMap<[u8; 32], ConsoleSession>>,
    mark: watch::Sender<u64>,
    /// Nothing works.
    pub broken: AtomicBool,
    /// No event is taken.
    pub full: AtomicBool,
    /// No note is taken.
    pub has_all_notes: AtomicBool,
}

impl Default for FakeStore {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            incidents: Mutex::default(),
            histories: Mutex::default(),
            settings: Mutex::default(),
            administrators: Mutex::default(),
            sessions: Mutex::default(),
            mark: watch::Sender::new(1),
            broken: AtomicBool::new(false),
            full: AtomicBool::new(false),
            has_all_notes: AtomicBool::new(false),
        }
    }
}

impl FakeStore {
    pub fn put_event(&self, event: Event) {
        let mut events = self.events.lock().unwrap();
        let sequence = Sequence(events.len() as u64 + 1);
        events.push(StoredEvent { sequence, event });
        drop(events);
        self.mark.send_modify(|mark| *mark += 1);
    }

    pub fn put_incident(&self, incident: Incident) {
        self.incidents.lock().unwrap().push(incident);
        self.mark.send_modify(|mark| *mark += 1);
    }

    pub fn incident(&self, id: IncidentId) -> Incident {
        self.incidents.lock().unwrap().iter().find(|incident| incident.id == id).unwrap().clone()
    }

    pub fn administration(&self) -> Vec<AdministrationEvent> {
        let events = self.events.lock().unwrap();
        let administration = events.iter().filter_map(|stored| match &stored.event {
            Event::Administration(event) => Some(event.clone()),
            Event::Access(_) | Event::Summary(_) | Event::Imported(_) => None,
        });
        administration.collect()
    }

    pub fn session_keys(&self) -> Vec<[u8; 32]> {
        self.sessions.lock().unwrap().keys().copied().collect()
    }

    pub fn password_hash(&self, login: &str) -> String {
        self.administrators.lock().unwrap()[login].password_hash.clone()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("secret-path-of-the-database".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl EventStore for FakeStore {
    fn append(&self, record: Record) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut taken = self.check();
        if self.full.load(Ordering::SeqCst) {
            taken = Err(StoreError::Overloaded(1));
        }
        if taken.is_ok() {
            self.put_event(record.event);
        }
        Box::pin(std::future::ready(taken))
    }

    async fn recent(&self, before: Option<Sequence>, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.check()?;
        let events = self.events.lock().unwrap();
        let older = events.iter().rev().filter(|stored| before.is_none_or(|before| stored.sequence < before));
        Ok(older.take(limit as usize).cloned().collect())
    }

    async fn changed(&self, seen: Sequence) -> Sequence {
        let mut mark = self.mark.subscribe();
        let reached = mark.wait_for(|now| *now != seen.0).await.map(|now| Sequence(*now));
        reached.unwrap_or(seen)
    }
}

#[async_trait]
impl IncidentStore for FakeStore {
    async fn incidents_after(&self, place: Option<IncidentPlace>, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.check()?;
        let mut incidents = self.incidents.lock().unwrap().clone();
        incidents.retain(|incident| place.is_none_or(|place| incident.place() < place));
        incidents.sort_by_key(|incident| std::cmp::Reverse(incident.place()));
        incidents.truncate(limit as usize);
        Ok(incidents)
    }

    async fn open_incidents(&self) -> Result<u64, StoreError> {
        self.check()?;
        let incidents = self.incidents.lock().unwrap();
        Ok(incidents.iter().filter(|incident| incident.state != IncidentState::Resolved).count() as u64)
    }

    async fn incident(&self, id: IncidentId) -> Result<Option<IncidentReport>, StoreError> {
        self.check()?;
        let incident = self.incidents.lock().unwrap().iter().find(|one| one.id == id).cloned();
        let history =
            self.histories.lock().unwrap().iter().filter(|(of, _)| *of == id).map(|(_, e)| e.clone()).collect();
        Ok(incident.map(|incident| IncidentReport { incident, history }))
    }

    async fn act(
        &self,
        id: IncidentId,
        action: IncidentAction,
        person: &str,
        event: Event,
    ) -> Result<bool, StoreError> {
        self.check()?;
        let mut incidents = self.incidents.lock().unwrap();
        let Some(found) = incidents.iter().find(|one| one.id == id).cloned() else { return Ok(false) };
        let has_successor = incidents.iter().any(|one| {
            (&one.account, &one.source) == (&found.account, &found.source) && one.state != IncidentState::Resolved
        });
        let Some(incident) = incidents.iter_mut().find(|one| one.id == id) else { return Ok(false) };
        let is_resolved = incident.state == IncidentState::Resolved;
        let (step, text) = match action {
            IncidentAction::Take if !is_resolved => {
                (incident.state, incident.assignee) = (IncidentState::InProgress, Some(person.to_owned()));
                (IncidentStep::Taken, String::new())
            }
            IncidentAction::Release if incident.state == IncidentState::InProgress => {
                (incident.state, incident.assignee) = (IncidentState::Open, None);
                (IncidentStep::Released, String::new())
            }
            IncidentAction::Resolve(verdict) if !is_resolved => {
                (incident.state, incident.verdict) = (IncidentState::Resolved, verdict);
                incident.resolved_by_person = Some(person.to_owned());
                (IncidentStep::Resolved, String::new())
            }
            IncidentAction::Reopen if is_resolved && !has_successor => {
                (incident.state, incident.verdict) = (IncidentState::Open, None);
                incident.resolved_by_person = None;
                (IncidentStep::Reopened, String::new())
            }
            IncidentAction::Note(_) if self.has_all_notes.load(Ordering::SeqCst) => {
                return Err(StoreError::Quota("the notes".to_owned()));
            }
            IncidentAction::Note(text) => (IncidentStep::Noted, text),
            _ => return Ok(false),
        };
        drop(incidents);
        let entry = IncidentEntry { at: event.at(), step, person: Some(person.to_owned()), text, event: event.id() };
        self.histories.lock().unwrap().push((id, entry));
        self.put_event(event);
        Ok(true)
    }
}

#[async_trait]
impl SettingsStore for FakeStore {
    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.check()?;
        Ok(self.settings.lock().unwrap().get(key).cloned())
    }

    async fn put_setting(&self, key: &str, json: &str) -> Result<(), StoreError> {
        self.check()?;
        self.settings.lock().unwrap().insert(key.to_owned(), json.to_owned());
        Ok(())
    }

    async fn administrator_count(&self) -> Result<u64, StoreError> {
        self.check()?;
        Ok(self.administrators.lock().unwrap().len() as u64)
    }

    async fn put_administrator(&self, administrator: &Administrator) -> Result<(), StoreError> {
        self.check()?;
        self.sessions.lock().unwrap().retain(|_, session| session.login != administrator.login);
        self.administrators.lock().unwrap().insert(administrator.login.clone(), administrator.clone());
        Ok(())
    }

    async fn administrator(&self, login: &str) -> Result<Option<Administrator>, StoreError> {
        self.check()?;
        Ok(self.administrators.lock().unwrap().get(login).cloned())
    }

    async fn put_session(&self, session: &ConsoleSession, now: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        let mut sessions = self.sessions.lock().unwrap();
        sessions.retain(|_, session| session.expires_at > now);
        sessions.insert(session.token_hash, session.clone());
        Ok(())
    }

    async fn session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<ConsoleSession>, StoreError> {
        self.check()?;
        Ok(self.sessions.lock().unwrap().get(token_hash).filter(|session| session.expires_at > now).cloned())
    }

    async fn end_session(&self, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.check()?;
        self.sessions.lock().unwrap().remove(token_hash);
        Ok(())
    }
}
