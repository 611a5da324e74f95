//! The sockets that are listened on: made here, or handed over by a service manager (`sd_listen_fds(3)`).

use std::fmt;
use std::net::TcpListener as StdListener;

use anyhow::{Context as _, Result, bail, ensure};
use listenfd::ListenFd;
use tokio::net::TcpListener;
use tracing::warn;

use crate::config::{Config, ListenAddress};

/// What a socket is called that was handed over without a name.
const UNNAMED: &str = "unknown";

/// Sockets that were handed over.
pub(crate) struct Inherited {
    sockets: ListenFd,
    /// One for each, in their order.
    names: Vec<String>,
    /// By position, what has been used.
    taken: Vec<bool>,
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inherited").field(&self.names).finish()
    }
}

impl Inherited {
    /// Takes over what `LISTEN_FDS` announces, when it is meant for this process (`LISTEN_PID`), and removes that from the
    /// environment: so it has to be called while there is a single thread.
    ///
    /// # Errors
    /// The number of names is not that of the sockets.
    pub(crate) fn from_environment() -> Result<Self> {
        // A parent that forgot to remove the variables has meant itself.
        let for_us = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
        let sockets = if for_us { ListenFd::from_env() } else { ListenFd::empty() };
        let names: Vec<_> = match std::env::var("LISTEN_FDNAMES") {
            Ok(names) if for_us => names.split(':').map(str::to_owned).collect(),
            _ => vec![UNNAMED.to_owned(); sockets.len()],
        };
        ensure!(
            names.len() == sockets.len(),
            "the service manager hands over {} sockets and {} names in LISTEN_FDNAMES",
            sockets.len(),
            names.len()
        );
        let taken = vec![false; names.len()];
        Ok(Self { sockets, names, taken })
    }

    fn take(&mut self, name: &str) -> Result<StdListener> {
        let places: Vec<_> = self.names.iter().enumerate().filter(|(_, is)| *is == name).map(|(at, _)| at).collect();
        let place = match *places.as_slice() {
            [place] => place,
            [] if self.names.is_empty() => bail!("the service manager has handed over no socket at all"),
            [] => bail!(
                "the service manager has handed over no socket of that name, but these: {}; the name is \
                 FileDescriptorName= in the .socket unit",
                self.names.join(", ")
            ),
            _ => bail!("the service manager has handed over {} sockets of that name; make it one", places.len()),
        };
        let socket = self.sockets.take_tcp_listener(place).context("it is no TCP socket")?;
        let socket = socket.context("it is in use at another place of the configuration")?;
        self.taken.get_mut(place).into_iter().for_each(|taken| *taken = true);
        ensure!(
            socket2::SockRef::from(&socket).is_listener()?,
            "it does not listen; with systemd, the .socket unit needs Accept=no"
        );
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Clients would connect to such a socket and wait for ever.
    fn warn_of_the_rest(&self) {
        for (name, _) in self.names.iter().zip(&self.taken).filter(|(_, taken)| !**taken) {
            warn!(name, "the service manager has handed over a socket that nothing in the configuration names");
        }
    }
}

/// All sockets of the gateway.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// In the order of the configuration.
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) web: TcpListener,
    pub(crate) metrics: Option<TcpListener>,
}

impl Sockets {
    /// Opens all of them, so that one that cannot be had is found before anybody is served.
    ///
    /// # Errors
    /// Which socket cannot be had, and why.
    pub(crate) async fn open(config: &Config, mut inherited: Inherited) -> Result<Self> {
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let what = format!("listener {} cannot listen on", listener.name);
            listeners.push(open(&listener.address, &mut inherited, &what).await?);
        }
        let web = open(&config.web.address, &mut inherited, "the console cannot listen on").await?;
        // Of an address in the configuration, validation has said so.
        ensure!(
            config.web.certificate.is_some() || web.local_addr()?.ip().is_loopback(),
            "the console would be served in clear text on {}: add `certificate` and `key` to [web], or let the service \
             manager listen on a loopback address",
            web.local_addr()?
        );
        let metrics = match &config.metrics {
            None => None,
            Some(metrics) => Some(open(&metrics.address, &mut inherited, "the metrics cannot be served on").await?),
        };
        inherited.warn_of_the_rest();
        Ok(Self { listeners, web, metrics })
    }
}

async fn open(address: &ListenAddress, inherited: &mut Inherited, what: &str) -> Result<TcpListener> {
    let socket = match address {
        ListenAddress::Bind(address) => TcpListener::bind(address).await.map_err(Into::into),
        ListenAddress::Inherited(name) => {
            inherited.take(name).and_then(|socket| TcpListener::from_std(socket).map_err(Into::into))
        }
    };
    socket.with_context(|| format!("{what} {address}"))
}
