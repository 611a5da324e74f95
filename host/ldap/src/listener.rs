//! What is set for a listener: where it is, how clients protect their connections, which binds it takes, and its limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_core::ListenerName;

use crate::frame::{DEFAULT_LIMIT, op};
use crate::referral::Referrals;
use crate::tls::ServerTls;

/// How clients protect their connections.
#[derive(Debug, Clone)]
pub enum Mode {
    /// In the clear, with StartTLS (RFC 4511, section 4.14) where a certificate is given.
    Plain {
        /// What StartTLS is answered with.
        starttls: Option<ServerTls>,
    },
    /// TLS from the first octet.
    Ldaps(ServerTls),
}

/// What to do with SASL binds that put a security layer on the connection, or may do so (GSSAPI and GSS-SPNEGO where they
/// sign or seal or do not show whether they do, DIGEST-MD5, and all that are unknown), behind which the gateway sees nothing,
/// and with those of which nobody says who binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpaqueSasl {
    /// Refused with authMethodNotSupported (7).
    #[default]
    Refuse,
    /// Decided on with what the bind shows, and when permitted relayed unseen from then on.
    Relay,
}

/// What binds a listener takes. The default is the strictest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindRules {
    /// Forward binds with a name and no password (RFC 4513, section 5.1.2), which directories answer with success.
    pub allow_unauthenticated_bind: bool,
    /// SASL binds that hide the stream.
    pub opaque_sasl: OpaqueSasl,
    /// On a plain listener: before StartTLS, take nothing but reads of the root DSE.
    pub require_tls: bool,
    /// On a plain listener that offers StartTLS: before it, take passwords all the same, in binds and password changes.
    pub allow_cleartext_passwords: bool,
    /// What stands between a password and a one-time code behind it, of 6 to 10 digits; none: passwords are passed as they
    /// are.
    pub appended_codes: Option<String>,
}

/// Limits of a listener and of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. 10 000 by default.
    pub connections: usize,
    /// Connections from one address, or from one network of 2⁶⁴ where it is IPv6, of which one host may have them all.
    /// 1 000 by default.
    pub connections_per_address: usize,
    /// Until a load balancer has said whose connection it is, and from then until TLS is established. 10 s by default.
    pub handshake_timeout: Duration,
    /// Until the first whole message. 60 s by default.
    pub first_message_timeout: Duration,
    /// From a later message's first octet until it is whole. 60 s by default.
    pub message_timeout: Duration,
    /// How long a connection may be silent with nothing under way. None by default.
    pub idle_timeout: Option<Duration>,
    /// How long the directory may take for anything but a search. Then the client is told that it is unavailable, and the
    /// directory that it is abandoned; a bind takes its connection to the directory with it. 300 s by default.
    pub operation_timeout: Option<Duration>,
    /// The same for searches, which are answered with timeLimitExceeded. None by default: persistent searches are meant to
    /// go on for ever.
    pub search_timeout: Option<Duration>,
    /// Operations of a connection that the directory may have got and not answered; more are answered with busy. 4 096 by
    /// default.
    pub outstanding: usize,
    /// Octets that are kept of what a client sends behind something that has to be waited for, and of its undecided requests
    /// from which on no more are taken. 64 KiB by default.
    pub waiting_octets: usize,
    /// Octets of a client's message. 16 MiB by default.
    pub request_size: usize,
    /// The same for a client that is nobody, where that is less. 256 KiB by default.
    pub anonymous_request_size: usize,
    /// Octets of a directory's message. 16 MiB by default.
    pub answer_size: usize,
    /// Octets that all connections together may hold of messages under way, the first 256 KiB of each connection not
    /// counted. 512 MiB by default.
    pub large_messages: usize,
    /// How long what is under way may take when the gateway ends. 5 s by default.
    pub drain: Duration,
    /// How much time one summary of what nobody watches covers. 60 s by default.
    pub summary_period: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            handshake_timeout: Duration::from_secs(10),
            first_message_timeout: Duration::from_secs(60),
            message_timeout: Duration::from_secs(60),
            idle_timeout: None,
            operation_timeout: Some(Duration::from_secs(300)),
            search_timeout: None,
            outstanding: 4_096,
            waiting_octets: 64 * 1024,
            request_size: DEFAULT_LIMIT,
            anonymous_request_size: 256 * 1024,
            answer_size: DEFAULT_LIMIT,
            large_messages: 512 * 1024 * 1024,
            drain: Duration::from_secs(5),
            summary_period: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// How long the directory may take for a request with this application number.
    pub(crate) fn time_for(&self, request: u8) -> Option<Duration> {
        if request == op::SEARCH { self.search_timeout } else { self.operation_timeout }
    }
}

/// A port that clients come to.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Name; the guard derives the application from it and from the client's address.
    pub name: ListenerName,
    /// Where the caller of [`crate::serve`] is to bind the socket.
    pub address: SocketAddr,
    /// Protection.
    pub mode: Mode,
    /// Networks of load balancers whose connections begin with a PROXY protocol header. It is believed, so nobody else may
    /// have an address there; from everywhere else a header is no LDAP. Empty by default.
    pub proxy_protocol_from: Vec<IpNet>,
    /// What the directory's referrals are made to lead to. None by default: they stay as they are.
    pub referrals: Option<Arc<Referrals>>,
    /// What binds it takes.
    pub rules: BindRules,
    /// Limits.
    pub limits: Limits,
}

impl Listener {
    /// A listener with the default rules and limits.
    #[must_use]
    pub fn new(name: ListenerName, address: SocketAddr, mode: Mode) -> Self {
        Self {
            name,
            address,
            mode,
            proxy_protocol_from: Vec::new(),
            referrals: None,
            rules: BindRules::default(),
            limits: Limits::default(),
        }
    }
}
