//! Debian packages that building or testing needs.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run;

/// A package and the programs by which to tell that it is there; one is enough. A path names a file of a package without programs.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
}

const FOR_TESTS: [Package; 26] = [
    Package { name: "slapd", programs: &["slapd"] },
    // PLAIN, SCRAM and CRAM-MD5 for slapd.
    Package { name: "libsasl2-modules", programs: &["/usr/share/doc/libsasl2-modules/copyright"] },
    Package { name: "ldap-utils", programs: &["ldapsearch"] },
    // Clients that are led through the gateway. Of apache2, the program and its modules only, without the service.
    Package { name: "apache2-bin", programs: &["apache2"] },
    Package { name: "curl", programs: &["curl"] },
    Package { name: "libio-socket-ssl-perl", programs: &["/usr/share/doc/libio-socket-ssl-perl/copyright"] },
    Package { name: "libnet-ldap-perl", programs: &["/usr/share/doc/libnet-ldap-perl/copyright"] },
    Package { name: "nodejs", programs: &["node"] },
    Package { name: "npm", programs: &["npm"] },
    Package { name: "nslcd", programs: &["nslcd"] },
    Package { name: "nslcd-utils", programs: &["getent.ldap"] },
    Package { name: "python3-ldap", programs: &["/usr/share/doc/python3-ldap/copyright"] },
    Package { name: "python3-ldap3", programs: &["/usr/share/doc/python3-ldap3/copyright"] },
    Package { name: "util-linux", programs: &["unshare"] },
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
    // Those who are told by notification channels.
    Package { name: "python3-aiosmtpd", programs: &["aiosmtpd"] },
    Package { name: "rsyslog", programs: &["rsyslogd"] },
    Package { name: "rsyslog-gnutls", programs: &["/usr/share/doc/rsyslog-gnutls/copyright"] },
];

const FOR_BENCH: [Package; 2] =
    [Package { name: "slapd", programs: &["slapd"] }, Package { name: "haproxy", programs: &["haproxy"] }];

/// Compilers for the examples in C and in JavaScript, and a JSON parser for C.
const FOR_EXAMPLES: [Package; 6] = [
    Package { name: "make", programs: &["make"] },
    Package { name: "clang", programs: &["clang"] },
    Package { name: "wasi-libc", programs: &["/usr/lib/wasm32-wasi/libc.a"] },
    Package { name: "libjsmn-dev", programs: &["/usr/include/jsmn.h"] },
    Package { name: "nodejs", programs: &["node"] },
    Package { name: "npm", programs: &["npm"] },
];

/// Debian starts a server once it is installed; these are what the packages above and those that they need would start.
/// Tests and bench start servers of their own, and the machine has asked for none.
const SERVICES: &str = "haproxy|nmbd|nslcd|rsyslog|samba-ad-dc|slapd|smbd|winbind";

/// Runs a program while Debian's own switch keeps the services named in `$1` from being started. A switch that the
/// machine has already says what its owner wants and stays as it is.
const WITHOUT_SERVICES: &str = r#"
services=$1 policy=/usr/sbin/policy-rc.d
shift
if [ ! -e "$policy" ] && [ -d "${policy%/*}" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '%s\n' '#!/bin/sh' '# Made by "cargo xtask" of Portcullis for the time of an installation.' \
        "for word; do case \${word%.service} in $services) exit 101 ;; esac; done" 'exit 0' >"$policy"
    chmod 755 "$policy"
fi
"$@"
"#;

/// Installs the servers and clients that the tests start, where they are missing.
///
/// # Errors
/// They are missing and cannot be installed from here; the message says what to install.
pub(crate) fn install_for_tests(offline: bool) -> Result<()> {
    install_missing(offline, &FOR_TESTS, "the tests")
}

/// Installs the directory and a proxy that the gateway is compared with, where they are missing.
///
/// # Errors
/// As [`install_for_tests`].
pub(crate) fn install_for_bench(offline: bool) -> Result<()> {
    install_missing(offline, &FOR_BENCH, "the measurements")
}

/// Installs the compilers of the examples in other languages, where they are missing.
///
/// # Errors
/// As [`install_for_tests`].
pub(crate) fn install_for_examples(offline: bool) -> Result<()> {
    install_missing(offline, &FOR_EXAMPLES, "the examples in other languages")
}

fn install_missing(offline: bool, packages: &[Package], what_for: &str) -> Result<()> {
    let is_missing = |package: &&Package| !package.programs.iter().any(|program| run::is_installed(program));
    let missing: Vec<_> = packages.iter().filter(is_missing).map(|package| package.name).collect();
    install(offline, &missing, what_for)
}

/// Installs Debian packages, as root or through `sudo` where that asks for no password. Nothing is installed `offline`.
///
/// # Errors
/// They cannot be installed from here; the message says what to install.
pub(crate) fn install(offline: bool, names: &[&str], what_for: &str) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let wanted = names.join(" ");
    let advice = format!(
        "{what_for} need the packages {wanted}; install them and try again:\n  \
         apt-get install -y --no-install-recommends {wanted}"
    );
    if offline {
        bail!("{advice}\n(nothing is installed with --offline)");
    }
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
    let shell = ["DEBIAN_FRONTEND=noninteractive", "sh", "-c", WITHOUT_SERVICES, "xtask", SERVICES, "apt-get"];
    let mut words = elevation.iter().chain(&shell);
    let mut command = run::clean(words.next().unwrap_or(&"env"));
    // Another installation may be going on.
    command.args(words).args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the script with another place for the switch, and a program that asks the switch about a service.
    fn is_allowed(folder: &std::path::Path, service: &str) -> bool {
        let policy = folder.join("policy-rc.d");
        let script = WITHOUT_SERVICES.replace("/usr/sbin/policy-rc.d", &policy.display().to_string());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "xtask", SERVICES]).arg(&policy).args(["--quiet", service, "start"]);
        command.status().unwrap().success()
    }

    #[test]
    fn nothing_is_installed_offline() {
        let refused = install(true, &["portcullis-is-no-package"], "the tests").unwrap_err().to_string();
        assert!(refused.contains("portcullis-is-no-package") && refused.contains("--offline"), "{refused}");
    }

    #[test]
    fn services_of_ours_are_not_started_and_others_are() {
        let folder = std::env::temp_dir().join(format!("portcullis-xtask-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        for service in SERVICES.split('|') {
            assert!(!is_allowed(&folder, service), "{service}");
            assert!(!is_allowed(&folder, &format!("{service}.service")), "{service} as a unit");
        }
        assert!(is_allowed(&folder, "cron"));
        assert!(!folder.join("policy-rc.d").exists(), "the switch is taken away again");

        std::fs::copy("/bin/true", folder.join("policy-rc.d")).unwrap();
        assert!(is_allowed(&folder, "slapd"), "the owner's switch counts");
        assert!(folder.join("policy-rc.d").exists(), "and stays");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
