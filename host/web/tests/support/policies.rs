//! A list of policies that is made up, and a desk that remembers what was to be done with it.

use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::backtest::{Affected, BacktestReport, Ending, EndingChange, PolicyTally};
use portcullis_core::policies::{
    BacktestOf, BacktestState, CheckedDraft, Doings, PoliciesInForce, PolicyDesk, PolicyError, PolicyProblem,
    RefusedRevision,
};
use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::revision::{
    LastChange, ListedLimits, ListedPolicy, PolicyChange, PolicyDraft, Revision, difference, list_problems,
};
use portcullis_core::{AccountId, EventId, PolicyName, Timestamp};

/// Has revisions from the beginning, and no draft.
pub struct FakePolicies {
    inner: Mutex<Inner>,
}

struct Inner {
    revisions: Vec<Revision>,
    version: u64,
    draft: Option<PolicyDraft>,
    backtest: BacktestState,
    said: Vec<String>,
    refused: Option<RefusedRevision>,
}

pub fn listed(name: &str, mode: Mode, settings: serde_json::Value) -> ListedPolicy {
    ListedPolicy {
        name: PolicyName::new(name),
        plugin: "rules.wasm".to_owned(),
        component: Some("5e".repeat(32)),
        mode,
        fail: FailMode::Closed,
        canary_of: (mode == Mode::Canary).then(|| PolicyName::new("unusual-endpoint")),
        limits: ListedLimits::default(),
        settings,
    }
}

fn rule(name: &str, then: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "rules": [{
        "name": name,
        "operations": ["bind"],
        "when": { "signal": ["unusual-endpoint"], "kind": ["human", "unknown"] },
        "then": then,
    }] })
}

impl Default for FakePolicies {
    fn default() -> Self {
        let asking =
            rule("A person on an unusual machine", &serde_json::json!({ "challenge": { "connector": "okta-verify" } }));
        let first = vec![listed("unusual-endpoint", Mode::Monitor, asking.clone())];
        let second = vec![
            listed("unusual-endpoint", Mode::Enforce, asking),
            listed("stricter", Mode::Canary, rule("A person on an unusual machine", &"block".into())),
            listed("<b>night</b>", Mode::Off, rule("At night", &"block".into())),
        ];
        let revision = |number, actor: &str, comment: &str, policies| Revision {
            number,
            at: Timestamp(super::BEGIN + number * 60_000),
            actor: actor.to_owned(),
            comment: comment.to_owned(),
            policies,
        };
        let revisions = vec![
            revision(1, "configuration file", "The first list of the configuration file.", first),
            revision(2, "ada", "Now <i>for real</i>", second),
        ];
        let backtest = BacktestState::default();
        let inner = Inner { revisions, version: 0, draft: None, backtest, said: Vec::new(), refused: None };
        Self { inner: Mutex::new(inner) }
    }
}

impl FakePolicies {
    /// What was done, by whom.
    pub fn said(&self) -> Vec<String> {
        self.inner.lock().unwrap().said.clone()
    }

    /// The next revision is there, and cannot be put into force.
    pub fn refuse(&self, why: &str) {
        let mut inner = self.inner.lock().unwrap();
        let number = inner.newest().number + 1;
        inner.refused = Some(RefusedRevision { number, why: why.to_owned() });
    }

    /// A backtest has ended.
    pub fn report(&self) {
        self.inner.lock().unwrap().backtest =
            BacktestState { of: "the draft".to_owned(), report: Some(report()), ..BacktestState::default() };
    }
}

impl Inner {
    fn newest(&self) -> &Revision {
        self.revisions.last().unwrap()
    }

    fn put(&mut self, person: &str, comment: &str, policies: Vec<ListedPolicy>) -> Revision {
        let number = self.newest().number + 1;
        let (actor, comment) = (person.to_owned(), comment.to_owned());
        let revision = Revision { number, at: Timestamp(super::BEGIN), actor, comment, policies };
        self.revisions.push(revision.clone());
        revision
    }

    fn checked(&self, draft: PolicyDraft) -> CheckedDraft {
        let of_list = list_problems(&draft.policies).into_iter().map(|problem| PolicyProblem {
            place: problem.place,
            policy: draft.policies[problem.place].name.clone(),
            field: problem.field,
            message: problem.message,
        });
        // What a component would say of its settings.
        let of_settings = draft.policies.iter().enumerate().filter(|(_, policy)| policy.settings["rules"].is_null());
        let of_settings = of_settings.map(|(place, policy)| PolicyProblem {
            place,
            policy: policy.name.clone(),
            field: "settings/rules".to_owned(),
            message: "is missing".to_owned(),
        });
        CheckedDraft {
            problems: of_list.chain(of_settings).collect(),
            difference: difference(&self.newest().policies, &draft.policies),
            draft,
        }
    }
}

#[async_trait]
impl PolicyDesk for FakePolicies {
    async fn in_force(&self) -> Result<PoliciesInForce, PolicyError> {
        let inner = self.inner.lock().unwrap();
        let did = Doings {
            verdicts: [("abstain".to_owned(), 1_204), ("challenge".to_owned(), 3)].into(),
            ..Doings::default()
        };
        let compared = Doings { faults: 1, agreed: 1_190, differed: 17, ..did.clone() };
        Ok(PoliciesInForce {
            revision: inner.newest().clone(),
            refused: inner.refused.clone(),
            problems: Vec::new(),
            doings: [(PolicyName::new("unusual-endpoint"), did), (PolicyName::new("stricter"), compared)].into(),
            doings_since: Timestamp(super::BEGIN),
        })
    }

    async fn draft(&self) -> Result<(u64, Option<CheckedDraft>), PolicyError> {
        let inner = self.inner.lock().unwrap();
        Ok((inner.version, inner.draft.clone().map(|draft| inner.checked(draft))))
    }

    async fn save(
        &self,
        person: &str,
        version: u64,
        newest: Option<u64>,
        policies: Vec<ListedPolicy>,
    ) -> Result<CheckedDraft, PolicyError> {
        let mut inner = self.inner.lock().unwrap();
        let number = inner.refused.as_ref().map_or(inner.newest().number, |refused| refused.number);
        if version != inner.version || newest.is_some_and(|seen| seen != number) {
            return Err(PolicyError::Conflict);
        }
        let saved = LastChange { actor: person.to_owned(), at: Timestamp(super::BEGIN) };
        let draft = PolicyDraft::next(version, inner.draft.as_ref(), inner.newest(), policies, saved);
        (inner.version, inner.draft) = (draft.version, Some(draft.clone()));
        inner.said.push(format!("{person} saved"));
        Ok(inner.checked(draft))
    }

    async fn drop_draft(&self, person: &str, version: u64) -> Result<(), PolicyError> {
        let mut inner = self.inner.lock().unwrap();
        if inner.draft.is_none() {
            return Err(PolicyError::NoDraft);
        }
        if version != inner.version {
            return Err(PolicyError::Conflict);
        }
        (inner.version, inner.draft) = (version + 1, None);
        inner.said.push(format!("{person} dropped"));
        Ok(())
    }

    async fn apply(&self, person: &str, version: u64, comment: &str) -> Result<Revision, PolicyError> {
        let mut inner = self.inner.lock().unwrap();
        let draft = inner.draft.clone().ok_or(PolicyError::NoDraft)?;
        if version != inner.version {
            return Err(PolicyError::Conflict);
        }
        let problems = inner.checked(draft.clone()).problems;
        if !problems.is_empty() {
            return Err(PolicyError::Problems(problems));
        }
        (inner.version, inner.draft) = (version + 1, None);
        inner.said.push(format!("{person} applied: {comment}"));
        Ok(inner.put(person, comment, draft.policies))
    }

    async fn revert(&self, person: &str, number: u64) -> Result<Revision, PolicyError> {
        let mut inner = self.inner.lock().unwrap();
        let old = inner.revisions.iter().find(|revision| revision.number == number).cloned();
        let old = old.ok_or(PolicyError::NoRevision(number))?;
        inner.said.push(format!("{person} reverted to {number}"));
        Ok(inner.put(person, &format!("Back to revision {number}."), old.policies))
    }

    async fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, PolicyError> {
        let inner = self.inner.lock().unwrap();
        let older = inner.revisions.iter().rev().filter(|one| before.is_none_or(|before| one.number < before));
        Ok(older.take(limit as usize).cloned().collect())
    }

    async fn revision(&self, number: u64) -> Result<(Revision, Vec<PolicyChange>), PolicyError> {
        let inner = self.inner.lock().unwrap();
        let find = |number| inner.revisions.iter().find(|revision| revision.number == number);
        let revision = find(number).cloned().ok_or(PolicyError::NoRevision(number))?;
        let before = find(number - 1).map(|before| before.policies.clone()).unwrap_or_default();
        let changes = difference(&before, &revision.policies);
        Ok((revision, changes))
    }

    async fn start_backtest(&self, of: BacktestOf, days: u32) -> Result<(), PolicyError> {
        let mut inner = self.inner.lock().unwrap();
        if inner.backtest.running {
            return Err(PolicyError::Busy);
        }
        inner.backtest = BacktestState {
            running: true,
            of: "revision 2".to_owned(),
            done: 41_000,
            total: 120_500,
            ..BacktestState::default()
        };
        inner.said.push(format!("{of:?} of {days} days"));
        Ok(())
    }

    fn backtest(&self) -> BacktestState {
        self.inner.lock().unwrap().backtest.clone()
    }

    fn cancel_backtest(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.backtest.running = false;
        inner.said.push("cancelled".to_owned());
    }
}

fn report() -> BacktestReport {
    let change = |from, to, count| EndingChange {
        from,
        to,
        count,
        examples: vec![EventId(uuid::Uuid::from_u128(0x019a_b7c0_5d2e_7000_8000_0000_0000_0001))],
    };
    let row = |name: &str, account: Option<&str>, changed| Affected {
        name: name.to_owned(),
        account: account.map(AccountId::new),
        evaluated: 4_210,
        changed,
        pushes: 7,
        changes: vec![change(Ending::Allow, Ending::Block, changed)],
    };
    BacktestReport {
        since: Timestamp(super::BEGIN),
        days: 14,
        read: 1_204_511,
        evaluated: 1_190_002,
        not_decided: 14_001,
        not_evaluated: 508,
        touched: 15_470,
        touched_percent: 1.3,
        changed: 57,
        changes: vec![change(Ending::Allow, Ending::Block, 50), change(Ending::ChallengeAllow, Ending::Allow, 7)],
        pushes: 12,
        pushes_spared: 7,
        incidents_raised: 3,
        incidents_resolved: 1,
        demotions: 200,
        notices: 4,
        policies: vec![PolicyTally {
            policy: PolicyName::new("unusual-endpoint"),
            mode: Mode::Enforce,
            verdicts: [("abstain".to_owned(), 1_174_532), ("block".to_owned(), 15_470)].into(),
            faults: 2,
            first_fault: Some("the plugin trapped: unreachable".to_owned()),
        }],
        accounts: vec![row("<script>bob</script>", Some("bob-id"), 40), row("carol", Some("carol-id"), 17)],
        accounts_affected: 2,
        applications: vec![row("wiki", None, 57)],
        cancelled: false,
        truncated: false,
        elapsed_ms: 14_210,
        accesses_per_second: 84_765,
        notes: vec!["Accesses are as they were recorded.".to_owned()],
    }
}
