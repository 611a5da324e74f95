//! Applications that are told by their service account, over search-then-bind.

use anyhow::{Result, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::proto::LdapSearchScope;

use crate::stage::{Setup, Stage, machine};

const WIKI: &str = "cn=wiki,ou=services,dc=example,dc=com";

/// People get in through the wiki alone.
const POLICY: &str = r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"
[[policy.settings.rules]]
name = "Through the wiki"
when = { application = ["the wiki"] }
then = "allow"
[[policy.settings.rules]]
name = "People elsewhere"
when = { kind = ["human", "unknown"] }
then = "block"
"#;

const SECTIONS: &str = r#"
[[application]]
name = "the wiki"
bind-names = ["CN=Wiki, OU=Services,dc=example,dc=com"]
"#;

async fn code(client: &mut LdapClient, dn: &str, password: &str) -> Result<i32> {
    Ok(client.bind(dn, password).await?.code as i32)
}

async fn last_application(stage: &Stage) -> Result<String> {
    let event = stage.last_access().await?;
    Ok(event["access"]["target"]["application"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_application_is_told_by_its_service_account_and_by_nobody_who_merely_names_it() -> Result<()> {
    let setup = Setup { policies: POLICY.to_owned(), sections: SECTIONS.to_owned(), ..Setup::default() };
    let stage = Stage::new(setup).await?;
    let (alice, bob, from) = (stage.dn("alice"), stage.dn("bob"), machine());

    let mut wiki = stage.client(from).await?;
    assert_eq!(code(&mut wiki, WIKI, "wiki-secret").await?, 0);
    assert_eq!(last_application(&stage).await?, "the wiki");
    let found = wiki.search("dc=example,dc=com", LdapSearchScope::Subtree, "(uid=alice)", &["cn"]).await?;
    ensure!(found.entries.len() == 1, "{found:?}");
    assert_eq!(code(&mut wiki, &alice, "alice-secret").await?, 0, "search, then bind, on one connection");
    assert_eq!(last_application(&stage).await?, "the wiki");
    assert_eq!(code(&mut wiki, &bob, "wrong").await?, 49);
    assert_eq!(last_application(&stage).await?, "the wiki");
    assert_eq!(code(&mut wiki, &bob, "bob-secret").await?, 0, "nor does a wrong password between change that");

    // Another connection from the same machine, on which the wiki has not bound.
    assert_eq!(stage.bind_from(from, "alice", "alice-secret").await?.0, 49);
    assert_eq!(last_application(&stage).await?, "wiki", "the listener's name stands for it");

    // The name alone, without the password, or with none at all, proves nothing.
    for password in ["wrong", ""] {
        let mut attacker = stage.client(from).await?;
        assert_ne!(code(&mut attacker, WIKI, password).await?, 0);
        assert_eq!(last_application(&stage).await?, "wiki");
        assert_eq!(code(&mut attacker, &alice, "alice-secret").await?, 49);
    }
    Ok(())
}

#[tokio::test]
async fn a_service_account_that_is_tied_to_a_network_shows_nothing_elsewhere() -> Result<()> {
    let sections = SECTIONS.replace("bind-names", "networks = [\"192.0.2.0/24\"]\nbind-names");
    let setup = Setup { policies: POLICY.to_owned(), sections, ..Setup::default() };
    let stage = Stage::new(setup).await?;
    let mut stolen = stage.client(machine()).await?;
    assert_eq!(code(&mut stolen, WIKI, "wiki-secret").await?, 0, "it is no person, so the policy has no objection");
    assert_eq!(last_application(&stage).await?, "wiki");
    assert_eq!(code(&mut stolen, &stage.dn("alice"), "alice-secret").await?, 49);
    Ok(())
}
