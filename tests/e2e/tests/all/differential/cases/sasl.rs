//! SASL binds (RFC 4513, section 5.2), as far as Debian's slapd offers mechanisms.

use anyhow::{Context as _, Result, ensure};

use super::super::ber::{Octets, int, last_part, nested, text, tlv};
use super::super::case::Case;
use super::super::request::{ALICE, BIND_RESPONSE, Op, answer, bind, lab, nobody, read, sasl, who_am_i};
use super::super::scram;

const OPAQUE: &str = "a mechanism that may put a layer on the connection would hide everything behind it; refused unless \
                      relay-opaque-sasl is set";
const EMPTY: &str = "the code is that of RFC 4513, section 5.2.1.2, the message the gateway's own";
const REFUSED: &str = "this SASL mechanism is not supported here";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = one_step();
    cases.extend(scram());
    cases.extend(opaque());
    cases
}

fn plain(authorization: &str, name: &str, password: &str) -> Op {
    sasl("PLAIN", Some(format!("{authorization}\0{name}\0{password}").as_bytes()))
}

fn one_step() -> Vec<Case> {
    vec![
        Case::new("sasl: PLAIN").ask(plain("", "alice", "alice-secret")).ask(who_am_i()),
        Case::new("sasl: PLAIN, in lower case").ask(sasl("plain", Some(b"\0alice\0alice-secret"))).ask(who_am_i()),
        Case::new("sasl: PLAIN, wrong password").ask(plain("", "alice", "wrong")).ask(who_am_i()),
        Case::new("sasl: PLAIN, unknown name").ask(plain("", "nobody", "x")).ask(who_am_i()),
        Case::new("sasl: PLAIN, for somebody else without the right")
            .ask(plain("u:bob", "alice", "alice-secret"))
            .ask(who_am_i()),
        Case::new("sasl: PLAIN, for somebody else with the right")
            .ask(plain("u:alice", "proxy", "proxy-secret"))
            .ask(who_am_i()),
        Case::new("sasl: PLAIN, nonsense").ask(sasl("PLAIN", Some(b"nonsense"))).ask(who_am_i()),
        Case::new("sasl: PLAIN without credentials").ask(sasl("PLAIN", None)).ask(who_am_i()).ask(bind("", "")),
        Case::new("sasl: PLAIN with empty credentials").ask(sasl("PLAIN", Some(b""))).ask(who_am_i()),
        Case::new("sasl: ANONYMOUS").ask(sasl("ANONYMOUS", Some(b"somebody@example.com"))).ask(who_am_i()),
        Case::new("sasl: EXTERNAL where there is nothing external").ask(sasl("EXTERNAL", None)).ask(who_am_i()),
        Case::new("sasl: EXTERNAL for somebody")
            .ask(sasl("EXTERNAL", Some(format!("dn:{ALICE}").as_bytes())))
            .ask(who_am_i()),
        Case::new("sasl: a name beside the mechanism").ask(Op::raw(tlv(
            0x60,
            [int(3), text(ALICE), nested(3, &[text("PLAIN"), text("\0alice\0alice-secret")])].concat(),
        ))),
        Case::new("sasl: CRAM-MD5, given up")
            .ask(sasl("CRAM-MD5", None))
            .ask(bind(ALICE, "alice-secret"))
            .ask(who_am_i()),
        Case::new("sasl: CRAM-MD5, wrong digest")
            .ask(sasl("CRAM-MD5", None))
            .ask(sasl("CRAM-MD5", Some(b"alice 00000000000000000000000000000000")))
            .ask(who_am_i()),
    ]
}

/// SASL credentials of the last answer.
fn credentials(frames: &[Octets]) -> Result<String> {
    let found = last_part(frames, 0x87).context("no credentials; SCRAM comes with the package libsasl2-modules")?;
    Ok(String::from_utf8(found)?)
}

/// The last message of a client that does not know the password (RFC 5802, section 7).
fn false_proof(frames: &[Octets], length: usize) -> Result<Op> {
    use base64::Engine as _;
    let challenge = credentials(frames)?;
    let nonce = challenge.split(',').next().unwrap_or_default().to_owned();
    let proof = base64::engine::general_purpose::STANDARD.encode(vec![7; length]);
    Ok(sasl(mechanism_of(length), Some(format!("c=biws,{nonce},p={proof}").as_bytes())))
}

fn mechanism_of(length: usize) -> &'static str {
    if length == 32 { "SCRAM-SHA-256" } else { "SCRAM-SHA-1" }
}

fn scram() -> Vec<Case> {
    let first = format!("n,,{}", scram::first_bare("alice"));
    let first = || Some(first.as_bytes());
    let begun = |name: &str| Case::new(name).ask(sasl("SCRAM-SHA-256", first()));
    let whole = |name: &str, password: &'static str, code: u8| {
        begun(name)
            .reply(move |frames| {
                let last = scram::proof("alice", password, &credentials(frames)?)?;
                Ok(sasl("SCRAM-SHA-256", Some(last.as_bytes())))
            })
            .reply(move |frames| {
                ensure!(last_part(frames, 0x0a) == Some(vec![code]), "the script's own proof is wrong");
                Ok(who_am_i())
            })
            .ask(read(ALICE))
    };
    let mut cases = vec![
        whole("sasl: SCRAM-SHA-256", "alice-secret", 0),
        whole("sasl: SCRAM-SHA-256, wrong password", "wrong", 49),
        begun("sasl: SCRAM-SHA-256, second step wrong").reply(|frames| false_proof(frames, 32)).ask(who_am_i()),
        Case::new("sasl: SCRAM-SHA-1, second step wrong")
            .ask(sasl("SCRAM-SHA-1", first()))
            .reply(|frames| false_proof(frames, 20))
            .ask(who_am_i()),
        begun("sasl: SCRAM given up by a simple bind").ask(bind(ALICE, "alice-secret")).ask(who_am_i()),
        begun("sasl: SCRAM given up by an anonymous bind").ask(bind("", "")).ask(who_am_i()),
        begun("sasl: SCRAM given up by another mechanism").ask(plain("", "alice", "alice-secret")).ask(who_am_i()),
        begun("sasl: SCRAM given up by the empty mechanism")
            .ask(sasl("", None))
            .ask(bind(ALICE, "alice-secret"))
            .ask(who_am_i())
            .one_by_design(EMPTY, 1, answer(2, BIND_RESPONSE, 7, REFUSED)),
        begun("sasl: SCRAM begun again").ask(sasl("SCRAM-SHA-256", first())).ask(who_am_i()),
        begun("sasl: SCRAM with another operation in between").ask(who_am_i()).ask(bind("", "")),
        begun("sasl: SCRAM, nonsense as its second step").ask(sasl("SCRAM-SHA-256", Some(b"nonsense"))),
        Case::new("sasl: SCRAM, unknown name").ask(sasl("SCRAM-SHA-256", Some(b"n,,n=nobody,r=0123456789abcdefghij"))),
        Case::new("sasl: SCRAM without its first message").ask(sasl("SCRAM-SHA-256", None)).ask(bind("", "")),
    ];
    cases.extend([("SCRAM-SHA-256", 32), ("SCRAM-SHA-1", 20)].map(|(mechanism, _)| {
        Case::new(format!("sasl: {mechanism} by somebody with another's right"))
            .ask(sasl(mechanism, Some(b"n,a=u:alice,n=proxy,r=0123456789abcdefghij")))
            .ask(bind(lab("uid=proxy"), "proxy-secret"))
            .ask(who_am_i())
    }));
    cases
}

fn opaque() -> Vec<Case> {
    let case = |mechanism: &str| Case::new(format!("sasl: {mechanism:?}")).ask(sasl(mechanism, None)).ask(who_am_i());
    let refused = |mechanism| case(mechanism).by_design(OPAQUE, &[answer(1, BIND_RESPONSE, 7, REFUSED), nobody(2)]);
    let mut cases: Vec<Case> = ["", "DIGEST-MD5", "LOGIN", "NOBODY-KNOWS"].into_iter().map(refused).collect();
    // The first message of these does not say yet whether there is to be a layer. slapd answers even an unbind in the middle
    // of a bind, with octets that are no LDAP, so the bind is given up first.
    cases.extend(["GSSAPI", "GSS-SPNEGO", "NTLM"].map(|mechanism| case(mechanism).ask(bind("", "")).ask(who_am_i())));
    cases
}
