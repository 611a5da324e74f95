//! What a rule asks about an access.

mod read;

use std::net::IpAddr;
use std::ops::Not as _;
use std::rc::Rc;

use ipnet::IpNet;

use crate::attribute;
use crate::contract::exports::portcullis::gateway::policy::OperationKind;
use crate::contract::portcullis::gateway::types::{
    Access, Account, AccountKind, BindMethod, ClientCertificate, Endpoint, Operation, Outcome, Protection,
};
use crate::decide::kind_of;
use crate::dn::Dn;
use crate::hours::Hours;
use crate::shape::shape;
use crate::texts::{Patterns, Texts};

pub use read::{ATTRIBUTE_KEYS, keys};

/// More about the account of the access; see `facts` of the contract.
pub trait Facts {
    /// Whether the account is in a group, directly or through others.
    fn member_of(&self, group: &str) -> bool;
    /// Organizational units above the entry.
    fn units(&self) -> Rc<[String]>;
    /// Values of an attribute.
    fn attribute(&self, name: &str) -> Rc<[String]>;

    /// The access's entry, taken apart; none for what is no name.
    fn parsed(&self, entry: &str) -> Option<Rc<Dn>> {
        Dn::loose(entry).map(Rc::new)
    }
}

/// How a bind proves who asks, as a condition names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Not at all.
    Anonymous,
    /// With a password.
    Simple,
    /// With any SASL mechanism.
    Sasl,
    /// With a SASL mechanism that may hide what follows.
    OpaqueSasl,
    /// With this SASL mechanism; in upper case.
    Mechanism(String),
}

/// A condition. One about something that the access does not have (an account that is not known, a site that no address range
/// names) does not hold. One about something that it has, and that cannot be told (an entry that is named in another way than by its
/// DN), is undecided.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named like the settings that they are read from")]
pub enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    None(Vec<Self>),
    Login(Texts),
    AccountId(Texts),
    Group(Vec<String>),
    Unit(Texts),
    Attribute {
        name: String,
        values: Texts,
    },
    Kind(Vec<AccountKind>),
    Privileged(bool),
    CloudEnabled(bool),
    AccountKnown(bool),
    AccountRiskAtLeast(u8),
    Address(Vec<IpNet>),
    EndpointName(Texts),
    Site(Texts),
    Associated(bool),
    Shared(bool),
    EndpointRiskAtLeast(u8),
    Tls(bool),
    ClientCertificate(bool),
    /// The subject, or one of the alternative names, fits.
    ClientCertificateName(Patterns),
    /// 64 lower-case hexadecimal digits.
    ClientCertificateFingerprint(Vec<String>),
    Application(Texts),
    Operation(Vec<OperationKind>),
    Entry(Vec<Dn>),
    EntryUnder(Vec<Dn>),
    /// The search's filter has one of these shapes.
    FilterShape(Vec<String>),
    Outcome(Vec<Outcome>),
    /// A signal of one of these names, or of any, with this score or a higher one.
    Signal {
        names: Option<Texts>,
        at_least: u8,
    },
    Time(Hours),
    BindMethod(Vec<Proof>),
    /// By their own names; see [`attribute::name`].
    Attributes(Texts),
}

impl Condition {
    /// Whether it holds for an access; none where that cannot be told.
    pub fn holds(&self, access: &Access, facts: &impl Facts) -> Option<bool> {
        let account = |test: &dyn Fn(&Account) -> bool| access.account.as_ref().is_some_and(test);
        let endpoint = |test: &dyn Fn(&Endpoint) -> bool| access.endpoint.as_ref().is_some_and(test);
        Some(match self {
            Self::All(conditions) => {
                return any(conditions.iter().map(|condition| condition.holds(access, facts).map(bool::not)))
                    .map(bool::not);
            }
            Self::Any(conditions) => return any(conditions.iter().map(|condition| condition.holds(access, facts))),
            Self::None(conditions) => {
                return any(conditions.iter().map(|condition| condition.holds(access, facts))).map(bool::not);
            }
            Self::Login(logins) => account(&|account| logins.hold(&account.login)),
            Self::AccountId(ids) => account(&|account| ids.hold(&account.id)),
            Self::Group(groups) => account(&|_| groups.iter().any(|group| facts.member_of(group))),
            Self::Unit(units) => account(&|_| facts.units().iter().any(|unit| units.hold(unit))),
            Self::Attribute { name, values } => {
                account(&|_| facts.attribute(name).iter().any(|value| values.hold(value)))
            }
            Self::Kind(kinds) => account(&|account| kinds.contains(&account.kind)),
            Self::Privileged(wanted) => account(&|account| account.privileged == *wanted),
            Self::CloudEnabled(wanted) => account(&|account| account.cloud_enabled == Some(*wanted)),
            Self::AccountKnown(wanted) => access.account.is_some() == *wanted,
            Self::AccountRiskAtLeast(risk) => account(&|account| account.risk >= *risk),
            Self::Address(networks) => endpoint(&|endpoint| is_inside(&endpoint.address, networks)),
            Self::EndpointName(names) => {
                endpoint(&|endpoint| endpoint.name.as_ref().is_some_and(|name| names.hold(name)))
            }
            Self::Site(sites) => endpoint(&|endpoint| endpoint.site.as_ref().is_some_and(|site| sites.hold(site))),
            Self::Associated(wanted) => endpoint(&|endpoint| endpoint.associated == *wanted),
            Self::Shared(wanted) => endpoint(&|endpoint| endpoint.shared == *wanted),
            Self::EndpointRiskAtLeast(risk) => endpoint(&|endpoint| endpoint.risk >= *risk),
            Self::Tls(wanted) => {
                access.protection.as_ref().is_some_and(|known| matches!(known, Protection::Tls(_)) == *wanted)
            }
            Self::ClientCertificate(wanted) => access.protection.is_some() && certificate(access).is_some() == *wanted,
            Self::ClientCertificateName(names) => certificate(access).is_some_and(|certificate| {
                names.fit(&certificate.subject) || certificate.alternative_names.iter().any(|name| names.fit(name))
            }),
            Self::ClientCertificateFingerprint(known) => {
                certificate(access).is_some_and(|certificate| known.contains(&certificate.fingerprint))
            }
            Self::Application(applications) => applications.hold(&access.target.application),
            Self::Operation(kinds) => kinds.contains(&kind_of(&access.operation)),
            Self::Entry(entries) => return names(access, facts, |entry| entries.contains(entry)),
            Self::EntryUnder(bases) => {
                return names(access, facts, |entry| bases.iter().any(|base| entry.is_under(base)));
            }
            Self::FilterShape(shapes) => match &access.operation {
                Operation::Search(search) => return shape(&search.filter).map(|shape| shapes.contains(&shape)),
                _ => false,
            },
            Self::Outcome(outcomes) => outcomes.contains(&access.outcome),
            Self::Signal { names, at_least } => access
                .signals
                .iter()
                .any(|signal| signal.score >= *at_least && names.as_ref().is_none_or(|names| names.hold(&signal.name))),
            Self::Time(hours) => hours.hold(access.at),
            Self::BindMethod(proofs) => proofs.iter().any(|proof| is_proof(proof, &access.operation)),
            Self::Attributes(names) => return touches(names, &access.operation),
        })
    }
}

/// Whether one of them holds; undecided where none does, and one of them is.
fn any(conditions: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut undecided = false;
    for holds in conditions {
        match holds {
            Some(true) => return holds,
            Some(false) => {}
            None => undecided = true,
        }
    }
    (!undecided).then_some(false)
}

/// Whether the operation's entry is such a one; undecided where it is not given as a DN, or is left to the directory.
fn names(access: &Access, facts: &impl Facts, is: impl Fn(&Dn) -> bool) -> Option<bool> {
    match access.target.entry.as_deref() {
        Some(entry) => facts.parsed(entry).map(|entry| is(&entry)),
        None if access.source == "ldap" && has_entry(&access.operation) => None,
        None => Some(false),
    }
}

/// It cannot be asked of a directory without naming an entry.
fn has_entry(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Search(_)
            | Operation::Compare
            | Operation::Add
            | Operation::Modify(_)
            | Operation::Delete
            | Operation::Rename
            | Operation::PasswordChange
    )
}

/// What the client showed, where it showed something.
fn certificate(access: &Access) -> Option<&ClientCertificate> {
    match access.protection.as_ref()? {
        Protection::Tls(tls) => tls.client_certificate.as_ref(),
        Protection::Cleartext => None,
    }
}

/// IPv4 addresses that are written as IPv6 (`::ffff:10.0.0.1`) are IPv4 addresses.
fn is_inside(address: &str, networks: &[IpNet]) -> bool {
    let address = address.parse::<IpAddr>().map(|address| address.to_canonical());
    address.is_ok_and(|address| networks.iter().any(|network| network.contains(&address)))
}

fn is_proof(proof: &Proof, operation: &Operation) -> bool {
    let Operation::Bind(method) = operation else { return false };
    match (proof, method) {
        (Proof::Anonymous, BindMethod::Anonymous) | (Proof::Simple, BindMethod::Simple) => true,
        (Proof::Sasl, BindMethod::Sasl(_) | BindMethod::OpaqueSasl(_)) => true,
        (Proof::OpaqueSasl, BindMethod::OpaqueSasl(_)) => true,
        (Proof::Mechanism(wanted), BindMethod::Sasl(mechanism) | BindMethod::OpaqueSasl(mechanism)) => {
            mechanism.eq_ignore_ascii_case(wanted)
        }
        _ => false,
    }
}

/// Whether an operation changes or requests one of the attributes. A search that asks for all user attributes requests each of them
/// (RFC 4511, section 4.5.1.8). Undecided where one is given by a number that is not known here, or is one of an object class
/// (RFC 4529).
fn touches(names: &Texts, operation: &Operation) -> Option<bool> {
    let is_named = |written: &String| {
        let is_unknown = attribute::is_any(written) || written.starts_with('@');
        if names.hold(attribute::name(written)) { Some(true) } else { (!is_unknown).then_some(false) }
    };
    match operation {
        Operation::Modify(attributes) => any(attributes.iter().map(is_named)),
        Operation::Search(search) => {
            let asks_for_all = search.attributes.is_empty() || search.attributes.iter().any(|name| name == "*");
            if asks_for_all { Some(true) } else { any(search.attributes.iter().map(is_named)) }
        }
        _ => Some(false),
    }
}
