//! What the guard asks of the directory.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::{Account, AccountFacts};

/// An account as the directory knows it. Risk and cloud twin are filled in by the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryAccount {
    /// Identity.
    pub account: Account,
    /// Groups, units and attributes.
    pub facts: Arc<AccountFacts>,
}

/// The directory could not be asked. "Not found" is not an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DirectoryError {
    /// No connection, no answer in time, or an answer that is no LDAP.
    #[error("the directory cannot be reached: {0}")]
    Unreachable(String),
    /// The service account's name or password is wrong, or it may not read.
    #[error("the directory refuses the service account: {0}")]
    Refused(String),
}

/// Accounts that [`Directory::with_value`] tells of at most. More than one is a conflict already.
pub const MOST_WITH_VALUE: usize = 2;

/// Looks accounts up. Answers come from a bounded cache where they are fresh enough.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The account behind a name as a client gives it in a bind: a DN, or what Active Directory also takes (user principal
    /// name, `DOMAIN\name`). None when there is no such entry, or more than one.
    async fn find(&self, name: &str) -> Result<Option<DirectoryAccount>, DirectoryError>;

    /// Every account in which this attribute has this value, at most [`MOST_WITH_VALUE`]; to find whose cloud account it is
    /// that shows the same value. A directory that cannot be searched has none.
    async fn with_value(&self, attribute: &str, value: &str) -> Result<Vec<DirectoryAccount>, DirectoryError> {
        let _ = (attribute, value);
        Ok(Vec::new())
    }
}
