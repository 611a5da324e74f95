//! Learning from what happened before the gateway was there, with the real binary and slapd.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::okta::Behaviour;
use portcullis_lab::process::Child;
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Setup, Stage, binary, machine};

const DAY: u64 = 86_400_000;
const SECRET: &str = "hunter2-of-somebody";

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("a short time")
}

/// A bind in the form of the administrator's guide.
fn bind(at: u64, account: &str, address: &str) -> Value {
    json!({ "time": at, "account": account, "address": address, "application": "wiki", "operation": "bind", "outcome": "success" })
}

/// Two weeks of ten people who log in twice a day, each on a machine of their own; alice on this one. Later lines stand
/// before earlier ones.
fn two_weeks(stage: &Stage, alices: IpAddr) -> String {
    let begin = now() - 15 * DAY;
    let mut text = String::new();
    for (number, person) in stage.company.people().iter().take(10).enumerate() {
        let address = if person.uid == "alice" { alices.to_string() } else { format!("10.1.0.{number}") };
        // DNs and logins are both names.
        let name = if number % 2 == 0 { &person.dn } else { &person.uid };
        for half_day in 0..28 {
            let at = begin + half_day * DAY / 2 + number as u64 * 60_000;
            writeln!(text, "{}", bind(at, name, &address)).expect("there is room");
        }
    }
    text
}

impl Stage {
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    async fn exported(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let (code, out, err) = self.portcullis(&[["events", "export"].as_slice(), arguments].concat()).await?;
        ensure!(code == 0, "export: {err}");
        out.lines().map(|line| serde_json::from_str(line).context("an event is no JSON")).collect()
    }

    /// What is known of accounts, of a gateway that has ended.
    async fn learned(&self) -> Result<Vec<Value>> {
        let (code, out, err) = self.portcullis(&["accounts", "learned"]).await?;
        ensure!(code == 0, "learned: {err}");
        out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    async fn is_intact(&self) -> Result<()> {
        let (code, out, err) = self.portcullis(&["events", "verify"]).await?;
        ensure!(code == 0 && out.starts_with("intact: "), "{out}{err}");
        Ok(())
    }
}

fn signals(access: &Value) -> Vec<&str> {
    let all = access["access"]["signals"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|signal| signal["name"].as_str()).collect()
}

#[tokio::test]
async fn history_makes_the_known_machine_unremarkable_and_another_one_unusual() -> Result<()> {
    let stage = Stage::new(Setup { learning_accesses: 20, ..Setup::default() }).await?;
    let usual = machine();
    let mut text = two_weeks(&stage, usual);
    let good = text.lines().count();
    let bad = [
        json!({ "time": now(), "account": "alice", "password": SECRET }).to_string(),
        bind(now() + DAY, "alice", "10.0.0.1").to_string(),
        bind(now() - DAY, "nobody-of-this-name", "10.0.0.1").to_string(),
        format!("{{\"{SECRET}"),
    ];
    text.push_str(&bad.join("\n"));
    text.push_str(&format!("\n{}\n", bind(now() - 400 * DAY, "alice", "10.0.0.66")));
    let file = stage.write("history.ndjson", &text)?;

    let (code, out, err) = stage.portcullis(&["events", "import", &file, "--strict"]).await?;
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("nothing was stored"), "{err}");
    assert!(stage.exported(&["--kind", "imported"]).await?.is_empty());

    // The gateway runs, and goes on running.
    let (code, out, err) = stage.portcullis(&["events", "import", &file, "--origin", "old slapd"]).await?;
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains(&format!("{good} stored")) && out.contains("1 too old") && out.contains("4 no good"), "{out}");
    for (number, words) in (good + 1..).zip(["`password`", "of the future", "no account", "no JSON"]) {
        let line = err.lines().find(|line| line.starts_with(&format!("line {number}: ")));
        assert!(line.is_some_and(|line| line.contains(words)), "{number} {words}: {err}");
    }
    assert!(!err.contains(SECRET) && !out.contains(SECRET), "{err}{out}");
    stage.wait_for_log("learned from imported events").await?;
    let imported = stage.exported(&["--kind", "imported"]).await?;
    assert_eq!(imported.len(), good);
    assert_eq!(imported[0]["origin"], "old slapd");
    let times: Vec<_> = imported.iter().map(|event| event["event"]["access"]["at"].as_u64()).collect();
    assert!(times.is_sorted(), "they are stored in the order of their times");
    stage.wait_for_event("import-finished", 1).await?;
    let events = stage.events().await?;
    let told = events.iter().find(|event| event["action"] == "import-finished").expect("it was waited for");
    let started = events.iter().find(|event| event["action"] == "import-started").expect("it has begun");
    assert_eq!(imported[0]["import"], started["id"]);
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("SHA-256 ")), "{told}");

    let (code, message) = stage.bind_from(usual, "alice", "alice-secret").await?;
    assert_eq!(code, 0, "{message}");
    let access = stage.last_access().await?;
    assert_eq!(access["access"]["endpoint"]["associated"], true, "{access}");
    assert!(signals(&access).iter().all(|name| !name.starts_with("unusual-")), "{access}");
    stage.okta.on_push("alice@example.com", Behaviour::RejectAfter(Duration::ZERO))?;
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 49);
    assert!(signals(&stage.last_access().await?).contains(&"unusual-endpoint"));
    assert_eq!(stage.okta.pushes_started("alice@example.com")?, 1, "history asks nobody");
    let about: Vec<_> = stage.console().await?.incidents().await?;
    assert_eq!(about.len(), 1, "history opens no incidents: {about:?}");
    stage.is_intact().await?;

    // The same again.
    let (_, out, _) = stage.portcullis(&["events", "import", &file]).await?;
    assert!(out.contains(" 0 stored") && out.contains(&format!("{good} there already")), "{out}");
    let folder = stage.folder.path().join("data");
    for file in std::fs::read_dir(folder)? {
        let path: PathBuf = file?.path();
        if path.is_file() {
            let octets = std::fs::read(&path)?;
            assert!(!octets.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{}", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_where_it_was() -> Result<()> {
    const LINES: u64 = 20_000;
    let mut stage = Stage::new(Setup { learning_accesses: 20, ..Setup::default() }).await?;
    let begin = now() - 20 * DAY;
    let line = |number: u64| bind(begin + number * 60_000, "alice", &format!("10.2.{}.1", number % 20)).to_string();
    let text = (0..LINES).map(line).collect::<Vec<_>>().join("\n");
    let file = stage.write("many.ndjson", &text)?;
    stage.stop()?;
    let mut command = Command::new(binary()?);
    command.args(["events", "import", &file, "--config"]).arg(stage.config_file());
    let mut import = Child::spawn("import", command)?;
    let begun = Instant::now();
    // The file that SQLite adds to first grows with each part.
    let log = stage.folder.path().join("data/portcullis.db-wal");
    while std::fs::metadata(&log).map_or(0, |data| data.len()) < 1 << 20 {
        ensure!(begun.elapsed() < PATIENCE && import.try_wait()?.is_none(), "it was not caught at it");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    import.kill()?;
    let before = stage.exported(&["--kind", "imported"]).await?.len() as u64;
    assert!(before > 0 && before < LINES, "{before} of {LINES} were stored when it was killed");
    // With a gateway that learns from the first part meanwhile, and is killed as well.
    stage.start().await?;
    let (code, out, err) = stage.portcullis(&["events", "import", &file]).await?;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("{} stored, {before} there already", LINES - before)), "{out}");
    stage.kill()?;
    let imported = stage.exported(&["--kind", "imported"]).await?;
    let ids: HashSet<_> = imported.iter().map(|event| event["event"]["access"]["id"].as_str()).collect();
    assert_eq!((imported.len() as u64, ids.len() as u64), (LINES, LINES));
    stage.is_intact().await?;
    stage.start().await?;
    // What takes longer than the start is learned soon after it.
    let begun = Instant::now();
    loop {
        let usual = stage.learned().await?.into_iter().find(|known| known["usual"]["login"] == "alice");
        let logins = usual.as_ref().map_or(0, |known| known["usual"]["logins"].as_u64().unwrap_or(0));
        assert!(logins <= LINES, "{logins} were learned of {LINES}");
        if logins == LINES {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "{logins} were learned of {LINES}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let starts = stage.events().await?.iter().filter(|event| event["action"] == "import-started").count();
    assert_eq!(starts, 2, "the one that was killed is on record");
    Ok(())
}

#[tokio::test]
async fn an_export_teaches_another_gateway_the_same() -> Result<()> {
    let mut first = Stage::new(Setup { learning_accesses: 100, ..Setup::default() }).await?;
    let machines = [machine(), machine(), machine()];
    for round in 0..4 {
        for (number, uid) in ["alice", "bob", "carol"].into_iter().enumerate() {
            first.learn(machines[(number + round) % 3], uid).await?;
        }
    }
    // A success in between, so that it does not matter how many wrong passwords of the last hour were the same.
    assert_eq!(first.bind_from(machines[0], "bob", "wrong").await?.0, 49);
    first.stop()?;
    let file = first.folder.path().join("export.ndjson");
    let path = file.display().to_string();
    let (code, out, err) = first.portcullis(&["events", "export", "--output", &path]).await?;
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let (code, _, err) = first.portcullis(&["events", "export", "--output", &path]).await?;
    assert!(code == 1 && err.contains("not replaced"), "{err}");
    let all = std::fs::read_to_string(&file)?.lines().count();
    assert_eq!(first.exported(&[]).await?.len(), all);
    assert_eq!(first.exported(&["--kind", "access"]).await?.len(), 13);
    assert!(first.exported(&["--to", "2026-01-01T00:00:00Z"]).await?.is_empty());
    assert_eq!(first.exported(&["--from", "2026-01-01T00:00:00Z"]).await?.len(), all);

    let mut second = Stage::new(Setup { learning_accesses: 100, ..Setup::default() }).await?;
    let (code, out, err) = second.portcullis(&["events", "import", &path]).await?;
    assert_eq!(code, 0, "{out}{err}");
    second.wait_for_log("learned from imported events").await?;
    second.stop()?;
    let (here, there) = (first.learned().await?, second.learned().await?);
    assert_eq!(here.len(), 3, "{here:?}");
    assert_eq!(there, here);
    // Back again: it is all there.
    let (code, out, err) = first.portcullis(&["events", "import", &path]).await?;
    assert!(code == 0 && out.contains(" 0 stored"), "{out}{err}");
    Ok(())
}

/// The lines are as slapd and rsyslog write them.
const SLAPD_LOG: &str = r#"@ ldap slapd[812]: conn=1000 fd=12 ACCEPT from IP=10.1.2.3:52110 (IP=0.0.0.0:389)
@ ldap slapd[812]: conn=1000 op=0 BIND dn="uid=alice" method=128
@ ldap slapd[812]: conn=1000 op=0 BIND dn="uid=alice" mech=SIMPLE bind_ssf=0 ssf=0
@ ldap slapd[812]: conn=1000 op=0 RESULT tag=97 err=0 qtime=0.000010 etime=0.000150 text=
@ ldap slapd[812]: conn=1000 op=1 SRCH base="dc=example,dc=com" scope=2 deref=0 filter="(uid=x)"
@ ldap slapd[812]: conn=1000 op=1 SEARCH RESULT tag=101 err=0 qtime=0.000010 etime=0.000150 nentries=1 text=
@ ldap slapd[812]: conn=1001 fd=13 ACCEPT from IP=[2001:db8::7]:52111 (IP=[::]:389)
@ ldap slapd[812]: conn=1001 op=0 BIND dn="cn=a\2Cb \"q\",dc=example" method=128
@ ldap slapd[812]: conn=1001 op=0 RESULT tag=97 err=49 qtime=0.000010 etime=0.000150 text=
@ ldap slapd[812]: conn=1001 fd=13 closed
"#;

#[tokio::test]
async fn the_guide_s_script_reads_slapd_s_log() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/administration.md");
    let guide = std::fs::read_to_string(guide)?;
    let script = guide.split("```awk\n").nth(1).and_then(|rest| rest.split("```").next()).context("no script")?;
    let script = stage.write("slapd.awk", script)?;
    let log = stage.write("slapd.log", &SLAPD_LOG.replace('@', "2026-11-20T08:30:00.125000+00:00"))?;
    let made = Command::new("awk").args(["-f", &script, &log]).output().context("awk")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout)?;
    let lines: Vec<Value> = made.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), 2, "{made}");
    assert_eq!((&lines[0]["account"], &lines[0]["address"]), (&json!("uid=alice"), &json!("10.1.2.3")));
    assert_eq!(
        (&lines[1]["account"], &lines[1]["outcome"]),
        (&json!(r#"cn=a\2Cb \"q\",dc=example"#), &json!("failure"))
    );
    // As long ago as is good, whatever the date.
    let text = made.replace("uid=alice", &stage.dn("alice"));
    let text = text.replace("\"2026-11-20T08:30:00.125000+00:00\"", &(now() - DAY).to_string());
    let file = stage.write("slapd.ndjson", &text)?;
    let (code, out, err) = stage.portcullis(&["events", "import", &file, "--strict"]).await?;
    assert!(code == 0 && out.contains("2 stored"), "{out}{err}");
    let imported = stage.exported(&["--kind", "imported"]).await?;
    assert_eq!(imported[0]["event"]["access"]["target"]["application"], "wiki", "the only listener there is");
    Ok(())
}
