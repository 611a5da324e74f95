//! Names that the administrator gave to addresses and connections.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_core::gate::{Asked, Claim, Connection};
use portcullis_core::{Account, BindMethod, ListenerName, Operation, Outcome, dn};

/// A range of addresses with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNetwork {
    /// The name.
    pub name: String,
    /// The range; a single address is a range of one.
    pub network: IpNet,
}

/// How an application is told: by the listener, the client's network, its service account, or any of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationRule {
    /// The application.
    pub name: String,
    /// Connections over this listener; none means any.
    pub listener: Option<ListenerName>,
    /// Connections from these networks; empty means any.
    pub networks: Vec<IpNet>,
    /// Connections over which one of these has bound, with success and the guard's leave; empty means any. A DN is
    /// compared with the one that the directory has for whoever has bound; any other name with the one that was typed and
    /// with the one that the directory calls it by, without regard to case.
    pub bind_names: Vec<String>,
}

impl ApplicationRule {
    fn fits(&self, connection: &Connection) -> bool {
        let address = connection.client.ip().to_canonical();
        self.listener.as_ref().is_none_or(|listener| *listener == connection.listener)
            && (self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address)))
    }

    fn names(&self, bound: &Bound<'_>) -> bool {
        self.bind_names.iter().any(|name| {
            if name.contains('=') {
                dn::is_same(name, bound.dn)
            } else {
                bound.names.iter().flatten().any(|own| dn::folded_value(own) == dn::folded_value(name))
            }
        })
    }
}

/// Who has bound. Made only of what the directory has found to be true.
pub(crate) struct Bound<'a> {
    dn: &'a str,
    names: [Option<&'a str>; 2],
}

impl<'a> Bound<'a> {
    /// None for whatever is no successful bind of somebody who can be told.
    pub(crate) fn of(asked: &'a Asked, account: Option<&'a Account>) -> Option<Self> {
        let (Operation::Bind(method), Outcome::Success, Claim::Name(name)) =
            (&asked.operation, asked.outcome, &asked.claim)
        else {
            return None;
        };
        // The name field of a SASL bind proves nothing: a directory looks at the credentials alone (RFC 4511, section 4.2).
        let typed = asked.entry.as_deref().filter(|_| *method == BindMethod::Simple);
        let dn = account.and_then(|account| account.dn.as_deref()).unwrap_or(name);
        Some(Self { dn, names: [Some(name), typed] })
    }

    /// Whoever another log says has bound, with success.
    pub(crate) fn again(account: &'a Account, typed: Option<&'a str>) -> Self {
        let dn = account.dn.as_deref().unwrap_or(&account.login);
        Self { dn, names: [Some(&account.login), typed] }
    }
}

/// The application behind an access.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// It is told by who has bound with this very access.
    pub(crate) by_this_bind: bool,
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

    /// The application behind a connection; where no rule fits, the listener's name stands for it. A service account that
    /// binds makes the connection its application's, until that of another one binds.
    pub(crate) fn application<'a>(&'a self, connection: &'a Connection, bound: Option<&Bound<'_>>) -> Told<'a> {
        let rules = || self.applications.iter().filter(|rule| rule.fits(connection));
        let now = bound.and_then(|bound| rules().find(|rule| rule.names(bound))).map(|rule| rule.name.as_str());
        let shown = now.or(connection.application.as_deref());
        let rule = rules().find(|rule| rule.bind_names.is_empty() || shown == Some(&rule.name));
        rule.map_or(Told { name: connection.listener.as_str(), by_this_bind: false }, |rule| Told {
            name: &rule.name,
            by_this_bind: now.is_some() && !rule.bind_names.is_empty(),
        })
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

    fn over(listener: &str, address: &str) -> Connection {
        Connection {
            client: format!("{address}:50000").parse().unwrap(),
            listener: ListenerName::new(listener),
            tls: None,
            application: None,
        }
    }

    fn rule(name: &str) -> ApplicationRule {
        ApplicationRule { name: name.to_owned(), listener: None, networks: vec![], bind_names: vec![] }
    }

    #[test]
    fn the_first_rule_that_fits_names_the_application() {
        let surroundings = Surroundings {
            applications: vec![
                ApplicationRule { networks: vec!["10.0.0.0/24".parse().unwrap()], ..rule("wiki") },
                ApplicationRule { listener: Some(ListenerName::new("vpn")), ..rule("remote access") },
            ],
            ..Surroundings::default()
        };
        let name = |connection: &Connection| surroundings.application(connection, None).name.to_owned();
        assert_eq!(name(&over("vpn", "10.0.0.9")), "wiki");
        assert_eq!(name(&over("vpn", "[::ffff:10.0.0.9]")), "wiki");
        assert_eq!(name(&over("vpn", "10.9.0.9")), "remote access");
        assert_eq!(name(&over("main", "10.9.0.9")), "main");
    }

    const WIKI: &str = "cn=wiki,ou=services,dc=x";

    /// Wiki and payroll by their service accounts, wiki only from its own network, and whatever else comes from there.
    fn told_by_binds() -> Surroundings {
        let networks = vec!["10.0.0.0/24".parse().unwrap()];
        let wiki = vec!["CN = Wiki, ou=Services,dc=x".to_owned(), "X\\svc-wiki".to_owned()];
        let payroll = vec!["svc-payroll@x.example".to_owned()];
        Surroundings {
            applications: vec![
                ApplicationRule { networks: networks.clone(), bind_names: wiki, ..rule("wiki") },
                ApplicationRule { bind_names: payroll, ..rule("payroll") },
                ApplicationRule { networks, ..rule("something else") },
            ],
            ..Surroundings::default()
        }
    }

    fn asked(connection: Connection, method: BindMethod, name: &str, entry: &str, outcome: Outcome) -> Asked {
        Asked {
            connection,
            claim: Claim::Name(name.to_owned()),
            operation: Operation::Bind(method),
            entry: Some(entry.to_owned()),
            outcome,
            directory_result: None,
            code: None,
            tried: portcullis_core::gate::Tried::Nothing,
        }
    }

    fn told(asked: &Asked, dn: Option<&str>) -> (String, bool) {
        let account = dn.map(|dn| Account {
            id: portcullis_core::AccountId::new("id"),
            login: "x".to_owned(),
            dn: Some(dn.to_owned()),
            mail: None,
            kind: portcullis_core::AccountKind::Service,
            privileged: false,
            cloud_enabled: None,
            risk: 0,
        });
        let bound = Bound::of(asked, account.as_ref());
        let surroundings = told_by_binds();
        let told = surroundings.application(&asked.connection, bound.as_ref());
        (told.name.to_owned(), told.by_this_bind)
    }

    #[test]
    fn a_service_account_names_its_application_however_it_is_written() {
        let there = || over("main", "10.0.0.9");
        let simple = |name: &str, entry: &str| asked(there(), BindMethod::Simple, name, entry, Outcome::Success);
        let wiki = ("wiki".to_owned(), true);
        assert_eq!(told(&simple("CN=WIKI, OU=services,DC=X", "CN=WIKI, OU=services,DC=X"), None), wiki);
        assert_eq!(told(&simple("2.5.4.3=wiki,ou=services,dc=x", "2.5.4.3=wiki,ou=services,dc=x"), Some(WIKI)), wiki);
        assert_eq!(told(&simple("x\\SVC-Wiki", "svc-wiki@x.example"), Some("cn=other,dc=x")), wiki);
        assert_eq!(told(&simple("X\\svc-payroll", "SVC-payroll@X.example"), None), ("payroll".to_owned(), true));
        // The account that the directory has behind a name counts, not the name.
        assert_eq!(told(&simple(WIKI, WIKI), Some("cn=alias,dc=x")), ("something else".to_owned(), false));
    }

    #[test]
    fn a_name_that_is_not_proven_names_nothing() {
        let there = || over("main", "10.0.0.9");
        let other = ("something else".to_owned(), false);
        let refused = asked(there(), BindMethod::Simple, WIKI, WIKI, Outcome::Failure);
        assert_eq!(told(&refused, Some(WIKI)), other);
        let sasl =
            asked(there(), BindMethod::Sasl("PLAIN".to_owned()), "uid=alice,dc=x", "X\\svc-wiki", Outcome::Success);
        assert_eq!(told(&sasl, Some("uid=alice,dc=x")), other);
        let mut nobody = asked(there(), BindMethod::Simple, WIKI, WIKI, Outcome::Success);
        nobody.claim = Claim::Anonymous;
        assert_eq!(told(&nobody, None), other);
        let mut search = asked(there(), BindMethod::Simple, WIKI, WIKI, Outcome::Success);
        search.operation = Operation::Compare;
        assert_eq!(told(&search, Some(WIKI)), other);
        let stolen = asked(over("main", "10.9.0.9"), BindMethod::Simple, WIKI, WIKI, Outcome::Success);
        assert_eq!(told(&stolen, Some(WIKI)), ("main".to_owned(), false), "not from the wiki's own network");
    }

    #[test]
    fn a_connection_stays_its_application_s_until_another_one_binds() {
        let mut there = over("main", "10.0.0.9");
        there.application = Some("wiki".to_owned());
        let alice = "uid=alice,dc=x";
        let user = asked(there.clone(), BindMethod::Simple, alice, alice, Outcome::Success);
        assert_eq!(told(&user, Some(alice)), ("wiki".to_owned(), false));
        let other =
            asked(there, BindMethod::Simple, "svc-payroll@x.example", "svc-payroll@x.example", Outcome::Success);
        assert_eq!(told(&other, None), ("payroll".to_owned(), true));
    }
}
