//! Filters of searches (RFC 4511, section 4.5.1.7; RFC 4515), right and wrong.

use super::super::ber::{Octets, context, nested, seq, text, tlv};
use super::super::case::Case;
use super::super::request::{
    BASE, and, approximately, at_least, at_most, equal, extensible, not, or, present, search, substring,
};

pub(super) fn cases() -> Vec<Case> {
    let case = |(name, filter): (&str, Octets)| {
        let search = search(BASE).filter(filter).attributes(&["uid"]);
        Case::new(format!("filter: {name}")).manager().ask(search)
    };
    right().into_iter().chain(odd()).chain(wrong()).map(case).collect()
}

fn right() -> Vec<(&'static str, Octets)> {
    vec![
        ("present", present("mail")),
        ("equality", equal("uid", "alice")),
        ("equality in another case", equal("UID", "ALICE")),
        ("greater or equal", at_least("employeeNumber", "1190")),
        ("greater or equal without an order", at_least("jpegPhoto", "1")),
        ("less or equal", at_most("employeeNumber", "1005")),
        ("approximate", approximately("sn", "Archr")),
        ("substring, initial", substring("uid", &[(0, "a")])),
        ("substring, any", substring("mail", &[(1, "li")])),
        ("substring, final", substring("uid", &[(2, "e")])),
        ("substring, all of it", substring("mail", &[(0, "a"), (1, "c"), (1, "@"), (2, "com")])),
        ("and", and(&[equal("uid", "alice"), present("mail")])),
        ("or", or(&[equal("uid", "alice"), equal("uid", "bob")])),
        ("not", and(&[present("uid"), not(present("mail"))])),
        ("everything at once", {
            let some = or(&[substring("uid", &[(0, "b")]), not(at_least("employeeNumber", "1003"))]);
            and(&[some, present("objectClass"), not(equal("uid", "bob"))])
        }),
        ("and of nothing", and(&[])),
        ("or of nothing", or(&[])),
        ("extensible with an attribute", extensible(None, Some("uid"), "alice", false)),
        ("extensible with a rule", extensible(Some("caseExactMatch"), Some("uid"), "alice", false)),
        ("extensible with a rule by OID", extensible(Some("2.5.13.2"), Some("uid"), "ALICE", false)),
        ("extensible with the attributes of the name", extensible(None, Some("ou"), "engineering", true)),
        ("extensible with a rule alone", extensible(Some("caseIgnoreMatch"), None, "alice", false)),
        ("extensible with an unknown rule", extensible(Some("1.2.3.4.5"), Some("uid"), "alice", false)),
        ("extensible with bits", extensible(Some("1.2.840.113556.1.4.803"), Some("uidNumber"), "1", false)),
    ]
}

fn odd() -> Vec<(&'static str, Octets)> {
    let deep = |depth: usize| (0..depth).fold(present("uid"), |inner, _| and(&[inner]));
    vec![
        ("undefined attribute, present", present("noSuchAttribute")),
        ("undefined attribute, equality", equal("noSuchAttribute", "x")),
        ("undefined attribute, not", not(equal("noSuchAttribute", "x"))),
        ("a value of the wrong syntax", equal("uidNumber", "many")),
        ("a value that is no UTF-8", equal("uid", [0xff, 0xfe])),
        ("a value with a zero octet", equal("uid", "a\0b")),
        ("a value with stars and brackets", equal("cn", "*)(uid=*")),
        ("a value beyond ASCII", equal("sn", "Müller")),
        ("an empty value", equal("uid", "")),
        ("an attribute by OID", equal("0.9.2342.19200300.100.1.1", "alice")),
        ("an attribute with an option", equal("uid;x-other", "alice")),
        ("a value of 100 000 octets", equal("uid", vec![b'a'; 100_000])),
        ("a thousand alternatives", {
            let names: Vec<Octets> = (0..1000).map(|nth| equal("uid", format!("user{nth}"))).collect();
            or(&names)
        }),
        ("50 deep", deep(50)),
        ("1 000 deep", deep(1_000)),
        ("an operational attribute", equal("entryDN", "uid=alice,ou=engineering,ou=people,dc=example,dc=com")),
        ("entryUUID", equal("entryUUID", "00000000-0000-8000-8000-000000000001")),
    ]
}

fn wrong() -> Vec<(&'static str, Octets)> {
    vec![
        ("a choice that there is not", context(15, "x")),
        ("no choice of the context class", seq(&[text("uid"), text("alice")])),
        ("equality without a value", nested(3, &[text("uid")])),
        ("equality with an attribute that is empty", equal("", "x")),
        ("present with an attribute that is empty", present("")),
        ("substring without pieces", substring("uid", &[])),
        ("substring with two first pieces", substring("uid", &[(0, "a"), (0, "b")])),
        ("substring with a piece that there is not", substring("uid", &[(7, "a")])),
        ("substring with an empty piece", substring("uid", &[(1, "")])),
        ("not of nothing", tlv(0xa2, [])),
        ("not of two", nested(2, &[present("uid"), present("cn")])),
        ("extensible without a value", nested(9, &[context(2, "uid")])),
        ("extensible without anything to compare", nested(9, &[context(3, "x")])),
        ("extensible in the wrong order", nested(9, &[context(3, "x"), context(2, "uid")])),
    ]
}
