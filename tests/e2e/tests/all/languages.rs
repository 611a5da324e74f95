//! Policies in other languages: their cases, and their word in a running gateway. The sandbox knows no language.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::client::LdapClient;

use crate::stage::{PATIENCE, Setup, Stage, dist, machine, run};

const ALICE: &str = "alice@example.com";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The policies, and how many cases there are at least.
const POLICIES: [(&str, usize); 3] = [("rules", 100), ("office-hours", 30), ("service-networks", 25)];

/// A command about a component of `dist`.
async fn portcullis(command: [&str; 2], component: &str, more: &[PathBuf]) -> Result<(i32, String, String)> {
    let component = dist().join(format!("plugins/{component}.wasm"));
    ensure!(component.is_file(), "{} is missing: run `cargo xtask plugins --all` first", component.display());
    let key = dist().join("keys/dev.pub").display().to_string();
    let words = command.into_iter().map(str::to_owned).chain(["--key".to_owned(), key]);
    let files = [component].into_iter().chain(more.iter().cloned()).map(|path| path.display().to_string());
    run(words.chain(files).collect()).await
}

fn cases_of(policy: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(policy).join("cases");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

#[tokio::test]
async fn every_policy_decides_its_cases_as_their_tables_say() -> Result<()> {
    for (policy, at_least) in POLICIES {
        let (code, out, err) = portcullis(["policy", "test"], policy, &cases_of(policy)?).await?;
        let (said, last) = (format!("{policy}\n{out}{err}"), out.lines().last().unwrap_or_default());
        assert_eq!(code, 0, "{said}");
        let passed = last.strip_suffix(" passed, 0 failed").and_then(|count| count.parse::<usize>().ok());
        assert!(passed.is_some_and(|count| count >= at_least), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_case_that_is_decided_in_another_way_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("wrong.toml");
    let settings = "about = \"wrong\"\n[settings]\nnetworks = [\"10.0.0.0/8\"]\n";
    let cases = r#"
[needs]
operations = ["search"]
[[case]]
name = "right"
access = { kind = "service" }
verdict = "abstain"
[[case]]
name = "verdict"
access = { kind = "service" }
verdict = "block"
[[case]]
name = "effects"
access = { kind = "service", address = "192.0.2.1" }
verdict = "block"
[[case]]
name = "reason"
access = { kind = "service" }
verdict = "abstain"
reason = "because"
[[mistake]]
name = "taken"
settings = { networks = ["10.0.0.0/8"] }
problems = ["/networks: wrong"]
[[mistake]]
name = "another place"
settings = { networks = ["ten"] }
problems = ["/networks/1: is no network"]
"#;
    std::fs::write(&file, format!("{settings}{cases}"))?;
    let (code, out, _) = portcullis(["policy", "test"], "service-networks", std::slice::from_ref(&file)).await?;
    assert_eq!((code, out.lines().last()), (1, Some("1 passed, 6 failed")), "{out}");
    for name in ["needs", "verdict", "effects", "reason", "taken", "another place"] {
        assert!(out.contains(&format!("wrong.toml, {name}: ")), "{name}: {out}");
    }

    // A word that the format does not have is no case that passes.
    std::fs::write(&file, format!("{settings}[[case]]\nname = \"x\"\nverdict = \"abstain\"\nefects = []\n"))?;
    let (code, _, err) = portcullis(["policy", "test"], "service-networks", std::slice::from_ref(&file)).await?;
    assert!(code == 1 && err.contains("wrong.toml") && err.contains("efects"), "{err}");
    Ok(())
}

#[tokio::test]
async fn the_examples_import_the_contract_alone() -> Result<()> {
    for (policy, _) in POLICIES {
        let (code, out, err) = portcullis(["plugin", "inspect"], policy, &[]).await?;
        assert_eq!(code, 0, "{err}");
        let imports = out.lines().find_map(|line| line.strip_prefix("imports:")).context("no imports")?;
        let allowed = ["types", "log", "facts"].map(|name| format!("portcullis:gateway/{name}@0.1.0"));
        for import in imports.split(',').map(str::trim).filter(|import| !import.is_empty()) {
            assert!(allowed.iter().any(|allowed| allowed == import), "{policy} imports {import}");
        }
    }
    Ok(())
}

/// The office is open on one day of the week alone, which is in three days.
fn closed_now() -> Result<String> {
    let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    // 1970-01-01 was a Thursday.
    let day = DAYS[usize::try_from((days + 3 + 3) % 7)?];
    Ok(format!("{{ {day} = \"08:00-18:00\" }}"))
}

fn setup(outside: &str) -> Result<Setup> {
    let policies = format!(
        r#"
[[policy]]
name = "fences"
plugin = "service-networks.wasm"
[policy.settings]
networks = ["192.0.2.0/24"]
accounts = [{{ login = "backup", networks = ["127.0.0.0/8", "::1"] }}]

[[policy]]
name = "hours"
plugin = "office-hours.wasm"
[policy.settings]
groups = ["engineers"]
hours = {hours}
{outside}
"#,
        hours = closed_now()?
    );
    Ok(Setup { policies, ..Setup::default() })
}

async fn bind_service(stage: &Stage, name: &str) -> Result<i64> {
    let service = stage.company.service(name)?;
    let mut client = LdapClient::connect(stage.ldap, machine()).await?;
    client.set_timeout(PATIENCE);
    let result = client.bind(&service.dn, &service.password).await?;
    client.unbind().await?;
    Ok(i64::from(result.code as i32))
}

#[tokio::test]
async fn a_policy_in_c_keeps_a_service_account_in_its_networks() -> Result<()> {
    let stage = Stage::new(setup("outside = \"block\"")?).await?;
    assert_eq!(bind_service(&stage, "backup").await?, 0, "from one of its own networks");
    assert_eq!(bind_service(&stage, "wiki").await?, 49, "not from the networks of all others");
    let event = stage.last_access().await?;
    assert_eq!((&event["decision"], &event["decided_by"]), (&"block".into(), &"fences".into()), "{event}");
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 0, "people are not its business");
    let incidents = stage.console().await?.incidents().await?;
    let told = incidents.iter().any(|incident| {
        incident["title"] == "Service account outside of its networks" && incident["severity"] == "high"
    });
    assert!(told, "{incidents:?}");
    Ok(())
}

#[tokio::test]
async fn a_policy_in_javascript_blocks_outside_of_its_hours() -> Result<()> {
    let stage = Stage::new(setup("outside = \"block\"")?).await?;
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 49, "an engineer");
    let event = stage.last_access().await?;
    assert_eq!((&event["decision"], &event["decided_by"]), (&"block".into(), &"hours".into()), "{event}");
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 0, "and no engineer");
    assert_eq!(stage.okta.pushes_started(ALICE)?, 0);
    Ok(())
}

#[tokio::test]
async fn a_policy_in_javascript_asks_for_a_second_factor() -> Result<()> {
    let outside = "outside = \"challenge\"\nconnector = \"okta-verify\"\ntimeout-seconds = 20";
    let stage = std::sync::Arc::new(Stage::new(setup(outside)?).await?);
    for (answered, code) in [(true, 0), (false, 49)] {
        let before = stage.okta.pushes_started(ALICE)?;
        let binding = {
            let stage = stage.clone();
            tokio::spawn(async move { stage.bind_from(machine(), "alice", "alice-secret").await })
        };
        stage.wait_for_pushes(ALICE, before + 1).await?;
        if answered {
            stage.okta.approve(ALICE)?;
        } else {
            stage.okta.reject(ALICE)?;
        }
        assert_eq!(binding.await??.0, code, "approved: {answered}");
        assert_eq!(stage.last_access().await?["decided_by"], "hours");
    }
    let incidents = stage.console().await?.incidents().await?;
    assert!(incidents.iter().any(|i| i["title"] == "Second factor denied outside of office hours"), "{incidents:?}");
    Ok(())
}

#[tokio::test]
async fn wrong_settings_are_refused_with_their_place() -> Result<()> {
    let mut wrong = setup("outside = \"chalenge\"")?;
    wrong.policies = wrong.policies.replace("\"::1\"]", "\"::1/129\"]");
    let mut stage = Stage::without_gateway(wrong).await?;
    let (code, _, err) =
        run(vec!["check".into(), "--offline".into(), stage.config_file().display().to_string()]).await?;
    assert_eq!(code, 1, "{err}");
    let text = std::fs::read_to_string(stage.config_file())?;
    let line = |part: &str| text.lines().position(|line| line.contains(part)).map(|index| index + 1);
    let of_c = format!(
        "portcullis.toml:{}: policy.0.settings.accounts.0.networks.1: has a longer prefix",
        line("::1/129").context("no such line")?
    );
    let of_javascript = format!(
        "portcullis.toml:{}: policy.1.settings.outside: has to be challenge or block",
        line("chalenge").context("no such line")?
    );
    assert!(err.contains(&of_c) && err.contains(&of_javascript), "{err}");
    assert!(stage.start().await.is_err(), "and it does not start with them");
    Ok(())
}

#[tokio::test]
async fn a_connector_that_only_the_policys_needs_name_has_to_exist() -> Result<()> {
    let stage = Stage::without_gateway(setup("outside = \"challenge\"\nconnector = \"okta-verfiy\"")?).await?;
    let (code, _, err) =
        run(vec!["check".into(), "--offline".into(), stage.config_file().display().to_string()]).await?;
    assert!(code == 1 && err.contains("the connector `okta-verfiy`, which does not exist"), "{err}");
    Ok(())
}
