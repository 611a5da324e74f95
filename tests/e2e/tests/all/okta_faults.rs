//! Okta on its bad days, over real sockets: every fault ends as the right outcome, within its time, and nobody's phone rings
//! twice.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::okta::{Behaviour, Call, Fault, NumberChallenge, Okta, OktaOptions, RateHeaders};

use crate::stage::{Setup, Stage};

const ALICE: &str = "alice@example.com";

/// Everybody is asked at each bind.
pub(crate) const ALWAYS: &str = r#"
[[policy]]
name = "always"
plugin = "rules.wasm"
[[policy.settings.rules]]
name = "Everybody"
then = { challenge = { connector = "okta-verify", timeout-seconds = 25 } }
"#;

async fn stage() -> Result<Stage> {
    let okta = OktaOptions { rate_window: Duration::from_secs(2), ..OktaOptions::default() };
    let mut stage = Stage::without_gateway(Setup { policies: ALWAYS.to_owned(), okta, ..Setup::default() }).await?;
    let text = std::fs::read_to_string(stage.config_file())?;
    let patient = "[challenge]\nper-account-and-hour = 1000\ndenials-in-a-row = 1000\ntimeout-limit-seconds = 300\n";
    std::fs::write(stage.config_file(), text.replace("[challenge]\n", patient))?;
    stage.start().await?;
    stage.wait_for_log("connector okta-verify: ").await?;
    stage.okta.on_push(ALICE, Behaviour::ApproveAfter(Duration::from_millis(100)))?;
    Ok(stage)
}

/// One bind that meets the fault: how its challenge ended, and how many pushes were sent.
async fn outcome(stage: &Stage, call: Call, fault: &Fault) -> Result<(String, usize)> {
    stage.okta.clear_faults();
    let before = stage.okta.pushes_started(ALICE)?;
    stage.okta.fail_next_call(call, 1, fault);
    let begun = Instant::now();
    let code = stage.tools("alice", "alice-secret").whoami().await?.code;
    ensure!(begun.elapsed() < Duration::from_secs(20), "{call:?} {fault:?} took {:?}", begun.elapsed());
    let event = stage.last_access().await?;
    let outcome = event["challenges"][0]["outcome"].as_str().context("a challenge")?.to_owned();
    ensure!((code == 0) == (outcome == "approved"), "{call:?} {fault:?}: {code} after {outcome}");
    Ok((outcome, stage.okta.pushes_started(ALICE)? - before))
}

fn status(status: u16, code: &str) -> Fault {
    Fault::Status(status, code.to_owned())
}

fn pointers(pointers: &[&str]) -> Vec<String> {
    pointers.iter().map(|pointer| (*pointer).to_owned()).collect()
}

#[tokio::test]
async fn a_push_that_cannot_be_started_ends_at_once_and_is_never_sent_twice() -> Result<()> {
    let stage = stage().await?;
    let elsewhere = Okta::start(&stage.company, OktaOptions::default()).await?;
    let other = elsewhere.base_url().to_owned();
    for (fault, expected, pushes) in [
        (status(401, "E0000011"), "unavailable", 0),
        (status(401, "E0000015"), "unavailable", 0),
        (status(403, "E0000005"), "unavailable", 0),
        (status(403, "E0000006"), "unavailable", 0),
        (status(403, "E0000038"), "failed", 0),
        (status(403, "E0000068"), "unavailable", 0),
        (status(403, "E0000069"), "failed", 0),
        (status(403, "E0000073"), "denied", 0),
        (status(403, "E0000082"), "unavailable", 0),
        (status(404, "E0000007"), "not-enrolled", 0),
        (status(410, "E0000154"), "failed", 0),
        (status(423, "E0000180"), "failed", 0),
        (Fault::RateLimited(RateHeaders::Absent), "unavailable", 0),
        (Fault::RateLimited(RateHeaders::Bucket), "unavailable", 0),
        (Fault::RateLimited(RateHeaders::Concurrency), "unavailable", 0),
        (status(500, "E0000009"), "unavailable", 0),
        (status(504, "E0000067"), "unavailable", 0),
        (Fault::Html(200), "unavailable", 0),
        (Fault::Html(400), "unavailable", 0),
        (Fault::Html(502), "unavailable", 0),
        (Fault::EmptyBody, "unavailable", 1),
        (Fault::Truncated, "unavailable", 1),
        (Fault::BadJson, "unavailable", 1),
        (Fault::Reset, "unavailable", 0),
        (Fault::LostAnswer, "unavailable", 1),
        (Fault::Huge(100 << 20), "unavailable", 0),
        (Fault::GzipBomb, "unavailable", 0),
        (Fault::Drip(Duration::from_millis(100)), "unavailable", 1),
        (Fault::Redirect(other.clone()), "unavailable", 0),
        (Fault::ForeignPollLink(other.clone()), "unavailable", 1),
        (Fault::UnknownFactorResult("SOMETHING_NEW".to_owned()), "failed", 1),
        (Fault::UnknownFactorResult("success".to_owned()), "failed", 1),
        (Fault::Missing(pointers(&["/_links"])), "unavailable", 1),
        (Fault::Null(pointers(&["/_links/poll"])), "unavailable", 1),
        (Fault::Null(pointers(&["/factorResult"])), "unavailable", 1),
        (Fault::Null(pointers(&["/expiresAt", "/_links/cancel", "/_embedded"])), "approved", 1),
        (Fault::Missing(pointers(&["/expiresAt", "/_links/cancel", "/_embedded"])), "approved", 1),
        (Fault::Clock(-86_400), "approved", 1),
        (Fault::Slow(Duration::from_secs(3)), "approved", 1),
    ] {
        let found = outcome(&stage, Call::Verify, &fault).await?;
        assert_eq!((found.0.as_str(), found.1), (expected, pushes), "{fault:?}");
    }
    assert!(elsewhere.journal().is_empty(), "the token went nowhere else");
    Ok(())
}

#[tokio::test]
async fn a_poll_that_is_lost_is_repeated_on_the_same_push() -> Result<()> {
    let stage = stage().await?;
    let elsewhere = Okta::start(&stage.company, OktaOptions::default()).await?;
    let other = elsewhere.base_url().to_owned();
    for (fault, expected) in [
        (status(401, "E0000011"), "approved"),
        (status(403, "E0000006"), "approved"),
        (Fault::RateLimited(RateHeaders::Absent), "approved"),
        (Fault::RateLimited(RateHeaders::Bucket), "approved"),
        (Fault::RateLimited(RateHeaders::Concurrency), "approved"),
        (status(500, "E0000009"), "approved"),
        (Fault::Html(502), "approved"),
        (Fault::Html(200), "approved"),
        (Fault::EmptyBody, "approved"),
        (Fault::Truncated, "approved"),
        (Fault::BadJson, "approved"),
        (Fault::Reset, "approved"),
        (Fault::LostAnswer, "approved"),
        (Fault::Huge(100 << 20), "approved"),
        (Fault::GzipBomb, "approved"),
        (Fault::Redirect(other.clone()), "approved"),
        (Fault::Null(pointers(&["/factorResult"])), "approved"),
        (Fault::Clock(86_400), "approved"),
        (status(403, "E0000038"), "failed"),
        (status(403, "E0000073"), "denied"),
        (status(404, "E0000007"), "expired"),
        (Fault::UnknownFactorResult("SOMETHING_NEW".to_owned()), "failed"),
        (Fault::UnknownFactorResult("CANCELLED".to_owned()), "expired"),
    ] {
        let found = outcome(&stage, Call::Poll, &fault).await?;
        assert_eq!((found.0.as_str(), found.1), (expected, 1), "{fault:?}");
    }
    assert!(elsewhere.journal().is_empty(), "the token went nowhere else");
    Ok(())
}

#[tokio::test]
async fn without_the_person_or_the_phone_nothing_is_sent() -> Result<()> {
    let stage = stage().await?;
    for (call, fault, expected) in [
        (Call::User, status(404, "E0000007"), "not-enrolled"),
        (Call::User, status(403, "E0000006"), "unavailable"),
        (Call::User, Fault::BadJson, "unavailable"),
        (Call::User, Fault::Missing(pointers(&["/profile"])), "unavailable"),
        (Call::User, Fault::Null(pointers(&["/id"])), "unavailable"),
        (Call::Factors, status(500, "E0000009"), "unavailable"),
        (Call::Factors, Fault::EmptyBody, "unavailable"),
        (Call::Factors, Fault::Missing(pointers(&["/_links"])), "not-enrolled"),
        (Call::Factors, Fault::Null(pointers(&["/status"])), "not-enrolled"),
        (Call::Factors, Fault::RateLimited(RateHeaders::Bucket), "unavailable"),
    ] {
        let found = outcome(&stage, call, &fault).await?;
        assert_eq!((found.0.as_str(), found.1), (expected, 0), "{call:?} {fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_number_that_okta_demands_on_its_own_is_shown_when_it_comes() -> Result<()> {
    let stage = stage().await?;
    stage.okta.number_challenge(ALICE, NumberChallenge::InPoll(2))?;
    stage.okta.on_push(ALICE, Behaviour::Wait)?;
    let tools = stage.tools("alice", "alice-secret");
    let waiting = tokio::spawn(async move { tools.whoami().await });
    stage.wait_for_pushes(ALICE, 1).await?;
    // The page of the machine that binds, which is this one.
    let page = || async { anyhow::Ok(reqwest::get(format!("http://{}/challenge", stage.web)).await?.text().await?) };
    let begun = Instant::now();
    let number = loop {
        let number = stage.okta.pending().first().and_then(|push| push.number).context("a push with a number")?;
        if page().await?.contains(&format!(">{number}<")) {
            break number;
        }
        ensure!(begun.elapsed() < Duration::from_secs(15), "the number {number} is never shown: {}", page().await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    stage.okta.pick(ALICE, number)?;
    assert_eq!(waiting.await??.code, 0);
    Ok(())
}
