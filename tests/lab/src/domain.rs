//! Clients of a Windows domain, on Linux: Kerberos and NTLM, through SASL, as an administrator would use them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::Command;

use crate::samba::{NETBIOS_DOMAIN, Samba, password};
use crate::tools::{ToolOutput, finish};

const TIMEOUT: Duration = Duration::from_secs(90);

/// What a client asks of the security layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: the stream stays readable.
    None,
    /// Signed.
    Sign,
    /// Signed and encrypted.
    Seal,
}

/// A person at a machine of the domain, with a folder for tickets. Dropping it forgets them.
pub struct Person {
    login: String,
    krb5_conf: PathBuf,
    smb_conf: PathBuf,
    folder: TempDir,
}

impl Person {
    /// Somebody who has no ticket yet.
    ///
    /// # Errors
    /// When there is no room for a folder.
    pub fn new(samba: &Samba, login: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-person-").tempdir()?;
        let entry = format!("{NETBIOS_DOMAIN}:{login}:{}\n", password(login));
        std::fs::write(folder.path().join("ntlm"), entry)?;
        std::fs::write(folder.path().join("password"), password(login))?;
        Ok(Self { login: login.to_owned(), krb5_conf: samba.krb5_conf(), smb_conf: samba.smb_conf(), folder })
    }

    /// Gets a ticket with the password (`kinit`).
    ///
    /// # Errors
    /// When the Debian package `krb5-user` is missing, or the key distribution centre refuses.
    pub async fn log_on(&self) -> anyhow::Result<()> {
        let mut command = self.command("kinit");
        command.args(["--", &self.login]);
        let password = std::fs::File::open(self.folder.path().join("password"))?;
        command.stdin(password).kill_on_drop(true);
        let output = tokio::time::timeout(TIMEOUT, command.output()).await?.context("cannot run kinit (krb5-user)")?;
        anyhow::ensure!(output.status.success(), "kinit failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// `ldapsearch` with a SASL mechanism and the ticket; without one, GSS-SPNEGO takes NTLM.
    ///
    /// # Errors
    /// When a Debian package is missing or the client runs out of time. A refusal by the server is not an error but a code.
    pub async fn ldapsearch(&self, uri: &str, search: &SaslSearch<'_>) -> anyhow::Result<ToolOutput> {
        let mut command = self.command("ldapsearch");
        let wanted = match search.protection {
            Protection::None => "maxssf=0",
            Protection::Sign => "minssf=1,maxssf=1",
            Protection::Seal => "minssf=56",
        };
        command.args(["-LLL", "-o", "ldif-wrap=no", "-N", "-Q", "-H", uri, "-Y", search.mechanism, "-O", wanted]);
        if let Some(ca) = search.ca {
            command.env("LDAPTLS_CACERT", ca);
        }
        command.args(["-b", search.base, "-s", search.scope, search.filter]).args(search.attributes);
        finish("ldapsearch", command, TIMEOUT).await
    }

    /// Samba's `ldbsearch`, which binds by GSS-SPNEGO with NTLM inside, as this name: `EXAMPLE\\alice`, `alice@example.test`.
    ///
    /// # Errors
    /// As [`Person::ldapsearch`].
    pub async fn ldbsearch(&self, uri: &str, name: &str, search: &SaslSearch<'_>) -> anyhow::Result<ToolOutput> {
        let wrapping = match search.protection {
            Protection::None => "plain",
            Protection::Sign => "sign",
            Protection::Seal => "seal",
        };
        let mut command = self.command("ldbsearch");
        command.arg("--configfile").arg(&self.smb_conf).args(["-H", uri, "-U", name, "--use-kerberos=off"]);
        command.arg("--password").arg(password(&self.login));
        command.args(["--option", &format!("client ldap sasl wrapping={wrapping}")]);
        // The default insists on a revocation list, and Samba looks for no addresses in a certificate.
        command.args(["--option", "tls verify peer=ca_and_name_if_available"]);
        command.args(["-b", search.base, "--scope", search.scope, search.filter]).args(search.attributes);
        finish("ldbsearch", command, TIMEOUT).await
    }

    /// A client to which no file of the system or of the user matters.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LDAPCONF", "/dev/null").env("HOME", self.folder.path()).env("KRB5_CONFIG", &self.krb5_conf);
        command.env("KRB5CCNAME", format!("FILE:{}", self.folder.path().join("tickets").display()));
        command.env("NTLM_USER_FILE", self.folder.path().join("ntlm"));
        command
    }
}

/// A search after a SASL bind.
#[derive(Debug, Clone, Copy)]
pub struct SaslSearch<'a> {
    /// GSS-SPNEGO or GSSAPI.
    pub mechanism: &'a str,
    /// What the client asks of the security layer.
    pub protection: Protection,
    /// The authority that the client trusts, in PEM.
    pub ca: Option<&'a Path>,
    /// Where to search.
    pub base: &'a str,
    /// `base`, `one` or `sub`.
    pub scope: &'a str,
    /// Filter.
    pub filter: &'a str,
    /// Attributes that are asked for.
    pub attributes: &'a [&'a str],
}
