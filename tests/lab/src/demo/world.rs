//! Everything that runs in the demo, in one temporary folder.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use super::config::Config;
use super::machines;
use crate::company::{Company, Person};
use crate::directory::Directory;
use crate::net::free_port;
use crate::okta::{DEFAULT_TOKEN, Okta, OktaOptions};
use crate::pki::Pki;
use crate::process::Child;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
// Ports that are easy to remember; where one is taken, any free one serves.
const DIRECTORY_PORT: u16 = 3890;
const LDAP_PORT: u16 = 3389;
const WEB_PORT: u16 = 8080;
const PHONES_PORT: u16 = 8123;

/// Between taking a free port's number and the gateway's use of it somebody else may take the port.
const ATTEMPTS: usize = 3;
/// The first start compiles the plugins.
const READY: Duration = Duration::from_secs(120);
/// How long the gateway may take to end; after that it is killed.
const END: Duration = Duration::from_secs(20);

/// The programs and files that `cargo xtask demo` has built.
pub(super) struct Programs {
    gateway: PathBuf,
    plugins: PathBuf,
    key: PathBuf,
}

impl Programs {
    /// From `PORTCULLIS_BIN`, `PORTCULLIS_PLUGINS` and `PORTCULLIS_KEY`.
    ///
    /// # Errors
    /// When one of them is not set or names nothing.
    pub(super) fn from_environment() -> anyhow::Result<Self> {
        let path = |name: &str, what: &str| -> anyhow::Result<PathBuf> {
            let value = std::env::var_os(name)
                .with_context(|| format!("{name} does not name {what}; `cargo xtask demo` builds it and sets this"))?;
            std::path::absolute(&value)?.canonicalize().with_context(|| format!("{name} is {}", value.display()))
        };
        Ok(Self {
            gateway: path("PORTCULLIS_BIN", "the gateway's program")?,
            plugins: path("PORTCULLIS_PLUGINS", "the folder of plugins")?,
            key: path("PORTCULLIS_KEY", "the key that the plugins are signed with")?,
        })
    }
}

/// The running demo. Dropping it ends everything and removes the folder, as [`World::end`] does, which also says when
/// something did not end well.
pub(super) struct World {
    // Dropped in this order: the gateway before what it is connected to, the folder last.
    gateway: Gateway,
    pub(super) okta: Okta,
    pub(super) directory: Directory,
    pub(super) company: Company,
    folder: TempDir,
}

/// The gateway's process and what is known of it.
pub(super) struct Gateway {
    child: Child,
    program: PathBuf,
    /// Where it speaks LDAP.
    pub(super) ldap: SocketAddr,
    /// Where console and challenge page are, without a slash at the end.
    pub(super) web_url: String,
    /// First sign-in of the console.
    pub(super) admin: (String, String),
}

impl World {
    /// Starts everything and waits until the gateway is ready.
    ///
    /// # Errors
    /// What could not be started, with the gateway's own words where it is the gateway.
    pub(super) async fn start(programs: Programs) -> anyhow::Result<Self> {
        machines::are_ours()?;
        let owner_only = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("portcullis-demo-").permissions(owner_only).tempdir();
        let folder = folder.context("no temporary folder")?;
        let company = Company::generate();
        let directory = Directory::start(&company, preferred(DIRECTORY_PORT)).await?;
        let pki = Pki::create(folder.path())?;
        let options = OktaOptions { control_addr: preferred(PHONES_PORT), ..OktaOptions::default() };
        let okta = Okta::start_with(&company, options, &pki).await?;
        write_secrets(folder.path(), &company)?;
        let gateway = Gateway::start(programs, folder.path(), &directory, &okta).await?;
        Ok(Self { gateway, okta, directory, company, folder })
    }

    /// The gateway.
    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Alice, who plays the main part.
    pub(super) fn alice(&self) -> anyhow::Result<&Person> {
        self.company.person("alice")
    }

    /// The gateway's configuration.
    pub(super) fn config(&self) -> PathBuf {
        config_in(self.folder.path())
    }

    /// Where the gateway keeps its events.
    pub(super) fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that the gateway has written to its standard output and error.
    pub(super) fn log(&self) -> Vec<String> {
        self.gateway.child.output().lines()
    }

    /// The gateway's exit status, should it have ended by itself.
    pub(super) fn gateway_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.gateway.child.try_wait()
    }

    /// Asks the gateway to end and waits for it.
    ///
    /// # Errors
    /// When it did not end with success.
    pub(super) fn stop_gateway(&mut self) -> anyhow::Result<()> {
        let status = tokio::task::block_in_place(|| self.gateway.child.stop(END))?;
        anyhow::ensure!(status.success(), "the gateway ended with {status}");
        Ok(())
    }

    /// Runs the gateway's program with the demo's configuration, which it names by `--config`.
    ///
    /// # Errors
    /// When it does not end within the time, or not with success; the error shows its output.
    pub(super) async fn command(&self, arguments: &[&str], within: Duration) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(&self.gateway.program);
        command.args(arguments).arg("--config").arg(self.config()).kill_on_drop(true);
        let name = format!("portcullis {}", arguments.join(" "));
        let output = tokio::time::timeout(within, command.output())
            .await
            .with_context(|| format!("`{name}` was still running after {within:?}"))?
            .with_context(|| format!("cannot run `{name}`"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "`{name}` ended with {}:\n{said}{complained}", output.status);
        Ok(said)
    }

    /// Ends everything, the gateway first, and removes the folder.
    ///
    /// # Errors
    /// When the gateway did not end as it should, or the folder cannot be removed.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let stopped = self.stop_gateway();
        let Self { gateway, okta, directory, folder, .. } = self;
        drop(gateway);
        okta.stop().await;
        directory.stop().await;
        folder.close().context("the temporary folder cannot be removed")?;
        stopped
    }
}

impl Gateway {
    async fn start(programs: Programs, folder: &Path, directory: &Directory, okta: &Okta) -> anyhow::Result<Self> {
        let (mut ldap, mut web) = (preferred(LDAP_PORT), preferred(WEB_PORT));
        let mut attempt = 1;
        loop {
            ldap = with_port(ldap)?;
            web = with_port(web)?;
            let web_url = format!("http://{web}");
            let config = Config {
                directory_url: &directory.uri(),
                ldap,
                web,
                web_url: &web_url,
                plugins: &programs.plugins,
                key: &programs.key,
                okta_url: okta.base_url(),
                okta_ca: okta.ca_pem_path(),
            };
            std::fs::write(config_in(folder), config.text()?)?;
            let mut command = Command::new(&programs.gateway);
            command.arg("run").arg("--config").arg(config_in(folder));
            // Ctrl-C goes to the demo alone, which then ends the gateway before what the gateway is connected to.
            command.process_group(0);
            let mut child = Child::spawn("the gateway", command)?;
            match child.wait_for_line("portcullis is ready", READY).await {
                Ok(_) => {
                    let admin = first_sign_in(&child)?;
                    return Ok(Self { child, program: programs.gateway, ldap, web_url, admin });
                }
                Err(_) if attempt < ATTEMPTS && child.output().find("cannot listen on").is_some() => {
                    (ldap, web) = (any(), any());
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Login and password, from the line that the gateway prints on its first start.
fn first_sign_in(child: &Child) -> anyhow::Result<(String, String)> {
    let line = child.output().find("console first sign-in: ").context("the gateway printed no first sign-in")?;
    let words = line.split_once("sign-in: ").and_then(|(_, words)| words.trim().split_once(' '));
    let (login, password) = words.context("the first sign-in is no login and password")?;
    Ok((login.to_owned(), password.to_owned()))
}

fn write_secrets(folder: &Path, company: &Company) -> anyhow::Result<()> {
    let secrets = folder.join("secrets");
    std::fs::create_dir(&secrets)?;
    let password = &company.service("portcullis")?.password;
    for (name, secret) in [("directory", password.as_str()), ("okta-token", DEFAULT_TOKEN)] {
        let path = secrets.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(secret.as_bytes())).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn config_in(folder: &Path) -> PathBuf {
    folder.join("portcullis.toml")
}

/// The address with this port when it is free now, with port 0 otherwise.
fn preferred(port: u16) -> SocketAddr {
    let wanted = SocketAddr::new(HERE, port);
    if std::net::TcpListener::bind(wanted).is_ok() { wanted } else { any() }
}

fn any() -> SocketAddr {
    SocketAddr::new(HERE, 0)
}

/// The address with a free port in place of port 0.
fn with_port(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let port = if address.port() == 0 { free_port(address.ip())? } else { address.port() };
    Ok(SocketAddr::new(address.ip(), port))
}
