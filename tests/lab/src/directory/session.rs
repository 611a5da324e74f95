//! One connection to the embedded directory: messages in, answers out, and who is bound.

use std::time::Duration;

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapBindResponse, LdapExtendedResponse, LdapMsg, LdapOp, LdapResult, LdapResultCode,
    LdapSearchRequest, OID_WHOAMI,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder as _, Encoder as _};
use tokio_util::sync::CancellationToken;

use super::tree::{Refusal, Tree};

/// A silent connection is closed after this time.
const IDLE: Duration = Duration::from_secs(600);
const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// Serves a connection until the client says good-bye or goes, or everything stops.
pub(super) async fn serve(mut stream: TcpStream, tree: &Tree, stop: &CancellationToken) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut codec = LdapCodec::default();
    let mut input = BytesMut::new();
    let mut session = Session { tree, bound: None };
    loop {
        let message = match codec.decode(&mut input) {
            Ok(Some(message)) => message,
            Ok(None) => {
                let read = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    read = tokio::time::timeout(IDLE, stream.read_buf(&mut input)) => read?,
                };
                if read? == 0 {
                    return Ok(());
                }
                continue;
            }
            Err(_) => return stream.write_all(&encode(disconnection())?).await,
        };
        if matches!(message.op, LdapOp::UnbindRequest) {
            return Ok(());
        }
        let mut output = BytesMut::new();
        for answer in session.answer(message) {
            LdapCodec::default().encode(answer, &mut output)?;
        }
        stream.write_all(&output).await?;
    }
}

struct Session<'a> {
    tree: &'a Tree,
    /// The name that is bound, as shown; nothing for an anonymous connection.
    bound: Option<String>,
}

impl Session<'_> {
    fn answer(&mut self, message: LdapMsg) -> Vec<LdapMsg> {
        let LdapMsg { msgid, op, ctrl } = message;
        if let Some(refused) = unknown_critical(&ctrl).then(|| refuse_control(&op)).flatten() {
            return vec![LdapMsg::new(msgid, refused)];
        }
        let single = |op| vec![LdapMsg::new(msgid, op)];
        let unwilling = || result(LdapResultCode::UnwillingToPerform, "the sample directory cannot be changed");
        match op {
            LdapOp::BindRequest(request) => {
                single(LdapOp::BindResponse(LdapBindResponse { res: self.bind(&request), saslcreds: None }))
            }
            LdapOp::SearchRequest(request) => self.search(msgid, &request, &ctrl),
            LdapOp::CompareRequest(request) => {
                let compared = self.tree.compare(self.bound.is_some(), &request.dn, &request.atype, &request.val);
                single(LdapOp::CompareResult(match compared {
                    Ok(true) => result(LdapResultCode::CompareTrue, ""),
                    Ok(false) => result(LdapResultCode::CompareFalse, ""),
                    Err(refusal) => refused(refusal),
                }))
            }
            LdapOp::ExtendedRequest(request) => single(LdapOp::ExtendedResponse(self.extended(&request.name))),
            LdapOp::ModifyRequest(_) => single(LdapOp::ModifyResponse(unwilling())),
            LdapOp::AddRequest(_) => single(LdapOp::AddResponse(unwilling())),
            LdapOp::DelRequest(_) => single(LdapOp::DelResponse(unwilling())),
            LdapOp::ModifyDNRequest(_) => single(LdapOp::ModifyDNResponse(unwilling())),
            // Everything is answered at once, so there is never anything to abandon, and answers are not requests.
            _ => Vec::new(),
        }
    }

    /// RFC 4511, section 4.2, and RFC 4513, section 5.1. A bind that fails leaves the connection anonymous.
    fn bind(&mut self, request: &LdapBindRequest) -> LdapResult {
        self.bound = None;
        if request.version != 3 {
            return result(LdapResultCode::ProtocolError, "only LDAP version 3 is spoken here");
        }
        let LdapBindCred::Simple(password) = &request.cred else {
            return result(LdapResultCode::AuthMethodNotSupported, "only simple binds are accepted here");
        };
        match (request.dn.is_empty(), password.is_empty()) {
            (true, true) => result(LdapResultCode::Success, ""),
            (false, true) => result(LdapResultCode::UnwillingToPerform, "a name without a password is not accepted"),
            _ => match self.tree.check_password(&request.dn, password) {
                Ok(bound) => {
                    self.bound = bound;
                    let right = self.bound.is_some();
                    result(if right { LdapResultCode::Success } else { LdapResultCode::InvalidCredentials }, "")
                }
                Err(refusal) => refused(refusal),
            },
        }
    }

    fn extended(&self, name: &str) -> LdapExtendedResponse {
        if name == OID_WHOAMI {
            let who = self.bound.as_ref().map(|dn| format!("dn:{dn}")).unwrap_or_default();
            return LdapExtendedResponse::new_success(None, Some(&who));
        }
        let res = result(LdapResultCode::ProtocolError, "unsupported extended operation");
        LdapExtendedResponse { res, name: None, value: None }
    }

    fn search(&self, msgid: i32, request: &LdapSearchRequest, controls: &[LdapControl]) -> Vec<LdapMsg> {
        let done = |result| LdapMsg::new(msgid, LdapOp::SearchResultDone(result));
        let found = match self.tree.search(self.bound.is_some(), request) {
            Ok(found) => found,
            Err(refusal) => return vec![done(refused(refusal))],
        };
        let total = found.len();
        let limit = usize::try_from(request.sizelimit).unwrap_or(0);
        let allowed = if limit == 0 { total } else { limit.min(total) };
        let page = match page_of(controls) {
            Ok(page) => page.unwrap_or(Page { start: 0, size: usize::MAX, asked: false }),
            Err(()) => return vec![done(result(LdapResultCode::ProtocolError, "this page was not offered"))],
        };
        let end = page.start.saturating_add(page.size).min(allowed);
        let taken = found.into_iter().take(end).skip(page.start);
        let mut messages: Vec<_> = taken.map(|entry| LdapMsg::new(msgid, LdapOp::SearchResultEntry(entry))).collect();
        let cut = end == allowed && allowed < total;
        let code = if cut { LdapResultCode::SizeLimitExceeded } else { LdapResultCode::Success };
        let mut last = done(result(code, ""));
        if page.asked {
            let cookie = if end < allowed { end.to_string().into_bytes() } else { Vec::new() };
            last.ctrl.push(LdapControl::SimplePagedResults { size: 0, cookie });
        }
        messages.push(last);
        messages
    }
}

/// Which part of the entries a client asks for (RFC 2696). The cookie is the number of entries that it has seen,
/// which is enough because the entries never change.
struct Page {
    start: usize,
    size: usize,
    asked: bool,
}

fn page_of(controls: &[LdapControl]) -> Result<Option<Page>, ()> {
    let asked = controls.iter().find_map(|control| match control {
        LdapControl::SimplePagedResults { size, cookie } => Some((*size, cookie)),
        _ => None,
    });
    let Some((size, cookie)) = asked else { return Ok(None) };
    let start = match cookie.as_slice() {
        [] => 0,
        seen => std::str::from_utf8(seen).ok().and_then(|seen| seen.parse().ok()).ok_or(())?,
    };
    Ok(Some(Page { start, size: usize::try_from(size).map_err(|_| ())?, asked: true }))
}

/// RFC 4511, section 4.1.11: a critical control that the server does not know must not be passed over.
fn unknown_critical(controls: &[LdapControl]) -> bool {
    controls.iter().any(|control| match control {
        // There are no referrals here, so "show referrals as entries" is what happens anyway.
        LdapControl::SimplePagedResults { .. } | LdapControl::ManageDsaIT { .. } => false,
        LdapControl::Unknown { criticality, .. } | LdapControl::SyncRequest { criticality, .. } => *criticality,
        _ => false,
    })
}

fn refuse_control(op: &LdapOp) -> Option<LdapOp> {
    let res = result(LdapResultCode::UnavailableCriticalExtension, "a critical control is not supported");
    match op {
        LdapOp::BindRequest(_) => Some(LdapOp::BindResponse(LdapBindResponse { res, saslcreds: None })),
        LdapOp::SearchRequest(_) => Some(LdapOp::SearchResultDone(res)),
        LdapOp::CompareRequest(_) => Some(LdapOp::CompareResult(res)),
        LdapOp::ExtendedRequest(_) => {
            Some(LdapOp::ExtendedResponse(LdapExtendedResponse { res, name: None, value: None }))
        }
        _ => None,
    }
}

fn refused((code, matcheddn, message): Refusal) -> LdapResult {
    LdapResult { code, matcheddn, message, referral: Vec::new() }
}

fn result(code: LdapResultCode, message: &str) -> LdapResult {
    refused((code, String::new(), message.to_owned()))
}

/// RFC 4511, section 4.4.1: said before a connection is closed because its bytes make no sense.
fn disconnection() -> LdapMsg {
    let res = result(LdapResultCode::ProtocolError, "this is not an LDAP message");
    let name = Some(NOTICE_OF_DISCONNECTION.to_owned());
    LdapMsg::new(0, LdapOp::ExtendedResponse(LdapExtendedResponse { res, name, value: None }))
}

fn encode(message: LdapMsg) -> std::io::Result<BytesMut> {
    let mut buffer = BytesMut::new();
    LdapCodec::default().encode(message, &mut buffer)?;
    Ok(buffer)
}
