//! Requests of LDAP (RFC 4511, section 4), and the answers that the gateway gives in the directory's place.

use super::ber::{Octets, boolean, context, enumerated, int, nested, seq, set, text, tlv};

pub(super) const BASE: &str = "dc=example,dc=com";
/// Where scripts change things, and where the special entries are.
pub(super) const LAB: &str = "ou=lab,dc=example,dc=com";
pub(super) const ALICE: &str = "uid=alice,ou=engineering,ou=people,dc=example,dc=com";
pub(super) const BOB: &str = "uid=bob,ou=sales,ou=people,dc=example,dc=com";

pub(super) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// An operation with its controls.
#[derive(Clone)]
pub(super) struct Op {
    operation: Octets,
    controls: Vec<Octets>,
}

impl Op {
    pub(super) fn raw(operation: Octets) -> Self {
        Self { operation, controls: Vec::new() }
    }

    pub(super) fn with(mut self, oid: &str, critical: bool, value: Option<Octets>) -> Self {
        let mut parts = vec![text(oid)];
        if critical {
            parts.push(boolean(true));
        }
        parts.extend(value.map(text));
        self.controls.push(seq(&parts));
        self
    }

    /// With these octets in the place of a control.
    pub(super) fn with_raw(mut self, control: Octets) -> Self {
        self.controls.push(control);
        self
    }

    /// With all its parts changed.
    pub(super) fn changed(self, change: fn(&[u8]) -> Octets) -> Self {
        let controls = self.controls.iter().map(|control| change(control)).collect();
        Self { operation: change(&self.operation), controls }
    }

    /// The whole message.
    pub(super) fn message(&self, id: i64) -> Octets {
        let mut parts = vec![int(id), self.operation.clone()];
        if !self.controls.is_empty() {
            parts.push(nested(0, &self.controls));
        }
        seq(&parts)
    }
}

pub(super) fn bind(dn: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Op {
    bind_as(3, dn, password)
}

pub(super) fn bind_as(version: i64, dn: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Op {
    Op::raw(tlv(0x60, [int(version), text(dn), context(0, password)].concat()))
}

pub(super) fn sasl(mechanism: &str, credentials: Option<&[u8]>) -> Op {
    let mut parts = vec![text(mechanism)];
    parts.extend(credentials.map(text));
    Op::raw(tlv(0x60, [int(3), text(""), nested(3, &parts)].concat()))
}

pub(super) fn unbind() -> Op {
    Op::raw(tlv(0x42, []))
}

/// A search; subtree with every limit absent unless told.
#[derive(Clone)]
pub(super) struct Search {
    base: Octets,
    scope: i64,
    deref: i64,
    size: i64,
    time: i64,
    types_only: bool,
    filter: Octets,
    attributes: Vec<Octets>,
}

pub(super) fn search(base: impl AsRef<[u8]>) -> Search {
    Search {
        base: base.as_ref().to_vec(),
        scope: 2,
        deref: 0,
        size: 0,
        time: 0,
        types_only: false,
        filter: present("objectClass"),
        attributes: Vec::new(),
    }
}

/// One entry.
pub(super) fn read(base: impl AsRef<[u8]>) -> Search {
    search(base).scope(0)
}

impl Search {
    pub(super) fn scope(mut self, scope: i64) -> Self {
        self.scope = scope;
        self
    }

    pub(super) fn deref(mut self, deref: i64) -> Self {
        self.deref = deref;
        self
    }

    pub(super) fn limits(mut self, size: i64, time: i64) -> Self {
        (self.size, self.time) = (size, time);
        self
    }

    pub(super) fn types_only(mut self) -> Self {
        self.types_only = true;
        self
    }

    pub(super) fn filter(mut self, filter: Octets) -> Self {
        self.filter = filter;
        self
    }

    pub(super) fn attributes(mut self, names: &[&str]) -> Self {
        self.attributes = names.iter().map(text).collect();
        self
    }

    pub(super) fn with(self, oid: &str, critical: bool, value: Option<Octets>) -> Op {
        Op::from(self).with(oid, critical, value)
    }
}

impl From<Search> for Op {
    fn from(search: Search) -> Self {
        let parts = [
            text(search.base),
            enumerated(search.scope),
            enumerated(search.deref),
            int(search.size),
            int(search.time),
            boolean(search.types_only),
            search.filter,
            seq(&search.attributes),
        ];
        Self::raw(tlv(0x63, parts.concat()))
    }
}

fn pair(tag: u8, attribute: &str, value: impl AsRef<[u8]>) -> Octets {
    tlv(tag, [text(attribute), text(value)].concat())
}

pub(super) fn present(attribute: &str) -> Octets {
    context(7, attribute)
}

pub(super) fn equal(attribute: &str, value: impl AsRef<[u8]>) -> Octets {
    pair(0xa3, attribute, value)
}

pub(super) fn at_least(attribute: &str, value: &str) -> Octets {
    pair(0xa5, attribute, value)
}

pub(super) fn at_most(attribute: &str, value: &str) -> Octets {
    pair(0xa6, attribute, value)
}

pub(super) fn approximately(attribute: &str, value: &str) -> Octets {
    pair(0xa8, attribute, value)
}

/// Pieces of a substring filter: 0 initial, 1 any, 2 final.
pub(super) fn substring(attribute: &str, pieces: &[(u8, &str)]) -> Octets {
    let pieces: Vec<Octets> = pieces.iter().map(|(kind, piece)| context(*kind, piece)).collect();
    nested(4, &[text(attribute), seq(&pieces)])
}

pub(super) fn extensible(rule: Option<&str>, attribute: Option<&str>, value: &str, dn: bool) -> Octets {
    let mut parts = Vec::new();
    parts.extend(rule.map(|rule| context(1, rule)));
    parts.extend(attribute.map(|attribute| context(2, attribute)));
    parts.push(context(3, value));
    if dn {
        parts.push(context(4, [0xff]));
    }
    nested(9, &parts)
}

pub(super) fn and(filters: &[Octets]) -> Octets {
    nested(0, filters)
}

pub(super) fn or(filters: &[Octets]) -> Octets {
    nested(1, filters)
}

pub(super) fn not(filter: Octets) -> Octets {
    nested(2, &[filter])
}

pub(super) fn compare(dn: &str, attribute: &str, value: impl AsRef<[u8]>) -> Op {
    Op::raw(tlv(0x6e, [text(dn), seq(&[text(attribute), text(value)])].concat()))
}

fn attribute(name: &str, values: &[impl AsRef<[u8]>]) -> Octets {
    let values: Vec<Octets> = values.iter().map(text).collect();
    seq(&[text(name), set(&values)])
}

pub(super) fn add(dn: impl AsRef<[u8]>, attributes: &[(&str, &[&[u8]])]) -> Op {
    let attributes: Vec<Octets> = attributes.iter().map(|(name, values)| attribute(name, values)).collect();
    Op::raw(tlv(0x68, [text(dn), seq(&attributes)].concat()))
}

/// A person in the lab.
pub(super) fn add_person(uid: &str) -> Op {
    let name = uid.as_bytes();
    add(
        format!("uid={uid},{LAB}"),
        &[("objectClass", &[b"inetOrgPerson"]), ("uid", &[name]), ("cn", &[name]), ("sn", &[b"Test"])],
    )
}

pub(super) fn lab(rdn: &str) -> String {
    format!("{rdn},{LAB}")
}

pub(super) fn delete(dn: &str) -> Op {
    Op::raw(tlv(0x4a, dn))
}

pub(super) const ADD: i64 = 0;
pub(super) const DELETE: i64 = 1;
pub(super) const REPLACE: i64 = 2;
/// RFC 4525.
pub(super) const INCREMENT: i64 = 3;

pub(super) fn modify(dn: &str, changes: &[(i64, &str, &[&[u8]])]) -> Op {
    let change = |(kind, name, values): &(i64, &str, &[&[u8]])| seq(&[enumerated(*kind), attribute(name, values)]);
    let changes: Vec<Octets> = changes.iter().map(change).collect();
    Op::raw(tlv(0x66, [text(dn), seq(&changes)].concat()))
}

pub(super) fn rename(dn: &str, rdn: &str, delete_old: bool, superior: Option<&str>) -> Op {
    let mut parts = vec![text(dn), text(rdn), boolean(delete_old)];
    parts.extend(superior.map(|superior| context(0, superior)));
    Op::raw(tlv(0x6c, parts.concat()))
}

pub(super) fn abandon(id: i64) -> Op {
    let number = int(id);
    Op::raw(tlv(0x50, &number[2..]))
}

pub(super) fn extended(oid: &str, value: Option<Octets>) -> Op {
    let mut parts = vec![context(0, oid)];
    parts.extend(value.map(|value| context(1, value)));
    Op::raw(tlv(0x77, parts.concat()))
}

pub(super) fn who_am_i() -> Op {
    extended("1.3.6.1.4.1.4203.1.11.3", None)
}

/// RFC 3062.
pub(super) fn password_modify(user: Option<&str>, old: Option<&[u8]>, new: Option<&[u8]>) -> Op {
    let mut parts = Vec::new();
    parts.extend(user.map(|user| context(0, user)));
    parts.extend(old.map(|old| context(1, old)));
    parts.extend(new.map(|new| context(2, new)));
    extended("1.3.6.1.4.1.4203.1.11.1", Some(seq(&parts)))
}

/// RFC 3909.
pub(super) fn cancel(id: i64) -> Op {
    extended("1.3.6.1.1.8", Some(seq(&[int(id)])))
}

/// Tags of answers.
pub(super) const BIND_RESPONSE: u8 = 0x61;
pub(super) const MODIFY_RESPONSE: u8 = 0x67;
pub(super) const EXTENDED_RESPONSE: u8 = 0x78;

/// An answer of the gateway's own with this tag.
pub(super) fn answer(id: i64, tag: u8, code: i64, diagnostic: &str) -> Octets {
    seq(&[int(id), tlv(tag, [enumerated(code), text(""), text(diagnostic)].concat())])
}

/// slapd's answer to "Who am I?" of nobody.
pub(super) fn nobody(id: i64) -> Octets {
    identity(id, "")
}

/// slapd's answer to "Who am I?" of whom this names.
pub(super) fn somebody(id: i64, dn: &str) -> Octets {
    identity(id, &format!("dn:{dn}"))
}

fn identity(id: i64, name: &str) -> Octets {
    seq(&[int(id), tlv(0x78, [enumerated(0), text(""), text(""), context(11, name)].concat())])
}

/// Notice of Disconnection (RFC 4511, section 4.4.1).
pub(super) fn notice(code: i64, diagnostic: &str) -> Octets {
    let name = context(10, "1.3.6.1.4.1.1466.20036");
    seq(&[int(0), tlv(0x78, [enumerated(code), text(""), text(diagnostic), name].concat())])
}
