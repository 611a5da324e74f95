//! Tells people what they have to know: by webhook, by mail, by syslog.
//!
//! Each kind is one module and one implementation of [`portcullis_core::channel::Channel`]. Nothing here keeps anything or
//! tries again; that is the outbox's and the guard's. Half of the texts that go out are what somebody has called himself: they
//! are made harmless in one place (`text`), before any kind sees them.

mod smtp;
mod syslog;
mod text;
mod webhook;

use std::time::Duration;

pub use smtp::{Login, Smtp, SmtpOptions, SmtpTls, address_problem};
pub use syslog::{Facility, Syslog, SyslogOptions, Transport};
pub use webhook::{Webhook, WebhookOptions, key_problem, url_problem};

/// How long a message may take altogether.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a server said is cut to so many octets.
const LONGEST_ANSWER: usize = 300;

/// What is wrong with the settings of a channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelSetupError {
    /// A file with certificates.
    #[error(transparent)]
    Tls(#[from] portcullis_tls::TlsError),
    /// Another setting, by the name that it has in the configuration.
    #[error("{message}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
}

impl ChannelSetupError {
    fn of(name: &'static str, message: impl Into<String>) -> Self {
        Self::Setting { name, message: message.into() }
    }

    /// The setting in which something is wrong.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Tls(_) => "ca-file",
            Self::Setting { name, .. } => name,
        }
    }
}

/// An error with what is behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text::line(&text, LONGEST_ANSWER)
}
