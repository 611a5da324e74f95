//! Message ids, lengths, garbage: what is below the protocol's meaning (RFC 4511, sections 4.1.1 and 5.1).

use super::super::ber::{Octets, boolean, context, enumerated, int, long, nested, seq, text, tlv};
use super::super::case::Case;
use super::super::request::{ALICE, Op, abandon, answer, bind, nobody, notice, present, read, who_am_i};

const NOT_LDAP: &str = "octets that cannot be read are answered by a Notice of Disconnection (RFC 4511, section 4.1.1) and \
                        do not reach the directory";

const GONE: &str = "the directory is not available";

const STRICT: &str = "what might be read in two ways might change a password in one of them";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = ids();
    cases.extend(lengths());
    cases.extend(garbage());
    cases.extend(kinds());
    cases.extend(endings());
    cases
}

fn ids() -> Vec<Case> {
    let mut cases: Vec<Case> = [1, 127, 128, 255, 256, 32_767, 32_768, 65_536, 8_388_608, 0x7fff_ffff]
        .into_iter()
        .map(|id| Case::new(format!("wire: message id {id}")).ask_as(id, who_am_i()))
        .collect();
    let with_id = |id: &[u8]| seq(&[tlv(2, id), tlv(0x77, context(0, "1.2.3"))]);
    cases.extend([
        Case::new("wire: an id used again once it is free")
            .ask_as(5, who_am_i())
            .octets(who_am_i().message(5))
            .frames(2),
        Case::new("wire: ids that go down").ask_as(9, who_am_i()).ask_as(8, who_am_i()).ask_as(1, who_am_i()),
        Case::new("wire: an id with zeros in front").octets(with_id(&[0, 0, 0, 7])).wait([7]),
        not_ldap("wire: message id 0", who_am_i().message(0), "a request with message id 0"),
        not_ldap("wire: a negative message id", with_id(&[0xff]), "a malformed message"),
        not_ldap("wire: message id 2^31", with_id(&[0, 0x80, 0, 0, 0]), "a malformed message"),
        not_ldap("wire: an empty message id", with_id(&[]), "a malformed message"),
    ]);
    cases
}

fn not_ldap(name: &str, octets: impl Into<Octets>, what: &str) -> Case {
    Case::new(name).octets(octets).half_close().closed().by_design(NOT_LDAP, &[notice(2, what)])
}

fn lengths() -> Vec<Case> {
    let search = |wrap: fn(u8, Octets) -> Octets| {
        let parts = [
            wrap(4, ALICE.into()),
            enumerated(0),
            enumerated(0),
            int(0),
            int(0),
            boolean(false),
            wrap(0x87, b"objectClass".to_vec()),
            wrap(0x30, wrap(4, b"uid".to_vec())),
        ];
        wrap(0x30, [wrap(2, vec![2]), wrap(0x63, parts.concat())].concat())
    };
    let bind_long = long(
        0x30,
        [long(2, [1]), long(0x60, [long(2, [3]), long(4, ALICE), long(0x80, "alice-secret")].concat())].concat(),
    );
    vec![
        Case::new("wire: lengths in four octets").octets(bind_long).wait([1]).octets(search(long)).wait([2]),
        Case::new("wire: a length in two octets where one is enough")
            .octets([&[0x30, 0x82, 0, 5, 2, 1, 1, 0x42, 0][..]].concat())
            .closed(),
        not_ldap(
            "wire: indefinite length",
            [&[0x30, 0x80, 2, 1, 1, 0x42, 0, 0, 0][..]].concat(),
            "a length of the indefinite form",
        ),
        not_ldap(
            "wire: a length in five octets",
            [&[0x30, 0x85, 0, 0, 0, 0, 5, 2, 1, 1, 0x42, 0][..]].concat(),
            "a length in more than four octets",
        ),
        not_ldap(
            "wire: a message of 4 GB is announced",
            vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 2, 1, 1],
            "a message of 4294967301 octets, where at most 262144 are taken",
        ),
        not_ldap(
            "wire: an operation that is longer than its message",
            vec![0x30, 6, 2, 1, 1, 0x77, 9, 0x80],
            "a malformed message",
        ),
        Case::new("wire: an element longer than the operation")
            .octets(vec![0x30, 9, 2, 1, 1, 0x4a, 4, 0x64, 0x63, 0x3d, 0x78])
            .wait([1]),
    ]
}

fn garbage() -> Vec<Case> {
    let noise: Octets = (0..2000_u32).map(|nth| u8::try_from((nth * 7919 + 0x31) & 0xff).unwrap()).collect();
    vec![
        not_ldap("wire: an HTTP request", b"GET / HTTP/1.1\r\nHost: directory\r\n\r\n".to_vec(), "not an LDAP message"),
        not_ldap("wire: a TLS handshake", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "not an LDAP message"),
        not_ldap("wire: noise", noise, "not an LDAP message"),
        not_ldap("wire: zeros", vec![0; 64], "not an LDAP message"),
        not_ldap("wire: an empty message", vec![0x30, 0], "a malformed message"),
        not_ldap("wire: a message that is only an id", vec![0x30, 3, 2, 1, 1], "a malformed message"),
        not_ldap("wire: an operation of no class of LDAP's", vec![0x30, 5, 2, 1, 1, 0x30, 0], "a malformed message"),
        not_ldap("wire: a tag of two octets", vec![0x30, 6, 2, 1, 1, 0x7f, 0x20, 0], "a tag in more than one octet"),
        Case::new("wire: garbage behind good requests")
            .ask(who_am_i())
            .octets(b"garbage".to_vec())
            .half_close()
            .closed()
            .by_design(NOT_LDAP, &[nobody(1), notice(2, "not an LDAP message")]),
    ]
}

fn kinds() -> Vec<Case> {
    let kind = |name: &str, tag: u8| {
        Case::new(format!("wire: {name}")).manager().octets(Op::raw(tlv(tag, [])).message(2)).closed()
    };
    vec![
        kind("an operation that there is not", 0x7a),
        kind("an answer to a bind as a request", 0x61),
        kind("an answer to a search as a request", 0x64),
        kind("an intermediate answer as a request", 0x79),
        Case::new("wire: an empty bind").manager().ask(Op::raw(tlv(0x60, []))).by_design(
            "a bind that the gateway cannot read does not reach the directory",
            &[answer(1, 0x61, 0, ""), answer(2, 0x61, 2, "the bind request cannot be read")],
        ),
        kind("an empty search", 0x63),
        kind("an empty add", 0x68),
        kind("an empty compare", 0x6e),
        kind("an empty rename", 0x6c),
        Case::new("wire: an unbind with something in it").octets(Op::raw(tlv(0x42, "xyz")).message(1)).closed(),
        Case::new("wire: an abandon with nothing in it")
            .octets(Op::raw(tlv(0x50, [])).message(1))
            .ask_as(2, who_am_i())
            .by_design(
                "an abandon has no answer, so one that cannot be read is as good as none (RFC 4511, section 4.11)",
                &[nobody(2)],
            )
            .now_and_then(),
        Case::new("wire: an abandon of a negative id").octets(abandon(-5).message(1)).ask_as(2, who_am_i()),
        Case::new("wire: something behind the controls")
            .octets(seq(&[int(1), tlv(0x77, context(0, "1.3.6.1.4.1.4203.1.11.3")), nested(0, &[]), text("more")]))
            .wait([1])
            .by_design(STRICT, &[answer(1, 0x78, 2, "the request cannot be read")]),
        Case::new("wire: something that is no controls behind the operation")
            .octets(seq(&[int(1), tlv(0x77, context(0, "1.3.6.1.4.1.4203.1.11.3")), text("more")]))
            .wait([1])
            .by_design(STRICT, &[answer(1, 0x78, 2, "the request cannot be read")]),
        Case::new("wire: something behind a search")
            .octets(seq(&[
                int(1),
                tlv(
                    0x63,
                    [
                        text(""),
                        enumerated(0),
                        enumerated(0),
                        int(0),
                        int(0),
                        boolean(false),
                        present("objectClass"),
                        seq(&[]),
                        text("more"),
                    ]
                    .concat(),
                ),
            ]))
            .wait([1]),
        Case::new("wire: a boolean of another true")
            .octets(seq(&[
                int(1),
                tlv(
                    0x63,
                    [
                        text(""),
                        enumerated(0),
                        enumerated(0),
                        int(0),
                        int(0),
                        tlv(1, [1]),
                        present("objectClass"),
                        seq(&[]),
                    ]
                    .concat(),
                ),
            ]))
            .wait([1]),
    ]
}

fn endings() -> Vec<Case> {
    vec![
        Case::new("wire: half a message, then closed").octets(vec![0x30, 0x20, 2, 1, 1, 0x63]).half_close().closed(),
        Case::new("wire: a request and half of one, then closed")
            .ask(bind(ALICE, "alice-secret"))
            .octets(vec![0x30, 0x20, 2, 1, 1, 0x63])
            .half_close()
            .closed(),
        Case::new("wire: a farewell of the directory's")
            .manager()
            .octets(Op::from(read("cn=farewell,ou=retcodes,dc=example,dc=com")).message(2))
            .closed(),
        Case::new("wire: the directory announces something, then closes")
            .manager()
            .send(read("cn=notification,ou=retcodes,dc=example,dc=com"))
            .frames(2)
            .octets(Op::from(read("cn=abrupt,ou=retcodes,dc=example,dc=com")).message(3))
            .closed()
            .by_design(
                "a directory that is gone is answered by unavailable (52)",
                &[
                    answer(1, 0x61, 0, ""),
                    announced(),
                    answer(2, 0x65, 52, GONE),
                    answer(3, 0x65, 52, GONE),
                    notice(52, GONE),
                ],
            ),
        Case::new("wire: the directory closes in the middle")
            .manager()
            .octets(Op::from(read("cn=abrupt,ou=retcodes,dc=example,dc=com")).message(2))
            .closed()
            .by_design(
                "a directory that is gone is answered by unavailable (52)",
                &[answer(1, 0x61, 0, ""), answer(2, 0x65, 52, GONE), notice(52, GONE)],
            ),
    ]
}

/// slapd's own notification.
fn announced() -> Octets {
    let parts = [enumerated(0), text(""), text(""), context(10, "1.3.6.1.4.1.4203.666.6.9"), context(11, "data")];
    seq(&[int(0), tlv(0x78, parts.concat())])
}
