//! A client that follows referrals, before a real slapd.

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::slapd::{MANAGER_DN, MANAGER_PASSWORD};
use portcullis_lab::tools::{ToolOutput, Tools};

use crate::stage::{PATIENCE, Setup, Stage};

/// Each read is an event of its own, so that it shows whether a client came back to the gateway for the schema.
const RECORD_ALL: &str = "[events]\naudit = \"full\"\n";

/// A place in the tree that slapd says is to be found on slapd itself, where everybody may read it.
async fn stage(rewrite: bool) -> Result<Stage> {
    let setup = Setup { policies: String::new(), sections: RECORD_ALL.to_owned(), ..Setup::default() };
    let mut stage = Stage::without_gateway(setup).await?;
    if rewrite {
        let text = std::fs::read_to_string(stage.config_file())?;
        let option = format!("address = \"{0}\"\nrewrite-referrals = \"ldap://{0}\"", stage.ldap);
        std::fs::write(stage.config_file(), text.replacen(&format!("address = \"{}\"", stage.ldap), &option, 1))?;
    }
    let file = stage.folder.path().join("referral.ldif");
    let entry =
        "dn: ou=elsewhere,dc=example,dc=com\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere";
    std::fs::write(
        &file,
        format!("{entry}\nref: {}/cn=subschema\nref: ldap://other.invalid/dc=x\n", stage.slapd.uri()),
    )?;
    let manager = Tools::new(stage.slapd.uri()).bind(MANAGER_DN, MANAGER_PASSWORD).timeout(PATIENCE);
    let added = manager.run("ldapadd", &["-M", "-f", &file.display().to_string()]).await?;
    ensure!(added.code == 0, "{}", added.stderr);
    stage.start().await?;
    Ok(stage)
}

/// The searches for the schema that the gateway has seen.
async fn seen(stage: &Stage) -> Result<usize> {
    let accesses = stage.accesses().await?;
    let entry = |event: &serde_json::Value| event["access"]["target"]["entry"] == "cn=subschema";
    Ok(accesses.iter().filter(|event| entry(event)).count())
}

async fn search(tools: &Tools, options: &[&str], base: &str, scope: &str) -> Result<ToolOutput> {
    tools.search_with(options, base, scope, "(objectClass=*)", &["cn"]).await
}

#[tokio::test]
async fn a_client_that_follows_referrals_comes_back_to_the_gateway() -> Result<()> {
    let stage = stage(true).await?;
    let tools = stage.tools("alice", "alice-secret");
    let (gateway, slapd) = (format!("ldap://{}/cn=subschema", stage.ldap), stage.slapd.uri());

    // A continuation reference, shown, and followed.
    let shown = search(&tools, &[], "dc=example,dc=com", "one").await?;
    ensure!(shown.stdout.contains(&gateway) && !shown.stdout.contains(&slapd), "{}", shown.stdout);
    ensure!(shown.stdout.contains("ldap://other.invalid/dc=x"), "others stay: {}", shown.stdout);
    let direct = Tools::new(slapd.clone()).bind(stage.dn("alice"), "alice-secret").timeout(PATIENCE);
    let there = search(&direct, &[], "dc=example,dc=com", "one").await?;
    assert_eq!(shown.stdout.replace(&gateway, &format!("{slapd}/cn=subschema")), there.stdout, "nothing else differs");
    assert_eq!(seen(&stage).await?, 0);
    let followed = search(&tools, &["-C"], "dc=example,dc=com", "one").await?;
    ensure!(followed.stdout.contains("dn: cn=Subschema"), "{}\n{}", followed.stdout, followed.stderr);
    assert_eq!(seen(&stage).await?, 1, "it came back");

    // A referral in a result.
    let shown = search(&tools, &[], "ou=elsewhere,dc=example,dc=com", "base").await?;
    assert_eq!(shown.code, 10, "{}", shown.stderr);
    ensure!(shown.stderr.contains(&gateway) && !shown.stderr.contains(&slapd), "{}", shown.stderr);
    let followed = search(&tools, &["-C"], "ou=elsewhere,dc=example,dc=com", "base").await?;
    ensure!(followed.code == 0 && followed.stdout.contains("dn: cn=Subschema"), "{}", followed.stderr);
    assert_eq!(seen(&stage).await?, 2);
    Ok(())
}

#[tokio::test]
async fn without_the_setting_a_client_that_follows_referrals_goes_past_the_gateway() -> Result<()> {
    let stage = stage(false).await?;
    let tools = stage.tools("alice", "alice-secret");
    let followed = search(&tools, &["-C"], "dc=example,dc=com", "one").await?;
    let line = followed.stdout.lines().find(|line| line.contains("Subschema"));
    line.with_context(|| format!("{}\n{}", followed.stdout, followed.stderr))?;
    assert_eq!(seen(&stage).await?, 0);
    Ok(())
}
