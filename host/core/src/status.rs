//! How connectors stood when they were last tried.

use crate::plugin::Health;
use crate::{ConnectorName, Timestamp};

/// A connector, and what came of trying its settings on the live service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Its name in the configuration.
    pub name: ConnectorName,
    /// When it was tried, and what was found, or why it does not work; none while the first attempt is under way.
    pub tried: Option<(Timestamp, Result<Health, String>)>,
}
