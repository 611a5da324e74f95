//! Trying the settings on the live organisation: whose credentials they are, what they lack and what they have too much.

use serde_json::Value;

use crate::contract::portcullis::gateway::http::Method;
use crate::person::{is_id, text};
use crate::{Answer, Authorization, BaseUrl, Client, Fault, Host, dates};

/// Something that a connector does, and for which it needs a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Finding people and their factors, and following a push.
    ReadUsers,
    /// Sending pushes and checking codes.
    VerifyFactors,
    /// Reading the System Log.
    ReadLogs,
    /// Reading applications and who may use them.
    ReadApps,
    /// Suspending people and ending their sessions.
    ManageUsers,
}

impl Right {
    /// The least scope that has it (Okta, "OAuth 2.0 scopes").
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::ReadUsers => "okta.users.read",
            Self::VerifyFactors | Self::ManageUsers => "okta.users.manage",
            Self::ReadLogs => "okta.logs.read",
            Self::ReadApps => "okta.apps.read",
        }
    }

    /// In words, behind "the right to".
    fn words(self) -> &'static str {
        match self {
            Self::ReadUsers => "read users",
            Self::VerifyFactors => "verify factors",
            Self::ReadLogs => "read the System Log",
            Self::ReadApps => "read applications",
            Self::ManageUsers => "manage users",
        }
    }

    /// Whether an administrator's role that can do it is needed, and not just one that reads.
    fn changes(self) -> bool {
        matches!(self, Self::VerifyFactors | Self::ManageUsers)
    }

    /// Uses it without an effect. A user and a factor of these names do not exist, so that there is nobody to be asked
    /// for a code: Okta answers that it does not know them, once it has found the credentials good enough.
    fn attempt<H: Host>(self, client: &Client<'_, H>) -> Result<Answer, Fault> {
        const NOBODY: &str = "/api/v1/users/00uPortcullisNobody0";
        match self {
            Self::ReadUsers => client.get("/api/v1/users?limit=1"),
            Self::ReadLogs => client.get("/api/v1/logs?limit=1&sortOrder=DESCENDING"),
            Self::ReadApps => client.get("/api/v1/apps?limit=1"),
            Self::VerifyFactors => {
                client.send_to(Method::Post, &format!("{NOBODY}/factors/opfPortcullisNobody0/verify"))
            }
            Self::ManageUsers => client.send_to(Method::Delete, &format!("{NOBODY}/sessions")),
        }
    }
}

/// Roles that do more than any connector needs, besides the super administrator's (Okta, "Standard roles").
const BROAD_ROLES: [&str; 4] = ["ORG_ADMIN", "APP_ADMIN", "API_ACCESS_MANAGEMENT_ADMIN", "MOBILE_ADMIN"];
/// Roles that change people, and so are too much for a connector that only reads.
const CHANGING_ROLES: [&str; 3] = ["USER_ADMIN", "HELP_DESK_ADMIN", "GROUP_MEMBERSHIP_ADMIN"];
/// The scope for the organisation's name, which may be there for that.
const ORGANISATION_SCOPE: &str = "okta.orgs.read";
/// Whoever reads a warning needs some days to make another token.
const SOON_MS: u64 = 7 * 24 * 3600 * 1000;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What is found when the settings are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One sentence: which organisation, and as whom.
    pub detail: String,
    /// What works and should be changed nevertheless.
    pub warnings: Vec<String>,
}

/// Tries the settings on the live organisation.
///
/// # Errors
/// The organisation cannot be reached, does not accept the credentials, or they lack a right; the text names it.
pub fn check(
    host: &impl Host,
    base: &BaseUrl,
    authorization: &Authorization,
    needs: &[Right],
) -> Result<Report, Fault> {
    let client = Client::new(host, base).authorized(authorization);
    let (who, mut warnings) = match authorization {
        Authorization::ApiToken => token_owner(&client, needs)?,
        Authorization::ServiceApp { client_id, scopes } => {
            (format!("as the service app {}", shown(client_id)), compare_scopes(scopes, needs)?)
        }
    };
    warnings.extend(try_rights(&client, authorization, needs)?);
    // A right of its own, which the connectors can do without.
    let company = client.get("/api/v1/org").ok().and_then(|answer| answer.json::<Value>().ok());
    let company = company.as_ref().and_then(|org| text(org, "/companyName")).map(|name| format!(" ({})", shown(name)));
    let detail = format!("{}{}, {who}.", base.host(), company.unwrap_or_default());
    Ok(Report { detail, warnings })
}

/// Whose the API token is, and what is to be said of its owner.
fn token_owner<H: Host>(client: &Client<'_, H>, needs: &[Right]) -> Result<(String, Vec<String>), Fault> {
    let owner: Value = match client.get("/api/v1/users/me") {
        Ok(answer) => answer.json()?,
        Err(Fault::NotFound) => Value::Null,
        Err(fault) => return Err(fault),
    };
    let mut warnings = Vec::new();
    let Some(login) = text(&owner, "/profile/login").map(shown) else {
        warnings.push("Okta does not tell whose token this is, so its rights cannot be judged.".to_owned());
        return Ok(("with the API token of an owner whom Okta does not name".to_owned(), warnings));
    };
    let status = text(&owner, "/status").unwrap_or("not told");
    if status != "ACTIVE" {
        warnings.push(format!("The token's owner is not active; the status is {}.", shown(status)));
    }
    if let Some(id) = text(&owner, "/id").filter(|id| is_id(id)) {
        warnings.extend(judge_roles(client, id, needs));
        warnings.extend(judge_lifetime(client, id));
    }
    Ok((format!("with the API token of {login}"), warnings))
}

/// Roles of the owner that the connector does not need. Whoever may not read roles has few rights, which is well.
fn judge_roles<H: Host>(client: &Client<'_, H>, owner: &str, needs: &[Right]) -> Option<String> {
    let roles: Vec<Value> = client.get(&format!("/api/v1/users/{owner}/roles")).ok()?.json().ok()?;
    let active = roles.iter().filter(|role| text(role, "/status").is_none_or(|status| status == "ACTIVE"));
    let kinds: Vec<&str> = active.filter_map(|role| text(role, "/type")).collect();
    if kinds.contains(&"SUPER_ADMIN") {
        return Some(
            "The token is a super administrator's: whoever gets hold of it has the whole organisation. Make one as an \
             administrator with no more rights than this connector needs."
                .to_owned(),
        );
    }
    let reads_only = !needs.iter().any(|need| need.changes());
    let too_much = |kind: &&&str| BROAD_ROLES.contains(*kind) || reads_only && CHANGING_ROLES.contains(*kind);
    let mut beyond: Vec<&str> = kinds.iter().filter(too_much).copied().collect();
    beyond.sort_unstable();
    beyond.dedup();
    let beyond = beyond.join(", ");
    (!beyond.is_empty()).then(|| format!("The token's owner has more rights than this connector needs: {beyond}."))
}

/// A token lives as long as it is used often enough; the list does not say which token is this one, so the latest end among
/// those of its owner is the latest that it can have.
fn judge_lifetime<H: Host>(client: &Client<'_, H>, owner: &str) -> Option<String> {
    let answer = client.get("/api/v1/api-tokens").ok()?;
    let now = answer.date()?;
    let tokens: Vec<Value> = answer.json().ok()?;
    let own = tokens.iter().filter(|token| text(token, "/userId") == Some(owner));
    let ends: Vec<u64> = own.filter_map(|token| text(token, "/expiresAt").and_then(dates::iso_time)).collect();
    let last = ends.into_iter().max()?;
    let left = last.saturating_sub(now);
    (left < SOON_MS).then(|| match left / DAY_MS {
        0 => "The token ends within a day: make another one.".to_owned(),
        days => format!("The token ends within {} days: make another one.", days.saturating_add(1)),
    })
}

/// Scopes that are asked for beside those that are needed.
fn compare_scopes(scopes: &[String], needs: &[Right]) -> Result<Vec<String>, Fault> {
    let needed: Vec<&str> = needs.iter().map(|need| need.scope()).collect();
    // Whoever may manage something may read it.
    let of = |scope: &str, ending| scope.strip_suffix(ending).map(str::to_owned);
    let meets = |has: &str, scope: &str| {
        has == scope || of(scope, ".read").is_some_and(|what| of(has, ".manage") == Some(what))
    };
    let lacks = |scope: &&str| !scopes.iter().any(|has| meets(has, scope));
    let mut missing: Vec<&str> = needed.iter().copied().filter(lacks).collect();
    missing.dedup();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Fault::Misconfigured(format!(
            "the scopes of the service app lack {missing}: add them to `scopes`"
        )));
    }
    let beyond = scopes.iter().filter(|scope| !needed.contains(&scope.as_str()) && *scope != ORGANISATION_SCOPE);
    let beyond: Vec<_> = beyond.map(|scope| shown(scope)).collect();
    if beyond.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!("More scopes are asked for than this connector needs: leave out {}.", beyond.join(", "))])
}

/// Uses each right once.
fn try_rights<H: Host>(
    client: &Client<'_, H>,
    authorization: &Authorization,
    needs: &[Right],
) -> Result<Vec<String>, Fault> {
    let (mut missing, mut warnings) = (Vec::new(), Vec::new());
    for need in needs {
        match need.attempt(client) {
            Ok(_) | Err(Fault::NotFound | Fault::Refused(_)) => {}
            // An administrator whose rights are limited to some people has none over one who does not exist.
            Err(Fault::Forbidden(_)) if need.changes() && *authorization == Authorization::ApiToken => {
                warnings.push(format!(
                    "The token does not seem to have the right to {}, or only for some people.",
                    need.words()
                ));
            }
            Err(Fault::Forbidden(why)) => missing.push(format!("{} ({why})", need.words())),
            Err(fault) => return Err(fault),
        }
    }
    if missing.is_empty() {
        return Ok(warnings);
    }
    let advice = match authorization {
        Authorization::ApiToken => "make it as an administrator who has it",
        Authorization::ServiceApp { .. } => "grant the scope to the service app, and give it an administrator's role",
    };
    Err(Fault::Forbidden(format!("there is no right to {}; {advice}", missing.join(", or to "))))
}

/// Text from elsewhere, fit for a line of the console.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests;
