//! Changes as only a domain knows them (MS-ADTS, section 3.1.1.5).

use portcullis_lab::samba::{BASE_DN, encoded};

use super::super::ber::Octets;
use super::super::case::Case;
use super::super::request::{
    ADD, ALICE, BASE, DELETE, LAB, Op, REPLACE, add, add_person, bind, delete, equal, lab, modify, read, rename,
    search, who_am_i,
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = entries();
    cases.extend(passwords());
    cases.extend(groups());
    cases.extend(refused());
    cases
}

fn begin(name: &str) -> Case {
    Case::new(format!("domain change: {name}")).manager()
}

/// The octets of `unicodePwd`.
fn secret(password: &str) -> Octets {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(encoded(password)).unwrap()
}

fn user(name: &str, more: &[(&str, &[&[u8]])]) -> Op {
    let account = [name.as_bytes()];
    let mut attributes: Vec<(&str, &[&[u8]])> = vec![("objectClass", &[b"user"])];
    // An account's name that the case gives itself comes instead.
    if !more.iter().any(|(attribute, _)| *attribute == "sAMAccountName") {
        attributes.push(("sAMAccountName", &account));
    }
    attributes.extend_from_slice(more);
    add(lab(&format!("CN={name}")), &attributes)
}

fn entries() -> Vec<Case> {
    let all = |name: &str| read(lab(&format!("CN={name}"))).attributes(&["*", "+"]);
    let everywhere = |class: &str, name: &str| {
        begin(&format!("a {class}"))
            .ask(add(lab(name), &[("objectClass", &[class.as_bytes()])]))
            .ask(read(lab(name)).attributes(&["*"]))
            .ask(delete(&lab(name)))
    };
    vec![
        everywhere("organizationalUnit", "ou=fresh"),
        everywhere("container", "CN=fresh"),
        everywhere("contact", "CN=fresh"),
        everywhere("group", "CN=fresh"),
        everywhere("computer", "CN=fresh"),
        begin("a user, read by every attribute")
            .ask(user("fresh", &[]))
            .ask(all("fresh"))
            .ask(delete(&lab("CN=fresh"))),
        begin("a user with a password, who binds")
            .ask(user("fresh", &[("unicodePwd", &[&secret("Fresh-1")]), ("userAccountControl", &[b"512"])]))
            .ask(bind("EXAMPLE\\fresh", "Fresh-1"))
            .ask(who_am_i())
            .manager_again()
            .ask(delete(&lab("CN=fresh"))),
        begin("a user, renamed, moved and back")
            .ask(user("fresh", &[]))
            .ask(rename(&lab("CN=fresh"), "CN=ripe", true, Some(&lab("ou=tree"))))
            .ask(search(lab("ou=tree")).filter(equal("cn", "ripe")).attributes(&["cn", "name", "distinguishedName"]))
            .ask(rename(&lab("CN=ripe,ou=tree"), "CN=fresh", false, Some(LAB)))
            .ask(delete(&lab("CN=fresh"))),
        begin("a user, disabled and enabled")
            .ask(user("fresh", &[("unicodePwd", &[&secret("Fresh-1")]), ("userAccountControl", &[b"512"])]))
            .ask(modify(&lab("CN=fresh"), &[(REPLACE, "userAccountControl", &[b"514"])]))
            .ask(bind("EXAMPLE\\fresh", "Fresh-1"))
            .manager_again()
            .ask(modify(&lab("CN=fresh"), &[(REPLACE, "userAccountControl", &[b"512"])]))
            .ask(bind("EXAMPLE\\fresh", "Fresh-1"))
            .manager_again()
            .ask(delete(&lab("CN=fresh"))),
        begin("a user under a name beyond ASCII")
            .ask(add(
                lab("CN=Ünï \\, \u{1f333}"),
                &[("objectClass", &[b"user"]), ("sAMAccountName", &["ünï".as_bytes()])],
            ))
            .ask(search(LAB).filter(equal("sAMAccountName", "ünï")).attributes(&["cn", "sAMAccountName"]))
            .ask(delete(&lab("CN=Ünï \\, \u{1f333}"))),
        begin("a photograph of 5 MB, there and back")
            .ask(user("fresh", &[]))
            .ask(large())
            .ask(read(lab("CN=fresh")).attributes(&["thumbnailPhoto"]))
            .ask(delete(&lab("CN=fresh"))),
    ]
}

fn large() -> Op {
    let octets: Octets = (0..5 * 1024 * 1024_u32).map(|nth| u8::try_from((nth ^ (nth >> 9)) & 0xff).unwrap()).collect();
    modify(&lab("CN=fresh"), &[(REPLACE, "thumbnailPhoto", &[&octets])])
}

/// Passwords, over a protected connection and in the clear, which the controller may not take.
fn passwords() -> Vec<Case> {
    let fresh = |name: &str| {
        begin(name).ask(user("fresh", &[("unicodePwd", &[&secret("Fresh-1")]), ("userAccountControl", &[b"512"])]))
    };
    let swept = |case: Case| case.manager_again().ask(delete(&lab("CN=fresh")));
    let set = |password: &str| modify(&lab("CN=fresh"), &[(REPLACE, "unicodePwd", &[&secret(password)])]);
    let change = |old: &str, new: &str| {
        modify(&lab("CN=fresh"), &[(DELETE, "unicodePwd", &[&secret(old)]), (ADD, "unicodePwd", &[&secret(new)])])
    };
    vec![
        swept(
            fresh("a password, set by an administrator")
                .ask(set("Other-2"))
                .ask(bind("EXAMPLE\\fresh", "Other-2"))
                .ask(who_am_i()),
        ),
        swept(
            fresh("a password, changed by its owner")
                .ask(bind("EXAMPLE\\fresh", "Fresh-1"))
                .ask(change("Fresh-1", "Other-2"))
                .ask(bind("EXAMPLE\\fresh", "Other-2"))
                .ask(who_am_i()),
        ),
        swept(
            fresh("a password, changed with a wrong old one")
                .ask(bind("EXAMPLE\\fresh", "Fresh-1"))
                .ask(change("wrong", "Other-2"))
                .ask(bind("EXAMPLE\\fresh", "Fresh-1")),
        ),
        swept(fresh("a password, set without the right").ask(bind("EXAMPLE\\fresh", "Fresh-1")).ask(set("Other-2"))),
        swept(
            fresh("a password without its quotes")
                .ask(modify(&lab("CN=fresh"), &[(REPLACE, "unicodePwd", &[b"bare"])])),
        ),
        swept(fresh("a password, added").ask(modify(&lab("CN=fresh"), &[(ADD, "unicodePwd", &[&secret("x")])]))),
        swept(fresh("a password, deleted").ask(modify(&lab("CN=fresh"), &[(DELETE, "unicodePwd", &[])]))),
        swept(fresh("an empty password").ask(set(""))),
        swept(
            fresh("two passwords at once")
                .ask(modify(&lab("CN=fresh"), &[(REPLACE, "unicodePwd", &[&secret("a"), &secret("b")])])),
        ),
        swept(
            fresh("a password by clearTextPassword")
                .ask(modify(&lab("CN=fresh"), &[(REPLACE, "clearTextPassword", &[b"C\0l\0"])])),
        ),
        swept(
            fresh("a password by userPassword")
                .ask(modify(&lab("CN=fresh"), &[(REPLACE, "userPassword", &[b"Other-3"])]))
                .ask(bind("EXAMPLE\\fresh", "Other-3")),
        ),
        swept(
            fresh("a password that has to be changed at once")
                .ask(modify(&lab("CN=fresh"), &[(REPLACE, "pwdLastSet", &[b"0"])]))
                .ask(bind("EXAMPLE\\fresh", "Fresh-1")),
        ),
        swept(
            fresh("a name and a password at once")
                .ask(modify(
                    &lab("CN=fresh"),
                    &[(REPLACE, "title", &[b"x"]), (REPLACE, "unicodePwd", &[&secret("Other-2")])],
                ))
                .ask(read(lab("CN=fresh")).attributes(&["title", "pwdLastSet"])),
        ),
    ]
}

fn groups() -> Vec<Case> {
    let team = lab("CN=team");
    let member = |kind, name: &str| modify(&team, &[(kind, "member", &[lab(name).as_bytes()])]);
    vec![
        begin("a member, added and taken out")
            .ask(member(ADD, "CN=counter"))
            .ask(read(lab("CN=counter")).attributes(&["memberOf"]))
            .ask(member(DELETE, "CN=counter"))
            .ask(read(lab("CN=counter")).attributes(&["memberOf"])),
        begin("a member that is one").ask(member(ADD, "CN=binary")),
        begin("a member that is none, taken out").ask(member(DELETE, "CN=counter")),
        begin("a member that there is not").ask(member(ADD, "CN=nothing")),
        begin("the members, all at once").ask(modify(&team, &[(REPLACE, "member", &[])])).ask(member(ADD, "CN=binary")),
        begin("the back link of a member").ask(modify(&lab("CN=counter"), &[(ADD, "memberOf", &[team.as_bytes()])])),
        begin("a kind of group")
            .ask(modify(&team, &[(REPLACE, "groupType", &[b"-2147483640"])]))
            .ask(modify(&team, &[(REPLACE, "groupType", &[b"-2147483646"])])),
        begin("a kind of group that there is not").ask(modify(&team, &[(REPLACE, "groupType", &[b"7"])])),
    ]
}

fn refused() -> Vec<Case> {
    let counter = lab("CN=counter");
    let one = |name: &str, changes: &[(i64, &str, &[&[u8]])]| begin(name).ask(modify(&counter, changes));
    vec![
        one("a constructed attribute", &[(REPLACE, "canonicalName", &[b"x"])]),
        one("the account's name, taken by another", &[(REPLACE, "sAMAccountName", &[b"lab-alice"])]),
        one("the account's SID", &[(REPLACE, "objectSid", &[&[1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0]])]),
        one("the GUID", &[(REPLACE, "objectGUID", &[&[1; 16]])]),
        one("the class", &[(REPLACE, "objectClass", &[b"computer"])]),
        one("the name", &[(REPLACE, "cn", &[b"other"])]),
        one("a time", &[(REPLACE, "whenCreated", &[b"20200101000000.0Z"])]),
        one("flags that are no number", &[(REPLACE, "userAccountControl", &[b"many"])]),
        one("a principal name without a domain", &[(REPLACE, "userPrincipalName", &[b"counter"])]),
        one("rights that are none", &[(REPLACE, "nTSecurityDescriptor", &[b"nonsense"])]),
        one("two values of what has one", &[(REPLACE, "title", &[b"a", b"b"])]),
        begin("a user of the wrong name")
            .ask(add(lab("uid=x"), &[("objectClass", &[b"user"]), ("sAMAccountName", &[b"x"])])),
        begin("a user under a taken name").ask(user("fresh", &[("sAMAccountName", &[b"lab-alice"])])),
        begin("an abstract class").ask(add(lab("CN=fresh"), &[("objectClass", &[b"top"])])),
        begin("a class of the system").ask(add(lab("CN=fresh"), &[("objectClass", &[b"secret"])])),
        begin("below a user").ask(add(lab("CN=x,CN=counter"), &[("objectClass", &[b"container"])])),
        begin("the domain, deleted").ask(delete(BASE)),
        begin("the administrator, deleted").ask(delete(super::words::MANAGER)),
        begin("the builtin container, renamed").ask(rename(&format!("CN=Builtin,{BASE_DN}"), "CN=Built", true, None)),
        begin("a user, moved into the configuration")
            .ask(add_person("mover"))
            .ask(rename(&lab("uid=mover"), "uid=mover", true, Some(&format!("CN=Configuration,{BASE_DN}"))))
            .ask(delete(&lab("uid=mover"))),
        begin("the schema").ask(modify(
            &format!("CN=User,CN=Schema,CN=Configuration,{BASE_DN}"),
            &[(REPLACE, "adminDescription", &[b"x"])],
        )),
        begin("the root, which then does something").ask(modify("", &[(REPLACE, "schemaUpdateNow", &[b"1"])])),
        Case::new("domain change: without the right")
            .ask(bind(ALICE, "alice-secret"))
            .ask(modify(&counter, &[(REPLACE, "title", &[b"x"])]))
            .ask(user("fresh", &[]))
            .ask(delete(&counter)),
        Case::new("domain change: one's own telephone")
            .ask(bind(ALICE, "alice-secret"))
            .ask(modify(ALICE, &[(REPLACE, "telephoneNumber", &[b"1"])]))
            .ask(modify(ALICE, &[(DELETE, "telephoneNumber", &[])])),
    ]
}

impl Case {
    fn manager_again(self) -> Self {
        self.ask(bind("cn=manager,dc=example,dc=com", "manager-secret"))
    }
}
