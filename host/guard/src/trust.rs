//! What makes earlier approvals worth nothing.
//!
//! That somebody approved once counts for later accesses as long as nothing speaks against its still being them. A change of
//! the password does: whoever had the old one, and an approval that is remembered, would need no second factor for the new
//! one. So does what a cloud service tells against the account, and what the gateway does against it. That incidents and
//! refusals do is the store's to see, which keeps them, and the desk compares the account's risk with what it was.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::challenge::Forget;
use portcullis_core::event::{AccessEvent, Decision};
use portcullis_core::gate::{Asked, Told};
use portcullis_core::incident::IncidentChange;
use portcullis_core::policy::FailMode;
use portcullis_core::store::StoreError;
use portcullis_core::{AccountId, EventId, Operation, OperationKind, Outcome, Timestamp};
use tracing::{debug, error};

use crate::Guard;
use crate::decide::Draft;
use crate::enrich::nameless;

/// By how much the clock of a service may be behind.
const CLOCKS: Duration = Duration::from_secs(120);

/// Success, RFC 4511, appendix A.1.
const SUCCESS: u32 = 0;

/// What connectors call things that speak against an account, as the contract lists them: that they were done.
const DONE: [&str; 8] = [
    "account-suspended",
    "account-deactivated",
    "account-deleted",
    "sessions-ended",
    "factor-removed",
    "factors-reset",
    "risk-changed",
    "risk-detected",
];
/// The same, of which it is of no importance whether the service calls them a success.
const TOLD: [&str; 4] = ["account-locked", "activity-reported", "push-denied", "factor-bypass"];

/// What a service tells against an account makes its approvals worthless that are older; so does an access that is blocked,
/// because it has happened and will be acted against.
pub(crate) fn against(event: &AccessEvent, now: Timestamp) -> Option<Forget> {
    let account = event.access.account.as_ref()?.id.clone();
    let is_done = event.access.outcome != Outcome::Failure;
    let speaks_against = match &event.access.operation {
        Operation::PasswordChange | Operation::MixedChange(_) => is_done,
        Operation::Other(name) => TOLD.contains(&name.as_str()) || is_done && DONE.contains(&name.as_str()),
        _ => false,
    };
    let before = event.access.at.plus(CLOCKS).min(now);
    let forget = Forget { account: Some(account), before, until_settled: None };
    (speaks_against || event.decision == Decision::Block).then_some(forget)
}

/// Of these, what puts in doubt what a second factor has proved before.
const DISTRUSTED: [&str; 4] = ["factor-removed", "factors-reset", "factor-bypass", "activity-reported"];
/// For so long before.
const IN_DOUBT: Duration = Duration::from_secs(7 * 86_400);

/// Incidents that a policy has resolved with a second factor of the account are open again when a service tells that this factor
/// may have been somebody else's.
pub(crate) fn distrusted(event: &AccessEvent) -> Option<IncidentChange> {
    let access = &event.access;
    let Operation::Other(name) = &access.operation else { return None };
    let is_told = access.outcome != Outcome::Failure || TOLD.contains(&name.as_str());
    if !is_told || !DISTRUSTED.contains(&name.as_str()) {
        return None;
    }
    Some(IncidentChange::Distrust {
        account: access.account.as_ref()?.id.clone(),
        since: Timestamp(access.at.0.saturating_sub(u64::try_from(IN_DOUBT.as_millis()).unwrap_or(u64::MAX))),
        why: format!("{} told of {name}: the second factor may have been somebody else's.", access.source),
    })
}

impl Guard {
    /// Approvals that the account has given so far count no more.
    ///
    /// # Errors
    /// When that cannot be stored. Then nobody's count here, until the gateway is started again.
    pub(crate) async fn forget(&self, what: Forget) -> Result<(), StoreError> {
        let stored = self.rooms.challenges.forget(what).await;
        if let Err(error) = &stored {
            error!(%error, "it could not be stored that approvals count no more, so none that was given before counts");
            self.desk.forget_all(self.rooms.clock.now());
        }
        stored
    }

    /// A password is about to be changed: the approvals of its owner count no more from before the directory can have done
    /// it, and again when it says that it has not.
    pub(crate) async fn before_password_change(self: &Guard, draft: &mut Draft<'_>, asked: &Asked) -> Option<Change> {
        let event = draft.event().filter(|event| event.decision == Decision::Allow)?;
        if event.access.operation.kind() != OperationKind::PasswordChange {
            return None;
        }
        let id = event.access.id;
        let own = event.access.account.as_ref().map(|account| account.id.clone());
        let account = match &asked.entry {
            Some(name) => self.owner(name).await,
            // A change without a name is one of the own password (RFC 3062, section 2). Nobody has none.
            None => Some(own?),
        };
        let forget = Forget { account, before: self.rooms.clock.now(), until_settled: Some(id) };
        if let Err(error) = self.forget(forget).await
            && self.options.without_store == FailMode::Closed
        {
            draft.block(&format!("It could not be stored that earlier approvals count no more: {error}"));
        }
        Some(Change { id })
    }

    /// Whose password it is; none where the directory cannot say.
    async fn owner(&self, name: &str) -> Option<AccountId> {
        // The two forms of RFC 4513, section 5.2.1.8; servers take a bare name as well.
        let bare = ["dn:", "u:"].iter().find_map(|form| name.strip_prefix(form)).unwrap_or(name);
        match self.rooms.directory.find(bare).await {
            Ok(Some(found)) => Some(found.account.id),
            Ok(None) => Some(nameless(bare).id),
            Err(error) => {
                debug!(%error, "it is not known whose password is being changed");
                None
            }
        }
    }

    /// What became of it is stored behind the back of whoever asked: until then, it counts as done.
    pub(crate) fn when_told(&self, change: Change) -> Told {
        let (challenges, clock) = (Arc::clone(&self.rooms.challenges), Arc::clone(&self.rooms.clock));
        Told::new(move |code| {
            let happened = (code == SUCCESS).then(|| clock.now());
            tokio::spawn(async move {
                if let Err(error) = challenges.settle(change.id, happened).await {
                    // It goes on counting as done.
                    error!(%error, "what became of a password change could not be stored");
                }
            });
        })
    }

    /// The directory never gets it.
    pub(crate) fn is_refused(&self, change: Change) {
        self.when_told(change).tell(u32::MAX);
    }
}

/// A change of a password that is under way.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// Its event.
    id: EventId,
}
