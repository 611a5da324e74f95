//! Acting on a user (Okta API: User Sessions, User Lifecycle).

use okta::contract::portcullis::gateway::http::Method;
use okta::contract::portcullis::gateway::log::Level;
use okta::person::is_id;
use okta::{Client, Fault, Host};

use crate::contract::exports::portcullis::gateway::connector::ConnectorError;
use crate::contract::exports::portcullis::gateway::enforcement::Action;
use crate::settings::Settings;
use crate::user::User;

/// Does it, and makes sure of it where the answer leaves doubts.
///
/// # Errors
/// It could not be done; the text names the user's status where that is the reason.
pub fn enforce(host: &impl Host, settings: &Settings, user: &str, action: Action) -> Result<(), ConnectorError> {
    if !is_id(user) {
        return Err(ConnectorError::Protocol("an Okta user is acted on by the id, which this is not".to_owned()));
    }
    let client = settings.client(host);
    let send = |method, path: &str| {
        client.follow(method, &format!("{}/api/v1/users/{user}/{path}", settings.base), Vec::new()).map(|_| ())
    };
    let done = match action {
        // Tokens that applications hold would outlive the sessions.
        Action::EndSessions => send(Method::Delete, "sessions?oauthTokens=true").map_err(ConnectorError::from),
        Action::Suspend => {
            change(&client, user, |status| GONE.contains(&status), || send(Method::Post, "lifecycle/suspend"))
        }
        Action::Unsuspend => {
            change(&client, user, |status| status != "SUSPENDED", || send(Method::Post, "lifecycle/unsuspend"))
        }
    };
    match &done {
        Ok(()) => host.log(Level::Info, &format!("{}: done for the user {user}", name(action))),
        Err(error) => host.log(Level::Error, &format!("{}: not done for the user {user}: {error:?}", name(action))),
    }
    done
}

/// Neither of them can sign in.
const GONE: [&str; 2] = ["SUSPENDED", "DEPROVISIONED"];

fn name(action: Action) -> &'static str {
    match action {
        Action::EndSessions => "ending all sessions",
        Action::Suspend => "suspending",
        Action::Unsuspend => "ending the suspension",
    }
}

/// Okta refuses to suspend who is suspended, so the user is looked at first; and once more when the answer was lost or was a
/// refusal, because the one thing that counts is what the user is now.
fn change<H: Host>(
    client: &Client<'_, H>,
    user: &str,
    is_done: impl Fn(&str) -> bool,
    act: impl Fn() -> Result<(), Fault>,
) -> Result<(), ConnectorError> {
    if is_done(&status(client, user)?) {
        return Ok(());
    }
    let fault = match act() {
        Ok(()) => return Ok(()),
        Err(fault @ (Fault::Uncertain(_) | Fault::Protocol(_) | Fault::Refused(_))) => fault,
        Err(fault) => return Err(fault.into()),
    };
    match status(client, user) {
        Ok(now) if is_done(&now) => Ok(()),
        Ok(now) if matches!(fault, Fault::Protocol(_) | Fault::Refused(_)) => {
            let shown: String =
                now.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(40).collect();
            Err(ConnectorError::Protocol(format!("Okta does not allow it for a user whose status is {shown}")))
        }
        _ => Err(fault.into()),
    }
}

fn status<H: Host>(client: &Client<'_, H>, user: &str) -> Result<String, ConnectorError> {
    let answer = client.get(&format!("/api/v1/users/{user}")).map_err(|fault| match fault {
        Fault::NotFound => ConnectorError::Protocol("Okta has no user with this id (any more)".to_owned()),
        fault => fault.into(),
    })?;
    let unreadable = || ConnectorError::Protocol("Okta's answer about a user has no status".to_owned());
    let user: User<'_> = serde_json::from_slice(answer.body()).map_err(|_| unreadable())?;
    user.status.get().map(str::to_owned).ok_or_else(unreadable)
}
