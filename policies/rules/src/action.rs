//! What a rule does.

use settings::{Node, Problems, Table};

use crate::contract::exports::portcullis::gateway::policy::{
    Challenge, ChallengeOutcome, Demotion, Effect, Escalation, Incident, Notification, Severity,
};

/// Keys of an action.
pub const ACTION_KEYS: [&str; 8] =
    ["verdict", "challenge", "incident", "resolve-incident", "demote", "notify", "add-risk", "reason"];
/// Keys of `challenge`.
pub const CHALLENGE_KEYS: [&str; 4] = ["connector", "remember-seconds", "timeout-seconds", "on"];
/// Keys of `incident`.
pub const INCIDENT_KEYS: [&str; 3] = ["severity", "title", "escalate"];
/// Keys of one of `escalate`.
pub const ESCALATION_KEYS: [&str; 4] = ["from-times", "after-seconds", "unless-taken", "severity"];
/// Keys of `demote`.
pub const DEMOTE_KEYS: [&str; 3] = ["group", "restore-after-seconds", "from-times"];
/// Keys of `notify`.
pub const NOTIFY_KEYS: [&str; 2] = ["channel", "text"];

/// Challenges in a row at most. The gateway evaluates a policy four times for one access, and the last time has to end it.
pub const LONGEST_CHAIN: usize = 3;

/// How challenges end, and the keys of `on`.
pub const OUTCOMES: [(&str, ChallengeOutcome); 7] = [
    ("approved", ChallengeOutcome::Approved),
    ("denied", ChallengeOutcome::Denied),
    ("failed", ChallengeOutcome::Failed),
    ("expired", ChallengeOutcome::Expired),
    ("closed", ChallengeOutcome::Closed),
    ("not-enrolled", ChallengeOutcome::NotEnrolled),
    ("unavailable", ChallengeOutcome::Unavailable),
];
const DECISIONS: [(&str, Decision); 3] =
    [("allow", Decision::Allow), ("block", Decision::Block), ("abstain", Decision::Abstain)];
const SEVERITIES: [(&str, Severity); 4] =
    [("low", Severity::Low), ("medium", Severity::Medium), ("high", Severity::High), ("critical", Severity::Critical)];
const DAY: u32 = 24 * 60 * 60;
/// How often an incident has to be raised at most before something is done.
const MOST_TIMES: u32 = 1_000;
/// Escalations of one incident at most, as the contract has it.
const MOST_ESCALATIONS: usize = 8;

/// A verdict that ends an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Let it through.
    Allow,
    /// Refuse it.
    Block,
    /// Leave it to the next policy.
    Abstain,
}

/// What an action comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The end.
    Decide(Decision),
    /// A question; its answer leads on.
    Ask(Box<Ask>),
}

/// A challenge and where its outcomes lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The question.
    pub challenge: Challenge,
    /// An action for each outcome.
    follow: Vec<(ChallengeOutcome, Action)>,
}

/// What a rule, or an outcome of its challenge, does.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Verdict or question.
    pub step: Step,
    /// What else follows; nothing beside a question.
    pub effects: Vec<Effect>,
    /// The administrator's own words.
    pub reason: Option<String>,
}

impl Ask {
    /// What follows from an outcome.
    #[must_use]
    pub fn after(&self, outcome: ChallengeOutcome) -> Option<&Action> {
        self.follow.iter().find_map(|(known, action)| (*known == outcome).then_some(action))
    }
}

impl Action {
    /// Reads an action: a verdict as a word, or a table. `depth` is the number of challenges that lead to it.
    pub(crate) fn read(node: &Node<'_>, depth: usize, problems: &mut Problems) -> Option<Self> {
        if node.as_text().is_some() {
            let decision = node.word(&DECISIONS, problems)?;
            return Some(Self { step: Step::Decide(decision), effects: Vec::new(), reason: None });
        }
        let table = node.table(&ACTION_KEYS, problems)?;
        let reason = table.get("reason").map(|node| node.text(problems));
        let effects = read_effects(&table, problems);
        let step = match (table.get("verdict"), table.get("challenge")) {
            (Some(verdict), None) => verdict.word(&DECISIONS, problems).map(Step::Decide),
            (None, Some(challenge)) => {
                let effect = ["incident", "resolve-incident", "demote", "notify", "add-risk"];
                for node in effect.iter().filter_map(|key| table.get(key)) {
                    problems
                        .add(&node, "follows from a verdict, not from a question; move it to an outcome under `on`");
                }
                Ask::read(&challenge, depth, problems).map(|ask| Step::Ask(Box::new(ask)))
            }
            (Some(verdict), Some(_)) => {
                problems.add(&verdict, "cannot stand beside `challenge`; what follows from it is said under `on`");
                None
            }
            (None, None) => {
                problems.add(node, "needs a `verdict` (allow, block or abstain) or a `challenge`");
                None
            }
        };
        Some(Self { step: step?, effects: effects?, reason: reason.unwrap_or_default() })
    }

    /// What follows from an outcome that the settings do not name: a yes is a yes, and everything else a no. That somebody
    /// else has the password is what a refused or guessed second factor usually means.
    fn by_default(outcome: ChallengeOutcome) -> Self {
        let incident = |title: &str| {
            let (severity, title) = (Severity::High, title.to_owned());
            vec![Effect::RaiseIncident(Incident { severity, title, escalate: Vec::new() })]
        };
        let (decision, effects) = match outcome {
            ChallengeOutcome::Approved => (Decision::Allow, vec![Effect::ResolveIncident]),
            ChallengeOutcome::Denied => (Decision::Block, incident("Second factor denied")),
            ChallengeOutcome::Failed => (Decision::Block, incident("Second factor failed")),
            ChallengeOutcome::Expired
            | ChallengeOutcome::Closed
            | ChallengeOutcome::NotEnrolled
            | ChallengeOutcome::Unavailable => (Decision::Block, Vec::new()),
        };
        Self { step: Step::Decide(decision), effects, reason: None }
    }

    /// Calls a function with this action and all that can follow from it.
    pub(crate) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        if let Step::Ask(ask) = &self.step {
            for (_, action) in &ask.follow {
                action.visit(see);
            }
        }
    }
}

impl Ask {
    fn read(node: &Node<'_>, depth: usize, problems: &mut Problems) -> Option<Self> {
        if depth >= LONGEST_CHAIN {
            problems.add(node, format!("is one challenge too many: at most {LONGEST_CHAIN} are asked for one access"));
            return None;
        }
        let table = node.table(&CHALLENGE_KEYS, problems)?;
        let connector = table.require("connector", problems).and_then(|node| node.text(problems));
        let remember_seconds = seconds(&table, "remember-seconds", 30 * DAY, problems);
        let timeout_seconds = seconds(&table, "timeout-seconds", 60 * 60, problems);
        let names = OUTCOMES.map(|(name, _)| name);
        let on = match table.get("on") {
            Some(node) => Some(node.table(&names, problems)?),
            None => None,
        };
        let follow: Vec<_> = OUTCOMES
            .iter()
            .map(|(name, outcome)| match on.as_ref().and_then(|on| on.get(name)) {
                Some(node) => Some((*outcome, Action::read(&node, depth + 1, problems)?)),
                None => Some((*outcome, Action::by_default(*outcome))),
            })
            .collect();
        let challenge =
            Challenge { connector: connector?, remember_seconds: remember_seconds?, timeout_seconds: timeout_seconds? };
        Some(Self { challenge, follow: follow.into_iter().collect::<Option<_>>()? })
    }
}

/// All effects of an action, in the order of [`ACTION_KEYS`].
fn read_effects(table: &Table<'_>, problems: &mut Problems) -> Option<Vec<Effect>> {
    let mut effects = Vec::new();
    if let Some(node) = table.get("incident") {
        effects.push(incident(&node, problems));
    }
    if let Some(node) = table.get("resolve-incident") {
        match node.boolean(problems) {
            Some(true) => effects.push(Some(Effect::ResolveIncident)),
            Some(false) => {}
            None => effects.push(None),
        }
    }
    if let Some(node) = table.get("demote") {
        effects.push(demote(&node, table.get("incident").is_some(), problems));
    }
    if let Some(node) = table.get("notify") {
        effects.push(notify(&node, problems));
    }
    if let Some(node) = table.get("add-risk") {
        effects.push(node.number(&(1..=100), problems).map(Effect::AddRisk));
    }
    effects.into_iter().collect()
}

fn incident(node: &Node<'_>, problems: &mut Problems) -> Option<Effect> {
    let table = node.table(&INCIDENT_KEYS, problems)?;
    let severity = table.require("severity", problems).and_then(|node| node.word(&SEVERITIES, problems));
    let title = table.require("title", problems).and_then(|node| node.text(problems));
    let escalate = match table.get("escalate") {
        Some(node) => escalations(&node, severity, problems),
        None => Some(Vec::new()),
    };
    Some(Effect::RaiseIncident(Incident { severity: severity?, title: title?, escalate: escalate? }))
}

/// When the incident, which begins with that severity, becomes more severe.
fn escalations(node: &Node<'_>, begins: Option<Severity>, problems: &mut Problems) -> Option<Vec<Escalation>> {
    let list = node.list(problems)?;
    if list.len() > MOST_ESCALATIONS {
        problems.add(node, format!("has {} entries, where {MOST_ESCALATIONS} are allowed", list.len()));
        return None;
    }
    let read: Vec<_> = list.iter().map(|node| escalation(node, begins, problems)).collect();
    read.into_iter().collect()
}

fn escalation(node: &Node<'_>, begins: Option<Severity>, problems: &mut Problems) -> Option<Escalation> {
    let table = node.table(&ESCALATION_KEYS, problems)?;
    let (times, time) = (table.get("from-times"), table.get("after-seconds"));
    if times.is_none() && time.is_none() {
        problems.add(node, "needs `from-times` or `after-seconds`; otherwise it would hold at once");
    }
    let from_times = times.map_or(Some(0), |node| node.number(&(2..=MOST_TIMES), problems));
    let after_seconds = time.map_or(Some(0), |node| node.number(&(1..=365 * DAY), problems));
    let unless_taken = table.get("unless-taken").map_or(Some(false), |node| node.boolean(problems));
    let place = table.require("severity", problems)?;
    let severity = place.word(&SEVERITIES, problems)?;
    // The contract's words are in order, the least severe first.
    if begins.is_some_and(|begins| severity as u8 <= begins as u8) {
        problems.add(&place, "is not more severe than the incident, whose severity never goes down");
    }
    Some(Escalation { from_times: from_times?, after_seconds: after_seconds?, unless_taken: unless_taken?, severity })
}

fn demote(node: &Node<'_>, has_incident: bool, problems: &mut Problems) -> Option<Effect> {
    let table = node.table(&DEMOTE_KEYS, problems)?;
    let group = table.require("group", problems).and_then(|node| node.text(problems));
    let restore_after_seconds = seconds(&table, "restore-after-seconds", 365 * DAY, problems);
    let times = table.get("from-times");
    let from_times = times.as_ref().map_or(Some(0), |node| node.number(&(1..=MOST_TIMES), problems));
    if let Some(node) = times.filter(|_| from_times.is_some() && !has_incident) {
        problems.add(&node, "counts how often the incident beside it was raised; there is no `incident`");
    }
    Some(Effect::Demote(Demotion {
        group: group?,
        restore_after_seconds: restore_after_seconds?,
        from_times: from_times?,
    }))
}

fn notify(node: &Node<'_>, problems: &mut Problems) -> Option<Effect> {
    let table = node.table(&NOTIFY_KEYS, problems)?;
    let channel = table.require("channel", problems).and_then(|node| node.text(problems));
    let text = table.require("text", problems).and_then(|node| node.text(problems));
    Some(Effect::Notify(Notification { channel: channel?, text: text? }))
}

/// A number of seconds; 0 where it is not given.
fn seconds(table: &Table<'_>, key: &str, most: u32, problems: &mut Problems) -> Option<u32> {
    table.get(key).map_or(Some(0), |node| node.number(&(0..=most), problems))
}
