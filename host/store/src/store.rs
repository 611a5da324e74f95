//! The store as the other rooms hold it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use portcullis_core::store::StoreError;
use sqlx::SqlitePool;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use crate::fault::{closed, store_error};
use crate::memory::Memory;
use crate::numbers::unsigned;
use crate::open::{Database, StoreOptions};
use crate::queue::{Queue, Refusal};
use crate::work::{Answer, Work};
use crate::writer::{Job, Round, Writer};

/// The SQLite store. Clones share one database; cloning is cheap.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    busy_timeout: Duration,
    queue: Arc<Queue<Job>>,
    readers: SqlitePool,
    status: Arc<Status>,
    memory: Arc<Memory>,
    running: watch::Receiver<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// How the store is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why the latest transaction failed; none when it did not.
    pub last_error: Option<String>,
    /// How many writes are waiting.
    pub queued: usize,
    /// How many events have been stored since the store was created.
    pub events: u64,
}

impl Store {
    /// Opens the database, creates it when it is missing, and brings its schema up to date. Has to be called inside a
    /// tokio runtime; the writer has a thread of its own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be created, opened, or upgraded, or was written by a newer
    /// version; [`StoreError::Damaged`] when its schema is not one of ours.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let database = Database::create(&options)?;
        database.migrate().await.map_err(|error| of_file(&options, error))?;
        let mut connection =
            database.connect_writer(options.max_bytes).await.map_err(|fault| of_file(&options, fault.error))?;
        let events: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM events")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| of_file(&options, store_error(error)))?;

        let readers = database.readers(options.readers);
        let status = Arc::new(Status::new(unsigned(events), options.max_bytes));
        let memory = Arc::new(Memory::default());
        let queue = Arc::new(Queue::new(options.queue.clamp(1, 1_000_000)));
        let (ended, running) = watch::channel(());
        let unable = |error: io::Error| {
            StoreError::Unavailable(format!("{}: its thread cannot start: {error}", options.path.display()))
        };
        let writer = Writer {
            queue: Arc::clone(&queue),
            database,
            runtime: runtime::Builder::new_current_thread().enable_time().build().map_err(unable)?,
            direct: None,
            connection: Some(connection),
            readers: readers.clone(),
            status: Arc::clone(&status),
            memory: Arc::clone(&memory),
            last: Round::default(),
            end: None,
            identifiers: None,
            running: ended,
        };
        thread::Builder::new().name("store-writer".to_owned()).spawn(|| writer.run()).map_err(unable)?;
        let (path, busy_timeout) = (options.path, options.busy_timeout);
        Ok(Self { shared: Arc::new(Shared { path, busy_timeout, queue, readers, status, memory, running }) })
    }

    /// Writes what is still queued and closes the database. Everything that is asked afterwards, through any clone, is
    /// answered with [`StoreError::Unavailable`]. Dropping all clones does the same in the background.
    pub async fn close(&self) {
        self.shared.queue.close();
        let mut running = self.shared.running.clone();
        // The writer never sends; the wait ends with an error when it has ended.
        while running.changed().await.is_ok() {}
    }

    /// How the store is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        let Shared { queue, status, .. } = &*self.shared;
        let last_error = if queue.is_closed() { Some(closed().to_string()) } else { status.last_error() };
        Health { last_error, queued: queue.len(), events: status.events.load(Ordering::Relaxed) }
    }

    /// Changes [`StoreOptions::max_bytes`] while the store is open.
    ///
    /// # Errors
    /// As for every write.
    pub async fn limit_size(&self, max_bytes: Option<u64>) -> Result<(), StoreError> {
        // Noted first: the writer may have to open a new connection, which takes the limit from there.
        self.shared.status.set_max_bytes(max_bytes);
        self.queue(Work::LimitSize(max_bytes))?.done().await.map(drop)
    }

    /// Queues a write now.
    pub(crate) fn queue(&self, work: Work) -> Result<Queued, StoreError> {
        let (answer, waiting) = oneshot::channel();
        let queue = &self.shared.queue;
        queue.put(Job { work, answer }).map_err(|refusal| match refusal {
            Refusal::Full => StoreError::Overloaded(queue.capacity()),
            Refusal::Closed => closed(),
        })?;
        Ok(Queued(waiting))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        self.shared.busy_timeout
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.shared.readers
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    pub(crate) fn mark(&self) -> watch::Receiver<u64> {
        self.shared.status.mark.subscribe()
    }
}

/// A write that waits for its transaction.
pub(crate) struct Queued(oneshot::Receiver<(Answer, Work)>);

impl Queued {
    pub(crate) async fn done(self) -> Answer {
        // The writer answers every job it takes, so this fails only when the runtime ends before the writer could.
        self.0.await.map_or_else(|_| Err(closed()), |(answer, _)| answer)
    }
}

fn of_file(options: &StoreOptions, error: StoreError) -> StoreError {
    let path = options.path.display();
    match error {
        StoreError::Unavailable(text) => StoreError::Unavailable(format!("{path}: {text}")),
        StoreError::Damaged(text) => StoreError::Damaged(format!("{path}: {text}")),
        other @ (StoreError::Overloaded(_) | StoreError::Quota(_)) => other,
    }
}

/// What the writer tells those who do not wait for a certain write.
pub(crate) struct Status {
    mark: watch::Sender<u64>,
    events: AtomicU64,
    last_error: Mutex<Option<String>>,
    max_bytes: Mutex<Option<u64>>,
}

impl Status {
    fn new(events: u64, max_bytes: Option<u64>) -> Self {
        // Starting above zero lets everybody who has seen nothing yet go on at once.
        let mark = watch::Sender::new(events.saturating_add(1));
        Self { mark, events: AtomicU64::new(events), last_error: Mutex::default(), max_bytes: Mutex::new(max_bytes) }
    }

    /// `last_sequence` is the log's last one, `changes` how many events have been added. An incident never changes without
    /// an event.
    pub(crate) fn committed(&self, last_sequence: u64, changes: u64) {
        let recovered = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        if recovered.is_some() {
            tracing::info!("the event store writes again");
        }
        if changes > 0 {
            self.events.store(last_sequence, Ordering::Relaxed);
            self.mark.send_modify(|mark| *mark = mark.saturating_add(changes));
        }
    }

    pub(crate) fn failed(&self, error: &StoreError) {
        let text = error.to_string();
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // The same failure again and again is one line in the log, not one per record.
        if last.as_ref() != Some(&text) {
            tracing::error!(error = text, "the event store could not write");
            *last = Some(text);
        }
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn max_bytes(&self) -> Option<u64> {
        *self.max_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_max_bytes(&self, bytes: Option<u64>) {
        *self.max_bytes.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}
