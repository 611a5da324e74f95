//! Challenge page and console, as people reach them.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::browser::Browser;
use crate::stage::{Setup, Stage, machine};

/// A page as a browser on that machine would get it.
async fn page_from(stage: &Stage, from: std::net::IpAddr, path: &str) -> Result<(u16, String)> {
    let http = reqwest::Client::builder().local_address(from).timeout(Duration::from_secs(20)).build()?;
    let answer = http.get(format!("http://{}{path}", stage.web)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn the_challenge_page_of_the_machine_shows_account_application_and_number() -> Result<()> {
    let stage = std::sync::Arc::new(Stage::new(Setup::default()).await?);
    stage.learn(machine(), "alice").await?;
    let (here, elsewhere) = (machine(), machine());
    let waiting = tokio::spawn({
        let stage = stage.clone();
        async move { stage.bind_from(here, "alice", "alice-secret").await }
    });
    stage.wait_for_pushes("alice@example.com", 1).await?;
    let number = stage.okta.pending()[0].number.context("the push has a number")?;
    let begun = std::time::Instant::now();
    let page = loop {
        let (code, page) = page_from(&stage, here, "/challenge").await?;
        assert_eq!(code, 200);
        if page.contains(&format!(">{number}<")) || begun.elapsed() > Duration::from_secs(10) {
            break page;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(page.contains("alice") && page.contains("wiki") && page.contains(&here.to_string()), "{page}");
    assert!(page.contains(&format!(">{number}<")), "the number {number} is shown: {page}");
    let (_, other) = page_from(&stage, elsewhere, "/challenge").await?;
    assert!(!other.contains("alice"), "another machine's page says nothing of it");
    stage.okta.pick("alice@example.com", number)?;
    assert_eq!(waiting.await??.0, 0);
    let (_, page) = page_from(&stage, here, "/challenge").await?;
    assert!(page.contains("Approved"), "{page}");
    Ok(())
}

#[tokio::test]
async fn activity_and_api_need_a_session_and_show_what_happened() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let anonymous = http.get(format!("http://{}/activity", stage.web)).send().await?;
    assert_eq!(anonymous.status().as_u16(), 303);
    let anonymous = http.get(format!("http://{}/api/v1/events", stage.web)).send().await?;
    assert_eq!(anonymous.status().as_u16(), 401);
    let console = stage.console().await?;
    assert!(console.get("/activity").await?.contains("alice"));
    let events: serde_json::Value = serde_json::from_str(&console.get("/api/v1/events?limit=10").await?)?;
    let found = events["events"].as_array().context("a list")?;
    assert!(found.iter().any(|event| event["event"]["access"]["account"]["login"] == "alice"), "{events}");
    assert!(found.iter().any(|event| event["event"]["action"] == "console-sign-in"), "{events}");
    Ok(())
}

#[tokio::test]
async fn a_person_resolves_an_incident_and_only_with_the_pages_own_form() -> Result<()> {
    let stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    stage.okta.on_push("alice@example.com", portcullis_lab::okta::Behaviour::RejectAfter(Duration::ZERO))?;
    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 49);
    let console = stage.console().await?;
    let id = console.incidents().await?[0]["id"].as_str().context("an id")?.to_owned();
    let resolve = format!("/incidents/{id}/resolve");
    assert_eq!(console.post(&resolve, "csrf=wrong".to_owned()).await?, 403);
    assert_eq!(console.incidents().await?[0]["state"], "open");
    let page = console.get("/activity").await?;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).context("a form")?;
    assert_eq!(console.post(&resolve, format!("csrf={csrf}")).await?, 303);
    assert_eq!(console.incidents().await?[0]["state"], "resolved");
    assert_eq!(console.incidents().await?[0]["resolved_by_person"], "admin");
    Ok(())
}

#[tokio::test]
async fn the_challenge_page_turns_to_approved_by_itself_in_a_browser() -> Result<()> {
    let stage = std::sync::Arc::new(Stage::new(Setup::default()).await?);
    stage.learn(machine(), "alice").await?;
    let waiting = tokio::spawn({
        let stage = stage.clone();
        async move { stage.tools("alice", "alice-secret").whoami().await }
    });
    stage.wait_for_pushes("alice@example.com", 1).await?;
    // The command line client and the browser come from the same machine.
    let mut browser = Browser::open(&format!("http://{}/challenge", stage.web)).await?;
    browser.wait_for_title("Pick the number").await?;
    // The title comes first.
    browser.wait_until("document.readyState === 'complete'").await?;
    let number = stage.okta.pending()[0].number.context("the push has a number")?;
    assert_eq!(browser.value("document.querySelector('.number').textContent").await?, number.to_string());
    assert!(!waiting.is_finished());
    stage.okta.approve("alice@example.com")?;
    browser.wait_for_title("Approved").await?;
    assert_eq!(waiting.await??.code, 0);
    Ok(())
}
