//! Codes behind passwords: the real OpenLDAP tools, slapd, the component and the simulator, and no page at all.

use crate::stage::{Setup, Stage, UNUSUAL_ENDPOINT, machine};
use anyhow::{Context as _, Result};

const ALICE: &str = "alice@example.com";

fn setup() -> Setup {
    let sections = r#"
[[connector]]
name = "okta-otp"
plugin = "okta-otp.wasm"
domain = "acme.okta.com"
base-url = "@OKTA@"
ca-file = "@OKTA-CA@"
token = { file = "okta-token" }
settings = { factors = ["okta-verify"] }
"#;
    let policies = UNUSUAL_ENDPOINT.replace("okta-verify", "okta-otp");
    let listener = "tls = \"none\"\nappended-codes = \",\"".to_owned();
    Setup { sections: sections.to_owned(), policies, listener, ..Setup::default() }
}

async fn outcome(stage: &Stage) -> Result<String> {
    let event = stage.last_access().await?;
    Ok(event["challenges"][0]["outcome"].as_str().context("nobody was asked")?.to_owned())
}

#[tokio::test]
async fn the_directory_gets_the_password_and_okta_the_code_each_once() -> Result<()> {
    let stage = Stage::new(setup()).await?;
    stage.learn(machine(), "alice").await?;
    stage.okta.set_code(ALICE, "294871")?;

    // Half of it is right: the directory says no before anybody is asked.
    let told = stage.tools("alice", "wrong,294871").whoami().await?;
    assert_eq!(told.code, 49);
    assert_eq!(verified(&stage), 0, "no code without the password");

    let told = stage.tools("alice", "alice-secret,000000").whoami().await?;
    assert_eq!((told.code, outcome(&stage).await?.as_str()), (49, "failed"));
    assert_eq!(verified(&stage), 1, "one try");

    let told = stage.tools("alice", "alice-secret,294871").whoami().await?;
    assert_eq!((told.code, outcome(&stage).await?.as_str()), (0, "approved"));
    // What an application has saved goes on to work: the machine is known now, and the code is left out.
    let told = stage.tools("alice", "alice-secret,294871").whoami().await?;
    assert_eq!(told.code, 0);
    assert_eq!(verified(&stage), 2);

    for line in stage.log() {
        assert!(!line.contains("294871") && !line.contains("alice-secret"), "{line}");
    }
    Ok(())
}

/// How many codes were tried at Okta. The health check tries its right on a user who does not exist.
fn verified(stage: &Stage) -> usize {
    let is_try = |path: &str| path.ends_with("/verify") && !path.contains("Nobody");
    stage.okta.journal().iter().filter(|entry| is_try(&entry.path)).count()
}
