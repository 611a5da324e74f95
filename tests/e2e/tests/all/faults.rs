//! Things that break: no fault turns a block into an allow unless the policy says so.

use std::time::{Duration, Instant};

use anyhow::Result;
use portcullis_lab::tools::Tools;

use crate::stage::{PATIENCE, Setup, Stage, UNUSUAL_ENDPOINT, dist, machine, run};

/// A plugin folder of the test's own.
pub(crate) fn copy_of_plugins() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(dist().join("plugins"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    Ok(folder)
}

#[tokio::test]
async fn a_changed_component_is_not_loaded_and_its_policy_fails_as_configured() -> Result<()> {
    for (fail, code) in [("closed", 49), ("open", 0)] {
        let plugins = copy_of_plugins()?;
        let file = plugins.path().join("rules.wasm");
        let mut bytes = std::fs::read(&file)?;
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes)?;
        let policies = UNUSUAL_ENDPOINT.replace("fail = \"closed\"", &format!("fail = \"{fail}\""));
        let setup = Setup { policies, plugins: Some(plugins.path().to_owned()), ..Setup::default() };
        let stage = Stage::new(setup).await?;
        let said = stage.wait_for_log("signature of the plugin `rules.wasm` is refused").await?;
        assert!(said.contains("portcullis.toml:"), "it says where: {said}");
        assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, code, "fail = {fail}");
        let incidents = stage.console().await?.incidents().await?;
        assert_eq!(incidents[0]["login"], "(gateway)");
        assert_eq!(incidents[0]["source"], "unusual-endpoint");
    }
    Ok(())
}

#[tokio::test]
async fn an_unsigned_component_and_one_signed_by_a_stranger_are_named_by_check() -> Result<()> {
    let plugins = copy_of_plugins()?;
    std::fs::remove_file(plugins.path().join("rules.wasm.minisig"))?;
    let stranger = plugins.path().join("stranger");
    let text = |path: &std::path::Path| path.display().to_string();
    let made = run(vec!["plugin".into(), "keygen".into(), "--out".into(), text(&stranger)]).await?;
    assert_eq!(made.0, 0, "{}", made.2);
    let signed = run(vec![
        "plugin".into(),
        "sign".into(),
        "--key".into(),
        text(&stranger.with_extension("key")),
        text(&plugins.path().join("okta-verify.wasm")),
    ])
    .await?;
    assert_eq!(signed.0, 0, "{}", signed.2);
    let setup = Setup { plugins: Some(plugins.path().to_owned()), ..Setup::default() };
    let stage = Stage::without_gateway(setup).await?;
    let (code, _, err) = run(vec!["check".into(), text(&stage.config_file())]).await?;
    assert_eq!(code, 1);
    assert!(err.contains("`rules.wasm` is not signed"), "{err}");
    assert!(err.contains("made with a key that is not trusted here"), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_directory_that_is_down_at_start_is_waited_for() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    stage.slapd.stop()?;
    stage.start().await?;
    stage.wait_for_log("directory:").await?;
    let whoami = stage.tools("alice", "alice-secret").whoami().await?;
    assert_ne!(whoami.code, 0);
    assert!(stage.gateway().try_wait()?.is_none(), "the gateway goes on");
    stage.slapd.restart()?;
    // Look-ups are not tried again at once, and until then nobody knows whose policies apply.
    let (from, begun) = (machine(), Instant::now());
    while stage.bind_from(from, "alice", "alice-secret").await?.0 != 0 {
        assert!(begun.elapsed() < PATIENCE, "it works when the directory does:\n{}", stage.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_directory_whose_facts_cannot_be_read_closes() -> Result<()> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    let text = std::fs::read_to_string(stage.config_file())?;
    std::fs::write(stage.config_file(), text.replace("portcullis-secret", "not the password"))?;
    let mut stage = stage;
    stage.start().await?;
    let said = stage.wait_for_log("directory:").await?;
    assert!(said.contains("service account") || said.contains("password"), "{said}");
    let (code, _) = stage.bind_from(machine(), "alice", "alice-secret").await?;
    assert_eq!(code, 49, "the right password, but nobody knows whose policies apply");
    assert!(stage.last_access().await?["rulings"][0]["fault"].is_string());
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_blocks_and_is_named() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    stage.okta.revoke_token();
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49);
    let event = stage.last_access().await?;
    assert_eq!(event["challenges"][0]["outcome"], "unavailable");
    let detail = event["challenges"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("credentials"), "{detail}");
    Ok(())
}

#[tokio::test]
async fn a_poll_link_to_another_host_is_not_followed() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    let elsewhere =
        portcullis_lab::okta::Okta::start(&stage.company, portcullis_lab::okta::OktaOptions::default()).await?;
    let fault = portcullis_lab::okta::Fault::ForeignPollLink(elsewhere.base_url().to_owned());
    stage.okta.fail_next_call(portcullis_lab::okta::Call::Verify, 1, &fault);
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49);
    assert!(elsewhere.journal().is_empty(), "the token went nowhere else");
    Ok(())
}

#[tokio::test]
async fn two_policies_and_the_order_in_which_they_speak() -> Result<()> {
    let watched = UNUSUAL_ENDPOINT.replace("mode = \"enforce\"", "mode = \"monitor\"");
    let stage = Stage::new(Setup { policies: watched, ..Setup::default() }).await?;
    stage.learn(machine(), "alice").await?;
    let tools: Tools = stage.tools("alice", "alice-secret");
    assert_eq!(tools.whoami().await?.code, 0, "monitor has no say");
    let event = stage.last_access().await?;
    assert!(event["rulings"][0]["verdict"]["challenge"].is_object(), "what it would have done: {event}");
    assert_eq!(stage.okta.pushes_started("alice@example.com")?, 0);
    Ok(())
}
