//! What a backtest has found, added up.

use std::collections::{BTreeMap, HashMap};

use portcullis_core::backtest::{Affected, BacktestReport, Ending, EndingChange, PolicyTally, RecordedAccess};
use portcullis_core::{AccountId, EventId, Timestamp};

use super::judge::{Judged, recorded_ending};
use crate::PolicyEntry;

/// Rows of accounts, and of applications, in a report.
const MOST_ROWS: usize = 500;

/// What one thread, or all of them, found.
pub(super) struct Findings {
    /// The place of accesses without an account among the accounts.
    nobody: AccountId,
    pub(super) read: u64,
    pub(super) not_decided: u64,
    pub(super) not_evaluated: u64,
    evaluated: u64,
    touched: u64,
    pushes: u64,
    spared: u64,
    raised: u64,
    resolved: u64,
    demotions: u64,
    notices: u64,
    changes: Changes,
    policies: Vec<Tally>,
    accounts: HashMap<AccountId, Row>,
    applications: HashMap<String, Row>,
}

/// By how they ended and how they would: how many, and the first.
type Changes = BTreeMap<(Ending, Ending), (u64, Vec<EventId>)>;

#[derive(Default)]
struct Tally {
    verdicts: BTreeMap<&'static str, u64>,
    faults: u64,
    first_fault: Option<(EventId, String)>,
}

#[derive(Default)]
struct Row {
    login: String,
    evaluated: u64,
    pushes: u64,
    changes: Changes,
}

impl Findings {
    pub(super) fn new(policies: &[PolicyEntry]) -> Self {
        Self {
            nobody: AccountId::new(""),
            read: 0,
            not_decided: 0,
            not_evaluated: 0,
            evaluated: 0,
            touched: 0,
            pushes: 0,
            spared: 0,
            raised: 0,
            resolved: 0,
            demotions: 0,
            notices: 0,
            changes: Changes::default(),
            policies: policies.iter().map(|_| Tally::default()).collect(),
            accounts: HashMap::new(),
            applications: HashMap::new(),
        }
    }

    /// Adds one access.
    pub(super) fn take(&mut self, policies: &[PolicyEntry], of: &RecordedAccess, judged: &Judged, examples: usize) {
        debug_assert_eq!(policies.len(), self.policies.len(), "the same list all the time");
        let access = &of.access;
        self.evaluated += 1;
        self.touched += u64::from(judged.said.iter().any(|said| said.verdict != "abstain"));
        self.pushes += judged.pushes;
        self.spared += judged.spared;
        self.raised += judged.raised;
        self.resolved += judged.resolved;
        self.demotions += judged.demotions;
        self.notices += judged.notices;
        for said in &judged.said {
            let Some(tally) = self.policies.get_mut(said.place) else { continue };
            *tally.verdicts.entry(said.verdict).or_default() += 1;
            tally.faults += said.faults.len() as u64;
            if let Some(fault) = said.faults.first() {
                tally.first_fault.get_or_insert_with(|| (access.id, fault.clone()));
            }
        }
        let account = access.account.as_ref();
        let key = account.map_or(&self.nobody, |account| &account.id);
        // Asked first, so that a name is copied once and not for each access.
        if !self.accounts.contains_key(key) {
            let login = account.map_or("(nobody)", |account| account.login.as_str()).to_owned();
            self.accounts.insert(key.clone(), Row { login, ..Row::default() });
        }
        if !self.applications.contains_key(&access.target.application) {
            self.applications.insert(access.target.application.clone(), Row::default());
        }
        let rows = [self.accounts.get_mut(key), self.applications.get_mut(&access.target.application)];
        let (from, to) = (recorded_ending(of), judged.ending);
        for row in rows.into_iter().flatten() {
            row.evaluated += 1;
            row.pushes += judged.pushes;
            note(&mut row.changes, from, to, access.id, examples);
        }
        note(&mut self.changes, from, to, access.id, examples);
    }

    /// Adds what another thread found.
    pub(super) fn add(&mut self, other: Self, examples: usize) {
        self.read += other.read;
        self.not_decided += other.not_decided;
        self.not_evaluated += other.not_evaluated;
        self.evaluated += other.evaluated;
        self.touched += other.touched;
        self.pushes += other.pushes;
        self.spared += other.spared;
        self.raised += other.raised;
        self.resolved += other.resolved;
        self.demotions += other.demotions;
        self.notices += other.notices;
        merge(&mut self.changes, other.changes, examples);
        for (mine, theirs) in self.policies.iter_mut().zip(other.policies) {
            for (verdict, count) in theirs.verdicts {
                *mine.verdicts.entry(verdict).or_default() += count;
            }
            mine.faults += theirs.faults;
            // Ids sort by time: the first of both is the first of all.
            mine.first_fault = [mine.first_fault.take(), theirs.first_fault].into_iter().flatten().min();
        }
        for (key, theirs) in other.accounts {
            self.accounts.entry(key).or_default().add(theirs, examples);
        }
        for (key, theirs) in other.applications {
            self.applications.entry(key).or_default().add(theirs, examples);
        }
    }

    pub(super) fn report(self, policies: &[PolicyEntry]) -> BacktestReport {
        let nobody = self.nobody;
        let accounts =
            self.accounts.into_iter().map(|(id, row)| row.affected(None, Some(id).filter(|id| *id != nobody)));
        let applications = self.applications.into_iter().map(|(name, row)| row.affected(Some(name), None));
        let (accounts, accounts_affected) = most_affected(accounts);
        let (applications, _) = most_affected(applications);
        let tally = |(entry, tally): (&PolicyEntry, Tally)| PolicyTally {
            policy: entry.name.clone(),
            mode: entry.mode,
            verdicts: tally.verdicts.into_iter().map(|(verdict, count)| (verdict.to_owned(), count)).collect(),
            faults: tally.faults,
            first_fault: tally.first_fault.map(|(event, fault)| format!("{fault} (event {event})")),
        };
        BacktestReport {
            since: Timestamp(0),
            days: 0,
            read: self.read,
            evaluated: self.evaluated,
            not_decided: self.not_decided,
            not_evaluated: self.not_evaluated,
            touched: self.touched,
            touched_percent: percent(self.touched, self.evaluated),
            changed: self.changes.values().map(|(count, _)| count).sum(),
            changes: listed(self.changes),
            pushes: self.pushes,
            pushes_spared: self.spared,
            incidents_raised: self.raised,
            incidents_resolved: self.resolved,
            demotions: self.demotions,
            notices: self.notices,
            policies: policies.iter().zip(self.policies).map(tally).collect(),
            accounts,
            accounts_affected,
            applications,
            cancelled: false,
            truncated: false,
            elapsed_ms: 0,
            accesses_per_second: 0,
            notes: Vec::new(),
        }
    }
}

impl Row {
    fn add(&mut self, other: Self, examples: usize) {
        if self.login.is_empty() {
            self.login = other.login;
        }
        self.evaluated += other.evaluated;
        self.pushes += other.pushes;
        merge(&mut self.changes, other.changes, examples);
    }

    fn affected(self, name: Option<String>, account: Option<AccountId>) -> Affected {
        Affected {
            name: name.unwrap_or(self.login),
            account,
            evaluated: self.evaluated,
            changed: self.changes.values().map(|(count, _)| count).sum(),
            pushes: self.pushes,
            changes: listed(self.changes),
        }
    }
}

fn note(changes: &mut Changes, from: Ending, to: Ending, id: EventId, examples: usize) {
    if from == to {
        return;
    }
    let (count, first) = changes.entry((from, to)).or_default();
    *count += 1;
    if first.len() < examples {
        first.push(id);
    }
}

fn merge(mine: &mut Changes, theirs: Changes, examples: usize) {
    for (key, (count, ids)) in theirs {
        let (sum, first) = mine.entry(key).or_default();
        *sum += count;
        first.extend(ids);
        first.sort_unstable();
        first.truncate(examples);
    }
}

fn listed(changes: Changes) -> Vec<EndingChange> {
    let change = |((from, to), (count, examples)): ((Ending, Ending), (u64, Vec<EventId>))| EndingChange {
        from,
        to,
        count,
        examples,
    };
    changes.into_iter().map(change).collect()
}

/// Those for which something would change, the most affected first, and how many there are in all.
fn most_affected(rows: impl Iterator<Item = Affected>) -> (Vec<Affected>, u64) {
    let mut rows: Vec<_> = rows.filter(|row| row.changed > 0 || row.pushes > 0).collect();
    let all = rows.len() as u64;
    rows.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| a.name.cmp(&b.name)));
    rows.truncate(MOST_ROWS);
    (rows, all)
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { (part as f64 * 1_000.0 / of as f64).round() / 10.0 }
}
