//! curl, which logs in and searches; changing is not what it is for. Over `ldaps://` only: with StartTLS, Debian's curl sends
//! something that slapd itself does not take for TLS.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    BASE_DN, Ended, Protection, Server, Task, World, command, finish, is_the_same_through_the_gateway,
    waits_for_the_phone,
};

async fn curl(world: &World, server: &Server, uid: &str, password: &str, query: &str) -> Result<Ended> {
    let mut curl = command("curl");
    curl.args(["--disable", "--silent", "--show-error", "--ssl-reqd", "--max-time", "25"])
        .arg("--cacert")
        .arg(&server.ca);
    curl.arg("--user").arg(format!("{}:{password}", world.stage.dn(uid)));
    curl.arg(format!("{}/{query}", server.uri()));
    finish(curl, "curl").await
}

/// curl ends with 67 when the server denies the login; other clients of these tests write the result code.
fn note(seen: &mut String, what: &str, ended: &Ended) {
    let code = if ended.code == 67 { 49 } else { ended.code };
    // Writing into a String cannot fail.
    let _ = writeln!(seen, "{what} {code}\n{}{}", ended.stdout, ended.stderr);
}

async fn run(world: &World, server: &Server, uid: &str, task: Task) -> Result<String> {
    let password = format!("{uid}-secret");
    let mut seen = String::new();
    let own = format!("{}?mail?base?(objectClass=*)", world.stage.dn(uid));
    note(&mut seen, "login", &curl(world, server, uid, &password, &own).await?);
    if task == Task::Login {
        return Ok(seen);
    }
    note(&mut seen, "login", &curl(world, server, uid, "wrong", &own).await?);
    for query in ["?*,entryUUID?sub?(uid=*)", "?cn?one?", "?member?sub?(cn=admins)"] {
        note(&mut seen, "search", &curl(world, server, uid, &password, &format!("{BASE_DN}{query}")).await?);
    }
    let missing = format!("ou=nowhere,{BASE_DN}?cn?base?");
    note(&mut seen, "missing", &curl(world, server, uid, &password, &missing).await?);
    Ok(seen)
}

#[tokio::test]
async fn curl_sees_no_difference() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    let lines = [
        "login 0",
        "login 49",
        "search 0",
        "DN: uid=bob,",
        "\tmail: bob@example.com",
        "\tmember: uid=dave,",
        "missing ",
    ];
    is_the_same_through_the_gateway(&world, &[Protection::Ldaps], client, &lines).await
}

#[tokio::test]
async fn curl_waits_for_the_phone() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    waits_for_the_phone(&world, Protection::Ldaps, client).await
}
