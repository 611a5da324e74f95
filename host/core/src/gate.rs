//! Where the LDAP room asks the guard.
//!
//! [`Gate::Permitted`] is how "decided" becomes a type. The LDAP room is generic over the gate; what it forwards to the
//! directory, and what it lets back to a client as success, it takes out of a `Permitted` value. Only the crate that
//! implements the gate can make one, because only there is the type known and its constructor private.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::summary::Tally;
use crate::{ListenerName, Operation, OperationKind, Outcome, Protection, Secret, Tls};

/// Something that was held back and may go on now. Can be opened once.
pub trait Permit<T> {
    /// Where this permits a bind: the application that whoever has bound is the service account of. The LDAP room tells it
    /// with everything else that is asked over the same connection ([`Connection::application`]), so it comes from a bind
    /// that both the directory and the gate let through, never from what a client merely said.
    fn application(&self) -> Option<&str> {
        None
    }

    /// Where the gate wants to know what the directory makes of it: whom to tell. Can be taken once.
    fn take_told(&mut self) -> Option<Told> {
        None
    }

    /// What was held.
    fn redeem(self) -> T;
}

/// Takes the directory's result code (RFC 4511, section 4.1.9) of a request that was forwarded, as soon as it is there. Dropped
/// without, nobody knows what became of the request.
pub struct Told(Box<dyn FnOnce(u32) + Send>);

impl Told {
    /// Does this when it is told. It must not wait.
    pub fn new(then: impl FnOnce(u32) + Send + 'static) -> Self {
        Self(Box::new(then))
    }

    /// Tells it.
    pub fn tell(self, code: u32) {
        (self.0)(code);
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told(…)")
    }
}

/// The connection that an access comes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The client.
    pub client: SocketAddr,
    /// The listener that took it.
    pub listener: ListenerName,
    /// What protects it; none: nothing.
    pub tls: Option<Arc<Tls>>,
    /// What the last permit of a bind over this connection told with [`Permit::application`]. Stays when somebody else binds.
    pub application: Option<String>,
}

impl Connection {
    /// How it is protected, as an access tells it.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.tls.as_deref().map_or(Protection::Cleartext, |tls| Protection::Tls(tls.clone()))
    }
}

/// What a client said about who it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Claim {
    /// No bind, or an anonymous one.
    Anonymous,
    /// The name of the bind: a DN, or what Active Directory takes for one.
    Name(String),
    /// There is somebody, but the gateway cannot tell who (an opaque SASL mechanism).
    Unreadable,
}

/// Tells passwords that were tried apart, and nothing else: a keyed hash, whose key is made when the process starts and is
/// nowhere but in its memory. Shown and stored nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PasswordTag(pub u64);

impl fmt::Debug for PasswordTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordTag(…)")
    }
}

/// What a bind tried to prove itself with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tried {
    /// Nothing of which the gateway could tell another one.
    #[default]
    Nothing,
    /// A name, and a password of no octets (RFC 4513, section 5.1.2).
    EmptyPassword,
    /// A password.
    Password(PasswordTag),
}

/// An access as it is seen on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Over which connection.
    pub connection: Connection,
    /// By whom.
    pub claim: Claim,
    /// What.
    pub operation: Operation,
    /// The entry that it names.
    pub entry: Option<String>,
    /// Pending, except for a bind, where the directory answers first.
    pub outcome: Outcome,
    /// LDAP result code of the directory, where it has answered.
    pub directory_result: Option<u32>,
    /// A one-time code that came with a bind.
    pub code: Option<Secret>,
    /// What a simple bind was tried with.
    pub tried: Tried,
}

/// What a connection did that the gate let pass unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Over which connection.
    pub connection: Connection,
    /// As whom.
    pub claim: Claim,
    /// How long ago the first of it was counted.
    pub age: Duration,
    /// The connection goes on under the same name, and what comes next is summed up anew. False at its end and at another
    /// bind.
    pub continues: bool,
    /// What was counted; never empty.
    pub tally: Tally,
}

/// The guard's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Diagnostic message for the client: what the person can do, nothing that helps an attacker.
    pub diagnostic: String,
}

/// The guard's answer.
#[derive(Debug)]
pub enum Answer<P> {
    /// Go on with what is inside.
    Permitted(P),
    /// The same, for a read to which nobody had anything to say. It is no event of its own: it is for whoever asked to count
    /// it for its [`Summary`].
    Passed(P),
    /// Do not.
    Refused(Refusal),
}

/// What makes a search worth a look that nobody watches, as far as its octets tell. Names of attributes are those of
/// [`crate::attribute::name`], without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notable {
    /// Attributes that it asks for, or has a condition on, of whatever kind.
    pub attributes: Vec<String>,
    /// Attributes on which it has a condition of presence, with a wildcard or by order.
    pub listed: Vec<String>,
    /// Attributes on which it has a condition with a matching rule, of equality or by order.
    pub matched: Vec<String>,
    /// DNs; its base is one of them or below it.
    pub entries: Vec<String>,
    /// It reads a whole subtree, and its conditions are met by all that these attributes, presence, order and what is not leave. None:
    /// that is not worth a look.
    pub broad: Option<Vec<String>>,
}

/// Decides on accesses.
pub trait Gate: Send + Sync + 'static {
    /// Proof that what it holds was decided on.
    type Permitted<T: Send>: Permit<T> + Send;

    /// Permits at once what no policy, detection or audit wants to see; gives it back otherwise.
    ///
    /// # Errors
    /// `held` itself, which then has to be decided on.
    fn pass<T: Send>(&self, kind: OperationKind, held: T) -> Result<Self::Permitted<T>, T>;

    /// Searches that are to be decided on although [`Gate::pass`] would let searches pass. Asked for each search; none where
    /// there are no such searches.
    fn notable(&self) -> Option<&Notable> {
        None
    }

    /// The tag of a password that a simple bind is tried with; none where nobody wants to know. Keeps nothing of it.
    fn password_tag(&self, password: &[u8]) -> Option<PasswordTag> {
        let _ = password;
        None
    }

    /// Decides on an access. Dropping the future tells the gate that the client went away: its challenge is cancelled and
    /// the access recorded as abandoned.
    fn decide<T: Send>(&self, asked: Asked, held: T) -> impl Future<Output = Answer<Self::Permitted<T>>> + Send;

    /// Records an access that was refused already, by the directory or by a rule of the protocol. Ends when it is stored.
    fn note(&self, asked: Asked, reason: &str) -> impl Future<Output = ()> + Send;

    /// Whether summaries are wanted. Asked once for each connection.
    fn wants_summaries(&self) -> bool;

    /// Records what was passed. Does not wait; what becomes of the summary is the gate's business from here on.
    fn summarize(&self, summary: Summary);
}
