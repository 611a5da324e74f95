//! Changes of groups of a real OpenLDAP server.

use std::collections::HashSet;

use ldap3::Mod;
use portcullis_core::demotion::{GroupError, Groups as _, Membership};

use super::tests::Slapd;
use super::*;

const PRINT: &str = "cn=Print,ou=Services,dc=example";

fn members(lookup: &Lookup, vital: &[&str]) -> Members {
    let vital = vital.iter().map(|group| (*group).to_owned()).collect();
    Members::new(lookup, "cn=reader,dc=example".to_owned(), Secret::new("secret"), vital)
}

async fn id(lookup: &Lookup, name: &str) -> AccountId {
    lookup.find(name).await.unwrap().unwrap().account.id
}

async fn groups(lookup: &Lookup) -> Vec<String> {
    let found = lookup.find("alice").await.unwrap().unwrap();
    found.facts.groups.iter().map(|group| group.name.clone()).collect()
}

async fn add(lookup: &Lookup, entry: &str, attribute: &str, value: &str) {
    let change = Mod::Add(attribute.to_owned(), HashSet::from([value.to_owned()]));
    assert_eq!(lookup.0.link.modify(entry, change).await.unwrap().rc, 0, "{entry} {attribute} {value}");
}

fn why(outcome: Result<Membership, GroupError>) -> String {
    match outcome {
        Err(GroupError::Refused(why) | GroupError::NoPlace(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn an_account_leaves_a_group_and_comes_back() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    let members = members(&lookup, &[]);
    members.check().await.unwrap();
    let alice = id(&lookup, "alice").await;
    for (named, attribute, left) in
        [("INNER", "member", &["posix"] as &[_]), ("cn=Posix, dc=Example", "memberUid", &["Admins", "inner", "outer"])]
    {
        let place = members.membership(named, &alice).await.unwrap();
        assert_eq!(place.attribute, attribute);
        assert_eq!(groups(&lookup).await, ["Admins", "inner", "outer", "posix"]);
        members.leave(&place, &alice).await.unwrap();
        assert_eq!(groups(&lookup).await, left, "the look-up remembers nothing of before");
        assert_eq!(members.membership(named, &alice).await, Err(GroupError::NotMember(place.group.clone())));
        members.leave(&place, &alice).await.expect("out is out");
        members.join(&place, &alice).await.unwrap();
        members.join(&place, &alice).await.expect("in is in");
        assert_eq!(members.membership(named, &alice).await, Ok(place));
    }
}

#[tokio::test]
async fn what_must_not_be_done_is_refused_with_the_reason() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    let changing = members(&lookup, &["posix", "CN=inner,dc=example"]);
    changing.check().await.unwrap();
    let alice = id(&lookup, "alice").await;
    assert!(why(changing.membership("nobody", &alice).await).contains("no group \"nobody\""));
    assert!(why(changing.membership("cn=nobody,dc=example", &alice).await).contains("no group"));
    assert!(why(changing.membership("Admins", &alice).await).contains("only through another group"));
    assert!(why(changing.membership("posix", &alice).await).contains("last account"));
    let gone = AccountId::new("00000000-0000-0000-0000-000000000000");
    assert!(why(changing.membership("inner", &gone).await).contains("not in the directory any more"));
    // Beside alice there is nothing but another group.
    assert!(why(changing.membership("inner", &alice).await).contains("last account"));
    let print = id(&lookup, PRINT).await;
    let place =
        Membership { group: "cn=inner,dc=example".to_owned(), attribute: "member".to_owned(), value: PRINT.to_owned() };
    changing.join(&place, &print).await.unwrap();
    assert_eq!(changing.membership("inner", &alice).await.unwrap().group, "cn=inner,dc=example");
    let missing = members(&lookup, &["nobody"]).check().await;
    assert!(matches!(&missing, Err(GroupError::NoPlace(why)) if why.contains("no group")), "{missing:?}");
}

#[tokio::test]
async fn who_would_stay_in_it_in_another_way_is_refused() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    let members = members(&lookup, &[]);
    let alice = id(&lookup, "alice").await;
    let entry = lookup.find("alice").await.unwrap().unwrap().account.dn.unwrap();
    add(&lookup, "cn=Admins,dc=example", "uniqueMember", &entry).await;
    assert!(why(members.membership("Admins", &alice).await).contains("also through another group"));

    add(&lookup, "cn=inner,dc=example", "objectClass", "extensibleObject").await;
    add(&lookup, "cn=inner,dc=example", "memberUid", "alice").await;
    assert!(why(members.membership("inner", &alice).await).contains("by member and by memberUid"));

    add(&lookup, &entry, "objectClass", "extensibleObject").await;
    add(&lookup, &entry, "gidNumber", "100").await;
    assert!(why(members.membership("posix", &alice).await).contains("also through another group, or by its primary"));
    let place = Membership {
        group: "cn=posix,dc=example".to_owned(),
        attribute: "memberUid".to_owned(),
        value: "alice".to_owned(),
    };
    members.leave(&place, &alice).await.unwrap();
    assert!(why(members.membership("posix", &alice).await).contains("only through another group, or by its primary"));
}

#[tokio::test]
async fn a_vital_group_above_keeps_an_account() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    let changing = members(&lookup, &["outer"]);
    let alice = id(&lookup, "alice").await;
    assert!(why(changing.membership("inner", &alice).await).contains("last account in cn=outer,dc=example"));
    add(&lookup, "cn=inner,dc=example", "member", PRINT).await;
    assert_eq!(changing.membership("inner", &alice).await.unwrap().attribute, "member");

    // Another name of hers is nobody else.
    let posix = members(&lookup, &["posix"]);
    add(&lookup, "cn=posix,dc=example", "objectClass", "extensibleObject").await;
    let entry = lookup.find("alice").await.unwrap().unwrap().account.dn.unwrap();
    add(&lookup, &entry, "uid", "alice2").await;
    add(&lookup, "cn=posix,dc=example", "memberUid", "alice2").await;
    assert!(why(posix.membership("posix", &alice).await).contains("last account"));
}

#[tokio::test]
async fn a_value_that_is_not_there_any_more_is_no_proof_that_the_account_is_out() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    let members = members(&lookup, &[]);
    let alice = id(&lookup, "alice").await;
    let place = members.membership("inner", &alice).await.unwrap();
    let before = Membership { value: "cn=Al,ou=People,dc=example".to_owned(), ..place };
    assert!(matches!(members.leave(&before, &alice).await, Err(GroupError::Unreachable(_))));
    assert_eq!(groups(&lookup).await, ["Admins", "inner", "outer", "posix"]);
}

#[tokio::test]
async fn rights_that_are_missing_and_own_accounts_are_named() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    let (alice, print) = (id(&lookup, "alice").await, id(&lookup, PRINT).await);
    let secret = Secret::new("print-secret");
    let reading = Members::new(&lookup, "CN=print, OU=services, dc=example".to_owned(), secret, Vec::new());
    let place = reading.membership("inner", &alice).await.unwrap();
    let refused = reading.leave(&place, &alice).await;
    assert!(matches!(&refused, Err(GroupError::Refused(why)) if why.contains("result 50")), "{refused:?}");
    assert_eq!(groups(&lookup).await, ["Admins", "inner", "outer", "posix"]);
    assert!(why(reading.membership("inner", &print).await).contains("the gateway's own"));
    assert!(why(reading.membership("posix", &alice).await).contains("may not read its members"));
    let wrong = Members::new(&lookup, PRINT.to_owned(), Secret::new("wrong"), Vec::new());
    assert!(matches!(wrong.membership("inner", &alice).await, Err(GroupError::Unreachable(_))));
    drop(slapd);
    assert!(matches!(reading.membership("inner", &alice).await, Err(GroupError::Unreachable(_))));
}
