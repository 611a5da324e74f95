//! Asking services about accounts, in the background: nothing that decides waits for it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use portcullis_core::directory::DirectoryAccount;
use portcullis_core::plugin::ConnectorError;
use portcullis_core::source::CloudAccount;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::poll::Trouble;
use super::{Cloud, Reader, matching};

/// Accounts that events have named are looked for at least this often.
const IDLE: Duration = Duration::from_secs(2);
/// After trouble the services are left alone, for as long as they ask for and at most for the second of these.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Accounts that wait for the service to be asked about them.
const MOST_UNKNOWN: usize = 1024;

/// Accounts that the service is to be asked about, by their ids there, with all their names.
#[derive(Default)]
pub(super) struct Unknown {
    waiting: BTreeMap<String, Vec<String>>,
    /// Who was taken last. The next one comes after it, so that nobody whom the service cannot answer for is in the way.
    last: String,
}

impl Unknown {
    /// One more than there is room for is left to the next event that names it.
    pub(super) fn add(&mut self, id: &str, identities: &[String]) {
        if self.waiting.len() < MOST_UNKNOWN {
            self.waiting.insert(id.to_owned(), identities.to_vec());
        }
    }

    fn take(&mut self) -> Option<(String, Vec<String>)> {
        let behind = (Bound::Excluded(self.last.as_str()), Bound::Unbounded);
        let next = self.waiting.range::<str, _>(behind).next().or_else(|| self.waiting.first_key_value());
        self.last = next?.0.clone();
        self.waiting.remove_entry(&self.last)
    }
}

impl Cloud {
    /// Takes what the store knows: at the start, and what another process has written since.
    pub(super) async fn load_accounts(&self) {
        let read = async { Ok((self.store.cloud_accounts().await?, self.store.without_cloud_account().await?)) };
        let read: Result<_, portcullis_core::store::StoreError> = read.await;
        match read {
            Ok((all, without)) => self.guard.twins.replace(all, without),
            Err(error) => warn!(%error, "what is known of cloud accounts cannot be read"),
        }
    }

    /// Looks up whoever was noticed without anything being known of him. Never ends by itself.
    pub(super) async fn look_up(&self) {
        loop {
            // Nobody calls for those that events have named.
            let _ = timeout(IDLE, self.guard.twins.called.notified()).await;
            let readers: Vec<_> = self.readers().values().cloned().collect();
            let mut pause = Duration::ZERO;
            for reader in &readers {
                while let Some((id, identities)) = reader.next_unknown() {
                    let wait = waited(reader, reader.look_up_cloud(self, &identities).await);
                    if !wait.is_zero() {
                        reader.put_down(&id, &identities);
                        pause = pause.max(wait);
                        break;
                    }
                }
            }
            while pause.is_zero()
                && let Some(found) = self.guard.twins.next_wanted()
            {
                for reader in &readers {
                    pause = pause.max(waited(reader, reader.look_up_twin(self, &found).await));
                }
            }
            sleep(pause).await;
        }
    }
}

/// How long to leave the service alone.
fn waited(reader: &Reader, done: Result<(), Failure>) -> Duration {
    let Err(failure) = done else { return Duration::ZERO };
    debug!(source = %reader.source.name, error = failure.why, "a cloud account could not be looked up");
    failure.wait
}

struct Failure {
    why: String,
    wait: Duration,
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        let wait = match &error {
            ConnectorError::RateLimited(ms) => Duration::from_millis(u64::from(*ms)).clamp(PAUSE, LONGEST_PAUSE),
            _ => PAUSE,
        };
        Self { why: error.to_string(), wait }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { why: trouble.into_text(), wait: PAUSE }
    }
}

impl Reader {
    fn next_unknown(&self) -> Option<(String, Vec<String>)> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// An event has named it, and the service knows more.
    async fn look_up_cloud(&self, cloud: &Cloud, identities: &[String]) -> Result<(), Failure> {
        match self.source.provider.find(identities).await? {
            Some(account) => self.found(cloud, account, None).await,
            None => Ok(()),
        }
    }

    /// The cloud account of a directory account.
    async fn look_up_twin(&self, cloud: &Cloud, found: &DirectoryAccount) -> Result<(), Failure> {
        let names = matching::names(found, self.source.options.match_attribute.as_ref());
        let answer = self.source.provider.find(&names).await?;
        let (name, now) = (&self.source.name, cloud.guard.rooms.clock.now());
        if let Some(account) = answer {
            let id = account.id.clone();
            self.found(cloud, account, Some(found)).await?;
            let twin = cloud.guard.twins.get(name, &id);
            if twin.is_some_and(|twin| twin.belongs_to().is_some_and(|owner| owner.account == found.account.id)) {
                return Ok(());
            }
        }
        // What the names found is somebody else's.
        let stored = cloud.store.put_without_cloud_account(name, &found.account.id, now).await;
        stored.map_err(Trouble::of)?;
        cloud.guard.twins.put_without(name, &found.account.id, now);
        Ok(())
    }

    async fn found(
        &self,
        cloud: &Cloud,
        account: CloudAccount,
        asked_for: Option<&DirectoryAccount>,
    ) -> Result<(), Failure> {
        let guard: &Arc<crate::Guard> = &cloud.guard;
        let mut candidates = self.candidates(guard, &account).await?;
        let is_new = |theirs: &&DirectoryAccount| candidates.iter().all(|known| known.account.id != theirs.account.id);
        candidates.extend(asked_for.filter(is_new).cloned().into_iter().collect::<Vec<_>>());
        let before = guard.twins.get(&self.source.name, &account.id);
        let mut twin = self.twin(before, account, &candidates);
        twin.asked_at = Some(guard.rooms.clock.now());
        cloud.store.put_cloud_account(&twin).await.map_err(Trouble::of)?;
        guard.twins.put(twin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_whoever_comes_back() {
        let mut unknown = Unknown::default();
        ["b", "a", "c"].iter().for_each(|id| unknown.add(id, &[(*id).to_owned()]));
        let mut order = String::new();
        for _ in 0..5 {
            let (id, names) = unknown.take().unwrap();
            order.push_str(&id);
            unknown.add(&id, &names);
        }
        assert_eq!(order, "abcab");
        (0..2 * MOST_UNKNOWN).for_each(|number| unknown.add(&number.to_string(), &[]));
        assert_eq!(std::iter::from_fn(|| unknown.take()).count(), MOST_UNKNOWN);
    }
}
