//! An embedded sample directory, for a demonstration that needs nothing installed.
//!
//! It answers the operations that clients use to look up and to log in: simple and anonymous bind, search with paging,
//! compare, "who am I". It refuses changes. Anybody reads the root DSE; everybody who is bound reads everything but
//! `userPassword`. It is a sample, not a directory server: everything is in memory and made anew on every start.

mod filter;
mod session;
mod tree;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::tree::Tree;
use crate::company::Company;
use crate::net::listen;

/// Connections beyond this number wait until others have gone.
const MAX_CONNECTIONS: usize = 256;
/// How long connections may take to end when the directory is stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// A running embedded directory. Dropping it stops it.
pub struct Directory {
    addr: SocketAddr,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Directory {
    /// Starts on the address, whose port may be 0 for any free one, with the company in it.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(company: &Company, addr: SocketAddr) -> anyhow::Result<Self> {
        let listener = listen(addr).await?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let tree = Arc::new(Tree::new(company));
        tasks.spawn(accept(listener, tree, tasks.clone(), stop.clone()));
        Ok(Self { addr, tasks, stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The `ldap://` URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("ldap://{}", self.addr)
    }

    /// Stops listening, closes the connections after the answer at hand, and waits for them, at most five seconds.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("connections of the sample directory did not end in time");
        }
    }
}

async fn accept(listener: TcpListener, tree: Arc<Tree>, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let connection = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            connection = connection => connection,
        };
        match accepted {
            Ok((stream, _)) => {
                let (tree, stop) = (Arc::clone(&tree), stop.clone());
                tasks.spawn(async move {
                    let _place = place;
                    if let Err(error) = session::serve(stream, &tree, &stop).await {
                        tracing::debug!("a connection to the sample directory ended: {error:#}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("the sample directory cannot accept: {error}");
                // Usually there are no file descriptors left; trying again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
