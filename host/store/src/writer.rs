//! The one task that writes.

use std::sync::Arc;

use portcullis_core::store::StoreError;
use sqlx::{Connection as _, Executor as _, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot, watch};

use crate::batch::{Batch, End, Span, Written};
use crate::fault::{Fault, Scope};
use crate::learned;
use crate::memory::Memory;
use crate::open::Database;
use crate::store::Status;
use crate::work::{Answer, Work};

/// The most events in one transaction, unless one write alone has more.
const MOST_EVENTS: usize = 2048;
/// The most writes in one transaction. More would make the first of them wait for longer than the disk takes anyway.
const MOST_PER_TRANSACTION: usize = 256;

/// A write and who waits for it.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Owns the only connection that may write. Ends when the last [`crate::Store`] is dropped or closed, after it has done
/// what is still queued.
pub(crate) struct Writer {
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) database: Database,
    /// None after a failure, until the next transaction needs it. A connection that failed is never used again, because
    /// what is left of its transaction is not known.
    pub(crate) connection: Option<SqliteConnection>,
    pub(crate) readers: SqlitePool,
    pub(crate) status: Arc<Status>,
    pub(crate) memory: Arc<Memory>,
    /// Where the connection has left the log; none for one that has not written yet.
    pub(crate) end: Option<End>,
    /// Dropped when the writer has ended, which is what [`crate::Store::close`] waits for.
    pub(crate) running: watch::Sender<()>,
}

impl Writer {
    pub(crate) async fn run(mut self) {
        let mut jobs = Vec::with_capacity(MOST_PER_TRANSACTION);
        // While one transaction is being committed, the writes of the next one gather in the channel.
        while self.jobs.recv_many(&mut jobs, MOST_PER_TRANSACTION).await > 0 {
            while !jobs.is_empty() {
                let rest = jobs.split_off(fitting(&jobs));
                self.settle(&mut jobs).await;
                jobs = rest;
            }
            // Those who have just been told go first: what they write next is in the next transaction, and not in the one
            // after it. Half as many commits do the same work then.
            tokio::task::yield_now().await;
        }
        self.finish().await;
    }

    /// Does all jobs and tells everybody who waits.
    async fn settle(&mut self, jobs: &mut Vec<Job>) {
        match self.commit(jobs).await {
            Ok(answers) => jobs.drain(..).zip(answers).for_each(|(job, answer)| tell(job, answer)),
            Err(fault) => match jobs.len() {
                1 => jobs.drain(..).for_each(|job| tell(job, Err(fault.error.clone()))),
                _ => self.settle_one_by_one(jobs).await,
            },
        }
    }

    async fn settle_one_by_one(&mut self, jobs: &mut Vec<Job>) {
        let mut hopeless: Option<StoreError> = None;
        for job in jobs.drain(..) {
            let answer = match &hopeless {
                // Each try may take as long as the busy timeout; what failed for all is not tried 256 times.
                Some(error) => Err(error.clone()),
                None => match self.commit(std::slice::from_ref(&job)).await {
                    Ok(answers) => {
                        answers.into_iter().collect::<Result<Vec<_>, _>>().map(|rows| rows.into_iter().sum())
                    }
                    Err(Fault { error, scope }) => {
                        hopeless = (scope == Scope::Store).then(|| error.clone());
                        Err(error)
                    }
                },
            };
            tell(job, answer);
        }
    }

    /// One transaction over all jobs. After an error nothing of it has happened.
    async fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Fault> {
        let connected = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                // What was written while there was no connection is not known.
                self.memory.forget();
                self.end = None;
                self.database.connect_writer(self.status.max_bytes()).await
            }
        };
        let outcome = match connected {
            Ok(mut connection) => match transaction(&mut connection, self.end.as_ref(), jobs).await {
                Ok(done) => {
                    self.connection = Some(connection);
                    let version = done.written.end.data_version;
                    if self.end.replace(done.written.end.clone()).is_some_and(|before| before.data_version != version) {
                        self.memory.forget();
                    }
                    self.memory.learn(done.written.end.sequence, done.written.observations.iter().copied());
                    Ok(done)
                }
                Err(fault) => {
                    // Closing rolls back. When even that fails, the database does it as soon as the file is closed.
                    let _ = connection.close().await;
                    Err(fault)
                }
            },
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok(done) => {
                self.status.committed(done.written.end.sequence, done.written.count);
                Ok(done.answers)
            }
            Err(fault) => {
                match fault.scope {
                    Scope::Write => tracing::warn!(error = %fault.error, "a write was refused by the event store"),
                    Scope::Room | Scope::Store => self.status.failed(&fault.error),
                }
                Err(fault)
            }
        }
    }

    async fn finish(mut self) {
        // The readers go first, so that the writer is the last to close and leaves one complete file behind.
        self.readers.close().await;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the event store was not closed properly; nothing that was acknowledged is lost");
        }
        drop(self.running);
    }
}

/// How many of the jobs, at least one, go into one transaction.
fn fitting(jobs: &[Job]) -> usize {
    let mut events = 0;
    let fit = jobs.iter().take_while(|job| {
        events += job.work.events();
        events <= MOST_EVENTS
    });
    fit.count().max(1)
}

/// Who has gone away in the meantime is not told.
fn tell(job: Job, answer: Answer) {
    let _ = job.answer.send(answer);
}

/// What a transaction has done.
struct Done<'a> {
    answers: Vec<Answer>,
    written: Written<'a>,
}

/// One transaction over all jobs. `end` is where the log ended after the last one on this connection.
async fn transaction<'a>(
    connection: &mut SqliteConnection,
    end: Option<&End>,
    jobs: &'a [Job],
) -> Result<Done<'a>, Fault> {
    if let Some(end) = end
        && let Some(done) = at_once(connection, end, jobs).await?
    {
        return Ok(done);
    }
    step_by_step(connection, jobs).await
}

/// With a single call of the database, where all jobs are plain entries; none where that is not so, or where somebody
/// else has written.
async fn at_once<'a>(connection: &mut SqliteConnection, end: &End, jobs: &'a [Job]) -> Result<Option<Done<'a>>, Fault> {
    if learned::is_time_to_settle(end.sightings) || jobs.iter().any(|job| job.work.as_plain_entry().is_none()) {
        return Ok(None);
    }
    let mut batch = Batch::after(end.clone(), jobs.len());
    for entry in jobs.iter().filter_map(|job| job.work.as_plain_entry()) {
        batch.append_entry(entry);
    }
    let written = batch.commit(connection, Span::Whole).await?;
    Ok(written.map(|written| Done { answers: jobs.iter().map(|_| Ok(1)).collect(), written }))
}

async fn step_by_step<'a>(connection: &mut SqliteConnection, jobs: &'a [Job]) -> Result<Done<'a>, Fault> {
    // Takes the write lock at once: a transaction that starts as a reader can fail halfway when somebody else writes.
    connection.execute("BEGIN IMMEDIATE").await?;
    let mut end = End::read(connection).await?;
    end.sightings = learned::settle(connection, end.sightings).await?;
    let mut batch = Batch::after(end, jobs.len());
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        answers.push(job.work.apply(connection, &mut batch).await?);
    }
    match batch.commit(connection, Span::End).await? {
        Some(written) => Ok(Done { answers, written }),
        // Nobody else can write while this transaction is under way.
        None => {
            Err(Fault { error: StoreError::Damaged("the database changes by itself".to_owned()), scope: Scope::Store })
        }
    }
}
