//! The one thread that writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::store::StoreError;
use sqlx::{Connection as _, Executor as _, SqliteConnection, SqlitePool};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use crate::batch::{Batch, End, Written};
use crate::direct::Direct;
use crate::fault::{Fault, Scope};
use crate::identifiers::Identifiers;
use crate::memory::Memory;
use crate::open::Database;
use crate::queue::Queue;
use crate::settle::settle;
use crate::store::Status;
use crate::work::{Answer, Entry, Work};

/// The most events in one transaction, unless one write alone has more.
const MOST_EVENTS: usize = 2048;
/// The most writes in one transaction. More would make the first of them wait for longer than the disk takes anyway.
const MOST_PER_TRANSACTION: usize = 256;

/// How long writes wait at most for others to share their transaction.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);

/// A write and who waits for it.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) answer: oneshot::Sender<(Answer, Work)>,
}

/// Owns the only connections that may write. Ends when the last [`crate::Store`] is dropped or closed, after it has done
/// what is still queued.
///
/// It has a thread of its own and not a task: a commit blocks, and each time that work is handed from one thread to
/// another costs about as much as a row. So the threads that ask hand it over once, and are told once.
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) database: Database,
    /// For what the thread waits for and does not do itself.
    pub(crate) runtime: Runtime,
    /// For transactions of nothing but events. None until one is needed, and after a failure; so too the other one. A
    /// connection that failed is never used again, because what is left of its transaction is not known.
    pub(crate) direct: Option<Direct>,
    /// For all other transactions.
    pub(crate) connection: Option<SqliteConnection>,
    pub(crate) readers: SqlitePool,
    pub(crate) status: Arc<Status>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) last: Round,
    /// Where this writer has left the log; none before its first transaction.
    pub(crate) end: Option<End>,
    /// None where they are not known.
    pub(crate) identifiers: Option<Identifiers>,
    /// Dropped when the writer has ended, which is what [`crate::Store::close`] waits for.
    pub(crate) running: watch::Sender<()>,
}

/// What a round of writing was like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Round {
    writes: usize,
    /// Writes that were waiting when it was done.
    came_meanwhile: usize,
    took: Duration,
}

impl Writer {
    /// The thread's life.
    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _taking = Taking(&queue);
        let mut jobs = Vec::with_capacity(MOST_PER_TRANSACTION);
        loop {
            // While one transaction is being committed, the writes of the next one gather in the queue.
            let (wanted, patience) = self.gathering();
            queue.take(wanted, patience, MOST_PER_TRANSACTION, &mut jobs);
            if jobs.is_empty() {
                break;
            }
            let (began, writes) = (Instant::now(), jobs.len());
            while !jobs.is_empty() {
                let rest = jobs.split_off(fitting(&jobs));
                self.settle(&mut jobs);
                jobs = rest;
            }
            self.last = Round { writes, took: began.elapsed(), ..self.last };
            self.tidy();
        }
        self.finish();
    }

    /// How many writes are waited for, and for how long. A commit costs much the same however many share it; so those who wrote the
    /// last time, and have been told, are waited for as well as those who came meanwhile, for twice as long as that took. Who
    /// writes alone waits for nobody.
    fn gathering(&self) -> (usize, Duration) {
        let Round { writes, came_meanwhile, took } = self.last;
        let wanted = writes.saturating_add(came_meanwhile).clamp(1, MOST_PER_TRANSACTION);
        (wanted, took.saturating_mul(2).min(LONGEST_GATHERING))
    }

    /// Does what can wait until those who waited for a commit have been told.
    fn tidy(&mut self) {
        let (Some(direct), Some(end), Some(identifiers)) = (&mut self.direct, &mut self.end, &mut self.identifiers)
        else {
            return;
        };
        match direct.tidy(end) {
            Ok(settled) if settled != end.settled => {
                end.settled = settled;
                identifiers.settle();
            }
            Ok(_) => {}
            // The next transaction that has to finds out what is wrong, and there is somebody to be told.
            Err(fault) => {
                tracing::warn!(error = %fault.error, "the event store was not tidied up");
                self.direct = None;
            }
        }
    }

    /// Does all jobs and tells everybody who waits.
    fn settle(&mut self, jobs: &mut Vec<Job>) {
        let done = self.commit(jobs);
        // Before anybody is told, and may come again.
        self.last.came_meanwhile = self.queue.len();
        match done {
            Ok(answers) => jobs.drain(..).zip(answers).for_each(|(job, answer)| tell(job, answer)),
            Err(fault) => match jobs.len() {
                1 => jobs.drain(..).for_each(|job| tell(job, Err(fault.error.clone()))),
                _ => self.settle_one_by_one(jobs),
            },
        }
    }

    fn settle_one_by_one(&mut self, jobs: &mut Vec<Job>) {
        let mut hopeless: Option<StoreError> = None;
        for job in jobs.drain(..) {
            let answer = match &hopeless {
                // Each try may take as long as the busy timeout; what failed for all is not tried 256 times.
                Some(error) => Err(error.clone()),
                None => match self.commit(std::slice::from_ref(&job)) {
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
    fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Fault> {
        match self.transaction(jobs) {
            Ok(Done { answers, written }) => {
                let Written { end, rows, observations } = written;
                self.memory.learn(end.sequence, observations);
                self.status.committed(end.sequence, u64::try_from(rows.len()).unwrap_or(u64::MAX));
                self.identifiers.iter_mut().for_each(|identifiers| identifiers.add(rows.iter().copied()));
                self.end = Some(end);
                Ok(answers)
            }
            Err(fault) => {
                self.identifiers = None;
                match fault.scope {
                    Scope::Write => tracing::warn!(error = %fault.error, "a write was refused by the event store"),
                    Scope::Room | Scope::Store => self.status.failed(&fault.error),
                }
                Err(fault)
            }
        }
    }

    fn transaction<'a>(&mut self, jobs: &'a [Job]) -> Result<Done<'a>, Fault> {
        if let Some(entries) = plain_entries(jobs)
            && let Some(written) = self.directly(&entries)?
        {
            return Ok(Done { answers: jobs.iter().map(|_| Ok(1)).collect(), written });
        }
        self.step_by_step(jobs)
    }

    /// Stores nothing but events; none where it is not known where the log ends.
    fn directly<'a>(&mut self, entries: &[&'a Entry]) -> Result<Option<Written<'a>>, Fault> {
        let (Some(end), Some(identifiers)) = (&self.end, &self.identifiers) else { return Ok(None) };
        let rows = entries.iter().map(|entry| &entry.row);
        let Some(doubtful) = identifiers.doubtful(rows.clone()) else { return Ok(None) };
        let mut direct = match self.direct.take() {
            Some(direct) => direct,
            None => self.database.connect_directly(self.status.max_bytes())?,
        };
        // What fails is dropped, which closes the connection and rolls back.
        let after = direct.commit(end, entries, &doubtful)?;
        self.direct = Some(direct);
        let observations = || entries.iter().filter_map(|entry| entry.learned.as_ref()).collect();
        Ok(after.map(|end| Written { end, rows: rows.collect(), observations: observations() }))
    }

    /// All else, through the connection that has a thread of its own.
    fn step_by_step<'a>(&mut self, jobs: &'a [Job]) -> Result<Done<'a>, Fault> {
        // A new limit to the size is to hold for both connections.
        if jobs.iter().any(|job| matches!(job.work, Work::LimitSize(_))) {
            self.direct = None;
        }
        let Self { runtime, connection: place, database, status, memory, end, identifiers, .. } = self;
        runtime.block_on(async {
            let mut connection = match place.take() {
                Some(connection) => connection,
                None => database.connect_writer(status.max_bytes()).await?,
            };
            match step_by_step(&mut connection, end.as_ref(), identifiers, memory, jobs).await {
                Ok(done) => {
                    *place = Some(connection);
                    Ok(done)
                }
                Err(fault) => {
                    // Closing rolls back. When even that fails, the database does it as soon as the file is closed.
                    let _ = connection.close().await;
                    Err(fault)
                }
            }
        })
    }

    fn finish(self) {
        let Self { runtime, direct, connection, readers, running, .. } = self;
        runtime.block_on(async {
            // The readers go first, so that the writer is the last to close and leaves one complete file behind.
            readers.close().await;
            drop(direct);
            if let Some(connection) = connection
                && let Err(error) = connection.close().await
            {
                tracing::warn!(%error, "the event store was not closed properly; nothing that was acknowledged is lost");
            }
        });
        drop(running);
    }
}

/// Refuses what comes when nobody takes it any more, however that came about.
struct Taking<'a>(&'a Queue<Job>);

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The records, where all jobs are nothing but one without incidents.
fn plain_entries(jobs: &[Job]) -> Option<Vec<&Entry>> {
    jobs.iter().map(|job| job.work.as_plain_entry()).collect()
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

/// Who has gone away in the meantime is not told. What was written goes back to who made it: whoever gives back another thread's memory
/// gets into its way.
fn tell(job: Job, answer: Answer) {
    let _ = job.answer.send((answer, job.work));
}

/// What a transaction has done.
struct Done<'a> {
    answers: Vec<Answer>,
    written: Written<'a>,
}

/// `before` is where the log ended after the writer's last transaction.
async fn step_by_step<'a>(
    connection: &mut SqliteConnection,
    before: Option<&End>,
    known: &mut Option<Identifiers>,
    memory: &Memory,
    jobs: &'a [Job],
) -> Result<Done<'a>, Fault> {
    // Takes the write lock at once: a transaction that starts as a reader can fail halfway when somebody else writes.
    connection.execute("BEGIN IMMEDIATE").await?;
    let mut end = End::read(connection).await?;
    // What another process has learned is in its events' transactions, and nowhere in this one's memory.
    if before.is_none_or(|before| !before.is_where(&end)) {
        memory.forget();
        *known = None;
    }
    let identifiers = match known {
        Some(identifiers) => identifiers,
        None => known.insert(Identifiers::read(connection).await?),
    };
    let settled = settle(connection, end.sequence, end.settled).await?;
    if settled != end.settled {
        end.settled = settled;
        identifiers.settle();
    }
    let mut batch = Batch::after(end, jobs.len());
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        answers.push(job.work.apply(connection, &mut batch).await?);
    }
    let written = batch.commit(connection, identifiers).await?;
    Ok(Done { answers, written })
}
