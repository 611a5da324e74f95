//! An access: who does what, from where, and what has been noticed about it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{AccountId, EventId, Protection, Timestamp};

/// What stands behind an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// A person.
    Human,
    /// A program.
    Service,
    /// A computer's own account.
    Machine,
    /// Not known.
    Unknown,
}

/// Who does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Unchanging id.
    pub id: AccountId,
    /// Short name that a person types.
    pub login: String,
    /// Distinguished name, as the directory writes it.
    pub dn: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// What stands behind it.
    pub kind: AccountKind,
    /// Belongs to a group that the administrator marked as privileged.
    pub privileged: bool,
    /// Whether a cloud account is known for it; none as long as nobody looked.
    pub cloud_enabled: Option<bool>,
    /// 0 to 100.
    pub risk: u8,
}

/// A group that an account is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Distinguished name, as the directory writes it.
    pub dn: String,
    /// Common name.
    pub name: String,
}

/// What the directory says about an account beyond [`Account`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFacts {
    /// Groups, those reached through other groups included.
    pub groups: Vec<Group>,
    /// Names of the organizational units above the entry, the nearest first.
    pub units: Vec<String>,
    /// Values by attribute name in lower case.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// The machine it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The client's address.
    pub address: IpAddr,
    /// Name that the administrator gave it.
    pub name: Option<String>,
    /// Site whose ranges hold the address.
    pub site: Option<String>,
    /// Used by many accounts.
    pub shared: bool,
    /// This account has used it before, with success.
    pub associated: bool,
    /// 0 to 100.
    pub risk: u8,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Application behind the connection.
    pub application: String,
    /// Distinguished name that the operation names.
    pub entry: Option<String>,
}

/// How a bind proves who asks (RFC 4513, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindMethod {
    /// No name and no password.
    Anonymous,
    /// Name and password.
    Simple,
    /// SASL mechanism.
    Sasl(String),
    /// SASL mechanism that may hide, behind a security layer (RFC 4422, section 3.7), everything that follows on the
    /// connection: this is the last that the gateway sees of it.
    OpaqueSasl(String),
}

/// How far below its base a search looks (RFC 4511, section 4.5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchScope {
    /// The base alone.
    Base,
    /// What is directly below the base.
    OneLevel,
    /// The base and everything below it.
    Subtree,
}

/// A search request (RFC 4511, section 4.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Base DN.
    pub base: String,
    /// Scope.
    pub scope: SearchScope,
    /// String form (RFC 4515).
    pub filter: String,
    /// Requested attributes; empty asks for all user attributes.
    pub attributes: Vec<String>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Bind.
    Bind(BindMethod),
    /// Search; none where the gateway could not read the request's details.
    Search(Option<Search>),
    /// Compare.
    Compare,
    /// Add.
    Add,
    /// Modify, with the attributes that change.
    Modify(Vec<String>),
    /// Delete.
    Delete,
    /// Modify DN.
    Rename,
    /// Password modify (RFC 3062), or a modification of a password attribute; of a cloud service, that the account's password
    /// was changed or reset there.
    PasswordChange,
    /// A modification of a password attribute and of others, which are these. A password change to everybody, and to policies
    /// also what it is besides; see [`Operation::besides`].
    MixedChange(Vec<String>),
    /// Another extended operation, by its OID.
    Extended(String),
    /// A sign-in to the cloud identity provider.
    SignIn,
    /// A single sign-on to a cloud application.
    AppAccess,
    /// Anything else, under its source's own name.
    Other(String),
}

/// The kind of an operation, without its details: what policies subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it; the variants of `Operation` are documented")]
pub enum OperationKind {
    Bind,
    Search,
    Compare,
    Add,
    Modify,
    Delete,
    Rename,
    PasswordChange,
    Extended,
    SignIn,
    AppAccess,
    Other,
}

impl OperationKind {
    /// All of them, in their order.
    pub const ALL: [Self; 12] = [
        Self::Bind,
        Self::Search,
        Self::Compare,
        Self::Add,
        Self::Modify,
        Self::Delete,
        Self::Rename,
        Self::PasswordChange,
        Self::Extended,
        Self::SignIn,
        Self::AppAccess,
        Self::Other,
    ];
}

impl Operation {
    /// The operation without its details.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Bind(_) => OperationKind::Bind,
            Self::Search(_) => OperationKind::Search,
            Self::Compare => OperationKind::Compare,
            Self::Add => OperationKind::Add,
            Self::Modify(_) => OperationKind::Modify,
            Self::Delete => OperationKind::Delete,
            Self::Rename => OperationKind::Rename,
            Self::PasswordChange | Self::MixedChange(_) => OperationKind::PasswordChange,
            Self::Extended(_) => OperationKind::Extended,
            Self::SignIn => OperationKind::SignIn,
            Self::AppAccess => OperationKind::AppAccess,
            Self::Other(_) => OperationKind::Other,
        }
    }

    /// What a password change is besides: policies are asked about both.
    #[must_use]
    pub fn besides(&self) -> Option<Self> {
        match self {
            Self::MixedChange(attributes) => Some(Self::Modify(attributes.clone())),
            _ => None,
        }
    }

    /// The attributes that a modification changes; of one that changes a password, the others.
    #[must_use]
    pub fn changed(&self) -> Option<&[String]> {
        match self {
            Self::Modify(attributes) | Self::MixedChange(attributes) => Some(attributes),
            _ => None,
        }
    }
}

/// What the directory, or the cloud service, made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Not asked yet.
    Pending,
    /// It was done.
    Success,
    /// It was refused, or failed.
    Failure,
}

/// What learned behaviour or a detection says about an access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Stable name, e.g. `unusual-endpoint`.
    pub name: String,
    /// 0 to 100.
    pub score: u8,
    /// One sentence for a person.
    pub reason: String,
}

/// One thing that an account does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Id of the access and of its event.
    pub id: EventId,
    /// When it came in.
    pub at: Timestamp,
    /// `ldap`, or the name of a connector.
    pub source: String,
    /// Who; none for anonymous and for unknown accounts.
    pub account: Option<Account>,
    /// From where.
    pub endpoint: Option<Endpoint>,
    /// How the connection is protected; none where nobody knows, as for what a cloud service tells, and in events of
    /// versions that did not record it.
    #[serde(default)]
    pub protection: Option<Protection>,
    /// On what.
    pub target: Target,
    /// What.
    pub operation: Operation,
    /// What came of it at the directory.
    pub outcome: Outcome,
    /// What was noticed.
    pub signals: Vec<Signal>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_at_its_place() {
        for (place, kind) in OperationKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
