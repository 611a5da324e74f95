//! The guard as the LDAP room sees it.

use portcullis_core::event::Decision;
use portcullis_core::gate::{Answer, Asked, Gate, Refusal};
use portcullis_core::policy::Mode;
use portcullis_core::{Operation, OperationKind};
use tracing::debug;

use crate::decide::Draft;
use crate::{Guard, Permitted};

impl Gate for Guard {
    type Permitted<T: Send> = Permitted<T>;

    fn pass<T: Send>(&self, kind: OperationKind, held: T) -> Result<Permitted<T>, T> {
        if is_always_recorded(kind) || self.is_subscribed(kind) { Err(held) } else { Ok(Permitted::new(held)) }
    }

    async fn decide<T: Send>(&self, asked: Asked, held: T) -> Answer<Permitted<T>> {
        let is_bind = matches!(asked.operation, Operation::Bind(_));
        let enriched = self.enrich(&asked).await;
        let mut draft = Draft::new(self, enriched.access, asked.directory_result);
        draft.evaluate(&enriched.facts).await;
        let closed = draft.close().await;
        debug!(event = %closed.id, decision = ?closed.decision, "decided");
        match closed.decision {
            Decision::Allow => Answer::Permitted(Permitted::by_application(held, enriched.shown)),
            Decision::Block | Decision::Refused | Decision::Abandoned => {
                Answer::Refused(Refusal { diagnostic: self.diagnostic(is_bind, closed.was_challenged, closed.id) })
            }
        }
    }

    async fn note(&self, asked: Asked, reason: &str) {
        let enriched = self.enrich(&asked).await;
        let mut draft = Draft::new(self, enriched.access, asked.directory_result);
        draft.refused(reason);
        draft.close().await;
    }
}

impl Guard {
    fn is_subscribed(&self, kind: OperationKind) -> bool {
        self.policies().iter().any(|entry| entry.mode != Mode::Off && entry.policy.needs().operations.contains(&kind))
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
fn is_always_recorded(kind: OperationKind) -> bool {
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
