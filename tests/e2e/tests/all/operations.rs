//! Policies on other operations than binds: a search for service principals, a change of a privileged group and a change of a
//! password are held until the person has answered; only then the directory gets them.

use std::sync::Arc;

use anyhow::{Result, ensure};
use portcullis_lab::company::group_dn;
use portcullis_lab::okta::OktaOptions;
use portcullis_lab::slapd::{Extras, MANAGER_DN, MANAGER_PASSWORD};
use portcullis_lab::tools::{ToolOutput, Tools};

use crate::stage::{Setup, Stage};

const ALICE: &str = "alice@example.com";
const POLICIES: &str = r#"
[[policy]]
name = "operations"
plugin = "rules.wasm"

[[policy.settings.rules]]
name = "Service principals are listed"
operations = ["search"]
when = { signal = ["spn-enumeration"] }
then = { challenge = { connector = "okta-verify" } }

[[policy.settings.rules]]
name = "A privileged group is changed"
operations = ["modify"]
when = { entry-under = ["cn=admins,ou=groups,dc=example,dc=com"], attributes = ["member"] }
then = { challenge = { connector = "okta-verify" } }

[[policy.settings.rules]]
name = "A password is changed"
operations = ["password-change"]
then = { challenge = { connector = "okta-verify" } }
"#;

/// The same without a rule about passwords.
const GROUPS: &str = r#"
[[policy]]
name = "groups"
plugin = "rules.wasm"

[[policy.settings.rules]]
name = "A privileged group is changed"
operations = ["modify"]
when = { entry-under = ["cn=admins,ou=groups,dc=example,dc=com"], attributes = ["member"] }
then = { challenge = { connector = "okta-verify" } }
"#;

/// The directory lets alice do all of it: what stands in the way is the policy alone.
async fn stage(policies: &str) -> Result<Arc<Stage>> {
    let alice = portcullis_lab::company::Company::generate().person("alice")?.dn.clone();
    let database = format!("access to dn.exact=\"{}\" by dn.exact=\"{alice}\" write by * break\n", group_dn("admins"));
    let extras = Extras { database, ..Extras::default() };
    let okta = OktaOptions { rate_limit: 1_000_000, ..OktaOptions::default() };
    Ok(Arc::new(Stage::new(Setup { policies: policies.to_owned(), extras, okta, ..Setup::default() }).await?))
}

/// What the phone says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Yes,
    No,
}

/// Runs one of OpenLDAP's programs as alice; her phone rings once for it, and before it has answered nothing has come of it.
async fn asked(stage: &Arc<Stage>, says: Says, password: &str, program: &str, args: &[&str]) -> Result<ToolOutput> {
    let before = stage.okta.pushes_started(ALICE)?;
    let tools = stage.tools("alice", password);
    let (program, args) = (program.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    let running = tokio::spawn(async move {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        tools.run(&program, &args).await
    });
    stage.wait_for_pushes(ALICE, before + 1).await?;
    ensure!(!running.is_finished(), "it did not wait");
    match says {
        Says::Yes => stage.okta.approve(ALICE)?,
        Says::No => stage.okta.reject(ALICE)?,
    };
    running.await?
}

/// What the directory itself has.
async fn is_admin(stage: &Stage, dn: &str) -> Result<bool> {
    let manager = Tools::new(stage.slapd.uri()).bind(MANAGER_DN, MANAGER_PASSWORD);
    let found = manager.search(&group_dn("admins"), "base", "(objectClass=*)", &["member"]).await?;
    ensure!(found.code == 0, "{found:?}");
    Ok(found.stdout.contains(dn))
}

#[tokio::test]
async fn a_search_for_service_principals_is_held() -> Result<()> {
    let stage = stage(POLICIES).await?;
    let search = ["-LLL", "-b", "dc=example,dc=com", "(servicePrincipalName=*)", "cn"];
    let refused = asked(&stage, Says::No, "alice-secret", "ldapsearch", &search).await?;
    assert_eq!(refused.code, 50, "{refused:?}");
    let found = asked(&stage, Says::Yes, "alice-secret", "ldapsearch", &search).await?;
    assert_eq!(found.code, 0, "{found:?}");
    let plain = stage.tools("alice", "alice-secret").search("dc=example,dc=com", "sub", "(uid=bob)", &["cn"]).await?;
    assert_eq!(plain.code, 0, "{plain:?}");
    assert!(plain.stdout.contains("cn: "), "another search is nobody's business: {plain:?}");
    assert_eq!(stage.okta.pushes_started(ALICE)?, 2);
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_privileged_group_reaches_the_directory_after_the_answer() -> Result<()> {
    let stage = stage(POLICIES).await?;
    let (bob, file) = (stage.dn("bob"), stage.folder.path().join("change.ldif"));
    let change = format!("dn: {}\nchangetype: modify\nadd: member\nmember: {bob}\n", group_dn("admins"));
    std::fs::write(&file, change)?;
    let arguments = ["-f", file.to_str().expect("a temporary folder is text")];

    let refused = asked(&stage, Says::No, "alice-secret", "ldapmodify", &arguments).await?;
    assert_eq!(refused.code, 50, "{refused:?}");
    assert!(!is_admin(&stage, &bob).await?, "a refused change has not reached the directory");

    let done = asked(&stage, Says::Yes, "alice-secret", "ldapmodify", &arguments).await?;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(is_admin(&stage, &bob).await?);
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_privileged_group_is_found_in_every_dress() -> Result<()> {
    let stage = stage(GROUPS).await?;
    let file = stage.folder.path().join("change.ldif");
    let arguments = ["-f", file.to_str().expect("a temporary folder is text")];
    let group = group_dn("admins");
    let odd = group.replacen("cn=", "2.5.4.3=", 1).replacen("admins", "\\41DMINS", 1);
    for (number, (entry, attribute, besides)) in [
        // A change of a password besides, of one that is not there.
        (&group, "member", "-\nreplace: userPassword\n"),
        (&group, "2.5.4.31", ""),
        (&odd, "2.5.4.31", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let who = format!("uid=somebody-{number},ou=people,dc=example,dc=com");
        let change = format!("dn: {entry}\nchangetype: modify\nadd: {attribute}\n{attribute}: {who}\n{besides}");
        std::fs::write(&file, change)?;
        let refused = asked(&stage, Says::No, "alice-secret", "ldapmodify", &arguments).await?;
        assert_eq!(refused.code, 50, "{entry} {attribute} {besides}: {refused:?}");
        assert!(!is_admin(&stage, &who).await?, "{entry} {attribute} {besides}");
        let done = asked(&stage, Says::Yes, "alice-secret", "ldapmodify", &arguments).await?;
        assert_eq!(done.code, 0, "{entry} {attribute} {besides}: {done:?}");
        assert!(is_admin(&stage, &who).await?, "{entry} {attribute} {besides}");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_password_is_held() -> Result<()> {
    let stage = stage(POLICIES).await?;
    let change = ["-a", "alice-secret", "-s", "alice-new"];
    let refused = asked(&stage, Says::No, "alice-secret", "ldappasswd", &change).await?;
    // This program ends with 1 and prints the server's code.
    assert!(refused.code != 0 && refused.stdout.contains("Insufficient access (50)"), "{refused:?}");
    assert_eq!(stage.tools("alice", "alice-new").whoami().await?.code, 49, "the old password is still the one");

    let done = asked(&stage, Says::Yes, "alice-secret", "ldappasswd", &change).await?;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(stage.tools("alice", "alice-new").whoami().await?.code, 0);
    Ok(())
}
