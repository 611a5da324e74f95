//! The one task that writes.

use std::sync::Arc;

use portcullis_core::store::StoreError;
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot, watch};

use crate::events::Batch;
use crate::fault::{Fault, Scope};
use crate::learned;
use crate::memory::{Learned, Memory};
use crate::open::Database;
use crate::store::Status;
use crate::work::{Answer, Lessons, Work};

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
    /// What the connection last said about others' writes; none for a connection that was not asked yet.
    pub(crate) data_version: Option<i64>,
    /// Dropped when the writer has ended, which is what [`crate::Store::close`] waits for.
    pub(crate) running: watch::Sender<()>,
}

impl Writer {
    pub(crate) async fn run(mut self) {
        let mut jobs = Vec::with_capacity(MOST_PER_TRANSACTION);
        // While one transaction is being committed, the writes of the next one gather in the channel.
        while self.jobs.recv_many(&mut jobs, MOST_PER_TRANSACTION).await > 0 {
            self.settle(&mut jobs).await;
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
                self.data_version = None;
                self.database.connect_writer(self.status.max_bytes()).await
            }
        };
        self.memory.begin();
        let outcome = match connected {
            Ok(mut connection) => match transaction(&mut connection, jobs).await {
                Ok(done) => {
                    self.connection = Some(connection);
                    if self.data_version.replace(done.data_version).is_some_and(|before| before != done.data_version) {
                        self.memory.forget();
                    }
                    self.memory.end(&done.lessons);
                    Ok(done)
                }
                Err(fault) => {
                    self.memory.end(&[]);
                    // Closing rolls back. When even that fails, the database does it as soon as the file is closed.
                    let _ = connection.close().await;
                    Err(fault)
                }
            },
            Err(fault) => {
                self.memory.end(&[]);
                Err(fault)
            }
        };
        match outcome {
            Ok(done) => {
                self.status.committed(done.last_sequence, done.changes);
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

/// Who has gone away in the meantime is not told.
fn tell(job: Job, answer: Answer) {
    let _ = job.answer.send(answer);
}

/// What a transaction has done.
struct Done<'a> {
    answers: Vec<Answer>,
    lessons: Vec<Learned<'a>>,
    /// Changes when somebody else has written (SQLite, `PRAGMA data_version`).
    data_version: i64,
    /// Sequence of its last event, if it has any.
    last_sequence: Option<u64>,
    /// How much has changed in the log and in the incidents. An incident never changes without an event.
    changes: u64,
}

async fn transaction<'a>(connection: &mut SqliteConnection, jobs: &'a [Job]) -> Result<Done<'a>, Fault> {
    // Takes the write lock at once: a transaction that starts as a reader can fail halfway when somebody else writes.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let data_version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *transaction).await?;
    let mut batch = Batch::begin(&mut transaction).await?;
    let (mut answers, mut lessons) = (Vec::with_capacity(jobs.len()), Lessons::with_capacity(jobs.len()));
    for job in jobs {
        answers.push(job.work.apply(&mut transaction, &mut batch, &mut lessons).await?);
    }
    let changes = batch.count();
    let lessons = learned::learn(&mut transaction, &lessons).await?;
    let last_sequence = batch.seal(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Done { answers, lessons, data_version, last_sequence, changes })
}
