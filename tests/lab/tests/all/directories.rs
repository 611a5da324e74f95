//! The embedded directory, measured against OpenLDAP with OpenLDAP's own clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use portcullis_lab::client::LdapClient;
use portcullis_lab::company::{BASE_DN, Company, group_dn};
use portcullis_lab::directory::Directory;
use portcullis_lab::net::{own_address, wait_refused};
use portcullis_lab::proto::{LdapOp, LdapResultCode, LdapSearchScope};
use portcullis_lab::slapd::Slapd;
use portcullis_lab::tools::Tools;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn start(company: &Company) -> Directory {
    Directory::start(company, SocketAddr::new(LOOPBACK, 0)).await.unwrap()
}

/// Base, scope, filter, attributes.
type Query = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PEOPLE: &str = "ou=people,dc=example,dc=com";
const ALICE: &str = "uid=alice,ou=engineering,ou=people,dc=example,dc=com";

const QUERIES: [Query; 27] = [
    (BASE_DN, "sub", "(objectClass=*)", &[]),
    (BASE_DN, "base", "(objectClass=*)", &[]),
    (BASE_DN, "one", "(objectClass=*)", &["ou"]),
    (BASE_DN, "children", "(objectClass=organizationalUnit)", &["1.1"]),
    (PEOPLE, "one", "(ou=SALES)", &["*"]),
    (" OU=People , DC=example,dc=COM", "sub", "(uid=Alice)", &[]),
    (ALICE, "base", "(objectClass=*)", &["entryUUID", "entryDN", "MAIL"]),
    (ALICE, "one", "(objectClass=*)", &[]),
    (BASE_DN, "sub", "(&(departmentNumber=300)(|(cn=m*)(cn=*a)))", &["cn", "mail"]),
    (BASE_DN, "sub", "(!(departmentNumber=300))", &["departmentNumber"]),
    (BASE_DN, "sub", "(!(telephoneNumber=*))", &["1.1"]),
    (BASE_DN, "sub", "(nonsense=*)", &["1.1"]),
    (BASE_DN, "sub", "(!(nonsense=*))", &["1.1"]),
    (BASE_DN, "sub", "(|(nonsense=*)(uid=bob))", &["uid"]),
    (BASE_DN, "sub", "(sn=m\\c3\\bcller)", &["sn"]),
    (BASE_DN, "sub", "(cn=*ar*er*)", &["cn"]),
    (BASE_DN, "sub", "(cn=alice   archer)", &["cn"]),
    (BASE_DN, "sub", "(member=UID=alice, ou=engineering,ou=people,dc=example,dc=com)", &["cn"]),
    (BASE_DN, "sub", "(member=uid=alice*)", &["cn"]),
    (BASE_DN, "sub", "(objectClass=PERSON)", &["uid"]),
    (BASE_DN, "sub", "(userPassword=*)", &["uid"]),
    (BASE_DN, "sub", "(!(userPassword=*))", &["uid"]),
    (BASE_DN, "sub", "(uid>=x)", &["uid"]),
    (BASE_DN, "sub", "(userAccountControl:1.2.840.113556.1.4.803:=2)", &["uid"]),
    ("uid=nobody,ou=people,dc=example,dc=com", "base", "(objectClass=*)", &[]),
    ("dc=elsewhere", "sub", "(objectClass=*)", &[]),
    ("not a name", "sub", "(objectClass=*)", &[]),
];

#[tokio::test]
async fn it_answers_searches_as_openldap_does() {
    let company = Company::generate();
    let (slapd, directory) = (Slapd::start(&company).unwrap(), start(&company).await);
    let wiki = company.service("wiki").unwrap();
    for (base, scope, filter, attrs) in QUERIES {
        for bound in [true, false] {
            let ask = async |uri: String| {
                let tools = Tools::new(uri);
                let tools = if bound { tools.bind(&wiki.dn, &wiki.password) } else { tools };
                tools.search(base, scope, filter, attrs).await.unwrap()
            };
            let (ours, theirs) = (ask(directory.uri()).await, ask(slapd.uri()).await);
            let what = format!("{base:?} {scope} {filter} {attrs:?} bound={bound}");
            assert_eq!(ours.code, theirs.code, "{what}\nours: {ours:?}\ntheirs: {theirs:?}");
            assert_eq!(ours.sorted_ldif(), theirs.sorted_ldif(), "{what}");
            let matched = |stderr: &str| stderr.lines().find(|line| line.contains("Matched DN")).map(String::from);
            assert_eq!(matched(&ours.stderr), matched(&theirs.stderr), "{what}");
        }
    }
}

#[tokio::test]
async fn it_answers_logins_and_comparisons_as_openldap_does() {
    let company = Company::generate();
    let (slapd, directory) = (Slapd::start(&company).unwrap(), start(&company).await);
    let upper = ALICE.to_uppercase();
    let staff = group_dn("staff");
    for (dn, password) in [
        ("", ""),
        (ALICE, "alice-secret"),
        (upper.as_str(), "alice-secret"),
        (ALICE, "wrong"),
        (ALICE, "ALICE-SECRET"),
        (ALICE, ""),
        ("uid=nobody,dc=example,dc=com", "x"),
        ("no name", "x"),
    ] {
        let ask = async |uri: String| Tools::new(uri).bind(dn, password).whoami().await.unwrap();
        let (ours, theirs) = (ask(directory.uri()).await, ask(slapd.uri()).await);
        assert_eq!(ours.code, theirs.code, "{dn} {password}\nours: {ours:?}\ntheirs: {theirs:?}");
        // Both keep the case that a name was stored with or asked with; the name itself is the same.
        assert_eq!(ours.stdout.to_lowercase(), theirs.stdout.to_lowercase(), "{dn} {password}");
    }
    for (dn, assertion) in [
        (ALICE, "uid:ALICE"),
        (ALICE, "uid:bob"),
        (ALICE, "telephoneNumber:1"),
        (ALICE, "userPassword:alice-secret"),
        (staff.as_str(), "member:CN=engineers, ou=groups,dc=example,dc=com"),
        ("uid=nobody,ou=people,dc=example,dc=com", "uid:nobody"),
    ] {
        for bound in [true, false] {
            let ask = async |uri: String| {
                let tools = Tools::new(uri);
                let tools = if bound { tools.bind(ALICE, "alice-secret") } else { tools };
                tools.compare(dn, assertion).await.unwrap()
            };
            let (ours, theirs) = (ask(directory.uri()).await, ask(slapd.uri()).await);
            assert_eq!(ours.code, theirs.code, "{dn} {assertion} {bound}\nours: {ours:?}\ntheirs: {theirs:?}");
        }
    }
}

#[tokio::test]
async fn sizes_and_pages_are_kept() {
    let company = Company::generate();
    let (slapd, directory) = (Slapd::start(&company).unwrap(), start(&company).await);
    let all = "(objectClass=person)";
    for uri in [slapd.uri(), directory.uri()] {
        let tools = Tools::new(uri.as_str()).bind(ALICE, "alice-secret");
        let cut = tools.search_with(&["-z", "7"], BASE_DN, "sub", all, &["uid"]).await.unwrap();
        assert_eq!((cut.code, cut.sorted_ldif().len()), (4, 7), "{uri}");
        let exact = tools.search_with(&["-z", "200"], BASE_DN, "sub", all, &["uid"]).await.unwrap();
        assert_eq!((exact.code, exact.sorted_ldif().len()), (0, 200), "{uri}");
        let paged = tools.search_with(&["-E", "pr=30/noprompt"], BASE_DN, "sub", all, &["uid"]).await.unwrap();
        let whole = tools.search(BASE_DN, "sub", all, &["uid"]).await.unwrap();
        let uids = |ldif: &str| {
            let mut uids: Vec<_> = ldif.lines().filter(|line| line.starts_with("uid:")).map(String::from).collect();
            uids.sort_unstable();
            uids
        };
        assert_eq!(uids(&paged.stdout), uids(&whole.stdout), "{uri}");
        assert_eq!(uids(&whole.stdout).len(), 200);
    }
}

#[tokio::test]
async fn changes_are_refused_and_unknown_critical_controls_too() {
    let directory = start(&Company::generate()).await;
    let tools = Tools::new(directory.uri()).bind(ALICE, "alice-secret");
    assert_eq!(tools.run("ldapdelete", &[ALICE]).await.unwrap().code, 53);
    assert_eq!(tools.run("ldapmodrdn", &[ALICE, "uid=alicia"]).await.unwrap().code, 53);
    let password = tools.run("ldappasswd", &["-s", "x"]).await.unwrap();
    assert!(password.code != 0 && password.stdout.contains("Protocol error (2)"), "{password:?}");
    let critical = tools.search_with(&["-E", "!domainScope"], ALICE, "base", "(uid=*)", &[]).await.unwrap();
    assert_eq!(critical.code, 12, "{critical:?}");
    let harmless = tools.search_with(&["-E", "domainScope"], ALICE, "base", "(uid=*)", &[]).await.unwrap();
    assert_eq!(harmless.code, 0, "{harmless:?}");
    let root = tools.search("", "base", "(objectClass=*)", &["+"]).await.unwrap();
    assert!(root.stdout.contains(&format!("namingContexts: {BASE_DN}")), "{root:?}");
}

#[tokio::test]
async fn a_failed_bind_takes_the_former_name_away() {
    let directory = start(&Company::generate()).await;
    let mut client = LdapClient::connect(directory.addr(), LOOPBACK).await.unwrap();
    client.bind(ALICE, "alice-secret").await.unwrap();
    assert_eq!(client.whoami().await.unwrap(), format!("dn:{ALICE}"));
    assert_eq!(client.bind(ALICE, "wrong").await.unwrap().code, LdapResultCode::InvalidCredentials);
    assert_eq!(client.whoami().await.unwrap(), "");
    let found = client.search(BASE_DN, LdapSearchScope::Subtree, "(uid=alice)", &[]).await.unwrap();
    assert_eq!(found.result.code, LdapResultCode::NoSuchObject);
}

#[tokio::test]
async fn garbage_ends_the_connection_with_a_notice_and_pieces_do_not_matter() {
    let directory = start(&Company::generate()).await;
    let mut client = LdapClient::connect(directory.addr(), LOOPBACK).await.unwrap();
    // "Who am I" with message id 1, byte by byte.
    let whoami = b"\x30\x1e\x02\x01\x01\x77\x19\x80\x171.3.6.1.4.1.4203.1.11.3";
    for byte in whoami {
        client.send_raw(&[*byte]).await.unwrap();
    }
    let answer = client.read_message().await.unwrap().unwrap();
    assert!(matches!(answer.op, LdapOp::ExtendedResponse(_)) && answer.msgid == 1, "{answer:?}");
    client.send_raw(b"\x30\x03\x02\x01\x01").await.unwrap();
    assert_eq!(client.read_message().await.unwrap().unwrap().msgid, 0);
    assert_eq!(client.read_frame().await.unwrap(), None);
}

#[tokio::test]
async fn it_serves_the_ldap3_crate_and_stops_when_told() {
    let own = SocketAddr::from((own_address(), 0));
    let directory = Directory::start(&Company::generate(), own).await.unwrap();
    let addr = directory.addr();
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&directory.uri()).await.unwrap();
    ldap3::drive!(connection);
    ldap.simple_bind(ALICE, "alice-secret").await.unwrap().success().unwrap();
    let (entries, _) =
        ldap.search(BASE_DN, ldap3::Scope::Subtree, "(uid=a*)", vec!["uid"]).await.unwrap().success().unwrap();
    assert!(!entries.is_empty());
    directory.stop().await;
    wait_refused(addr, Duration::from_secs(5)).await.unwrap();
}
