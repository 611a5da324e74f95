//! Names that the administrator gave to addresses and connections.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_core::ListenerName;

/// A range of addresses with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNetwork {
    /// The name.
    pub name: String,
    /// The range; a single address is a range of one.
    pub network: IpNet,
}

/// How an application is told: by the listener, the client's network, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationRule {
    /// The application.
    pub name: String,
    /// Connections over this listener; none means any.
    pub listener: Option<ListenerName>,
    /// Connections from these networks; empty means any.
    pub networks: Vec<IpNet>,
}

/// All names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Sites.
    pub sites: Vec<NamedNetwork>,
    /// Named machines.
    pub endpoints: Vec<NamedNetwork>,
    /// Applications; the first that fits counts.
    pub applications: Vec<ApplicationRule>,
}

impl Surroundings {
    /// The site of an address: of all that hold it, the one with the narrowest range.
    #[must_use]
    pub fn site(&self, address: IpAddr) -> Option<&str> {
        narrowest(&self.sites, address)
    }

    /// The name of an address.
    #[must_use]
    pub fn endpoint(&self, address: IpAddr) -> Option<&str> {
        narrowest(&self.endpoints, address)
    }

    /// The application behind a connection; where no rule fits, the listener's name stands for it.
    #[must_use]
    pub fn application<'a>(&'a self, listener: &'a ListenerName, address: IpAddr) -> &'a str {
        self.applications
            .iter()
            .find(|rule| {
                rule.listener.as_ref().is_none_or(|l| l == listener)
                    && (rule.networks.is_empty() || rule.networks.iter().any(|n| n.contains(&address)))
            })
            .map_or(listener.as_str(), |rule| &rule.name)
    }
}

fn narrowest(networks: &[NamedNetwork], address: IpAddr) -> Option<&str> {
    networks
        .iter()
        .filter(|named| named.network.contains(&address))
        .max_by_key(|named| named.network.prefix_len())
        .map(|named| named.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, network: &str) -> NamedNetwork {
        NamedNetwork { name: name.to_owned(), network: network.parse().unwrap() }
    }

    #[test]
    fn the_narrowest_range_names_the_site() {
        let surroundings = Surroundings {
            sites: vec![named("campus", "10.0.0.0/8"), named("lab", "10.1.0.0/16")],
            ..Surroundings::default()
        };
        assert_eq!(surroundings.site("10.1.2.3".parse().unwrap()), Some("lab"));
        assert_eq!(surroundings.site("10.2.2.3".parse().unwrap()), Some("campus"));
        assert_eq!(surroundings.site("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn the_first_rule_that_fits_names_the_application() {
        let vpn = ListenerName::new("vpn");
        let surroundings = Surroundings {
            applications: vec![
                ApplicationRule {
                    name: "wiki".to_owned(),
                    listener: None,
                    networks: vec!["10.0.0.0/24".parse().unwrap()],
                },
                ApplicationRule { name: "remote access".to_owned(), listener: Some(vpn.clone()), networks: vec![] },
            ],
            ..Surroundings::default()
        };
        assert_eq!(surroundings.application(&vpn, "10.0.0.9".parse().unwrap()), "wiki");
        assert_eq!(surroundings.application(&vpn, "10.9.0.9".parse().unwrap()), "remote access");
        assert_eq!(surroundings.application(&ListenerName::new("main"), "10.9.0.9".parse().unwrap()), "main");
    }
}
