//! Incidents that become more severe by repetition and by time, over a restart; and a false positive whose exclusion silences the
//! detection until it is undone.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::stage::{Console, PATIENCE, Setup, Stage, machine};

/// Bob is refused, each time an incident.
const REFUSES_BOB: &str = r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"

[[policy.settings.rules]]
name = "Bob stays out"
when = { login = "bob" }
then.verdict = "block"
then.incident = { severity = "low", title = "Bob came", escalate = [
    { from-times = 2, severity = "medium" },
    { after-seconds = 8, severity = "high" },
    { after-seconds = 16, severity = "critical" },
] }
"#;

/// Nobody has a reason to use alice's account.
const TRAP: &str = "\n[detection.honeytoken]\naccounts = [\"alice\"]\n";

async fn only_incident(console: &Console) -> Result<Value> {
    let incidents = console.incidents().await?;
    ensure!(incidents.len() == 1, "{incidents:?}");
    incidents.into_iter().next().context("an incident")
}

async fn wait_for_severity(stage: &Stage, console: &Console, severity: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let incident = only_incident(console).await?;
        if incident["severity"] == severity {
            return Ok(incident);
        }
        ensure!(begun.elapsed() < PATIENCE, "not {severity}: {incident}\n{}", stage.log().join("\n"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_incident_rises_by_repetition_and_by_time_over_a_restart() -> Result<()> {
    let setup = Setup { policies: REFUSES_BOB.to_owned(), ..Setup::default() };
    let mut stage = Stage::new(setup).await?;
    let console = stage.console().await?;
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 49);
    assert_eq!(only_incident(&console).await?["severity"], "low");
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 49);
    let medium = only_incident(&console).await?;
    assert_eq!((&medium["severity"], &medium["count"]), (&"medium".into(), &2.into()));
    assert!(medium["escalates_at"].is_number(), "{medium}");
    wait_for_severity(&stage, &console, "high").await?;

    stage.stop()?;
    stage.start().await?;
    let console = stage.console().await?;
    let critical = wait_for_severity(&stage, &console, "critical").await?;
    assert_eq!((&critical["count"], &critical["escalates_at"]), (&2.into(), &Value::Null));
    stage.wait_for_event("incident-escalated", 2).await?;
    let id = critical["id"].as_str().context("an id")?;
    let report: Value = serde_json::from_str(&console.get(&format!("/api/v1/incidents/{id}")).await?)?;
    let steps: Vec<_> = report["history"].as_array().context("a history")?.iter().map(|one| &one["step"]).collect();
    assert_eq!(steps, ["opened", "raised", "escalated", "escalated", "escalated"], "{report}");
    let page = console.get(&format!("/incidents/{id}")).await?;
    assert!(page.contains("critical: not resolved for 16 s"), "{page}");
    Ok(())
}

/// What alice's newest access was noticed as.
async fn signals(stage: &Stage) -> Result<Vec<String>> {
    let access = stage.last_access().await?;
    let signals = access["access"]["signals"].as_array().context("signals")?;
    Ok(signals.iter().filter_map(|signal| signal["name"].as_str().map(str::to_owned)).collect())
}

/// Binds as alice; whether that was noticed as the use of a trap.
async fn springs(stage: &Stage, from: std::net::IpAddr) -> Result<bool> {
    assert_eq!(stage.bind_from(from, "alice", "alice-secret").await?.0, 0);
    Ok(signals(stage).await?.iter().any(|name| name == "honeytoken"))
}

#[tokio::test]
async fn a_false_positive_is_excluded_told_of_no_more_and_undone() -> Result<()> {
    let setup = Setup { policies: String::new(), sections: TRAP.to_owned(), ..Setup::default() };
    let mut stage = Stage::new(setup).await?;
    let (here, elsewhere) = (machine(), machine());
    assert!(springs(&stage, here).await?);
    let console = stage.console().await?;
    let incident = only_incident(&console).await?;
    assert_eq!((&incident["source"], &incident["severity"]), (&"detection:honeytoken".into(), &"critical".into()));
    assert_eq!(incident["address"], here.to_string());

    let path = format!("/incidents/{}", incident["id"].as_str().context("an id")?);
    let page = console.get(&path).await?;
    assert!(page.contains(&format!("{path}/exclude")), "{page}");
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).context("a form")?;
    let form = format!("csrf={csrf}&detections=detection&account=yes&network={here}&reason=Our+own+test.");
    assert_eq!(console.post(&format!("{path}/exclude"), form.clone()).await?, 409, "nobody was sure");
    assert_eq!(console.post(&format!("{path}/exclude"), format!("{form}&sure=yes")).await?, 303);
    assert_eq!(only_incident(&console).await?["verdict"], "false-positive");

    assert!(!springs(&stage, here).await?, "no signal");
    assert_eq!(console.incidents().await?.len(), 1, "and no incident");
    stage.stop()?;
    stage.start().await?;
    assert!(!springs(&stage, here).await?, "nor after a restart");
    assert!(springs(&stage, elsewhere).await?, "the account from elsewhere");
    let console = stage.console().await?;
    assert_eq!(console.incidents().await?.len(), 2);

    let listed: Value = serde_json::from_str(&console.get("/api/v1/exclusions").await?)?;
    let (one, number) = (&listed["exclusions"][0], listed["exclusions"][0]["number"].to_string());
    assert_eq!((&one["state"], &one["person"], &one["login"]), (&"in-force".into(), &"admin".into(), &"alice".into()));
    let (code, out, err) = stage.portcullis(&["exclusions", "list"]).await?;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(&format!("{number} honeytoken of alice")) && out.contains("Our own test."), "{out}");
    let page = console.get("/exclusions").await?;
    let undo = format!("/exclusions/{number}/undo");
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).context("a form")?;
    assert!(page.contains(&undo), "{page}");
    assert_eq!(console.post(&undo, format!("csrf={csrf}")).await?, 303);
    assert!(springs(&stage, here).await?, "at once");
    let newest = console.incidents().await?.remove(0);
    assert_eq!((&newest["state"], &newest["count"]), (&"open".into(), &2.into()), "it adds to the one that is open");
    let (code, _, err) = stage.portcullis(&["exclusions", "remove", &number]).await?;
    assert_eq!(code, 1, "it is undone already");
    assert!(err.contains("exclusions list"), "{err}");
    stage.wait_for_event("exclusion-made", 1).await?;
    stage.wait_for_event("exclusion-undone", 1).await
}
