//! Addresses of services, as people type them.

use std::fmt;
use std::net::SocketAddr;

use serde::Deserialize;

use super::model::{Connector, Directory, Listener};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum ListenAddress {
    /// On an address of the machine's.
    Bind(SocketAddr),
    /// On the socket that the service manager hands over under this name.
    Inherited(String),
}

impl ListenAddress {
    /// None, when only the service manager knows.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        if let Self::Bind(address) = self { Some(*address) } else { None }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("systemd:") {
            // As `sd_listen_fds(3)` has it; the rest would not come through its environment variable.
            Some(name) if name.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic() || b == b':') => {
                Err(format!("`{text}` does not name a socket: write systemd:NAME, with FileDescriptorName=NAME in the .socket unit"))
            }
            Some(name) => Ok(Self::Inherited(name.to_owned())),
            None => text.parse().map(Self::Bind).map_err(|_| {
                format!("`{text}` is no address to listen on: write IP:PORT, [IPv6]:PORT, or systemd:NAME for a socket of the service manager")
            }),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address) => address.fmt(f),
            Self::Inherited(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// Where the directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) ldaps: bool,
}

impl Directory {
    /// `ldap://host[:port]` or `ldaps://host[:port]`; 389 and 636 unless given. Each server once.
    pub(crate) fn addresses(&self) -> Result<Vec<DirectoryAddress>, String> {
        if self.url.0.is_empty() {
            return Err("names no server: give at least one".to_owned());
        }
        let mut addresses: Vec<DirectoryAddress> = Vec::new();
        for url in &self.url.0 {
            let address = directory_address(url)?;
            if addresses
                .iter()
                .any(|other| other.host.eq_ignore_ascii_case(&address.host) && other.port == address.port)
            {
                return Err(format!("names {}, port {}, twice: give each server once", address.host, address.port));
            }
            addresses.push(address);
        }
        Ok(addresses)
    }
}

fn directory_address(url: &str) -> Result<DirectoryAddress, String> {
    let (ldaps, host, port) = ldap_url(url)?;
    // An address of IPv6 is connected to, and stands in a certificate, without the brackets of a URL.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(DirectoryAddress { host, port: port.unwrap_or(if ldaps { 636 } else { 389 }), ldaps })
}

impl Listener {
    /// What referrals are to begin with: `ldap://host[:port]` or `ldaps://host[:port]`.
    pub(crate) fn gateway_url(&self) -> Option<Result<String, String>> {
        self.rewrite_referrals.as_ref().map(|url| {
            let (ldaps, host, port) = ldap_url(url)?;
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            Ok(format!("{}://{host}{port}", if ldaps { "ldaps" } else { "ldap" }))
        })
    }
}

/// Whether it is `ldaps`, its host, and its port.
fn ldap_url(url: &str) -> Result<(bool, String, Option<u16>), String> {
    let (ldaps, rest) = match url.split_once("://") {
        Some(("ldap", rest)) => (false, rest),
        Some(("ldaps", rest)) => (true, rest),
        _ => return Err(format!("`{url}` has to begin with ldap:// or ldaps://")),
    };
    let (host, port) = host_and_port(rest.trim_end_matches('/'))?;
    Ok((ldaps, host, port))
}

/// Whether this is a host's name or address, and nothing else.
pub(super) fn is_host(text: &str) -> bool {
    host_and_port(text).is_ok_and(|(_, port)| port.is_none())
}

/// Where a cloud service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAddress {
    /// `https://host[:port]`, without a path.
    pub(crate) base_url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Connector {
    /// The address that `domain`, or `base-url` where it is given, stands for.
    pub(crate) fn base_url(&self) -> Result<ServiceAddress, String> {
        let typed = self.base_url.as_deref().unwrap_or(&self.domain).trim();
        let rest = match typed.split_once("://") {
            None => typed,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            Some((scheme, _)) => return Err(format!("begins with {scheme}://; only https:// is spoken")),
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains(['?', '#', '@', '/']) {
            let host = rest.split(['?', '#', '/']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            let right = if host_and_port(host).is_ok() { host } else { "company.okta.com" };
            let right = api_host(right).unwrap_or_else(|| right.to_owned());
            return Err(format!("`{typed}` has more than a host name; type it like {right}"));
        }
        let (host, port) = host_and_port(rest)?;
        let host = host.trim_end_matches('.').to_lowercase();
        if let Some(right) = api_host(&host) {
            return Err(format!("`{host}` is the address of the admin console; the API is at {right}"));
        }
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        if self.base_url.is_none() && !host.contains('.') && !is_address {
            return Err(format!("`{host}` is no whole host name; did you mean {host}.okta.com?"));
        }
        let base_url = port.map_or_else(|| format!("https://{host}"), |port| format!("https://{host}:{port}"));
        Ok(ServiceAddress { base_url, host, port: port.unwrap_or(443) })
    }
}

/// The API's host, where this one is Okta's console for administrators (Okta, "Core Okta API"). In an organisation's own
/// domain, a name that ends like that can be anything.
fn api_host(host: &str) -> Option<String> {
    [".okta.com", ".oktapreview.com", ".okta-emea.com"].into_iter().find_map(|domain| {
        let organisation = host.to_lowercase().strip_suffix(domain)?.strip_suffix("-admin")?.to_owned();
        Some(format!("{organisation}{domain}"))
    })
}

pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port number"))?;
            (host, Some(port))
        }
        _ => (text, None),
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if is_address || is_name { Ok((host.to_owned(), port)) } else { Err(format!("`{host}` is no host name")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_made_or_handed_over() {
        let parse = |text: &str| ListenAddress::try_from(text.to_owned());
        for text in ["0.0.0.0:636", "[::1]:389", "systemd:main"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("systemd:main").unwrap().socket(), None);
        for text in ["systemd:", "systemd:a:b", "systemd:two words", "localhost:636", "636", "Systemd:main"] {
            assert!(parse(text).unwrap_err().contains("systemd:NAME"), "{text}");
        }
    }

    #[test]
    fn hosts_ports_and_ipv6() {
        assert_eq!(host_and_port("dc1.example.com").unwrap(), ("dc1.example.com".to_owned(), None));
        assert_eq!(host_and_port("127.0.0.1:389").unwrap(), ("127.0.0.1".to_owned(), Some(389)));
        assert_eq!(host_and_port("[::1]:636").unwrap(), ("[::1]".to_owned(), Some(636)));
        assert!(host_and_port("dc1:ldap").is_err());
        assert!(host_and_port("two words").is_err());
        assert!(host_and_port("").is_err());
    }
}
