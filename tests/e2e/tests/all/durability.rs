//! What a client was told is in the store, whatever happens to the gateway.

use anyhow::Result;
use portcullis_lab::okta::Behaviour;

use crate::stage::{Setup, Stage, machine};

#[tokio::test]
async fn a_decision_that_a_client_has_seen_survives_kill_9() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    for round in 0..3 {
        let from = machine();
        let mut client = stage.client(from).await?;
        let code = client.bind(&stage.dn("bob"), "bob-secret").await?.code as i32;
        stage.kill()?;
        if round == 0 {
            assert_eq!(code, 0);
        }
        let found = stage.accesses().await?.into_iter().find(|event| {
            event["access"]["endpoint"]["address"] == from.to_string() && event["access"]["account"]["login"] == "bob"
        });
        let event = found.expect("the event of the answer is in the store");
        assert_eq!(event["decision"], if code == 0 { "allow" } else { "block" });
        let (code, out, err) = stage.portcullis(&["events", "verify"]).await?;
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.starts_with("intact: "), "{out}");
        stage.start().await?;
        // The second and third round come from machines that are new to a known account.
        stage.okta.on_push("bob@example.com", Behaviour::RejectAfter(std::time::Duration::ZERO))?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_learned_survives_a_restart() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    let usual = machine();
    stage.learn(usual, "alice").await?;
    stage.stop()?;
    stage.start().await?;
    assert_eq!(stage.bind_from(usual, "alice", "alice-secret").await?.0, 0);
    assert_eq!(stage.okta.pushes_started("alice@example.com")?, 0);
    stage.okta.on_push("alice@example.com", Behaviour::RejectAfter(std::time::Duration::ZERO))?;
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 49);
    Ok(())
}

#[tokio::test]
async fn a_changed_event_is_found() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    stage.stop()?;
    let file = stage.folder.path().join("data/portcullis.db");
    let mut bytes = std::fs::read(&file)?;
    let needle = b"No policy had an objection.";
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("the event is in the file");
    bytes[at..at + 2].copy_from_slice(b"My");
    std::fs::write(&file, bytes)?;
    let (code, out, _) = stage.portcullis(&["events", "verify"]).await?;
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("damaged: "), "{out}");
    Ok(())
}
