use bytes::{Bytes, BytesMut};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapCompareRequest, LdapExtendedRequest, LdapFilter, LdapModify, LdapModifyRequest,
    LdapModifyType, LdapMsg, LdapOp, LdapPartialAttribute, LdapSearchRequest, LdapSearchScope, SaslCredentials,
};
use portcullis_core::Search;
use proptest::prelude::*;
use tokio_util::codec::Encoder as _;

use super::*;

fn frame(op: LdapOp) -> Frame {
    let mut out = BytesMut::new();
    LdapCodec::default().encode(LdapMsg::new(5, op), &mut out).unwrap();
    Frame::new(out.freeze()).unwrap()
}

fn raw(tag: u8, body: &[u8]) -> Frame {
    let length = |size: usize| u8::try_from(size).unwrap();
    let mut out = vec![0x30, length(body.len() + 5), 0x02, 0x01, 0x05, tag, length(body.len())];
    out.extend_from_slice(body);
    Frame::new(Bytes::from(out)).unwrap()
}

fn simple(name: &str, password: &str) -> Frame {
    let cred = LdapBindCred::Simple(password.to_owned());
    frame(LdapOp::BindRequest(LdapBindRequest { version: 3, dn: name.to_owned(), cred }))
}

fn sasl(mechanism: &str, credentials: &[u8]) -> Frame {
    let cred =
        LdapBindCred::SASL(SaslCredentials { mechanism: mechanism.to_owned(), credentials: credentials.to_vec() });
    frame(LdapOp::BindRequest(LdapBindRequest { version: 3, dn: String::new(), cred }))
}

#[test]
fn simple_binds_are_told_apart() {
    let read = bind(&simple("uid=a,dc=x", "secret")).unwrap();
    assert_eq!((read.name.as_str(), &read.method, read.empty_password), ("uid=a,dc=x", &BindMethod::Simple, false));
    assert!(!format!("{read:?}").contains("secret"));
    assert!(bind(&simple("uid=a,dc=x", "")).unwrap().empty_password);
    assert_eq!(bind(&simple("", "")).unwrap().method, BindMethod::Anonymous);
    assert_eq!(bind(&simple("", "x")).unwrap().method, BindMethod::Simple);
}

#[test]
fn a_password_need_not_be_text() {
    let read = bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x04, 0x01, b'a', 0x80, 0x02, 0xff, 0xfe])).unwrap();
    assert_eq!(read.name, "a");
}

#[test]
fn sasl_credentials_are_read_whatever_the_case_of_the_mechanism() {
    let read = bind(&sasl("plain", b"\0alice\0pw")).unwrap();
    assert_eq!(read.method, BindMethod::Sasl("PLAIN".to_owned()));
    assert_eq!(read.step.claim, Some(portcullis_core::gate::Claim::Name("alice".to_owned())));
    assert!(!format!("{read:?}").contains("pw"));
}

#[test]
fn a_diagnostic_message_is_found() {
    let answer = raw(0x61, &[0x0a, 0x01, 49, 0x04, 0x00, 0x04, 0x02, b'n', b'o', 0x87, 0x01, b'x']);
    assert_eq!(diagnostic(&answer), Some("no"));
    assert_eq!(diagnostic(&raw(0x61, &[0x0a, 0x01, 49, 0x04, 0x00])), None);
}

#[test]
fn a_bind_that_two_readers_could_read_differently_is_malformed() {
    let good = [0x02, 0x01, 0x03, 0x04, 0x01, b'a', 0x80, 0x01, b'p'];
    assert!(bind(&raw(0x60, &good)).is_ok());
    // Something after the credentials.
    assert_eq!(bind(&raw(0x60, &[&good[..], &[0x04, 0x01, b'b']].concat())), Err(BindError::Malformed));
    // A name in pieces, a primitive operation, a name with a NUL, a name that is not UTF-8, an indefinite length.
    assert_eq!(
        bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x24, 0x03, 0x04, 0x01, b'a', 0x80, 0x00])),
        Err(BindError::Malformed)
    );
    assert_eq!(bind(&raw(0x40, &good)), Err(BindError::Malformed));
    assert_eq!(bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x04, 0x02, b'a', 0, 0x80, 0x01, b'p'])), Err(BindError::Malformed));
    assert_eq!(bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x04, 0x01, 0xff, 0x80, 0x01, b'p'])), Err(BindError::Malformed));
    assert_eq!(bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x04, 0x80, b'a', 0x80, 0x01, b'p'])), Err(BindError::Malformed));
    // Choices that nobody knows.
    assert_eq!(bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x04, 0x00, 0x8c, 0x00])), Err(BindError::UnknownMethod));
    assert_eq!(bind(&raw(0x60, &[0x02, 0x01, 0x03, 0x04, 0x00, 0x89, 0x01, 0x00])), Err(BindError::UnknownMethod));
}

#[test]
fn the_first_security_identifier_is_found() {
    let own = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0];
    let short = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
    let entry = |name: &[u8], value: &[u8]| {
        let attribute =
            |name: &[u8], value: &[u8]| short(0x30, &[short(0x04, name), short(0x31, &short(0x04, value))].concat());
        let attributes = [attribute(b"cn", b"x"), attribute(name, value)].concat();
        raw(0x64, &[short(0x04, b""), short(0x30, &attributes)].concat())
    };
    assert_eq!(first_sid(&entry(b"TOKENGROUPS", &own)).as_deref(), Some("S-1-5-32-545"));
    assert_eq!(first_sid(&entry(b"memberOf", &own)), None);
    for bad in [&own[..15], &own[..12], &[2; 16], &[]] {
        assert_eq!(first_sid(&entry(b"tokenGroups", bad)), None, "{bad:?}");
    }
}

fn search_request(filter: LdapFilter) -> LdapOp {
    LdapOp::SearchRequest(LdapSearchRequest {
        base: "ou=people,dc=x".to_owned(),
        scope: LdapSearchScope::OneLevel,
        aliases: ldap3_proto::proto::LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter,
        attrs: vec!["cn".to_owned()],
    })
}

#[test]
fn a_search_is_read_whole() {
    let read = request(&frame(search_request(LdapFilter::Equality("uid".to_owned(), "a*b".to_owned()))));
    let expected = Search {
        base: "ou=people,dc=x".to_owned(),
        scope: SearchScope::OneLevel,
        filter: "(uid=a\\2ab)".to_owned(),
        attributes: vec!["cn".to_owned()],
    };
    assert_eq!(read.operation, Operation::Search(Some(expected)));
    assert_eq!(read.entry.as_deref(), Some("ou=people,dc=x"));
}

#[test]
fn a_search_with_a_binary_value_is_read_by_structure() {
    let whole = frame(search_request(LdapFilter::And(vec![
        LdapFilter::Equality("objectGUID".to_owned(), "QQQQ".to_owned()),
        LdapFilter::Substring("cn".to_owned(), "a*b*c".into()),
        LdapFilter::Not(Box::new(LdapFilter::Present("mail".to_owned()))),
    ])));
    let mut octets = whole.bytes().to_vec();
    let at = octets.windows(4).position(|four| four == b"QQQQ").unwrap();
    octets[at..at + 4].copy_from_slice(&[0xff, 0x00, 0x80, 0x41]);
    let read = request(&Frame::new(Bytes::from(octets)).unwrap());
    let Operation::Search(Some(search)) = read.operation else { panic!("a search") };
    assert_eq!(search.filter, "(&(objectGUID=\\ff\\00\\80\\41)(cn=a*b*c)(!(mail=*)))");
    assert_eq!(search.scope, SearchScope::OneLevel);
}

/// What the gateway does not read in full is an entry's search all the same.
#[test]
fn a_search_that_is_not_read_keeps_its_base() {
    let plain = LdapFilter::Present("objectClass".to_owned());
    let deep = (0..130).fold(plain, |inner, _| LdapFilter::Not(Box::new(inner)));
    let long = LdapFilter::Equality("cn".to_owned(), "x".repeat(1024 * 1024));
    for filter in [deep, long] {
        let search = frame(search_request(filter));
        assert_eq!(kind(&search), Ok(OperationKind::Search));
        let read = request(&search);
        assert_eq!((read.operation, read.entry.as_deref()), (Operation::Search(None), Some("ou=people,dc=x")));
    }
}

#[test]
fn a_request_whose_entry_is_not_read_is_none() {
    for op in [op::SEARCH, op::COMPARE, op::ADD, op::MODIFY_DN] {
        assert!(kind(&raw(0x60 | op, &[0x04, 0x01, b'a'])).is_ok(), "{op}");
        assert!(kind(&raw(0x60 | op, &[0x0c, 0x01, b'a'])).is_err(), "{op}");
        assert!(kind(&raw(0x60 | op, &[])).is_ok(), "{op}: the directory says what it thinks of it");
    }
    assert!(kind(&raw(0x40 | op::DELETE, b"cn=a")).is_ok());
    assert!(kind(&raw(0x60 | op::DELETE, b"cn=a")).is_err());
}

#[test]
fn requests_with_very_many_attributes_are_refused_or_ask_for_all() {
    let names = |count: usize| vec!["l".to_owned(); count];
    let change = |count| kind(&modify_all(&names(count)));
    assert_eq!(
        (change(MOST_ATTRIBUTES), change(MOST_ATTRIBUTES + 1)),
        (Ok(OperationKind::Modify), Err(FrameError::Malformed))
    );
    let asked = |count: usize| {
        let LdapOp::SearchRequest(mut search) = search_request(LdapFilter::Present("cn".to_owned())) else { panic!() };
        search.attrs = names(count);
        let Operation::Search(Some(search)) = request(&frame(LdapOp::SearchRequest(search))).operation else {
            panic!()
        };
        search.attributes
    };
    assert_eq!(asked(MOST_ATTRIBUTES).len(), MOST_ATTRIBUTES);
    assert_eq!(asked(MOST_ATTRIBUTES + 1), ["*"]);
}

fn modify(attribute: &str) -> Frame {
    modify_all(&["title".to_owned(), attribute.to_owned()])
}

fn modify_all(attributes: &[String]) -> Frame {
    frame(LdapOp::ModifyRequest(LdapModifyRequest {
        dn: "uid=a".to_owned(),
        changes: attributes
            .iter()
            .map(|name| LdapModify {
                operation: LdapModifyType::Replace,
                modification: LdapPartialAttribute { atype: name.clone(), vals: vec![vec![0xff]] },
            })
            .collect(),
    }))
}

#[test]
fn a_modified_password_is_a_password_change() {
    for attribute in ["userPassword", "USERPASSWORD;binary", "2.5.4.35", "oid.2.5.4.35", "unicodePwd"] {
        assert_eq!(kind(&modify(attribute)), Ok(OperationKind::PasswordChange), "{attribute}");
        let also = Operation::MixedChange(vec!["title".to_owned()]);
        assert_eq!(request(&modify(attribute)).operation, also, "{attribute}");
        let alone = modify_all(&[attribute.to_owned()]);
        assert_eq!(request(&alone).operation, Operation::PasswordChange, "{attribute}");
    }
    assert_eq!(kind(&modify("cn")), Ok(OperationKind::Modify));
    let read = request(&modify("cn"));
    assert_eq!(read.operation, Operation::Modify(vec!["title".to_owned(), "cn".to_owned()]));
    assert_eq!(read.entry.as_deref(), Some("uid=a"));
}

#[test]
fn extended_requests_are_known_by_their_oid() {
    let ask = |oid: &str, value: Option<Vec<u8>>| {
        frame(LdapOp::ExtendedRequest(LdapExtendedRequest { name: oid.to_owned(), value }))
    };
    let change = ask(PASSWORD_MODIFY, Some(vec![0x30, 0x07, 0x80, 0x05, b'u', b'i', b'd', b'=', b'a']));
    assert_eq!(kind(&change), Ok(OperationKind::PasswordChange));
    assert_eq!(request(&change).entry.as_deref(), Some("uid=a"));
    assert!(is_start_tls(&ask(START_TLS, None)));
    assert!(!is_start_tls(&ask(WHO_AM_I, None)));
    assert_eq!(request(&ask("1.2.3", None)).operation, Operation::Extended("1.2.3".to_owned()));
    assert!(kind(&raw(0x77, &[0x04, 0x01, b'x'])).is_err());
}

#[test]
fn entries_of_the_other_operations_are_found() {
    let compare = LdapCompareRequest { dn: "uid=a".to_owned(), atype: "cn".to_owned(), val: vec![0xff] };
    assert_eq!(request(&frame(LdapOp::CompareRequest(compare))).entry.as_deref(), Some("uid=a"));
    assert_eq!(request(&frame(LdapOp::DelRequest("uid=b".to_owned()))).entry.as_deref(), Some("uid=b"));
    assert_eq!(abandoned(&frame(LdapOp::AbandonRequest(300))), Some(300));
    assert_eq!(request(&raw(0x7d, &[])).operation, Operation::Other("application-29".to_owned()));
}

proptest! {
    #[test]
    fn garbage_never_panics(op in 0..=30_u8, body in prop::collection::vec(any::<u8>(), 0..120)) {
        let frame = raw(0x60 | op, &body);
        let _ = bind(&frame);
        let _ = kind(&frame);
        let _ = request(&frame);
        let _ = (is_root_dse(&frame), is_start_tls(&frame), abandoned(&frame), identity(&frame));
        let _ = (diagnostic(&frame), first_sid(&frame));
    }

    /// What one octet of a bind is changed to must never make the gateway read another name than the one at its place.
    #[test]
    fn a_changed_bind_is_the_same_name_or_malformed(at in 0..40_usize, octet in any::<u8>()) {
        let good = simple("uid=alice,dc=x", "secret");
        let mut octets = good.bytes().to_vec();
        let at = at % octets.len();
        octets[at] = octet;
        if let Ok(frame) = Frame::new(Bytes::from(octets.clone()))
            && frame.op() == op::BIND
            && let Ok(read) = bind(&frame)
        {
            let start = 12;
            let length = usize::from(octets[11]);
            prop_assert_eq!(read.name.as_bytes(), &octets[start..start + length]);
        }
    }
}
