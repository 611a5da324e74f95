//! Addresses of 127.0.0.0/8 that play machines.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

/// Alice's own machine, which the gateway's configuration calls `alice-laptop`.
pub(super) const LAPTOP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// A machine that nobody has used, which the configuration calls `unknown-machine`.
pub(super) const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
/// Another one, which has no name.
pub(super) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));

/// Makes sure that connections can come from these addresses.
///
/// # Errors
/// When an address is not ours.
pub(super) fn are_ours() -> anyhow::Result<()> {
    for machine in [LAPTOP, UNKNOWN, STRANGER] {
        if let Err(error) = TcpListener::bind((machine, 0)) {
            anyhow::bail!(
                "{machine} cannot play a machine here ({error}). Linux has all of 127.0.0.0/8; elsewhere each address \
                 has to be added, on macOS with `sudo ifconfig lo0 alias {machine}`"
            );
        }
    }
    Ok(())
}
