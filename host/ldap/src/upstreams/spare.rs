//! Connections to a server that nobody uses at the moment.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

use super::server::Lease;
use crate::pipe::{Stream, move_here};

/// How long a connection may lie unused. Directories close connections on which nothing comes: Active Directory those
/// without a first request after 120 s ([MS-ADTS] 3.1.1.3.4.6, `InitRecvTimeout`).
const UNUSED: Duration = Duration::from_secs(60);
/// How old a connection may get, so that a name that leads elsewhere by now is followed.
const OLDEST: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing was ever sent on it.
    Fresh,
    /// A client has used it; by now the directory takes it for nobody's.
    Used,
}

#[derive(Debug)]
pub(super) struct Spare {
    most: usize,
    idle: Mutex<VecDeque<Idle>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    lease: Lease,
    kind: Kind,
    since: Instant,
    /// The runtime that waits for its socket.
    home: Id,
}

impl Idle {
    /// Still there, silent, and not too old.
    fn is_good(&mut self, now: Instant) -> bool {
        now < self.since + UNUSED && now < self.lease.made() + OLDEST && is_silent(&mut self.stream)
    }
}

impl Spare {
    pub(super) fn new(most: usize) -> Self {
        Self { most, idle: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.len() < self.most
    }

    pub(super) fn put(&self, stream: Stream, lease: Lease, kind: Kind) {
        let mut idle = self.lock();
        if idle.len() < self.most {
            idle.push_back(Idle { stream, lease, kind, since: Instant::now(), home: Handle::current().id() });
        }
    }

    /// The one that was put here last, so that those which are not needed grow old; of this runtime, where there is one. A
    /// used one only for `begins_with_bind`.
    pub(super) fn take(&self, begins_with_bind: bool) -> Option<(Stream, Lease)> {
        let (now, here) = (Instant::now(), Handle::current().id());
        let fits = |idle: &Idle| begins_with_bind || idle.kind == Kind::Fresh;
        loop {
            let mut idle = self.lock();
            let near = idle.iter().rposition(|idle| fits(idle) && idle.home == here);
            let place = near.or_else(|| idle.iter().rposition(fits))?;
            let mut found = idle.remove(place)?;
            drop(idle);
            if found.is_good(now) && (found.home == here || move_here(found.stream.socket_mut()).is_ok()) {
                return Some((found.stream, found.lease));
            }
        }
    }

    /// Gives one up; false when there is none.
    pub(super) fn drop_one(&self) -> bool {
        let oldest = self.lock().pop_front();
        oldest.is_some()
    }

    /// Gives up those that are no good any more.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain_mut(|idle| idle.is_good(now));
    }

    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }
}

/// Nothing has come, not even the end. What a directory says without being asked is a farewell.
fn is_silent(stream: &mut Stream) -> bool {
    let mut octet = [MaybeUninit::uninit()];
    match (socket2::SockRef::from(stream.socket()).peek(&mut octet), stream) {
        (Err(error), _) => error.kind() == io::ErrorKind::WouldBlock,
        (Ok(1..), Stream::Tls(tls)) => {
            // A session ticket, perhaps: records that carry nothing for us.
            let mut octet = [0; 1];
            let mut cx = Context::from_waker(Waker::noop());
            Pin::new(tls).poll_read(&mut cx, &mut ReadBuf::new(&mut octet)).is_pending()
        }
        (Ok(_), _) => false,
    }
}
