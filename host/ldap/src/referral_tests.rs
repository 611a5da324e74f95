use proptest::prelude::*;

use super::*;
use crate::frame::header;

fn referrals() -> Referrals {
    let own = ["dc1.Example.com", "dc1", "192.0.2.1", "[2001:db8::1]", "straße.example"];
    Referrals::new(own, "ldaps://gateway.example.com")
}

/// An element with a length in so many octets behind the first; 0 is the short form.
fn element(tag: u8, octets: usize, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let mut out = vec![tag];
    match octets {
        0 => out.push(length[3]),
        count => {
            out.push(0x80 | u8::try_from(count).unwrap());
            out.extend(&length[4 - count..]);
        }
    }
    out.extend_from_slice(value);
    out
}

fn urls(octets: usize, urls: &[&str]) -> Vec<u8> {
    urls.iter().flat_map(|url| element(OCTET_STRING, octets, url.as_bytes())).collect()
}

/// A message with this operation and controls behind it.
fn message(octets: usize, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    element(SEQUENCE, octets, &[&[2, 1, 7][..], operation, controls].concat())
}

fn reference(octets: usize, list: &[&str]) -> Vec<u8> {
    message(octets, &element(REFERENCE_TAG, octets, &urls(octets, list)), CONTROLS)
}

/// A result with matched DN, diagnostic message, referral and what may follow them.
fn result(octets: usize, op: u8, code: u8, list: &[&str], behind: &[u8]) -> Vec<u8> {
    let referral = element(REFERRAL_TAG, octets, &urls(octets, list));
    let parts = [
        &[ENUMERATED, 1, code][..],
        &element(OCTET_STRING, octets, b"dc=matched"),
        &element(OCTET_STRING, octets, b"see ldap://dc1/"),
        &referral,
        behind,
    ];
    message(octets, &element(0x60 | op, octets, &parts.concat()), CONTROLS)
}

const CONTROLS: &[u8] = b"\xa0\x0a\x30\x08\x04\x03\x31\x2e\x32\x04\x01\xff";

#[test]
fn own_hosts_are_told_in_every_form_of_a_url() {
    let cases = [
        ("ldap://dc1.example.com/dc=x", Some("/dc=x")),
        ("LDAPS://DC1.EXAMPLE.COM:636/ou=a%20b,dc=x??sub?(cn=%2a)", Some("/ou=a%20b,dc=x??sub?(cn=%2a)")),
        ("ldap://dc1.example.com.:389/dc=x", Some("/dc=x")),
        ("ldap://dc1:/dc=x", Some("/dc=x")),
        ("ldap://dc1", Some("")),
        ("ldap://dc1/", Some("/")),
        ("ldap://dc1?cn?sub", Some("?cn?sub")),
        ("ldap://%64c%31.example.com/dc=x", Some("/dc=x")),
        ("ldap://192.0.2.1:3268/dc=x", Some("/dc=x")),
        ("ldap://[2001:DB8:0:0::1]:389/dc=x", Some("/dc=x")),
        ("ldap://[::ffff:192.0.2.1]/dc=x", Some("/dc=x")),
        ("ldap://stra%C3%9Fe.example/dc=x", Some("/dc=x")),
        ("ldap:///dc=x", None),
        ("ldap://", None),
        ("ldap:/dc1/dc=x", None),
        ("ldapi://dc1/dc=x", None),
        ("ldapi://%2Fvar%2Frun%2Fldapi/dc=x", None),
        ("http://dc1/", None),
        ("ldap://dc10/dc=x", None),
        ("ldap://adc1/dc=x", None),
        ("ldap://dc1.example.com.evil.example/dc=x", None),
        ("ldap://dc1@evil.example/dc=x", None),
        ("ldap://evil@dc1/dc=x", None),
        ("ldap://dc1:x/dc=x", None),
        ("ldap://[2001:db8::1/dc=x", None),
        ("ldap://[2001:db8::1]x/dc=x", None),
        ("ldap://%zz/dc=x", None),
        ("ldap://dc1%00/dc=x", None),
        ("ldap://other.example/dc=dc1", None),
        ("dc1", None),
        ("", None),
    ];
    for (url, rest) in cases {
        assert_eq!(referrals().behind_own(url.as_bytes()), rest.map(str::as_bytes), "{url}");
    }
    assert_eq!(referrals().behind_own(b"ldap://\xff/"), None);
    assert_eq!(referrals().behind_own(b"ldap://dc1/\xff"), Some(&b"/\xff"[..]), "only the host has to be text");
}

#[test]
fn the_rest_of_a_message_stays_as_it_is_whatever_form_its_lengths_have() {
    let before = ["ldap://dc1/dc=a??base", "ldap://other/dc=a", "ldap://DC1.example.com:389/dc=b"];
    let after = ["ldaps://gateway.example.com/dc=a??base", "ldap://other/dc=a", "ldaps://gateway.example.com/dc=b"];
    for octets in 0..=4 {
        // The longer message does not fit a length of one octet, so there the short form becomes the long one.
        let changed = referrals().rewritten(&reference(octets, &before)).unwrap();
        if octets > 0 {
            assert_eq!(changed, reference(octets, &after), "{octets}");
        }
        assert_eq!(header(&changed).unwrap().id, 7);
        for (op, behind) in [
            (op::SEARCH_DONE, &b""[..]),
            (op::BIND_RESPONSE, b"\x87\x02ab"),
            (op::EXTENDED_RESPONSE, b"\x8a\x03\x31\x2e\x32\x8b\x01\x00"),
        ] {
            if octets > 0 {
                let changed = referrals().rewritten(&result(octets, op, 10, &before, behind)).unwrap();
                assert_eq!(changed, result(octets, op, 10, &after, behind), "{octets} {op}");
            }
        }
    }
    // Short forms that stay short.
    let short = Referrals::new(["dc1.example.com"], "ldap://g/");
    assert_eq!(
        short.rewritten(&reference(0, &["ldap://dc1.example.com/dc=a"])),
        Some(reference(0, &["ldap://g/dc=a"]))
    );
}

#[test]
fn only_referrals_are_looked_at() {
    let own = ["ldap://dc1/dc=x"];
    let concerns = |message: &[u8]| Referrals::concern(header(message).unwrap(), message);
    assert!(concerns(&reference(0, &own)) && concerns(&result(0, op::ADD_RESPONSE, 10, &own, b"")));
    assert!(!concerns(&result(0, op::ADD_RESPONSE, 0, &own, b"")));
    assert!(!concerns(&message(0, &element(0x60 | op::SEARCH_ENTRY, 0, &[ENUMERATED, 1, 10]), b"")));
    assert_eq!(referrals().rewritten(&result(0, op::ADD_RESPONSE, 0, &own, b"")), None);
    for other in [reference(0, &["ldap://other/", "ldap:///dc=x"]), reference(0, &[]), result(0, 9, 10, &[], b"")] {
        assert_eq!(referrals().rewritten(&other), None);
    }
}

#[test]
fn what_is_malformed_or_too_long_stays_as_it_is() {
    let whole = reference(2, &["ldap://dc1/dc=x"]);
    for end in 0..whole.len() {
        assert_eq!(referrals().rewritten(&whole[..end]), None, "{end}");
    }
    let strange = message(0, &element(REFERENCE_TAG, 0, &element(INTEGER, 0, b"ldap://dc1/")), b"");
    assert_eq!(referrals().rewritten(&strange), None);
    let cut = message(0, &element(REFERENCE_TAG, 0, &[&urls(0, &["ldap://dc1/"])[..], &[4, 9, b'x']].concat()), b"");
    assert_eq!(referrals().rewritten(&cut), None);
    let long = reference(4, &vec!["ldap://dc1/"; LONGEST / 12]);
    assert!(!Referrals::concern(header(&long).unwrap(), &long));
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets: Vec<u8>, inner: Vec<u8>, tag in prop::sample::select(vec![0x73_u8, 0x65, 0x61])) {
        let _ = referrals().rewritten(&octets);
        let _ = referrals().rewritten(&message(4, &element(tag, 4, &inner), &octets));
        let _ = referrals().behind_own(&octets);
    }

    #[test]
    fn what_is_changed_can_be_read_and_is_changed_but_once(
        hosts in prop::collection::vec("(dc1|DC1\\.example\\.com|other|\\[2001:db8::1\\])(:[0-9]{1,4})?(/[a-z=,%20]{0,60})?", 1..8),
        octets in 1..5_usize,
        code in prop::bool::ANY,
    ) {
        let list: Vec<String> = hosts.iter().map(|host| format!("ldap://{host}")).collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let octets = octets.max(2);
        let before = if code { result(octets, op::SEARCH_DONE, 10, &list, b"") } else { reference(octets, &list) };
        let changed = referrals().rewritten(&before);
        prop_assert_eq!(changed.is_some(), hosts.iter().any(|host| !host.starts_with("other")));
        if let Some(changed) = changed {
            prop_assert_eq!(header(&changed), header(&before));
            prop_assert!(ber::check(&changed).is_ok());
            prop_assert_eq!(referrals().rewritten(&changed), None);
        }
    }
}
