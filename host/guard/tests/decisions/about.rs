//! What an access is about: which operation, and which entry.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_core::event::Decision;
use portcullis_core::gate::{Asked, Claim};
use portcullis_core::plugin::Progress;
use portcullis_core::policy::*;
use portcullis_core::{Operation, OperationKind, Outcome};
use portcullis_guard::PolicyEntry;

use crate::support::*;

pub const ALICE: &str = "uid=alice,ou=people,dc=example,dc=com";

/// A policy about changes of passwords and others.
pub fn on_changes(
    name: &str,
    says: impl Fn(&Operation, &[Evidence]) -> Verdict + Send + Sync + 'static,
) -> PolicyEntry {
    let needs = Needs { operations: vec![OperationKind::Modify, OperationKind::PasswordChange], ..Needs::default() };
    PolicyEntry {
        policy: Arc::new(Scripted(needs, move |access: &portcullis_core::Access, evidence: &[Evidence]| {
            ruling(says(&access.operation, evidence))
        })),
        ..policy(name, Mode::Enforce, FailMode::Closed, |_, _| ruling(Verdict::Abstain))
    }
}

pub fn change(operation: Operation, entry: Option<&str>) -> Asked {
    Asked {
        operation,
        entry: entry.map(str::to_owned),
        outcome: Outcome::Pending,
        directory_result: None,
        ..bind_from("10.0.0.1")
    }
}

pub fn mixed() -> Operation {
    Operation::MixedChange(vec!["sshPublicKey".to_owned()])
}

#[tokio::test(start_paused = true)]
async fn what_comes_with_a_password_is_asked_about_too() {
    let passwords = || {
        on_changes("passwords", |operation, _| match operation.kind() {
            OperationKind::PasswordChange => Verdict::Allow,
            _ => Verdict::Abstain,
        })
    };
    let keys = on_changes("keys", |operation, _| match operation {
        Operation::Modify(attributes) if attributes == &["sshPublicKey"] => Verdict::Block,
        _ => Verdict::Abstain,
    });
    let scene = scene(vec![passwords(), keys]);
    assert!(scene.decide(change(mixed(), Some(ALICE))).await.is_err());
    let event = scene.last();
    assert_eq!((event.decision, event.decided_by.unwrap().as_str()), (Decision::Block, "keys"));
    assert_eq!(event.access.operation, mixed());
    let said: Vec<_> = event.rulings.iter().map(|ruling| (ruling.policy.as_str(), &ruling.verdict)).collect();
    assert_eq!(
        said,
        [("passwords", &Verdict::Allow), ("passwords", &Verdict::Abstain), ("keys", &Verdict::Block)],
        "who allows the password has not allowed the key"
    );
    assert!(scene.decide(change(Operation::PasswordChange, Some(ALICE))).await.is_ok());
    scene.guard.set_policies(vec![passwords()]);
    assert!(scene.decide(change(mixed(), Some(ALICE))).await.is_ok());
    assert_eq!(scene.last().decided_by.unwrap().as_str(), "passwords");
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_once_about_both() {
    let push = on_changes("push", |_, evidence| match evidence {
        [] => challenge(0),
        [Evidence::Challenge(result), ..] if result.outcome == ChallengeOutcome::Approved => Verdict::Allow,
        _ => Verdict::Block,
    });
    let scene = scene(vec![push]);
    for (progress, expected) in [(Progress::Approved, Decision::Allow), (Progress::Denied, Decision::Block)] {
        let before = scene.phone.starts.load(Ordering::SeqCst);
        scene.phone.answer(progress);
        let _ = scene.decide(change(mixed(), Some(ALICE))).await;
        assert_eq!(scene.last().decision, expected);
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), before + 1);
        assert_eq!(scene.last().challenges.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_named_by_its_dn_is_told_by_it() {
    let scene = scene(vec![]);
    let entry_of = async |asked: Asked| {
        scene.decide(asked).await.unwrap();
        scene.last().access.target.entry
    };
    let bind = |claim: &str, typed: &str| Asked {
        claim: Claim::Name(claim.to_owned()),
        entry: Some(typed.to_owned()),
        ..bind_from("10.0.0.1")
    };
    assert_eq!(entry_of(bind(ALICE, "alice@corp")).await.as_deref(), Some(ALICE), "a bind is about who binds");
    assert_eq!(entry_of(bind("CN=admin,dc=example,dc=com", "x")).await.as_deref(), Some("x"), "who is not known");
    let own = change(Operation::PasswordChange, None);
    assert_eq!(entry_of(own).await.as_deref(), Some(ALICE), "a password without a name is the own one");
    let other = change(Operation::PasswordChange, Some("dn:uid=bob,dc=x"));
    assert_eq!(entry_of(other).await.as_deref(), Some("uid=bob,dc=x"));
    assert_eq!(entry_of(change(Operation::Delete, Some("uid=bob,dc=x"))).await.as_deref(), Some("uid=bob,dc=x"));
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_under_a_name_that_the_directory_does_not_show_is_decided_by_the_fail_mode() {
    let scene = scene(vec![on_changes("changes", |_, _| Verdict::Allow)]);
    let by_id = change(Operation::Modify(vec!["member".to_owned()]), Some("<GUID=1>"));
    assert!(scene.decide(by_id).await.is_err());
    assert!(scene.last().rulings[0].fault.as_ref().unwrap().contains("let it read that entry"));
    *scene.world.by_id.lock().unwrap() = Some(("<GUID=1>".to_owned(), ALICE.to_owned()));
    let by_id = change(Operation::Modify(vec!["member".to_owned()]), Some("<GUID=1>"));
    assert!(scene.decide(by_id).await.is_ok());
    assert_eq!(scene.last().access.target.entry.as_deref(), Some(ALICE));
}
