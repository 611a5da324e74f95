//! `portcullis notify` on a person's machine.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::process::Child;

use crate::okta_faults::ALWAYS;
use crate::stage::{PATIENCE, Setup, Stage, binary, machine, run};

const ALICE: &str = "alice@example.com";

fn listen(stage: &Stage, more: &[&str]) -> Result<Child> {
    let mut command = Command::new(binary()?);
    command.args(["notify", "--print", "--gateway"]).arg(format!("http://{}", stage.web)).args(more);
    Child::spawn("notify", command)
}

/// A sign-in from the machine that the listener runs on, answered after the listener has told of it.
async fn sign_in(stage: &Stage, listener: &mut Child, pushes: usize) -> Result<String> {
    let tools = stage.tools("alice", "alice-secret");
    let waiting = tokio::spawn(async move { tools.whoami().await });
    stage.wait_for_pushes(ALICE, pushes).await?;
    let begun = std::time::Instant::now();
    let line = loop {
        let lines = listener.output().lines();
        let told: Vec<_> = lines.iter().filter(|line| line.contains("alice signs in to wiki: ")).collect();
        ensure!(told.len() <= pushes, "told twice: {told:?}");
        if told.len() == pushes {
            break told.last().map(|line| (*line).clone()).context("a line")?;
        }
        ensure!(begun.elapsed() < PATIENCE, "nothing was told: {lines:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let address = line.rsplit(' ').next().unwrap_or_default().to_owned();
    let page = reqwest::get(&address).await?;
    assert_eq!(page.status().as_u16(), 200, "{address} is its page");
    assert!(page.text().await?.contains("alice"));
    stage.okta.approve(ALICE)?;
    assert_eq!(waiting.await??.code, 0);
    Ok(address)
}

#[tokio::test]
async fn a_machine_is_told_of_its_sign_ins_and_listens_again_when_the_gateway_was_away() -> Result<()> {
    let mut stage = Stage::new(Setup { policies: ALWAYS.to_owned(), ..Setup::default() }).await?;
    let mut listener = listen(&stage, &[])?;
    listener.wait_for_line("listening at http://", PATIENCE).await?;
    let first = sign_in(&stage, &mut listener, 1).await?;
    stage.stop()?;
    stage.start().await?;
    let begun = std::time::Instant::now();
    while listener.output().lines().iter().filter(|line| line.contains("listening at")).count() < 2 {
        ensure!(begun.elapsed() < PATIENCE, "it did not come back: {:?}", listener.output().lines());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let second = sign_in(&stage, &mut listener, 2).await?;
    assert_ne!(first, second);
    Ok(())
}

#[tokio::test]
async fn a_token_is_shown_where_the_administrator_demands_one() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    let folder = stage.folder.path().to_owned();
    std::fs::write(folder.join("notify-token"), "a-token-for-those-who-listen\n")?;
    std::fs::write(folder.join("another"), "another-token\n")?;
    let text = std::fs::read_to_string(stage.config_file())?;
    let demanded = text.replace("[web]\n", "[web]\nnotify-token = { file = \"notify-token\" }\n");
    ensure!(demanded != text);
    std::fs::write(stage.config_file(), demanded)?;
    stage.start().await?;
    stage.learn(machine(), "alice").await?;
    let file = |name: &str| folder.join(name).display().to_string();
    let base = format!("http://{}", stage.web);
    let notify = |more: &[&str]| {
        run(["notify", "--print", "--gateway", &base].iter().chain(more).map(|a| (*a).to_owned()).collect())
    };
    let (code, _, err) = notify(&[]).await?;
    assert!(code == 1 && err.contains("demands a token"), "{code} {err}");
    let (code, _, err) = notify(&["--token-file", &file("another")]).await?;
    assert!(code == 1 && err.contains("does not accept the token") && !err.contains("another-token"), "{code} {err}");
    let mut listener = listen(&stage, &["--token-file", &file("notify-token")])?;
    listener.wait_for_line("listening at http://", PATIENCE).await?;
    sign_in(&stage, &mut listener, 1).await?;
    Ok(())
}
