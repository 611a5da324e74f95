//! What accounts, endpoints and applications usually do, what is unusual about an access, and how risky who does it is: pure
//! functions, no I/O.
//!
//! - [`profile`]: what is learned, bounded and fading; [`memory`]: the profiles that are at hand.
//! - [`detections`]: what stands out, one module each with its threshold, its learning period and its known false positives.
//! - [`risk`]: what follows from that for a while; [`kind`]: what an account seems to be; [`fence`]: what a service account is used
//!   for. [`shape`] is the file of the policy that holds accounts to that.
//!
//! Which account uses which endpoint is kept by the store one by one ([`portcullis_core::learned`]); [`notice`] compares with
//! that.

pub mod detections;
pub mod fence;
pub mod filter;
pub mod kind;
pub mod memory;
pub mod profile;
pub mod risk;
pub mod seen;
#[path = "../../../policies/rules/src/shape.rs"]
pub mod shape;
pub mod shared_endpoint;
pub mod unusual_endpoint;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_core::exclusion::Scope;
use portcullis_core::learned::{AccountHistory, EndpointHistory};
use portcullis_core::{Signal, Timestamp};

/// Thresholds and learning periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// An account's first days, in which nothing counts as unusual.
    pub learning_time: Duration,
    /// An account's first accesses, in which nothing counts as unusual.
    pub learning_accesses: u64,
    /// An endpoint that was not used for so long is forgotten.
    pub forget_after: Duration,
    /// An endpoint that at least so many accounts have used is shared.
    pub shared_from_accounts: u64,
    /// After so long, a factor of a risk weighs half.
    pub risk_half_life: Duration,
    /// What is looked for.
    pub detections: detections::Detections,
    /// For whom it is not, as the configuration has it.
    pub exclusions: Vec<detections::Exclusion>,
    /// The same, as people have said while it runs.
    pub made: Vec<Scope>,
}

impl Default for Settings {
    /// Seven days and twenty accesses of learning, forgotten after half a year, shared from ten accounts on; a risk halves in a
    /// day.
    fn default() -> Self {
        Self {
            learning_time: Duration::from_secs(7 * 86_400),
            learning_accesses: 20,
            forget_after: Duration::from_secs(180 * 86_400),
            shared_from_accounts: 10,
            risk_half_life: Duration::from_secs(86_400),
            detections: detections::Detections::default(),
            exclusions: Vec::new(),
            made: Vec::new(),
        }
    }
}

/// What is looked at: an access of one account from one address, and what has been learned about both.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// The account's endpoints.
    pub account: &'a AccountHistory,
    /// The endpoint.
    pub endpoint: EndpointHistory,
}

/// What stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// The account has used the endpoint before and not forgotten it.
    pub associated: bool,
    /// Many accounts use the endpoint.
    pub shared: bool,
    /// For policies and people.
    pub signals: Vec<Signal>,
}

/// Looks at an access.
#[must_use]
pub fn notice(observed: Observed<'_>, settings: &Settings) -> Noticed {
    let associated = unusual_endpoint::is_associated(observed, settings);
    let shared = shared_endpoint::is_shared(observed.endpoint, settings);
    let signals = [unusual_endpoint::signal(observed, settings), shared_endpoint::signal(observed, settings)];
    Noticed { associated, shared, signals: signals.into_iter().flatten().collect() }
}
