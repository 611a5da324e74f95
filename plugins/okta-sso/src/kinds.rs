//! Which of Okta's event types mean what (Okta, "Event types"; Classic and Identity Engine).

use okta::contract::portcullis::gateway::types::Operation;

/// Whose account an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Who did it.
    Actor,
    /// To whom it was done.
    Target,
}

/// What a type of event means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kind {
    pub(crate) operation: Operation,
    pub(crate) subject: Subject,
    /// The beginning of a sentence for the analyst.
    pub(crate) what: &'static str,
}

/// The meaning of a type; none for one that no rule could be about yet.
pub(crate) fn of(event_type: &str) -> Option<Kind> {
    use Subject::{Actor, Target};
    let named = |name: &str, subject, what| Some(Kind { operation: Operation::Other(name.to_owned()), subject, what });
    match event_type {
        "user.session.start" => Some(Kind { operation: Operation::SignIn, subject: Actor, what: "Sign-in to Okta" }),
        "user.authentication.sso" => {
            Some(Kind { operation: Operation::AppAccess, subject: Actor, what: "Sign-on to an application" })
        }
        // First or second factor is told apart by what else the event says.
        "user.authentication.auth_via_mfa" => named(SECOND_FACTOR, Target, "Second factor"),
        "user.mfa.okta_verify.deny_push" => named(PUSH_DENIED, Target, PUSH_DENIED_WHAT),
        "system.push.send_factor_verify_push" => named("push-sent", Target, "Okta Verify push sent"),
        "user.account.lock" => named("account-locked", Target, "Account locked"),
        "user.account.lock.limit" => named("account-locked", Target, "Account locked for good after too many attempts"),
        // The person, an administrator or an expiry; what counts is that the old one is no proof any more.
        "user.account.update_password" => {
            Some(Kind { operation: Operation::PasswordChange, subject: Target, what: "Password changed" })
        }
        "user.account.reset_password" => {
            Some(Kind { operation: Operation::PasswordChange, subject: Target, what: "Password reset" })
        }
        "user.lifecycle.suspend" => named("account-suspended", Target, "Account suspended"),
        "user.lifecycle.unsuspend" => named("account-unsuspended", Target, "Account's suspension lifted"),
        "user.lifecycle.deactivate" => named("account-deactivated", Target, "Account deactivated"),
        "user.lifecycle.delete.initiated" => named("account-deleted", Target, "Account deleted"),
        "user.session.clear" => named("sessions-ended", Target, "All sessions ended"),
        "user.account.unlock_by_admin" => named("account-unlocked", Target, "Account unlocked by an administrator"),
        "policy.evaluate_sign_on" => named("sign-on-policy", Actor, "Sign-on policy of Okta"),
        "security.threat.detected" => named("threat-detected", Actor, "Request from a suspicious address"),
        "security.attack.start" => named("attack-started", Actor, "Attack on the organisation began"),
        "security.attack.end" => named("attack-ended", Actor, "Attack on the organisation ended"),
        "security.request.blocked" => named("request-blocked", Actor, "Request blocked"),
        "user.mfa.factor.activate" => named("factor-added", Target, "Second factor added"),
        "user.mfa.factor.deactivate" => named("factor-removed", Target, "Second factor removed"),
        "user.mfa.factor.reset_all" => named("factors-reset", Target, "All second factors reset"),
        "user.mfa.attempt_bypass" => named("factor-bypass", Target, "Attempt to get around the second factor"),
        "application.user_membership.add" => named("application-assigned", Target, "Application assigned"),
        "application.user_membership.remove" => named("application-unassigned", Target, "Application taken away"),
        "group.user_membership.add" => named("group-joined", Target, "Added to a group"),
        "group.user_membership.remove" => named("group-left", Target, "Removed from a group"),
        "user.account.privilege.grant" => named("privilege-granted", Target, "Administrator's rights granted"),
        "group.privilege.grant" => named("group-privilege-granted", Actor, "Administrator's rights granted to a group"),
        "system.api_token.create" => named("api-token-created", Actor, "API token created"),
        "app.oauth2.token.grant.access_token" => named("access-token-granted", Actor, "Access token granted"),
        "user.session.impersonation.initiate" => {
            named("impersonation-started", Target, "Impersonation by support began")
        }
        "user.session.impersonation.grant" => {
            named("impersonation-allowed", Target, "Impersonation by support allowed")
        }
        "user.session.impersonation.extend" => {
            named("impersonation-extended", Target, "Impersonation by support extended")
        }
        "user.session.impersonation.end" => named("impersonation-ended", Target, "Impersonation by support ended"),
        "user.session.impersonation.revoke" => {
            named("impersonation-revoked", Target, "Impersonation by support forbidden")
        }
        "user.session.context.change" => named("session-changed", Target, "A session goes on from elsewhere"),
        "policy.auth_reevaluate.fail" => named("session-refused", Target, "A session no longer meets the policies"),
        "user.risk.change" => named("risk-changed", Target, "Okta changed the account's risk"),
        "user.risk.detect" => named("risk-detected", Target, "Okta saw a risk for the account"),
        "user.account.report_suspicious_activity_by_enduser" => {
            named("activity-reported", Target, "The person reported suspicious activity")
        }
        "system.org.rate_limit.violation"
        | "system.operation.rate_limit.violation"
        | "core.concurrency.org.limit.violation" => named("rate-limit-exceeded", Actor, "A rate limit was exceeded"),
        _ => None,
    }
}

/// Names of operations that are found out by more than the event's type.
pub(crate) const SECOND_FACTOR: &str = "second-factor";
pub(crate) const FIRST_FACTOR: &str = "first-factor";
pub(crate) const FIRST_FACTOR_WHAT: &str = "First factor";
pub(crate) const PUSH_DENIED: &str = "push-denied";
pub(crate) const PUSH_DENIED_WHAT: &str = "Okta Verify push denied";
