//! What a policy may ask about the account beyond what the access says.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};

use portcullis_core::AccountFacts;

/// Facts of one account, for one evaluation.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    facts: Arc<AccountFacts>,
    groups: Arc<Groups>,
}

/// The account's groups as they are compared, by DN and by name; each prepared when it is first asked for.
#[derive(Debug, Default)]
struct Groups {
    dns: OnceLock<HashSet<String>>,
    names: OnceLock<HashSet<String>>,
}

thread_local! {
    /// What was prepared last, and of whom: the policies of a list are asked about the same account one after the other.
    static LATEST: RefCell<(Weak<AccountFacts>, Arc<Groups>)> = RefCell::default();
}

impl Facts {
    pub(crate) fn new(facts: Arc<AccountFacts>) -> Self {
        let groups = LATEST.with_borrow_mut(|(whose, groups)| {
            // As long as there is a weak reference, its place in memory is nobody else's, and what stands there is not changed.
            if !std::ptr::eq(whose.as_ptr(), Arc::as_ptr(&facts)) {
                *whose = Arc::downgrade(&facts);
                *groups = Arc::default();
            }
            Arc::clone(groups)
        });
        Self { facts, groups }
    }

    /// Whether the account is in the group. A text with an unescaped `=` is a DN and is compared with DNs alone: otherwise
    /// whoever may name a group could name it like another group's DN.
    pub(crate) fn member_of(&self, group: &str) -> bool {
        let of = &self.facts.groups;
        if is_dn(group) {
            let dns = self.groups.dns.get_or_init(|| of.iter().map(|group| normalise_dn(&group.dn)).collect());
            dns.contains(&normalise_dn(group))
        } else {
            let names = self.groups.names.get_or_init(|| of.iter().map(|group| normalise_name(&group.name)).collect());
            names.contains(&normalise_name(group))
        }
    }

    pub(crate) fn groups(&self) -> Vec<String> {
        self.facts.groups.iter().map(|group| group.dn.clone()).collect()
    }

    pub(crate) fn units(&self) -> Vec<String> {
        self.facts.units.clone()
    }

    pub(crate) fn attribute(&self, name: &str) -> Vec<String> {
        self.facts.attributes.get(&name.to_lowercase()).cloned().unwrap_or_default()
    }
}

fn normalise_name(name: &str) -> String {
    name.trim().to_lowercase()
}

fn is_dn(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '=' => return true,
            _ => {}
        }
    }
    false
}

/// A DN (RFC 4514) in a form that is equal for DNs that differ in case, in blanks around `,`, `+` and `=`, or in the way
/// that a character is escaped (`\,` or `\2C`).
fn normalise_dn(dn: &str) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(dn.len());
    // Where blanks end that must stay, because they are escaped or something follows them.
    let mut firm = 0;
    let mut bytes = dn.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let Some(first) = bytes.next() else { break };
                let escaped = match (hex(first), bytes.peek().copied().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        bytes.next();
                        high.wrapping_mul(16).wrapping_add(low)
                    }
                    _ => first,
                };
                if escaped.is_ascii_punctuation() || escaped == b' ' {
                    out.push(b'\\');
                }
                out.push(escaped);
                firm = out.len();
            }
            b',' | b'+' | b'=' => {
                out.truncate(firm);
                out.push(byte);
                firm = out.len();
                while bytes.next_if_eq(&b' ').is_some() {}
            }
            b' ' if out.is_empty() => {}
            b' ' => out.push(byte),
            other => {
                out.push(other);
                firm = out.len();
            }
        }
    }
    out.truncate(firm);
    out.make_ascii_lowercase();
    match String::from_utf8(out) {
        Ok(ascii) if ascii.is_ascii() => ascii,
        Ok(text) => text.to_lowercase(),
        Err(error) => String::from_utf8_lossy(error.as_bytes()).to_lowercase(),
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_core::{AccountFacts, Group};

    use super::{Facts, normalise_dn};

    fn member_of(dn: &str, name: &str) -> Facts {
        Facts::new(Arc::new(AccountFacts {
            groups: vec![Group { dn: dn.into(), name: name.into() }],
            units: vec!["Sales".into()],
            attributes: [("department".into(), vec!["R&D".into()])].into(),
        }))
    }

    #[test]
    fn a_group_is_found_by_dn_whatever_its_case_blanks_and_escapes() {
        let facts = member_of("CN=Sales\\, EMEA,OU=Groups,DC=Example,DC=org", "Sales, EMEA");
        assert!(facts.member_of("cn=sales\\2C emea, ou = groups ,dc=example, dc=ORG"));
        assert!(facts.member_of(" sales, emea "));
        assert!(!facts.member_of("cn=sales,ou=groups,dc=example,dc=org"));
        assert!(!facts.member_of("cn=sales, emea,ou=groups,dc=example,dc=org"));
    }

    #[test]
    fn a_group_named_like_another_groups_dn_is_not_that_group() {
        let facts = member_of("cn=cn\\=admins\\,dc\\=example,ou=mine,dc=example", "cn=admins,dc=example");
        assert!(!facts.member_of("cn=admins,dc=example"));
    }

    #[test]
    fn what_was_prepared_of_one_account_is_of_no_other() {
        let (one, other) = (member_of("cn=a,dc=x", "a"), member_of("cn=b,dc=x", "b"));
        for _ in 0..3 {
            let (one, other) = (Facts::new(Arc::clone(&one.facts)), Facts::new(Arc::clone(&other.facts)));
            assert!(one.member_of("CN=a,dc=x") && one.member_of("A") && !one.member_of("cn=b,dc=x"));
            assert!(other.member_of("CN=b,dc=x") && other.member_of("B") && !other.member_of("cn=a,dc=x"));
        }
        // Also not where its place in memory is free again.
        for number in 0..1_000 {
            let name = format!("cn=g{number},dc=x");
            let facts = member_of(&name, "g");
            assert!(facts.member_of(&name) && !facts.member_of(&format!("cn=g{},dc=x", number + 1)));
        }
    }

    #[test]
    fn escaped_blanks_count_and_others_around_separators_do_not() {
        assert_eq!(normalise_dn(" cn = a b , dc = c "), "cn=a b,dc=c");
        assert_ne!(normalise_dn("cn=a\\ ,dc=c"), normalise_dn("cn=a,dc=c"));
        assert_eq!(normalise_dn("cn=J\\c3\\bcrgen,dc=c"), normalise_dn("CN=Jürgen,DC=c"));
        assert_eq!(normalise_dn("cn=x\\"), "cn=x");
    }

    #[test]
    fn attribute_names_are_compared_without_case() {
        let facts = member_of("cn=a", "a");
        assert_eq!(facts.attribute("Department"), ["R&D"]);
        assert!(facts.attribute("title").is_empty());
        assert_eq!(facts.units(), ["Sales"]);
    }
}
