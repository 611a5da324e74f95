//! Debian packages that building or testing needs.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run;

/// A package and the programs by which to tell that it is there; one is enough. A path names a file of a package without programs.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
}

const FOR_TESTS: [Package; 11] = [
    Package { name: "slapd", programs: &["slapd"] },
    Package { name: "ldap-utils", programs: &["ldapsearch"] },
    Package { name: "chromium", programs: &["chromium", "chromium-browser", "google-chrome"] },
    // Samba as an Active Directory domain controller; without what it only recommends it cannot make a domain.
    Package { name: "samba", programs: &["samba"] },
    Package { name: "samba-ad-provision", programs: &["/usr/share/doc/samba-ad-provision/copyright"] },
    Package { name: "samba-dsdb-modules", programs: &["/usr/share/doc/samba-dsdb-modules/copyright"] },
    Package { name: "samba-vfs-modules", programs: &["/usr/share/doc/samba-vfs-modules/copyright"] },
    // Clients of a domain: Kerberos and NTLM through SASL.
    Package { name: "ldb-tools", programs: &["ldbsearch"] },
    Package { name: "krb5-user", programs: &["kinit"] },
    Package {
        name: "libsasl2-modules-gssapi-mit",
        programs: &["/usr/share/doc/libsasl2-modules-gssapi-mit/copyright"],
    },
    Package { name: "gss-ntlmssp", programs: &["/usr/share/doc/gss-ntlmssp/copyright"] },
];

/// Installs the servers and clients that the tests start, where they are missing.
///
/// # Errors
/// They are missing and cannot be installed from here; the message says what to install.
pub(crate) fn install_for_tests() -> Result<()> {
    let is_missing = |package: &&Package| !package.programs.iter().any(|program| run::is_installed(program));
    let missing: Vec<_> = FOR_TESTS.iter().filter(is_missing).map(|package| package.name).collect();
    install(&missing, "the tests")
}

/// Installs Debian packages, as root or through `sudo` where that asks for no password.
///
/// # Errors
/// They cannot be installed from here; the message says what to install.
pub(crate) fn install(names: &[&str], what_for: &str) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let wanted = names.join(" ");
    let advice = format!(
        "{what_for} need the packages {wanted}; install them and try again:\n  \
         apt-get install -y --no-install-recommends {wanted}"
    );
    if !run::is_installed("apt-get") {
        bail!("{advice}\n(these are Debian's names; this system has no apt-get)");
    }
    let Some(elevation) = elevation() else { bail!("{advice}\n(neither root nor password-less sudo here)") };
    if run::all(apt(elevation).args(["install", "-y", "--no-install-recommends"]).args(names)).is_ok() {
        return Ok(());
    }
    // The usual cause: package lists that are missing or old.
    run::all(apt(elevation).arg("update"))
        .and_then(|()| run::all(apt(elevation).args(["install", "-y", "--no-install-recommends"]).args(names)))
        .map_err(|error| error.context(advice))
}

/// What to put before a command so that it runs as root; none where that is not possible.
fn elevation() -> Option<&'static [&'static str]> {
    if run::output(Command::new("id").arg("-u")).is_ok_and(|user| user == "0") {
        return Some(&["env"]);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success()).then_some(&["sudo", "-n", "env"])
}

fn apt(elevation: &[&str]) -> Command {
    let mut words = elevation.iter().chain(&["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    let mut command = run::clean(words.next().unwrap_or(&"env"));
    // Another installation may be going on.
    command.args(words).args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}
