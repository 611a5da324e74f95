//! What the gateway says before it serves anybody.

use anyhow::Result;
use portcullis_lab::net::{free_port, own_address};

use crate::stage::{Setup, Stage, run};

async fn check(stage: &Stage, arguments: &[&str]) -> Result<(i32, String, String)> {
    let file = stage.config_file().display().to_string();
    run(["check"].iter().chain(arguments).map(|a| (*a).to_owned()).chain([file]).collect()).await
}

#[tokio::test]
async fn check_finds_nothing_wrong_and_says_what_it_reached() -> Result<()> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    let (code, out, err) = check(&stage, &[]).await?;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("the service account can read it") && out.contains("connector okta-verify: "), "{out}");
    assert!(out.contains("no problem was found"), "{out}");
    Ok(())
}

#[tokio::test]
async fn check_tries_each_server_of_the_directory() -> Result<()> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    let (there, own) = (stage.slapd.ldaps_uri(), own_address().into());
    let gone = std::net::SocketAddr::new(own, free_port(own)?);
    let text = std::fs::read_to_string(stage.config_file())?;
    let both = text.replace(&format!("url = \"{there}\""), &format!("url = [\"{there}\", \"ldaps://{gone}\"]"));
    assert_ne!(both, text);
    std::fs::write(stage.config_file(), both)?;
    let (code, out, err) = check(&stage, &[]).await?;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains(&format!("directory {}: the service account can read it", stage.slapd.ldaps_addr())), "{out}");
    assert!(err.contains(&format!("{gone}: ")), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_connector_that_does_not_exist_is_named_with_its_line() -> Result<()> {
    let mut setup = Setup::default();
    setup.policies = setup.policies.replace("connector = \"okta-verify\"", "connector = \"okta-verfiy\"");
    let mut stage = Stage::without_gateway(setup).await?;
    let (code, _, err) = check(&stage, &["--offline"]).await?;
    assert_eq!(code, 1);
    assert!(err.contains("the connector `okta-verfiy`, which does not exist; there are: okta-verify"), "{err}");
    let line =
        std::fs::read_to_string(stage.config_file())?.lines().position(|l| l.contains("policy.settings")).unwrap() + 1;
    assert!(err.contains(&format!("portcullis.toml:{line}: policy.0.settings")), "{err}");
    assert!(stage.start().await.is_err(), "and it does not start with it");
    Ok(())
}

#[tokio::test]
async fn a_wrong_setting_of_a_policy_is_named_to_the_line() -> Result<()> {
    let mut setup = Setup::default();
    setup.policies = setup.policies.replace("timeout-seconds = 20\n", "timeout-secs = 20\n");
    let stage = Stage::without_gateway(setup).await?;
    let (code, _, err) = check(&stage, &["--offline"]).await?;
    assert_eq!(code, 1);
    let text = std::fs::read_to_string(stage.config_file())?;
    let line = text.lines().position(|l| l.contains("timeout-secs")).unwrap() + 1;
    assert!(
        err.contains(&format!("portcullis.toml:{line}: policy.0.settings.rules.0.then.challenge.timeout-secs")),
        "{err}"
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_by_check() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    stage.slapd.stop()?;
    stage.okta.revoke_token();
    let (code, _, err) = check(&stage, &[]).await?;
    assert_eq!(code, 1);
    assert!(err.contains("directory: "), "{err}");
    assert!(err.contains("connector.0: "), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_and_nothing_is_served() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    let _taken = std::net::TcpListener::bind(stage.ldap)?;
    let error = stage.start().await.unwrap_err();
    assert!(format!("{error:#}").contains("listener wiki cannot listen on"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_it_with_success_and_a_last_event() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    stage.gateway().signal(nix::sys::signal::Signal::SIGTERM)?;
    let begun = std::time::Instant::now();
    let status = loop {
        if let Some(status) = stage.gateway().try_wait()? {
            break status;
        }
        assert!(begun.elapsed() < crate::stage::PATIENCE, "it did not end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
    let events = stage.events().await?;
    assert_eq!(events.last().unwrap()["action"], "gateway-stopped");
    Ok(())
}
