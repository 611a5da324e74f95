//! Folding the write-ahead log into the database while the writer goes on.
//!
//! SQLite does so at the end of some transaction, which then takes twenty times as long as others. Here a thread of its own does
//! the bulk of it. What was written meanwhile, a few pages, the writer folds in itself, because only then does the log begin anew
//! (SQLite, "Write-Ahead Logging", section 3).

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Pages that the log grows by before it is folded in.
const PAGES: i32 = 1000;

thread_local! {
    /// How many pages were in the log after this thread's last commit. A hook is no closure, so it has no other place.
    static LOGGED: Cell<i32> = const { Cell::new(0) };
}

/// The thread, and how far it is.
pub(crate) struct Checkpointer {
    /// None once it ends.
    wanted: Option<SyncSender<()>>,
    is_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    is_asked: bool,
    /// Pages from which on it is asked the next time. They stay where somebody who reads for long needs them.
    from: i32,
}

impl Checkpointer {
    /// None when there can be no thread; then SQLite does it at the end of transactions.
    pub(crate) fn start(path: PathBuf, busy_timeout: Duration) -> Option<Self> {
        let (wanted, asked) = sync_channel::<()>(1);
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let work = move || {
            let mut connection = None;
            while asked.recv().is_ok() {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let opened = connection.take().map_or_else(|| Connection::open_with_flags(&path, flags), Ok);
                match opened.and_then(|opened| opened.busy_timeout(busy_timeout).map(|()| opened)) {
                    Ok(opened) => {
                        fold(&opened);
                        connection = Some(opened);
                    }
                    Err(error) => tracing::warn!(%error, "the write-ahead log cannot be folded in beside the writer"),
                }
                done.store(true, Ordering::Release);
            }
        };
        let thread = thread::Builder::new().name("store-checkpoint".to_owned()).spawn(work);
        let thread = thread.inspect_err(|error| tracing::warn!(%error, "there is no thread for checkpoints")).ok()?;
        Some(Self { wanted: Some(wanted), is_done, thread: Some(thread), is_asked: false, from: PAGES })
    }

    /// Counts the pages that commits of this connection, on this thread, leave in the log.
    pub(crate) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_, pages| {
            LOGGED.set(pages);
            Ok(())
        }));
    }

    /// Does what is to be done after a commit of that connection.
    pub(crate) fn after_commit(&mut self, connection: &Connection) {
        if self.is_asked {
            if self.is_done.swap(false, Ordering::Acquire) {
                self.is_asked = false;
                let left = fold(connection);
                self.from = left.saturating_add(PAGES);
            }
        } else if LOGGED.get() >= self.from {
            // There is room for it: it has not been asked since it was done.
            self.is_asked = self.wanted.as_ref().is_some_and(|wanted| wanted.try_send(()).is_ok());
        } else if self.from > PAGES && LOGGED.get() < PAGES {
            self.from = PAGES;
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wanted = None;
        // A thread that panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Folds in what can be without waiting for anybody. Returns how many pages are left in the log that could not be; what cannot be done
/// now is done the next time, and nothing is lost meanwhile.
fn fold(connection: &Connection) -> i32 {
    let folded = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (logged, folded): (i32, i32) = (row.get(1)?, row.get(2)?);
        Ok(if folded < logged { logged } else { 0 })
    });
    folded.unwrap_or_else(|error| {
        tracing::warn!(%error, "the write-ahead log was not folded into the database");
        0
    })
}
