//! Drafts, revisions and backtests of policies, through the console's API and on the command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portcullis_lab::client::LdapClient;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stage::{Console, PATIENCE, Setup, Stage, machine};

/// Blocks everybody, but in monitor mode.
const WATCHED: &str = r#"
[[policy]]
name = "nobody"
plugin = "rules.wasm"
mode = "monitor"
[[policy.settings.rules]]
name = "Nobody"
operations = ["bind"]
then = "block"
"#;

/// Form encoding of a text.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The console of somebody who works on policies.
struct Desk {
    console: Console,
    csrf: String,
}

impl Desk {
    async fn new(stage: &Stage) -> Result<Self> {
        let console = stage.console().await?;
        let page = console.get("/policy").await?;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let csrf = csrf.context("a form")?.to_owned();
        Ok(Self { console, csrf })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.console.get(&format!("/api/v1/policies{path}")).await?)?)
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<u16> {
        let fields: String = fields.iter().map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        self.console.post(&format!("/api/v1/policies{path}"), format!("csrf={}{fields}", self.csrf)).await
    }

    /// Number and list of what is in force.
    async fn in_force(&self) -> Result<(u64, Value)> {
        let revision = self.get("").await?["revision"].clone();
        Ok((revision["number"].as_u64().context("a number")?, revision["policies"].clone()))
    }

    /// Saves the list in place of the draft.
    async fn save(&self, list: &Value) -> Result<u64> {
        let version = self.get("/draft").await?["version"].as_u64().context("a version")?;
        let status =
            self.post("/draft/save", &[("version", &version.to_string()), ("policies", &list.to_string())]).await?;
        ensure!(status == 200, "saving gave {status}");
        Ok(version + 1)
    }
}

/// Somebody who binds again and again on one connection, and the latest answer.
struct Binds {
    stop: Arc<AtomicBool>,
    latest: tokio::sync::watch::Receiver<(u64, i64)>,
    task: JoinHandle<Result<Vec<i64>>>,
}

impl Binds {
    fn begin(stage: &Stage) -> Self {
        let (address, dn) = (stage.ldap, stage.dn("alice"));
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, latest) = tokio::sync::watch::channel((0, -1));
        let task = tokio::spawn({
            let stop = Arc::clone(&stop);
            async move {
                let mut client = LdapClient::connect(address, machine()).await?;
                client.set_timeout(PATIENCE);
                let mut codes = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let code = i64::from(client.bind(&dn, "alice-secret").await?.code as i32);
                    codes.push(code);
                    tell.send_modify(|(count, latest)| (*count, *latest) = (*count + 1, code));
                }
                Ok(codes)
            }
        });
        Self { stop, latest, task }
    }

    /// Waits for a bind that began after now and gave this code.
    async fn give(&mut self, code: i64) -> Result<Duration> {
        let begun = Instant::now();
        let seen = self.latest.borrow().0;
        let given = self.latest.wait_for(|(count, latest)| *count > seen + 1 && *latest == code);
        tokio::time::timeout(PATIENCE, given).await.with_context(|| format!("no bind gave {code}"))??;
        Ok(begun.elapsed())
    }

    async fn end(self) -> Result<Vec<i64>> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

#[tokio::test]
async fn a_draft_is_applied_between_two_binds_reverted_and_outlives_the_process() -> Result<()> {
    let mut stage = Stage::new(Setup { policies: WATCHED.to_owned(), ..Setup::default() }).await?;
    let desk = Desk::new(&stage).await?;
    let (number, mut list) = desk.in_force().await?;
    assert_eq!((number, &list[0]["mode"]), (1, &json!("monitor")), "the file's list is the first revision");
    let mut binds = Binds::begin(&stage);
    binds.give(0).await?;

    // Settings that the component refuses are named, and nothing happens.
    list[0]["mode"] = json!("enforce");
    let mut wrong = list.clone();
    wrong[0]["settings"]["rules"][0]["then"] = json!("blok");
    let version = desk.save(&wrong).await?;
    let draft = desk.get("/draft").await?;
    let field = draft["draft"]["problems"][0]["field"].as_str().context("a problem")?.to_owned();
    assert!(field.starts_with("settings/rules/0/then"), "{draft}");
    assert_eq!(desk.post("/draft/apply", &[("version", &version.to_string())]).await?, 422);
    binds.give(0).await?;

    let version = desk.save(&list).await?;
    let draft = desk.get("/draft").await?;
    assert_eq!(draft["draft"]["difference"][0]["changes"][0]["mode"], json!({ "from": "monitor", "to": "enforce" }));
    assert_eq!(desk.post("/draft/apply", &[("version", &(version - 1).to_string())]).await?, 409, "an older one");
    let fields = [("version", &*version.to_string()), ("comment", "No more watching")];
    assert_eq!(desk.post("/draft/apply", &fields).await?, 200);
    // It is in force when the answer is there.
    binds.give(49).await?;
    assert_eq!(desk.post("/revert", &[("revision", "1")]).await?, 200);
    binds.give(0).await?;
    assert_eq!(desk.post("/revert", &[("revision", "2")]).await?, 200);
    binds.give(49).await?;
    let codes = binds.end().await?;
    let turns = codes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!((turns, codes.iter().all(|code| [0, 49].contains(code))), (3, true), "{codes:?}");
    let events = stage.events().await?;
    let applied: Vec<_> = events.iter().filter(|event| event["action"] == "policies-applied").collect();
    let by: Vec<_> = applied.iter().map(|event| event["actor"].as_str().unwrap_or_default()).collect();
    assert_eq!(by, ["configuration file", "admin", "admin", "admin"]);
    assert!(applied[1]["detail"].as_str().unwrap_or_default().contains("No more watching"), "{applied:?}");
    let doings = desk.get("").await?["doings"]["nobody"]["verdicts"]["block"].as_u64();
    assert_eq!(doings, Some(codes.len() as u64), "every bind was counted");

    // The store knows better than the file, which has not changed.
    stage.stop()?;
    stage.start().await?;
    let said = stage.wait_for_log("policies: revision 4").await?;
    assert!(said.contains("by admin, in force; the file has not changed since revision 1"), "{said}");
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 49);

    // A file that has another list than before has its say again.
    let text = std::fs::read_to_string(stage.config_file())?;
    std::fs::write(stage.config_file(), text.replace("name = \"Nobody\"", "name = \"Still nobody\""))?;
    stage.gateway().signal(Signal::SIGHUP)?;
    stage.wait_for_event("plugins-reloaded", 1).await?;
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 0, "in monitor mode, as the file says");
    let revision = desk.get("").await?["revision"].clone();
    assert_eq!((&revision["number"], &revision["actor"]), (&json!(5), &json!("configuration file")));
    stage.stop()?;
    stage.start().await?;
    stage.wait_for_log("policies: revision 5").await?;
    Ok(())
}

#[tokio::test]
async fn the_command_line_drafts_tries_applies_and_reverts_while_the_gateway_runs() -> Result<()> {
    let stage = Stage::new(Setup { policies: WATCHED.to_owned(), ..Setup::default() }).await?;
    for _ in 0..3 {
        assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 0);
    }
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 0);
    assert_eq!(stage.bind_from(machine(), "bob", "wrong").await?.0, 49);
    let draft = stage.folder.path().join("draft.toml");
    let text = WATCHED
        .replace("mode = \"monitor\"", "mode = \"enforce\"")
        .replace("operations = [\"bind\"]", "operations = [\"bind\"]\nwhen = { login = [\"alice\"] }");
    std::fs::write(&draft, &text)?;
    let path = draft.display().to_string();

    let (code, out, err) = stage.portcullis(&["policy", "backtest", "--json", "--file", &path]).await?;
    ensure!(code == 0, "{err}");
    let report: Value = serde_json::from_str(&out)?;
    assert_eq!((&report["read"], &report["evaluated"], &report["not_decided"]), (&json!(5), &json!(4), &json!(1)));
    assert_eq!((&report["touched"], &report["touched_percent"]), (&json!(3), &json!(75.0)), "{report}");
    let change = &report["changes"][0];
    assert_eq!((&change["from"], &change["to"], &change["count"]), (&json!("allow"), &json!("block"), &json!(3)));
    assert_eq!((&report["accounts"][0]["name"], &report["accounts"][0]["changed"]), (&json!("alice"), &json!(3)));
    assert_eq!(report["accounts_affected"], 1);
    assert_eq!(
        (&report["applications"][0]["name"], &report["applications"][0]["changed"]),
        (&json!("wiki"), &json!(3))
    );

    let (code, out, _) = stage.portcullis(&["policy", "diff"]).await?;
    assert_eq!((code, out.trim()), (0, "there is no draft"));
    let (code, out, err) = stage.portcullis(&["policy", "draft", &path]).await?;
    ensure!(code == 0, "{err}");
    assert!(out.contains("policy nobody: mode: monitor → enforce"), "{out}");
    assert!(out.contains("policy nobody: settings/rules/0/when: nothing → {\"login\":[\"alice\"]}"), "{out}");
    let (_, out, _) = stage.portcullis(&["policy", "backtest"]).await?;
    assert!(out.contains("allow → block 3 (for instance "), "{out}");
    let (code, out, err) = stage.portcullis(&["policy", "apply", "--comment", "Alice has left"]).await?;
    ensure!(code == 0, "{err}");
    assert!(out.contains("revision 2 is stored"), "{out}");
    let begun = Instant::now();
    while stage.bind_from(machine(), "alice", "alice-secret").await?.0 != 49 {
        ensure!(begun.elapsed() < PATIENCE, "the gateway has not noticed:\n{}", stage.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 0);
    // What was decided by the list and is tried on it is the same.
    let (_, out, _) = stage.portcullis(&["policy", "backtest", "--revision", "2", "--json", "--days", "1"]).await?;
    let report: Value = serde_json::from_str(&out)?;
    let blocked = stage.accesses().await?.iter().filter(|event| event["decision"] == "block").count() as u64;
    let changed = report["changed"].as_u64().context("a number")?;
    assert_eq!(report["touched"].as_u64(), Some(changed + blocked), "{report}");

    let (_, out, _) = stage.portcullis(&["policy", "revisions"]).await?;
    assert!(out.lines().next().unwrap_or_default().ends_with("Alice has left") && out.lines().count() == 2, "{out}");
    let (code, _, err) = stage.portcullis(&["policy", "revert", "9"]).await?;
    assert_eq!((code, err.contains("there is no revision 9")), (1, true), "{err}");
    assert_eq!(stage.portcullis(&["policy", "revert", "1"]).await?.0, 0);
    let begun = Instant::now();
    while stage.bind_from(machine(), "alice", "alice-secret").await?.0 != 0 {
        ensure!(begun.elapsed() < PATIENCE, "the gateway has not noticed:\n{}", stage.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, out, _) = stage.portcullis(&["policy", "list"]).await?;
    assert!(out.starts_with("revision 3 of ") && out.contains("nobody (rules.wasm): monitor, fail closed"), "{out}");
    std::fs::write(&draft, text.replace("\"block\"", "\"blok\""))?;
    let (code, out, _) = stage.portcullis(&["policy", "draft", &path]).await?;
    assert_eq!((code, out.contains("problem: policy nobody: settings/rules/0/then")), (1, true), "{out}");
    assert_eq!(stage.portcullis(&["policy", "apply"]).await?.0, 1, "it cannot be applied");
    assert_eq!(stage.portcullis(&["policy", "drop"]).await?.0, 0);
    Ok(())
}

#[tokio::test]
async fn a_revision_that_the_gateway_cannot_load_is_not_shown_as_in_force() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    let desk = Desk::new(&stage).await?;
    // A connector that the command line finds in the file, and the gateway knows nothing of yet.
    let text = std::fs::read_to_string(stage.config_file())?;
    let (before, rest) = text.split_once("[[connector]]").context("a connector")?;
    let (connector, after) = rest.split_once("[behavior]").context("what comes behind it")?;
    let another = connector.replacen("name = \"okta-verify\"", "name = \"another\"", 1);
    let with_another = format!("{before}[[connector]]{connector}[[connector]]{another}[behavior]{after}");
    std::fs::write(stage.config_file(), with_another)?;
    let (_, policies) = text.split_once("[[policy]]").context("a policy")?;
    let policies = policies.replace("connector = \"okta-verify\"", "connector = \"another\"");
    let draft = stage.folder.path().join("draft.toml");
    std::fs::write(&draft, format!("[[policy]]{policies}"))?;
    let (code, _, err) = stage.portcullis(&["policy", "draft", &draft.display().to_string()]).await?;
    ensure!(code == 0, "{err}");
    let (code, _, err) = stage.portcullis(&["policy", "apply"]).await?;
    ensure!(code == 0, "{err}");
    stage.wait_for_event("policies-not-applied", 1).await?;
    let shown = desk.get("").await?;
    assert_eq!((&shown["revision"]["number"], &shown["refused"]["number"]), (&json!(1), &json!(2)), "{shown}");
    let page = desk.console.get("/policy").await?;
    assert!(page.contains("Revision 2 is stored and not in force: "), "{page}");

    stage.gateway().signal(Signal::SIGHUP)?;
    stage.wait_for_event("plugins-reloaded", 1).await?;
    let shown = desk.get("").await?;
    assert_eq!((&shown["revision"]["number"], &shown["refused"]), (&json!(2), &Value::Null), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_backtest_in_the_gateway_ends_with_a_report_on_the_page() -> Result<()> {
    let stage = Stage::new(Setup { policies: WATCHED.to_owned(), ..Setup::default() }).await?;
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 0);
    let desk = Desk::new(&stage).await?;
    let (_, mut list) = desk.in_force().await?;
    list[0]["mode"] = json!("enforce");
    desk.save(&list).await?;
    assert_eq!(desk.post("/backtest/start", &[("of", "draft"), ("days", "2")]).await?, 202);
    let begun = Instant::now();
    let report = loop {
        let state = desk.get("/backtest").await?;
        if state["running"] == false {
            break state["report"].clone();
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not end: {state}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&report["changed"], &report["accounts"][0]["name"]), (&json!(1), &json!("alice")), "{report}");
    assert!(desk.console.get("/policy").await?.contains("allowed → blocked"));
    Ok(())
}
