//! The scripts for OpenLDAP in the words of a Windows domain: other names, the same protocol.
//!
//! Where a request asks "Who am I?" only to see whose connection it is, a domain controller is asked for the groups of the
//! connection's own token, which begin with the account itself (MS-ADTS, section 3.1.1.3.2.29): Samba 4.17 does not know
//! the extended operation.

use portcullis_lab::samba::ADMINISTRATOR_PASSWORD;

use super::super::ber::{Found, Octets, element, int, map, with_value};
use super::super::case::Case;
use super::super::request::{Op, read, who_am_i};

/// The account that may change everything.
pub(super) const MANAGER: &str = "CN=Administrator,CN=Users,DC=example,DC=test";

pub(super) fn translated(case: Case) -> Case {
    // These are about the extended operation itself, or count on one message as its answer.
    let own = [
        "extended: who am I",
        "wire: something behind the controls",
        "wire: something that is no controls",
        "wire: an id used again once it is free",
    ];
    if own.iter().any(|name| case.name.starts_with(name)) {
        case.in_other_words(words)
    } else {
        case.in_other_words(all)
    }
}

/// Everything, and the question for the identity too.
fn all(octets: &[u8]) -> Octets {
    let identity = Op::from(read("").attributes(&["tokenGroups"])).message(0);
    let (asked, identity) = (who_am_i().message(0), &identity[..]);
    // What follows the message id 0.
    let (asked, identity) = (operation(&asked), operation(identity));
    stream(octets, &|octets, found| {
        let whole = &octets[found.start..found.value.end];
        if whole == asked { Some(identity.to_vec()) } else { None }
    })
}

fn words(octets: &[u8]) -> Octets {
    stream(octets, &|_, _| None)
}

fn operation(message: &[u8]) -> &[u8] {
    &message[2 + int(0).len()..]
}

/// What replaces an element as a whole.
type Instead<'a> = &'a dyn Fn(&[u8], &Found) -> Option<Octets>;

/// Messages that follow one another, and what is none at their end.
fn stream(octets: &[u8], instead: Instead<'_>) -> Octets {
    let (mut changed, mut at) = (Octets::new(), 0);
    while let Some(found) = element(octets, at) {
        changed.extend(part(octets, &found, instead));
        at = found.value.end;
    }
    changed.extend_from_slice(&octets[at..]);
    changed
}

fn part(octets: &[u8], found: &Found, instead: Instead<'_>) -> Octets {
    if let Some(other) = instead(octets, found) {
        return other;
    }
    let value = &octets[found.value.clone()];
    let changed = match found.tag {
        tag if tag & 0x20 != 0 => map(octets, found, |octets, found| part(octets, found, instead)),
        // The value of a control or of an extended request may be BER itself.
        0x04 | 0x81
            if element(value, 0).is_some_and(|inner| inner.tag & 0x20 != 0 && inner.value.end == value.len()) =>
        {
            Some(stream(value, instead))
        }
        // Strings: as such, the name of an entry to be deleted, and those of the context class.
        0x04 | 0x4a | 0x80..=0x8f => word(value),
        _ => None,
    };
    with_value(octets, found, changed.as_deref().unwrap_or(value))
}

/// A string that is a name or a password of the one world, in the other.
fn word(value: &[u8]) -> Option<Octets> {
    const NAMES: [(&str, &str); 4] = [
        ("cn=manager,dc=example,dc=com", MANAGER),
        ("manager-secret", ADMINISTRATOR_PASSWORD),
        ("cn=subschema", "CN=Aggregate,CN=Schema,CN=Configuration,DC=example,DC=test"),
        ("dc=com", "DC=test"),
    ];
    let text = std::str::from_utf8(value).ok()?;
    let mut changed = NAMES.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    if changed.contains("DC=test") || changed.starts_with("uid=") {
        for (from, to) in [("uid=", "CN="), ("UID = ", "CN = ")] {
            changed = changed.replace(from, to);
        }
    }
    Some(changed.into_bytes())
}

#[test]
fn names_change_wherever_they_are_and_lengths_with_them() {
    use super::super::request::{ALICE, bind, delete, extended};
    let alice = "CN=alice,ou=engineering,ou=people,dc=example,DC=test";
    assert_eq!(words(&bind(ALICE, "manager-secret").message(7)), bind(alice, ADMINISTRATOR_PASSWORD).message(7));
    assert_eq!(words(&delete(ALICE).message(7)), delete(alice).message(7));
    assert_eq!(all(&who_am_i().message(300)), Op::from(read("").attributes(&["tokenGroups"])).message(300));
    assert_eq!(words(&who_am_i().message(3)), who_am_i().message(3));
    let unknown = extended("1.2.3", Some(b"x".to_vec())).message(3);
    let two = [unknown.clone(), b"\x30\x50garbage".to_vec()].concat();
    assert_eq!(all(&two), two, "what is not to be changed stays, octet for octet");
}
