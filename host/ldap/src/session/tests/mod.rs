//! Sessions over real sockets, between a client and a directory that the test plays itself.

mod bench;
mod binds;
mod hostile;
mod ntlm;
mod proxy;
mod requests;
mod sasl;
mod tls;

pub(super) use bench::{Bench, Peer, bind, extended, response, sasl_bind, search, unbind};
