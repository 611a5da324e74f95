//! The place in the log, as the gateway keeps it between two looks.

use okta::BaseUrl;
use serde::{Deserialize, Serialize};

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Okta's own link to what comes next; opaque.
    pub(crate) next: Option<String>,
    /// Everything that Okta had before this moment was delivered: milliseconds since 1970, by Okta's clock.
    pub(crate) read_to: u64,
}

impl Cursor {
    /// None for a text that this connector has not written.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The link, while it leads to the organisation. The organisation's address may have been changed since.
    pub(crate) fn link(&self, base: &BaseUrl) -> Option<&str> {
        self.next.as_deref().filter(|link| base.leads_to(link))
    }

    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
