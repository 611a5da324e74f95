//! How each of them is configured: nothing is logged, and everybody keeps the client's identity.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use portcullis_lab::pki::ServerCert;

use super::directory::{BALANCER, BASE, GATEWAY, SERVICE_PASSWORD, preamble};
use super::lab::Programs;

/// What a server that speaks TLS is given.
pub(super) struct Files<'a> {
    /// Its own folder.
    pub(super) folder: &'a Path,
    pub(super) certificate: &'a ServerCert,
    /// Whom it trusts as the directory's authority.
    pub(super) ca: &'a Path,
}

/// What slapd is told about its certificate.
pub(super) fn certificate_lines(certificate: &ServerCert) -> String {
    let (certificate, key) = (certificate.cert_path().display(), certificate.key_path().display());
    format!("TLSCertificateFile \"{certificate}\"\nTLSCertificateKeyFile \"{key}\"\n")
}

/// slapd that asks another one: a connection to the directory for each bound client.
pub(super) fn back_ldap(to: SocketAddr) -> String {
    let preamble = preamble("back_ldap");
    format!("{preamble}database ldap\nsuffix \"{BASE}\"\nuri ldap://{to}\nrebind-as-user yes\nchase-referrals no\n")
}

/// OpenLDAP's balancer, whose clients share connections. `proxyauthz` lets each act as itself. As it refuses a bind for
/// which no connection is free, it gets as many as there are clients.
pub(super) fn lloadd(to: SocketAddr) -> String {
    format!(
        "loglevel 0\nfeature proxyauthz\n\
         bindconf bindmethod=simple binddn=\"{BALANCER}\" credentials={SERVICE_PASSWORD}\n\
         tier roundrobin\nbackend-server uri=ldap://{to} numconns=16 bindconns=256 retry=500\n"
    )
}

/// haproxy that passes bytes on.
///
/// # Errors
/// Certificate and key cannot be put into one file, as it wants them.
pub(super) fn haproxy(at: SocketAddr, to: SocketAddr, tls: Option<&Files<'_>>) -> anyhow::Result<String> {
    let (front, back) = match tls {
        None => (String::new(), String::new()),
        Some(files) => {
            let both = files.folder.join("both.pem");
            let (certificate, key) = (files.certificate.cert_path(), files.certificate.key_path());
            std::fs::write(&both, std::fs::read_to_string(certificate)? + &std::fs::read_to_string(key)?)?;
            let (both, ca) = (both.display(), files.ca.display());
            (format!(" ssl crt \"{both}\""), format!(" ssl verify required ca-file \"{ca}\""))
        }
    };
    Ok(format!(
        "global\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         listen ldap\n  bind {at}{front}\n  server directory {to}{back}\n"
    ))
}

/// The gateway; with a policy, it has one that asks to see binds and searches and applies to nobody.
///
/// # Errors
/// A path is not Unicode.
pub(super) fn gateway(
    programs: &Programs,
    at: SocketAddr,
    to: SocketAddr,
    web: SocketAddr,
    tls: Option<&Files<'_>>,
    policy: bool,
) -> anyhow::Result<String> {
    let (plugins, key) = (quoted(&programs.plugins)?, quoted(&programs.key)?);
    let (directory, listener) = match tls {
        None => (format!("url = \"ldap://{to}\"\nallow-cleartext = true"), "tls = \"none\"".to_owned()),
        Some(files) => {
            let (certificate, key) = (quoted(files.certificate.cert_path())?, quoted(files.certificate.key_path())?);
            (
                format!("url = \"ldaps://{to}\"\nca-file = {}", quoted(files.ca)?),
                format!("tls = \"ldaps\"\ncertificate = {certificate}\nkey = {key}"),
            )
        }
    };
    Ok(format!(
        r#"data-folder = "data"

[log]
level = "warn"

[directory]
{directory}
base = "{BASE}"
schema = "rfc2307"
service-account = "{GATEWAY}"
password = {{ plain-text = "{SERVICE_PASSWORD}" }}

[[listener]]
name = "main"
address = "{at}"
{listener}
connections-per-address = 10000

[web]
address = "{web}"

[plugins]
folder = {plugins}
trusted-keys = [{key}]
{policy}"#,
        policy = if policy { POLICY } else { "" },
    ))
}

const POLICY: &str = r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"
mode = "enforce"
fail = "closed"

[[policy.settings.rules]]
name = "Members of a group that is empty"
operations = ["bind", "search"]
when = { group = ["nobody-is-in-this-group"] }
then = "block"
"#;

/// TOML's basic strings have the escapes of JSON's.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not Unicode", path.display()))?;
    Ok(serde_json::to_string(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_the_gateways_has_a_policy() {
        let programs = Programs {
            gateway: "/gateway".into(),
            plugins: "/a \"quoted\" folder".into(),
            key: "/key".into(),
            lloadd: None,
        };
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = |policy| gateway(&programs, address(1), address(2), address(3), None, policy).unwrap();
        assert!(text(true).contains(r#"mode = "enforce""#));
        assert!(!text(false).contains("[[policy]]"));
        assert!(text(false).contains(r#"folder = "/a \"quoted\" folder""#));
        assert!(text(false).contains(r#"url = "ldap://127.0.0.1:2""#));
    }
}
