//! Reading conditions.

use std::net::IpAddr;

use ipnet::IpNet;
use settings::{Node, Problems};

use super::{Condition, Proof};
use crate::attribute;
use crate::contract::portcullis::gateway::types::{AccountKind, Outcome};
use crate::dn::Dn;
use crate::hours::Hours;
use crate::settings::OPERATIONS;
use crate::shape::{LONGEST_FILTER, LONGEST_SHAPE, shape};
use crate::texts::{Patterns, Texts, each, words};

/// Keys of `attribute`.
pub const ATTRIBUTE_KEYS: [&str; 2] = ["name", "values"];

const KINDS: [(&str, AccountKind); 4] = [
    ("human", AccountKind::Human),
    ("service", AccountKind::Service),
    ("machine", AccountKind::Machine),
    ("unknown", AccountKind::Unknown),
];
const OUTCOMES: [(&str, Outcome); 3] =
    [("pending", Outcome::Pending), ("success", Outcome::Success), ("failure", Outcome::Failure)];

type Reader = fn(&Node<'_>, &mut Problems) -> Option<Condition>;

/// Every key of a condition and how its value is read.
const READERS: [(&str, Reader); 35] = [
    ("all", |node, problems| conditions(node, problems).map(Condition::All)),
    ("any", |node, problems| {
        let conditions = conditions(node, problems)?;
        if conditions.is_empty() {
            problems.add(node, "is an empty list, of which nothing can hold; name something or leave it out");
        }
        Some(Condition::Any(conditions))
    }),
    ("none", |node, problems| conditions(node, problems).map(Condition::None)),
    ("login", |node, problems| Texts::read(node, problems).map(Condition::Login)),
    ("account-id", |node, problems| Texts::read(node, problems).map(Condition::AccountId)),
    ("group", |node, problems| each(node, problems, text).map(Condition::Group)),
    ("unit", |node, problems| Texts::read(node, problems).map(Condition::Unit)),
    ("department", |node, problems| {
        let values = Texts::read(node, problems)?;
        Some(Condition::Attribute { name: "department".to_owned(), values })
    }),
    ("attribute", account_attribute),
    ("kind", |node, problems| words(node, &KINDS, problems).map(Condition::Kind)),
    ("privileged", |node, problems| node.boolean(problems).map(Condition::Privileged)),
    ("cloud-enabled", |node, problems| node.boolean(problems).map(Condition::CloudEnabled)),
    ("account-known", |node, problems| node.boolean(problems).map(Condition::AccountKnown)),
    ("account-risk-at-least", |node, problems| score(node, problems).map(Condition::AccountRiskAtLeast)),
    ("address", |node, problems| each(node, problems, network).map(Condition::Address)),
    ("endpoint-name", |node, problems| Texts::read(node, problems).map(Condition::EndpointName)),
    ("site", |node, problems| Texts::read(node, problems).map(Condition::Site)),
    ("associated", |node, problems| node.boolean(problems).map(Condition::Associated)),
    ("shared", |node, problems| node.boolean(problems).map(Condition::Shared)),
    ("endpoint-risk-at-least", |node, problems| score(node, problems).map(Condition::EndpointRiskAtLeast)),
    ("tls", |node, problems| node.boolean(problems).map(Condition::Tls)),
    ("client-certificate", |node, problems| node.boolean(problems).map(Condition::ClientCertificate)),
    ("client-certificate-name", |node, problems| Patterns::read(node, problems).map(Condition::ClientCertificateName)),
    ("client-certificate-fingerprint", |node, problems| {
        each(node, problems, fingerprint).map(Condition::ClientCertificateFingerprint)
    }),
    ("application", |node, problems| Texts::read(node, problems).map(Condition::Application)),
    ("operation", |node, problems| words(node, &OPERATIONS, problems).map(Condition::Operation)),
    ("entry", |node, problems| each(node, problems, entry).map(Condition::Entry)),
    ("entry-under", |node, problems| each(node, problems, base).map(Condition::EntryUnder)),
    ("filter-shape", |node, problems| each(node, problems, filter_shape).map(Condition::FilterShape)),
    ("outcome", |node, problems| words(node, &OUTCOMES, problems).map(Condition::Outcome)),
    ("signal", |node, problems| {
        let names = Some(Texts::read(node, problems)?);
        Some(Condition::Signal { names, at_least: 0 })
    }),
    ("signal-score-at-least", |node, problems| {
        let at_least = score(node, problems)?;
        Some(Condition::Signal { names: None, at_least })
    }),
    ("time", |node, problems| Hours::read(node, problems).map(Condition::Time)),
    ("bind-method", |node, problems| each(node, problems, proof).map(Condition::BindMethod)),
    ("attributes", |node, problems| Texts::read_as(node, problems, attribute::name).map(Condition::Attributes)),
];

/// Keys of a condition.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    READERS.iter().map(|(key, _)| *key).collect()
}

impl Condition {
    /// Reads a table, all of whose keys have to hold. The text it comes from cannot be nested deeper than its JSON parser
    /// allows (128 levels), which bounds the recursion here and in evaluation.
    pub(crate) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let table = node.table(&keys(), problems)?;
        let mut parts = Vec::new();
        let (mut names, mut at_least) = (None, None);
        let mut is_complete = true;
        for (key, read) in READERS {
            let Some(node) = table.get(key) else { continue };
            match read(&node, problems) {
                // Together they are about one and the same signal.
                Some(Self::Signal { names: Some(texts), .. }) => names = Some(texts),
                Some(Self::Signal { at_least: score, .. }) => at_least = Some(score),
                Some(part) => parts.push(part),
                None => is_complete = false,
            }
        }
        if names.is_some() || at_least.is_some() {
            parts.push(Self::Signal { names, at_least: at_least.unwrap_or(0) });
        }
        is_complete.then_some(Self::All(parts))
    }
}

fn conditions(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<Condition>> {
    let read: Vec<_> = node.list(problems)?.iter().map(|element| Condition::read(element, problems)).collect();
    read.into_iter().collect()
}

fn text(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    node.text(problems)
}

fn account_attribute(node: &Node<'_>, problems: &mut Problems) -> Option<Condition> {
    let table = node.table(&ATTRIBUTE_KEYS, problems)?;
    let name = table.require("name", problems).and_then(|node| node.text(problems));
    let values = table.require("values", problems).and_then(|node| Texts::read(&node, problems));
    Some(Condition::Attribute { name: name?, values: values? })
}

fn score(node: &Node<'_>, problems: &mut Problems) -> Option<u8> {
    node.number(&(1..=100), problems)
}

/// An address, or a network in CIDR notation (RFC 4632, RFC 4291).
fn network(node: &Node<'_>, problems: &mut Problems) -> Option<IpNet> {
    let text = node.text(problems)?;
    let network =
        text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into()));
    let Ok(network) = network else {
        problems
            .add(node, format!("`{text}` is neither an address nor a network; write it like 10.1.0.0/16 or fd00::/8"));
        return None;
    };
    if network.addr() != network.network() {
        problems.add(node, format!("`{text}` names a host inside its network; write {}", network.trunc()));
        return None;
    }
    Some(network)
}

/// SHA-256 in hexadecimal digits, as tools write it: colons between them do not matter, nor does their case.
fn fingerprint(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let digits = node.text(problems)?.replace(':', "").to_ascii_lowercase();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        problems.add(
            node,
            "is no SHA-256 fingerprint, which has 64 hexadecimal digits; openssl x509 -fingerprint -sha256 tells it",
        );
        return None;
    }
    Some(digits)
}

/// A name, or the word for the entry that has none (RFC 4512, section 5.1).
fn entry(node: &Node<'_>, problems: &mut Problems) -> Option<Dn> {
    if node.text(problems)? == "root-dse" { Dn::loose("") } else { base(node, problems) }
}

fn base(node: &Node<'_>, problems: &mut Problems) -> Option<Dn> {
    let text = node.text(problems)?;
    let dn = Dn::loose(&text);
    if dn.is_none() {
        problems.add(node, "is not a distinguished name; write it like ou=People,dc=acme,dc=example");
    }
    dn
}

/// A filter, or what is left of one without its values.
fn filter_shape(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let found = shape(&node.text(problems)?);
    if found.is_none() {
        let message = format!(
            "is no filter of at most {LONGEST_FILTER} octets, {LONGEST_SHAPE} without its values; write it like \
             (&(objectClass=person)(uid=?)), where ? stands for what may be any text"
        );
        problems.add(node, message);
    }
    found
}

fn proof(node: &Node<'_>, problems: &mut Problems) -> Option<Proof> {
    let text = node.text(problems)?;
    match text.as_str() {
        "anonymous" => Some(Proof::Anonymous),
        "simple" => Some(Proof::Simple),
        "sasl" => Some(Proof::Sasl),
        "opaque-sasl" => Some(Proof::OpaqueSasl),
        // RFC 4422, section 3.1.
        mechanism
            if mechanism.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_') =>
        {
            Some(Proof::Mechanism(text))
        }
        _ => {
            let known = "anonymous, simple, sasl, opaque-sasl, and SASL mechanisms in capitals, like SCRAM-SHA-256";
            problems.add(node, format!("`{text}` is not known here; known are {known}"));
            None
        }
    }
}
