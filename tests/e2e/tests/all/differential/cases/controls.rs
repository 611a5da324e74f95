//! Controls (RFC 4511, section 4.1.11).

use anyhow::{Context as _, Result};

use super::super::ber::{Octets, boolean, context, enumerated, int, last_control, nested, parts, seq, text};
use super::super::case::Case;
use super::super::request::{
    ADD, ALICE, BASE, BOB, DELETE, LAB, Op, Search, add_person, bind, compare, delete, equal, lab, modify, read,
    rename, search, who_am_i,
};

const PAGED: &str = "1.2.840.113556.1.4.319";
const SORT: &str = "1.2.840.113556.1.4.473";
const VLV: &str = "2.16.840.1.113730.3.4.9";
const PRE_READ: &str = "1.3.6.1.1.13.1";
const POST_READ: &str = "1.3.6.1.1.13.2";
const ASSERTION: &str = "1.3.6.1.1.12";
const PROXIED: &str = "2.16.840.1.113730.3.4.18";
const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
const SUBENTRIES: &str = "1.3.6.1.4.1.4203.1.10.1";
const MATCHED_VALUES: &str = "1.2.826.0.1.3344810.2.3";
const DEREFERENCE: &str = "1.3.6.1.4.1.4203.666.5.16";
const NO_OP: &str = "1.3.6.1.4.1.4203.666.5.2";
const TREE_DELETE: &str = "1.2.840.113556.1.4.805";
const PERSISTENT_SEARCH: &str = "2.16.840.1.113730.3.4.3";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = pages();
    cases.extend(sorted());
    cases.extend(values());
    cases.extend(changes());
    cases.extend(others());
    cases
}

fn one(name: &str, op: impl Into<Op>) -> Case {
    Case::new(format!("control: {name}")).manager().ask(op)
}

fn people() -> Search {
    search("ou=people,dc=example,dc=com").attributes(&["uid"])
}

fn page(size: i64, cookie: &[u8]) -> Option<Octets> {
    Some(seq(&[int(size), text(cookie)]))
}

/// The cookie that the last answer gave.
fn cookie(frames: &[Octets]) -> Result<Octets> {
    let value = last_control(frames, PAGED).context("no page")?;
    parts(&value).into_iter().nth(1).context("no cookie")
}

fn next_page(size: i64) -> impl Fn(&[Octets]) -> Result<Op> {
    move |frames| Ok(people().with(PAGED, true, page(size, &cookie(frames)?)))
}

fn pages() -> Vec<Case> {
    let first = |name: &str, size: i64| one(name, people().with(PAGED, true, page(size, b"")));
    let mut to_the_end = first("pages to the end", 50);
    for _ in 0..4 {
        to_the_end = to_the_end.reply(next_page(50));
    }
    vec![
        to_the_end,
        first("pages, given up by a page of none", 50).reply(next_page(0)).ask(who_am_i()),
        first("pages, given up by another search", 50).ask(read(ALICE)).reply_later(),
        first("pages, another search under the same cookie", 50)
            .reply(|frames| Ok(search(LAB).with(PAGED, true, page(50, &cookie(frames)?)))),
        first("a page of none", 0),
        first("a negative page", -1),
        first("a page larger than everything", 10_000),
        one("a page with a made-up cookie", people().with(PAGED, true, page(50, b"nonsense"))),
        one("a page, nonsense", people().with(PAGED, true, Some(b"nonsense".to_vec()))),
        one("a page without a value", people().with(PAGED, true, None)),
        one("pages twice", people().with(PAGED, true, page(50, b"")).with(PAGED, true, page(10, b""))),
        one("a page and a size limit", people().limits(20, 0).with(PAGED, true, page(50, b""))),
        one("a page of a change", delete(&lab("cn=nothing")).with(PAGED, true, page(50, b""))),
    ]
}

impl Case {
    /// Goes on with pages whose last cookie is one answer earlier.
    fn reply_later(self) -> Self {
        self.reply(|frames| {
            let is_page = |frame: &Octets| last_control(std::slice::from_ref(frame), PAGED).is_some();
            let page_before = frames.iter().rposition(is_page).context("no page")?;
            next_page(50)(&frames[..=page_before])
        })
    }
}

fn by(attribute: &str, rule: Option<&str>, reverse: bool) -> Octets {
    let mut parts = vec![text(attribute)];
    parts.extend(rule.map(|rule| context(0, rule)));
    if reverse {
        parts.push(context(1, [0xff]));
    }
    seq(&parts)
}

fn sorted() -> Vec<Case> {
    let keys = |keys: &[Octets]| Some(seq(keys));
    let view = |after: i64, offset: i64| {
        let target = nested(0, &[int(offset), int(0)]);
        Some(seq(&[int(1), int(after), target]))
    };
    let ordered = |reverse| by("uid", Some("caseIgnoreOrderingMatch"), reverse);
    let list = || people().with(SORT, true, keys(&[ordered(false)]));
    vec![
        one("sorted", list()),
        one("sorted backwards", people().with(SORT, true, keys(&[ordered(true)]))),
        one("sorted by what has no order of its own", people().with(SORT, true, keys(&[by("uid", None, false)]))),
        one(
            "sorted by two",
            people().with(SORT, true, keys(&[by("sn", Some("caseIgnoreOrderingMatch"), false), ordered(true)])),
        ),
        one("sorted by an unknown attribute", people().with(SORT, true, keys(&[by("what", None, false)]))),
        one("sorted by what has no order", people().with(SORT, false, keys(&[by("jpegPhoto", None, false)]))),
        one("sorted by an unknown rule", people().with(SORT, true, keys(&[by("uid", Some("1.2.3"), false)]))),
        one("sorted by nothing", people().with(SORT, true, keys(&[]))),
        one("sorted and in pages", list().with(PAGED, true, page(30, b""))).reply(|frames| {
            let sort = Some(seq(&[by("uid", Some("caseIgnoreOrderingMatch"), false)]));
            Ok(people().with(SORT, true, sort).with(PAGED, true, page(30, &cookie(frames)?)))
        }),
        one("a view of a list", list().with(VLV, true, view(3, 10))),
        one("a view of a list, at a value", list().with(VLV, true, Some(seq(&[int(2), int(2), context(1, "carol")])))),
        one("a view of a list, beyond its end", list().with(VLV, true, view(3, 10_000))),
        one("a view of a list that is not sorted", people().with(VLV, true, view(3, 10))),
        one("a view of a list, nonsense", list().with(VLV, true, Some(b"nonsense".to_vec()))),
    ]
}

fn values() -> Vec<Case> {
    let matched = Some(seq(&[equal("objectClass", "person")]));
    let dereference = Some(seq(&[seq(&[text("member"), seq(&[text("uid"), text("sn")])])]));
    let group = "cn=engineers,ou=groups,dc=example,dc=com";
    vec![
        one("matched values", read(ALICE).with(MATCHED_VALUES, true, matched)),
        one("matched values, nonsense", read(ALICE).with(MATCHED_VALUES, true, Some(b"x".to_vec()))),
        one("dereference", read(group).with(DEREFERENCE, true, dereference)),
        one("dereference, nonsense", read(group).with(DEREFERENCE, true, Some(b"x".to_vec()))),
        one("manage DSA IT: a referral as an entry", search(lab("ou=elsewhere")).with(MANAGE_DSA_IT, true, None)),
        one("manage DSA IT: references as entries", search(LAB).with(MANAGE_DSA_IT, true, None)),
        one("manage DSA IT: with a value", read(ALICE).with(MANAGE_DSA_IT, true, Some(b"x".to_vec()))),
        one("subentries, visible", search(LAB).with(SUBENTRIES, true, Some(boolean(true)))),
        one("subentries, hidden", search(LAB).with(SUBENTRIES, true, Some(boolean(false)))),
        one("subentries, nonsense", search(LAB).with(SUBENTRIES, true, Some(b"x".to_vec()))),
        one("domain scope", search(LAB).with("1.2.840.113556.1.4.1339", true, None)),
        one("do not use a copy", read(ALICE).with("1.3.6.1.1.22", true, None)),
        one("persistent search, critical", search(LAB).with(PERSISTENT_SEARCH, true, persistent())),
        one("persistent search, not critical", search(LAB).with(PERSISTENT_SEARCH, false, persistent())),
    ]
}

fn persistent() -> Option<Octets> {
    Some(seq(&[int(15), boolean(true), boolean(true)]))
}

fn changes() -> Vec<Case> {
    let person = lab("uid=binary");
    let names = |list: &[&str]| Some(seq(&list.iter().map(text).collect::<Vec<_>>()));
    let title = |kind| modify(&person, &[(kind, "title", &[b"x"])]);
    vec![
        one(
            "pre-read and post-read",
            title(ADD).with(PRE_READ, true, names(&["title", "entryCSN"])).with(
                POST_READ,
                true,
                names(&["title", "entryCSN", "modifyTimestamp"]),
            ),
        )
        .ask(title(DELETE).with(PRE_READ, false, names(&["*"]))),
        one(
            "pre-read of a delete, post-read of an add",
            add_person("read").with(POST_READ, true, names(&["*", "entryUUID"])),
        )
        .ask(delete(&lab("uid=read")).with(PRE_READ, true, names(&["*"]))),
        one("pre-read and post-read of a rename", add_person("read"))
            .ask(rename(&lab("uid=read"), "uid=written", true, None).with(PRE_READ, true, names(&["uid"])).with(
                POST_READ,
                true,
                names(&["uid"]),
            ))
            .ask(delete(&lab("uid=written"))),
        one("post-read of a search", read(ALICE).with(POST_READ, true, names(&["uid"]))),
        one("pre-read, nonsense", title(ADD).with(PRE_READ, true, Some(b"x".to_vec()))),
        one("assertion, true", title(ADD).with(ASSERTION, true, Some(equal("uid", "binary")))).ask(title(DELETE)),
        one("assertion, false", title(ADD).with(ASSERTION, true, Some(equal("uid", "other")))),
        one("assertion of a compare", compare(BOB, "uid", "bob").with(ASSERTION, true, Some(equal("uid", "x")))),
        one("assertion of a search", read(BOB).with(ASSERTION, true, Some(equal("uid", "bob")))),
        one("assertion, nonsense", title(ADD).with(ASSERTION, true, Some(b"x".to_vec()))),
        one("no-op of an add", add_person("noop").with(NO_OP, true, None)).ask(read(lab("uid=noop"))),
        one("no-op of a modification", title(ADD).with(NO_OP, true, None)).ask(read(&person).attributes(&["title"])),
        one("no-op of a delete", delete(&person).with(NO_OP, true, None)).ask(read(&person).attributes(&["1.1"])),
        one("tree delete, critical", delete(&lab("ou=tree")).with(TREE_DELETE, true, None))
            .ask(search(lab("ou=tree")).attributes(&["1.1"])),
        one("tree delete, not critical", delete(&lab("ou=tree")).with(TREE_DELETE, false, None)),
        one("permissive modify", title(DELETE).with("1.2.840.113556.1.4.1413", true, None)),
        one("relax rules", modify(&person, &[(ADD, "title", &[b"x"])]).with("1.3.6.1.4.1.4203.666.5.12", true, None))
            .ask(title(DELETE)),
        one("an unknown one of a change, critical", title(ADD).with("1.2.3.4", true, None)),
        one("an unknown one of a change, not critical", title(ADD).with("1.2.3.4", false, Some(b"v".to_vec())))
            .ask(title(DELETE)),
    ]
}

fn others() -> Vec<Case> {
    let alice = format!("dn:{ALICE}").into_bytes();
    let for_alice = |op: Op| op.with(PROXIED, true, Some(alice.clone()));
    let proxy = |name: &str| Case::new(format!("control: {name}")).ask(bind(lab("uid=proxy"), "proxy-secret"));
    vec![
        proxy("proxied authorization").ask(for_alice(who_am_i())).ask(who_am_i()),
        proxy("proxied authorization of a search").ask(for_alice(read(BOB).attributes(&["uid"]).into())),
        proxy("proxied authorization without the right").ask(who_am_i().with(
            PROXIED,
            true,
            Some(format!("dn:{BOB}").into_bytes()),
        )),
        proxy("proxied authorization for nobody").ask(who_am_i().with(PROXIED, true, Some(Vec::new()))),
        proxy("proxied authorization, not critical").ask(who_am_i().with(PROXIED, false, Some(alice.clone()))),
        proxy("proxied authorization, nonsense").ask(who_am_i().with(PROXIED, true, Some(b"nonsense".to_vec()))),
        proxy("proxied authorization of a bind").ask(for_alice(bind(BOB, "bob-secret"))),
        one(
            "session tracking",
            read(ALICE).with(
                "1.3.6.1.4.1.21008.108.63.1",
                false,
                Some(seq(&[text("192.0.2.1"), text("app"), text("1.3.6.1.4.1.21008.108.63.1.3"), text("alice")])),
            ),
        ),
        one(
            "twenty of them",
            (0..20).fold(Op::from(read(ALICE)), |op, nth| op.with(&format!("1.2.3.{nth}"), false, None)),
        ),
        one(
            "criticality said to be false",
            Op::from(read(ALICE)).with_raw(seq(&[text("1.2.3.4"), boolean(false), text("x")])),
        ),
        one("a control that is empty", Op::from(read(ALICE)).with_raw(seq(&[]))),
        one("an empty OID, critical", read(ALICE).with("", true, None)),
        one("an OID that is none", read(ALICE).with("nonsense", false, None)),
        one(
            "a search with the controls of everything",
            search(BASE)
                .limits(5, 0)
                .with(PAGED, false, page(3, b""))
                .with(SORT, false, Some(seq(&[by("cn", Some("caseIgnoreOrderingMatch"), false)])))
                .with(MANAGE_DSA_IT, true, None),
        ),
        one("enumerated where an integer belongs", people().with(PAGED, true, Some(seq(&[enumerated(5), text("")])))),
    ]
}
