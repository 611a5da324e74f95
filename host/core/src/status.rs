//! How connectors stood when they were last tried.

use serde::Serialize;

use crate::plugin::Health;
use crate::{ConnectorName, Timestamp};

/// What a connector is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectorRole {
    /// It asks people for a second factor.
    SecondFactor,
    /// It tells what happens at its service.
    EventSource,
    /// It knows the service's accounts.
    AccountDirectory,
    /// It acts against them.
    Enforcement,
}

/// What is known of a connector without trying it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AboutConnector {
    /// Its plugin's name and version; none where that could not be loaded.
    pub plugin: Option<(String, String)>,
    /// What it is for.
    pub roles: Vec<ConnectorRole>,
}

/// A connector, and what came of trying its settings on the live service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Its name in the configuration.
    pub name: ConnectorName,
    /// What it is.
    pub about: AboutConnector,
    /// When it was tried, and what was found, or why it does not work; none while the first attempt is under way.
    pub tried: Option<(Timestamp, Result<Health, String>)>,
}
