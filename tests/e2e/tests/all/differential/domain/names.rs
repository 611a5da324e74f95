//! Binds as only a domain knows them (MS-ADTS, section 5.1.1.1.1).

use anyhow::{Context as _, Result};
use portcullis_lab::samba::{ALICE, BASE_DN, COMPUTER, NAMESAKE, password};

use super::super::ber::{Octets, last_part, tlv};
use super::super::case::Case;
use super::super::request::{BIND_RESPONSE, Op, answer, bind, nobody, read, sasl, who_am_i};
use super::chosen::last_value;
use super::ntlm;

const ALICE_DN: &str = "CN=Alice Adams,CN=Users,DC=example,DC=test";
/// Of the accounts in the lab that may not log on.
const SECRET: &str = "binary-secret";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = forms();
    cases.extend(states());
    cases.extend(without_password());
    cases.extend(several());
    cases.extend(ntlm_binds());
    cases
}

fn forms() -> Vec<Case> {
    let own = [
        ("a DN", ALICE_DN),
        ("a DN in another case, with spaces", " cn=ALICE adams , cn=users,dc=Example,DC=test"),
        ("a user principal name", "alice@example.test"),
        ("a user principal name in capitals", "ALICE@EXAMPLE.TEST"),
        ("a name at the domain's short name", "alice@EXAMPLE"),
        ("a name at a suffix of the forest", "alice@people.example"),
        ("DOMAIN\\name", "EXAMPLE\\alice"),
        ("domain\\NAME", "example\\ALICE"),
        ("DNS domain\\name", "example.test\\alice"),
        ("a canonical name", "example.test/Users/Alice Adams"),
        ("a canonical name with a line break", "example.test/Users\nAlice Adams"),
        ("a bare account name", "alice"),
        ("a display name", "Alice Adams"),
        ("a domain that there is not", "OTHER\\alice"),
        ("a suffix that there is not", "alice@other.example"),
        ("nothing before the backslash", "\\alice"),
        ("two backslashes", "OTHER\\EXAMPLE\\alice"),
        ("two at signs", "alice@example.test@other.example"),
        ("an at sign alone", "@"),
        ("a backslash alone", "\\"),
        ("a SID that there is not", "S-1-5-21-1-2-3-4"),
        ("a GUID that there is not", "{00000000-0000-0000-0000-000000000001}"),
        ("a service principal name", "ldap/dc1.example.test"),
        ("a name beyond ASCII", "EXAMPLE\\älice"),
        ("10 000 letters", "a".repeat(10_000).as_str()),
    ]
    .map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    let mut cases = Vec::new();
    for (kind, name) in own {
        for (which, password) in [("", password(ALICE)), (", wrong password", "wrong".to_owned())] {
            cases.push(Case::new(format!("domain bind: {kind}{which}")).ask(bind(&name, password)).ask(who_am_i()));
        }
    }
    for (kind, attribute, form) in
        [("its GUID", "objectGUID", guid as fn(&[u8]) -> String), ("its SID", "objectSid", sid)]
    {
        cases.push(
            Case::new(format!("domain bind: {kind}"))
                .ask(bind(ALICE_DN, password(ALICE)))
                .ask(read(ALICE_DN).attributes(&[attribute]))
                .ask(bind("", ""))
                .reply(move |frames| Ok(bind(form(&last_value(frames, attribute)?), password(ALICE))))
                .ask(who_am_i()),
        );
    }
    cases.push(
        Case::new("domain bind: a machine")
            .ask(bind(format!("EXAMPLE\\{COMPUTER}"), password(COMPUTER)))
            .ask(who_am_i()),
    );
    cases.push(
        Case::new("domain bind: one of two with the same name")
            .ask(bind("example.test/Guests/Bob Brown", password(NAMESAKE)))
            .ask(who_am_i()),
    );
    cases
}

/// The text of a GUID (MS-DTYP, section 2.3.4.3).
fn guid(octets: &[u8]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text: String = order.iter().map(|&at| format!("{:02x}", octets[at])).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    format!("{{{text}}}")
}

/// The text of a SID (MS-DTYP, section 2.4.2.1).
fn sid(octets: &[u8]) -> String {
    let parts = octets[8..].chunks_exact(4).map(|part| u32::from_le_bytes(part.try_into().unwrap()).to_string());
    format!("S-1-{}-{}", octets[7], parts.collect::<Vec<_>>().join("-"))
}

/// Accounts that may not log on, with the right password and a wrong one: the code in the text says why (`data 533`).
fn states() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["disabled", "expired", "must-change", "smartcard"] {
        for password in [SECRET, "wrong"] {
            let dn = format!("CN={name},OU=lab,{BASE_DN}");
            cases.push(
                Case::new(format!("domain bind: an account that is {name}, with {password}"))
                    .ask(bind(dn, password))
                    .ask(bind(format!("EXAMPLE\\lab-{name}"), password))
                    .ask(who_am_i()),
            );
        }
    }
    cases.push(Case::new("domain bind: a group").ask(bind("CN=team,OU=lab,DC=example,DC=test", SECRET)));
    cases.push(Case::new("domain bind: a unit").ask(bind("OU=lab,DC=example,DC=test", SECRET)));
    cases.push(Case::new("domain bind: the guest").ask(bind("EXAMPLE\\Guest", "x")).ask(bind("EXAMPLE\\Guest", " ")));
    cases.push(Case::new("domain bind: krbtgt").ask(bind("EXAMPLE\\krbtgt", "x")));
    cases
}

fn without_password() -> Vec<Case> {
    let refused = answer(1, BIND_RESPONSE, 53, "a bind with a name needs a password");
    ["alice@example.test", "EXAMPLE\\alice", ALICE_DN, "nobody@example.test"]
        .map(|name| {
            Case::new(format!("domain bind: no password, {name}")).ask(bind(name, "")).ask(who_am_i()).by_design(
                "clients take the success of such a bind for a correct password (RFC 4513, section 5.1.2)",
                &[refused.clone(), nobody(2)],
            )
        })
        .into()
}

fn several() -> Vec<Case> {
    let many = (0..5).fold(Case::new("domain bind: under five names in turn"), |case, nth| {
        let name = ["alice@example.test", "EXAMPLE\\bob", ALICE_DN, "example.test\\alice", "bob@example"][nth];
        let login = if name.contains("bob") { "bob" } else { ALICE };
        case.ask(bind(name, password(login))).ask(who_am_i())
    });
    vec![
        many,
        Case::new("domain bind: before anything, a search").ask(read(ALICE_DN)).ask(bind(ALICE_DN, password(ALICE))),
        Case::new("domain bind: and requests behind it in one packet")
            .octets(
                [
                    bind("alice@example.test", password(ALICE)).message(1),
                    Op::from(read(ALICE_DN).attributes(&["cn"])).message(2),
                    Op::from(read("").attributes(&["tokenGroups"])).message(3),
                ]
                .concat(),
            )
            .wait([1, 2, 3]),
        Case::new("domain bind: each octet in a packet of its own")
            .trickle(bind("EXAMPLE\\alice", password(ALICE)).message(1))
            .wait([1])
            .ask_as(2, who_am_i()),
    ]
}

fn challenge(frames: &[Octets]) -> Result<Octets> {
    last_part(frames, 0x87).context("no challenge")
}

fn ntlm_binds() -> Vec<Case> {
    let begun = |name: &str, mechanism: &str| Case::new(name).ask(sasl(mechanism, Some(&ntlm::negotiate())));
    let whole = |name: &str, mechanism: &'static str, hash: [u8; 16]| {
        begun(name, mechanism)
            .reply(move |frames| {
                let proof = ntlm::authenticate("lab-alice", "EXAMPLE", &hash, &challenge(frames)?)?;
                Ok(sasl(mechanism, Some(&proof)))
            })
            .ask(who_am_i())
            .ask(read("CN=alice,OU=engineering,OU=people,DC=example,DC=test"))
    };
    let mut cases = Vec::new();
    for mechanism in ["GSS-SPNEGO", "NTLM"] {
        cases.push(whole(&format!("domain sasl: NTLM within {mechanism}, no layer"), mechanism, ntlm::ALICE_HASH));
        cases.push(whole(&format!("domain sasl: NTLM within {mechanism}, wrong password"), mechanism, [7; 16]));
        cases.push(
            begun(&format!("domain sasl: NTLM within {mechanism}, given up by a simple bind"), mechanism)
                .ask(bind("alice@example.test", password(ALICE)))
                .ask(who_am_i()),
        );
    }
    for mechanism in ["GSS-SPNEGO", "GSSAPI", "NTLM"] {
        let name = format!("domain sasl: {mechanism}, nonsense");
        cases.push(Case::new(name).ask(sasl(mechanism, Some(b"nonsense"))).ask(bind("", "")).ask(who_am_i()));
    }
    // Sicily (MS-ADTS, section 5.1.1.1.3), which Samba does not have.
    cases.push(
        Case::new("domain bind: Sicily's question")
            .ask(Op::raw(tlv(0x60, [super::super::ber::int(3), super::super::ber::text(""), tlv(0x89, "")].concat()))),
    );
    cases
}
