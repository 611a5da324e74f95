//! The organisation's address, and which links lead there.

use std::fmt;

/// Scheme, host and port of an Okta organisation.
///
/// Okta's answers carry links to follow. The credentials go along, so a link is followed only when it leads to this very
/// origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// In lower case.
    host: String,
    port: u16,
}

const HTTPS_PORT: u16 = 443;
/// Okta's own domains, where `NAME-admin` is the administrators' console and not the API (Okta, "Core Okta API").
const OKTA_DOMAINS: [&str; 3] = [".okta.com", ".oktapreview.com", ".okta-emea.com"];

impl BaseUrl {
    /// Parses `https://HOST[:PORT]`; one slash behind it is put up with.
    ///
    /// # Errors
    /// What is wrong with the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "write it like https://acme.okta.com";
        let (origin, rest) = split(text).ok_or_else(|| format!("is not an https address; {example}"))?;
        if !rest.is_empty() && rest != "/" {
            return Err(format!("has a path; leave out `{rest}`"));
        }
        for domain in OKTA_DOMAINS {
            if let Some(name) = origin.host.strip_suffix(domain).and_then(|name| name.strip_suffix("-admin")) {
                return Err(format!("is the administrators' console; the API is at https://{name}{domain}"));
            }
        }
        Ok(origin)
    }

    /// Host name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether a link leads to this origin: same scheme, host and port.
    #[must_use]
    pub fn leads_to(&self, link: &str) -> bool {
        split(link).is_some_and(|(origin, _)| origin == *self)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            HTTPS_PORT => write!(f, "https://{}", self.host),
            port => write!(f, "https://{}:{port}", self.host),
        }
    }
}

/// Takes an https address apart into its origin and what follows. Strict on purpose: user names, backslashes, blanks and
/// control characters, which different parsers read differently, make it no address at all.
fn split(text: &str) -> Option<(BaseUrl, &str)> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let scheme = text.get(..8)?;
    if !scheme.eq_ignore_ascii_case("https://") {
        return None;
    }
    let rest = text.get(8..)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, parse_port(port)?),
        _ => (authority, HTTPS_PORT),
    };
    let host = host.to_ascii_lowercase();
    is_host(&host).then_some((BaseUrl { host, port }, rest))
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read() {
        for (text, shown) in [
            ("https://acme.okta.com", "https://acme.okta.com"),
            ("HTTPS://Acme.Okta.com/", "https://acme.okta.com"),
            ("https://acme.okta.com:443", "https://acme.okta.com"),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "acme.okta.com",
            "http://acme.okta.com",
            "https://",
            "https://:443",
            "https://acme.okta.com/api/v1",
            "https://acme.okta.com?x=1",
            "https://user@acme.okta.com",
            "https://acme.okta.com:0",
            "https://acme.okta.com:+443",
            "https://acme.okta.com:99999",
            "https://acme..okta.com",
            "https://acme okta.com",
            "https://[::1",
            "https://ácme.okta.com",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_console_is_not_the_api() {
        let problem = BaseUrl::parse("https://acme-admin.okta.com").unwrap_err();
        assert!(problem.contains("https://acme.okta.com"), "{problem}");
        assert!(BaseUrl::parse("https://sso-admin.acme.example").is_ok());
    }

    #[test]
    fn only_links_to_the_same_origin_are_followed() {
        let base = BaseUrl::parse("https://acme.okta.com").unwrap();
        for link in ["https://acme.okta.com/api", "https://ACME.okta.com:443/api?after=1", "https://acme.okta.com"] {
            assert!(base.leads_to(link), "{link}");
        }
        for link in [
            "http://acme.okta.com/api",
            "https://acme.okta.com:8443/api",
            "https://acme.okta.com.evil.example/api",
            "https://acme.okta.com@evil.example/api",
            "https://evil.example/acme.okta.com",
            "https://evil.example\\@acme.okta.com/api",
            "https://acme.okta.com\\.evil.example/api",
            "https://acme.okta.com\t/api",
            "//acme.okta.com/api",
            "/api/v1/users",
            "",
        ] {
            assert!(!base.leads_to(link), "{link}");
        }
    }
}
