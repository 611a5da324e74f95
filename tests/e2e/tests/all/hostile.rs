//! Policies that trap, loop or eat memory: each fails as configured and is an incident, and the others go on.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::faults::copy_of_plugins;
use crate::stage::{Setup, Stage, dist, machine, run};

#[path = "../../../../host/engine/tests/support/guest.rs"]
#[allow(dead_code, unreachable_pub, reason = "of what the engine's tests build, these need a part")]
mod guest;

/// What each does when it is evaluated.
const HOSTILE: [(&str, &str); 3] = [
    ("traps", "unreachable"),
    ("loops", "(loop $again (br $again))"),
    ("eats", "(loop $again (drop (memory.grow (i32.const 16))) (br $again))"),
];

/// A policy that does no harm, and has something to say to bob.
const HEALTHY: &str = r#"
[[policy]]
name = "healthy"
plugin = "rules.wasm"
settings.rules = [{ name = "Not bob", when = { login = ["bob"] }, then = "block" }]
"#;

/// The plugins with these beside them, signed with the key that is trusted.
async fn plugins() -> Result<tempfile::TempDir> {
    let folder = copy_of_plugins()?;
    for (name, body) in HOSTILE {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, guest::policy(&guest::About { name, ..guest::About::default() }, body))?;
        let key = dist().join("keys/dev.key").display().to_string();
        let file = file.display().to_string();
        let signed = run(["plugin", "sign", "--key", &key, &file].map(str::to_owned).to_vec()).await?;
        ensure!(signed.0 == 0, "{}", signed.2);
    }
    Ok(folder)
}

fn policy(name: &str, fail: &str) -> String {
    format!("\n[[policy]]\nname = \"{name}\"\nplugin = \"{name}.wasm\"\nfail = \"{fail}\"\n")
}

/// The names of the policies that could not be evaluated.
async fn failed(stage: &Stage) -> Result<Vec<String>> {
    let incidents = stage.console().await?.incidents().await?;
    let of_gateway = incidents.iter().filter(|incident| incident["login"] == "(gateway)");
    let mut names: Vec<_> = of_gateway.filter_map(|incident| incident["source"].as_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn open_ones_abstain_and_the_next_policy_decides() -> Result<()> {
    let folder = plugins().await?;
    let policies = HOSTILE.iter().map(|(name, _)| policy(name, "open")).collect::<String>() + HEALTHY;
    let setup = Setup { policies, plugins: Some(folder.path().to_owned()), ..Setup::default() };
    let stage = std::sync::Arc::new(Stage::new(setup).await?);
    let binds: Vec<_> = (0..12)
        .map(|number| {
            let (stage, uid) = (stage.clone(), if number % 2 == 0 { "alice" } else { "bob" });
            tokio::spawn(async move {
                let answer = stage.bind_from(machine(), uid, &format!("{uid}-secret")).await?;
                anyhow::Ok((uid, answer.0))
            })
        })
        .collect();
    for bind in binds {
        let (uid, code) = bind.await??;
        assert_eq!(code, if uid == "alice" { 0 } else { 49 }, "{uid}");
    }
    let accesses = stage.accesses().await?;
    let of_bob = accesses.iter().find(|access| access["access"]["account"]["login"] == "bob").cloned();
    let of_bob = of_bob.unwrap_or(Value::Null);
    assert_eq!((&of_bob["decision"], &of_bob["decided_by"]), (&"block".into(), &"healthy".into()), "{of_bob}");
    assert_eq!(failed(&stage).await?, ["eats", "loops", "traps"]);
    Ok(())
}

#[tokio::test]
async fn closed_ones_block_whoever_it_is() -> Result<()> {
    let folder = plugins().await?;
    for (name, _) in HOSTILE {
        let policies = policy(name, "closed") + HEALTHY;
        let setup = Setup { policies, plugins: Some(folder.path().to_owned()), ..Setup::default() };
        let stage = Stage::new(setup).await?;
        for uid in ["alice", "bob"] {
            assert_eq!(stage.bind_from(machine(), uid, &format!("{uid}-secret")).await?.0, 49, "{name}, {uid}");
        }
        assert_eq!(stage.last_access().await?["decided_by"], name);
        assert_eq!(failed(&stage).await?, [name]);
    }
    Ok(())
}
