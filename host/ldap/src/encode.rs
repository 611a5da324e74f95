//! The gateway's own messages: answers that it gives in the directory's place, and the few requests that it makes itself.

use bytes::{Bytes, BytesMut};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapBindResponse, LdapDerefAliases, LdapExtendedRequest, LdapExtendedResponse,
    LdapFilter, LdapMsg, LdapOp, LdapResult, LdapResultCode, LdapSearchRequest, LdapSearchScope,
};
use tokio_util::codec::Encoder as _;

use crate::decode::{START_TLS, WHO_AM_I};
use crate::frame::op;

/// Notice of Disconnection (RFC 4511, section 4.4.1).
pub const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// The result codes that the gateway itself answers with (RFC 4511, appendix A). Success is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// operationsError (1): not now, because of what else is going on.
    OperationsError,
    /// protocolError (2): the request cannot be read.
    ProtocolError,
    /// timeLimitExceeded (3): the directory has not finished in time.
    TimeLimitExceeded,
    /// authMethodNotSupported (7).
    AuthMethodNotSupported,
    /// confidentialityRequired (13): only after StartTLS.
    ConfidentialityRequired,
    /// invalidCredentials (49).
    InvalidCredentials,
    /// insufficientAccessRights (50).
    InsufficientAccessRights,
    /// busy (51): too much is outstanding.
    Busy,
    /// unavailable (52): the directory cannot be reached, or the gateway ends.
    Unavailable,
    /// unwillingToPerform (53).
    UnwillingToPerform,
    /// canceled (118): the client wanted it so (RFC 3909, section 3).
    Canceled,
    /// cannotCancel (121): of a Cancel that names a bind (RFC 3909, section 3).
    CannotCancel,
}

impl Code {
    /// As the protocol counts it.
    #[must_use]
    pub fn number(self) -> u32 {
        self.proto() as u32
    }

    fn proto(self) -> LdapResultCode {
        match self {
            Self::OperationsError => LdapResultCode::OperationsError,
            Self::ProtocolError => LdapResultCode::ProtocolError,
            Self::TimeLimitExceeded => LdapResultCode::TimeLimitExceeded,
            Self::AuthMethodNotSupported => LdapResultCode::AuthMethodNotSupported,
            Self::ConfidentialityRequired => LdapResultCode::ConfidentialityRequired,
            Self::InvalidCredentials => LdapResultCode::InvalidCredentials,
            Self::InsufficientAccessRights => LdapResultCode::InsufficentAccessRights,
            Self::Busy => LdapResultCode::Busy,
            Self::Unavailable => LdapResultCode::Unavailable,
            Self::UnwillingToPerform => LdapResultCode::UnwillingToPerform,
            Self::Canceled => LdapResultCode::Canceled,
            Self::CannotCancel => LdapResultCode::CannotCancel,
        }
    }
}

/// An answer of the gateway's own. Cannot be the success of a bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAnswer(Bytes);

impl OwnAnswer {
    /// A refusal of the request with this id and application number, in the response type that belongs to it. None for
    /// requests that have no answer (abandon, unbind) or whose answer nobody knows.
    #[must_use]
    pub fn refusal(id: i32, request: u8, code: Code, diagnostic: &str) -> Option<Self> {
        let res = result(code.proto(), diagnostic);
        let op = match request {
            op::BIND => LdapOp::BindResponse(LdapBindResponse { res, saslcreds: None }),
            op::SEARCH => LdapOp::SearchResultDone(res),
            op::MODIFY => LdapOp::ModifyResponse(res),
            op::ADD => LdapOp::AddResponse(res),
            op::DELETE => LdapOp::DelResponse(res),
            op::MODIFY_DN => LdapOp::ModifyDNResponse(res),
            op::COMPARE => LdapOp::CompareResult(res),
            op::EXTENDED => LdapOp::ExtendedResponse(LdapExtendedResponse { res, name: None, value: None }),
            _ => return None,
        };
        Some(Self(encode(id, op)))
    }

    /// A request with this application number is answered once, and it is known how.
    pub(crate) fn has_answer(request: u8) -> bool {
        matches!(
            request,
            op::BIND | op::SEARCH | op::MODIFY | op::ADD | op::DELETE | op::MODIFY_DN | op::COMPARE | op::EXTENDED
        )
    }

    /// The go-ahead for StartTLS (RFC 4511, section 4.14.2).
    #[must_use]
    pub fn start_tls(id: i32) -> Self {
        Self(encode(id, extended(result(LdapResultCode::Success, ""), START_TLS)))
    }

    /// That a Cancel request has succeeded; its answer has neither name nor value (RFC 3909, section 2.2).
    #[must_use]
    pub fn cancelled(id: i32) -> Self {
        let res = result(LdapResultCode::Success, "");
        Self(encode(id, LdapOp::ExtendedResponse(LdapExtendedResponse { res, name: None, value: None })))
    }

    /// Notice of Disconnection, after which the connection is closed.
    #[must_use]
    pub fn notice(code: Code, diagnostic: &str) -> Self {
        Self(encode(0, extended(result(code.proto(), diagnostic), NOTICE_OF_DISCONNECTION)))
    }

    /// Its octets.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A request of the gateway's own. Changes nothing in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRequest(Bytes);

impl OwnRequest {
    /// Asks for protection (RFC 4511, section 4.14).
    #[must_use]
    pub fn start_tls(id: i32) -> Self {
        Self(encode(id, ask(START_TLS)))
    }

    /// Asks whom the directory takes the connection for (RFC 4532).
    #[must_use]
    pub fn who_am_i(id: i32) -> Self {
        Self(encode(id, ask(WHO_AM_I)))
    }

    /// Makes the connection nobody's again (RFC 4513, section 5.1.1).
    #[must_use]
    pub fn anonymous_bind(id: i32) -> Self {
        let cred = LdapBindCred::Simple(String::new());
        Self(encode(id, LdapOp::BindRequest(LdapBindRequest { version: 3, dn: String::new(), cred })))
    }

    /// Reads nothing but that there is a root DSE (RFC 4512, section 5.1).
    #[must_use]
    pub fn root_dse(id: i32) -> Self {
        let request = LdapSearchRequest {
            base: String::new(),
            scope: LdapSearchScope::Base,
            aliases: LdapDerefAliases::Never,
            sizelimit: 1,
            timelimit: 0,
            typesonly: true,
            filter: LdapFilter::Present("objectClass".to_owned()),
            // No attributes (RFC 4511, section 4.5.1.8).
            attrs: vec!["1.1".to_owned()],
        };
        Self(encode(id, LdapOp::SearchRequest(request)))
    }

    /// Tells the directory that nobody waits for this operation any more (RFC 4511, section 4.11).
    #[must_use]
    pub fn abandon(id: i32, operation: i32) -> Self {
        Self(encode(id, LdapOp::AbandonRequest(operation)))
    }

    /// Asks Active Directory for the security identifiers of whom it takes the connection for (MS-ADTS, section 3.1.1.3.2,
    /// `tokenGroups`).
    #[must_use]
    pub fn own_sids(id: i32) -> Self {
        Self(encode(
            id,
            LdapOp::SearchRequest(LdapSearchRequest {
                base: String::new(),
                scope: LdapSearchScope::Base,
                aliases: LdapDerefAliases::Never,
                sizelimit: 0,
                timelimit: 0,
                typesonly: false,
                filter: LdapFilter::Present("objectClass".to_owned()),
                attrs: vec!["tokenGroups".to_owned()],
            }),
        ))
    }

    /// Says goodbye (RFC 4511, section 4.3).
    #[must_use]
    pub fn unbind(id: i32) -> Self {
        Self(encode(id, LdapOp::UnbindRequest))
    }

    /// Its octets.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

fn ask(oid: &str) -> LdapOp {
    LdapOp::ExtendedRequest(LdapExtendedRequest { name: oid.to_owned(), value: None })
}

fn extended(res: LdapResult, oid: &str) -> LdapOp {
    LdapOp::ExtendedResponse(LdapExtendedResponse { res, name: Some(oid.to_owned()), value: None })
}

fn result(code: LdapResultCode, diagnostic: &str) -> LdapResult {
    LdapResult { code, matcheddn: String::new(), message: diagnostic.to_owned(), referral: Vec::new() }
}

#[expect(clippy::expect_used, reason = "the encoder writes to memory, which cannot fail")]
fn encode(id: i32, op: LdapOp) -> Bytes {
    let mut out = BytesMut::new();
    LdapCodec::default().encode(LdapMsg::new(id, op), &mut out).expect("writing to memory");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, result_code};

    #[test]
    fn each_request_is_refused_in_its_own_response_type() {
        for (request, response) in [
            (op::BIND, op::BIND_RESPONSE),
            (op::SEARCH, op::SEARCH_DONE),
            (op::MODIFY, op::MODIFY_RESPONSE),
            (op::ADD, op::ADD_RESPONSE),
            (op::DELETE, op::DELETE_RESPONSE),
            (op::MODIFY_DN, op::MODIFY_DN_RESPONSE),
            (op::COMPARE, op::COMPARE_RESPONSE),
            (op::EXTENDED, op::EXTENDED_RESPONSE),
        ] {
            let answer = OwnAnswer::refusal(70_000, request, Code::InsufficientAccessRights, "no").unwrap();
            let frame = Frame::new(answer.into_bytes()).unwrap();
            assert_eq!((frame.id(), frame.op()), (70_000, response));
            assert_eq!(result_code(frame.bytes()), Ok(50));
        }
        assert_eq!(OwnAnswer::refusal(1, op::ABANDON, Code::Busy, ""), None);
        assert_eq!(OwnAnswer::refusal(1, op::UNBIND, Code::Busy, ""), None);
    }

    #[test]
    fn a_notice_has_the_octets_of_the_rfc() {
        let notice = OwnAnswer::notice(Code::Unavailable, "").into_bytes();
        let expected = [
            &[0x30, 0x24, 0x02, 0x01, 0x00, 0x78, 0x1f, 0x0a, 0x01, 52, 0x04, 0x00, 0x04, 0x00, 0x8a, 0x16][..],
            NOTICE_OF_DISCONNECTION.as_bytes(),
        ]
        .concat();
        assert_eq!(notice, expected);
    }

    #[test]
    fn an_unbind_is_as_short_as_can_be() {
        assert_eq!(OwnRequest::unbind(3).into_bytes(), &[0x30, 0x05, 0x02, 0x01, 0x03, 0x42, 0x00][..]);
    }
}
