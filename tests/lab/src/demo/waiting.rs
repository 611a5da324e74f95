//! A bind that may take as long as a person needs to look at a phone.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinHandle;

use crate::client::LdapClient;
use crate::proto::LdapResult;

/// Longer than a challenge of the demo's gateway stays open.
const LONGEST: Duration = Duration::from_secs(75);

/// A bind that was sent. Dropping it closes its connection.
pub(super) struct Waiting(JoinHandle<anyhow::Result<Bound>>);

/// A bind that was answered.
pub(super) struct Bound {
    pub(super) client: LdapClient,
    pub(super) result: LdapResult,
    /// From connecting to the answer.
    pub(super) took: Duration,
}

impl Waiting {
    /// Connects to the server from the machine and sends a simple bind.
    pub(super) fn begin(server: SocketAddr, machine: IpAddr, dn: &str, password: &str) -> Self {
        let (dn, password) = (dn.to_owned(), password.to_owned());
        Self(tokio::spawn(async move {
            let began = Instant::now();
            let mut client = LdapClient::connect(server, machine).await?;
            client.set_timeout(LONGEST);
            let result = client.bind(&dn, &password).await?;
            Ok(Bound { client, result, took: began.elapsed() })
        }))
    }

    /// Whether it is answered, or failed to be.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// When the connection ends, or there is no answer within 75 seconds.
    pub(super) async fn answer(mut self) -> anyhow::Result<Bound> {
        (&mut self.0).await.context("the task of a bind has ended")?
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}
