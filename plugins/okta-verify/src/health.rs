//! Trying the settings on the live organisation.

use okta::Host;
use okta::health::{self, Right};

use crate::contract::exports::portcullis::gateway::connector::{ConnectorError, Health};
use crate::settings::Settings;

/// Whom a push needs to be found and asked.
const NEEDS: [Right; 2] = [Right::ReadUsers, Right::VerifyFactors];

/// Asks Okta whose credentials these are, and whether they are good enough.
///
/// # Errors
/// The organisation cannot be reached, does not accept the credentials, or they lack a right.
pub fn check(host: &impl Host, settings: &Settings) -> Result<Health, ConnectorError> {
    let report = health::check(host, &settings.base, &settings.authorization, &NEEDS)?;
    Ok(Health { detail: report.detail, warnings: report.warnings })
}
