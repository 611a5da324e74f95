//! Simple binds (RFC 4511, section 4.2; RFC 4513, section 5.1).

use super::super::ber::{context, int, text, tlv};
use super::super::case::Case;
use super::super::request::{
    ALICE, BIND_RESPONSE, BOB, Op, answer, bind, bind_as, lab, nobody, read, somebody, who_am_i,
};

/// The gateway has to know whose policies apply, so it takes no name that it cannot read.
const UNREADABLE: &str = "a bind that the gateway cannot read exactly as the RFC has it does not reach the directory";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = passwords();
    cases.extend(versions());
    cases.extend(names());
    cases.extend(several());
    cases
}

fn passwords() -> Vec<Case> {
    vec![
        Case::new("bind: right password").ask(bind(ALICE, "alice-secret")).ask(who_am_i()),
        Case::new("bind: wrong password").ask(bind(ALICE, "wrong")).ask(who_am_i()),
        Case::new("bind: unknown name").ask(bind("uid=nobody,dc=example,dc=com", "x")).ask(who_am_i()),
        Case::new("bind: a name outside of every database").ask(bind("cn=x,dc=nowhere", "x")),
        Case::new("bind: an entry without a password").ask(bind("ou=people,dc=example,dc=com", "x")),
        Case::new("bind: anonymous").ask(bind("", "")).ask(who_am_i()),
        Case::new("bind: no name, with a password").ask(bind("", "secret")).ask(who_am_i()),
        Case::new("bind: a name and no password").ask(bind(ALICE, "")).ask(who_am_i()).by_design(
            "clients take the success of such a bind for a correct password (RFC 4513, section 5.1.2)",
            &[answer(1, BIND_RESPONSE, 53, "a bind with a name needs a password"), nobody(2)],
        ),
        Case::new("bind: a password of octets that are no text")
            .ask(bind(lab("uid=binary"), [0x00, 0xff, 0xfe, 0x80]))
            .ask(who_am_i()),
        Case::new("bind: a wrong password that begins like a right one with a zero octet")
            .ask(bind(ALICE, b"alice-secret\0more")),
        Case::new("bind: a password of 100 000 octets").ask(bind(ALICE, vec![b'x'; 100_000])),
        Case::new("bind: with an unknown control, not critical").ask(bind(ALICE, "alice-secret").with(
            "1.3.6.1.4.1.99999.1",
            false,
            None,
        )),
        Case::new("bind: with an unknown control, critical")
            .ask(bind(ALICE, "alice-secret").with("1.3.6.1.4.1.99999.1", true, None))
            .ask(who_am_i()),
    ]
}

fn versions() -> Vec<Case> {
    let mut cases: Vec<Case> = [0, 1, 2, 4, 9, 127, 128, 70_000]
        .into_iter()
        .map(|version| {
            Case::new(format!("bind: version {version}")).ask(bind_as(version, ALICE, "alice-secret")).ask(who_am_i())
        })
        .collect();
    cases.push(
        Case::new("bind: version -1")
            .ask(bind_as(-1, ALICE, "alice-secret"))
            .by_design(UNREADABLE, &[answer(1, BIND_RESPONSE, 2, "the bind request cannot be read")]),
    );
    cases
}

fn names() -> Vec<Case> {
    let spaced = " UID = alice , ou=Engineering,OU=people, dc=example ,dc=com ";
    vec![
        Case::new("bind: the name written differently").ask(bind(spaced, "alice-secret")).ask(who_am_i()),
        Case::new("bind: the name with escaped octets")
            .ask(bind("uid=\\61lice,ou=engineering,ou=people,dc=example,dc=com", "alice-secret"))
            .ask(who_am_i()),
        Case::new("bind: a name beyond ASCII, with escapes")
            .ask(bind(lab("cn=Müller\\, Jürgen \\+ Sohn"), "pässwört"))
            .ask(who_am_i()),
        Case::new("bind: the same name in hexadecimal escapes")
            .ask(bind(lab("cn=M\\C3\\BCller\\2c J\\c3\\bcrgen \\2B Sohn"), "pässwört"))
            .ask(who_am_i()),
        Case::new("bind: a name that is no DN").ask(bind("alice", "alice-secret")).ask(who_am_i()),
        Case::new("bind: a name that is no DN but has a sign of equality").ask(bind("a=b=c,,", "x")),
        Case::new("bind: a name that is no UTF-8")
            .ask(bind(b"uid=\xff\xfe,dc=example,dc=com", "x"))
            .by_design(UNREADABLE, &[answer(1, BIND_RESPONSE, 2, "the bind request cannot be read")]),
        Case::new("bind: a name with a zero octet")
            .ask(bind(b"uid=alice\0,dc=example,dc=com", "x"))
            .by_design(UNREADABLE, &[answer(1, BIND_RESPONSE, 2, "the bind request cannot be read")]),
        Case::new("bind: through an alias").ask(bind(lab("cn=pointer"), "alice-secret")),
        Case::new("bind: at a referral").ask(bind(lab("ou=elsewhere"), "x")),
        Case::new("bind: below a referral").ask(bind(lab("uid=x,ou=elsewhere"), "x")),
        Case::new("bind: an authentication choice that there is not")
            .ask(Op::raw(tlv(0x60, [int(3), text(ALICE), context(1, "x")].concat())))
            .by_design(
                UNREADABLE,
                &[answer(1, BIND_RESPONSE, 7, "an authentication choice other than simple, SASL and NTLM")],
            ),
    ]
}

fn several() -> Vec<Case> {
    vec![
        Case::new("bind: as one, as another, as nobody")
            .ask(bind(ALICE, "alice-secret"))
            .ask(who_am_i())
            .ask(bind(BOB, "bob-secret"))
            .ask(who_am_i())
            .ask(bind("", ""))
            .ask(who_am_i())
            .ask(bind(ALICE, "alice-secret"))
            .ask(who_am_i()),
        Case::new("bind: a wrong password leaves a connection anonymous")
            .ask(bind(ALICE, "alice-secret"))
            .ask(read(BOB))
            .ask(bind(BOB, "wrong"))
            .ask(who_am_i())
            .ask(read(BOB)),
        Case::new("bind: ten times on one connection").repeated(10),
        Case::new("bind: with requests behind it in the same packet")
            .octets(
                [
                    bind(ALICE, "alice-secret").message(1),
                    who_am_i().message(2),
                    Op::from(read(BOB).attributes(&["uid"])).message(3),
                ]
                .concat(),
            )
            .wait([1, 2, 3])
            .per_id(),
        Case::new("bind: two in the same packet")
            .octets([bind(ALICE, "alice-secret").message(1), bind(BOB, "bob-secret").message(2)].concat())
            .wait([2])
            .ask_as(3, who_am_i())
            .by_design(
                "slapd gives the first up where the second comes early; through the gateway, a bind waits for the one before",
                &[answer(1, BIND_RESPONSE, 0, ""), answer(2, BIND_RESPONSE, 0, ""), somebody(3, BOB)],
            )
            .now_and_then(),
    ]
}

impl Case {
    fn repeated(mut self, times: usize) -> Self {
        for _ in 0..times {
            self = self.ask(bind(ALICE, "alice-secret")).ask(who_am_i());
        }
        self
    }
}
