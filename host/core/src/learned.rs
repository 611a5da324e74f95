//! What has been learned, as the store keeps it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{AccountId, Timestamp};

/// An account has used an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// The endpoint's address.
    pub address: IpAddr,
    /// First success from there.
    pub first_seen: Timestamp,
    /// Latest success from there.
    pub last_seen: Timestamp,
    /// Successes from there.
    pub count: u64,
}

/// All endpoints of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountHistory {
    /// In no particular order, one per address.
    pub associations: Vec<Association>,
}

/// What is known of one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointHistory {
    /// How many different accounts have used it.
    pub accounts: u64,
}

/// Something to be learned from an access that was let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Who.
    pub account: AccountId,
    /// From where.
    pub address: IpAddr,
    /// When.
    pub at: Timestamp,
}
