//! What was asked of the simulator.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Older entries than this many are forgotten.
const KEPT: usize = 10_000;

/// One request and how it was answered. It holds the token that the client sent, because a test has to see that the
/// right one was filled in; the simulator knows no real tokens.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When the request was complete.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// The path with its query, as sent.
    pub path: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
    /// The status of the answer; 0 when the connection was reset instead.
    pub status: u16,
    /// How long the answer took, in milliseconds.
    #[serde(serialize_with = "super::millis::serialize")]
    pub took: Duration,
}

impl Entry {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
pub(super) struct Journal(VecDeque<Entry>);

impl Journal {
    pub(super) fn push(&mut self, entry: Entry) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.0.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
