//! What a listener and its connections count, for whoever watches the gateway.
//!
//! Counting costs one relaxed addition and happens per connection, per request and per read; nothing is counted per
//! answer, of which a search may have a million.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::op;

/// A number that only grows, or, where it says so, one that goes up and down.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// How much it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    fn less(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of something that comes and goes; it is counted as long as this lives.
#[derive(Debug)]
pub(crate) struct Present<'a>(&'a Count);

impl<'a> Present<'a> {
    pub(crate) fn new(count: &'a Count) -> Self {
        count.one();
        Self(count)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.less();
    }
}

/// Words that are counted one by one.
macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $label:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $label,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$label,)+];

            /// The word for it, for people and for programs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$label => $text,)+
                }
            }
        }
    };
}

labels! {
    /// A limit of [`crate::Limits`].
    Limit {
        /// Connections in all.
        Connections = "connections",
        /// Connections from one address.
        ConnectionsPerAddress = "connections-per-address",
        /// Octets of a client's message.
        RequestSize = "request-size",
        /// Octets of a directory's message.
        AnswerSize = "answer-size",
        /// Time for a load balancer's header, and for TLS.
        Handshake = "handshake",
        /// Time until the first message.
        FirstMessage = "first-message",
        /// Time until a later message is whole.
        Message = "message",
        /// Octets of large messages, over all connections.
        LargeMessages = "large-messages",
        /// Octets that a client has sent behind something that has to be waited for.
        Waiting = "waiting",
        /// Time in which nothing happened.
        Idle = "idle",
        /// Time that the directory takes for an operation.
        Operation = "operation",
        /// Operations that the directory has not answered.
        Outstanding = "outstanding-operations",
        /// Time for what is under way when the gateway ends.
        Drain = "drain",
    }
}

labels! {
    /// What was done with a request. One that is held is counted a second time when it is decided on.
    Handling {
        /// It was sent to the directory.
        Forwarded = "forwarded",
        /// The gate was asked about it.
        Held = "held",
        /// The gateway answered it in the directory's place.
        Refused = "refused",
    }
}

labels! {
    /// How a bind ended.
    BindResult {
        /// The client has heard of its success.
        Accepted = "accepted",
        /// It takes another step (saslBindInProgress).
        InProgress = "in-progress",
        /// The gate has blocked what the directory had accepted.
        Blocked = "blocked",
        /// The directory has refused it.
        RefusedByDirectory = "refused-by-directory",
        /// A rule of the listener or of the protocol has, or the directory could not be reached to ask it.
        RefusedByListener = "refused-by-listener",
        /// The client left, or the connection broke, before it was decided.
        Unfinished = "unfinished",
    }
}

labels! {
    /// The operation of a request (RFC 4511, section 4.1.1).
    Request {
        /// Bind.
        Bind = "bind",
        /// Search.
        Search = "search",
        /// Modify.
        Modify = "modify",
        /// Add.
        Add = "add",
        /// Delete.
        Delete = "delete",
        /// Modify DN.
        Rename = "rename",
        /// Compare.
        Compare = "compare",
        /// Abandon.
        Abandon = "abandon",
        /// Extended.
        Extended = "extended",
        /// Any other.
        Other = "other",
    }
}

impl Request {
    /// By the application number.
    pub(crate) fn of(op: u8) -> Self {
        match op {
            op::BIND => Self::Bind,
            op::SEARCH => Self::Search,
            op::MODIFY => Self::Modify,
            op::ADD => Self::Add,
            op::DELETE => Self::Delete,
            op::MODIFY_DN => Self::Rename,
            op::COMPARE => Self::Compare,
            op::ABANDON => Self::Abandon,
            op::EXTENDED => Self::Extended,
            _ => Self::Other,
        }
    }
}

/// What one listener counts. Its connections share it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that were accepted by the operating system, those without a seat included.
    pub accepted: Count,
    /// Connections that cannot be accepted, mostly for want of file descriptors.
    pub accept_failures: Count,
    /// Connections of load balancers without a proper PROXY protocol header.
    pub bad_proxy_headers: Count,
    /// TLS handshakes with clients that failed, other than by [`Limit::Handshake`].
    pub failed_handshakes: Count,
    /// Octets received from clients.
    pub client_received: Count,
    /// Octets sent to clients.
    pub client_sent: Count,
    /// Connections to the directory that a client got because they were ready before it came.
    pub directory_spare: Count,
    /// Connections to the directory that were made for a client.
    pub directory_connected: Count,
    /// Clients for whom no connection to the directory could be made.
    pub directory_failures: Count,
    /// Streams that are relayed unseen at the moment: goes up and down.
    pub opaque_open: Count,
    /// Streams that were ever relayed unseen.
    pub opaque_streams: Count,
    /// Octets of such streams from clients.
    pub opaque_received: Count,
    /// Octets of such streams to clients.
    pub opaque_sent: Count,
    limits: [Count; Limit::ALL.len()],
    requests: [[Count; Handling::ALL.len()]; Request::ALL.len()],
    binds: [Count; BindResult::ALL.len()],
}

impl Metrics {
    /// How often a limit was reached.
    #[must_use]
    pub fn reached(&self, limit: Limit) -> u64 {
        self.limits.get(limit as usize).map_or(0, Count::get)
    }

    /// Requests of this operation that were handled so.
    #[must_use]
    pub fn requests(&self, request: Request, handling: Handling) -> u64 {
        self.requests.get(request as usize).and_then(|of| of.get(handling as usize)).map_or(0, Count::get)
    }

    /// Binds that ended so.
    #[must_use]
    pub fn binds(&self, result: BindResult) -> u64 {
        self.binds.get(result as usize).map_or(0, Count::get)
    }

    pub(crate) fn reach(&self, limit: Limit) {
        self.limits.get(limit as usize).into_iter().for_each(Count::one);
    }

    pub(crate) fn request(&self, op: u8, handling: Handling) {
        let of = self.requests.get(Request::of(op) as usize);
        of.and_then(|of| of.get(handling as usize)).into_iter().for_each(Count::one);
    }

    pub(crate) fn bind(&self, result: BindResult) {
        self.binds.get(result as usize).into_iter().for_each(Count::one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_a_count_of_its_own() {
        let metrics = Metrics::default();
        for (index, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(*limit as usize, index);
            metrics.reach(*limit);
            assert_eq!(metrics.reached(*limit), 1, "{}", limit.name());
        }
        metrics.request(op::SEARCH, Handling::Held);
        metrics.request(30, Handling::Refused);
        for request in Request::ALL {
            for handling in Handling::ALL {
                let wanted = matches!(
                    (request, handling),
                    (Request::Search, Handling::Held) | (Request::Other, Handling::Refused)
                );
                assert_eq!(metrics.requests(*request, *handling), u64::from(wanted));
            }
        }
        for result in BindResult::ALL {
            metrics.bind(*result);
            assert_eq!(metrics.binds(*result), 1);
        }
    }

    #[test]
    fn what_comes_and_goes_is_counted_while_it_is_there() {
        let count = Count::default();
        let (one, other) = (Present::new(&count), Present::new(&count));
        assert_eq!(count.get(), 2);
        drop((one, other));
        assert_eq!(count.get(), 0);
    }
}
