//! Changes (RFC 4511, sections 4.6 to 4.9). Each case leaves the lab as it found it, or does the same to each directory.

use super::super::ber::{Octets, enumerated, seq, set, text, tlv};
use super::super::case::Case;
use super::super::request::{
    ADD, ALICE, BASE, DELETE, INCREMENT, LAB, MODIFY_RESPONSE, Op, REPLACE, add, add_person, answer, bind, delete,
    equal, lab, modify, read, rename, search,
};

/// The gateway has to know whether a modification changes a password.
const UNREADABLE: &str =
    "a modification that cannot be read might change a password, so it does not reach the directory";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = adds();
    cases.extend(deletes());
    cases.extend(modifications());
    cases.extend(values());
    cases.extend(unreadable());
    cases.extend(renames());
    cases
}

fn begin(name: &str) -> Case {
    Case::new(name).manager()
}

fn adds() -> Vec<Case> {
    let person = lab("uid=new");
    vec![
        begin("add: a person, read, deleted")
            .ask(add_person("new"))
            .ask(read(&person).attributes(&["*", "+"]))
            .ask(delete(&person)),
        begin("add: one that is there already").ask(add_person("binary")),
        begin("add: below nothing")
            .ask(add(format!("cn=x,cn=nowhere,{LAB}"), &[("objectClass", &[b"device"]), ("cn", &[b"x"])])),
        begin("add: without a class").ask(add(lab("cn=x"), &[("cn", &[b"x"])])),
        begin("add: with an unknown class")
            .ask(add(lab("cn=x"), &[("objectClass", &[b"noSuchClass"]), ("cn", &[b"x"])])),
        begin("add: without what the class wants")
            .ask(add(lab("cn=x"), &[("objectClass", &[b"person"]), ("cn", &[b"x"])])),
        begin("add: with an unknown attribute")
            .ask(add(lab("cn=x"), &[("objectClass", &[b"device"]), ("what", &[b"x"])])),
        begin("add: an attribute without values").ask(add(lab("cn=x"), &[("objectClass", &[b"device"]), ("cn", &[])])),
        begin("add: the same value twice")
            .ask(add(lab("cn=x"), &[("objectClass", &[b"device"]), ("cn", &[b"x", b"X"])])),
        begin("add: no DN").ask(add("nonsense", &[("objectClass", &[b"device"])])),
        begin("add: the root").ask(add("", &[("objectClass", &[b"device"])])),
        begin("add: outside of every database").ask(add("dc=nowhere", &[("objectClass", &[b"dcObject"])])),
        begin("add: below a referral")
            .ask(add(lab("cn=x,ou=elsewhere"), &[("objectClass", &[b"device"]), ("cn", &[b"x"])])),
        begin("add: an operational attribute").ask(add(
            lab("cn=x"),
            &[
                ("objectClass", &[b"device"]),
                ("cn", &[b"x"]),
                ("entryUUID", &[b"00000000-0000-8000-8000-0000000000ff"]),
            ],
        )),
        begin("add: nothing at all").ask(add(lab("cn=x"), &[])),
        begin("add: a name beyond ASCII, with escapes")
            .ask(add(lab("cn=\\22Ünï\\, \\3Cx\\3E\\22"), &[("objectClass", &[b"device"])]))
            .ask(search(LAB).filter(equal("cn", "\"Ünï, <x>\"")))
            .ask(delete(&lab("cn=\\22Ünï\\, \\3Cx\\3E\\22"))),
        Case::new("add: anonymous").ask(add_person("new")),
        Case::new("add: without the right").ask(bind(ALICE, "alice-secret")).ask(add_person("new")),
    ]
}

fn deletes() -> Vec<Case> {
    vec![
        begin("delete: what is not there").ask(delete(&lab("cn=nothing"))),
        begin("delete: what has something below it").ask(delete(LAB)),
        begin("delete: no DN").ask(delete("nonsense")),
        begin("delete: the root").ask(delete("")),
        begin("delete: at a referral").ask(delete(&lab("ou=elsewhere"))),
        begin("delete: an alias").ask(delete(&lab("cn=loop"))).ask(add(
            lab("cn=loop"),
            &[
                ("objectClass", &[b"alias", b"extensibleObject"]),
                ("cn", &[b"loop"]),
                ("aliasedObjectName", &[b"cn=nowhere,ou=lab,dc=example,dc=com"]),
            ],
        )),
        Case::new("delete: without the right").ask(bind(ALICE, "alice-secret")).ask(delete(ALICE)),
        begin("modify: a member, who then is one")
            .ask(add_person("member"))
            .ask(modify(&lab("cn=team"), &[(ADD, "member", &[lab("uid=member").as_bytes()])]))
            .ask(read(lab("uid=member")).attributes(&["memberOf"]))
            .ask(modify(&lab("cn=team"), &[(DELETE, "member", &[lab("uid=member").as_bytes()])]))
            .ask(read(lab("uid=member")).attributes(&["memberOf"]))
            .ask(delete(&lab("uid=member"))),
    ]
}

fn modifications() -> Vec<Case> {
    let counter = lab("cn=counter");
    let person = lab("uid=binary");
    let two = |name: &str, there: &[(i64, &str, &[&[u8]])], back: &[(i64, &str, &[&[u8]])]| {
        begin(name)
            .ask(modify(&person, there))
            .ask(read(&person).attributes(&["*", "modifiersName", "entryCSN", "modifyTimestamp"]))
            .ask(modify(&person, back))
    };
    let one = |name: &str, changes: &[(i64, &str, &[&[u8]])]| begin(name).ask(modify(&person, changes));
    vec![
        two(
            "modify: add and delete a value",
            &[(ADD, "mail", &[b"a@b", b"c@d"])],
            &[(DELETE, "mail", &[b"A@B", b"c@d"])],
        ),
        two("modify: replace, and delete the attribute", &[(REPLACE, "title", &[b"x"])], &[(DELETE, "title", &[])]),
        two("modify: replace by nothing", &[(ADD, "title", &[b"x"])], &[(REPLACE, "title", &[])]),
        two(
            "modify: several at once",
            &[(ADD, "title", &[b"x"]), (DELETE, "title", &[b"x"]), (ADD, "title", &[b"y", b"z"])],
            &[(DELETE, "title", &[])],
        ),
        one("modify: a value that is there", &[(ADD, "cn", &[b"binary"])]),
        one("modify: delete a value that is not there", &[(DELETE, "cn", &[b"other"])]),
        one("modify: delete an attribute that is not there", &[(DELETE, "title", &[])]),
        one("modify: delete what the class wants", &[(DELETE, "sn", &[])]),
        one("modify: delete the name", &[(DELETE, "uid", &[b"binary"])]),
        one("modify: an unknown attribute", &[(ADD, "noSuchAttribute", &[b"x"])]),
        one("modify: a value of the wrong syntax", &[(ADD, "seeAlso", &[b"no DN"])]),
        one("modify: an operational attribute", &[(REPLACE, "entryCSN", &[b"x"])]),
        one("modify: add nothing", &[(ADD, "title", &[])]),
        one("modify: no change at all", &[]),
        one("modify: a kind of change that there is not", &[(9, "title", &[b"x"])]),
        one("modify: one of two changes is wrong", &[(ADD, "title", &[b"x"]), (DELETE, "mail", &[])]),
        begin("modify: what is not there").ask(modify(&lab("cn=nothing"), &[(ADD, "title", &[b"x"])])),
        begin("modify: at a referral").ask(modify(&lab("ou=elsewhere"), &[(ADD, "description", &[b"x"])])),
        begin("modify: through an alias").ask(modify(&lab("cn=pointer"), &[(ADD, "description", &[b"x"])])),
        begin("modify: the root DSE").ask(modify("", &[(ADD, "description", &[b"x"])])),
        begin("modify: no DN").ask(modify("nonsense", &[(ADD, "description", &[b"x"])])),
        begin("modify: increment")
            .ask(modify(&counter, &[(INCREMENT, "uidNumber", &[b"5"])]))
            .ask(modify(&counter, &[(INCREMENT, "uidNumber", &[b"-2"])]))
            .ask(read(&counter).attributes(&["uidNumber"])),
        begin("modify: increment by nothing").ask(modify(&counter, &[(INCREMENT, "uidNumber", &[])])),
        begin("modify: increment by no number").ask(modify(&counter, &[(INCREMENT, "uidNumber", &[b"x"])])),
        begin("modify: increment what is no number").ask(modify(&counter, &[(INCREMENT, "cn", &[b"1"])])),
        begin("modify: increment what is not there").ask(modify(&counter, &[(INCREMENT, "gidNumber", &[b"1"])])),
        Case::new("modify: without the right")
            .ask(bind(ALICE, "alice-secret"))
            .ask(modify(ALICE, &[(ADD, "title", &[b"x"])])),
        begin("modify: a password, and back")
            .ask(modify(ALICE, &[(REPLACE, "userPassword", &[b"new"])]))
            .ask(bind(ALICE, "new"))
            .ask(bind(ALICE, "alice-secret"))
            .ask(bind("cn=manager,dc=example,dc=com", "manager-secret"))
            .ask(modify(ALICE, &[(REPLACE, "userPassword", &[b"alice-secret"])]))
            .ask(bind(ALICE, "alice-secret")),
    ]
}

fn values() -> Vec<Case> {
    let person = lab("uid=large");
    // Every octet there is, and no two stretches alike.
    let large: Octets = (0..5 * 1024 * 1024_u32).map(|nth| u8::try_from((nth ^ (nth >> 8)) & 0xff).unwrap()).collect();
    vec![
        begin("values: every octet")
            .ask(modify(&lab("uid=binary"), &[(REPLACE, "audio", &[&(0..=255).collect::<Octets>(), b"", b"\0"])]))
            .ask(read(lab("uid=binary")).attributes(&["audio"]))
            .ask(modify(&lab("uid=binary"), &[(DELETE, "audio", &[])])),
        begin("values: 5 MB there and back")
            .ask(add_person("large"))
            .ask(modify(&person, &[(ADD, "jpegPhoto", &[&large])]))
            .ask(read(&person).attributes(&["jpegPhoto"]))
            .ask(read(&person).attributes(&["jpegPhoto"]).types_only())
            .ask(delete(&person)),
        begin("values: 2 000 of one attribute")
            .ask(add_person("many"))
            .ask({
                let values: Vec<Octets> = (0..2000).map(|nth| format!("value {nth}").into_bytes()).collect();
                let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
                modify(&lab("uid=many"), &[(ADD, "description", &values)])
            })
            .ask(read(lab("uid=many")).attributes(&["description"]))
            .ask(delete(&lab("uid=many"))),
    ]
}

fn unreadable() -> Vec<Case> {
    let dn = || text(lab("uid=binary"));
    let kind = || enumerated(ADD);
    let refused = answer(2, MODIFY_RESPONSE, 2, "the request cannot be read");
    let wrong = |name: &str, parts: &[Octets]| {
        let bound = answer(1, 0x61, 0, "");
        begin(name).ask(Op::raw(tlv(0x66, parts.concat()))).by_design(UNREADABLE, &[bound, refused.clone()])
    };
    vec![
        wrong("modify: nothing in it", &[]),
        wrong("modify: without a list of changes", &[dn()]),
        wrong("modify: without an attribute", &[dn(), seq(&[seq(&[kind()])])]),
        wrong(
            "modify: an attribute that is no UTF-8",
            &[dn(), seq(&[seq(&[kind(), seq(&[text([0xff, 0xfe]), set(&[text("x")])])])])],
        ),
    ]
}

fn renames() -> Vec<Case> {
    let (old, new) = (lab("uid=old"), lab("uid=new"));
    let tree = lab("ou=tree");
    let moved = "ou=leaf,ou=lab,dc=example,dc=com";
    let made = |name: &str| begin(name).ask(add_person("old"));
    vec![
        made("rename: and the old value goes")
            .ask(rename(&old, "uid=new", true, None))
            .ask(read(&new))
            .ask(delete(&new)),
        made("rename: and the old value stays")
            .ask(rename(&old, "uid=new", false, None))
            .ask(read(&new))
            .ask(delete(&new)),
        begin("rename: to another place")
            .ask(rename(&lab("ou=leaf,ou=tree"), "ou=leaf", true, Some(LAB)))
            .ask(read(moved))
            .ask(rename(moved, "ou=leaf", true, Some(&tree))),
        begin("rename: with what is below it")
            .ask(rename(&tree, "ou=wood", true, None))
            .ask(search(lab("ou=wood")).attributes(&["1.1"]))
            .ask(rename(&lab("ou=wood"), "ou=tree", true, Some(LAB))),
        begin("rename: below itself").ask(rename(&tree, "ou=tree", true, Some(&lab("ou=leaf,ou=tree")))),
        begin("rename: to a place that is not there").ask(rename(
            &tree,
            "ou=tree",
            true,
            Some("ou=nowhere,dc=example,dc=com"),
        )),
        begin("rename: to another database").ask(rename(&tree, "ou=tree", true, Some("dc=nowhere"))),
        begin("rename: to a name that is taken").ask(rename(&lab("uid=binary"), "uid=proxy", true, None)),
        begin("rename: what is not there").ask(rename(&lab("cn=nothing"), "cn=x", true, None)),
        begin("rename: to no RDN").ask(rename(&tree, "nonsense", true, None)),
        begin("rename: to two RDNs").ask(rename(&tree, "ou=a,ou=b", true, None)),
        begin("rename: to an unknown attribute").ask(rename(&tree, "what=x", true, None)),
        begin("rename: to the same")
            .ask(rename(&tree, "OU=Tree", true, None))
            .ask(rename(&tree, "ou=tree", true, None)),
        made("rename: to a name of two parts")
            .ask(rename(&old, "uid=new+cn=two", false, None))
            .ask(read(lab("cn=two+uid=new")))
            .ask(delete(&lab("uid=new+cn=two"))),
        made("rename: beyond ASCII, with escapes")
            .ask(rename(&old, "uid=n\\C3\\A9w\\2C \u{1f333}", true, None))
            .ask(search(LAB).filter(equal("uid", "néw, \u{1f333}")))
            .ask(delete(&lab("uid=néw\\, \u{1f333}"))),
        begin("rename: at a referral").ask(rename(&lab("ou=elsewhere"), "ou=there", true, None)),
        begin("rename: the suffix").ask(rename(BASE, "dc=other", true, None)),
        Case::new("rename: without the right").ask(bind(ALICE, "alice-secret")).ask(rename(ALICE, "uid=x", true, None)),
    ]
}
