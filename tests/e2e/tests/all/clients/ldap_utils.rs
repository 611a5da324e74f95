//! OpenLDAP's command line clients (`ldap-utils`).

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use portcullis_lab::tools::{ToolOutput, Tools};

use super::{
    BASE_DN, BOTH, PATIENCE, Protection, Server, Task, World, is_the_same_through_the_gateway, waits_for_the_phone,
};

/// `replace` and `delete` in LDIF (RFC 2849), in files of the tests' own.
fn ldif(world: &World, dn: &str, change: &str) -> Result<String> {
    let file = world.stage.folder.path().join("change.ldif");
    std::fs::write(&file, format!("dn: {dn}\nchangetype: modify\n{change}\n"))?;
    Ok(file.display().to_string())
}

fn tools(world: &World, server: &Server, uid: &str, password: &str) -> Tools {
    let tools = Tools::new(server.uri()).trust(&server.ca).bind(world.stage.dn(uid), password).timeout(PATIENCE);
    if server.protection == Protection::StartTls { tools.start_tls() } else { tools }
}

/// One line for the outcome and what the client wrote.
fn note(seen: &mut String, what: &str, ended: &ToolOutput) {
    // Writing into a String cannot fail.
    let _ = writeln!(seen, "{what} {}\n{}{}", ended.code, ended.stdout, ended.stderr);
}

async fn run(world: &World, server: &Server, uid: &str, task: Task) -> Result<String> {
    let password = format!("{uid}-secret");
    let tools_of = |password: &str| tools(world, server, uid, password);
    let mut seen = String::new();
    note(&mut seen, "login", &tools_of(&password).whoami().await?);
    if task == Task::Login {
        return Ok(seen);
    }
    let tools = tools_of(&password);
    note(&mut seen, "login", &tools_of("wrong").whoami().await?);
    // Operational attributes too, but for those of time, which the client itself changes.
    let attributes = ["*", "entryUUID", "structuralObjectClass", "entryDN", "subschemaSubentry", "hasSubordinates"];
    let paged = tools.search_with(&["-E", "pr=50/noprompt"], BASE_DN, "sub", "(uid=*)", &attributes).await?;
    ensure!(paged.stdout.matches("dn: uid=").count() == 200, "not everybody was found: {}", paged.stderr);
    note(&mut seen, "search", &paged);

    let (own, other) = (world.stage.dn(uid), world.stage.dn("carol"));
    let number = "replace: telephoneNumber\ntelephoneNumber: +1 555 0100";
    for (what, dn, change) in
        [("change", &own, number), ("change other", &other, number), ("change back", &own, "delete: telephoneNumber")]
    {
        note(&mut seen, what, &tools.run("ldapmodify", &["-f", &ldif(world, dn, change)?]).await?);
        let read = tools.search(dn, "base", "(objectClass=*)", &["telephoneNumber"]).await?;
        note(&mut seen, "read", &read);
    }
    note(&mut seen, "compare", &tools.compare(&own, &format!("uid:{uid}")).await?);
    note(&mut seen, "rename other", &tools.run("ldapmodrdn", &[&other, "uid=caroline"]).await?);
    note(&mut seen, "delete other", &tools.run("ldapdelete", &[&other]).await?);

    let new = "new, schön";
    note(&mut seen, "password", &tools.run("ldappasswd", &["-a", &password, "-s", new]).await?);
    note(&mut seen, "old login", &tools.whoami().await?);
    note(&mut seen, "new login", &tools_of(new).whoami().await?);
    note(&mut seen, "password back", &tools_of(new).run("ldappasswd", &["-a", new, "-s", &password]).await?);
    note(&mut seen, "login", &tools.whoami().await?);
    Ok(seen)
}

#[tokio::test]
async fn ldap_utils_see_no_difference() -> Result<()> {
    let world = World::new().await?;
    let lines = [
        "login 0",
        "login 49",
        "search 0",
        "change 0",
        "telephoneNumber: +1 555 0100",
        "change other 50",
        "change back 0",
        "compare 6",
        "rename other 50",
        "delete other 50",
        "password 0",
        "old login 49",
        "new login 0",
        "password back 0",
    ];
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    is_the_same_through_the_gateway(&world, BOTH, client, &lines).await?;

    let events = world.stage.accesses().await?;
    for (operation, count) in [("modify", 3), ("rename", 1), ("delete", 1), ("password-change", 2)] {
        let is_one = |event: &&serde_json::Value| {
            let seen = &event["access"]["operation"];
            seen == operation || seen.get(operation).is_some()
        };
        let found: Vec<_> = events.iter().filter(is_one).collect();
        assert_eq!(found.len(), count * BOTH.len(), "{operation}: {found:?}");
        assert!(found.iter().all(|event| event["access"]["account"]["login"] == "alice"), "{operation}: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn ldap_utils_wait_for_the_phone() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    waits_for_the_phone(&world, Protection::StartTls, client).await
}
