//! The main job, with OpenLDAP's own clients in front of a real slapd.

use std::time::Duration;

use anyhow::Result;
use portcullis_lab::okta::{Behaviour, Call, Fault};

use crate::stage::{Setup, Stage, TOOLS, UNUSUAL_ENDPOINT, machine};

const ALICE: &str = "alice@example.com";

/// A stage on which alice has used another machine than the one that the command line clients come from.
async fn with_alice_elsewhere(setup: Setup) -> Result<Stage> {
    let stage = Stage::new(setup).await?;
    stage.learn(machine(), "alice").await?;
    Ok(stage)
}

#[tokio::test]
async fn the_usual_machine_passes_without_a_push() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    for _ in 0..2 {
        let whoami = stage.tools("alice", "alice-secret").whoami().await?;
        assert_eq!((whoami.code, whoami.stdout.trim()), (0, format!("dn:{}", stage.dn("alice")).as_str()));
    }
    let found = stage.tools("alice", "alice-secret").search("dc=example,dc=com", "sub", "(uid=bob)", &["mail"]).await?;
    assert_eq!(found.code, 0, "{}", found.stderr);
    assert!(found.stdout.contains("mail: bob@example.com"));
    assert_eq!(stage.okta.pushes_started(ALICE)?, 0);
    let event = stage.last_access().await?;
    assert_eq!(event["decision"], "allow");
    assert_eq!(event["access"]["endpoint"]["associated"], true);
    Ok(())
}

#[tokio::test]
async fn an_unusual_machine_is_let_through_when_the_phone_approves_and_is_usual_then() -> Result<()> {
    let stage = with_alice_elsewhere(Setup::default()).await?;
    stage.okta.on_push(ALICE, Behaviour::ApproveAfter(Duration::from_secs(1)))?;
    let whoami = stage.tools("alice", "alice-secret").whoami().await?;
    assert_eq!(whoami.code, 0, "{}", whoami.stderr);
    assert_eq!(stage.okta.pushes_started(ALICE)?, 1);
    let event = stage.last_access().await?;
    assert_eq!(event["challenges"][0]["outcome"], "approved");
    assert_eq!(event["access"]["signals"][0]["name"], "unusual-endpoint");
    assert!(stage.console().await?.incidents().await?.is_empty(), "a good answer leaves no incident");
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0);
    assert_eq!(stage.okta.pushes_started(ALICE)?, 1, "the machine is known now");
    Ok(())
}

#[tokio::test]
async fn denied_on_the_phone_is_invalid_credentials_and_an_incident() -> Result<()> {
    let stage = with_alice_elsewhere(Setup::default()).await?;
    stage.okta.on_push(ALICE, Behaviour::RejectAfter(Duration::from_millis(300)))?;
    let whoami = stage.tools("alice", "alice-secret").whoami().await?;
    assert_eq!(whoami.code, 49, "{}", whoami.stderr);
    assert!(whoami.stderr.contains("/challenge"), "it says where to look: {}", whoami.stderr);
    assert_eq!(stage.last_access().await?["decision"], "block");
    let incidents = stage.console().await?.incidents().await?;
    assert_eq!((incidents.len(), &incidents[0]["severity"]), (1, &"high".into()), "{incidents:?}");
    assert_eq!(incidents[0]["login"], "alice");

    // The right answer later is the proof that resolves it.
    stage.okta.on_push(ALICE, Behaviour::ApproveAfter(Duration::ZERO))?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0);
    assert_eq!(stage.console().await?.incidents().await?[0]["state"], "resolved");
    Ok(())
}

#[tokio::test]
async fn nobody_answers_and_the_bind_expires() -> Result<()> {
    let policies = UNUSUAL_ENDPOINT.replace("timeout-seconds = 20", "timeout-seconds = 2");
    let stage = with_alice_elsewhere(Setup { policies, ..Setup::default() }).await?;
    let whoami = stage.tools("alice", "alice-secret").whoami().await?;
    assert_eq!(whoami.code, 49);
    assert_eq!(stage.last_access().await?["challenges"][0]["outcome"], "expired");

    // The phone gives up before the gateway does.
    let stage = with_alice_elsewhere(Setup::default()).await?;
    stage.okta.on_push(ALICE, Behaviour::ExpireAfter(Duration::from_millis(300)))?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49);
    assert_eq!(stage.last_access().await?["challenges"][0]["outcome"], "expired");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_never_rings_a_phone() -> Result<()> {
    let stage = with_alice_elsewhere(Setup::default()).await?;
    // The connector is tried in the background.
    stage.wait_for_log("connector okta-verify: ").await?;
    stage.okta.clear_journal();
    let through = stage.tools("alice", "wrong").whoami().await?;
    let direct = portcullis_lab::tools::Tools::new(stage.slapd.uri()).bind(stage.dn("alice"), "wrong").whoami().await?;
    assert_eq!((through.code, &through.stderr), (49, &direct.stderr), "the directory's own answer");
    assert!(stage.okta.journal().is_empty(), "Okta was not asked anything");
    let event = stage.last_access().await?;
    assert_eq!((&event["decision"], &event["directory_result"]), (&"refused".into(), &49.into()));
    Ok(())
}

#[tokio::test]
async fn an_account_without_a_phone_is_blocked_or_what_the_policy_says() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "erin").await?;
    assert_eq!(stage.tools("erin", "erin-secret").whoami().await?.code, 49);
    assert_eq!(stage.last_access().await?["challenges"][0]["outcome"], "not-enrolled");

    let lenient = format!("{UNUSUAL_ENDPOINT}\non = {{ not-enrolled = {{ verdict = \"allow\" }} }}\n");
    let stage = Stage::new(Setup { policies: lenient, ..Setup::default() }).await?;
    stage.learn(machine(), "erin").await?;
    assert_eq!(stage.tools("erin", "erin-secret").whoami().await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_stopped_okta_user_does_not_get_what_is_left_to_people_without_a_phone() -> Result<()> {
    let lenient = format!("{UNUSUAL_ENDPOINT}\non = {{ not-enrolled = {{ verdict = \"allow\" }} }}\n");
    let stage = Stage::new(Setup { policies: lenient, ..Setup::default() }).await?;
    let uid = stage.okta.cast().suspended.split('@').next().unwrap_or_default().to_owned();
    let password = stage.company.person(&uid)?.password.clone();
    assert_eq!(stage.bind_from(machine(), &uid, &password).await?.0, 0, "the first machine is learned");
    assert_eq!(stage.bind_from(machine(), &uid, &password).await?.0, 49);
    assert_eq!(stage.last_access().await?["challenges"][0]["outcome"], "failed");
    Ok(())
}

#[tokio::test]
async fn okta_out_of_reach_blocks_when_closed_and_allows_when_open() -> Result<()> {
    let open = format!("{UNUSUAL_ENDPOINT}\non = {{ unavailable = {{ verdict = \"allow\" }} }}\n");
    for (policies, code, decision) in [(UNUSUAL_ENDPOINT.to_owned(), 49, "block"), (open, 0, "allow")] {
        for fault in [Fault::Reset, Fault::Status(500, "E0000009".to_owned()), Fault::Html(502), Fault::BadJson] {
            let stage = with_alice_elsewhere(Setup { policies: policies.clone(), ..Setup::default() }).await?;
            stage.okta.set_fault(Some(fault.clone()));
            let whoami = stage.tools("alice", "alice-secret").whoami().await?;
            assert_eq!(whoami.code, code, "{fault:?}: {}", whoami.stderr);
            let event = stage.last_access().await?;
            assert_eq!(event["challenges"][0]["outcome"], "unavailable", "{fault:?}");
            assert_eq!(event["decision"], decision, "{fault:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_start_is_not_repeated_and_lost_polls_are() -> Result<()> {
    let stage = with_alice_elsewhere(Setup::default()).await?;
    stage.okta.fail_next_call(Call::Verify, 1, &Fault::LostAnswer);
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 49);
    assert_eq!(stage.okta.pushes_started(ALICE)?, 1, "one push, although its answer was lost");

    stage.okta.on_push(ALICE, Behaviour::ApproveAfter(Duration::from_secs(1)))?;
    stage.okta.fail_next_call(Call::Poll, 2, &Fault::Status(503, "E0000010".to_owned()));
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0);
    assert_eq!(stage.okta.pushes_started(ALICE)?, 2, "the second bind's own");
    Ok(())
}

#[tokio::test]
async fn one_push_for_many_binds_at_once() -> Result<()> {
    let stage = with_alice_elsewhere(Setup::default()).await?;
    let from = machine();
    let stage = std::sync::Arc::new(stage);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let stage = stage.clone();
        all.spawn(async move { stage.bind_from(from, "alice", "alice-secret").await });
    }
    stage.wait_for_pushes(ALICE, 1).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.okta.approve(ALICE)?;
    while let Some(bind) = all.join_next().await {
        assert_eq!(bind??.0, 0);
    }
    assert_eq!(stage.okta.pushes_started(ALICE)?, 1);
    Ok(())
}

#[tokio::test]
async fn the_journal_shows_exactly_the_calls_that_a_push_needs() -> Result<()> {
    let stage = with_alice_elsewhere(Setup::default()).await?;
    stage.wait_for_log("connector okta-verify:").await?;
    stage.okta.clear_journal();
    stage.okta.on_push(ALICE, Behaviour::ApproveAfter(Duration::from_secs(1)))?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0);
    let journal = stage.okta.journal();
    let calls: Vec<String> = journal.iter().map(|entry| format!("{} {}", entry.method, kind(&entry.path))).collect();
    assert_eq!(&calls[..3], ["GET user", "GET factors", "POST verify"], "{calls:?}");
    assert!(calls[3..].iter().all(|call| call == "GET transaction") && calls.len() > 3, "{calls:?}");
    for entry in &journal {
        let authorization = entry.header("authorization").unwrap_or_default();
        assert_eq!(authorization, format!("SSWS {}", portcullis_lab::okta::DEFAULT_TOKEN));
        assert!(entry.header("user-agent").is_some_and(|agent| agent.starts_with("Portcullis/")));
    }
    Ok(())
}

fn kind(path: &str) -> &'static str {
    if path.contains("/transactions/") {
        "transaction"
    } else if path.ends_with("/verify") {
        "verify"
    } else if path.ends_with("/factors") {
        "factors"
    } else if path.starts_with("/api/v1/users/") {
        "user"
    } else {
        "something else"
    }
}

#[tokio::test]
async fn a_service_account_is_never_asked() -> Result<()> {
    let everybody = UNUSUAL_ENDPOINT.replace(", kind = [\"human\", \"unknown\"]", "");
    let stage = Stage::new(Setup { policies: everybody, ..Setup::default() }).await?;
    let dn = stage.company.service("wiki")?.dn.clone();
    let bind = |from| {
        let (stage, dn) = (&stage, dn.clone());
        async move {
            let mut client = stage.client(from).await?;
            anyhow::Ok(client.bind(&dn, "wiki-secret").await?.code as i32)
        }
    };
    assert_eq!(bind(machine()).await?, 0);
    // The connector is tried in the background.
    stage.wait_for_log("connector okta-verify: ").await?;
    stage.okta.clear_journal();
    assert_eq!(bind(TOOLS).await?, 49);
    assert!(stage.okta.journal().is_empty());
    let event = stage.last_access().await?;
    assert_eq!(event["access"]["account"]["kind"], "service");
    assert_eq!(event["challenges"][0]["outcome"], "not-enrolled");
    Ok(())
}
