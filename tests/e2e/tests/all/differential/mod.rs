//! The same requests, directly and through the gateway: the octets that come back are the same.
//!
//! Each case runs against three equal directories: one alone, one behind a gateway without policies, one behind a gateway
//! whose policy has to allow every operation. What differs by design says so, with the gateway's octets and the reason.
//! `cargo test -p portcullis-e2e --test all -- differential --nocapture` prints the list.
#![allow(clippy::print_stdout, reason = "the list of cases is for whoever asks for it with --nocapture")]

mod ber;
mod case;
mod cases;
mod differ;
mod domain;
mod hmac;
mod large;
mod normal;
mod request;
mod scram;
mod script;
mod special;
mod world;

use std::fmt::Write as _;

use anyhow::{Result, anyhow};

use case::{Case, Compare};
use script::{Server, Transcript};
use serde_json::Value;
use world::World;

#[tokio::test]
async fn what_comes_back_is_octet_for_octet_what_the_directory_said() -> Result<()> {
    compare(&cases::all()).await
}

/// Most of these wait for a slow answer, so they have a world of their own.
#[tokio::test]
async fn it_is_as_well_when_operations_overlap_are_given_up_or_cut_short() -> Result<()> {
    compare(&cases::overlapping()).await
}

async fn compare(cases: &[Case]) -> Result<()> {
    let world = World::new("").await?;
    let direct = world.direct.addr();
    let [(open, at), (held, there)] = world.gateways();
    let (direct, at, there) = tokio::join!(run_all(cases, direct), run_all(cases, at), run_all(cases, there));
    let mut wrong = String::new();
    for (nth, case) in cases.iter().enumerate() {
        match &case.compare {
            Compare::ByDesign(design) => println!("{} -- differs by design: {}", case.name, design.why),
            _ => println!("{}", case.name),
        }
        for (name, side) in [(open, &at), (held, &there)] {
            let said = match (&direct[nth], &side[nth]) {
                (Ok(direct), Ok(gateway)) => differ::verdict(case, direct, gateway),
                (Err(error), _) => Some(format!("the directory itself: {error:#}")),
                (_, Err(error)) => Some(format!("{error:#}")),
            };
            if let Some(said) = said {
                let _ = writeln!(wrong, "{} ({name}):\n{said}", case.name);
            }
        }
    }
    println!("{} cases", cases.len());
    // The third side really took another way: a policy allowed there what passes on the second side.
    let (held, open) = (world.held.accesses().await?, world.open.accesses().await?);
    let decided = |events: &[Value]| events.iter().filter(|event| event["decided_by"] == "everything").count();
    let faults = held.iter().filter(|event| event["rulings"][0]["fault"].is_string()).count();
    assert!(decided(&held) > cases.len() / 2 && decided(&open) == 0, "who decided: {held:?} {open:?}");
    assert!(faults < decided(&held) / 10, "the policy could not be evaluated {faults} times: {held:?}");
    assert!(wrong.is_empty(), "the gateway's answers (+) are not the directory's (-):\n{wrong}");
    Ok(())
}

/// Runs them one after the other; after three that break off, something is so wrong that the rest says nothing more.
async fn run_all(cases: &[Case], server: impl Into<Server>) -> Vec<Result<Vec<Transcript>>> {
    let mut transcripts: Vec<Result<_>> = Vec::with_capacity(cases.len());
    let server: Server = server.into();
    let mut broken = 0;
    for case in cases {
        let transcript =
            if broken < 3 { script::run(case, server.clone()).await } else { Err(anyhow!("not tried any more")) };
        broken += usize::from(transcript.is_err());
        transcripts.push(transcript);
    }
    transcripts
}
