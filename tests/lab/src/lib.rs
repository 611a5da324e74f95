//! Servers for tests and the demo: a sample directory, an Okta simulator, launchers of real ones.
//!
//! - [`company`]: one made-up company that fills all of them
//! - [`slapd`]: the real OpenLDAP server
//! - [`samba`]: a real Active Directory domain controller, Samba's
//! - [`domain`]: clients that log on to it by Kerberos and NTLM
//! - [`directory`]: an embedded LDAP directory
//! - [`okta`]: a simulator of Okta
//! - [`pki`]: a throwaway certification authority
//! - [`client`]: an LDAP client that chooses its address and shows raw bytes
//! - [`demo`]: what `cargo xtask demo` runs
//! - [`tools`], [`process`], [`net`]: command line clients, processes, ports

pub mod client;
pub mod company;
pub mod demo;
pub mod directory;
pub mod dn;
pub mod domain;
mod entry;
pub mod filter_text;
mod names;
pub mod net;
pub mod okta;
pub mod pki;
pub mod process;
pub mod samba;
pub mod slapd;
pub mod tools;

/// The words of the LDAP protocol that [`client`] speaks in.
pub use ldap3_proto::proto;
