//! What a client could try around a bind that waits, with raw messages against the real gateway and slapd.

use std::time::Duration;

use anyhow::Result;
use portcullis_lab::client::LdapClient;
use portcullis_lab::okta::Behaviour;
use portcullis_lab::proto::{LdapMsg, LdapOp, LdapResultCode, LdapSearchScope};

use crate::stage::{PATIENCE, Setup, Stage, machine};

const ALICE: &str = "alice@example.com";
/// Long enough for a wrong answer to arrive.
const QUIET: Duration = Duration::from_millis(700);

/// alice is known from elsewhere; the returned client has sent her bind, which now waits for the phone.
async fn waiting_bind() -> Result<(Stage, LdapClient, i32)> {
    let stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    let mut client = stage.client(machine()).await?;
    let id = client.send_bind(&stage.dn("alice"), "alice-secret").await?;
    stage.wait_for_pushes(ALICE, 1).await?;
    Ok((stage, client, id))
}

async fn nothing_comes(client: &mut LdapClient) {
    let came = tokio::time::timeout(QUIET, client.read_frame()).await;
    assert!(came.is_err(), "an answer came before the decision: {came:?}");
}

async fn next(client: &mut LdapClient) -> Result<LdapMsg> {
    client.set_timeout(PATIENCE);
    Ok(client.read_message().await?.expect("the connection is open"))
}

fn bind_code(message: &LdapMsg) -> Option<LdapResultCode> {
    match &message.op {
        LdapOp::BindResponse(response) => Some(response.res.code.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_search_behind_a_waiting_bind_waits_and_runs_as_whoever_was_let_in() -> Result<()> {
    for approve in [true, false] {
        let (stage, mut client, bind) = waiting_bind().await?;
        let search = client.send_search(&stage.dn("bob"), LdapSearchScope::Base, "(objectClass=*)", &["mail"]).await?;
        nothing_comes(&mut client).await;
        if approve {
            stage.okta.approve(ALICE)?
        } else {
            stage.okta.reject(ALICE)?
        };
        let answer = next(&mut client).await?;
        assert_eq!(answer.msgid, bind);
        let (code, entries) =
            if approve { (LdapResultCode::Success, 1) } else { (LdapResultCode::InvalidCredentials, 0) };
        assert_eq!(bind_code(&answer), Some(code));
        let mut seen = 0;
        loop {
            let message = next(&mut client).await?;
            assert_eq!(message.msgid, search);
            match message.op {
                LdapOp::SearchResultEntry(_) => seen += 1,
                LdapOp::SearchResultDone(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, entries, "approved: {approve}; anonymous may not read people");
        let whoami = client.whoami().await?;
        assert_eq!(whoami.is_empty(), !approve, "the directory itself takes it for {whoami:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_bind_waits_for_the_first_and_does_not_borrow_its_answer() -> Result<()> {
    let (stage, mut client, first) = waiting_bind().await?;
    // bob has never been seen: his bind needs no push, so an answer before alice's would be visible.
    let second = client.send_bind(&stage.dn("bob"), "bob-secret").await?;
    nothing_comes(&mut client).await;
    stage.okta.reject(ALICE)?;
    let answer = next(&mut client).await?;
    assert_eq!((answer.msgid, bind_code(&answer)), (first, Some(LdapResultCode::InvalidCredentials)));
    let answer = next(&mut client).await?;
    assert_eq!((answer.msgid, bind_code(&answer)), (second, Some(LdapResultCode::Success)));
    assert_eq!(client.whoami().await?, format!("dn:{}", stage.dn("bob")));
    Ok(())
}

#[tokio::test]
async fn an_abandon_does_not_free_a_waiting_bind() -> Result<()> {
    let (stage, mut client, bind) = waiting_bind().await?;
    client.send(LdapOp::AbandonRequest(bind)).await?;
    nothing_comes(&mut client).await;
    let search = client.send_search(&stage.dn("bob"), LdapSearchScope::Base, "(objectClass=*)", &["mail"]).await?;
    nothing_comes(&mut client).await;
    stage.okta.reject(ALICE)?;
    let answer = next(&mut client).await?;
    assert_eq!((answer.msgid, bind_code(&answer)), (bind, Some(LdapResultCode::InvalidCredentials)));
    let answer = next(&mut client).await?;
    assert_eq!(answer.msgid, search);
    assert!(matches!(answer.op, LdapOp::SearchResultDone(_)), "no entry for a refused bind: {answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_push_back() -> Result<()> {
    for polite in [true, false] {
        let (stage, client, _) = waiting_bind().await?;
        if polite {
            client.unbind().await?;
        } else {
            drop(client);
        };
        let begun = std::time::Instant::now();
        while !stage.okta.journal().iter().any(|entry| entry.method == "DELETE") {
            assert!(begun.elapsed() < PATIENCE, "the push was not cancelled (polite: {polite})");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let event = stage.last_access().await?;
        assert_eq!(event["decision"], "abandoned");
        stage.okta.on_push(ALICE, Behaviour::Wait)?;
    }
    Ok(())
}

#[tokio::test]
async fn other_connections_go_on_while_one_waits() -> Result<()> {
    let (stage, mut waiting, _) = waiting_bind().await?;
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 0);
    nothing_comes(&mut waiting).await;
    Ok(())
}

#[tokio::test]
async fn garbage_on_the_port_harms_nobody() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    let nested: Vec<u8> = [0x30, 0x80].repeat(30_000);
    let samples: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01],
        &[0x30, 0x80, 0x02, 0x01, 0x01],
        &[0xff; 4096],
        &nested,
        // A bind response, which only a server sends.
        &[0x30, 0x0c, 0x02, 0x01, 0x01, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00],
    ];
    for sample in samples {
        let mut client = stage.client(machine()).await?;
        client.send_raw(sample).await?;
        client.set_timeout(Duration::from_secs(5));
        // A last word (Notice of Disconnection), or nothing; then the end, or still open and waiting for the rest.
        while let Ok(Some(frame)) = client.read_frame().await {
            assert_ne!(frame.get(5), Some(&0x61), "no bind response for garbage");
        }
    }
    assert!(stage.gateway().try_wait()?.is_none(), "the gateway runs");
    assert_eq!(stage.bind_from(machine(), "bob", "bob-secret").await?.0, 0);
    assert!(!stage.log().iter().any(|line| line.contains("panicked")));
    Ok(())
}

#[tokio::test]
async fn a_name_without_a_password_is_not_let_through() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    let (code, _) = stage.bind_from(machine(), "alice", "").await?;
    assert_eq!(code, 53, "unwillingToPerform, RFC 4513 section 5.1.2");
    Ok(())
}
