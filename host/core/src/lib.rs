//! The words of Portcullis as types, and the traits at which the rooms meet.
//!
//! Nothing here does I/O, knows an async runtime or knows a protocol library. A room that needs another one asks for a
//! trait of this crate; the binary hands it the implementation. How names of attributes and entries are read is the same file as in the
//! policy that holds accounts to them.

pub mod access;
#[path = "../../../policies/rules/src/attribute.rs"]
pub mod attribute;
pub mod backtest;
pub mod challenge;
pub mod channel;
pub mod cloud;
pub mod demotion;
pub mod directory;
pub mod dn;
pub mod escalation;
pub mod event;
pub mod exclusion;
pub mod fence;
pub mod gate;
pub mod history;
pub mod incident;
pub mod learned;
pub mod name;
pub mod plugin;
pub mod policies;
pub mod policy;
pub mod profile;
pub mod protection;
pub mod revision;
pub mod risk;
pub mod secret;
pub mod source;
pub mod status;
pub mod store;
pub mod summary;
pub mod time;

pub use access::{
    Access, Account, AccountFacts, AccountKind, BindMethod, Endpoint, Group, Operation, OperationKind, Outcome, Search,
    SearchScope, Signal, Target,
};
pub use name::{AccountId, ChallengeId, ChannelName, ConnectorName, EventId, IncidentId, ListenerName, PolicyName};
pub use protection::{ClientCertificate, Protection, Tls};
pub use secret::Secret;
pub use time::{Clock, Ids, Timestamp};

/// A boxed future, for trait methods that have to be callable through `dyn`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
