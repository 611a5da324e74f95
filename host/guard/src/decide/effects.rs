//! What becomes of a policy's word: a person is asked, incidents are opened, demotions are wanted.

use std::time::Duration;

use portcullis_core::AccountId;
use portcullis_core::demotion::WantedDemotion;
use portcullis_core::event::RecordedChallenge;
use portcullis_core::incident::{IncidentChange, whose};
use portcullis_core::policy::{ChallengeOutcome, ChallengeRequest, ChallengeResult, Effect, Severity};
use tracing::{error, warn};

use super::{Draft, address};
use crate::desk::{Answered, Question};
use crate::word::{self, person_to_ask};
use crate::{InForce, PolicyEntry};

impl Draft<'_> {
    /// Asks the person, once for both of what is two in one. None when the draft is closed, which cannot happen while it is
    /// being evaluated.
    pub(super) async fn challenge(
        &mut self,
        in_force: &InForce,
        entry: &PolicyEntry,
        request: &ChallengeRequest,
    ) -> Option<ChallengeResult> {
        if self.besides.is_some()
            && let Some(place) = word::answered(&self.approvals, &entry.name, request)
        {
            return Some(self.approvals.swap_remove(place).1);
        }
        let code = self.code.take();
        let access = &self.event.as_ref()?.access;
        let began = self.guard.rooms.clock.now();
        let answered = match person_to_ask(access.account.as_ref()) {
            Err(why) => Answered::without_asking(ChallengeOutcome::NotEnrolled, why, began),
            Ok(account) => {
                let question = Question {
                    account: account.clone(),
                    endpoint: access.endpoint.clone(),
                    application: access.target.application.clone(),
                    policy: entry.name.clone(),
                    connector: request.connector.clone(),
                    remember: Duration::from_secs(u64::from(request.remember_seconds)),
                    timeout: self.guard.challenge_timeout(request.timeout_seconds),
                    code,
                };
                self.guard.desk.ask(question, in_force.connectors.get(&request.connector)).await
            }
        };
        let now = self.guard.rooms.clock.now();
        self.event.as_mut()?.challenges.push(RecordedChallenge {
            id: answered.id,
            connector: request.connector.clone(),
            outcome: answered.outcome,
            detail: answered.detail,
            remembered: answered.remembered,
            waited_ms: u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX),
        });
        let result = ChallengeResult {
            connector: request.connector.clone(),
            outcome: answered.outcome,
            at: answered.at,
            remembered: answered.remembered,
        };
        if result.outcome == ChallengeOutcome::Approved && self.besides.is_none() {
            self.approvals.push((entry.name.clone(), result.clone()));
        }
        Some(result)
    }

    pub(super) fn take_effects(&mut self, entry: &PolicyEntry, effects: &[Effect]) {
        let Some(event) = &self.event else { return };
        let (account, login) = whose(event.access.account.as_ref(), address(&event.access));
        for effect in effects {
            match effect {
                Effect::RaiseIncident { severity, title, escalate } => self.incidents.push(IncidentChange::Raise {
                    new_id: self.guard.new_incident(),
                    account: account.clone(),
                    login: login.clone(),
                    source: entry.name.clone().into(),
                    severity: *severity,
                    title: title.clone(),
                    escalate: escalate.clone(),
                }),
                Effect::ResolveIncident => self
                    .incidents
                    .push(IncidentChange::Resolve { account: account.clone(), source: entry.name.clone().into() }),
                // Carried out when the event is learned from, and when it is stored: the event alone tells of it.
                Effect::AddRisk(_) | Effect::Notify { .. } => {}
                Effect::Demote { group, restore_after_seconds, from_times } => match &event.access.account {
                    // Only what has an entry can be in a group.
                    Some(known) if known.dn.is_some() => self.demotions.push(WantedDemotion {
                        event: event.access.id,
                        at: event.access.at,
                        account: known.id.clone(),
                        login: known.login.clone(),
                        policy: entry.name.clone(),
                        group: group.clone(),
                        restore_after_seconds: *restore_after_seconds,
                        from_times: *from_times,
                    }),
                    _ => warn!(policy = %entry.name, group, "nobody is taken out of a group: the account has no entry"),
                },
            }
        }
    }

    /// A policy that cannot be evaluated is an incident of the gateway's own.
    pub(super) fn raise_fault(&mut self, entry: &PolicyEntry, problem: &str) {
        error!(policy = %entry.name, problem, "a policy could not be evaluated");
        self.incidents.push(IncidentChange::Raise {
            new_id: self.guard.new_incident(),
            account: AccountId::new("gateway"),
            login: "(gateway)".to_owned(),
            source: entry.name.clone().into(),
            severity: Severity::High,
            title: format!("Policy {} could not be evaluated: {problem}", entry.name),
            escalate: Vec::new(),
        });
    }
}
