//! The guard as the LDAP room sees it.

use portcullis_core::event::Decision;
use portcullis_core::gate::{Answer, Asked, Claim, Gate, Notable, PasswordTag, Refusal, Summary};
use portcullis_core::policy::Mode;
use portcullis_core::summary::Audit;
use portcullis_core::{Account, Operation, OperationKind, Outcome};
use tracing::debug;

use crate::decide::Draft;
use crate::enrich::{Enriched, is_nameless};
use crate::{Guard, Permitted};

impl Gate for Guard {
    type Permitted<T: Send> = Permitted<T>;

    fn pass<T: Send>(&self, kind: OperationKind, held: T) -> Result<Permitted<T>, T> {
        let wanted = is_always_recorded(kind) || self.options.audit == Audit::Full || self.is_subscribed(kind);
        if wanted { Err(held) } else { Ok(Permitted::new(held)) }
    }

    fn notable(&self) -> Option<&Notable> {
        self.notable.as_ref()
    }

    fn password_tag(&self, password: &[u8]) -> Option<PasswordTag> {
        self.passwords.tag(password)
    }

    async fn decide<T: Send>(&self, asked: Asked, held: T) -> Answer<Permitted<T>> {
        // Each bind makes a future of this, and larger ones than 1,032 octets cost the C library's allocator several times as
        // much: so the stages are in boxes of their own.
        let is_bind = matches!(asked.operation, Operation::Bind(_));
        let Enriched { event, facts, shown } = Box::pin(self.enrich(&asked)).await;
        if is_bind {
            self.remember(&asked, event.access.account.as_ref());
        }
        let mut draft = Draft::new(self, event, asked.code.clone()).tried(asked.tried);
        Box::pin(draft.evaluate(&facts)).await;
        if self.options.audit != Audit::Full && draft.is_plain() {
            draft.forget();
            return Answer::Passed(Permitted::new(held));
        }
        let change = match asked.operation.kind() {
            OperationKind::PasswordChange => Box::pin(self.before_password_change(&mut draft, &asked)).await,
            _ => None,
        };
        let closed = Box::pin(draft.close()).await;
        debug!(event = %closed.id, decision = ?closed.decision, "decided");
        match closed.decision {
            Decision::Allow => {
                let told = change.map(|change| self.when_told(change));
                Answer::Permitted(Permitted::by_application(held, shown).telling(told))
            }
            Decision::Block | Decision::Refused | Decision::Abandoned => {
                if let Some(change) = change {
                    self.is_refused(change);
                }
                Answer::Refused(Refusal { diagnostic: self.diagnostic(is_bind, closed.was_challenged, closed.id) })
            }
        }
    }

    async fn note(&self, asked: Asked, reason: &str) {
        let event = Box::pin(self.enrich(&asked)).await.event;
        let mut draft = Draft::new(self, event, None).tried(asked.tried);
        draft.refused(reason);
        draft.close().await;
    }

    fn wants_summaries(&self) -> bool {
        self.options.audit == Audit::Summary
    }

    fn summarize(&self, summary: Summary) {
        if self.wants_summaries() {
            let application = self.options.surroundings.application(&summary.connection, None).name.to_owned();
            self.ledger.take(summary, &application, self.rooms.clock.now());
        }
    }
}

impl Guard {
    /// Summaries of the connection will be about this account. Not when nothing but the name is known of it: the next one
    /// who asks may learn more.
    fn remember(&self, asked: &Asked, account: Option<&Account>) {
        if let (Claim::Name(name), Some(account), Outcome::Success) = (&asked.claim, account, asked.outcome)
            && self.wants_summaries()
            && !is_nameless(account)
        {
            self.ledger.remember(name, account);
        }
    }

    fn is_subscribed(&self, kind: OperationKind) -> bool {
        self.in_force()
            .policies
            .iter()
            .any(|entry| entry.mode != Mode::Off && entry.policy.needs().operations.contains(&kind))
    }

    /// A refused bind without a challenge looks like a wrong password: whoever tries passwords learns nothing from it. Where
    /// a challenge was open, waiting has shown as much already, and the person needs to know where to answer.
    fn diagnostic(&self, is_bind: bool, was_challenged: bool, event: portcullis_core::EventId) -> String {
        match (&self.options.challenge_page, is_bind, was_challenged) {
            (Some(page), _, true) => format!("a second factor was not confirmed; see {page} (reference {event})"),
            (None, _, true) => format!("a second factor was not confirmed (reference {event})"),
            (_, true, false) => String::new(),
            (_, false, false) => format!("refused by policy (reference {event})"),
        }
    }
}

/// Binds and changes are events of their own even when no policy asks to see them.
pub(crate) fn is_always_recorded(kind: OperationKind) -> bool {
    matches!(
        kind,
        OperationKind::Bind
            | OperationKind::Add
            | OperationKind::Modify
            | OperationKind::Delete
            | OperationKind::Rename
            | OperationKind::PasswordChange
    )
}
