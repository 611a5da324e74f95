//! Accesses that happened elsewhere, and what is known there of an account: what the gateway asks of connectors to cloud
//! services beside a second factor.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::plugin::{ConnectorError, Health};
use crate::{Operation, Outcome, Timestamp};

/// A position on Earth as a service estimates it, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// -90 (south) to 90.
    pub latitude: f64,
    /// -180 (west) to 180.
    pub longitude: f64,
}

/// An attribute and its values in text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name, as the service has it.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
}

/// Something that a connector's service logged.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignEvent {
    /// The service's own id. Each is stored once.
    pub id: String,
    /// When it happened there.
    pub at: Timestamp,
    /// Names by which the account can be found: the service's id first, then logins and mail addresses.
    pub identities: Vec<String>,
    /// The client's address; none where the service does not know it or it is none.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Where the client is.
    pub position: Option<Position>,
    /// The same in words.
    pub place: Option<String>,
    /// The cloud application that it is about.
    pub application: Option<String>,
    /// What was done.
    pub operation: Operation,
    /// What came of it.
    pub outcome: Outcome,
    /// One sentence for the analyst.
    pub detail: String,
    /// What else the service says of it: the kind of event, the factor, its own risk.
    pub attributes: Vec<Attribute>,
    /// The event as the service sent it, JSON.
    pub raw: String,
}

/// One answer of an event source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceBatch {
    /// What happened; in any order, some of it perhaps seen before.
    pub events: Vec<ForeignEvent>,
    /// Where to go on. Stored in the same transaction as the events, or not at all.
    pub cursor: String,
    /// Milliseconds to leave the service alone; 0 where more is waiting.
    pub poll_after_ms: u32,
    /// How far the source has caught up: everything before this moment was delivered. None where the service cannot tell.
    pub complete_to: Option<Timestamp>,
}

/// A feed of accesses: a loaded connector with its settings.
#[async_trait]
pub trait EventSource: Send + Sync {
    /// Tries the settings on the live service.
    async fn check(&self) -> Result<Health, ConnectorError>;
    /// What follows the cursor; from the beginning, as the settings have it, without one.
    async fn poll(&self, cursor: Option<&str>) -> Result<SourceBatch, ConnectorError>;
}

/// A second factor, as far as an account directory tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudFactor {
    /// What kind, in the service's words.
    pub kind: String,
    /// Whether it can be used.
    pub active: bool,
}

/// An account at a cloud service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudAccount {
    /// The service's id; stays.
    pub id: String,
    /// The name that the person types there.
    pub login: String,
    /// Mail address, where known.
    pub mail: Option<String>,
    /// The service's word for its state.
    pub status: String,
    /// It can sign in, and to what the settings ask for.
    pub enabled: bool,
    /// Labels of the applications that it may use.
    pub applications: Vec<String>,
    /// Its second factors.
    pub factors: Vec<CloudFactor>,
    /// What else is known.
    pub attributes: Vec<Attribute>,
}

/// What a cloud service knows of accounts.
#[async_trait]
pub trait AccountDirectory: Send + Sync {
    /// The account that one of the names belongs to, the first name that finds one; none where the service has none. What
    /// the service could not say is an error and never "none".
    async fn find(&self, identities: &[String]) -> Result<Option<CloudAccount>, ConnectorError>;
}

/// What can be done to a cloud account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// Sign it out everywhere.
    EndSessions,
    /// Keep it from signing in.
    Suspend,
    /// Let it sign in again.
    Unsuspend,
}

/// A cloud service that can be told to act against an account.
#[async_trait]
pub trait Enforcer: Send + Sync {
    /// Does it; done already is no error.
    async fn enforce(&self, cloud_account: &str, action: Enforcement) -> Result<(), ConnectorError>;
}

/// A cloud identity provider: everything that the gateway asks of one.
pub trait IdentityProvider: EventSource + AccountDirectory + Enforcer {}

impl<T: EventSource + AccountDirectory + Enforcer> IdentityProvider for T {}
