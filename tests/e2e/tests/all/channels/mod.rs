//! Telling people: what policies say and what becomes an incident arrives by webhook, mail and syslog, once, however long a
//! receiver is away and whatever happens to the gateway meanwhile.

mod receivers;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use portcullis_lab::pki::Pki;
use receivers::{Hooks, Logs, Mails};
use serde_json::Value;

use crate::stage::{Setup, Stage, machine, run};

const POLICIES: &str = r#"
[[policy]]
name = "watched"
plugin = "rules.wasm"
mode = "monitor"
settings.rules = [{ name = "All", then = { verdict = "block", notify = { channel = "soc", text = "Nobody reads this." } } }]

[[policy]]
name = "fence"
plugin = "rules.wasm"

[[policy.settings.rules]]
name = "Alice"
when = { login = ["alice"] }
then = { verdict = "block", incident = { severity = "high", title = "Alice was refused" }, notify = { channel = "soc", text = "Look at alice." } }
"#;

struct Receivers {
    folder: tempfile::TempDir,
    hooks: Hooks,
    mails: Mails,
    logs: Logs,
}

impl Receivers {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::create(folder.path())?;
        let certificate = pki.issue("receiver", &[])?;
        let hooks = Hooks::new(&pki)?;
        let mails = Mails::start(&certificate).await?;
        let logs = Logs::start(folder.path(), pki.ca_pem_path(), &certificate).await?;
        Ok(Self { folder, hooks, mails, logs })
    }

    fn setup(&self) -> Setup {
        let ca = self.folder.path().join("ca.pem");
        let sections = format!(
            r#"
[[channel]]
name = "soc"
kind = "webhook"
url = "https://{hooks}/as-good-as-a-password"
secret = {{ file = "soc-secret" }}
ca-file = "{ca}"
incidents = "high"
resolved = true

[[channel]]
name = "it"
kind = "smtp"
server = "localhost:{mails}"
user = "portcullis"
password = {{ plain-text = "mail-secret" }}
from = "Portcullis <portcullis@example.com>"
to = ["soc@example.com", "it@example.com"]
ca-file = "{ca}"
incidents = "high"

[[channel]]
name = "log"
kind = "syslog"
server = "127.0.0.1:{logs}"
ca-file = "{ca}"
incidents = "low"
"#,
            hooks = self.hooks.address,
            mails = self.mails.port,
            logs = self.logs.port,
            ca = ca.display(),
        );
        Setup { sections, policies: POLICIES.to_owned(), ..Setup::default() }
    }

    async fn stage(&self) -> Result<Stage> {
        let stage = Stage::without_gateway(self.setup()).await?;
        std::fs::write(stage.folder.path().join("soc-secret"), Hooks::secret())?;
        Ok(stage)
    }
}

async fn refused(stage: &Stage) -> Result<()> {
    let (code, _) = stage.bind_from(machine(), "alice", "alice-secret").await?;
    assert_eq!(code, 49);
    Ok(())
}

fn csrf(page: &str) -> String {
    page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
}

async fn log_of(stage: &Stage, name: &str) -> Result<Value> {
    let body: Value = serde_json::from_str(&stage.console().await?.get("/api/v1/channels").await?)?;
    let all = body["channels"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().find(|one| one["name"] == name).unwrap()["log"].clone())
}

#[tokio::test]
async fn a_ruling_and_its_incident_are_told_by_every_channel_once() -> Result<()> {
    let mut receivers = Receivers::new().await?;
    receivers.hooks.open().await?;
    let mut stage = receivers.stage().await?;
    let (code, out, err) = run(vec!["check".to_owned(), stage.config_file().display().to_string()]).await?;
    assert_eq!(code, 0, "{err}");
    assert!(["channel soc: ", "channel it: ", "channel log: "].iter().all(|part| out.contains(part)), "{out}");
    assert!(!out.contains("as-good-as-a-password"), "{out}");
    let changed = stage.folder.path().join("changed.toml");
    std::fs::write(&changed, std::fs::read_to_string(stage.config_file())?.replace("mail-secret", "mail-wrong"))?;
    let (code, _, err) = run(vec!["check".to_owned(), changed.display().to_string()]).await?;
    assert!(code == 1 && err.contains("channel.1: ") && err.contains("535") && !err.contains("mail-wrong"), "{err}");

    stage.start().await?;
    refused(&stage).await?;
    assert_eq!(receivers.hooks.wait_for(2).await?, ["incident.opened", "policy.notified"]);
    let heard = receivers.hooks.heard();
    let of = |kind: &str| heard.iter().find(|(_, body)| body["type"] == kind).unwrap().1["data"].clone();
    let (said, opened) = (of("policy.notified"), of("incident.opened"));
    assert_eq!(
        (&said["text"], &said["source"], &said["login"]),
        (&"Look at alice.".into(), &"fence".into(), &"alice".into())
    );
    assert_eq!((&opened["text"], &opened["severity"]), (&"Alice was refused".into(), &"high".into()));
    let incident = stage.console().await?.incidents().await?[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(opened["link"], format!("http://{}/incidents/{incident}", stage.web));

    // To each recipient in an envelope of its own.
    let mails = receivers.mails.wait_for(2).await?;
    assert_eq!((&mails[0]["tls"], &mails[0]["login"]), (&true.into(), &"portcullis".into()), "{mails:?}");
    let to: Vec<_> = mails.iter().map(|mail| mail["to"].clone()).collect();
    assert_eq!(to, [Value::from(vec!["soc@example.com"]), Value::from(vec!["it@example.com"])]);
    // Long lines are broken (quoted-printable, RFC 2045, section 6.7).
    let text = mails[0]["text"].as_str().unwrap().replace('\r', "").replace("=\n", "");
    for part in [
        "Subject: [Portcullis] Incident opened (high): alice: Alice was refused",
        "Auto-Submitted: auto-generated",
        &incident,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let line = receivers.logs.wait_for("Alice was refused").await?;
    assert!(line.starts_with("authpriv.err portcullis incident.opened [portcullis@32473 "), "{line}");
    assert!(line.contains(&format!("incident=\"{incident}\"")), "{line}");

    // More of the same is told by the policy again and is no news of the incident; its end is.
    refused(&stage).await?;
    receivers.hooks.wait_for(3).await?;
    let console = stage.console().await?;
    let page = console.get(&format!("/incidents/{incident}")).await?;
    let resolve = format!("/incidents/{incident}/resolve");
    assert_eq!(console.post(&resolve, format!("csrf={}&verdict=true-positive", csrf(&page))).await?, 303);
    let types = receivers.hooks.wait_for(4).await?;
    assert_eq!(types, ["incident.opened", "incident.resolved", "policy.notified", "policy.notified"]);

    let page = console.get("/notifications").await?;
    assert!(page.contains(&format!("https://{}", receivers.hooks.address)) && !page.contains("as-good-as"), "{page}");
    assert_eq!(console.post("/notifications/soc/test", format!("csrf={}", csrf(&page))).await?, 303);
    receivers.hooks.wait_for(5).await?;
    stage.wait_for_event("channel-tested", 1).await?;
    let (code, out, err) = stage.portcullis(&["channel", "test", "it"]).await?;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("taken over by soc@example.com, it@example.com"), "{out}");
    assert_eq!(receivers.mails.wait_for(4).await?.len(), 4, "one incident, one test, to two each");
    let (code, _, err) = stage.portcullis(&["channel", "test", "nobody"]).await?;
    assert!(code == 1 && err.contains("there are: soc, it, log"), "{err}");

    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receivers.hooks.heard().len(), 5, "nothing comes twice, and nothing of what was only watched");
    let log = log_of(&stage, "soc").await?;
    assert_eq!((&log["delivered"], &log["waiting"], &log["given_up"]), (&5.into(), &0.into(), &0.into()), "{log}");
    let spoken = stage.log().join("\n");
    for secret in ["as-good-as-a-password", "whsec_", "mail-secret"] {
        assert!(!spoken.contains(secret), "{secret} in the log");
    }
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_was_away_is_told_after_the_gateway_was_killed() -> Result<()> {
    let mut receivers = Receivers::new().await?;
    let mut stage = receivers.stage().await?;
    stage.start().await?;
    refused(&stage).await?;
    stage.wait_for_log("a message did not go out").await?;
    let log = log_of(&stage, "soc").await?;
    assert_eq!((&log["waiting"], &log["delivered"]), (&2.into(), &0.into()), "{log}");
    assert!(log["last_error"][1].is_string(), "{log}");
    receivers.mails.wait_for(2).await?;
    stage.kill()?;

    // It is there again, and has its troubles.
    receivers.hooks.next.lock().unwrap().extend([503, 500]);
    receivers.hooks.open().await?;
    stage.start().await?;
    assert_eq!(receivers.hooks.wait_for(2).await?, ["incident.opened", "policy.notified"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ids: Vec<_> = receivers.hooks.heard().into_iter().map(|(id, _)| id).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    assert_eq!(receivers.mails.wait_for(2).await?.len(), 2, "what has arrived does not come again");
    Ok(())
}

/// What `check` says of the configuration after a change.
async fn check(stage: &Stage, from: &str, to: &str) -> Result<String> {
    let file = stage.folder.path().join("changed.toml");
    let before = std::fs::read_to_string(stage.config_file())?;
    assert!(before.contains(from), "{from}");
    std::fs::write(&file, before.replacen(from, to, 1))?;
    let (code, _, err) = run(vec!["check".to_owned(), "--offline".to_owned(), file.display().to_string()]).await?;
    assert_eq!(code, 1, "{from} -> {to} passed");
    assert!(err.contains("changed.toml:"), "{err}");
    Ok(err)
}

#[tokio::test]
async fn mistakes_are_named_before_anything_starts() -> Result<()> {
    let receivers = Receivers::new().await?;
    let stage = receivers.stage().await?;
    for (from, to, wanted) in [
        (
            "channel = \"soc\"",
            "channel = \"sock\"",
            "notifies the channel `sock`, which does not exist; there are: soc, it, log",
        ),
        ("\nurl = \"https://", "\nurl = \"http://soc.example.com@", "holds a name or password"),
        ("secret = { file = \"soc-secret\" }", "secret = { plain-text = \"s3cr3t\" }", "whsec_"),
        ("kind = \"webhook\"", "kind = \"syslog\"", "url: is none of kind = \"syslog\""),
        ("incidents = \"low\"", "resolved = true", "goes with `incidents`"),
        ("user = \"portcullis\"", "tls = \"none\"\nuser = \"portcullis\"", "would travel in clear text"),
        ("from = \"Portcullis <portcullis@example.com>\"", "from = \"nobody\"", "is no mail address"),
        ("name = \"log\"", "name = \"log\"\nfacility = \"kern\"", "`kern` is not known"),
        ("name = \"log\"", "name = \"log\"\nper-hour = 0", "has to be between 1 and 500"),
    ] {
        let err = check(&stage, from, to).await?;
        assert!(err.contains(wanted) && !err.contains("s3cr3t"), "{wanted} in {err}");
    }
    assert!(Path::new(&stage.config_file()).is_file());
    Ok(())
}
