//! Asking the policies, in order, and writing down what they said.

mod effects;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::cloud::Foreign;
use portcullis_core::demotion::WantedDemotion;
use portcullis_core::event::{AccessEvent, Decision, Event, Record, RecordedRuling};
use portcullis_core::gate::Tried;
use portcullis_core::incident::IncidentChange;
use portcullis_core::learned::Observation;
use portcullis_core::policy::{ChallengeResult, Evidence, FailMode, Mode, Ruling, Verdict};
use portcullis_core::{
    Access, AccountFacts, EventId, IncidentId, Operation, OperationKind, Outcome, PolicyName, Secret,
};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::error;
use uuid::Uuid;

use crate::gate::is_always_recorded;
use crate::word::{self, ROUNDS, Word};
use crate::{Guard, InForce, PolicyEntry};

/// The event of an access while it is being decided. Dropped before it was closed, it is recorded as abandoned: the client
/// has gone away.
pub(crate) struct Draft<'a> {
    guard: &'a Guard,
    event: Option<Box<AccessEvent>>,
    incidents: Vec<IncidentChange>,
    demotions: Vec<WantedDemotion>,
    /// A code that came with the access; good for one challenge.
    code: Option<Secret>,
    asking: Asking,
    /// What a bind was tried with.
    tried: Tried,
    /// The policy that wants a second factor, where nobody is asked now.
    wanted_by: Option<PolicyName>,
    /// What the access is besides, where policies are being asked about that.
    besides: Option<Box<Access>>,
    /// Approvals that the first round has brought, and the policies that asked for them.
    approvals: Vec<(PolicyName, ChallengeResult)>,
}

/// What becomes of a policy's wish for a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asking {
    /// The access waits for the answer.
    Now,
    /// It has happened already, so it goes on; whoever asks for it knows which policy wanted to know.
    Later,
    /// As `Now`, for an access that was evaluated with `Later`: it begins at the policy that wanted to know.
    Again(PolicyName),
}

/// A draft of an access that has happened elsewhere, after its evaluation.
pub(crate) struct Finished {
    pub(crate) event: Box<AccessEvent>,
    pub(crate) incidents: Vec<IncidentChange>,
    pub(crate) demotions: Vec<WantedDemotion>,
    pub(crate) wanted_by: Option<PolicyName>,
}

/// What became of a draft.
pub(crate) struct Closed {
    pub(crate) id: EventId,
    pub(crate) decision: Decision,
    pub(crate) was_challenged: bool,
}

/// How a round through the list ended.
struct End {
    decision: Decision,
    by: Option<PolicyName>,
    reason: String,
}

/// How one policy's turn ended.
enum Turn {
    Next,
    Final(Decision),
    /// Somebody has to be asked, but not now.
    Unanswered,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(guard: &'a Guard, event: Box<AccessEvent>, code: Option<Secret>) -> Self {
        Self {
            guard,
            event: Some(event),
            incidents: Vec::new(),
            demotions: Vec::new(),
            code,
            asking: Asking::Now,
            tried: Tried::Nothing,
            wanted_by: None,
            besides: None,
            approvals: Vec::new(),
        }
    }

    /// The same, with what the bind was tried with.
    pub(crate) fn tried(mut self, tried: Tried) -> Self {
        self.tried = tried;
        self
    }

    /// For an access that a cloud service told of. Dropped, nothing is recorded of it: it is told again.
    pub(crate) fn foreign(guard: &'a Guard, access: Access, foreign: Foreign, asking: Asking) -> Self {
        let event = AccessEvent { foreign: Some(Box::new(foreign)), ..AccessEvent::undecided(access) };
        let mut draft = Self::new(guard, Box::new(event), None);
        draft.asking = asking;
        draft
    }

    /// Nothing to decide: it was refused before anybody was asked.
    pub(crate) fn refused(&mut self, reason: &str) {
        self.conclude(Decision::Refused, None, reason);
    }

    /// Asks the policies; about what the access is besides as well, unless it is blocked already. Who allows the one has not
    /// allowed the other.
    pub(crate) async fn evaluate(&mut self, facts: &Result<Arc<AccountFacts>, String>) {
        let Some(access) = self.event.as_ref().map(|event| &event.access) else { return };
        let besides = access.operation.besides().map(|operation| Box::new(Access { operation, ..access.clone() }));
        let kind = access.operation.kind();
        let in_force = self.guard.in_force();
        let mut end = self.ask_all(&in_force, kind, facts).await;
        if let Some(other) = besides.filter(|_| end.decision == Decision::Allow && self.wanted_by.is_none()) {
            let kind = other.operation.kind();
            self.besides = Some(other);
            let and = Box::pin(self.ask_all(&in_force, kind, facts)).await;
            if and.by.is_some() {
                end = and;
            }
        }
        self.conclude(end.decision, end.by, &end.reason);
        if let Some(event) = &self.event {
            // What the policy that is asked again said at first was counted then.
            let counted = match &self.asking {
                Asking::Again(policy) => Some(policy),
                Asking::Now | Asking::Later => None,
            };
            let now = self.guard.rooms.clock.now();
            self.guard.doings.add(&in_force.policies, &event.rulings, counted, now);
        }
    }

    async fn ask_all(
        &mut self,
        in_force: &InForce,
        kind: OperationKind,
        facts: &Result<Arc<AccountFacts>, String>,
    ) -> End {
        let policies = &in_force.policies;
        let first = match &self.asking {
            // Taken out of the list meanwhile, it has nothing to say, and those behind it are not known any more.
            Asking::Again(policy) => policies.iter().position(|entry| entry.name == *policy).unwrap_or(0),
            Asking::Now | Asking::Later => 0,
        };
        for entry in policies.iter().skip(first) {
            if entry.mode == Mode::Off || !entry.policy.needs().operations.contains(&kind) {
                continue;
            }
            let turn = match entry.mode {
                Mode::Enforce => self.enforce(in_force, entry, facts).await,
                Mode::Off | Mode::Monitor | Mode::Canary => {
                    self.monitor(entry, facts).await;
                    Turn::Next
                }
            };
            let decision = match turn {
                Turn::Next => continue,
                Turn::Final(decision) => decision,
                Turn::Unanswered => {
                    self.wanted_by = Some(entry.name.clone());
                    Decision::Allow
                }
            };
            return End { decision, by: Some(entry.name.clone()), reason: self.last_reason() };
        }
        End { decision: Decision::Allow, by: None, reason: "No policy had an objection.".to_owned() }
    }

    /// Evaluates without consequences.
    async fn monitor(&mut self, entry: &PolicyEntry, facts: &Result<Arc<AccountFacts>, String>) {
        let ruling = self.ask_policy(entry, facts, &[]).await;
        self.note_ruling(entry, ruling);
    }

    async fn enforce(
        &mut self,
        in_force: &InForce,
        entry: &PolicyEntry,
        facts: &Result<Arc<AccountFacts>, String>,
    ) -> Turn {
        let mut evidence = Vec::new();
        for _ in 0..ROUNDS {
            let answer = self.ask_policy(entry, facts, &evidence).await;
            if let Err(problem) = &answer {
                self.raise_fault(entry, problem);
            }
            let ruling = self.note_ruling(entry, answer);
            match ruling.verdict {
                Verdict::Abstain => {
                    self.take_effects(entry, &ruling.effects);
                    return Turn::Next;
                }
                Verdict::Allow => {
                    self.take_effects(entry, &ruling.effects);
                    return Turn::Final(Decision::Allow);
                }
                Verdict::Block => {
                    self.take_effects(entry, &ruling.effects);
                    return Turn::Final(Decision::Block);
                }
                Verdict::Challenge(_) if self.asking == Asking::Later => return Turn::Unanswered,
                // In a box of its own: the room for it would be in every bind, and few are challenged.
                Verdict::Challenge(request) => match Box::pin(self.challenge(in_force, entry, &request)).await {
                    Some(result) => evidence.push(Evidence::Challenge(result)),
                    None => return Turn::Final(Decision::Block),
                },
            }
        }
        let problem = word::endless();
        self.raise_fault(entry, &problem);
        let ruling = self.note_ruling(entry, Err(problem));
        if ruling.verdict == Verdict::Abstain { Turn::Next } else { Turn::Final(Decision::Block) }
    }

    async fn ask_policy(
        &self,
        entry: &PolicyEntry,
        facts: &Result<Arc<AccountFacts>, String>,
        evidence: &[Evidence],
    ) -> Result<Ruling, String> {
        let facts = facts.as_ref().map_err(Clone::clone)?;
        let Some(event) = &self.event else { return Err("the access is closed already".to_owned()) };
        let access = self.besides.as_deref().unwrap_or(&event.access);
        if !entry.policy.is_slow() {
            return word::ask(&*entry.policy, access, facts, evidence);
        }
        // A thread that waits for a policy to run out of time serves nobody else; another one costs more than most policies
        // take.
        let (policy, access, facts) = (Arc::clone(&entry.policy), access.clone(), Arc::clone(facts));
        let evidence = evidence.to_vec();
        let asking = spawn_blocking(move || word::ask(&*policy, &access, &facts, &evidence));
        Box::pin(asking).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Writes the ruling down; where there is none, the one that the fail mode puts in its place.
    fn note_ruling(&mut self, entry: &PolicyEntry, answer: Result<Ruling, String>) -> Ruling {
        let Word { ruling, fault } = word::of(entry, answer);
        if let Some(event) = &mut self.event {
            event.rulings.push(RecordedRuling {
                policy: entry.name.clone(),
                mode: entry.mode,
                verdict: ruling.verdict.clone(),
                reason: ruling.reason.clone(),
                effects: ruling.effects.clone(),
                fault,
            });
        }
        ruling
    }

    /// A read that was allowed, and that neither a policy nor what is known of its account and machine makes worth an event:
    /// no ruling but to let it pass, not even of a policy in monitor mode, and no effect, fault or signal.
    pub(crate) fn is_plain(&self) -> bool {
        let Some(event) = &self.event else { return false };
        let let_pass = |ruling: &RecordedRuling| {
            matches!(ruling.verdict, Verdict::Abstain | Verdict::Allow)
                && ruling.effects.is_empty()
                && ruling.fault.is_none()
        };
        event.decision == Decision::Allow
            && !is_always_recorded(event.access.operation.kind())
            // A signal without a score describes and does not accuse: an application's server is shared by all its users.
            && event.access.signals.iter().all(|signal| signal.score == 0)
            && !self.guard.calls_for_a_person(&event.access.signals)
            && event.challenges.is_empty()
            && self.incidents.is_empty()
            && event.rulings.iter().all(let_pass)
    }

    /// Nothing is recorded of it. What can be told of it teaches all the same.
    pub(crate) fn forget(mut self) {
        if let Some(event) =
            self.event.take().filter(|event| matches!(event.access.operation, Operation::Search(Some(_))))
        {
            self.guard.learn_passed(&event);
        }
    }

    /// As it is so far.
    pub(crate) fn event(&self) -> Option<&AccessEvent> {
        self.event.as_deref()
    }

    /// For a reason of the gateway's own.
    pub(crate) fn block(&mut self, reason: &str) {
        self.conclude(Decision::Block, None, reason);
    }

    fn conclude(&mut self, decision: Decision, by: Option<PolicyName>, reason: &str) {
        if let Some(event) = &mut self.event {
            event.decision = decision;
            event.decided_by = by;
            reason.clone_into(&mut event.reason);
        }
    }

    fn last_reason(&self) -> String {
        self.event.as_ref().and_then(|event| event.rulings.last()).map(|r| r.reason.clone()).unwrap_or_default()
    }

    /// Stores the event and says what was decided. What cannot be stored is not allowed, unless the administrator chose so.
    pub(crate) async fn close(mut self) -> Closed {
        let Some(event) = self.event.take() else {
            // Only `close` and `drop` take the event out, and each consumes the draft.
            return Closed { id: EventId(Uuid::nil()), decision: Decision::Block, was_challenged: false };
        };
        let mut closed = Closed {
            id: event.access.id,
            decision: event.decision,
            was_challenged: event.challenges.iter().any(|challenge| challenge.id.is_some()),
        };
        // Queued before the event, so that no event tells of a demotion that nobody knows of; without the event, it is dropped.
        let demotions = self.guard.want_demotions(std::mem::take(&mut self.demotions));
        let stored = self.guard.rooms.events.append(self.record(event));
        let problem = match tokio::time::timeout(self.guard.options.store_timeout, stored).await {
            Ok(Ok(())) => {
                // What could not be stored is in the log.
                let _ = demotions.await;
                return closed;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not stored within {} ms", self.guard.options.store_timeout.as_millis()),
        };
        self.guard.counts.add_not_stored();
        // What its signals were to open is not there: the next access like it is to open it.
        self.guard.alarms.forget();
        error!(event = %closed.id, problem, "an event could not be stored");
        if self.guard.options.without_store == FailMode::Closed && closed.decision == Decision::Allow {
            closed.decision = Decision::Block;
        }
        closed
    }

    /// What was decided about an access that has happened elsewhere; whoever asked stores it.
    pub(crate) fn finish(mut self) -> Option<Finished> {
        let event = self.event.take()?;
        // What is evaluated again has opened those of its signals when it was evaluated first.
        if !matches!(self.asking, Asking::Again(_)) {
            self.incidents.extend(self.noticed(&event.access));
        }
        let incidents = std::mem::take(&mut self.incidents);
        let demotions = std::mem::take(&mut self.demotions);
        Some(Finished { event, incidents, demotions, wanted_by: self.wanted_by.take() })
    }

    /// What the access's signals open.
    fn noticed(&self, access: &Access) -> Vec<IncidentChange> {
        self.guard.noticed(&access.signals, access.account.as_ref(), address(access))
    }

    fn record(&mut self, event: Box<AccessEvent>) -> Record {
        self.guard.counts.add(&event);
        self.guard.learn(&event, self.tried);
        let noticed = self.guard.alarms.calm(self.noticed(&event.access), self.guard.rooms.clock.now());
        self.incidents.extend(noticed);
        let learned = observation(&event);
        Record { event: Event::Access(event), learned, incidents: std::mem::take(&mut self.incidents) }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        let Some(mut event) = self.event.take().filter(|event| event.foreign.is_none()) else { return };
        event.decision = Decision::Abandoned;
        event.decided_by = None;
        "The client went away before the decision.".clone_into(&mut event.reason);
        let demotions = std::mem::take(&mut self.demotions);
        // Nobody is left who could wait for it, and somebody has to say what could not be stored.
        if let Some(runtime) = Handle::try_current().ok().filter(|_| !demotions.is_empty()) {
            runtime.spawn(self.guard.want_demotions(demotions));
        }
        let record = self.record(event);
        // The store queues the record when it is handed over.
        drop(self.guard.rooms.events.append(record));
    }
}

impl Guard {
    pub(crate) fn new_incident(&self) -> IncidentId {
        IncidentId(self.rooms.ids.event_id(self.rooms.clock.now()).0)
    }

    fn challenge_timeout(&self, wanted_seconds: u32) -> Duration {
        let wanted = match wanted_seconds {
            0 => self.options.challenge_timeout,
            seconds => Duration::from_secs(u64::from(seconds)),
        };
        wanted.min(self.options.challenge_timeout_limit)
    }
}

fn address(access: &Access) -> Option<IpAddr> {
    access.endpoint.as_ref().map(|endpoint| endpoint.address)
}

/// What is learned from an event: a bind, or a sign-in to a cloud service, that was successful and that the policies let
/// through shows that the account uses the endpoint.
pub(crate) fn observation(event: &AccessEvent) -> Option<Observation> {
    let access = &event.access;
    let is_sign_in = matches!(access.operation, Operation::Bind(_) | Operation::SignIn | Operation::AppAccess);
    if event.decision != Decision::Allow || access.outcome != Outcome::Success || !is_sign_in {
        return None;
    }
    Some(Observation {
        account: access.account.as_ref()?.id.clone(),
        address: access.endpoint.as_ref()?.address,
        at: access.at,
    })
}
