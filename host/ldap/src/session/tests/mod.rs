//! Sessions over real sockets, between a client and a directory that the test plays itself.

mod bench;
mod binds;
mod cancel;
mod certificates;
mod handing_on;
mod hostile;
mod late;
mod metrics;
mod ntlm;
mod proxy;
mod referrals;
mod requests;
mod resumption;
mod sasl;
mod servers;
mod summaries;
mod tls;

pub(super) use bench::{Bench, Peer, bind, delete, extended, response, sasl_bind, search, unbind};
