//! Trying the settings on the live organisation.

use okta::Host;

use crate::contract::exports::portcullis::gateway::connector::{ConnectorError, Health};
use crate::settings::Settings;

/// Asks Okta whose token it is.
///
/// # Errors
/// The organisation cannot be reached or does not accept the token.
pub fn check(host: &impl Host, settings: &Settings) -> Result<Health, ConnectorError> {
    let found = okta::health::check(host, &settings.base)?;
    Ok(Health { detail: found.detail, warnings: found.warnings })
}
