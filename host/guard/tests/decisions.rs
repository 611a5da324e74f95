//! The guard's decisions, with every room around it made up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "decisions/about.rs"]
mod about;
#[path = "decisions/backtests.rs"]
mod backtests;
#[path = "decisions/behaviour.rs"]
mod behaviour;
#[path = "decisions/canaries.rs"]
mod canaries;
#[path = "decisions/codes.rs"]
mod codes;
#[path = "decisions/late.rs"]
mod late;
#[path = "decisions/made_up.rs"]
mod made_up;
#[path = "decisions/many.rs"]
mod many;
#[path = "decisions/replacing.rs"]
mod replacing;
#[path = "decisions/slow.rs"]
mod slow;
#[path = "decisions/summaries.rs"]
mod summaries;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_core::challenge::{ChallengeDesk, ChallengeState};
use portcullis_core::event::Decision;
use portcullis_core::gate::{Answer, Claim, Gate, Permit as _};
use portcullis_core::incident::IncidentChange;
use portcullis_core::plugin::{ConnectorError, PluginFault, Progress};
use portcullis_core::policy::*;
use portcullis_core::summary::Audit;
use portcullis_core::{AccountKind, BindMethod, Operation, OperationKind, Outcome};
use support::*;

fn always(name: &str, mode: Mode, verdict: Verdict) -> portcullis_guard::PolicyEntry {
    policy(name, mode, FailMode::Closed, move |_, _| ruling(verdict.clone()))
}

fn broken(fail: FailMode) -> portcullis_guard::PolicyEntry {
    policy("broken", Mode::Enforce, fail, |_, _| Err(PluginFault::Trap("unreachable".to_owned())))
}

#[tokio::test(start_paused = true)]
async fn without_policies_the_directory_decides_and_the_endpoint_is_learned() {
    let scene = scene(vec![]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(scene.last().decision, Decision::Allow);
    assert!(!scene.last().access.endpoint.unwrap().associated);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    assert!(scene.last().access.endpoint.unwrap().associated);
    assert_eq!(scene.bind("10.0.0.2").await, Ok("held"));
    assert_eq!(scene.last().access.signals[0].name, "unusual-endpoint");
}

/// What glibc keeps at hand for each thread is no larger.
#[tokio::test(start_paused = true)]
async fn a_decision_that_waits_fits_what_the_allocator_hands_out_quickly() {
    let scene = scene(vec![]);
    let held = [0_u64; 5];
    let deciding = scene.guard.decide(bind_from("10.0.0.1"), held);
    assert!(size_of_val(&deciding) <= 1_032, "{}", size_of_val(&deciding));
}

#[tokio::test(start_paused = true)]
async fn the_first_word_counts_and_a_blocked_bind_looks_like_a_wrong_password() {
    let scene = scene(vec![
        always("first", Mode::Enforce, Verdict::Abstain),
        always("second", Mode::Enforce, Verdict::Block),
        always("third", Mode::Enforce, Verdict::Allow),
    ]);
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()));
    assert_eq!(scene.last().decided_by.unwrap().as_str(), "second");
    assert_eq!(scene.last().rulings.len(), 2, "the third was not asked");
    assert!(scene.world.records.lock().unwrap()[0].learned.is_none(), "a blocked bind teaches nothing");
}

#[tokio::test(start_paused = true)]
async fn off_is_not_asked_and_monitor_has_no_say() {
    let scene = scene(vec![
        always("off", Mode::Off, Verdict::Block),
        always("watch", Mode::Monitor, Verdict::Block),
        always("watch-push", Mode::Monitor, challenge(0)),
    ]);
    assert_eq!(scene.bind("10.0.0.1").await, Ok("held"));
    let verdicts: Vec<_> = scene.last().rulings.into_iter().map(|r| r.verdict).collect();
    assert_eq!(verdicts, [Verdict::Block, challenge(0)]);
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_policy_counts_as_its_fail_mode_says_and_is_an_incident() {
    for (fail, expected) in [(FailMode::Closed, Err(String::new())), (FailMode::Open, Ok("held"))] {
        let scene = scene(vec![broken(fail)]);
        assert_eq!(scene.bind("10.0.0.1").await, expected);
        assert!(scene.last().rulings[0].fault.as_ref().unwrap().contains("trapped"));
        let records = scene.world.records.lock().unwrap();
        assert!(matches!(&records[0].incidents[..],
            [IncidentChange::Raise { login, severity: Severity::High, .. }] if login == "(gateway)"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_open_fails_does_not_open_for_the_next() {
    let scene = scene(vec![broken(FailMode::Open), always("second", Mode::Enforce, Verdict::Block)]);
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_cannot_tell_the_facts_closes() {
    let scene = scene(vec![always("allow", Mode::Enforce, Verdict::Allow)]);
    scene.world.directory_down.store(true, Ordering::SeqCst);
    assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()));
    assert!(scene.last().rulings[0].fault.as_ref().unwrap().contains("directory"));
}

#[tokio::test(start_paused = true)]
async fn whom_the_directory_lets_in_and_does_not_show_is_let_through_by_name_only() {
    let scene = scene(vec![always("abstain", Mode::Enforce, Verdict::Abstain)]);
    let mut asked = bind_from("10.0.0.1");
    asked.claim = Claim::Name("example.com/people/alice".to_owned());
    assert_eq!(scene.decide(asked.clone()).await, Err(String::new()));
    assert!(scene.last().rulings[0].fault.as_ref().unwrap().contains("accounts-without-entry"));
    asked.claim = Claim::Name("CN=admin,dc=example,dc=com".to_owned());
    assert_eq!(scene.decide(asked).await, Ok("held"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_allowed_unless_chosen() {
    for (choice, expected) in [(FailMode::Closed, Err(String::new())), (FailMode::Open, Ok("held"))] {
        let scene = scene_with(vec![], choice);
        scene.world.store_down.store(true, Ordering::SeqCst);
        assert_eq!(scene.bind("10.0.0.1").await, expected);
        scene.guard.set_policies(vec![always("block", Mode::Enforce, Verdict::Block)]);
        assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()), "a block stays one");
    }
}

#[tokio::test(start_paused = true)]
async fn approved_on_the_phone_is_allowed_after_the_wait() {
    let scene = Arc::new(scene(vec![push_policy(0)]));
    let waiting = tokio::spawn({
        let scene = scene.clone();
        async move { scene.bind("10.0.0.1").await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!waiting.is_finished());
    assert!(scene.events().is_empty(), "nothing is decided yet");
    let shown = scene.guard.desk().of_address("10.0.0.1".parse().unwrap()).await;
    assert_eq!((shown[0].number, shown[0].state), (Some(47), ChallengeState::Open));
    assert!(scene.guard.desk().of_address("10.0.0.9".parse().unwrap()).await.is_empty());
    scene.phone.answer(Progress::Approved);
    assert_eq!(waiting.await.unwrap(), Ok("held"));
    let event = scene.last();
    assert_eq!(event.challenges[0].outcome, ChallengeOutcome::Approved);
    assert!(event.challenges[0].waited_ms >= 10_000);
    let shown = scene.guard.desk().by_link(&shown[0].link).await.unwrap();
    assert_eq!((shown.number, shown.state), (None, ChallengeState::Approved), "the number is gone");
    assert_eq!(scene.phone.cancels.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn every_other_end_of_a_challenge_blocks() {
    let ends = [
        (Progress::Denied, ChallengeOutcome::Denied),
        (Progress::Failed, ChallengeOutcome::Failed),
        (Progress::Expired, ChallengeOutcome::Expired),
        (Progress::Waiting, ChallengeOutcome::Expired),
    ];
    for (progress, outcome) in ends {
        let scene = scene(vec![push_policy(0)]);
        scene.phone.answer(progress);
        let diagnostic = scene.bind("10.0.0.1").await.unwrap_err();
        assert!(diagnostic.contains("https://gateway.example/challenge"), "{diagnostic}");
        assert_eq!(scene.last().challenges[0].outcome, outcome);
        assert_eq!(scene.last().decision, Decision::Block);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_to_ask_is_told_to_the_policy_without_ringing() {
    let not_at_okta = scene(vec![push_policy(0)]);
    not_at_okta.phone.not_enrolled.store(true, Ordering::SeqCst);
    assert_eq!(not_at_okta.bind("10.0.0.1").await, Err(String::new()));
    assert_eq!(not_at_okta.last().challenges[0].outcome, ChallengeOutcome::NotEnrolled);

    for kind in [AccountKind::Service, AccountKind::Machine] {
        let scene = scene(vec![push_policy(0)]);
        *scene.world.kind.lock().unwrap() = Some(kind);
        assert_eq!(scene.bind("10.0.0.1").await, Err(String::new()));
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_on_the_way_is_waited_out_and_hopeless_trouble_is_not() {
    let passing = Arc::new(scene(vec![push_policy(0)]));
    *passing.phone.poll_error.lock().unwrap() = Some(ConnectorError::Unavailable("timeout".to_owned()));
    let waiting = tokio::spawn({
        let scene = passing.clone();
        async move { scene.bind("10.0.0.1").await }
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    *passing.phone.poll_error.lock().unwrap() = None;
    passing.phone.answer(Progress::Approved);
    assert_eq!(waiting.await.unwrap(), Ok("held"));
    assert_eq!(passing.phone.starts.load(Ordering::SeqCst), 1, "a start is never repeated");

    let hopeless = scene(vec![push_policy(0)]);
    *hopeless.phone.poll_error.lock().unwrap() = Some(ConnectorError::Protocol("HTML".to_owned()));
    assert!(hopeless.bind("10.0.0.1").await.is_err());
    assert_eq!(hopeless.last().challenges[0].outcome, ChallengeOutcome::Unavailable);
    assert!(hopeless.last().challenges[0].waited_ms < 10_000);
    hopeless.phone.taken_back.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_takes_its_challenge_with_it() {
    let scene = scene(vec![push_policy(0)]);
    {
        let decide = scene.bind("10.0.0.1");
        tokio::pin!(decide);
        assert!(tokio::time::timeout(Duration::from_secs(5), &mut decide).await.is_err());
    }
    scene.phone.taken_back.notified().await;
    assert_eq!(scene.last().decision, Decision::Abandoned);
    assert!(scene.world.records.lock().unwrap()[0].learned.is_none());
    let stored: Vec<_> = scene.world.challenges.lock().unwrap().values().map(|c| c.state).collect();
    assert_eq!(stored, [ChallengeState::Cancelled]);
    scene.phone.answer(Progress::Approved);
    assert!(tokio::time::timeout(Duration::from_secs(5), scene.bind("10.0.0.1")).await.unwrap().is_ok());
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2, "the next bind asks anew");
}

#[tokio::test(start_paused = true)]
async fn binds_at_the_same_time_share_one_push_and_its_answer() {
    let scene = Arc::new(scene(vec![push_policy(0)]));
    let spawn = |address: &'static str| {
        let scene = scene.clone();
        tokio::spawn(async move { scene.bind(address).await })
    };
    let same: Vec<_> = (0..50).map(|_| spawn("10.0.0.1")).collect();
    let other = spawn("10.0.0.2");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2, "one per machine");
    same[0].abort();
    scene.phone.answer(Progress::Approved);
    for (index, bind) in same.into_iter().enumerate() {
        if index > 0 {
            assert_eq!(bind.await.unwrap(), Ok("held"), "one client that goes away does not end it for the others");
        }
    }
    assert_eq!(other.await.unwrap(), Ok("held"));
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_remembered_as_long_and_as_far_as_the_policy_says() {
    let scene = scene(vec![push_policy(600)]);
    scene.phone.answer(Progress::Approved);
    assert!(scene.bind("10.0.0.1").await.is_ok());
    assert!(scene.bind("10.0.0.1").await.is_ok());
    assert!(scene.last().challenges[0].remembered);
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 1);
    assert!(scene.bind("10.0.0.2").await.is_ok());
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 2, "another machine is asked");
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert!(scene.bind("10.0.0.1").await.is_ok());
    assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 3, "the window is over");
    scene.phone.answer(Progress::Denied);
    assert!(scene.bind("10.0.0.3").await.is_err());
    scene.phone.answer(Progress::Approved);
    assert!(scene.bind("10.0.0.3").await.is_ok(), "a refusal is not remembered");
}

#[tokio::test(start_paused = true)]
async fn a_challenge_dismissed_on_its_page_is_closed() {
    let scene = Arc::new(scene(vec![push_policy(0)]));
    let waiting = tokio::spawn({
        let scene = scene.clone();
        async move { scene.bind("10.0.0.1").await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let link = scene.guard.desk().of_address("10.0.0.1".parse().unwrap()).await[0].link.clone();
    assert!(scene.guard.desk().dismiss(&link).await);
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(scene.last().challenges[0].outcome, ChallengeOutcome::Closed);
    assert!(!scene.guard.desk().dismiss(&link).await, "it is closed already");
    scene.phone.taken_back.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_phone_does_not_ring_until_somebody_gives_in() {
    let denied = scene(vec![push_policy(0)]);
    denied.phone.answer(Progress::Denied);
    for _ in 0..5 {
        assert!(denied.bind("10.0.0.1").await.is_err());
    }
    assert_eq!(denied.phone.starts.load(Ordering::SeqCst), 2, "two refusals are an answer");
    assert_eq!(denied.last().challenges[0].outcome, ChallengeOutcome::Failed);
    denied.phone.answer(Progress::Approved);
    assert!(denied.bind("10.0.0.1").await.is_err(), "nobody is asked, so nobody can say yes");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(denied.bind("10.0.0.1").await.is_ok());

    // Going away before the answer, to ring again.
    let restless = scene(vec![push_policy(0)]);
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::from_secs(2), restless.bind("10.0.0.1")).await;
    }
    assert_eq!(restless.phone.starts.load(Ordering::SeqCst), 6);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_asking_ends_the_challenge_and_blocks() {
    let scene = scene(vec![push_policy(0)]);
    scene.phone.panics.store(true, Ordering::SeqCst);
    assert!(scene.bind("10.0.0.1").await.is_err());
    assert_eq!(scene.last().challenges[0].outcome, ChallengeOutcome::Unavailable);
    scene.phone.panics.store(false, Ordering::SeqCst);
    scene.phone.answer(Progress::Approved);
    assert!(scene.bind("10.0.0.1").await.is_ok(), "the next one is asked as usual");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_never_has_enough_is_stopped() {
    let greedy = |fail| policy("greedy", Mode::Enforce, fail, |_, _| ruling(challenge(0)));
    for (fail, expected) in [(FailMode::Closed, false), (FailMode::Open, true)] {
        let scene = scene(vec![greedy(fail)]);
        scene.phone.answer(Progress::Approved);
        assert_eq!(scene.bind("10.0.0.1").await.is_ok(), expected);
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn incidents_are_raised_and_resolved_for_the_account() {
    let with_effects = policy("push", Mode::Enforce, FailMode::Closed, |_, evidence| {
        let (verdict, effect) = match evidence {
            [] => return ruling(challenge(0)),
            [Evidence::Challenge(r), ..] if r.outcome == ChallengeOutcome::Approved => {
                (Verdict::Allow, Effect::ResolveIncident)
            }
            _ => {
                let title = "Push denied".to_owned();
                (Verdict::Block, Effect::RaiseIncident { severity: Severity::High, title, escalate: Vec::new() })
            }
        };
        Ok(Ruling { verdict, reason: "r".to_owned(), effects: vec![effect] })
    });
    let scene = scene(vec![with_effects]);
    scene.phone.answer(Progress::Denied);
    assert!(scene.bind("10.0.0.1").await.is_err());
    scene.phone.answer(Progress::Approved);
    assert!(scene.bind("10.0.0.1").await.is_ok());
    let records = scene.world.records.lock().unwrap();
    assert!(matches!(&records[0].incidents[..],
        [IncidentChange::Raise { account, severity: Severity::High, .. }] if account.as_str() == "alice-id"));
    assert!(matches!(&records[1].incidents[..], [IncidentChange::Resolve { .. }]));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_watches_passes_and_changes_never_do() {
    let scene = scene(vec![always("allow", Mode::Enforce, Verdict::Allow)]);
    assert!(scene.guard.pass(OperationKind::Compare, ()).is_ok());
    assert!(scene.guard.pass(OperationKind::Search, ()).is_err(), "a policy wants to see it");
    for kind in [OperationKind::Bind, OperationKind::Modify, OperationKind::PasswordChange] {
        assert!(scene.guard.pass(kind, ()).is_err());
    }
    scene.guard.set_policies(vec![]);
    assert!(scene.guard.pass(OperationKind::Search, ()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_read_is_an_event_only_where_somebody_has_something_to_say() {
    let search = || {
        let mut search = bind_from("10.0.0.1");
        search.operation = Operation::Search(None);
        search.outcome = Outcome::Pending;
        search
    };
    let incident = Effect::RaiseIncident { severity: Severity::Low, title: "seen".to_owned(), escalate: Vec::new() };
    let remark = policy("remark", Mode::Enforce, FailMode::Closed, move |_, _| {
        Ok(Ruling { verdict: Verdict::Abstain, reason: String::new(), effects: vec![incident.clone()] })
    });
    let quiet = [always("abstain", Mode::Enforce, Verdict::Abstain), always("allow", Mode::Enforce, Verdict::Allow)];
    let cases = [
        (quiet.to_vec(), Audit::Summary, 0),
        (vec![always("watch", Mode::Monitor, Verdict::Allow)], Audit::Summary, 0),
        (vec![always("watch", Mode::Monitor, Verdict::Block)], Audit::Summary, 1),
        (vec![remark], Audit::Summary, 1),
        (vec![broken(FailMode::Open)], Audit::Summary, 1),
        (quiet.to_vec(), Audit::Full, 1),
        (quiet.to_vec(), Audit::Off, 0),
    ];
    for (place, (policies, audit, events)) in cases.into_iter().enumerate() {
        let scene = scene_of(policies, FailMode::Closed, audit);
        let passed = matches!(scene.guard.decide(search(), ()).await, Answer::Passed(_));
        assert_eq!((passed, scene.events().len()), (events == 0, events), "{place}");
        // A change always is one, and so is a bind.
        let mut change = search();
        change.operation = Operation::Delete;
        scene.decide(change).await.unwrap();
        scene.bind("10.0.0.1").await.unwrap();
        assert_eq!(scene.events().len(), events + 2, "{place}");
    }
    // Something was noticed: the account has never used this machine.
    let scene = scene(vec![always("allow", Mode::Enforce, Verdict::Allow)]);
    scene.bind("10.0.0.1").await.unwrap();
    scene.bind("10.0.0.1").await.unwrap();
    let mut elsewhere = search();
    elsewhere.connection = bind_from("10.0.0.9").connection;
    scene.decide(elsewhere).await.unwrap();
    assert_eq!(scene.last().access.signals[0].name, "unusual-endpoint");
    assert!(matches!(scene.last().access.operation, Operation::Search(_)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_search_says_so_and_a_failed_bind_is_noted() {
    let scene = scene(vec![always("block", Mode::Enforce, Verdict::Block)]);
    let mut search = bind_from("10.0.0.1");
    search.operation = Operation::Search(None);
    search.outcome = Outcome::Pending;
    assert!(scene.decide(search).await.unwrap_err().starts_with("refused by policy (reference "));

    let mut failed = bind_from("10.0.0.1");
    failed.outcome = Outcome::Failure;
    failed.directory_result = Some(49);
    scene.guard.note(failed, "The directory refused the bind.").await;
    let event = scene.last();
    assert_eq!((event.decision, event.directory_result), (Decision::Refused, Some(49)));
    assert!(event.rulings.is_empty(), "no policy was asked");
    assert!(scene.world.records.lock().unwrap()[1].learned.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_anonymous_or_unreadable_access_has_no_account_and_nobody_to_ask() {
    for claim in [Claim::Anonymous, Claim::Unreadable] {
        let scene = scene(vec![push_policy(0)]);
        let mut asked = bind_from("10.0.0.1");
        asked.claim = claim;
        asked.operation = Operation::Bind(BindMethod::Anonymous);
        assert!(scene.decide(asked).await.is_err());
        assert!(scene.last().access.account.is_none());
        assert_eq!(scene.phone.starts.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn how_accesses_challenges_and_policies_end_is_counted() {
    let approving = scene(vec![push_policy(0)]);
    approving.phone.answer(Progress::Approved);
    assert_eq!(approving.bind("10.0.0.1").await, Ok("held"));
    assert_eq!(approving.guard.counts().decisions(), [("allow", 1), ("block", 0), ("refused", 0), ("abandoned", 0)]);
    assert_eq!(approving.guard.counts().challenges()[0], ("approved", 1));

    let faulty = scene(vec![broken(FailMode::Closed)]);
    assert!(faulty.bind("10.0.0.1").await.is_err());
    faulty.guard.note(bind_from("10.0.0.1"), "refused").await;
    assert_eq!(faulty.guard.counts().decisions(), [("allow", 0), ("block", 1), ("refused", 1), ("abandoned", 0)]);
    assert_eq!((faulty.guard.counts().policy_faults(), faulty.guard.counts().not_stored()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_a_permitted_bind_of_its_service_account_shows_an_application() {
    let service = "uid=alice, ou=People,dc=example,dc=com".to_owned();
    let wiki = portcullis_guard::ApplicationRule {
        name: "wiki".to_owned(),
        listener: None,
        networks: vec![],
        bind_names: vec![service],
    };
    // Nobody gets in from 10.0.0.1, and the other alice through nothing but the wiki.
    let strict = policy("strict", Mode::Enforce, FailMode::Closed, |access, _| {
        let is_other =
            access.account.as_ref().and_then(|a| a.dn.as_ref()).is_some_and(|dn| dn.starts_with("uid=alice2"));
        let is_blocked = access.endpoint.as_ref().is_some_and(|e| e.address.to_string() == "10.0.0.1");
        ruling(if is_blocked || is_other && access.target.application != "wiki" {
            Verdict::Block
        } else {
            Verdict::Allow
        })
    });
    let surroundings = portcullis_guard::Surroundings { applications: vec![wiki], ..Default::default() };
    let scene = scene_in(vec![strict], FailMode::Closed, Audit::Summary, surroundings);
    let shown = async |asked| match scene.guard.decide(asked, "held").await {
        Answer::Permitted(permitted) | Answer::Passed(permitted) => Ok(permitted.application().map(str::to_owned)),
        Answer::Refused(_) => Err("refused"),
    };
    assert_eq!(shown(bind_from("10.0.0.2")).await, Ok(Some("wiki".to_owned())));
    assert_eq!(scene.last().access.target.application, "wiki", "the service account's own bind counts as well");
    assert_eq!(shown(bind_from("10.0.0.1")).await, Err("refused"));

    let mut wrong = bind_from("10.0.0.2");
    wrong.outcome = Outcome::Failure;
    scene.guard.note(wrong, "The directory refused the bind.").await;
    assert_eq!(scene.last().access.target.application, "main", "a wrong password names no application");

    let mut user = bind_from("10.0.0.2");
    user.claim = Claim::Name("uid=alice2,ou=people,dc=example,dc=com".to_owned());
    user.entry = Some("uid=alice,ou=people,dc=example,dc=com".to_owned());
    assert_eq!(shown(user.clone()).await, Err("refused"));
    user.connection.application = Some("wiki".to_owned());
    assert_eq!(shown(user).await, Ok(None), "the session knows already");
    assert_eq!(scene.last().access.target.application, "wiki");
}
