//! Extended operations (RFC 4511, section 4.12).

use anyhow::{Context as _, Result};

use super::super::ber::{Octets, boolean, context, last_part, parts, seq, text, tlv};
use super::super::case::Case;
use super::super::request::{
    ADD, ALICE, BOB, EXTENDED_RESPONSE, Op, abandon, add_person, answer, bind, cancel, delete, extended, lab, modify,
    password_modify, read, who_am_i,
};

const TRANSACTION: &str = "1.3.6.1.1.21.2";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = general();
    cases.extend(passwords());
    cases.extend(transactions());
    cases
}

fn general() -> Vec<Case> {
    const UNREADABLE: &str = "an extended request that cannot be read might change a password";
    let refused = answer(1, EXTENDED_RESPONSE, 2, "the request cannot be read");
    vec![
        Case::new("extended: who am I, anonymous").ask(who_am_i()),
        Case::new("extended: who am I, as the administrator").manager().ask(who_am_i()),
        Case::new("extended: who am I, with a value").ask(extended("1.3.6.1.4.1.4203.1.11.3", Some(b"x".to_vec()))),
        Case::new("extended: unknown").ask(extended("1.3.6.1.4.1.99999.1", Some(b"value".to_vec()))),
        Case::new("extended: empty name").ask(extended("", None)),
        Case::new("extended: a name that is no OID").ask(extended("nonsense", None)),
        Case::new("extended: with an unknown control, critical").ask(who_am_i().with("1.2.3.4", true, None)),
        Case::new("extended: without a name")
            .ask(Op::raw(tlv(0x77, [])))
            .by_design(UNREADABLE, std::slice::from_ref(&refused)),
        Case::new("extended: name and value in the wrong order")
            .ask(Op::raw(tlv(0x77, [context(1, "x"), context(0, "1.2.3")].concat())))
            .by_design(UNREADABLE, &[refused]),
        Case::new("extended: StartTLS where the gateway does not offer it")
            .ask(extended("1.3.6.1.4.1.1466.20037", None))
            .by_design(
                "TLS ends at the gateway, whose listener says whether it is offered",
                &[answer(1, EXTENDED_RESPONSE, 2, "StartTLS is not offered here")],
            ),
        Case::new("extended: cancel of what there is not").manager().ask(cancel(77)),
        Case::new("extended: cancel of itself").manager().ask(cancel(2)),
        Case::new("extended: cancel, anonymous").ask(cancel(1)),
        Case::new("extended: cancel without a value").manager().ask(extended("1.3.6.1.1.8", None)),
        Case::new("extended: cancel with nonsense").manager().ask(extended("1.3.6.1.1.8", Some(b"nonsense".to_vec()))),
        Case::new("extended: abandon of what is finished").manager().ask(read(ALICE)).send(abandon(2)).ask(who_am_i()),
        Case::new("extended: a notification of the directory's")
            .manager()
            .send(read("cn=notification,ou=retcodes,dc=example,dc=com"))
            .frames(2)
            .ask(who_am_i()),
    ]
}

/// The password that the directory made up (RFC 3062, section 2).
fn generated(frames: &[Octets]) -> Result<Octets> {
    let value = last_part(frames, 0x8b).context("no value")?;
    parts(&value).into_iter().next().context("no password")
}

fn passwords() -> Vec<Case> {
    let modify_it = "1.3.6.1.4.1.4203.1.11.1";
    let person = lab("uid=person");
    let fresh = |name: &str| {
        Case::new(name).manager().ask(add_person("person")).ask(password_modify(
            Some(&lab("uid=person")),
            None,
            Some(b"first"),
        ))
    };
    let swept = |case: Case| case.manager().ask(delete(&lab("uid=person")));
    vec![
        swept(fresh("password: another's").ask(bind(&person, "first")).ask(who_am_i())),
        swept(
            fresh("password: one's own, and without the right")
                .ask(bind(&person, "first"))
                .ask(password_modify(None, Some(b"first"), Some(b"second")))
                .ask(password_modify(None, Some(b"wrong"), Some(b"third"))),
        ),
        swept(
            fresh("password: made up by the directory")
                .ask(password_modify(Some(&person), None, None))
                .reply(|frames| Ok(bind(lab("uid=person"), generated(frames)?)))
                .ask(who_am_i()),
        ),
        swept(fresh("password: with the old one, wrong").ask(password_modify(
            Some(&person),
            Some(b"wrong"),
            Some(b"x"),
        ))),
        swept(
            fresh("password: of octets that are no text")
                .ask(password_modify(Some(&person), None, Some(&[0, 0xff, 0xfe, 0x80])))
                .ask(bind(&person, [0, 0xff, 0xfe, 0x80]))
                .ask(who_am_i()),
        ),
        Case::new("password: of nobody").manager().ask(password_modify(
            Some("uid=nobody,dc=example,dc=com"),
            None,
            Some(b"x"),
        )),
        Case::new("password: of what is no DN").manager().ask(password_modify(Some("nobody"), None, Some(b"x"))),
        Case::new("password: anonymous").ask(password_modify(Some(ALICE), Some(b"alice-secret"), Some(b"x"))),
        Case::new("password: another's without the right").ask(bind(BOB, "bob-secret")).ask(password_modify(
            Some(ALICE),
            None,
            Some(b"x"),
        )),
        Case::new("password: an empty one").manager().ask(password_modify(Some(&lab("uid=binary")), None, Some(b""))),
        Case::new("password: without a value").manager().ask(extended(modify_it, None)),
        Case::new("password: nonsense").manager().ask(extended(modify_it, Some(b"nonsense".to_vec()))),
        Case::new("password: empty sequence").manager().ask(extended(modify_it, Some(seq(&[])))),
        Case::new("password: an element that there is not")
            .manager()
            .ask(extended(modify_it, Some(seq(&[context(5, "x")])))),
    ]
}

/// RFC 5805. None with a change in it that is ended: slapd 2.5.13 uses its memory after that and mostly dies.
fn transactions() -> Vec<Case> {
    let start = || extended("1.3.6.1.1.21.1", None);
    let end = |commit: bool, id: &str| {
        let mut parts = Vec::new();
        if !commit {
            parts.push(boolean(false));
        }
        parts.push(text(id));
        extended("1.3.6.1.1.21.3", Some(seq(&parts)))
    };
    let within = |op: Op| op.with(TRANSACTION, true, Some(Vec::new()));
    let change = |name: &str| modify(&lab("uid=binary"), &[(ADD, "title", &[name.as_bytes()])]);
    vec![
        Case::new("transaction: committed with nothing in it").manager().ask(start()).ask(end(true, "")),
        Case::new("transaction: given up with nothing in it").manager().ask(start()).ask(end(false, "")),
        Case::new("transaction: two at once").manager().ask(start()).ask(start()).ask(end(false, "")),
        Case::new("transaction: ended that was not begun").manager().ask(end(true, "")),
        Case::new("transaction: a change outside of one").manager().ask(within(change("one"))),
        Case::new("transaction: ended with nonsense")
            .manager()
            .ask(start())
            .ask(extended("1.3.6.1.1.21.3", Some(b"x".to_vec())))
            .ask(end(false, "")),
    ]
}
