//! Trying the settings on the live organisation.

use okta::{Client, Fault, Host};
use serde_json::Value;

use crate::contract::exports::portcullis::gateway::connector::{ConnectorError, Health};
use crate::okta_api::text;
use crate::settings::Settings;

/// Asks Okta whose token it is.
///
/// # Errors
/// The organisation cannot be reached or does not accept the token.
pub fn check(host: &impl Host, settings: &Settings) -> Result<Health, ConnectorError> {
    let client = Client::new(host, &settings.base);
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
        Err(fault) => return Err(fault.into()),
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
    Ok(Health { detail: format!("{}{company}, with the API token of {owner}.", settings.base.host()), warnings })
}

/// Text from elsewhere, fit for a line of the console.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}
