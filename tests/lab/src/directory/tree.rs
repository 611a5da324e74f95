//! The entries of the embedded directory, and searching them.

use std::collections::HashMap;

use ldap3_proto::proto::{
    LdapPartialAttribute, LdapResultCode, LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope, OID_WHOAMI,
};
use subtle::ConstantTimeEq as _;

use super::filter::{equals_any, matches};
use crate::company::{BASE_DN, Company, Entry};
use crate::dn::Dn;

/// The attributes that the sample's entries have, in lower case.
pub(super) const ATTRIBUTES: [&str; 16] = [
    "objectclass",
    "dc",
    "o",
    "ou",
    "uid",
    "cn",
    "sn",
    "givenname",
    "mail",
    "departmentnumber",
    "title",
    "employeenumber",
    "userpassword",
    "description",
    "member",
    "supportedldapversion",
];

/// RFC 3673: the server knows `+`.
const ALL_OPERATIONAL_FEATURE: &str = "1.3.6.1.4.1.4203.1.5.1";
pub(super) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// An entry and its name for comparison.
pub(super) struct Node {
    dn: Dn,
    shown_dn: String,
    user: Vec<(&'static str, Vec<String>)>,
    operational: Vec<(&'static str, Vec<String>)>,
    password: Option<String>,
}

impl Node {
    /// The values of an attribute that may be read; nothing when the entry has none of this name.
    pub(super) fn readable(&self, name: &str) -> Option<Vec<String>> {
        let all = self.user.iter().chain(&self.operational);
        all.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, values)| values.clone()).next()
    }

    fn of(entry: &Entry) -> Option<Self> {
        let readable = entry.attributes.iter().filter(|(name, _)| *name != "userPassword");
        let operational = vec![("entryUUID", vec![entry.uuid.clone()]), ("entryDN", vec![entry.dn.clone()])];
        Some(Self {
            dn: Dn::parse(&entry.dn)?,
            shown_dn: entry.dn.clone(),
            user: readable.cloned().collect(),
            operational,
            password: entry.values("userPassword").first().cloned(),
        })
    }

    fn root_dse() -> Self {
        let list = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
        Self {
            dn: Dn::root(),
            shown_dn: String::new(),
            user: vec![("objectClass", list(&["top"]))],
            operational: vec![
                ("namingContexts", list(&[BASE_DN])),
                ("supportedLDAPVersion", list(&["3"])),
                ("supportedExtension", list(&[OID_WHOAMI])),
                ("supportedControl", list(&[PAGED_RESULTS])),
                ("supportedFeatures", list(&[ALL_OPERATIONAL_FEATURE])),
                ("vendorName", list(&["Portcullis lab"])),
            ],
            password: None,
        }
    }
}

/// All entries.
pub(super) struct Tree {
    root_dse: Node,
    nodes: Vec<Node>,
    by_dn: HashMap<Dn, usize>,
}

/// A result code with the name that was found on the way, and a text for people.
pub(super) type Refusal = (LdapResultCode, String, String);

impl Tree {
    pub(super) fn new(company: &Company) -> Self {
        let nodes: Vec<Node> = company.entries().iter().filter_map(Node::of).collect();
        let by_dn = nodes.iter().enumerate().map(|(at, node)| (node.dn.clone(), at)).collect();
        Self { root_dse: Node::root_dse(), nodes, by_dn }
    }

    pub(super) fn node(&self, dn: &Dn) -> Option<&Node> {
        self.by_dn.get(dn).and_then(|&at| self.nodes.get(at))
    }

    /// The name as shown, when the password is this entry's. Whether the entry exists does not show in the time.
    pub(super) fn check_password(&self, dn: &str, password: &str) -> Result<Option<String>, Refusal> {
        let node = self.node(&parse(dn)?);
        let expected = node.and_then(|node| node.password.as_deref());
        // No password contains a zero byte, so the substitute never matches.
        let right: bool = expected.unwrap_or("\0\0\0\0\0\0\0\0").as_bytes().ct_eq(password.as_bytes()).into();
        Ok(node.filter(|_| right && expected.is_some()).map(|node| node.shown_dn.clone()))
    }

    /// Whether an entry has a value.
    pub(super) fn compare(&self, bound: bool, dn: &str, name: &str, value: &[u8]) -> Result<bool, Refusal> {
        let dn = parse(dn)?;
        let node = if dn.is_root() { Some(&self.root_dse) } else { self.node(&dn).filter(|_| bound) };
        let node = node.ok_or_else(|| self.no_such_object(bound, &dn))?;
        if name.eq_ignore_ascii_case("userPassword") {
            return Err((LdapResultCode::InsufficentAccessRights, String::new(), String::new()));
        }
        let Some(values) = node.readable(name) else {
            return Err((LdapResultCode::NoSuchAttribute, String::new(), String::new()));
        };
        Ok(std::str::from_utf8(value).ok().and_then(|value| equals_any(name, &values, value)).unwrap_or(false))
    }

    /// All entries that a search finds, in a stable order.
    pub(super) fn search(
        &self,
        bound: bool,
        request: &LdapSearchRequest,
    ) -> Result<Vec<LdapSearchResultEntry>, Refusal> {
        let base = parse(&request.base)?;
        if base.is_root() && request.scope == LdapSearchScope::Base {
            let found = matches(&request.filter, &self.root_dse) == Some(true);
            return Ok(found.then(|| select(&self.root_dse, request)).into_iter().collect());
        }
        if !bound || self.node(&base).is_none() {
            return Err(self.no_such_object(bound, &base));
        }
        let in_scope = |node: &&Node| match request.scope {
            LdapSearchScope::Base => node.dn == base,
            LdapSearchScope::OneLevel => node.dn.parent().as_ref() == Some(&base),
            LdapSearchScope::Subtree => node.dn.is_within(&base),
            LdapSearchScope::Children => node.dn.is_within(&base) && node.dn != base,
        };
        let found = self.nodes.iter().filter(in_scope).filter(|node| matches(&request.filter, node) == Some(true));
        Ok(found.map(|node| select(node, request)).collect())
    }

    /// RFC 4511, section 4.1.9: names the nearest entry that exists, but only to those who may know.
    fn no_such_object(&self, bound: bool, dn: &Dn) -> Refusal {
        let mut above = dn.parent();
        while let Some(dn) = above.filter(|_| bound) {
            if let Some(node) = self.node(&dn) {
                return (LdapResultCode::NoSuchObject, node.shown_dn.clone(), String::new());
            }
            above = dn.parent();
        }
        (LdapResultCode::NoSuchObject, String::new(), String::new())
    }
}

fn parse(dn: &str) -> Result<Dn, Refusal> {
    Dn::parse(dn).ok_or_else(|| (LdapResultCode::InvalidDNSyntax, String::new(), "invalid DN".to_owned()))
}

/// RFC 4511, section 4.5.1.8: nothing or `*` asks for all user attributes, `+` for all operational ones (RFC 3673),
/// `1.1` for none.
fn select(node: &Node, request: &LdapSearchRequest) -> LdapSearchResultEntry {
    let asked = |wanted: &str| request.attrs.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let all_user = request.attrs.is_empty() || asked("*");
    let all_operational = asked("+");
    let user = node.user.iter().filter(|(name, _)| all_user || asked(name));
    let operational = node.operational.iter().filter(|(name, _)| all_operational || asked(name));
    let attribute = |(name, values): &(&'static str, Vec<String>)| LdapPartialAttribute {
        atype: (*name).to_owned(),
        vals: if request.typesonly { Vec::new() } else { values.iter().map(|value| value.clone().into()).collect() },
    };
    LdapSearchResultEntry { dn: node.shown_dn.clone(), attributes: user.chain(operational).map(attribute).collect() }
}
