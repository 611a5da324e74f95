//! Everything that can be asked of the writer, and how one piece of it is done inside a transaction.

use portcullis_core::ConnectorName;
use portcullis_core::challenge::{ChallengeRecord, Forget};
use portcullis_core::channel::Subscription;
use portcullis_core::cloud::{CloudOverride, CloudTwin, FollowUp, SourceState};
use portcullis_core::demotion::WantedDemotion;
use portcullis_core::escalation::DueEscalation;
use portcullis_core::exclusion::NewExclusion;
use portcullis_core::incident::{IncidentAction, IncidentChange};
use portcullis_core::learned::Observation;
use portcullis_core::profile::{DecidedKind, StoredProfile};
use portcullis_core::revision::NewRevision;
use portcullis_core::store::{Administrator, ConsoleSession, StoreError};
use portcullis_core::{AccountId, EventId, IncidentId, Timestamp};
use sqlx::SqliteConnection;

use crate::batch::Batch;
use crate::events::EventRow;
use crate::fault::Fault;
use crate::{
    challenges, cloud_accounts, demotions, exclusions, history, incidents, open, outbox, plugin_state, policies,
    profiles, settings, sources,
};

/// A write.
pub(crate) enum Work {
    Append(Box<Entry>),
    ActOnIncident { id: IncidentId, action: IncidentAction, person: String, event: Box<EventRow> },
    Escalate { due: Box<DueEscalation>, event: Box<EventRow> },
    Exclude { incident: IncidentId, new: Box<NewExclusion>, person: String, event: Box<EventRow> },
    UndoExclusion { number: u64, person: String, event: Box<EventRow> },
    PutChallenge(Box<ChallengeRecord>),
    CancelOpenChallenges(Timestamp),
    Forget(Forget),
    SettleForgotten { event: EventId, happened: Option<Timestamp> },
    PutSetting { key: String, json: String },
    PutAdministrator(Administrator),
    PutSession { session: ConsoleSession, now: Timestamp },
    EndSession([u8; 32]),
    PutPluginState { plugin: String, key: String, value: Vec<u8>, quota: u64 },
    DeletePluginState { plugin: String, key: String },
    LimitSize(Option<u64>),
    PutPage(Box<Page>),
    PutHistory(Vec<Entry>),
    EndFollowUp { number: u64, entry: Box<Entry>, next: Option<FollowUp> },
    PutCloudAccount(Box<CloudTwin>),
    DecideCloudAccount { source: ConnectorName, id: String, decision: Option<CloudOverride>, event: Box<EventRow> },
    PutWithoutCloudAccount { source: ConnectorName, account: AccountId, at: Timestamp },
    PutProfiles(Box<profiles::Part>),
    PutRisks(Vec<StoredProfile>),
    DecideKind { account: AccountId, decision: Option<DecidedKind>, event: Box<EventRow> },
    WantDemotion(Box<WantedDemotion>),
    StepDemotion(Box<demotions::Step>),
    RestoreDemotion { number: u64, person: String, at: Timestamp, event: Box<EventRow> },
    PutRevision { new: Box<NewRevision>, json: String, event: Box<EventRow> },
    PutDraft { version: u64, json: String, event: Box<EventRow> },
    DropDraft { version: u64, event: Box<EventRow> },
    SetChannels(Vec<Subscription>),
    Settle(Box<outbox::Settlement>),
}

/// What a source told, ready to be written.
pub(crate) struct Page {
    pub(crate) source: ConnectorName,
    pub(crate) state: SourceState,
    pub(crate) entries: Vec<ForeignEntry>,
}

/// One event of it.
pub(crate) struct ForeignEntry {
    pub(crate) id: String,
    pub(crate) entry: Entry,
    pub(crate) follow_up: Option<FollowUp>,
    pub(crate) forget: Option<Forget>,
}

/// A record, ready to be written.
pub(crate) struct Entry {
    pub(crate) row: EventRow,
    pub(crate) learned: Option<Observation>,
    pub(crate) incidents: Vec<IncidentChange>,
    /// What people are told.
    pub(crate) notices: Vec<outbox::NewRow>,
}

/// What the writer answers: how many rows it was about, or why it did nothing.
pub(crate) type Answer = Result<u64, StoreError>;

impl Work {
    /// How many events it stores at most.
    pub(crate) fn events(&self) -> usize {
        match self {
            Self::PutPage(page) => page.entries.len(),
            Self::PutHistory(entries) => entries.len(),
            _ => 1,
        }
    }

    /// The record, where this is nothing but one, has no incidents and tells nobody: all there is to do can be said beforehand.
    pub(crate) fn as_plain_entry(&self) -> Option<&Entry> {
        match self {
            Self::Append(entry) if entry.incidents.is_empty() && entry.notices.is_empty() => Some(entry),
            _ => None,
        }
    }

    /// Does it. An error in the outer result spoils the transaction; one in the inner result has written nothing.
    pub(crate) async fn apply<'a>(
        &'a self,
        connection: &mut SqliteConnection,
        batch: &mut Batch<'a>,
    ) -> Result<Answer, Fault> {
        let rows = match self {
            Self::Append(entry) => append(connection, batch, entry).await?,
            Self::ActOnIncident { id, action, person, event } => {
                let done = incidents::act(connection, event, *id, action, person).await?;
                // The event says what the person did, so it is only true together with that.
                if let Ok(1..) = done {
                    batch.append(event);
                }
                return Ok(done);
            }
            Self::Escalate { due, event } => {
                told(incidents::severity::escalate(connection, event, due).await?, batch, event)
            }
            Self::Exclude { incident, new, person, event } => {
                let done = exclusions::exclude(connection, event, *incident, new, person).await?;
                return Ok(done.map(|rows| told(rows, batch, event)));
            }
            Self::UndoExclusion { number, person, event } => {
                told(exclusions::undo(connection, *number, person, event.at).await?, batch, event)
            }
            Self::PutChallenge(challenge) => challenges::put(connection, challenge).await?,
            Self::CancelOpenChallenges(at) => challenges::cancel_open(connection, *at).await?,
            Self::Forget(what) => challenges::forget(connection, what).await?,
            Self::SettleForgotten { event, happened } => challenges::settle(connection, *event, *happened).await?,
            Self::PutSetting { key, json } => settings::put_setting(connection, key, json).await?,
            Self::PutAdministrator(administrator) => settings::put_administrator(connection, administrator).await?,
            Self::PutSession { session, now } => settings::put_session(connection, session, *now).await?,
            Self::EndSession(token_hash) => settings::end_session(connection, token_hash).await?,
            Self::PutPluginState { plugin, key, value, quota } => {
                return plugin_state::put(connection, (plugin, key), value, *quota).await;
            }
            Self::DeletePluginState { plugin, key } => plugin_state::delete(connection, plugin, key).await?,
            Self::LimitSize(bytes) => open::limit_size(connection, *bytes).await?,
            Self::PutPage(page) => sources::put_page(connection, batch, page).await?,
            Self::PutHistory(entries) => history::put(connection, batch, entries).await?,
            Self::EndFollowUp { number, entry, next } => {
                sources::end_follow_up(connection, batch, *number, entry, next.as_ref()).await?
            }
            Self::PutCloudAccount(twin) => cloud_accounts::put(connection, twin).await?,
            Self::DecideCloudAccount { source, id, decision, event } => {
                let decided = cloud_accounts::decide(connection, source, id, decision.as_ref()).await?;
                if decided > 0 {
                    batch.append(event);
                }
                decided
            }
            Self::PutWithoutCloudAccount { source, account, at } => {
                cloud_accounts::put_without(connection, source, account, *at).await?
            }
            Self::PutProfiles(part) => profiles::put(connection, part).await?,
            Self::PutRisks(decayed) => profiles::put_risks(connection, decayed).await?,
            Self::DecideKind { account, decision, event } => {
                batch.append(event);
                profiles::decide(connection, account, decision.as_ref()).await?
            }
            Self::WantDemotion(wanted) => demotions::want(connection, wanted).await?,
            Self::StepDemotion(step) => {
                let done = demotions::step(connection, step).await?;
                if done > 0
                    && let Some(entry) = &step.entry
                {
                    append(connection, batch, entry).await?;
                }
                done
            }
            Self::RestoreDemotion { number, person, at, event } => {
                let done = demotions::restore(connection, *number, person, *at).await?;
                if done > 0 {
                    batch.append(event);
                }
                done
            }
            Self::PutRevision { new, json, event } => {
                told(policies::put_revision(connection, new, json).await?, batch, event)
            }
            Self::PutDraft { version, json, event } => {
                told(policies::put_draft(connection, *version, json).await?, batch, event)
            }
            Self::DropDraft { version, event } => told(policies::drop_draft(connection, *version).await?, batch, event),
            Self::SetChannels(channels) => outbox::set_channels(connection, channels).await?,
            Self::Settle(settlement) => {
                if let outbox::Outcome::GivenUp { entry, .. } = &settlement.what {
                    append(connection, batch, entry).await?;
                }
                outbox::settle(connection, settlement).await?
            }
        };
        Ok(Ok(rows))
    }
}

/// Stores the event that tells of it, where something was done.
fn told<'a>(done: u64, batch: &mut Batch<'a>, event: &'a EventRow) -> u64 {
    if done > 0 {
        batch.append(event);
    }
    done
}

pub(crate) async fn append<'a>(
    connection: &mut SqliteConnection,
    batch: &mut Batch<'a>,
    entry: &'a Entry,
) -> Result<u64, Fault> {
    batch.append_entry(entry);
    for change in &entry.incidents {
        incidents::change(connection, &entry.row, change).await?;
    }
    for notice in &entry.notices {
        outbox::add(connection, &entry.row, notice).await?;
    }
    Ok(1)
}
