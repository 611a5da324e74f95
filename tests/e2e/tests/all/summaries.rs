//! What is recorded of reads that no policy asks to see, with a real slapd behind.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::proto::{LdapResultCode, LdapSearchScope};
use serde_json::Value;

use crate::stage::{PATIENCE, Setup, Stage, machine};

/// A gateway without policies.
fn recording(audit: &str) -> Setup {
    let sections = format!("[events]\naudit = \"{audit}\"\n");
    Setup { policies: String::new(), sections, ..Setup::default() }
}

async fn bound(stage: &Stage, from: IpAddr, uid: &str) -> Result<LdapClient> {
    let mut client = stage.client(from).await?;
    rebind(stage, &mut client, uid).await?;
    Ok(client)
}

async fn rebind(stage: &Stage, client: &mut LdapClient, uid: &str) -> Result<()> {
    let result = client.bind(&stage.dn(uid), &format!("{uid}-secret")).await?;
    ensure!(result.code == LdapResultCode::Success, "{uid} was not let in: {result:?}");
    Ok(())
}

/// Reads the person's entry so many times.
async fn read(stage: &Stage, client: &mut LdapClient, uid: &str, times: usize) -> Result<()> {
    for _ in 0..times {
        let answer = client.search(&stage.dn(uid), LdapSearchScope::Base, "(objectClass=*)", &["cn"]).await?;
        ensure!(answer.entries.len() == 1, "{answer:?}");
    }
    Ok(())
}

fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}

fn searches(events: &[Value]) -> usize {
    of_type(events, "access").iter().filter(|event| event["access"]["operation"]["search"].is_object()).count()
}

async fn verify(stage: &Stage) -> Result<()> {
    let (code, out, err) = stage.portcullis(&["events", "verify"]).await?;
    ensure!(code == 0 && out.starts_with("intact: "), "{out}{err}");
    Ok(())
}

#[tokio::test]
async fn a_hundred_searches_on_one_connection_are_one_summary() -> Result<()> {
    let mut stage = Stage::new(recording("summary")).await?;
    let from = machine();
    let mut client = bound(&stage, from, "alice").await?;
    let local = client.local_addr();
    read(&stage, &mut client, "alice", 99).await?;
    let missing = format!("uid=nobody,{}", stage.dn("bob"));
    let answer = client.search(&missing, LdapSearchScope::Base, "(objectClass=*)", &["cn"]).await?;
    assert_eq!(answer.result.code, LdapResultCode::NoSuchObject);
    client.whoami().await?;
    client.unbind().await?;
    // Ending stores what waits.
    stage.stop()?;
    let events = stage.events().await?;
    let summaries = of_type(&events, "summary");
    assert_eq!((summaries.len(), searches(&events)), (1, 0), "{events:?}");
    let summary = &summaries[0];
    assert_eq!(summary["account"]["login"], "alice");
    assert_eq!(summary["account"]["dn"], stage.dn("alice"));
    assert_eq!(summary["endpoint"]["address"], from.to_string());
    assert_eq!(summary["client"], local.to_string());
    assert_eq!((&summary["listener"], &summary["application"]), (&"wiki".into(), &"wiki".into()));
    let tally = &summary["tally"];
    assert_eq!(tally["operations"], serde_json::json!({ "search": 100, "extended": 1 }));
    assert_eq!(tally["bases"], serde_json::json!([stage.dn("alice"), missing]));
    assert_eq!(tally["entries"], 99);
    assert!(tally["octets"].as_u64() > Some(99 * 60), "{tally}");
    assert_eq!(tally["failures"], serde_json::json!([{ "code": 32, "count": 1 }]));
    assert!(summary["from"].as_u64() <= summary["to"].as_u64());
    verify(&stage).await
}

#[tokio::test]
async fn another_bind_begins_another_summary_and_a_connection_that_is_open_at_the_end_is_in() -> Result<()> {
    let mut stage = Stage::new(recording("summary")).await?;
    let mut client = bound(&stage, machine(), "alice").await?;
    read(&stage, &mut client, "alice", 3).await?;
    rebind(&stage, &mut client, "bob").await?;
    read(&stage, &mut client, "bob", 2).await?;
    stage.stop()?;
    let events = stage.events().await?;
    let mut told: Vec<_> = of_type(&events, "summary")
        .iter()
        .map(|summary| (summary["account"]["login"].to_string(), summary["tally"]["operations"]["search"].as_u64()))
        .collect();
    told.sort();
    assert_eq!(told, [("\"alice\"".to_owned(), Some(3)), ("\"bob\"".to_owned(), Some(2))]);
    verify(&stage).await
}

#[tokio::test]
async fn connections_that_come_and_go_are_summed_up_together() -> Result<()> {
    let mut stage = Stage::new(recording("summary")).await?;
    let from = machine();
    // Longer than a minute on a slow machine, and there may be two.
    let begun = Instant::now();
    for _ in 0..30 {
        let mut client = bound(&stage, from, "alice").await?;
        read(&stage, &mut client, "alice", 2).await?;
        client.unbind().await?;
    }
    let minutes = 1 + usize::try_from(begun.elapsed().as_secs() / 60)?;
    stage.stop()?;
    let events = stage.events().await?;
    let summaries = of_type(&events, "summary");
    assert!(summaries.len() <= minutes, "{summaries:?}");
    let sum = |of: fn(&Value) -> &Value| summaries.iter().filter_map(|summary| of(summary).as_u64()).sum::<u64>();
    assert_eq!(sum(|summary| &summary["connections"]), 30);
    assert_eq!(sum(|summary| &summary["tally"]["operations"]["search"]), 60);
    assert_eq!(sum(|summary| &summary["tally"]["entries"]), 60);
    assert_eq!(of_type(&events, "access").len(), 30, "each bind is an event");
    verify(&stage).await
}

#[tokio::test]
async fn full_audit_makes_each_search_an_event() -> Result<()> {
    let mut stage = Stage::new(recording("full")).await?;
    let mut client = bound(&stage, machine(), "alice").await?;
    read(&stage, &mut client, "alice", 100).await?;
    assert_eq!(client.whoami().await?, format!("dn:{}", stage.dn("alice")));
    // Stored before they were answered: nothing has to be waited for.
    let events = stage.events().await?;
    assert_eq!((searches(&events), of_type(&events, "access").len()), (100, 102));
    client.unbind().await?;
    stage.stop()?;
    let events = stage.events().await?;
    assert_eq!(of_type(&events, "summary").len(), 0);
    verify(&stage).await
}

#[tokio::test]
async fn without_audit_reads_leave_no_trace_and_binds_do() -> Result<()> {
    let mut stage = Stage::new(recording("off")).await?;
    let mut client = bound(&stage, machine(), "alice").await?;
    read(&stage, &mut client, "alice", 10).await?;
    client.unbind().await?;
    stage.stop()?;
    let events = stage.events().await?;
    assert_eq!((of_type(&events, "summary").len(), of_type(&events, "access").len()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn after_a_minute_a_summary_survives_kill_9_and_stands_on_the_activity_page() -> Result<()> {
    let mut stage = Stage::new(recording("summary")).await?;
    let mut client = bound(&stage, machine(), "alice").await?;
    read(&stage, &mut client, "alice", 1_204).await?;
    let begun = Instant::now();
    let summaries = loop {
        let summaries = of_type(&stage.events().await?, "summary");
        let read: u64 = summaries.iter().filter_map(|summary| summary["tally"]["entries"].as_u64()).sum();
        if read == 1_204 {
            break summaries;
        }
        ensure!(begun.elapsed() < PATIENCE + Duration::from_secs(60), "nothing was summed up: {summaries:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let page = stage.console().await?.get("/activity").await?;
    if summaries.len() == 1 {
        assert!(page.contains("alice read 1,204 times (1 base, 1,204 entries)"), "{page}");
    } else {
        assert!(page.contains("alice read "), "{page}");
    }
    stage.kill()?;
    assert_eq!(of_type(&stage.events().await?, "summary"), summaries);
    verify(&stage).await
}
