//! Second versions of policies that are tried on live accesses.

use std::sync::atomic::Ordering;

use portcullis_core::PolicyName;
use portcullis_core::event::Decision;
use portcullis_core::plugin::PluginFault;
use portcullis_core::policy::{FailMode, Mode, Verdict};
use portcullis_guard::PolicyEntry;

use crate::always;
use crate::support::*;

fn shadowing(of: &str, entry: PolicyEntry) -> PolicyEntry {
    PolicyEntry { mode: Mode::Canary, canary_of: Some(PolicyName::new(of)), ..entry }
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_compared_and_has_no_say() {
    let by_address = policy("canary", Mode::Canary, FailMode::Closed, |access, _| {
        let is_known = access.endpoint.as_ref().is_some_and(|endpoint| endpoint.address.to_string() == "10.0.0.1");
        ruling(if is_known { Verdict::Block } else { challenge(0) })
    });
    // Behind the policy that it shadows, which ends every evaluation.
    let scene = scene(vec![always("real", Mode::Enforce, Verdict::Block), shadowing("real", by_address)]);
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()));
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()));
    assert_eq!(scene.bind("10.0.0.2").await, Err(String::new()), "nobody is asked");
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 0);
    let event = scene.last();
    let said: Vec<_> = event.rulings.iter().map(|one| (one.policy.as_str(), one.mode, one.verdict.clone())).collect();
    assert_eq!(said, [("canary", Mode::Canary, challenge(0)), ("real", Mode::Enforce, Verdict::Block)]);
    assert_eq!(event.decided_by, Some(PolicyName::new("real")));
    let (_, doings) = scene.guard.doings();
    let canary = &doings[&PolicyName::new("canary")];
    assert_eq!((canary.agreed, canary.differed), (2, 1));
    assert_eq!((canary.verdicts["block"], canary.verdicts["challenge"]), (2, 1));
    let real = &doings[&PolicyName::new("real")];
    assert_eq!((real.verdicts["block"], real.agreed, real.differed), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_only_counts() {
    let broken = policy("canary", Mode::Canary, FailMode::Closed, |_, _| Err(PluginFault::Trap("oh".to_owned())));
    let scene = scene(vec![always("real", Mode::Enforce, Verdict::Allow), shadowing("real", broken)]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(scene.last().decision, Decision::Allow);
    assert!(scene.world.records.lock().unwrap()[0].incidents.is_empty(), "it is nobody's incident");
    let (_, doings) = scene.guard.doings();
    let canary = &doings[&PolicyName::new("canary")];
    assert_eq!((canary.faults, canary.agreed, canary.differed), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_canary_of_nothing_is_not_asked_and_a_replaced_list_is_counted_anew() {
    let scene = scene(vec![shadowing("gone", always("canary", Mode::Canary, Verdict::Block))]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert!(scene.last().rulings.is_empty());
    scene.guard.set_policies(vec![always("a", Mode::Monitor, Verdict::Block)]);
    scene.bind("10.0.0.1").await.unwrap();
    assert_eq!(scene.guard.doings().1[&PolicyName::new("a")].verdicts["block"], 1);
    scene.guard.set_policies(vec![always("b", Mode::Monitor, Verdict::Block)]);
    assert!(scene.guard.doings().1.is_empty());
}
