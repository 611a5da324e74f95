//! How the gateway ends while something is under way, and what it does with a directory that does not answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis_lab::client::LdapClient;
use portcullis_lab::proto::{LdapMsg, LdapOp, LdapResultCode, LdapSearchScope};

use crate::stage::{PATIENCE, Setup, Stage, machine};

const ALICE: &str = "alice@example.com";

/// A gateway with these lines in its listener, and alice's bind, which waits for the phone.
async fn waiting(listener: &str) -> Result<(Stage, LdapClient, i32)> {
    let listener = format!("tls = \"none\"\n{listener}");
    let stage = Stage::new(Setup { listener, ..Setup::default() }).await?;
    stage.learn(machine(), "alice").await?;
    let mut client = stage.client(machine()).await?;
    let id = client.send_bind(&stage.dn("alice"), "alice-secret").await?;
    stage.wait_for_pushes(ALICE, 1).await?;
    Ok((stage, client, id))
}

/// Stops the directory where it stands, all of its threads, or lets it go on.
fn directory(stage: &Stage, signal: Signal) -> Result<()> {
    let pid = stage.slapd.pid().context("slapd does not run")?;
    kill(Pid::from_raw(i32::try_from(pid)?), signal)?;
    let stands = || -> Result<bool> {
        let mut threads = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        threads.try_fold(true, |all, thread| {
            Ok(all && std::fs::read_to_string(thread?.path().join("status"))?.contains("\nState:\tT"))
        })
    };
    let begun = Instant::now();
    while (signal == Signal::SIGSTOP) != stands()? {
        ensure!(begun.elapsed() < PATIENCE, "slapd does not take {signal}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The next message and its result code.
async fn next(client: &mut LdapClient) -> Result<(i32, LdapResultCode)> {
    loop {
        let LdapMsg { msgid, op, .. } = client.read_message().await?.context("the connection is closed")?;
        let code = match op {
            LdapOp::SearchResultEntry(_) => continue,
            LdapOp::BindResponse(answer) => answer.res.code,
            LdapOp::SearchResultDone(result) => result.code,
            LdapOp::ExtendedResponse(answer) => answer.res.code,
            other => anyhow::bail!("{other:?}"),
        };
        return Ok((msgid, code));
    }
}

async fn terminated(stage: &mut Stage) -> Result<()> {
    stage.gateway().signal(Signal::SIGTERM)?;
    stage.wait_for_log("ending").await?;
    Ok(())
}

async fn refuses_connections(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        ensure!(begun.elapsed() < PATIENCE, "connections are still taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn ends_well(stage: &mut Stage, within: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        if let Some(status) = stage.gateway().try_wait()? {
            ensure!(status.success(), "{status}");
            return Ok(());
        }
        ensure!(begun.elapsed() < within, "it does not end:\n{}", stage.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_gateway_ends() -> Result<()> {
    let (mut stage, mut waiting, bind) = waiting("drain-seconds = 60").await?;
    let (mut searching, mut idle) = (stage.client(machine()).await?, stage.client(machine()).await?);
    searching.whoami().await?;
    idle.whoami().await?;
    directory(&stage, Signal::SIGSTOP)?;
    let search = searching.send_search("", LdapSearchScope::Base, "(objectClass=*)", &["1.1"]).await?;
    // The gateway has read the search when it has answered what stands behind it.
    let probe = searching.send(start_tls()).await?;
    assert_eq!(next(&mut searching).await?, (probe, LdapResultCode::ProtocolError));

    terminated(&mut stage).await?;
    refuses_connections(stage.ldap).await?;
    assert_eq!(next(&mut idle).await?, (0, LdapResultCode::Unavailable), "Notice of Disconnection");
    assert!(idle.read_frame().await?.is_none());

    directory(&stage, Signal::SIGCONT)?;
    assert_eq!(next(&mut searching).await?, (search, LdapResultCode::Success));
    assert_eq!(next(&mut searching).await?, (0, LdapResultCode::Unavailable));

    ensure!(stage.gateway().try_wait()?.is_none(), "alice's bind is still waiting");
    stage.okta.approve(ALICE)?;
    assert_eq!(next(&mut waiting).await?, (bind, LdapResultCode::Success));
    assert_eq!(next(&mut waiting).await?, (0, LdapResultCode::Unavailable));
    ends_well(&mut stage, PATIENCE).await?;
    assert_eq!(stage.last_access().await?["decision"], "allow");
    Ok(())
}

fn start_tls() -> LdapOp {
    LdapOp::ExtendedRequest(portcullis_lab::proto::LdapExtendedRequest {
        name: "1.3.6.1.4.1.1466.20037".to_owned(),
        value: None,
    })
}

#[tokio::test]
async fn what_takes_longer_than_it_may_is_cut_off_and_not_let_in() -> Result<()> {
    let (mut stage, mut waiting, _) = waiting("drain-seconds = 1").await?;
    terminated(&mut stage).await?;
    assert_eq!(next(&mut waiting).await?, (0, LdapResultCode::Unavailable), "no answer to the bind");
    assert!(waiting.read_frame().await?.is_none());
    ends_well(&mut stage, PATIENCE).await?;
    assert_eq!(stage.last_access().await?["decision"], "abandoned");
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_the_store_is_whole() -> Result<()> {
    let (mut stage, mut waiting, _) = waiting("drain-seconds = 3600").await?;
    terminated(&mut stage).await?;
    refuses_connections(stage.ldap).await?;
    let quiet = tokio::time::timeout(Duration::from_millis(300), waiting.read_frame()).await;
    assert!(quiet.is_err(), "the bind has an hour: {quiet:?}");
    stage.gateway().signal(Signal::SIGTERM)?;
    ends_well(&mut stage, PATIENCE).await?;
    assert_eq!(stage.last_access().await?["decision"], "abandoned");
    let (code, out, err) = stage.portcullis(&["events", "verify"]).await?;
    assert_eq!(code, 0, "{out}{err}");
    Ok(())
}

#[tokio::test]
async fn a_search_that_the_directory_does_not_finish_is_ended_and_the_connection_goes_on() -> Result<()> {
    let listener = "tls = \"none\"\nsearch-seconds = 1".to_owned();
    let stage = Stage::new(Setup { listener, policies: String::new(), ..Setup::default() }).await?;
    let mut client = stage.client(machine()).await?;
    let dn = stage.dn("alice");
    assert_eq!(client.bind(&dn, "alice-secret").await?.code, LdapResultCode::Success);
    directory(&stage, Signal::SIGSTOP)?;
    let search = client.send_search("dc=example,dc=com", LdapSearchScope::Subtree, "(uid=*)", &["mail"]).await?;
    assert_eq!(next(&mut client).await?, (search, LdapResultCode::TimeLimitExceeded));
    directory(&stage, Signal::SIGCONT)?;
    // Whatever slapd has to say about the first search comes before its answer to this, and must not be seen.
    let id = client.send(who_am_i()).await?;
    let answer = client.read_message().await?.context("the connection is closed")?;
    assert_eq!(answer.msgid, id, "{answer:?}");
    assert_eq!(client.whoami().await?, format!("dn:{dn}"));
    Ok(())
}

fn who_am_i() -> LdapOp {
    LdapOp::ExtendedRequest(portcullis_lab::proto::LdapExtendedRequest {
        name: "1.3.6.1.4.1.4203.1.11.3".to_owned(),
        value: None,
    })
}
