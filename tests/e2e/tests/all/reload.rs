//! Connectors and policies that come, change and go while the gateway runs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portcullis_lab::okta::Behaviour;
use serde_json::Value;

use crate::secrets::files_with;
use crate::stage::{PATIENCE, Setup, Stage, machine};

const ALICE: &str = "alice@example.com";

fn config(stage: &Stage) -> Result<String> {
    Ok(std::fs::read_to_string(stage.config_file())?)
}

/// Writes the configuration anew and waits until it was read so many times.
async fn reload(stage: &mut Stage, text: &str, outcome: &str, count: usize) -> Result<()> {
    std::fs::write(stage.config_file(), text)?;
    stage.gateway().signal(Signal::SIGHUP)?;
    stage.wait_for_event(outcome, count).await
}

/// The configuration without connectors and policies, and those.
fn split(text: &str) -> (String, String, String) {
    let (before, rest) = text.split_once("[[connector]]").expect("a connector");
    let (connector, after) = rest.split_once("[behavior]").expect("what comes behind it");
    let (behavior, policies) = after.split_once("[[policy]]").expect("a policy");
    (format!("{before}[behavior]{behavior}"), format!("[[connector]]{connector}"), format!("[[policy]]{policies}"))
}

#[tokio::test]
async fn a_connector_and_its_policy_are_added_while_people_are_connected() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup::default()).await?;
    let (bare, connector, policies) = split(&config(&stage)?);
    std::fs::write(stage.config_file(), &bare)?;
    stage.start().await?;
    stage.learn(machine(), "alice").await?;
    let mut held = stage.client(machine()).await?;
    let bound = held.bind(&stage.dn("alice"), "alice-secret").await?;
    assert_eq!(i64::from(bound.code as i32), 0, "no policy yet");
    let console = stage.console().await?;
    let connectors = console.get("/api/v1/connectors").await?;
    assert_eq!(connectors, r#"{"connectors":[]}"#);

    reload(&mut stage, &format!("{bare}\n{connector}\n{policies}"), "plugins-reloaded", 1).await?;
    let begun = Instant::now();
    let status = loop {
        let answer: Value = serde_json::from_str(&console.get("/api/v1/connectors").await?)?;
        let status = answer["connectors"][0].clone();
        if status["state"] == "working" {
            break status;
        }
        ensure!(begun.elapsed() < PATIENCE, "never green: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(status["detail"].as_str().context("a detail")?.contains("portcullis-connector@example.com"), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(10), "and soon");
    let events = stage.events().await?;
    let detail =
        events.iter().find(|event| event["action"] == "plugins-reloaded").context("an event")?["detail"].clone();
    assert!(detail.as_str().unwrap_or_default().contains("connector okta-verify added, policy unusual-endpoint added"));

    let again = held.bind(&stage.dn("alice"), "alice-secret").await;
    assert!(again.is_ok(), "the connection is there still: {again:?}");
    stage.okta.on_push(ALICE, Behaviour::RejectAfter(Duration::ZERO))?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49, "and the policy counts");
    assert!(stage.okta.pushes_started(ALICE)? >= 1);
    Ok(())
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing_and_is_named_with_its_line() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    stage.okta.on_push(ALICE, Behaviour::RejectAfter(Duration::ZERO))?;
    stage.learn(machine(), "alice").await?;
    let right = config(&stage)?;
    let mistakes = [
        (right.replace("\"okta-verify.wasm\"", "\"okta-verfy.wasm\""), "okta-verfy.wasm` does not exist"),
        (
            right.replace("connector = \"okta-verify\"", "connector = \"nobody\""),
            "the connector `nobody`, which does not exist",
        ),
        (right.replace("mode = \"enforce\"", "mode = \"enforced\""), "unknown variant `enforced`"),
        (right.replace("name = \"unusual-endpoint\"", "name = \"unusual endpoint\""), "is no name"),
        (right.replace("token = { file = \"okta-token\" }", "token = \"7777-hush\""), "has to say where the secret is"),
        ("[[policy\n".to_owned(), "portcullis.toml:1: "),
    ];
    for (wrong, says) in &mistakes {
        ensure!(*wrong != right, "nothing is wrong: {says}");
        std::fs::write(stage.config_file(), wrong)?;
        stage.gateway().signal(Signal::SIGHUP)?;
        let said = stage.wait_for_log(says).await?;
        assert!(said.contains("portcullis.toml:"), "{said}");
        assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49, "the old policy is in force");
    }
    std::fs::write(stage.config_file(), &right)?;
    stage.wait_for_event("plugins-not-reloaded", mistakes.len()).await?;
    assert!(!stage.log().join("\n").contains("7777-hush"));
    assert_eq!(files_with(&stage.folder.path().join("data"), "7777-hush")?, Vec::<String>::new());
    reload(&mut stage, &right.replace("mode = \"enforce\"", "mode = \"monitor\""), "plugins-reloaded", 1).await?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0, "a changed one is");
    Ok(())
}

#[tokio::test]
async fn open_challenges_of_a_connector_that_goes_end_as_unavailable() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    let tools = stage.tools("alice", "alice-secret");
    let waiting = tokio::spawn(async move { tools.whoami().await });
    stage.wait_for_pushes(ALICE, 1).await?;
    let (bare, ..) = split(&config(&stage)?);
    reload(&mut stage, &bare, "plugins-reloaded", 1).await?;
    let begun = Instant::now();
    assert_eq!(waiting.await??.code, 49);
    assert!(begun.elapsed() < Duration::from_secs(10), "it did not wait for the challenge's end");
    let event = stage.last_access().await?;
    assert_eq!(event["challenges"][0]["outcome"], "unavailable", "{event}");
    assert_eq!(event["decided_by"], "unusual-endpoint", "by the policies it began with");
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0, "now there is no policy");
    let pending = stage.okta.pending();
    assert!(pending.is_empty(), "the push was taken back: {pending:?}");
    Ok(())
}

#[tokio::test]
async fn under_load_every_decision_is_by_one_set() -> Result<()> {
    // One set blocks by a policy of the name `first`, the other by `second`; none lets anybody in.
    let blocking = |name: &str| {
        format!(
            "[[policy]]\nname = \"{name}\"\nplugin = \"rules.wasm\"\n[[policy.settings.rules]]\nname = \"Nobody\"\n\
             then = \"block\"\n"
        )
    };
    let mut stage = Stage::new(Setup { policies: blocking("first"), ..Setup::default() }).await?;
    let first = config(&stage)?;
    let second = first.replace("name = \"first\"", "name = \"second\"");
    let (address, dn) = (stage.ldap, stage.dn("alice"));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (stop, dn) = (stop.clone(), dn.clone());
        clients.push(tokio::spawn(async move {
            let mut client = portcullis_lab::client::LdapClient::connect(address, machine()).await?;
            client.set_timeout(PATIENCE);
            let mut count = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = client.bind(&dn, "alice-secret").await?;
                let code = i64::from(answer.code as i32);
                ensure!(code == 49, "somebody got in: {code} {}", answer.message);
                count += 1;
            }
            Ok(count)
        }));
    }
    for round in 1..=4 {
        let text = if round % 2 == 1 { &second } else { &first };
        reload(&mut stage, text, "plugins-reloaded", round).await?;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut binds = 0;
    for client in clients {
        binds += client.await??;
    }
    ensure!(binds > 20, "too few to tell: {binds}");
    let accesses = stage.accesses().await?;
    assert!(accesses.iter().all(|event| event["rulings"].as_array().is_some_and(|rulings| rulings.len() == 1)));
    for name in ["first", "second"] {
        assert!(accesses.iter().any(|event| event["decided_by"] == name), "{name} never decided");
    }
    Ok(())
}

/// A connector to a cloud identity provider, as an administrator adds it to a gateway that runs.
fn event_source(stage: &Stage, settings: &str) -> String {
    format!(
        "\n[[connector]]\nname = \"okta\"\nplugin = \"okta-sso.wasm\"\ndomain = \"acme.okta.com\"\nbase-url = \"{}\"\n\
         ca-file = \"{}\"\ntoken = {{ file = \"okta-token\" }}\n[connector.cloud]\n[connector.settings]\n{settings}\n",
        stage.okta.base_url(),
        stage.okta.ca_pem_path().display()
    )
}

#[tokio::test]
async fn an_event_source_is_added_and_its_events_are_there_within_a_poll() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    let plain = config(&stage)?;
    let console = stage.console().await?;
    let mut held = stage.client(machine()).await?;
    held.bind(&stage.dn("alice"), "alice-secret").await?;
    let mut event = stage.okta.sign_in(0);
    event["client"]["ipAddress"] = serde_json::json!("198.51.100.77");
    stage.okta.log_events([event]);

    // Settings that the plugin refuses: nothing of the file is put into force, and what there was goes on.
    let broken = plain.replace("mode = \"enforce\"", "mode = \"monitor\"")
        + &event_source(&stage, "poll-seconds = 2\nhistory-days = 4000");
    reload(&mut stage, &broken, "plugins-not-reloaded", 1).await?;
    let said = stage.wait_for_log("history-days").await?;
    assert!(said.contains("portcullis.toml:"), "{said}");
    let connectors: Value = serde_json::from_str(&console.get("/api/v1/connectors").await?)?;
    let names: Vec<_> = connectors["connectors"].as_array().context("a list")?.iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["okta-verify"], "{connectors}");
    stage.okta.on_push(ALICE, Behaviour::RejectAfter(Duration::ZERO))?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49, "the old policy is enforced still");

    let right = plain + &event_source(&stage, "poll-seconds = 2");
    reload(&mut stage, &right, "plugins-reloaded", 1).await?;
    let begun = Instant::now();
    let (mut green, mut visible) = (None, None);
    while green.is_none() || visible.is_none() {
        let answer: Value = serde_json::from_str(&console.get("/api/v1/connectors").await?)?;
        let okta = answer["connectors"].as_array().and_then(|all| all.iter().find(|it| it["name"] == "okta")).cloned();
        let okta = okta.with_context(|| format!("it is not listed: {answer}"))?;
        let reads = okta["reading"]["last_success"].is_u64() && okta["reading"]["last_error"].is_null();
        if okta["state"] == "working" && reads {
            green.get_or_insert_with(|| begun.elapsed());
            assert_eq!(okta["plugin"]["name"], "okta-sso", "{okta}");
            assert_eq!(okta["roles"], serde_json::json!(["event-source", "account-directory", "enforcement"]));
        }
        if console.get("/activity").await?.contains("198.51.100.77") {
            visible.get_or_insert_with(|| begun.elapsed());
        }
        ensure!(begun.elapsed() < PATIENCE, "green after {green:?}, visible after {visible:?}: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One poll is two seconds here; the rest is for a machine that does other things as well.
    let limit = Duration::from_secs(10);
    assert!(green < Some(limit) && visible < Some(limit), "green after {green:?}, visible after {visible:?}");
    let page = console.get("/connectors").await?;
    for shown in ["okta-sso 0.", "okta-verify 0.", "Works", "Up to date"] {
        assert!(page.contains(shown), "{shown} is not on the page: {page}");
    }
    assert!(held.bind(&stage.dn("alice"), "alice-secret").await.is_ok(), "the connection is there still");
    Ok(())
}
