//! The gateway reads a simulated Okta's log with `okta-sso`: every event once, whatever happens; and what follows from it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::okta::{Behaviour, Okta, OktaOptions};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Setup, Stage, TOOLS};

/// A sign-in from a machine that the account has not used, and what its policy does about it.
fn on_sign_in(then: &str) -> String {
    format!(
        r#"
[[policy]]
name = "cloud"
plugin = "rules.wasm"
mode = "enforce"
fail = "closed"

[[policy.settings.rules]]
name = "A sign-in from somewhere else"
operations = ["sign-in"]
when = {{ signal = ["unusual-endpoint"] }}
{then}
"#
    )
}

fn setup(policies: String, on_block: &str) -> Setup {
    Setup {
        policies,
        cloud: Some(format!("on-block = \"{on_block}\"")),
        okta: OktaOptions { rate_limit: 1_000_000, ..OktaOptions::default() },
        ..Setup::default()
    }
}

/// The next sign-in of a person, from an address.
fn sign_in(stage: &Stage, number: usize, login: &str, from: &str) -> Result<Value> {
    // All users sign in in turn: one of the numbers is this person's.
    let found = (number..number + 10_000).map(|number| stage.okta.sign_in(number));
    let mut event = found.into_iter().find(|event| event["actor"]["alternateId"] == login).context("nobody's")?;
    event["client"]["ipAddress"] = json!(from);
    Ok(event)
}

/// Waits for an event of the log that fits.
async fn wait_for(stage: &Stage, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        if let Some(event) = stage.events().await?.into_iter().find(&fits) {
            return Ok(event);
        }
        ensure!(begun.elapsed() < PATIENCE, "there was no event: {what}\n{}", stage.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn from(event: &Value, address: &str) -> bool {
    event["access"]["endpoint"]["address"] == address
}

#[tokio::test]
async fn a_sign_in_from_somewhere_new_is_an_event_of_the_directory_account_and_a_block_suspends() -> Result<()> {
    let stage = Stage::new(setup(on_sign_in("then = { verdict = \"block\" }"), "suspend")).await?;
    // The machine that alice uses at the directory is known at Okta as well.
    stage.learn(TOOLS, "alice").await?;
    stage.okta.log_events([sign_in(&stage, 0, "alice@example.com", &TOOLS.to_string())?]);
    let known = wait_for(&stage, "the usual machine", |event| event["access"]["source"] == "okta").await?;
    assert_eq!(known["access"]["signals"], json!([]));
    assert_eq!(known["access"]["account"]["login"], "alice", "{known}");
    let bind = stage.accesses().await?.remove(0);
    assert_eq!(known["access"]["account"]["id"], bind["access"]["account"]["id"]);

    stage.okta.log_events([sign_in(&stage, 10_000, "alice@example.com", "198.51.200.9")?]);
    let new = wait_for(&stage, "a new machine", |event| from(event, "198.51.200.9")).await?;
    assert_eq!(new["access"]["signals"][0]["name"], "unusual-endpoint", "{new}");
    assert_eq!(new["decision"], "block");
    assert!(new["foreign"]["place"].as_str().is_some_and(|place| place.contains("Lyon")), "{new}");
    wait_for(&stage, "the enforcement", |event| event["action"] == "cloud-enforced").await?;
    assert_eq!(stage.okta.status("alice@example.com")?, ("SUSPENDED", 1));
    let page = stage.console().await?.get("/activity").await?;
    for expected in ["Acted against", "Lyon", "Up to date", "sessions ended"] {
        assert!(page.contains(expected), "{expected} is not on the page");
    }
    let (code, links, err) = stage.portcullis(&["accounts", "links"]).await?;
    assert_eq!(code, 0, "{err}");
    assert!(links.contains("alice@example.com"), "{links}");
    assert!(links.contains("by mail, 80 %"), "{links}");
    Ok(())
}

#[tokio::test]
async fn a_challenge_rings_the_phone_and_its_answer_is_judged() -> Result<()> {
    let policy = on_sign_in("[policy.settings.rules.then.challenge]\nconnector = \"okta-verify\"");
    let stage = Stage::new(setup(policy, "end-sessions")).await?;
    let rejects = |login| stage.okta.on_push(login, Behaviour::RejectAfter(Duration::ZERO));
    rejects("bob@example.com")?;
    for uid in ["alice", "bob"] {
        stage.learn(TOOLS, uid).await?;
        let login = format!("{uid}@example.com");
        stage.okta.log_events([sign_in(&stage, if uid == "bob" { 10_000 } else { 0 }, &login, "198.51.200.9")?]);
        stage.wait_for_pushes(&login, 1).await?;
        if uid == "alice" {
            stage.okta.approve(&login)?;
        }
        let answered =
            |event: &Value| event["foreign"]["follows"].is_string() && event["access"]["account"]["login"] == uid;
        let answer = wait_for(&stage, "an answer", answered).await?;
        let approved = uid == "alice";
        assert_eq!(answer["decision"], if approved { "allow" } else { "block" }, "{answer}");
        assert_eq!(answer["challenges"][0]["outcome"], if approved { "approved" } else { "denied" });
    }
    wait_for(&stage, "the enforcement", |event| event["action"] == "cloud-enforced").await?;
    assert_eq!(stage.okta.status("bob@example.com")?, ("ACTIVE", 1));
    assert_eq!(stage.okta.status("alice@example.com")?, ("ACTIVE", 0));
    // What was approved is known from then on, for binds as well.
    let incidents = stage.console().await?.incidents().await?;
    assert!(incidents.iter().any(|incident| incident["login"] == "bob"), "{incidents:?}");
    Ok(())
}

const ALL: usize = 100_000;
const STEP: usize = 1_000;

/// Two in a hundred are logged late, as of up to an hour before, and one in a hundred is logged twice.
fn log_step(okta: &Okta, step: usize) {
    let first = step * STEP;
    okta.log_sign_ins(first, STEP - 20);
    let late = (first + STEP - 20..first + STEP).map(|number| {
        let mut event = okta.sign_in(number);
        let published = event["published"].as_str().unwrap_or_default().to_owned();
        // The same day, at the beginning of the hour.
        event["published"] = json!(format!("{}00:00.000Z", &published[..14]));
        event
    });
    let late: Vec<_> = late.collect();
    okta.log_events(late);
    okta.log_events((first..first + 10).map(|number| okta.sign_in(number)));
}

/// Ids of all foreign events in the store's file, each as often as it is there.
async fn stored(stage: &Stage) -> Result<Vec<String>> {
    let sql = "SELECT id FROM (SELECT json_extract(json, '$.foreign.id') AS id FROM events) WHERE id IS NOT NULL";
    Ok(ask_store(stage, sql).await?.lines().map(str::to_owned).collect())
}

/// How many foreign events the store has taken, by its list of their ids.
async fn count_stored(stage: &Stage) -> Result<usize> {
    Ok(ask_store(stage, "SELECT COUNT(*) FROM foreign_events").await?.trim().parse()?)
}

/// The first column of what the store's file says, a line each.
async fn ask_store(stage: &Stage, sql: &str) -> Result<String> {
    let script = "import sqlite3, sys\n\
                  rows = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute(sys.argv[2])\n\
                  [print(row[0]) for row in rows]";
    let file = stage.folder.path().join("data/portcullis.db");
    let output = tokio::process::Command::new("python3").args(["-c", script]).arg(file).arg(sql).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn wait_for_stored(stage: &Stage, wanted: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let count = count_stored(stage).await?;
        if count >= wanted {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(300), "{count} of {wanted} events only: {:?}", stage.log());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_are_there_once_each_through_kill_9_and_a_lost_cursor() -> Result<()> {
    let mut stage = Stage::without_gateway(setup(String::new(), "none")).await?;
    let half = ALL / STEP / 2;
    (0..half).for_each(|step| log_step(&stage.okta, step));
    stage.start().await?;
    wait_for_stored(&stage, ALL / 8).await?;
    stage.kill()?;
    let before = stored(&stage).await?.len();
    ensure!(before < ALL / 2, "killed too late to show anything");
    stage.start().await?;
    wait_for_stored(&stage, ALL / 4).await?;
    stage.kill()?;
    // Okta forgets where the gateway was, and more has happened.
    stage.okta.expire_cursors();
    (half..ALL / STEP).for_each(|step| log_step(&stage.okta, step));
    let (begun, before) = (Instant::now(), stored(&stage).await?.len());
    stage.start().await?;
    wait_for_stored(&stage, ALL).await?;
    let rate = (ALL - before) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{} events in {:?}: {rate:.0} a second, a debug build with everything around it",
        ALL - before,
        begun.elapsed()
    );
    // Whatever comes twice comes now.
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.stop()?;
    let ids = stored(&stage).await?;
    assert_eq!(ids.len(), ALL, "none twice");
    let ids: BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(ids, (0..ALL).map(Okta::sign_in_id).collect::<BTreeSet<_>>(), "none missing");
    let mut verify = tokio::process::Command::new(crate::stage::binary()?);
    verify.args(["events", "verify", "--config"]).arg(stage.config_file());
    let verified = tokio::time::timeout(Duration::from_secs(300), verify.output()).await??;
    let out = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && out.starts_with("intact: "), "{out}");
    Ok(())
}
