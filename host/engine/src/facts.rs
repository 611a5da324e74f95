//! What a policy may ask about the account beyond what the access says.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};

use portcullis_core::AccountFacts;
use portcullis_core::dn::{Dn, folded_value};

/// Facts of one account, for one evaluation.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    facts: Arc<AccountFacts>,
    groups: Arc<Groups>,
}

/// The account's groups as they are compared, by DN and by name; each prepared when it is first asked for.
#[derive(Debug, Default)]
struct Groups {
    dns: OnceLock<HashSet<Dn>>,
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
            let dns = self.groups.dns.get_or_init(|| of.iter().filter_map(|group| Dn::exact(&group.dn)).collect());
            Dn::exact(group).is_some_and(|group| dns.contains(&group))
        } else {
            let names = self.groups.names.get_or_init(|| of.iter().map(|group| folded_value(&group.name)).collect());
            names.contains(&folded_value(group))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_core::{AccountFacts, Group};

    use super::Facts;

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
        assert!(facts.member_of("2.5.4.3=\"Sales, EMEA\",organizationalUnitName=Groups,dc=example,dc=org"));
        assert!(facts.member_of(" sales, emea "));
        assert!(!facts.member_of("cn=sales,ou=groups,dc=example,dc=org"));
        assert!(!facts.member_of("cn=sales, emea,ou=groups,dc=example,dc=org"));
        assert!(!facts.member_of("cn=sáles\\, emea,ou=groups,dc=example,dc=org"), "another group to some directories");
        assert!(member_of("cn=a\\3Db,dc=x", "a=b").member_of("cn=a=b,dc=x"));
        assert!(member_of("CN=Jürgen,DC=c", "J").member_of("cn=J\\c3\\bcrgen,dc=c"));
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
    fn attribute_names_are_compared_without_case() {
        let facts = member_of("cn=a", "a");
        assert_eq!(facts.attribute("Department"), ["R&D"]);
        assert!(facts.attribute("title").is_empty());
        assert_eq!(facts.units(), ["Sales"]);
    }
}
