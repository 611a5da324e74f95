//! What ends the time for which an approval is remembered, with the real tools, slapd, the component and the simulator.

use anyhow::{Result, ensure};
use portcullis_lab::okta::OktaOptions;
use serde_json::json;

use crate::stage::{Setup, Stage};

const ALICE: &str = "alice@example.com";

/// Every bind of a person is asked for, and remembered for an hour.
fn setup() -> Setup {
    let policies = r#"
[[policy]]
name = "everybody"
plugin = "rules.wasm"
mode = "enforce"
fail = "closed"

[[policy.settings.rules]]
name = "A person"
operations = ["bind"]
when = { kind = ["human", "unknown"] }

[policy.settings.rules.then.challenge]
connector = "okta-verify"
timeout-seconds = 20
remember-seconds = 3600
"#;
    let okta = OktaOptions { rate_limit: 1_000_000, ..OktaOptions::default() };
    Setup { policies: policies.to_owned(), cloud: Some(String::new()), okta, ..Setup::default() }
}

/// Binds; the phone rings for it, and is answered, or does not.
async fn bind(stage: &Stage, password: &str, rings: bool) -> Result<()> {
    let before = stage.okta.pushes_started(ALICE)?;
    let tools = stage.tools("alice", password);
    let waiting = tokio::spawn(async move { tools.whoami().await });
    if rings {
        stage.wait_for_pushes(ALICE, before + 1).await?;
        stage.okta.approve(ALICE)?;
    }
    let told = waiting.await??;
    ensure!(told.code == 0, "the bind gave {}: {}", told.code, told.stderr);
    let after = stage.okta.pushes_started(ALICE)?;
    ensure!(after == before + usize::from(rings), "the phone rang {} times", after - before);
    Ok(())
}

#[tokio::test]
async fn a_new_password_is_asked_for_again() -> Result<()> {
    let mut stage = Stage::new(setup()).await?;
    bind(&stage, "alice-secret", true).await?;
    bind(&stage, "alice-secret", false).await?;

    // slapd refuses somebody who may not; the window goes on, once it has said so.
    let told = stage.tools("bob", "bob-secret");
    let dn = stage.dn("alice");
    let before = stage.okta.pushes_started("bob@example.com")?;
    let attempt = {
        let dn = dn.clone();
        tokio::spawn(async move { told.run("ldappasswd", &["-s", "mine-now", &dn]).await })
    };
    stage.wait_for_pushes("bob@example.com", before + 1).await?;
    stage.okta.approve("bob@example.com")?;
    assert_ne!(attempt.await??.code, 0, "bob may not change alice's password");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    bind(&stage, "alice-secret", false).await?;

    // Her own change goes through, within the window and without a push.
    let changed =
        stage.tools("alice", "alice-secret").run("ldappasswd", &["-a", "alice-secret", "-s", "alice-new"]).await?;
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    bind(&stage, "alice-new", true).await?;
    bind(&stage, "alice-new", false).await?;

    // It outlives the process.
    let changed =
        stage.tools("alice", "alice-new").run("ldappasswd", &["-a", "alice-new", "-s", "alice-third"]).await?;
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    stage.kill()?;
    stage.start().await?;
    bind(&stage, "alice-third", true).await?;
    bind(&stage, "alice-third", false).await?;
    Ok(())
}

#[tokio::test]
async fn what_okta_tells_against_the_account_ends_it() -> Result<()> {
    let stage = Stage::new(setup()).await?;
    bind(&stage, "alice-secret", true).await?;
    for (number, event_type) in ["user.account.update_password", "user.session.clear"].into_iter().enumerate() {
        bind(&stage, "alice-secret", false).await?;
        let mut event = (0..10_000)
            .map(|number| stage.okta.sign_in(number))
            .find(|event| event["actor"]["alternateId"] == ALICE)
            .expect("everybody signs in in turn");
        event["eventType"] = json!(event_type);
        event["uuid"] = json!(format!("0f6a1c52-c8e5-11f1-9d1a-0242ac1300{number:02}"));
        event["target"] = json!([event["actor"].clone()]);
        stage.okta.log_events([event]);
        let begun = std::time::Instant::now();
        let wanted = number + 1;
        while stage.accesses().await?.iter().filter(|event| event["access"]["source"] == "okta").count() < wanted {
            ensure!(begun.elapsed() < crate::stage::PATIENCE, "{event_type} was not read");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        bind(&stage, "alice-secret", true).await?;
    }
    Ok(())
}
