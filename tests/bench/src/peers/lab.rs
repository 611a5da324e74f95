//! Starts the directory and what stands in front of it, each on a loopback address of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use portcullis_lab::net::{free_port, own_address};
use portcullis_lab::pki::Pki;
use portcullis_lab::process::Child;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;

use super::client::{Address, Client};
use super::configuration::{self, Files};
use super::{Peer, directory};

/// How many files each server may open. slapd reserves memory by this number, so it is the same for all.
const FILES: u64 = 20_000;
/// The first start of a gateway compiles its policy.
const START: Duration = Duration::from_secs(60);

/// The programs that are compared, where they are not at a place of their own.
pub(crate) struct Programs {
    pub(crate) gateway: PathBuf,
    pub(crate) plugins: PathBuf,
    pub(crate) key: PathBuf,
    /// Nothing where it is not installed.
    pub(super) lloadd: Option<PathBuf>,
}

impl Programs {
    /// The gateway's from `PORTCULLIS_BIN`, `PORTCULLIS_PLUGINS` and `PORTCULLIS_KEY`.
    ///
    /// # Errors
    /// One of them is not set or names nothing, or the given lloadd is not there.
    pub(crate) fn find(lloadd: Option<&Path>) -> anyhow::Result<Self> {
        let path = |name: &str| -> anyhow::Result<PathBuf> {
            let value =
                std::env::var_os(name).with_context(|| format!("{name} is not set; `cargo xtask bench` sets it"))?;
            Path::new(&value).canonicalize().with_context(|| format!("{name} is {}", value.display()))
        };
        let lloadd = match lloadd {
            Some(given) => Some(given.canonicalize().with_context(|| format!("{} is not there", given.display()))?),
            None => installed("lloadd"),
        };
        Ok(Self {
            gateway: path("PORTCULLIS_BIN")?,
            plugins: path("PORTCULLIS_PLUGINS")?,
            key: path("PORTCULLIS_KEY")?,
            lloadd,
        })
    }

    /// Whether there is a program for the peer.
    pub(super) fn has(&self, peer: Peer) -> bool {
        peer != Peer::Lloadd || self.lloadd.is_some()
    }
}

/// A server that runs. Dropping it ends it.
pub(super) struct Server {
    child: Child,
    plain: Option<SocketAddr>,
    tls: Option<SocketAddr>,
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What the server has said last, for an error.
    pub(super) fn complaint(&self) -> String {
        let lines = self.child.output().lines();
        lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
    }
}

/// Everything that runs, in one temporary folder.
pub(super) struct Lab {
    // Dropped in this order: what connects before what it is connected to, the folder last.
    servers: BTreeMap<(Peer, bool), Server>,
    directory: Server,
    programs: Programs,
    connector: TlsConnector,
    pki: Pki,
    folder: TempDir,
    started: u32,
}

impl Lab {
    /// Fills and starts the directory; nothing is in front of it yet.
    ///
    /// # Errors
    /// slapd is missing or does not start, or too few files may be opened.
    pub(super) async fn start(programs: Programs, people: u32, folder: &Path) -> anyhow::Result<Self> {
        allow_files()?;
        let folder = tempfile::Builder::new().prefix("portcullis-bench-").tempdir_in(folder)?;
        let path = folder.path();
        ensure!(
            path.to_str().is_some_and(|path| path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')),
            "the servers' configurations cannot name {}; use --folder with a plain name",
            path.display()
        );
        let pki = Pki::create(path)?;
        let (here, here_tls) = (fresh_address()?, fresh_address()?);
        let certificate = pki.issue("server", &[&here.ip().to_string(), &here_tls.ip().to_string()])?;
        directory::load(path, people, &configuration::certificate_lines(&certificate))?;
        let child = Child::spawn("slapd", directory::command(path, here, here_tls))?;
        let directory = Server { child, plain: Some(here), tls: Some(here_tls) };
        let mut client = (*pki.client_config()?).clone();
        // Every handshake is a whole one, for all alike.
        client.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(client));
        let mut lab = Self { servers: BTreeMap::new(), directory, programs, connector, pki, folder, started: 0 };
        lab.wait_for_directory().await?;
        Ok(lab)
    }

    /// Whether the peer can be started here.
    pub(super) fn has(&self, peer: Peer) -> bool {
        self.programs.has(peer)
    }

    /// Starts the peer unless it runs, and waits until it answers.
    ///
    /// # Errors
    /// It does not start; the error shows what it wrote.
    pub(super) async fn ensure(&mut self, peer: Peer, tls: bool) -> anyhow::Result<()> {
        if peer != Peer::Direct && !self.servers.contains_key(&(peer, tls)) {
            let server = self.launch(peer, tls).await?;
            self.servers.insert((peer, tls), server);
        }
        Ok(())
    }

    /// The running server and how a client reaches it.
    ///
    /// # Errors
    /// It was not started.
    pub(super) fn server(&self, peer: Peer, tls: bool) -> anyhow::Result<(&Server, Address)> {
        let server = if peer == Peer::Direct { Some(&self.directory) } else { self.servers.get(&(peer, tls)) };
        let server = server.with_context(|| format!("{peer} was not started"))?;
        Ok((server, self.address(server, tls)?))
    }

    /// The directory's process.
    pub(super) fn directory(&self) -> &Server {
        &self.directory
    }

    /// How a client reaches a server.
    pub(super) fn address(&self, server: &Server, tls: bool) -> anyhow::Result<Address> {
        let socket = if tls { server.tls } else { server.plain };
        Ok(Address { socket: socket.context("no such port")?, tls: tls.then(|| self.connector.clone()) })
    }

    /// Starts another server of the peer and waits until it answers. With TLS, it speaks TLS on both sides.
    ///
    /// # Errors
    /// It does not start; the error shows what it wrote.
    pub(super) async fn launch(&mut self, peer: Peer, tls: bool) -> anyhow::Result<Server> {
        self.started += 1;
        let folder = self.folder.path().join(format!("{}-{}", peer.short(), self.started));
        std::fs::create_dir(&folder)?;
        let address = fresh_address()?;
        // Its address is new, so it shows a certificate of its own.
        let own = format!("server-{}", self.started);
        let certificate = self.pki.issue(&own, &[&address.ip().to_string()])?;
        let to = self.address(&self.directory, tls)?.socket;
        let files = Files { folder: &folder, certificate: &certificate, ca: self.pki.ca_pem_path() };
        let command = self.command(peer, tls, address, to, &files)?;
        let child = Child::spawn(peer.short(), command)?;
        let mut server = Server { child, plain: (!tls).then_some(address), tls: tls.then_some(address) };
        let reached = self.address(&server, tls)?;
        answers(&mut server, &reached).await.with_context(|| format!("{peer} does not start"))?;
        Ok(server)
    }

    fn command(
        &self,
        peer: Peer,
        tls: bool,
        at: SocketAddr,
        to: SocketAddr,
        files: &Files<'_>,
    ) -> anyhow::Result<Command> {
        let config = files.folder.join("configuration");
        let write = |text: String| std::fs::write(&config, text).context("cannot write a configuration");
        let url = format!("ldap://{at}");
        let slapd_like = |program: &OsStr| {
            let mut command = Command::new(program);
            command.args(["-d", "0", "-h", &url, "-f"]).arg(&config);
            command
        };
        Ok(match peer {
            Peer::Direct | Peer::BackLdap => {
                write(configuration::back_ldap(to))?;
                slapd_like(directory::SLAPD.as_ref())
            }
            Peer::Lloadd => {
                write(configuration::lloadd(to))?;
                slapd_like(self.programs.lloadd.as_ref().context("lloadd is not installed")?.as_ref())
            }
            Peer::Haproxy => {
                write(configuration::haproxy(at, to, tls.then_some(files))?)?;
                let program = installed("haproxy").context("haproxy is missing (apt-get install haproxy)")?;
                let mut command = Command::new(program);
                command.args(["-db", "-f"]).arg(&config);
                command
            }
            Peer::Gateway | Peer::Policy => {
                let web = fresh_address()?;
                let programs = &self.programs;
                write(configuration::gateway(programs, at, to, web, tls.then_some(files), peer == Peer::Policy)?)?;
                let mut command = Command::new(&programs.gateway);
                command.args(["run", "--config"]).arg(&config);
                command
            }
        })
    }

    async fn wait_for_directory(&mut self) -> anyhow::Result<()> {
        for tls in [false, true] {
            let address = self.address(&self.directory, tls)?;
            answers(&mut self.directory, &address).await.context("slapd does not start")?;
        }
        Ok(())
    }
}

/// Waits until a client is served.
async fn answers(server: &mut Server, address: &Address) -> anyhow::Result<()> {
    let end = Instant::now() + START;
    loop {
        let attempt = async {
            let mut client = Client::connect(address).await?;
            client.bind(directory::APPLICATION, directory::SERVICE_PASSWORD).await?;
            client.read(&directory::name(0)).await?;
            client.close().await
        };
        let result = tokio::time::timeout(Duration::from_secs(10), attempt).await.context("no answer").flatten();
        let Err(error) = result else { return Ok(()) };
        let ended = server.child.try_wait()?;
        if ended.is_some() || Instant::now() > end {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(error.context(format!("{ended:?}; it wrote:\n{}", server.complaint())));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A loopback address of our own and a port there.
fn fresh_address() -> anyhow::Result<SocketAddr> {
    let ip = own_address().into();
    Ok(SocketAddr::new(ip, free_port(ip)?))
}

/// Finds a program; servers are kept in folders that are not on everybody's path.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/libexec"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// This process and those that it starts.
fn allow_files() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(most >= FILES, "{FILES} files have to be open at a time, but only {most} may be (ulimit -Hn)");
    setrlimit(Resource::RLIMIT_NOFILE, FILES, most)?;
    Ok(())
}
