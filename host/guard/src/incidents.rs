//! What becomes of incidents with time.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::escalation::{DueEscalation, EscalationStore};
use portcullis_core::event::Event;
use portcullis_core::store::StoreError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Guard;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// Incidents that are read at once, and pages of them before it is looked anew.
const PAGE: u32 = 128;
const MOST_PAGES: usize = 20;

impl Guard {
    /// Makes incidents more severe whose time has come, and takes over what others have done to exclusions, until the end.
    pub async fn look_after_incidents(self: Arc<Self>, store: Arc<dyn EscalationStore>, end: CancellationToken) {
        let mut stuck = false;
        loop {
            let escalated = self.escalate_what_is_due(store.as_ref(), &end).await;
            let problem = escalated.err().or(self.load_exclusions().await.err());
            // The same trouble each second is one line of the log.
            if let Some(error) = problem.as_ref().filter(|_| !stuck) {
                warn!(%error, "incidents are not looked after");
            }
            stuck = problem.is_some();
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn escalate_what_is_due(
        &self,
        store: &dyn EscalationStore,
        end: &CancellationToken,
    ) -> Result<(), StoreError> {
        for _ in 0..MOST_PAGES {
            let page = store.due_escalations(self.rooms.clock.now(), PAGE).await?;
            let mut any = false;
            for due in &page {
                if end.is_cancelled() {
                    return Ok(());
                }
                any |= store.escalate(due, self.escalated(due)).await?;
            }
            if !any {
                break;
            }
        }
        Ok(())
    }

    fn escalated(&self, due: &DueEscalation) -> Event {
        let DueEscalation { incident, escalation } = due;
        let detail = format!(
            "Incident {} of {} ({}) is {} now, because it was {escalation}: {}",
            incident.id, incident.login, incident.source, escalation.severity, incident.title
        );
        info!(detail, "an incident is more severe");
        self.event_of("gateway", "incident-escalated", detail)
    }
}
