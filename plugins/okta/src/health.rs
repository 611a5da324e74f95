//! Trying the settings on the live organisation.

use serde_json::Value;

use crate::person::text;
use crate::{BaseUrl, Client, Fault, Host};

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which organisation, whose credentials.
    pub detail: String,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// Asks Okta whose token it is.
///
/// # Errors
/// The organisation cannot be reached or does not accept the token.
pub fn check(host: &impl Host, base: &BaseUrl) -> Result<Found, Fault> {
    let client = Client::new(host, base);
    let mut warnings = Vec::new();
    let owner = match client.get("/api/v1/users/me") {
        Ok(answer) => {
            let user: Value = answer.json()?;
            let status = text(&user, "/status").unwrap_or("not told");
            if status != "ACTIVE" {
                warnings.push(format!("The token's owner is not active; the status is {}.", shown(status)));
            }
            text(&user, "/profile/login").map(shown)
        }
        Err(Fault::NotFound) => None,
        Err(fault) => return Err(fault),
    };
    let owner = owner.unwrap_or_else(|| {
        warnings.push("Okta does not tell whose token this is, so its rights cannot be judged.".to_owned());
        "an owner whom Okta does not name".to_owned()
    });
    // A right of its own, which the connector can do without.
    let company = match client.get("/api/v1/org") {
        Ok(answer) => answer.json::<Value>().ok().and_then(|org| text(&org, "/companyName").map(shown)),
        Err(_) => None,
    };
    let company = company.map(|name| format!(" ({name})")).unwrap_or_default();
    Ok(Found { detail: format!("{}{company}, with the API token of {owner}.", base.host()), warnings })
}

/// Text from elsewhere, fit for a line of the console.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}
