//! What an administrator lets a connector do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_core::Secret;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::oauth::OAuthClient;

/// A host on the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostGrant {
    /// DNS name or IP address, without port.
    pub host: String,
    /// TCP port; 443 is the usual one.
    pub port: u16,
}

/// A secret, and where it may be sent.
#[derive(Debug, Clone)]
pub struct SecretGrant {
    /// The secret. Blanks and line ends around it are not part of it.
    pub value: Secret,
    /// Hosts that it may be sent to. A host of this list has to be granted as a host too.
    pub hosts: Vec<HostGrant>,
}

/// A secret that the gateway gets from a service each time the last one has run out, and where it may be sent.
#[derive(Debug, Clone)]
pub struct TokenGrant {
    /// Who asks for it, and where.
    pub client: OAuthClient,
    /// Hosts that it may be sent to. A host of this list has to be granted as a host too.
    pub hosts: Vec<HostGrant>,
}

/// All that a connector may do.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Hosts that it may send HTTPS requests to.
    pub hosts: Vec<HostGrant>,
    /// Secrets that the gateway fills in for it, by name.
    pub secrets: BTreeMap<String, SecretGrant>,
    /// Access tokens that the gateway gets and fills in for it, by name. Secrets and tokens have different names.
    pub tokens: BTreeMap<String, TokenGrant>,
    /// PEM file of certificate authorities that are trusted besides the system's, for this connector alone.
    pub ca_file: Option<PathBuf>,
}

/// A shorter secret could be guessed, and would be found, and masked, in answers that have nothing to do with it.
const MIN_SECRET: usize = 8;
const MAX_SECRET: usize = 8 << 10;

impl Grants {
    /// The grants in the form in which they are compared, or what is wrong with them.
    pub(crate) fn checked(&self) -> Result<Self, String> {
        let hosts = self.hosts.iter().map(HostGrant::checked).collect::<Result<Vec<_>, _>>()?;
        let mut secrets = BTreeMap::new();
        for (name, grant) in &self.secrets {
            let value = Secret::new(grant.value.reveal().trim());
            let problem = |what: String| format!("the secret `{name}` {what}");
            check_name(name)?;
            if !(MIN_SECRET..=MAX_SECRET).contains(&value.reveal().len()) {
                return Err(problem(format!("has to have {MIN_SECRET} to {MAX_SECRET} bytes")));
            }
            if HeaderValue::from_str(value.reveal()).is_err() {
                return Err(problem("has characters that an HTTP header cannot carry".into()));
            }
            let to = receivers(name, &grant.hosts, &hosts)?;
            secrets.insert(name.clone(), SecretGrant { value, hosts: to });
        }
        let mut tokens = BTreeMap::new();
        for (name, grant) in &self.tokens {
            check_name(name)?;
            if secrets.contains_key(name) {
                return Err(format!("the secret `{name}` is there twice"));
            }
            let to = receivers(name, &grant.hosts, &hosts)?;
            let url = Url::parse(&grant.client.token_url).ok().filter(|url| url.scheme() == "https");
            let host = url.as_ref().and_then(HostGrant::of);
            if !host.is_some_and(|host| hosts.contains(&host)) {
                let url = &grant.client.token_url;
                return Err(format!(
                    "the secret `{name}`: `{url}` is no https address on a host that the connector may use"
                ));
            }
            tokens.insert(name.clone(), TokenGrant { client: grant.client.clone(), hosts: to });
        }
        Ok(Self { hosts, secrets, tokens, ca_file: self.ca_file.clone() })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        let what = "has a name with other characters than letters, digits, `-`, `_` and `.`";
        return Err(format!("the secret `{name}` {what}"));
    }
    Ok(())
}

/// Where a secret may be sent, each of them a host that the connector may use.
fn receivers(name: &str, to: &[HostGrant], hosts: &[HostGrant]) -> Result<Vec<HostGrant>, String> {
    let to = to.iter().map(HostGrant::checked).collect::<Result<Vec<_>, _>>()?;
    if let Some(stray) = to.iter().find(|host| !hosts.contains(host)) {
        return Err(format!(
            "the secret `{name}` may be sent to `{stray}`, but the connector may not: grant the host too"
        ));
    }
    Ok(to)
}

impl HostGrant {
    /// Host and port that a request to this address goes to; none where it has none.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// The host as the URL standard writes it (<https://url.spec.whatwg.org/#host-writing>): lower case, international names
    /// in their ASCII form. Both sides of a comparison go through the same parser.
    fn checked(&self) -> Result<Self, String> {
        let bare_v6 = self.host.parse::<std::net::Ipv6Addr>().is_ok();
        let host = if bare_v6 { format!("[{}]", self.host) } else { self.host.clone() };
        let plain = |url: &Url| {
            url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
                && !host.ends_with('/')
        };
        Url::parse(&format!("https://{host}:{}", self.port))
            .ok()
            .filter(plain)
            .and_then(|url| Self::of(&url))
            .filter(|granted| granted.port == self.port && self.port != 0)
            .ok_or_else(|| format!("`{self}` is not a host and a port"))
    }
}

impl std::fmt::Display for HostGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::Secret;

    use super::{Grants, HostGrant, SecretGrant};

    fn host(name: &str) -> HostGrant {
        HostGrant { host: name.into(), port: 443 }
    }

    #[test]
    fn hosts_are_compared_in_one_form() {
        assert_eq!(host("Example.OKTA.com").checked().unwrap(), host("example.okta.com"));
        assert_eq!(host("bücher.example").checked().unwrap(), host("xn--bcher-kva.example"));
        assert_eq!(host("::1").checked().unwrap(), host("[::1]"));
    }

    #[test]
    fn what_is_more_than_a_host_is_refused() {
        for bad in [
            "",
            "a/b",
            "a.example/",
            "user@a.example",
            "a.example:8443",
            "a.example?x",
            "a.example#x",
            "*.example/x",
            "a b",
        ] {
            assert!(host(bad).checked().is_err(), "{bad}");
        }
        assert!(HostGrant { host: "a.example".into(), port: 0 }.checked().is_err());
    }

    fn with_secret(value: &str, to: &str) -> Result<Grants, String> {
        Grants {
            hosts: vec![host("a.example")],
            secrets: [("token".into(), SecretGrant { value: Secret::new(value), hosts: vec![host(to)] })].into(),
            ..Grants::default()
        }
        .checked()
    }

    #[test]
    fn a_secret_is_trimmed_and_has_to_fit_a_header() {
        let grants = with_secret("  00abcdefgh\r\n", "A.example").unwrap();
        assert_eq!(grants.secrets["token"].value.reveal(), "00abcdefgh");
        assert!(with_secret("short", "a.example").is_err());
        let refused = with_secret("00abcd\r\nefgh", "a.example").unwrap_err();
        assert!(!refused.contains("abcd"), "{refused}");
    }

    #[test]
    fn a_secret_goes_to_granted_hosts_only() {
        assert!(with_secret("00abcdefgh", "b.example").unwrap_err().contains("b.example"));
    }
}
