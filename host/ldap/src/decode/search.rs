//! What a search asks for.

use bytes::BytesMut;
use lber::structure::{PL, StructureTag};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{LdapOp, LdapSearchScope};
use portcullis_core::{Search, SearchScope};
use tokio_util::codec::Decoder as _;

use super::{MOST_ATTRIBUTES, lossy};
use crate::frame::Frame;
use crate::{ber, filter};

/// Searches longer than this, in octets, are decided on without their details: their text would cost more than it tells.
const DETAIL_LIMIT: usize = 1024 * 1024;

/// The search, where it can be read in full.
pub(super) fn search(frame: &Frame) -> Option<Search> {
    if frame.bytes().len() > DETAIL_LIMIT || ber::check(frame.bytes()).is_err() {
        return None;
    }
    let mut search = search_by_proto(frame).or_else(|| search_by_structure(frame))?;
    if search.attributes.len() > MOST_ATTRIBUTES {
        search.attributes = vec!["*".to_owned()];
    }
    Some(search)
}

fn search_by_proto(frame: &Frame) -> Option<Search> {
    let mut codec = LdapCodec::new(Some(frame.bytes().len()), Some(ber::MAX_DEPTH + 1));
    let message = codec.decode(&mut BytesMut::from(frame.bytes())).ok()??;
    let LdapOp::SearchRequest(request) = message.op else { return None };
    let scope = match request.scope {
        LdapSearchScope::Base => SearchScope::Base,
        LdapSearchScope::OneLevel => SearchScope::OneLevel,
        LdapSearchScope::Subtree | LdapSearchScope::Children => SearchScope::Subtree,
    };
    let filter = filter::from_proto(&request.filter);
    Some(Search { base: request.base, scope, filter, attributes: request.attrs })
}

/// The same with `lber`, which takes values that are not UTF-8 and controls that nobody knows.
fn search_by_structure(frame: &Frame) -> Option<Search> {
    let (_, message) = lber::parse::parse_tag(frame.bytes()).ok()?;
    let operation = message.expect_constructed()?.into_iter().nth(1)?;
    let parts = operation.expect_constructed()?;
    let [base, scope, _, _, _, _, filter, attributes] = parts.as_slice() else { return None };
    let scope = match primitive(scope)? {
        [0] => SearchScope::Base,
        [1] => SearchScope::OneLevel,
        _ => SearchScope::Subtree,
    };
    let PL::C(attributes) = &attributes.payload else { return None };
    let attributes = attributes.iter().map(|name| primitive(name).map(lossy)).collect::<Option<_>>()?;
    Some(Search { base: lossy(primitive(base)?), scope, filter: filter::from_tag(filter)?, attributes })
}

fn primitive(tag: &StructureTag) -> Option<&[u8]> {
    match &tag.payload {
        PL::P(value) => Some(value),
        PL::C(_) => None,
    }
}
