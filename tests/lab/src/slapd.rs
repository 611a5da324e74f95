//! A launcher of the real OpenLDAP server, as Debian packages it.
//!
//! Who may read what: anybody reads the root DSE; everybody who is bound reads everything but `userPassword`, which
//! only the account `cn=backup` reads; [`MANAGER_DN`] may write, and everybody their own password and telephone number.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::company::{BASE_DN, Company};
use crate::net::{free_port, own_address};
use crate::pki::{Pki, client_config_from_pem};
use crate::process::Child;

/// The account that may change everything.
pub const MANAGER_DN: &str = "cn=manager,dc=example,dc=com";
/// The password of [`MANAGER_DN`].
pub const MANAGER_PASSWORD: &str = "manager-secret";

const SLAPD: &str = "/usr/sbin/slapd";
const SLAPADD: &str = "/usr/sbin/slapadd";
const MODULES: &str = "/usr/lib/ldap";
const SCHEMAS: &str = "/etc/ldap/schema";
const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);
const ATTEMPTS: usize = 5;

/// What a server has beyond the sample company. Whoever needs two directories that are equal gives both the same, with an
/// `entryUUID` for every entry.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Lines of `slapd.conf` before the database: modules, schemas, limits.
    pub global: String,
    /// Lines of `slapd.conf` after the database's own: overlays.
    pub database: String,
    /// More entries in LDIF (RFC 2849).
    pub ldif: String,
}

/// A running OpenLDAP server with the sample company in it. Dropping it ends the server and removes its folder.
pub struct Slapd {
    // Fields are dropped in this order: the process ends before its folder goes.
    child: Option<Child>,
    addr: SocketAddr,
    ldaps_addr: SocketAddr,
    proxied: bool,
    pki: Pki,
    folder: TempDir,
}

impl Slapd {
    /// Loads the company into a new database and starts a server for it on a loopback address of its own, plain (with
    /// StartTLS) and with TLS. The certificate is for that address, 127.0.0.1 and localhost. The thread sleeps until the server answers.
    ///
    /// # Errors
    /// When the Debian package `slapd` is not installed, or the server does not start; the error shows what it wrote.
    pub fn start(company: &Company) -> anyhow::Result<Self> {
        Self::start_kind(company, &Extras::default(), false)
    }

    /// As [`Slapd::start`], but both ports take only connections that begin with a PROXY protocol header of version 2, and
    /// the server writes every connection and operation to its log.
    ///
    /// # Errors
    /// As [`Slapd::start`].
    pub fn start_behind_proxies(company: &Company) -> anyhow::Result<Self> {
        Self::start_kind(company, &Extras::default(), true)
    }

    /// As [`Slapd::start`], with more in it.
    ///
    /// # Errors
    /// As [`Slapd::start`], and when the extras are not what OpenLDAP understands.
    pub fn start_with(company: &Company, extras: &Extras) -> anyhow::Result<Self> {
        Self::start_kind(company, extras, false)
    }

    fn start_kind(company: &Company, extras: &Extras, proxied: bool) -> anyhow::Result<Self> {
        for program in [SLAPD, SLAPADD] {
            anyhow::ensure!(
                Path::new(program).exists(),
                "{program} is missing: install the OpenLDAP server (Debian and Ubuntu: apt-get install slapd)"
            );
        }
        let folder = tempfile::Builder::new().prefix("portcullis-slapd-").tempdir()?;
        let pki = Pki::create(folder.path())?;
        let ip = IpAddr::V4(own_address());
        load(folder.path(), &pki, ip, company, extras)?;
        let mut last = anyhow::anyhow!("no attempt was made");
        for _ in 0..ATTEMPTS {
            // Another process may take the ports between the choice and the start, hence the attempts.
            let addr = SocketAddr::new(ip, free_port(ip)?);
            let ldaps_addr = SocketAddr::new(ip, free_port(ip)?);
            match launch(folder.path(), addr, ldaps_addr, proxied) {
                Ok(child) => return Ok(Self { child: Some(child), addr, ldaps_addr, proxied, pki, folder }),
                Err(error) => last = error,
            }
        }
        Err(last.context("the OpenLDAP server does not start"))
    }

    /// Where it speaks plain LDAP and StartTLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it speaks LDAP over TLS.
    #[must_use]
    pub fn ldaps_addr(&self) -> SocketAddr {
        self.ldaps_addr
    }

    /// The `ldap://` URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("ldap://{}", self.addr)
    }

    /// The `ldaps://` URI.
    #[must_use]
    pub fn ldaps_uri(&self) -> String {
        format!("ldaps://{}", self.ldaps_addr)
    }

    /// The certificate of the authority that signed the server's certificate, in PEM.
    #[must_use]
    pub fn ca_pem_path(&self) -> &Path {
        self.pki.ca_pem_path()
    }

    /// A client configuration that trusts this server.
    ///
    /// # Errors
    /// When the certificate cannot be read any more.
    pub fn client_config(&self) -> anyhow::Result<std::sync::Arc<rustls::ClientConfig>> {
        client_config_from_pem(self.ca_pem_path())
    }

    /// The process id; nothing while the server is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// What the server has written; little, unless it was started with [`Slapd::start_behind_proxies`].
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.child.as_ref().map(|child| child.output().lines()).unwrap_or_default()
    }

    /// Ends the server. Its database and its ports stay reserved for [`Slapd::restart`], as far as nobody takes them.
    ///
    /// # Errors
    /// When the system cannot tell how the process ended.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.stop(STOP)?;
        }
        Ok(())
    }

    /// Ends the server at once by SIGKILL, as a crash would. What was committed is in its database when it is started again.
    ///
    /// # Errors
    /// When the system cannot tell how the process ended.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
        }
        Ok(())
    }

    /// Starts the server again on the same ports with the same database, after ending it when it still runs.
    ///
    /// # Errors
    /// When it does not start, for instance because somebody has taken a port meanwhile.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.child = Some(launch(self.folder.path(), self.addr, self.ldaps_addr, self.proxied)?);
        Ok(())
    }
}

fn load(folder: &Path, pki: &Pki, ip: IpAddr, company: &Company, extras: &Extras) -> anyhow::Result<()> {
    let certificate = pki.issue("slapd", &[&ip.to_string()])?;
    std::fs::create_dir(folder.join("db"))?;
    let config = config_text(folder, pki.ca_pem_path(), certificate.cert_path(), certificate.key_path(), extras);
    std::fs::write(config_path(folder), config)?;
    let ldif = folder.join("company.ldif");
    std::fs::write(&ldif, company.to_ldif() + &extras.ldif)?;
    let mut command = limited(SLAPADD);
    command.arg("-q").arg("-f").arg(config_path(folder)).arg("-l").arg(&ldif);
    let output = command.output().context("cannot start slapadd")?;
    anyhow::ensure!(
        output.status.success(),
        "slapadd refused the sample company ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn config_path(folder: &Path) -> PathBuf {
    folder.join("slapd.conf")
}

fn config_text(folder: &Path, ca: &Path, certificate: &Path, key: &Path, extras: &Extras) -> String {
    let mut text = String::new();
    for schema in ["core", "cosine", "inetorgperson"] {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "include {SCHEMAS}/{schema}.schema");
    }
    let folder = folder.display();
    let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
    let _ = write!(
        text,
        r#"
modulepath {MODULES}
moduleload back_mdb
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
threads 8
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSVerifyClient never
{global}
access to dn.base="" by * read
access to dn.base="cn=subschema" by * read
access to attrs=userPassword
    by dn.exact="cn=backup,ou=services,{BASE_DN}" read
    by self =xw
    by anonymous auth
    by * none
access to attrs=telephoneNumber
    by self write
    by users read
    by * none
access to *
    by users read
    by * none

database mdb
suffix "{BASE_DN}"
directory {folder}/db
maxsize 268435456
rootdn "{MANAGER_DN}"
rootpw {MANAGER_PASSWORD}
index objectClass,uid,cn,mail,member,entryUUID eq
{database}
"#,
        global = extras.global,
        database = extras.database,
    );
    text
}

/// OpenLDAP allocates a table by the limit of open files, which containers often set to a billion.
fn limited(program: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"ulimit -n 4096; exec "$0" "$@""#, program]);
    command
}

fn launch(folder: &Path, addr: SocketAddr, ldaps_addr: SocketAddr, proxied: bool) -> anyhow::Result<Child> {
    // The file of a server that was killed must not be taken for the sign that the new one is ready.
    let pid_file = folder.join("slapd.pid");
    if pid_file.exists() {
        std::fs::remove_file(&pid_file)?;
    }
    let mut command = limited(SLAPD);
    command.arg("-f").arg(config_path(folder)).args(["-d", if proxied { "stats" } else { "0" }, "-h"]).arg(
        if proxied {
            format!("pldap://{addr} pldaps://{ldaps_addr}")
        } else {
            format!("ldap://{addr} ldaps://{ldaps_addr}")
        },
    );
    let mut child = Child::spawn("slapd", command)?;
    let end = Instant::now() + START;
    loop {
        let answered = [addr, ldaps_addr]
            .iter()
            .all(|addr| std::net::TcpStream::connect_timeout(addr, Duration::from_secs(1)).is_ok());
        // Asked after the connection: a server that could not bind its port has ended by then or ends below.
        let ended = child.try_wait()?;
        if let Some(status) = ended {
            std::thread::sleep(Duration::from_millis(50));
            anyhow::bail!("slapd ended with {status}; it wrote:\n{}", child.output().lines().join("\n"));
        }
        if answered && pid_file.exists() {
            return Ok(child);
        }
        if Instant::now() > end {
            anyhow::bail!("slapd did not listen after {START:?}; it wrote:\n{}", child.output().lines().join("\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
