//! Trying the settings on the live organisation.

use okta::health::{self, Right};
use okta::{Authorization, Client, Fault, Host};

use crate::contract::exports::portcullis::gateway::connector::{ConnectorError, Health};
use crate::lenient::{Object, Word};
use crate::settings::Settings;

/// The scope to act on accounts with.
const MANAGE: &str = "okta.users.manage";

/// Asks Okta whose credentials these are, and whether they are good enough.
///
/// # Errors
/// The organisation cannot be reached, does not accept the credentials, or they lack a right that reading needs.
pub fn check(host: &impl Host, settings: &Settings) -> Result<Health, ConnectorError> {
    let mut needs = vec![Right::ReadLogs, Right::ReadUsers];
    needs.extend(settings.application.is_some().then_some(Right::ReadApps));
    // Whether anything follows from a block is not for the connector to know: not to be able to act is no mistake.
    let reads_only = matches!(
        &settings.authorization,
        Authorization::ServiceApp { scopes, .. } if !scopes.iter().any(|scope| scope == MANAGE)
    );
    needs.extend((!reads_only).then_some(Right::ManageUsers));
    let mut report = health::check(host, &settings.base, &settings.authorization, &needs)?;
    if reads_only {
        report.warnings.push(format!("Without the scope {MANAGE}, sessions cannot be ended and nobody be suspended."));
    }
    if let Some(application) = &settings.application {
        try_application(&settings.client(host), application, &mut report.warnings)?;
    }
    Ok(Health { detail: report.detail, warnings: report.warnings })
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
        Err(fault) => Err(fault.into()),
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct App<'a> {
    #[serde(borrow)]
    status: Word<'a>,
}
