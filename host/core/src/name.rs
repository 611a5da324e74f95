//! Names and identifiers, each a type of its own so that one cannot stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

text_name! {
    /// An account for as long as it exists: the directory's unchanging id of the entry (`entryUUID`, `objectGUID`), or
    /// `name:` and what a client called itself where no entry is known.
    AccountId
}
text_name! {
    /// A connector of the configuration, e.g. `okta-verify`.
    ConnectorName
}
text_name! {
    /// A notification channel of the configuration, e.g. `soc`.
    ChannelName
}
text_name! {
    /// A policy of the configuration: one component with one set of settings.
    PolicyName
}
text_name! {
    /// An LDAP listener of the configuration.
    ListenerName
}
uuid_name! {
    /// An event, and the access that it records. UUID version 7: sorts by time.
    EventId
}
uuid_name! {
    /// An incident.
    IncidentId
}
uuid_name! {
    /// A challenge.
    ChallengeId
}
