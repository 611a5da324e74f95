//! A policy from beginning to end: an unusual machine is asked for a code; whoever gives it is let in and leaves no incident;
//! whoever does not is an incident, and the second time taken out of a group, until the incident is answered and somebody
//! puts the account back.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use portcullis_lab::company::group_dn;
use portcullis_lab::samba::{ADMINISTRATOR_PASSWORD, BOB, SERVICE, Samba, password};
use portcullis_lab::slapd::{MANAGER_DN, MANAGER_PASSWORD};
use portcullis_lab::tools::Tools;
use serde_json::Value;

use crate::codes::{Page, wrong};
use crate::stage::{Console, PATIENCE, Setup, Stage, UNUSUAL_ENDPOINT, machine, run};

const ALICE: &str = "alice@example.com";
const GROUP: &str = "engineers";

fn setup() -> Setup {
    let sections = r#"
[demotion]
service-account = "cn=manager,dc=example,dc=com"
password = { plain-text = "manager-secret" }

[[connector]]
name = "okta-otp"
plugin = "okta-otp.wasm"
domain = "acme.okta.com"
base-url = "@OKTA@"
ca-file = "@OKTA-CA@"
token = { file = "okta-token" }
settings = { factors = ["okta-verify"] }
"#;
    let on = |outcome: &str| {
        format!(
            "\n[policy.settings.rules.then.challenge.on.{outcome}]\nverdict = \"block\"\n\
             incident = {{ severity = \"high\", title = \"Second factor {outcome}\" }}\n\
             demote = {{ group = \"{GROUP}\", restore-after-seconds = 3600, from-times = 2 }}\n"
        )
    };
    let policies = UNUSUAL_ENDPOINT.replace("okta-verify", "okta-otp").replace("seconds = 20", "seconds = 60");
    let policies = policies + &on("failed") + &on("closed");
    Setup { sections: sections.to_owned(), policies, ..Setup::default() }
}

/// Whether alice is in the group, asked of the directory itself.
async fn is_member(stage: &Stage) -> Result<bool> {
    let manager = Tools::new(stage.slapd.uri()).bind(MANAGER_DN, MANAGER_PASSWORD);
    let found = manager.search(&group_dn(GROUP), "base", "(objectClass=*)", &["member"]).await?;
    ensure!(found.code == 0, "{found:?}");
    Ok(found.stdout.contains(&stage.dn("alice")))
}

async fn wait_for_member(stage: &Stage, wanted: bool) -> Result<()> {
    let begun = Instant::now();
    while is_member(stage).await? != wanted {
        ensure!(begun.elapsed() < PATIENCE, "in the group is not {wanted}:\n{}", stage.log().join("\n"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn demotions(console: &Console) -> Result<Vec<Value>> {
    let body: Value = serde_json::from_str(&console.get("/api/v1/demotions").await?)?;
    Ok(body["demotions"].as_array().cloned().unwrap_or_default())
}

/// Binds as alice from a machine of which nobody has heard, and does something with the page that opens there.
async fn try_from_elsewhere(stage: &Arc<Stage>, answer: impl AsyncFnOnce(Page) -> Result<()>) -> Result<i64> {
    let from = machine();
    let bind = tokio::spawn({
        let stage = stage.clone();
        async move { stage.bind_from(from, "alice", "alice-secret").await }
    });
    answer(Page::of(stage, from)).await?;
    Ok(bind.await??.0)
}

#[tokio::test]
async fn unusual_machine_code_incident_demotion_and_the_way_back() -> Result<()> {
    let mut stage = Arc::new(Stage::new(setup()).await?);
    stage.learn(machine(), "alice").await?;
    assert!(is_member(&stage).await?);

    stage.okta.set_code(ALICE, "100001")?;
    let told = try_from_elsewhere(&stage, async |page| page.send("100001").await).await?;
    assert_eq!(told, 0);
    assert!(stage.console().await?.incidents().await?.is_empty(), "a good answer leaves no incident");

    stage.okta.set_code(ALICE, "100002")?;
    let guess = wrong("100002");
    let told = try_from_elsewhere(&stage, async |page| {
        for _ in 0..3 {
            page.send(&guess).await?;
        }
        Ok(())
    });
    assert_eq!(told.await?, 49);
    let console = stage.console().await?;
    let incidents = console.incidents().await?;
    assert_eq!((incidents.len(), &incidents[0]["severity"]), (1, &"high".into()), "{incidents:?}");
    assert_eq!((&incidents[0]["title"], &incidents[0]["count"]), (&"Second factor failed".into(), &1.into()));

    let told = try_from_elsewhere(&stage, async |page| page.dismiss().await).await?;
    assert_eq!(told, 49);
    wait_for_member(&stage, false).await?;
    let incidents = console.incidents().await?;
    assert_eq!((incidents.len(), &incidents[0]["count"]), (1, &2.into()), "{incidents:?}");
    let found = demotions(&console).await?;
    assert_eq!((found.len(), &found[0]["state"]), (1, &"demoted".into()), "not at the first time: {found:?}");

    // What was done is known after a restart, and to the command line.
    Arc::get_mut(&mut stage).expect("nobody else has it").stop()?;
    Arc::get_mut(&mut stage).expect("nobody else has it").start().await?;
    let (code, out, err) = stage.portcullis(&["demotions", "list"]).await?;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(&group_dn(GROUP)) && out.contains("to be put back in"), "{out}");
    assert!(!is_member(&stage).await?);

    stage.okta.set_code(ALICE, "100003")?;
    let told = try_from_elsewhere(&stage, async |page| page.send("100003").await).await?;
    assert_eq!(told, 0);
    let console = stage.console().await?;
    let incidents = console.incidents().await?;
    assert_eq!(incidents[0]["state"], "resolved", "{incidents:?}");
    assert!(incidents[0]["resolved_by"].is_string(), "with the access as proof: {incidents:?}");

    let page = console.get("/demotions").await?;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let action = format!("/demotions/{}/restore", found[0]["number"]);
    assert!(page.contains(&action), "{page}");
    assert_eq!(console.post(&action, format!("csrf={csrf}")).await?, 303);
    wait_for_member(&stage, true).await?;
    stage.wait_for_event("account-restored", 1).await?;
    assert_eq!(demotions(&console).await?[0]["state"], "restored");
    Ok(())
}

/// In front of Active Directory: bob is in `staff` only because he is in `engineers`.
async fn stage_before(samba: &Samba, group: &str, vital: &str) -> Result<Stage> {
    let accounts = format!(
        "base = \"DC=example,DC=test\"\nschema = \"active-directory\"\nservice-account = \"{SERVICE}@example.test\"\n\
         password = {{ plain-text = \"{}\" }}\n",
        password(SERVICE)
    );
    let sections = format!(
        "\n[demotion]\nservice-account = \"EXAMPLE\\\\Administrator\"\n\
         password = {{ plain-text = \"{ADMINISTRATOR_PASSWORD}\" }}\nvital-groups = [{vital}]\n"
    );
    let policies = format!(
        r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"
settings.rules = [
    {{ name = "Staff", when = {{ group = ["staff"] }}, then = {{ verdict = "block", demote = {{ group = "{group}" }} }} }},
]
"#
    );
    let directory = format!("url = \"{}\"\nca-file = \"{}\"", samba.ldaps_uri(), samba.ca_pem_path().display());
    Stage::new(Setup { directory: Some(directory), accounts, sections, policies, ..Setup::default() }).await
}

async fn bind_as_bob(stage: &Stage) -> Result<i64> {
    let mut client = stage.client(machine()).await?;
    Ok(client.bind("bob@example.test", &password(BOB)).await?.code as i64)
}

/// Waits until the newest demotion is in this state.
async fn wait_for_state(stage: &Stage, state: &str) -> Result<Value> {
    let (console, begun) = (stage.console().await?, Instant::now());
    loop {
        let all = demotions(&console).await?;
        if let Some(newest) = all.first().filter(|newest| newest["state"] == state) {
            return Ok(newest.clone());
        }
        ensure!(begun.elapsed() < PATIENCE, "not {state}: {all:?}\n{}", stage.log().join("\n"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn groups_of_active_directory_are_left_and_joined_again() -> Result<()> {
    let samba = tokio::task::spawn_blocking(Samba::start).await??;
    for (group, vital, why) in
        [("staff", "", "only through another group"), ("engineers", "\"Engineers\"", "last account")]
    {
        let stage = stage_before(&samba, group, vital).await?;
        assert_eq!(bind_as_bob(&stage).await?, 49);
        let failed = wait_for_state(&stage, "failed").await?;
        assert!(failed["note"].as_str().is_some_and(|note| note.contains(why)), "{failed}");
    }
    let stage = stage_before(&samba, "engineers", "").await?;
    assert_eq!(bind_as_bob(&stage).await?, 49);
    let demoted = wait_for_state(&stage, "demoted").await?;
    assert_eq!(demoted["membership"]["group"], "CN=engineers,CN=Users,DC=example,DC=test");
    assert_eq!(bind_as_bob(&stage).await?, 0, "out of the one group, he is out of the other");
    let number = demoted["number"].to_string();
    let (code, _, err) = stage.portcullis(&["demotions", "restore", &number]).await?;
    assert_eq!(code, 0, "{err}");
    wait_for_state(&stage, "restored").await?;
    assert_eq!(bind_as_bob(&stage).await?, 49, "and in both again");
    Ok(())
}

#[tokio::test]
async fn a_policy_that_demotes_needs_an_account_that_may() -> Result<()> {
    let mut setup = setup();
    setup.sections = setup.sections.replace("[demotion]\nservice-account = \"cn=manager,dc=example,dc=com\"\npassword = { plain-text = \"manager-secret\" }\n", "");
    let stage = Stage::without_gateway(setup).await?;
    let file = stage.config_file().display().to_string();
    let (code, _, err) = run(vec!["check".to_owned(), "--offline".to_owned(), file]).await?;
    assert_eq!(code, 1);
    assert!(err.contains("takes accounts out of the group `engineers`") && err.contains("[demotion]"), "{err}");
    Ok(())
}
