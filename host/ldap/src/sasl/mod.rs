//! What the messages of a SASL bind (RFC 4422) tell: who asks, and whether a security layer will hide what follows.
//!
//! A name is the client's word until the directory has said success. What is told of the layer is the client's word for
//! good, and nothing rests on it alone: without a layer the gateway speaks to the directory itself before it lets the
//! success through, which a directory with a layer does not survive, and a stream that is relayed unseen has to begin as
//! only one with a layer can. A wrong guess ends the connection; it never leads past the policies.

mod gss;
mod ntlm;
#[cfg(test)]
mod tests;

use portcullis_core::gate::Claim;

/// What is known of a security layer (RFC 4422, section 3.7) after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layer {
    /// Nothing yet. No directory says success to such a message.
    #[default]
    Open,
    /// There will be none.
    None,
    /// The client asks for one.
    Wanted,
    /// It cannot be told.
    Unknown,
}

/// What one message tells, together with the messages before it in the same bind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Who it says to be; none where it leaves that to an earlier message.
    pub claim: Option<Claim>,
    /// Security layer.
    pub layer: Layer,
    /// The directory answers with success and means its own next step: so Sicily has it, where only the last message binds.
    pub answered_by_success: bool,
    /// NTLM: the message is for text in UTF-16.
    unicode: Option<bool>,
}

/// The mechanism under which NTLM without SASL around it is known.
pub const NTLM: &str = "NTLM";

/// Choices of Sicily in a bind request (MS-ADTS, section 5.1.1.1.3).
const SICILY_DISCOVERY: u8 = 0x89;
const SICILY_NEGOTIATE: u8 = 0x8a;
const SICILY_RESPONSE: u8 = 0x8b;

impl Step {
    /// A message that says nothing about who asks, so that nothing of an earlier one is left.
    fn nameless(layer: Layer) -> Self {
        Self { claim: Some(Claim::Unreadable), layer, ..Self::default() }
    }

    /// A message of a mechanism without layers, and the name in it.
    fn named(name: Option<&str>) -> Self {
        Self { claim: Some(claim(name)), layer: Layer::None, ..Self::default() }
    }

    /// A message that goes on with what an earlier one has begun.
    fn more(layer: Layer) -> Self {
        Self { layer, ..Self::default() }
    }

    /// Adds what the messages before it told.
    pub(crate) fn follow(&mut self, earlier: Self) {
        // NTLM: the directory reads a name in the character set of the first message, whatever the last one says.
        if self.unicode.is_some() && self.unicode != earlier.unicode && self.claim.is_some() {
            self.claim = Some(Claim::Unreadable);
        }
        self.claim = self.claim.take().or(earlier.claim);
        self.unicode = self.unicode.or(earlier.unicode);
        if self.layer == Layer::Open {
            self.layer = earlier.layer;
        }
    }
}

/// Reads a message with this mechanism, which is in upper case.
#[must_use]
pub fn step(mechanism: &str, credentials: &[u8]) -> Step {
    match mechanism {
        "PLAIN" => Step::named(plain(credentials)),
        "EXTERNAL" => Step::named(std::str::from_utf8(credentials).ok()),
        "ANONYMOUS" => Step { claim: Some(Claim::Anonymous), layer: Layer::None, ..Step::default() },
        "CRAM-MD5" => Step::named(cram_md5(credentials)),
        "OAUTHBEARER" => Step::nameless(Layer::None),
        "GSS-SPNEGO" => gss::spnego(credentials),
        "GSSAPI" => gss::gssapi(credentials),
        NTLM if credentials.is_empty() => Step::nameless(Layer::Open),
        NTLM => ntlm::step(credentials),
        _ if mechanism.starts_with("SCRAM-") => scram(credentials),
        _ => Step::nameless(Layer::Unknown),
    }
}

/// Reads a message of Sicily, Active Directory's own way to bind by NTLM: a choice in the bind request beside simple and SASL.
/// None where it is not one, or not at its place, so that only the last message can bind anybody.
#[must_use]
pub fn sicily(choice: u8, value: &[u8]) -> Option<Step> {
    match choice {
        SICILY_DISCOVERY if value.is_empty() => Some(Step { answered_by_success: true, ..Step::nameless(Layer::Open) }),
        SICILY_NEGOTIATE if ntlm::is_first(value) => Some(Step { answered_by_success: true, ..ntlm::step(value) }),
        SICILY_RESPONSE if ntlm::is_last(value) => Some(ntlm::step(value)),
        _ => None,
    }
}

/// Somebody of this authorization identity (RFC 4513, section 5.2.1.8).
fn claim(identity: Option<&str>) -> Claim {
    let name = identity.and_then(authorization);
    // Directories read a name to its first NUL, if they take it at all.
    name.filter(|name| !name.contains('\0')).map_or(Claim::Unreadable, |name| Claim::Name(name.to_owned()))
}

/// The name in an authorization identity; none for anonymous.
pub(crate) fn authorization(identity: &str) -> Option<&str> {
    let name = identity.strip_prefix("dn:").or_else(|| identity.strip_prefix("u:")).unwrap_or(identity);
    Some(name).filter(|name| !name.is_empty())
}

/// RFC 4616: whom to act for, who asks, the password, each after a NUL but the first.
fn plain(credentials: &[u8]) -> Option<&str> {
    let mut parts = credentials.split(|&octet| octet == 0);
    let (authorization, authentication) = (parts.next()?, parts.next()?);
    std::str::from_utf8(if authorization.is_empty() { authentication } else { authorization }).ok()
}

/// RFC 2195: the name, a space, a digest in hexadecimal digits.
fn cram_md5(credentials: &[u8]) -> Option<&str> {
    Some(std::str::from_utf8(credentials).ok()?.rsplit_once(' ')?.0)
}

/// RFC 5802, section 7. The name is in the client's first message; its last one begins with the channel binding.
fn scram(credentials: &[u8]) -> Step {
    let text = std::str::from_utf8(credentials).unwrap_or_default();
    if text.starts_with("c=") {
        return Step::more(Layer::None);
    }
    let mut parts = text.split(',').skip(1);
    let name = parts.next().zip(parts.next()).and_then(|(authorization, authentication)| {
        authorization.strip_prefix("a=").or_else(|| authentication.strip_prefix("n="))
    });
    Step::named(name.map(|name| name.replace("=2C", ",").replace("=3D", "=")).as_deref())
}
