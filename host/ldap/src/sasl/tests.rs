use proptest::prelude::*;

use super::*;

#[path = "recorded.rs"]
mod recorded;

use recorded::{GSSAPI_ENCRYPTION, GSSAPI_NONE, NTLM_AUTHENTICATE, NTLM_NEGOTIATE, NTLM_SEAL, NTLM_UPN};

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn name(name: &str) -> Option<Claim> {
    Some(Claim::Name(name.to_owned()))
}

/// The last of several messages of one bind.
fn last(mechanism: &str, messages: &[&[u8]]) -> Step {
    messages.iter().fold(Step::default(), |earlier, message| {
        let mut step = step(mechanism, message);
        step.follow(earlier);
        step
    })
}

fn spnego(messages: &[&[u8]]) -> (Option<Claim>, Layer) {
    let step = last("GSS-SPNEGO", messages);
    (step.claim, step.layer)
}

/// An element with a short or a long length.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, value].concat()
}

fn response(token: &[u8]) -> Vec<u8> {
    tlv(0xa1, &tlv(0x30, &tlv(0xa2, &tlv(0x04, token))))
}

fn negotiate(flags: u32) -> Vec<u8> {
    [b"NTLMSSP\0\x01\0\0\0".as_slice(), &flags.to_le_bytes(), &[0; 16]].concat()
}

/// An AUTHENTICATE message with these fields.
fn authenticate(flags: u32, domain: &[u8], user: &[u8], proof: &[u8]) -> Vec<u8> {
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut payload = Vec::new();
    for field in [&[][..], proof, domain, user, &[], &[]] {
        let length = u16::try_from(field.len()).unwrap().to_le_bytes();
        let place = u32::try_from(64 + payload.len()).unwrap().to_le_bytes();
        message.extend([&length[..], &length, &place].concat());
        payload.extend_from_slice(field);
    }
    message.extend(flags.to_le_bytes());
    message.extend(payload);
    message
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

const UNICODE: u32 = 1;
const OEM: u32 = 2;

#[test]
fn names_in_the_clear_are_found() {
    let found = |mechanism: &str, credentials: &[u8]| step(mechanism, credentials).claim;
    assert_eq!(found("PLAIN", b"\0alice\0pw"), name("alice"));
    assert_eq!(found("PLAIN", b"dn:uid=b\0alice\0pw"), name("uid=b"));
    assert_eq!(found("PLAIN", b"alice"), Some(Claim::Unreadable));
    assert_eq!(found("SCRAM-SHA-256", b"n,,n=a=2Cb,r=nonce"), name("a,b"));
    assert_eq!(found("SCRAM-SHA-256", b"n,a=boss,n=alice,r=nonce"), name("boss"));
    assert_eq!(found("CRAM-MD5", b"alice cooper b913a602c7eda7a495b4e6e7334d3890"), name("alice cooper"));
    assert_eq!(found("EXTERNAL", b"u:alice"), name("alice"));
    assert_eq!(found("EXTERNAL", b""), Some(Claim::Unreadable));
    assert_eq!(found("EXTERNAL", b"alice\0bob"), Some(Claim::Unreadable));
    assert_eq!(found("ANONYMOUS", b"trace"), Some(Claim::Anonymous));
    assert_eq!(found("GSSAPI", b"n,,n=alice,r=nonce"), Some(Claim::Unreadable));
}

#[test]
fn the_last_message_of_scram_leaves_the_name_of_the_first() {
    let first = b"n,,n=alice,r=x".as_slice();
    assert_eq!(last("SCRAM-SHA-1", &[first, b"c=biws,r=xy,p=z"]).claim, name("alice"));
    assert_eq!(last("SCRAM-SHA-1", &[first, b"n,,r=x"]).claim, Some(Claim::Unreadable), "a new beginning");
}

#[test]
fn ntlm_inside_spnego_tells_who_and_whether_it_signs() {
    let negotiate = octets(NTLM_NEGOTIATE);
    assert_eq!(spnego(&[&negotiate]), (Some(Claim::Unreadable), Layer::Open));
    assert_eq!(spnego(&[&negotiate, &octets(NTLM_AUTHENTICATE)]), (name("EXAMPLE\\alice"), Layer::None));
    assert_eq!(spnego(&[&negotiate, &octets(NTLM_SEAL)]), (name("EXAMPLE\\alice"), Layer::Wanted));
    assert_eq!(spnego(&[&negotiate, &octets(NTLM_UPN)]), (name("alice@example.test"), Layer::None));
}

#[test]
fn ntlm_is_read_without_anything_around_it_too() {
    let (first, alice) =
        (negotiate(UNICODE), authenticate(UNICODE | 0x20, &utf16("EXAMPLE"), &utf16("alice"), b"proof"));
    let step = last("NTLM", &[&first, &alice]);
    assert_eq!((step.claim, step.layer), (name("EXAMPLE\\alice"), Layer::Wanted));
    assert_eq!(last("NTLM", &[b""]).layer, Layer::Open);
    assert_eq!(last("NTLM", &[b"?"]).layer, Layer::Unknown);
}

#[test]
fn only_the_last_message_of_sicily_can_bind() {
    let (first, alice) = (negotiate(UNICODE), authenticate(UNICODE, &[], &utf16("alice"), b"proof"));
    assert!(sicily(0x89, b"").unwrap().answered_by_success);
    assert!(sicily(0x8a, &first).unwrap().answered_by_success);
    let mut end = sicily(0x8b, &alice).unwrap();
    end.follow(sicily(0x8a, &first).unwrap());
    assert_eq!((end.claim, end.layer, end.answered_by_success), (name("alice"), Layer::None, false));
    for (choice, value) in [(0x89, &first), (0x8a, &alice), (0x8b, &first), (0x8a, &Vec::new()), (0x8c, &first)] {
        assert_eq!(sicily(choice, value), None, "{choice:#x} {value:02x?}");
    }
}

#[test]
fn a_check_value_leaves_what_was_said_before_it() {
    let check = tlv(0xa1, &tlv(0x30, &tlv(0xa3, &tlv(0x04, &[7; 16]))));
    let messages = [octets(NTLM_NEGOTIATE), octets(NTLM_SEAL), check];
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    assert_eq!(spnego(&messages), (name("EXAMPLE\\alice"), Layer::Wanted));
}

#[test]
fn a_new_beginning_leaves_nothing_of_the_name_before() {
    let (ntlm, name_of_alice) = (octets(NTLM_NEGOTIATE), octets(NTLM_AUTHENTICATE));
    let kerberos = [0x60, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];
    for other in [ntlm.clone(), kerberos.to_vec(), response(&kerberos), Vec::new(), b"?".to_vec()] {
        let (claim, _) = spnego(&[&ntlm, &name_of_alice, &other]);
        assert_eq!(claim, Some(Claim::Unreadable), "{other:02x?}");
    }
}

#[test]
fn each_flag_alone_asks_for_a_layer() {
    for (flags, expected) in [(0x10, Layer::Wanted), (0x20, Layer::Wanted), (0x8000, Layer::None), (0, Layer::None)] {
        let message = authenticate(UNICODE | flags, &[], &utf16("alice"), b"proof");
        assert_eq!(spnego(&[&negotiate(UNICODE), &message]), (name("alice"), expected), "{flags:#x}");
        assert_eq!(spnego(&[&negotiate(UNICODE), &response(&message)]), (name("alice"), expected), "{flags:#x}");
    }
}

#[test]
fn only_what_proves_nobody_is_anonymous() {
    let begin = negotiate(UNICODE);
    assert_eq!(spnego(&[&begin, &authenticate(UNICODE, &[], &[], &[])]).0, Some(Claim::Anonymous));
    assert_eq!(spnego(&[&begin, &authenticate(UNICODE, &utf16("EXAMPLE"), &[], &[])]).0, Some(Claim::Anonymous));
    assert_eq!(spnego(&[&begin, &authenticate(UNICODE, &[], &[], b"proof")]).0, Some(Claim::Unreadable));
}

/// A directory that reads the octets of a name in the other character set reads another name.
#[test]
fn a_name_in_two_character_sets_is_nobody_s() {
    let wide = authenticate(UNICODE, &[], &utf16("alice"), b"proof");
    let narrow = authenticate(OEM, &[], b"alice", b"proof");
    assert_eq!(spnego(&[&negotiate(UNICODE), &wide]).0, name("alice"));
    assert_eq!(spnego(&[&negotiate(OEM), &narrow]).0, name("alice"));
    assert_eq!(spnego(&[&negotiate(OEM), &wide]).0, Some(Claim::Unreadable));
    assert_eq!(spnego(&[&negotiate(UNICODE), &narrow]).0, Some(Claim::Unreadable));
    assert_eq!(spnego(&[&wide]).0, Some(Claim::Unreadable), "without a first message");
    let accented = authenticate(OEM, &[], b"\xc3\xa9", b"proof");
    assert_eq!(spnego(&[&negotiate(OEM), &accented]).0, Some(Claim::Unreadable));
}

#[test]
fn a_name_that_could_be_another_form_of_name_is_nobody_s() {
    for (domain, user) in [
        ("", "CN=Alice,DC=example"),
        ("", "EXAMPLE\\alice"),
        ("", "example.test/Users/alice"),
        ("EXAMPLE\\X", "alice"),
        ("", "alice\0"),
        ("EXAMPLE", "alice\n"),
    ] {
        let message = authenticate(UNICODE, &utf16(domain), &utf16(user), b"proof");
        assert_eq!(spnego(&[&negotiate(UNICODE), &message]).0, Some(Claim::Unreadable), "{domain:?} {user:?}");
    }
}

#[test]
fn fields_that_lie_outside_are_nobody_s_and_in_doubt() {
    let good = authenticate(UNICODE, &[], &utf16("alice"), b"proof");
    let mut into_header = good.clone();
    into_header[40..44].copy_from_slice(&12_u32.to_le_bytes());
    let mut beyond = good.clone();
    beyond[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    for bad in [into_header, beyond, good[..good.len() - 1].to_vec(), good[..60].to_vec()] {
        assert_eq!(spnego(&[&negotiate(UNICODE), &bad]), (Some(Claim::Unreadable), Layer::Unknown));
    }
    let half = authenticate(UNICODE, &[], b"abc", b"proof");
    assert_eq!(spnego(&[&negotiate(UNICODE), &half]).0, Some(Claim::Unreadable), "half a letter");
}

#[test]
fn spnego_that_two_readers_could_read_differently_is_in_doubt() {
    let token = authenticate(UNICODE, &[], &utf16("alice"), b"proof");
    let part = tlv(0xa2, &tlv(0x04, &token));
    let doubled = tlv(0xa1, &tlv(0x30, &[part.clone(), part.clone()].concat()));
    let trailing = [response(&token), vec![0x04, 0x00]].concat();
    let disordered = tlv(0xa1, &tlv(0x30, &[tlv(0xa3, &tlv(0x04, b"x")), part].concat()));
    for bad in [doubled, trailing, disordered, tlv(0xa0, &token), b"\x60\x00".to_vec()] {
        assert_eq!(spnego(&[&negotiate(UNICODE), &bad]), (Some(Claim::Unreadable), Layer::Unknown), "{bad:02x?}");
    }
}

#[test]
fn kerberos_inside_spnego_does_not_show_its_layer() {
    let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
    let request = tlv(0x60, &[&oid[..], &[0x01, 0x00, 0x6e, 0x00]].concat());
    let list = tlv(0xa0, &tlv(0x30, &oid));
    let spnego_oid = [0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
    let initial = |parts: &[u8]| tlv(0x60, &[&spnego_oid[..], &tlv(0xa0, &tlv(0x30, parts))].concat());
    let with_token = initial(&[list.clone(), tlv(0xa2, &tlv(0x04, &request))].concat());
    assert_eq!(spnego(&[&with_token]), (Some(Claim::Unreadable), Layer::Unknown));
    assert_eq!(spnego(&[&initial(&list)]), (Some(Claim::Unreadable), Layer::Open), "a list of mechanisms only");
    assert_eq!(spnego(&[&request]), (Some(Claim::Unreadable), Layer::Unknown), "without SPNEGO around it");
    assert_eq!(spnego(&[b""]), (Some(Claim::Unreadable), Layer::Open));
}

#[test]
fn the_last_message_of_gssapi_shows_the_layer_where_it_is_not_encrypted() {
    let chosen = |message: &[u8]| last("GSSAPI", &[message]).layer;
    assert_eq!(chosen(&octets(GSSAPI_NONE)), Layer::None);
    assert_eq!(chosen(&octets(GSSAPI_ENCRYPTION)), Layer::Wanted);
    let changed = |at: usize, octet: u8| {
        let mut message = octets(GSSAPI_NONE);
        message[at] = octet;
        message
    };
    assert_eq!(chosen(&changed(2, 0x06)), Layer::Unknown, "encrypted");
    assert_eq!(chosen(&changed(2, 0x05)), Layer::Unknown, "from the server");
    assert_eq!(chosen(&changed(16, 0x03)), Layer::Unknown, "two layers at once");
    assert_eq!(chosen(&changed(5, 0x0d)), Layer::Unknown, "less than four octets");
    assert_eq!(chosen(&changed(5, 0xff)), Layer::Unknown, "a check value longer than all");
    assert_eq!(chosen(&octets(GSSAPI_NONE)[..16]), Layer::Unknown, "nothing in it");
    // Turned to the right by twelve octets, as some implementations have it.
    let mut turned = changed(7, 12);
    turned[16..].rotate_right(12);
    assert_eq!(chosen(&turned), Layer::None);
    // RFC 4757, which older ciphers use.
    let old = [0x60, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x02, 0x01];
    assert_eq!(chosen(&old), Layer::Unknown);
    assert_eq!(chosen(&[&old[..13], &[0x01, 0x00]].concat()), Layer::Open, "a request for a context");
}

proptest! {
    #[test]
    fn garbage_never_panics(octets in prop::collection::vec(any::<u8>(), 0..200), which in 0..8_usize) {
        let mechanisms =
            ["PLAIN", "EXTERNAL", "CRAM-MD5", "SCRAM-SHA-1", "GSSAPI", "GSS-SPNEGO", "ANONYMOUS", "X"];
        let _ = step(mechanisms[which], &octets);
        let _ = step("GSS-SPNEGO", &[b"NTLMSSP\0\x03\0\0\0", octets.as_slice()].concat());
        let _ = step("GSS-SPNEGO", &response(&octets));
        let _ = step("GSSAPI", &[&[0x05, 0x04], octets.as_slice()].concat());
    }

    /// Whatever one octet of a recorded message is changed to: it is the recorded name, a name at its place, or none.
    #[test]
    fn a_changed_message_makes_no_panic(at in 0..440_usize, octet in any::<u8>()) {
        let mut message = octets(NTLM_AUTHENTICATE);
        let at = at % message.len();
        message[at] = octet;
        let (claim, layer) = spnego(&[&octets(NTLM_NEGOTIATE), &message]);
        prop_assert!(claim.is_some());
        prop_assert!(layer != Layer::Open || octet != octets(NTLM_AUTHENTICATE)[at]);
    }
}
