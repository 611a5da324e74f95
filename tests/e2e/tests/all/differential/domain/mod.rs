//! The same requests at Active Directory (Samba), directly and through the gateway: the octets that come back are the same.
//!
//! The scripts for OpenLDAP, in a domain's words, and those that only a domain understands, in the clear, over LDAPS and over StartTLS.
//! Three controllers with equal databases stand for the three sides, so that each sees every change once.

mod cases;
mod changes;
mod chosen;
mod designs;
mod names;
mod ntlm;
mod searches;
mod words;
mod world;

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use super::ber::header;
use super::case::{Case, Compare};
use super::script::Transcript;
use super::{differ, run_all};
use designs::Identities;
use world::{Domain, Protection};

#[tokio::test]
async fn what_comes_back_of_a_domain_is_octet_for_octet_what_its_controller_said() -> Result<()> {
    let domain = Domain::new().await?;
    let mut wrong = String::new();
    for protection in Protection::ALL {
        wrong.push_str(&compare(&domain, protection).await?);
    }
    assert!(wrong.is_empty(), "the gateway's answers (+) are not the controller's (-):\n{wrong}");
    Ok(())
}

/// An answer that was cut short is a beginning of the whole one on each side. For everything else the order of entries is none.
fn verdict(case: &Case, direct: &[Transcript], gateway: &[Transcript]) -> Option<String> {
    let Compare::CutShort(id) = case.compare else { return differ::verdict(case, direct, gateway) };
    let others = case.clone().per_id();
    let without = |side: &[Transcript]| {
        let mut side = side.to_vec();
        for (number, transcript) in side.iter_mut().enumerate() {
            transcript.frames.retain(|frame| number == 0 || header(frame).is_none_or(|(found, _)| found != id));
            chosen::in_one_order(&mut transcript.frames);
        }
        side
    };
    [direct, gateway]
        .into_iter()
        .find_map(|side| differ::verdict(case, side, side))
        .or_else(|| differ::verdict(&others, &without(direct), &without(gateway)))
}

/// What differs, for people.
async fn compare(domain: &Domain, protection: Protection) -> Result<String> {
    let cases = cases::all(protection);
    let (open, held) = tokio::join!(world::open(&domain.open, protection), world::held(&domain.held, protection));
    let (open, held) = (open?, held?);
    let sides = (protection.direct(&domain.direct)?, protection.through(&open)?, protection.through(&held)?);
    let (direct, at, there) =
        tokio::join!(run_all(&cases, sides.0), run_all(&cases, sides.1), run_all(&cases, sides.2));
    let identities = Identities::of(&protection.direct(&domain.direct)?).await?;
    let mut wrong = String::new();
    for (((case, direct), at), there) in cases.iter().zip(direct).zip(at).zip(there) {
        match &case.compare {
            Compare::ByDesign(design) => println!("{protection:?}: {} -- differs by design: {}", case.name, design.why),
            _ => println!("{protection:?}: {}", case.name),
        }
        let direct = direct.map(|heard| domain.before.without_chosen(case, heard));
        let case = &identities.adapted(case, direct.as_deref().unwrap_or_default());
        for (name, side) in [("gateway", at), ("gateway with a policy on everything", there)] {
            let side = side.map(|heard| domain.before.without_chosen(case, heard));
            let said = match (&direct, &side) {
                (Ok(direct), Ok(gateway)) => verdict(case, direct, gateway),
                (Err(error), _) => Some(format!("the controller itself: {error:#}")),
                (_, Err(error)) => Some(format!("{error:#}")),
            };
            if let Some(said) = said {
                let _ = writeln!(wrong, "{} ({protection:?}, {name}):\n{said}", case.name);
            }
        }
    }
    println!("{} cases, {protection:?}", cases.len());
    // The third side really took another way: a policy allowed there what passes on the second side.
    let (held, open) = (held.accesses().await?, open.accesses().await?);
    let decided = |events: &[Value]| events.iter().filter(|event| event["decided_by"] == "everything").count();
    assert!(
        decided(&held) > cases.len() / 2 && decided(&open) == 0,
        "who decided: {} of {}",
        decided(&held),
        cases.len()
    );
    Ok(wrong)
}
