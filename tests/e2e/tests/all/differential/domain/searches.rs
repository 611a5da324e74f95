//! Searches, names and controls as only a domain knows them (MS-ADTS, section 3.1.1.3).

use anyhow::{Context as _, Result};

use super::super::ber::{Octets, boolean, enumerated, int, last_control, nested, parts, seq, text, tlv};
use super::super::case::Case;
use super::super::request::{
    ADD, DELETE, LAB, Op, Search, abandon, add_person, and, cancel, compare, delete, equal, extensible, lab, modify,
    not, present, read, rename, search, who_am_i,
};
use super::chosen::last_value;

const ROOT: &str = "DC=example,DC=test";
const CONFIGURATION: &str = "CN=Configuration,DC=example,DC=test";
const GROUP: &str = "CN=everybody,ou=groups,DC=example,DC=test";

const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const SHOW_RECYCLED: &str = "1.2.840.113556.1.4.2064";
const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
const SD_FLAGS: &str = "1.2.840.113556.1.4.801";
const ATTRIBUTE_SCOPED: &str = "1.2.840.113556.1.4.1504";
const DIRSYNC: &str = "1.2.840.113556.1.4.841";
const NOTIFICATION: &str = "1.2.840.113556.1.4.528";
const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";
const SEARCH_OPTIONS: &str = "1.2.840.113556.1.4.1340";
const VERIFY_NAME: &str = "1.2.840.113556.1.4.1338";
const PERMISSIVE: &str = "1.2.840.113556.1.4.1413";
const TREE_DELETE: &str = "1.2.840.113556.1.4.805";
const LAZY_COMMIT: &str = "1.2.840.113556.1.4.619";
const PAGED: &str = "1.2.840.113556.1.4.319";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = names();
    cases.extend(filters());
    cases.extend(attributes());
    cases.extend(controls());
    cases.extend(synchronisation());
    cases.extend(notifications());
    cases.extend(extended());
    cases
}

fn one(name: &str, op: impl Into<Op>) -> Case {
    Case::new(format!("domain search: {name}")).manager().ask(op)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn names() -> Vec<Case> {
    let by = |name: &str, attribute: &'static str, form: fn(&[u8]) -> String| {
        one(name, read(lab("CN=counter")).attributes(&[attribute]))
            .reply(move |frames| Ok(read(form(&last_value(frames, attribute)?)).attributes(&["cn"]).into()))
    };
    vec![
        by("base by GUID", "objectGUID", |value| format!("<GUID={}>", hex(value))),
        by("base by SID", "objectSid", |value| format!("<SID={}>", hex(value))),
        one("base by a well-known GUID", search(format!("<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,{ROOT}>")).scope(1)),
        one("base by a GUID that there is not", read("<GUID=00000000-0000-0000-0000-000000000001>")),
        one("base by nonsense in angle brackets", read("<WHAT=x>")),
        one("base in another domain", search("DC=other,DC=test")),
        one("base outside of everything", search("O=nowhere")),
        one("base with a quoted part", read(format!("CN=\"counter\",{LAB}"))),
        one("base with an escaped octet", read(lab("CN=\\63ounter"))),
        one("base with an attribute by OID", read(lab("2.5.4.3=counter"))),
        one("base with a zero octet", read(b"CN=a\0b,DC=example,DC=test")),
        one("the whole domain, with references", search(ROOT).attributes(&["1.1"])),
        one("the configuration, one level", search(CONFIGURATION).scope(1).attributes(&["cn"])),
        one("sites and servers", search(format!("CN=Sites,{CONFIGURATION}")).attributes(&["*"])),
        one("a class of the schema", read(format!("CN=User,CN=Schema,{CONFIGURATION}"))),
        one(
            "the schema as one entry",
            read(format!("CN=Aggregate,CN=Schema,{CONFIGURATION}")).attributes(&["attributeTypes"]),
        ),
        one("classes of the schema, by name", {
            let filter =
                and(&[equal("objectClass", "classSchema"), extensible(None, Some("lDAPDisplayName"), "user", false)]);
            search(format!("CN=Schema,{CONFIGURATION}")).filter(filter)
        }),
    ]
}

fn filters() -> Vec<Case> {
    const AND: &str = "1.2.840.113556.1.4.803";
    const OR: &str = "1.2.840.113556.1.4.804";
    const CHAIN: &str = "1.2.840.113556.1.4.1941";
    let find =
        |name: &str, filter: Octets| one(&format!("filter, {name}"), search(ROOT).filter(filter).attributes(&["cn"]));
    vec![
        find("people", and(&[equal("objectCategory", "person"), equal("objectClass", "user")])),
        find("disabled accounts", extensible(Some(AND), Some("userAccountControl"), "2", false)),
        find("some of several bits", extensible(Some(OR), Some("userAccountControl"), "514", false)),
        find(
            "not disabled",
            and(&[present("uid"), not(extensible(Some(AND), Some("userAccountControl"), "2", false))]),
        ),
        find(
            "members at any depth",
            extensible(Some(CHAIN), Some("memberOf"), "CN=staff,CN=Users,DC=example,DC=test", false),
        ),
        find("members at any depth of nothing", extensible(Some(CHAIN), Some("memberOf"), "CN=x,DC=nowhere", false)),
        find("an ambiguous name", equal("anr", "Alice")),
        find("an ambiguous name of two words", equal("anr", "Bob Brown")),
        find("a SID as octets", equal("objectSid", [1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0])),
        find("a SID as text", equal("objectSid", "S-1-5-11")),
        find("a GUID as nonsense", equal("objectGUID", "nonsense")),
        find("a name by its attribute", equal("distinguishedName", "CN=Alice Adams,CN=Users,DC=example,DC=test")),
        find("a constructed attribute", present("canonicalName")),
        find("a password", present("unicodePwd")),
        find("a large number", extensible(Some(AND), Some("userAccountControl"), "99999999999999999999", false)),
    ]
}

fn attributes() -> Vec<Case> {
    let alice = "CN=Alice Adams,CN=Users,DC=example,DC=test";
    let of = |name: &str, base: &str, list: &[&str]| one(&format!("attributes, {name}"), read(base).attributes(list));
    vec![
        of("all", alice, &["*"]),
        of("all and operational", alice, &["*", "+"]),
        of("none", alice, &["1.1"]),
        of(
            "constructed",
            alice,
            &["canonicalName", "tokenGroups", "allowedAttributesEffective", "createTimeStamp", "modifyTimeStamp"],
        ),
        of("of the password", alice, &["unicodePwd", "dBCSPwd", "supplementalCredentials", "ntPwdHistory"]),
        of(
            "computed of the account",
            alice,
            &["msDS-User-Account-Control-Computed", "msDS-UserPasswordExpiryTimeComputed"],
        ),
        of("of the security", alice, &["nTSecurityDescriptor"]),
        of("a range of values", GROUP, &["member;range=0-9"]),
        of("the rest of the values", GROUP, &["member;range=100-*"]),
        of("a range beyond the end", GROUP, &["member;range=500-*"]),
        of("a range the wrong way", GROUP, &["member;range=9-0"]),
        of("a range of nonsense", GROUP, &["member;range=x"]),
        of("binary option", alice, &["objectGUID;binary"]),
        of("of the root", "", &["tokenGroups", "dsSchemaAttrCount", "netlogon"]),
        Case::new("domain search: root DSE, anonymous, everything").ask(read("").attributes(&["*", "+"])),
        Case::new("domain search: root DSE, a ping of a client (CLDAP's filter)").ask(
            read("")
                .filter(and(&[equal("DnsDomain", "example.test"), equal("NtVer", [6, 0, 0, 0])]))
                .attributes(&["netlogon"]),
        ),
        Case::new("domain search: anonymous, below the root").ask(search(ROOT)),
    ]
}

fn flags(number: i64) -> Option<Octets> {
    Some(seq(&[int(number)]))
}

fn controls() -> Vec<Case> {
    let counter = || read(lab("CN=counter"));
    let paged = |size: i64, cookie: &[u8]| Some(seq(&[int(size), text(cookie)]));
    let whole = || search(ROOT).attributes(&["cn"]);
    let mut pages = one("control, pages with references", whole().with(PAGED, true, paged(100, b"")));
    for _ in 0..2 {
        pages = pages.reply(move |frames| {
            let value = last_control(frames, PAGED).context("no page")?;
            let cookie = parts(&value).into_iter().nth(1).context("no cookie")?;
            Ok(whole().with(PAGED, true, paged(100, &cookie)))
        });
    }
    let control = |name: &str, search: Search, oid: &str, value: Option<Octets>| {
        one(&format!("control, {name}"), search.with(oid, true, value))
    };
    vec![
        pages,
        control(
            "deleted ones",
            search(ROOT).filter(equal("isDeleted", "TRUE")).attributes(&["cn"]),
            SHOW_DELETED,
            None,
        ),
        control(
            "recycled ones",
            search(ROOT).filter(equal("isDeleted", "TRUE")).attributes(&["cn"]),
            SHOW_RECYCLED,
            None,
        ),
        control("extended names", counter(), EXTENDED_DN, None),
        control("extended names as text", read(GROUP).attributes(&["member"]), EXTENDED_DN, flags(1)),
        control("extended names, nonsense", counter(), EXTENDED_DN, Some(b"x".to_vec())),
        control("the owner of an entry", counter().attributes(&["nTSecurityDescriptor"]), SD_FLAGS, flags(1)),
        control("the rights to an entry", counter().attributes(&["nTSecurityDescriptor"]), SD_FLAGS, flags(4)),
        control("the rights, nonsense", counter().attributes(&["nTSecurityDescriptor"]), SD_FLAGS, Some(b"x".to_vec())),
        control(
            "the members' entries",
            read(lab("CN=team")).attributes(&["cn"]),
            ATTRIBUTE_SCOPED,
            Some(seq(&[text("member")])),
        ),
        control("the entries of what is no name", read(lab("CN=team")), ATTRIBUTE_SCOPED, Some(seq(&[text("cn")]))),
        control("no references", search(ROOT).filter(equal("cn", "counter")), DOMAIN_SCOPE, None),
        control(
            "no references, with a value",
            search(ROOT).filter(equal("cn", "counter")),
            DOMAIN_SCOPE,
            Some(b"x".to_vec()),
        ),
        control("everything below everything", search("").filter(equal("cn", "counter")), SEARCH_OPTIONS, flags(2)),
        control("everything in the domain", search(ROOT).filter(equal("cn", "counter")), SEARCH_OPTIONS, flags(1)),
        control("a name at another server", counter(), VERIFY_NAME, Some(seq(&[int(0), text("")]))),
        control("a lazy commit of a search", counter(), LAZY_COMMIT, None),
        control("a quota", counter(), "1.2.840.113556.1.4.1852", None),
        control("a hint for passwords", counter(), "1.2.840.113556.1.4.2239", flags(1)),
        control("for internal use", counter(), "1.3.6.1.4.1.7165.4.3.1", None),
        one("control, a value that is there already", {
            modify(&lab("CN=counter"), &[(ADD, "mail", &[b"counter@example.com"])]).with(PERMISSIVE, true, None)
        }),
        one("control, a value that is not there", {
            modify(&lab("CN=counter"), &[(DELETE, "title", &[])]).with(PERMISSIVE, true, None)
        }),
        one("control, a tree, deleted", add_person("branch")).ask(delete(&lab("uid=branch")).with(
            TREE_DELETE,
            true,
            None,
        )),
        one("control, something deleted, found again", add_person("gone")).ask(delete(&lab("uid=gone"))).ask(
            search(format!("CN=Deleted Objects,{ROOT}"))
                .filter(equal("sn", "Test"))
                .attributes(&["cn", "isDeleted", "lastKnownParent", "objectGUID", "whenChanged"])
                .with(SHOW_DELETED, true, None),
        ),
    ]
}

fn synchronisation() -> Vec<Case> {
    let changes = |cookie: &[u8]| {
        let value = seq(&[int(0), int(100_000), text(cookie)]);
        search(ROOT).filter(equal("cn", "counter")).attributes(&["cn", "uidNumber"]).with(DIRSYNC, true, Some(value))
    };
    let cookie = |frames: &[Octets]| -> Result<Octets> {
        let value = last_control(frames, DIRSYNC).context("no answer about changes")?;
        parts(&value).into_iter().nth(2).context("no cookie")
    };
    vec![
        one("changes, from the beginning", changes(b"")),
        one("changes, since then", changes(b"")).reply(move |frames| Ok(changes(&cookie(frames)?))),
        one("changes, a cookie that is none", changes(b"nonsense")),
        one("changes, not from the top", search(LAB).with(DIRSYNC, true, Some(seq(&[int(0), int(0), text("")])))),
        one("changes, nonsense", search(ROOT).with(DIRSYNC, true, Some(b"x".to_vec()))),
        Case::new("domain search: changes, without the right")
            .ask(super::super::request::bind(super::super::request::ALICE, "alice-secret"))
            .ask(changes(b"")),
    ]
}

/// A search that waits for changes has no end, so other things happen meanwhile.
fn notifications() -> Vec<Case> {
    let watch = || search(lab("ou=tree")).scope(1).attributes(&["ou", "description"]).with(NOTIFICATION, true, None);
    let begun = |name: &str| Case::new(format!("domain search: {name}")).manager().send(watch());
    let change = |kind, values: &[&[u8]]| modify(&lab("ou=leaf,ou=tree"), &[(kind, "description", values)]);
    vec![
        begun("a wait for changes, and none").ask(who_am_i()).send(abandon(2)).ask(who_am_i()),
        begun("a wait for changes, made on another connection")
            .ask(who_am_i())
            .on(1)
            .manager()
            .ask(change(ADD, &[b"one"]))
            .on(0)
            .frames(4)
            .on(1)
            .ask(change(DELETE, &[]))
            .on(0)
            .frames(5)
            .send(abandon(2))
            .ask(who_am_i())
            .per_id(),
        begun("a wait for changes, with other things on the connection")
            .ask(read(LAB))
            .ask(compare(LAB, "ou", "lab"))
            .send(abandon(2))
            .ask(read(LAB)),
        // What the controller says to the search comes before or after the other answers.
        begun("a wait for changes, ended by cancel").ask(who_am_i()).ask(cancel(2)).ask(who_am_i()).per_id(),
        begun("a wait for changes, left by an unbind").ask(who_am_i()),
        begun("a wait for changes, left by closing").ask(who_am_i()).dropped(),
        begun("a wait for changes, and half closed").ask(who_am_i()).half_close().closed(),
        begun("a wait for changes, and a bind")
            .ask(super::super::request::bind("EXAMPLE\\lab-alice", "alice-secret"))
            .ask(who_am_i()),
        Case::new("domain search: a wait for changes of a kind that there is not")
            .manager()
            .ask(search(lab("ou=tree")).filter(equal("ou", "leaf")).with(NOTIFICATION, true, None)),
    ]
}

fn extended() -> Vec<Case> {
    use super::super::request::extended;
    let ask = |name: &str, op: Op| Case::new(format!("domain extended: {name}")).manager().ask(op).ask(who_am_i());
    vec![
        ask("fast bind", extended("1.2.840.113556.1.4.1781", None)),
        ask("several in one", extended("1.2.840.113556.1.4.2212", Some(seq(&[])))),
        ask(
            "an entry kept alive",
            extended("1.3.6.1.4.1.1466.101.119.1", Some(seq(&[tlv(0x80, LAB), tlv(0x81, [1])]))),
        ),
        ask("one with nonsense", extended("1.2.840.113556.1.4.1781", Some(b"x".to_vec()))),
        ask("a fast bind, and one more", extended("1.2.840.113556.1.4.1781", None))
            .ask(super::super::request::bind("alice@example.test", "x")),
        Case::new("domain extended: a search with a false boolean for its control")
            .manager()
            .ask(Op::from(read(LAB)).with_raw(seq(&[text(DOMAIN_SCOPE), boolean(false)]))),
        Case::new("domain extended: enumerated for the flags of a control").manager().ask(read(LAB).with(
            SEARCH_OPTIONS,
            true,
            Some(seq(&[enumerated(1)])),
        )),
        Case::new("domain extended: a control in a control").manager().ask(read(LAB).with(
            SEARCH_OPTIONS,
            true,
            Some(nested(0, &[seq(&[text(PAGED)])])),
        )),
        Case::new("domain extended: a rename by its GUID")
            .manager()
            .ask(add_person("by-guid"))
            .ask(rename(&lab("uid=by-guid"), "uid=renamed", true, None))
            .ask(delete(&lab("uid=renamed"))),
    ]
}
