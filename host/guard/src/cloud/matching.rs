//! Which names make a cloud account and a directory account one person's.

use portcullis_core::cloud::{CloudMatch, MatchedBy};
use portcullis_core::directory::DirectoryAccount;
use portcullis_core::dn::folded_value;
use portcullis_core::source::CloudAccount;

/// An attribute that has the same value in both: a number of the personnel department, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedAttribute {
    /// Its name in the directory. The look-up has to read it.
    pub directory: String,
    /// Its name at the service.
    pub cloud: String,
}

/// How the two belong together, by what both say; none where they do not.
pub(super) fn by(
    found: &DirectoryAccount,
    cloud: &CloudAccount,
    attribute: Option<&SharedAttribute>,
) -> Option<MatchedBy> {
    let own = |name: &str| found.facts.attributes.get(&name.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
    if let Some(attribute) = attribute {
        let theirs = cloud.attributes.iter().find(|known| known.name.eq_ignore_ascii_case(&attribute.cloud));
        let theirs = theirs.map(|known| known.values.as_slice()).unwrap_or_default();
        let ours = own(&attribute.directory);
        if ours.iter().any(|value| theirs.iter().any(|other| is_same(value, other))) {
            return Some(MatchedBy::Attribute);
        }
        // Two numbers are two people, whatever their names.
        if !ours.is_empty() && !theirs.is_empty() {
            return None;
        }
    }
    let login = &cloud.login;
    if own("userPrincipalName").iter().any(|name| is_same(name, login)) || is_same(&found.account.login, login) {
        return Some(MatchedBy::Login);
    }
    let mut mails = own("mail").iter().chain(&found.account.mail);
    if mails.any(|mail| is_same(mail, login) || cloud.mail.as_ref().is_some_and(|theirs| is_same(mail, theirs))) {
        return Some(MatchedBy::Mail);
    }
    let short = login.split_once('@').map(|(short, _)| short)?;
    is_same(&found.account.login, short).then_some(MatchedBy::ShortName)
}

/// What is kept of it.
pub(super) fn matched(found: &DirectoryAccount, by: MatchedBy) -> CloudMatch {
    let account = &found.account;
    CloudMatch {
        account: account.id.clone(),
        login: account.login.clone(),
        name: account.dn.clone().unwrap_or_else(|| account.login.clone()),
        by,
    }
}

/// Names by which a service may know a directory account, the surest first.
pub(super) fn names(found: &DirectoryAccount, attribute: Option<&SharedAttribute>) -> Vec<String> {
    let own = |name: &str| found.facts.attributes.get(&name.to_lowercase()).cloned().unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    let chosen = attribute.map(|attribute| own(&attribute.directory)).unwrap_or_default();
    let all = own("userPrincipalName").into_iter().chain(found.account.mail.clone()).chain(own("mail")).chain(chosen);
    for name in all.chain([found.account.login.clone()]) {
        if !name.trim().is_empty() && !names.iter().any(|known| is_same(known, &name)) {
            names.push(name);
        }
    }
    names
}

fn is_same(one: &str, other: &str) -> bool {
    let one = folded_value(one);
    !one.is_empty() && one == folded_value(other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_core::source::Attribute;
    use portcullis_core::{Account, AccountFacts, AccountId, AccountKind};

    use super::*;

    fn alice() -> DirectoryAccount {
        let attributes = [
            ("userprincipalname", "alice@corp.example"),
            ("mail", "Alice.Adams@example.com"),
            ("employeenumber", "1001"),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
        let account = Account {
            id: AccountId::new("alice-id"),
            login: "alice".to_owned(),
            dn: Some("uid=alice,dc=example".to_owned()),
            mail: Some("Alice.Adams@example.com".to_owned()),
            kind: AccountKind::Human,
            privileged: false,
            cloud_enabled: None,
            risk: 0,
        };
        DirectoryAccount { account, facts: Arc::new(AccountFacts { attributes, ..AccountFacts::default() }) }
    }

    fn cloud(login: &str, mail: Option<&str>, number: Option<&str>) -> CloudAccount {
        let attribute = |value: &str| Attribute { name: "employeeNumber".to_owned(), values: vec![value.to_owned()] };
        CloudAccount {
            id: "00u1".to_owned(),
            login: login.to_owned(),
            mail: mail.map(str::to_owned),
            status: "ACTIVE".to_owned(),
            enabled: true,
            applications: vec![],
            factors: vec![],
            attributes: number.map(attribute).into_iter().collect(),
        }
    }

    #[test]
    fn the_surest_name_says_how() {
        let number = SharedAttribute { directory: "employeeNumber".to_owned(), cloud: "employeeNumber".to_owned() };
        let by = |cloud: &CloudAccount| by(&alice(), cloud, Some(&number));
        assert_eq!(by(&cloud("x@y.example", None, Some("1001"))), Some(MatchedBy::Attribute));
        assert_eq!(by(&cloud("ALICE@corp.example", None, None)), Some(MatchedBy::Login));
        assert_eq!(by(&cloud("x@y.example", Some("alice.adams@EXAMPLE.com"), None)), Some(MatchedBy::Mail));
        assert_eq!(by(&cloud("alice.adams@example.com", None, None)), Some(MatchedBy::Mail));
        assert_eq!(by(&cloud("alice@other.example", None, None)), Some(MatchedBy::ShortName));
        assert_eq!(by(&cloud("bob@other.example", Some(""), None)), None);
        assert_eq!(by(&cloud("alice@corp.example", None, Some("1002"))), None, "another number is another person");
    }

    #[test]
    fn a_service_is_asked_for_the_surest_name_first() {
        assert_eq!(names(&alice(), None), ["alice@corp.example", "Alice.Adams@example.com", "alice"]);
    }
}
