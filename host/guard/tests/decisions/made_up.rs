//! Backtests of accesses that were made up.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_core::backtest::{AccessLog, AccessReader, BareRuling, Ending, ForeignPart, RecordedAccess};
use portcullis_core::event::{Decision, RecordedChallenge};
use portcullis_core::policy::*;
use portcullis_core::store::{Sequence, StoreError};
use portcullis_core::{
    Access, AccountKind, BindMethod, ChallengeId, ConnectorName, EventId, Operation, Outcome, Target, Timestamp,
};
use portcullis_guard::{BacktestOptions, BacktestProgress, backtest};

use crate::backtests::{People, account, ending, options, run};
use crate::support::*;

struct Log(Vec<RecordedAccess>);

impl AccessLog for Log {
    fn extent(&self, _: Timestamp) -> Result<(Sequence, Sequence), StoreError> {
        Ok((Sequence(0), Sequence(self.0.len() as u64)))
    }

    fn reader(&self) -> Result<Box<dyn AccessReader>, StoreError> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl AccessReader for Log {
    fn accesses(&mut self, after: Sequence, through: Sequence) -> Result<Vec<RecordedAccess>, StoreError> {
        let range = usize::try_from(after.0).unwrap()..usize::try_from(through.0).unwrap();
        Ok(self.0[range].to_vec())
    }
}

fn recorded(number: u128, login: &str) -> RecordedAccess {
    RecordedAccess {
        access: Access {
            id: EventId(uuid::Uuid::from_u128(number)),
            at: Timestamp(1_000),
            source: "ldap".to_owned(),
            account: Some(account(login)),
            endpoint: None,
            protection: None,
            target: Target { application: format!("app of {login}"), entry: None },
            operation: Operation::Bind(BindMethod::Simple),
            outcome: Outcome::Success,
            signals: Vec::new(),
        },
        decision: Decision::Allow,
        rulings: Vec::new(),
        challenges: Vec::new(),
        foreign: None,
    }
}

fn answered(outcome: ChallengeOutcome, decision: Decision) -> RecordedAccess {
    let challenge = RecordedChallenge {
        id: Some(ChallengeId(uuid::Uuid::from_u128(1))),
        connector: ConnectorName::new("phone"),
        outcome,
        detail: String::new(),
        remembered: false,
        waited_ms: 5_000,
    };
    let rulings = vec![BareRuling { mode: Mode::Enforce, verdict: super::support::challenge(0) }];
    RecordedAccess { decision, challenges: vec![challenge], rulings, ..recorded(1, "ada") }
}

#[tokio::test]
async fn an_answer_on_record_counts_and_none_is_made_up() {
    let people = Arc::new(People::default());
    let approved = Arc::new(Log(vec![answered(ChallengeOutcome::Approved, Decision::Allow)]));
    let report = run(approved.clone(), &people, vec![push_policy(0)]).await;
    assert_eq!((report.changed, report.pushes, report.pushes_spared), (0, 0, 0));
    let strict = policy("push", Mode::Enforce, FailMode::Closed, |_, evidence| match evidence {
        [] => ruling(challenge(0)),
        [Evidence::Challenge(result)] => {
            assert_eq!((result.outcome, result.at), (ChallengeOutcome::Approved, Timestamp(6_000)));
            ruling(Verdict::Block)
        }
        _ => panic!("one answer"),
    });
    let report = run(approved.clone(), &people, vec![strict]).await;
    assert_eq!((report.changes[0].from, report.changes[0].to), (Ending::ChallengeAllow, Ending::ChallengeBlock));
    // Another connector was not asked.
    let other = policy("codes", Mode::Enforce, FailMode::Closed, |_, _| {
        let Verdict::Challenge(request) = challenge(0) else { unreachable!("a challenge") };
        ruling(Verdict::Challenge(ChallengeRequest { connector: ConnectorName::new("codes"), ..request }))
    });
    let report = run(approved.clone(), &people, vec![other]).await;
    assert_eq!((report.changes[0].from, report.changes[0].to), (Ending::ChallengeAllow, Ending::Challenge));
    assert_eq!((report.pushes, report.pushes_spared), (1, 1));
    let report = run(approved, &people, Vec::new()).await;
    assert_eq!((report.changes[0].to, report.pushes_spared, report.touched), (Ending::Allow, 1, 0));
    // One that never ends has the recorded answer once, and asks anew then.
    let denied = Arc::new(Log(vec![answered(ChallengeOutcome::Denied, Decision::Block)]));
    let endless = policy("endless", Mode::Enforce, FailMode::Open, |_, _| ruling(challenge(0)));
    let report = run(denied, &people, vec![endless]).await;
    assert_eq!((report.changes[0].to, report.pushes), (Ending::Challenge, 1));
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_counted_and_everybody_is_looked_up_once() {
    let people = Arc::new(People::default());
    people.gone.lock().unwrap().insert("eve".to_owned());
    let logins = ["ada", "eve", "bob", "ada", "eve", "ada"];
    let mut log: Vec<_> = (1..).zip(logins).map(|(number, login)| recorded(number, login)).collect();
    log.push(RecordedAccess { decision: Decision::Refused, ..recorded(7, "ada") });
    log.push(RecordedAccess { decision: Decision::Abandoned, ..recorded(8, "ada") });
    let blocking = || {
        policy("block", Mode::Enforce, FailMode::Closed, |_, _| {
            Ok(Ruling {
                verdict: Verdict::Block,
                reason: "because".to_owned(),
                effects: vec![
                    Effect::RaiseIncident { severity: Severity::Low, title: "a".to_owned(), escalate: Vec::new() },
                    Effect::ResolveIncident,
                    Effect::Demote { group: "admins".to_owned(), restore_after_seconds: 0, from_times: 0 },
                    Effect::Notify { channel: "soc".to_owned(), text: "Look.".to_owned() },
                ],
            })
        })
    };
    let progress = Arc::new(BacktestProgress::default());
    let log: Arc<dyn AccessLog> = Arc::new(Log(log));
    let report = backtest(log.clone(), people.clone(), vec![blocking()], &options(1), progress).await.unwrap();
    assert_eq!((report.read, report.evaluated, report.not_decided, report.not_evaluated), (8, 4, 2, 2));
    assert_eq!((report.touched, report.touched_percent), (4, 100.0));
    assert_eq!((report.incidents_raised, report.incidents_resolved), (4, 4));
    assert_eq!((report.demotions, report.notices), (4, 4));
    let rows: Vec<_> = report.accounts.iter().map(|row| (row.name.as_str(), row.changed, row.evaluated)).collect();
    assert_eq!(rows, [("ada", 3, 3), ("bob", 1, 1)]);
    assert_eq!(report.applications[0].name, "app of ada");
    let examples: Vec<_> = report.accounts[0].changes[0].examples.iter().map(|id| id.0.as_u128()).collect();
    assert_eq!(examples, [1, 4, 6], "in their order");
    let mut asked = people.asked.lock().unwrap().clone();
    asked.retain(|name| name != "eve");
    assert_eq!(asked.len(), 3, "ada, eve and bob: {asked:?}");

    let down = Arc::new(People { down: true, ..People::default() });
    let report = run(log, &down, vec![blocking()]).await;
    assert_eq!((report.evaluated, report.not_evaluated), (0, 6));
    assert!(report.notes.iter().any(|note| note.contains("connection refused")), "{:?}", report.notes);
    assert!(down.asked.lock().unwrap().len() <= 3, "it is left alone then");
}

/// Who was renamed is found by what has stayed, whichever access came first.
#[tokio::test]
async fn who_has_moved_is_evaluated_in_any_order() {
    let named = |number, login: &str, unit: &str| {
        let mut recorded = recorded(number, "ada");
        let account = recorded.access.account.as_mut().unwrap();
        (account.login, account.dn) = (login.to_owned(), Some(format!("uid={login},ou={unit},dc=example,dc=com")));
        recorded
    };
    let mut log = vec![named(1, "ada", "before"), named(2, "adele", "before"), named(3, "ada", "people")];
    for _ in 0..2 {
        let people = Arc::new(People::default());
        let report = run(Arc::new(Log(log.clone())), &people, Vec::new()).await;
        assert_eq!((report.evaluated, report.not_evaluated), (2, 1), "both names of adele are gone");
        log.reverse();
    }
}

/// Live, the question about what has happened at a cloud service is asked afterwards, by a second half that is not evaluated.
#[tokio::test]
async fn a_cloud_access_that_was_asked_about_later_is_no_change() {
    let asking = || vec![policy("push", Mode::Enforce, FailMode::Closed, |_, _| ruling(challenge(0)))];
    let of_cloud = |number, kind| {
        let mut recorded = recorded(number, "ada");
        recorded.access.source = "okta".to_owned();
        recorded.access.account.as_mut().unwrap().kind = kind;
        recorded.rulings = vec![BareRuling { mode: Mode::Enforce, verdict: challenge(0) }];
        recorded.foreign = Some(ForeignPart { follows: None });
        recorded
    };
    let log: Arc<dyn AccessLog> =
        Arc::new(Log(vec![of_cloud(1, AccountKind::Human), of_cloud(2, AccountKind::Service)]));
    let people = Arc::new(People::default());
    let report = run(log.clone(), &people, asking()).await;
    assert_eq!((report.evaluated, report.changed, report.pushes, report.pushes_spared), (2, 0, 0, 0));
    let report = run(log, &people, Vec::new()).await;
    assert_eq!((report.changed, report.pushes, report.pushes_spared), (2, 0, 1), "nobody can ask a service account");
    let quiet = |recorded: RecordedAccess| RecordedAccess { rulings: Vec::new(), ..recorded };
    let log = vec![quiet(of_cloud(1, AccountKind::Human)), quiet(of_cloud(2, AccountKind::Service))];
    let report = run(Arc::new(Log(log)), &people, asking()).await;
    assert_eq!((ending(&report, Ending::Challenge).len(), report.pushes), (2, 1));
}

#[tokio::test]
async fn it_can_be_ended_and_takes_the_latest() {
    let people = Arc::new(People::default());
    let log: Vec<_> = (1..=50).map(|number| recorded(number, "ada")).collect();
    let log: Arc<dyn AccessLog> = Arc::new(Log(log));
    let latest = BacktestOptions { most: 20, ..options(2) };
    let progress = Arc::new(BacktestProgress::default());
    let report = backtest(log.clone(), people.clone(), Vec::new(), &latest, progress).await.unwrap();
    assert_eq!((report.read, report.truncated, report.cancelled), (20, true, false));
    let progress = Arc::new(BacktestProgress::default());
    progress.cancelled.store(true, Ordering::Relaxed);
    let report = backtest(log, people, Vec::new(), &options(2), progress).await.unwrap();
    assert_eq!((report.read, report.cancelled), (0, true));
}
