//! Trying the settings on the live organisation.

use okta::{Client, Fault, Host};
use serde_json::Value;

use crate::contract::exports::portcullis::gateway::connector::{ConnectorError, Health};
use crate::lenient::{Object, Word};
use crate::settings::Settings;
use crate::user::User;

/// Asks Okta whose token it is, and tries each right that reading needs.
///
/// # Errors
/// The organisation cannot be reached, does not accept the token, or does not let it read the System Log.
pub fn check(host: &impl Host, settings: &Settings) -> Result<Health, ConnectorError> {
    let client = Client::new(host, &settings.base);
    let mut warnings = Vec::new();
    let owner = match client.get("/api/v1/users/me") {
        Ok(answer) => {
            let user: Object<User<'_>> = serde_json::from_slice(answer.body()).map_err(|_| {
                ConnectorError::Protocol("Okta's answer about the token's owner cannot be read".to_owned())
            })?;
            let status = user.status.get().unwrap_or("not told");
            if status != "ACTIVE" {
                warnings.push(format!("The token's owner is not active; the status is {}.", shown(status)));
            }
            user.profile.login.get().map(shown)
        }
        Err(Fault::NotFound) => None,
        Err(fault) => return Err(fault.into()),
    };
    let owner = owner.unwrap_or_else(|| {
        warnings.push("Okta does not tell whose token this is, so its rights cannot be judged.".to_owned());
        "an owner whom Okta does not name".to_owned()
    });
    client.get("/api/v1/logs?limit=1&sortOrder=DESCENDING").map_err(|fault| match ConnectorError::from(fault) {
        ConnectorError::Forbidden(why) => {
            ConnectorError::Forbidden(format!("reading the System Log (okta.logs.read): {why}"))
        }
        error => error,
    })?;
    if let Some(application) = &settings.application {
        try_application(&client, application, &mut warnings)?;
    }
    Ok(Health {
        detail: format!("{}{}, with the API token of {owner}.", settings.base.host(), company(&client)),
        warnings,
    })
}

/// A wrong id would make every account look as if it were not assigned.
fn try_application<H: Host>(
    client: &Client<'_, H>,
    application: &str,
    warnings: &mut Vec<String>,
) -> Result<(), ConnectorError> {
    match client.get(&format!("/api/v1/apps/{application}")) {
        Ok(answer) => {
            let app: Object<App<'_>> = serde_json::from_slice(answer.body()).unwrap_or_default();
            if app.status.get() != Some("ACTIVE") {
                warnings.push("The application of the settings is not active, so nobody may use it.".to_owned());
            }
            Ok(())
        }
        Err(Fault::NotFound) => {
            Err(ConnectorError::Misconfigured(format!("the organisation has no application with the id {application}")))
        }
        Err(Fault::Forbidden(why)) => {
            Err(ConnectorError::Forbidden(format!("reading applications (okta.apps.read): {why}")))
        }
        Err(fault) => Err(fault.into()),
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct App<'a> {
    #[serde(borrow)]
    status: Word<'a>,
}

/// The organisation's name; a right of its own, which the connector can do without.
fn company<H: Host>(client: &Client<'_, H>) -> String {
    let org = client.get("/api/v1/org").ok().and_then(|answer| answer.json::<Value>().ok());
    let name = org.as_ref().and_then(|org| org.get("companyName")).and_then(Value::as_str);
    name.map(|name| format!(" ({})", shown(name))).unwrap_or_default()
}

/// Text from elsewhere, fit for a line of the console.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}
