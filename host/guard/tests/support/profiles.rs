//! A store of profiles in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use portcullis_core::AccountId;
use portcullis_core::event::{Event, Record};
use portcullis_core::profile::*;
use portcullis_core::store::{Sequence, StoreError, StoredEvent};

use super::World;

#[derive(Default)]
pub struct Profiles {
    pub stored: Mutex<BTreeMap<Subject, StoredProfile>>,
    pub marks: Mutex<Vec<ProfileMark>>,
    pub kinds: Mutex<Vec<DecidedKind>>,
    /// How often somebody had to be looked for.
    pub asked: std::sync::atomic::AtomicU32,
}

impl World {
    fn working(&self) -> Result<(), StoreError> {
        match self.store_down.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("disk full".to_owned())),
            false => Ok(()),
        }
    }
}

impl World {
    fn part_of_log(&self, after: Sequence, limit: u32, wanted: impl Fn(&Event) -> bool) -> Vec<StoredEvent> {
        let records = self.records.lock().unwrap();
        let numbered = (1..).zip(records.iter()).skip(after.0 as usize).filter(|(_, record)| wanted(&record.event));
        let stored =
            |(number, record): (u64, &Record)| StoredEvent { sequence: Sequence(number), event: record.event.clone() };
        numbered.map(stored).take(limit as usize).collect()
    }
}

#[async_trait]
impl ProfileStore for World {
    async fn profiles(&self, subjects: &[Subject]) -> Result<Vec<StoredProfile>, StoreError> {
        self.profiles.asked.fetch_add(1, Ordering::SeqCst);
        let stored = self.profiles.stored.lock().unwrap();
        Ok(subjects.iter().filter_map(|subject| stored.get(subject).cloned()).collect())
    }
    async fn riskiest(
        &self,
        kind: SubjectKind,
        after: Option<(u8, &str)>,
        limit: u32,
    ) -> Result<Vec<StoredProfile>, StoreError> {
        let order = |profile: &StoredProfile| (std::cmp::Reverse(profile.risk), profile.subject.key());
        let after = after.map(|(risk, key)| (std::cmp::Reverse(risk), key.to_owned()));
        let stored = self.profiles.stored.lock().unwrap();
        let risky = |profile: &&StoredProfile| {
            profile.subject.kind() == kind
                && profile.risk > 0
                && after.as_ref().is_none_or(|after| order(profile) > *after)
        };
        let mut found: Vec<_> = stored.values().filter(risky).cloned().collect();
        found.sort_by_key(order);
        found.truncate(limit as usize);
        Ok(found)
    }
    async fn put_risks(&self, decayed: Vec<StoredProfile>) -> Result<(), StoreError> {
        let mut stored = self.profiles.stored.lock().unwrap();
        for profile in decayed {
            if let Some(known) = stored.get_mut(&profile.subject).filter(|known| known.mark == profile.mark) {
                known.risk = profile.risk;
            }
        }
        Ok(())
    }
    async fn profiles_after(
        &self,
        kind: SubjectKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredProfile>, StoreError> {
        let stored = self.profiles.stored.lock().unwrap();
        let behind = |profile: &&StoredProfile| {
            profile.subject.kind() == kind && after.is_none_or(|after| profile.subject.key().as_str() > after)
        };
        Ok(stored.values().filter(behind).take(limit as usize).cloned().collect())
    }
    async fn put_profiles(&self, mark: ProfileMark, profiles: Vec<StoredProfile>) -> Result<(), StoreError> {
        self.working()?;
        let mut stored = self.profiles.stored.lock().unwrap();
        for profile in profiles {
            stored.insert(profile.subject.clone(), profile);
        }
        self.profiles.marks.lock().unwrap().push(mark);
        Ok(())
    }
    async fn profile_marks(&self) -> Result<Vec<ProfileMark>, StoreError> {
        Ok(self.profiles.marks.lock().unwrap().last().cloned().into_iter().collect())
    }
    async fn last_sequence(&self) -> Result<Sequence, StoreError> {
        self.working()?;
        Ok(Sequence(self.records.lock().unwrap().len() as u64))
    }
    async fn events_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(self.part_of_log(after, limit, |event| !matches!(event, Event::Imported(_))))
    }
    async fn imported_after(&self, after: Sequence, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(self.part_of_log(after, limit, |event| matches!(event, Event::Imported(_))))
    }
    async fn decided_kinds(&self) -> Result<Vec<DecidedKind>, StoreError> {
        Ok(self.profiles.kinds.lock().unwrap().clone())
    }
    async fn decide_kind(
        &self,
        account: &AccountId,
        decision: Option<DecidedKind>,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut kinds = self.profiles.kinds.lock().unwrap();
        kinds.retain(|known| known.account != *account);
        kinds.extend(decision);
        self.records.lock().unwrap().push(Record { event, learned: None, incidents: Vec::new() });
        Ok(())
    }
}
