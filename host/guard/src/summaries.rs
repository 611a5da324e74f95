//! From a summary to an event in the store.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_behavior::memory::summary_seen;
use portcullis_behavior::seen::{Ahead, Seen};
use portcullis_core::event::{AdministrationEvent, Event, Record};
use portcullis_core::gate::Claim;
use portcullis_core::summary::{Machine, SessionSummary};
use portcullis_core::{Account, AccountId, Operation};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::Guard;
use crate::enrich::nameless;
use crate::ledger::{Lost, Pending};

/// How often what is due goes to the store.
const TICK: Duration = Duration::from_secs(1);
/// Summaries that are given to the store at a time: few enough to leave the room in its queue to decisions.
const CHUNK: usize = 128;
/// How often the store may refuse a summary while it takes others.
const MOST_REFUSALS: u8 = 3;
/// How long the last ones may take when the gateway ends.
const LAST_WRITES: Duration = Duration::from_secs(10);

impl Guard {
    /// Takes summaries to the store until `sessions_ended` is cancelled, then the last of them, and comes back. While the
    /// store does not work they wait, as far as there is room for them. Has to run once.
    pub async fn write_summaries(&self, sessions_ended: CancellationToken) {
        let limit = async {
            sessions_ended.cancelled().await;
            tokio::time::sleep(LAST_WRITES).await;
        };
        tokio::select! {
            () = self.write_until(&sessions_ended) => {}
            () = limit => {}
        }
        let waiting = self.ledger.waiting();
        if waiting > 0 {
            error!(waiting, "summaries could not be stored before the gateway ended, and are lost");
        }
    }

    async fn write_until(&self, sessions_ended: &CancellationToken) {
        let (mut stuck, mut known_lost) = (false, Lost::default());
        loop {
            let last = tokio::select! {
                () = sessions_ended.cancelled() => true,
                () = tokio::time::sleep(TICK) => false,
            };
            let problem = self.write_due(last).await;
            match &problem {
                Some(problem) if !stuck => error!(problem, "summaries cannot be stored; they wait"),
                None if stuck => info!("summaries are stored again"),
                _ => {}
            }
            stuck = problem.is_some();
            let lost = self.ledger.lost();
            if lost != known_lost && lost != Lost::default() {
                error!(summaries = lost.summaries, operations = lost.operations, "there was no room for summaries");
            }
            known_lost = lost;
            if last {
                return;
            }
        }
    }

    /// Stores what is due, or everything. Returns why not, where the store does not work.
    async fn write_due(&self, all: bool) -> Option<String> {
        loop {
            let chunk = self.ledger.next(CHUNK, all);
            if chunk.is_empty() {
                return self.admit_losses().await;
            }
            let problem = self.write(chunk).await;
            if problem.is_some() {
                return problem;
            }
        }
    }

    /// Stores a chunk. What cannot be stored is tried again later, but not for ever where others can be: then it is the
    /// summary that is wrong, not the store.
    async fn write(&self, chunk: Vec<Pending>) -> Option<String> {
        let mut directory_answers = true;
        let mut waiting = Vec::with_capacity(chunk.len());
        let mut ahead: HashMap<AccountId, Ahead> = HashMap::new();
        for pending in chunk {
            let account = self.whose(&pending.key.claim, &mut directory_answers).await;
            // They are learned when all are stored, and each is looked at with those before it: who reads through many
            // connections at once reads the sum.
            let own = account.as_ref().map(|account| ahead.entry(account.id.clone()).or_default());
            let summary = self.summary(&pending, account, own.as_deref().copied().unwrap_or_default()).await;
            if let Some(own) = own {
                own.operations = own.operations.saturating_add(summary.tally.total());
                own.entries = own.entries.saturating_add(summary.tally.entries);
            }
            let event = Event::Summary(Box::new(summary.clone()));
            let (account, address) = (summary.account.as_ref(), Some(summary.endpoint.address));
            let incidents = self.noticed(&summary.signals, account, address);
            let stored = self.rooms.events.append(Record { event, learned: None, incidents });
            waiting.push((pending, summary, stored));
        }
        let (mut stored, mut failed, mut problem) = (0, Vec::new(), None);
        for (pending, summary, done) in waiting {
            match done.await {
                Ok(()) => {
                    // Not before: one that the store refuses is made anew.
                    self.learn_summary(&summary);
                    stored += 1;
                }
                Err(error) => {
                    problem = Some(error.to_string());
                    failed.push(pending);
                }
            }
        }
        self.ledger.stored(stored);
        if stored > 0 {
            failed.iter_mut().for_each(|pending| pending.refused += 1);
        }
        let (hopeless, again): (Vec<_>, Vec<_>) =
            failed.into_iter().partition(|pending| pending.refused >= MOST_REFUSALS);
        self.ledger.give_up(&hopeless);
        self.ledger.give_back(again);
        problem
    }

    /// Writes down that something is missing.
    async fn admit_losses(&self) -> Option<String> {
        let lost = self.ledger.lost();
        if lost == Lost::default() {
            return None;
        }
        let at = self.rooms.clock.now();
        let event = Event::Administration(AdministrationEvent {
            id: self.rooms.ids.event_id(at),
            at,
            actor: "gateway".to_owned(),
            action: "summaries-lost".to_owned(),
            detail: format!(
                "{} summaries of {} operations could not be stored, and are missing.",
                lost.summaries, lost.operations
            ),
        });
        match self.rooms.events.append(Record { event, learned: None, incidents: Vec::new() }).await {
            Ok(()) => {
                self.ledger.admitted(lost);
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// The account as the last bind found it. Only where that is forgotten the directory is asked again, and not any more
    /// once it has not answered.
    async fn whose(&self, claim: &Claim, directory_answers: &mut bool) -> Option<Account> {
        let name = match claim {
            Claim::Anonymous | Claim::Unreadable => return None,
            Claim::Name(name) => name,
        };
        if let Some(account) = self.ledger.known(name) {
            return Some(account);
        }
        if *directory_answers {
            match self.rooms.directory.find(name).await {
                Ok(Some(found)) => {
                    self.ledger.remember(name, &found.account);
                    return Some(found.account);
                }
                Ok(None) => {}
                Err(error) => {
                    warn!(%error, "the account of a summary could not be looked up");
                    *directory_answers = false;
                }
            }
        }
        Some(nameless(name))
    }

    /// `ahead` is what the account has done that is not learned yet.
    async fn summary(&self, pending: &Pending, account: Option<Account>, ahead: Ahead) -> SessionSummary {
        let (names, key) = (&self.options.surroundings, &pending.key);
        let mut summary = SessionSummary {
            id: self.rooms.ids.event_id(pending.to),
            from: pending.from,
            to: pending.to,
            account,
            endpoint: Machine {
                address: key.address,
                name: names.endpoint(key.address).map(str::to_owned),
                site: names.site(key.address).map(str::to_owned),
            },
            application: key.application.clone(),
            listener: key.listener.clone(),
            client: pending.client,
            connections: pending.connections,
            tally: pending.tally.clone(),
            signals: Vec::new(),
        };
        let search = Operation::Search(None);
        let seen = Seen { ahead, ..summary_seen(&summary, &search) };
        match self.look_at(&seen, Vec::new()).await {
            Ok(look) => summary.signals = look.signals,
            Err(error) => warn!(%error, "it is not known what is unusual about a summary"),
        }
        summary
    }
}
