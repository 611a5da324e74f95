//! The command line clients of OpenLDAP (`ldap-utils`), as an administrator would use them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;

/// The Debian packages of all clients.
const PACKAGES: &str = "ldap-utils ldb-tools krb5-user libsasl2-modules-gssapi-mit gss-ntlmssp";

/// Where and as whom the clients connect. Made by [`Tools::new`] and the methods after it.
#[derive(Debug, Clone)]
pub struct Tools {
    uri: String,
    ca: Option<PathBuf>,
    start_tls: bool,
    certificate: Option<(PathBuf, PathBuf)>,
    bind: Option<(String, String)>,
    timeout: Duration,
}

/// How a client ended and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// The exit code. It is the LDAP result code when the server refused (RFC 4511, appendix A), 5 and 6 for a
    /// comparison, and 255 when the server could not be reached.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error, with the server's diagnostic message.
    pub stderr: String,
}

impl ToolOutput {
    /// The entries of an LDIF output in sorted order, each with sorted lines, so that two servers can be compared
    /// that order them differently.
    #[must_use]
    pub fn sorted_ldif(&self) -> Vec<Vec<String>> {
        let mut entries: Vec<Vec<String>> = Vec::new();
        for block in self.stdout.split("\n\n") {
            let mut lines: Vec<String> = block.lines().filter(|line| !line.is_empty()).map(String::from).collect();
            lines.sort_unstable();
            if !lines.is_empty() {
                entries.push(lines);
            }
        }
        entries.sort_unstable();
        entries
    }
}

impl Tools {
    /// Clients of the server at the URI, such as `ldap://127.0.0.1:3890`, anonymous and without TLS of their own.
    #[must_use]
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            ca: None,
            start_tls: false,
            certificate: None,
            bind: None,
            timeout: Duration::from_secs(90),
        }
    }

    /// Trusts the certificates of the PEM file, for `ldaps://` and StartTLS.
    #[must_use]
    pub fn trust(mut self, ca_pem: impl Into<PathBuf>) -> Self {
        self.ca = Some(ca_pem.into());
        self
    }

    /// Insists on StartTLS.
    #[must_use]
    pub fn start_tls(mut self) -> Self {
        self.start_tls = true;
        self
    }

    /// Shows a certificate of its own (PEM), and has its key.
    #[must_use]
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Binds with a name and a password first.
    #[must_use]
    pub fn bind(mut self, dn: impl Into<String>, password: impl Into<String>) -> Self {
        self.bind = Some((dn.into(), password.into()));
        self
    }

    /// How long one client may run before it is killed; 90 seconds unless told.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs `ldapwhoami`.
    ///
    /// # Errors
    /// When the Debian package `ldap-utils` is not installed or the client runs out of time. A refusal by the server
    /// is not an error but a code.
    pub async fn whoami(&self) -> anyhow::Result<ToolOutput> {
        self.run("ldapwhoami", &[]).await
    }

    /// Runs `ldapsearch` with LDIF output without comments and unwrapped lines. The scope is `base`, `one` or `sub`.
    ///
    /// # Errors
    /// As [`Tools::whoami`].
    pub async fn search(&self, base: &str, scope: &str, filter: &str, attrs: &[&str]) -> anyhow::Result<ToolOutput> {
        self.search_with(&[], base, scope, filter, attrs).await
    }

    /// As [`Tools::search`], with more options of `ldapsearch`, such as `-z 5` or `-E pr=20/noprompt`.
    ///
    /// # Errors
    /// As [`Tools::whoami`].
    pub async fn search_with(
        &self,
        options: &[&str],
        base: &str,
        scope: &str,
        filter: &str,
        attrs: &[&str],
    ) -> anyhow::Result<ToolOutput> {
        let mut args = vec!["-LLL", "-o", "ldif-wrap=no", "-b", base, "-s", scope];
        args.extend(options);
        args.push(filter);
        args.extend(attrs);
        self.run("ldapsearch", &args).await
    }

    /// Runs `ldapcompare`; the assertion is `attribute:value`. Code 6 means true and 5 means false.
    ///
    /// # Errors
    /// As [`Tools::whoami`].
    pub async fn compare(&self, dn: &str, assertion: &str) -> anyhow::Result<ToolOutput> {
        self.run("ldapcompare", &[dn, assertion]).await
    }

    /// Runs any client of `ldap-utils` with the connection and bind options of this value before the given ones.
    ///
    /// # Errors
    /// As [`Tools::whoami`].
    pub async fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<ToolOutput> {
        let mut command = Command::new(program);
        // No file of the system or of the user may change what a test sees.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LDAPCONF", "/dev/null").env("HOME", "/nonexistent").env("LDAPTLS_REQCERT", "demand");
        if let Some(ca) = &self.ca {
            command.env("LDAPTLS_CACERT", ca);
        }
        if let Some((certificate, key)) = &self.certificate {
            command.env("LDAPTLS_CERT", certificate).env("LDAPTLS_KEY", key);
        }
        command.args(["-x", "-H", &self.uri]);
        if self.start_tls {
            command.arg("-ZZ");
        }
        if let Some((dn, password)) = &self.bind {
            command.args(["-D", dn, "-w", password]);
        }
        command.args(args);
        finish(program, command, self.timeout).await
    }
}

/// Runs a client to its end.
pub(crate) async fn finish(program: &str, mut command: Command, timeout: Duration) -> anyhow::Result<ToolOutput> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::bail!("{program} is missing: install it (Debian: apt-get install {PACKAGES})")
        }
        Ok(output) => output.with_context(|| format!("cannot run {program}"))?,
        Err(_) => anyhow::bail!("{program} was still running after {timeout:?}"),
    };
    Ok(ToolOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
