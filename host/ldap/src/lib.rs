//! The LDAP room: listeners, sessions, connections to the directory, and look-ups of accounts.
//!
//! The path of a message is [`frame`] (where it ends) → `session` (whose turn it is) → [`decode`] (what it asks for, only
//! where the gate wants to know) → [`lane`] (the two ends of a connection, which take nothing that was not decided on).
//! The gateway's own answers come from [`encode`]. [`lookup`] is a client of its own beside all that.

pub mod accept;
mod appended;
mod ber;
pub mod decode;
pub mod encode;
mod filter;
pub mod frame;
pub mod lane;
pub mod listener;
pub mod lookup;
pub mod metrics;
mod notable;
mod outstanding;
mod pipe;
mod proxy;
pub mod referral;
mod residue;
mod returned;
mod room;
pub mod sasl;
mod seats;
mod seldom;
mod session;
pub mod tls;
pub mod upstream;
pub mod upstreams;
mod workers;

pub use accept::{Shared, serve};
pub use listener::{BindRules, Limits, Listener, Mode, OpaqueSasl};
pub use lookup::{CheckError, DomainNames, Lookup, LookupOptions, Members, Schema};
pub use metrics::Metrics;
pub use referral::Referrals;
pub use tls::ServerTls;
pub use upstream::{Security, Upstream, UpstreamError};
pub use upstreams::{Balance, ServerStatus, UpstreamOptions, Upstreams};
pub use workers::Workers;
