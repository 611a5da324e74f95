//! Searches and compares (RFC 4511, sections 4.5 and 4.10).

use super::super::case::Case;
use super::super::request::{ALICE, BASE, BOB, LAB, Op, bind, compare, equal, lab, present, read, search, who_am_i};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = scopes();
    cases.extend(limits());
    cases.extend(attributes());
    cases.extend(places());
    cases.extend(compares());
    cases
}

fn one(name: &str, op: impl Into<Op>) -> Case {
    Case::new(name).manager().ask(op)
}

fn scopes() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("search: base object", 0),
        ("search: one level", 1),
        ("search: subtree", 2),
        ("search: subordinates", 3),
        ("search: a scope that there is not", 4),
        ("search: a scope of two octets", 300),
    ]
    .into_iter()
    .map(|(name, scope)| one(name, search("ou=people,dc=example,dc=com").scope(scope)))
    .collect();
    for deref in 0..5 {
        cases.push(one(&format!("search: aliases, dereferenced as {deref} says"), search(LAB).deref(deref)));
        cases.push(one(
            &format!("search: from an alias, dereferenced as {deref} says"),
            search(lab("cn=pointer")).scope(0).deref(deref),
        ));
    }
    cases.push(one("search: from an alias to nowhere", read(lab("cn=loop")).deref(3)));
    cases
}

fn limits() -> Vec<Case> {
    vec![
        one("search: size limit", search(BASE).limits(7, 0)),
        one("search: size limit of exactly what there is", read(ALICE).limits(1, 0)),
        one("search: time limit", search(BASE).limits(0, 10)),
        one("search: the largest limits", search(BASE).limits(0x7fff_ffff, 0x7fff_ffff)),
        one("search: a negative size limit", read(ALICE).limits(-1, 0)),
        one("search: a negative time limit", read(ALICE).limits(0, -1)),
        one("search: types only", search(BASE).types_only()),
        one("search: nothing found", search(BASE).filter(equal("uid", "nobody"))),
        Case::new("search: anonymous, who may read nothing").ask(search(BASE)),
        Case::new("search: as a person").ask(bind(BOB, "bob-secret")).ask(search(BASE)),
    ]
}

fn attributes() -> Vec<Case> {
    let lists: [(&str, &[&str]); 12] = [
        ("none", &["1.1"]),
        ("all of the users", &["*"]),
        ("all operational", &["+"]),
        ("everything", &["*", "+"]),
        ("none and one", &["1.1", "uid"]),
        ("one twice", &["uid", "UID"]),
        ("by OID", &["0.9.2342.19200300.100.1.1", "2.5.4.3"]),
        ("of a class", &["@person"]),
        ("unknown", &["noSuchAttribute", "uid"]),
        ("with an option", &["cn;lang-de", "jpegPhoto;binary", "userCertificate;binary"]),
        ("no names at all", &["", "#", "1.2.", "a b"]),
        ("a supertype", &["name"]),
    ];
    lists.map(|(name, list)| one(&format!("search: attributes, {name}"), read(ALICE).attributes(list))).into()
}

fn places() -> Vec<Case> {
    let mut many = search(BASE).filter(equal("uid", "alice"));
    many = many.attributes(&["uid"; 1000]);
    vec![
        Case::new("search: root DSE, anonymous").ask(read("").attributes(&["*", "+"])),
        Case::new("search: root DSE, as it is without names").ask(read("")),
        Case::new("search: root DSE, filtered out").ask(read("").filter(equal("objectClass", "person"))),
        Case::new("search: below the root").manager().ask(search("").scope(1)),
        Case::new("search: everything from the root").manager().ask(search("")),
        Case::new("search: schema").ask(read("cn=subschema").attributes(&["*", "+"])),
        one("search: base that there is not, matched DN", read(format!("cn=x,cn=y,{ALICE}"))),
        one("search: base outside of every database", read("dc=nowhere")),
        one("search: base that is no DN", read("nonsense")),
        one("search: base that is no UTF-8", read(b"uid=\xff\xfe,dc=example,dc=com")),
        one("search: base with a zero octet", read(b"uid=a\0b,dc=example,dc=com")),
        one("search: base beyond ASCII, with escapes", read(lab("cn=Müller\\, Jürgen \\+ Sohn"))),
        one("search: the same base in hexadecimal", read(lab("cn=#4dc3bc6c6c65722c204ac3bc7267656e202b20536f686e"))),
        one("search: values of octets", read(lab("uid=binary")).attributes(&["jpegPhoto", "userPassword"])),
        one("search: operational attributes of an added entry's like", search(LAB).attributes(&["*", "+"])),
        one("search: a dynamic group", read(lab("cn=dynamic"))),
        one("search: who is a member of what", search(LAB).attributes(&["memberOf", "member"])),
        one("search: from a referral", search(lab("ou=elsewhere"))),
        one("search: from below a referral", search(lab("cn=x,ou=elsewhere")).scope(0)),
        one("search: continuation references", search(LAB).attributes(&["1.1"])),
        one("search: continuation references, one level", search(LAB).scope(1).attributes(&["1.1"])),
        one("search: no more than a reference", search(LAB).filter(equal("uid", "nobody"))),
        one("search: a thousand names of attributes", many),
        one("search: another's password", read(BOB).attributes(&["userPassword"])),
        one("search: a code and a matched DN of the directory's", read("cn=busy,ou=retcodes,dc=example,dc=com")),
        one("search: a referral of the directory's", read("cn=referral,ou=retcodes,dc=example,dc=com")),
        one("search: with an unknown control, not critical", read(ALICE).with("1.2.3.4", false, None)),
        one("search: with an unknown control, critical", read(ALICE).with("1.2.3.4", true, None)).ask(who_am_i()),
        one("search: a filter on what nobody may see", search(BASE).filter(present("userPassword"))),
    ]
}

fn compares() -> Vec<Case> {
    vec![
        one("compare: true", compare(BOB, "uid", "bob")),
        one("compare: false", compare(BOB, "uid", "alice")),
        one("compare: in another case", compare(BOB, "UID", "BOB")),
        one("compare: no such attribute", compare(BOB, "description", "x")),
        one("compare: undefined attribute", compare(BOB, "noSuchAttribute", "x")),
        one("compare: no such entry", compare("uid=x,dc=example,dc=com", "uid", "x")),
        one("compare: a password, right", compare(BOB, "userPassword", "bob-secret")),
        one("compare: a password, wrong", compare(BOB, "userPassword", "wrong")),
        one("compare: octets", compare(&lab("uid=binary"), "jpegPhoto", [0, 1, 2, 0xfd, 0xfe, 0x80, 0xc3, 0xff])),
        one("compare: a value of the wrong syntax", compare(&lab("cn=counter"), "uidNumber", "many")),
        one("compare: empty value", compare(BOB, "uid", "")),
        one("compare: empty attribute", compare(BOB, "", "x")),
        one("compare: root DSE", compare("", "supportedLDAPVersion", "3")),
        one("compare: through an alias", compare(&lab("cn=pointer"), "uid", "alice")),
        one("compare: at a referral", compare(&lab("ou=elsewhere"), "ou", "elsewhere")),
        Case::new("compare: anonymous").ask(compare(BOB, "uid", "bob")),
    ]
}
