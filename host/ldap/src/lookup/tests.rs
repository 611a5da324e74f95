//! Look-ups against a real OpenLDAP server on loopback, started by the test. Where it is missing, the tests fail.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use portcullis_core::AccountKind;

use super::*;
use crate::upstream::{Security, Upstream};

const SLAPD: &str = "/usr/sbin/slapd";
const ENTRIES: &str = "dn: dc=example
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=People,dc=example
objectClass: organizationalUnit
ou: People

dn: ou=Services,dc=example
objectClass: organizationalUnit
ou: Services

dn: cn=Alice\\, A,ou=People,dc=example
objectClass: inetOrgPerson
cn: Alice, A
sn: A
uid: alice
mail: alice@example.org
title: Engineer

dn: cn=Print,ou=Services,dc=example
objectClass: inetOrgPerson
cn: Print
sn: P
uid: twin
userPassword: print-secret

dn: cn=Scan,ou=Services,dc=example
objectClass: inetOrgPerson
cn: Scan
sn: S
uid: twin

dn: cn=inner,dc=example
objectClass: groupOfNames
cn: inner
member: cn=Alice\\, A,ou=People,dc=example
member: cn=outer,dc=example

dn: cn=outer,dc=example
objectClass: groupOfNames
cn: outer
member: cn=inner,dc=example

dn: cn=Admins,dc=example
objectClass: groupOfUniqueNames
cn: Admins
uniqueMember: cn=outer,dc=example

dn: cn=posix,dc=example
objectClass: posixGroup
cn: posix
gidNumber: 100
memberUid: alice
";

pub(super) struct Slapd {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Slapd {
    pub(super) fn start() -> Self {
        assert!(Path::new(SLAPD).exists(), "{SLAPD} is missing: install Debian's package slapd");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("db")).unwrap();
        let schemas: String = ["core", "cosine", "nis", "inetorgperson"]
            .iter()
            .map(|name| format!("include /etc/ldap/schema/{name}.schema\n"))
            .collect();
        let config = format!(
            "{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {}\ndatabase mdb\nsuffix dc=example\n\
             directory {}\nrootdn cn=reader,dc=example\nrootpw secret\n\
             access to dn.base=\"cn=posix,dc=example\" attrs=memberUid by * none\naccess to * by * read\n",
            at("pid").display(),
            at("db").display()
        );
        std::fs::write(at("slapd.conf"), config).unwrap();
        std::fs::write(at("entries.ldif"), ENTRIES).unwrap();
        let added = Command::new("/usr/sbin/slapadd")
            .args(["-f".as_ref(), at("slapd.conf").as_os_str(), "-l".as_ref(), at("entries.ldif").as_os_str()])
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(SLAPD)
            .args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port}"), "-f"])
            .arg(at("slapd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { process, port, _folder: folder };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return started;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("slapd does not listen");
    }

    pub(super) fn options(&self) -> LookupOptions {
        let upstream = Upstream::new("127.0.0.1", self.port, Security::Plain);
        let mut options = LookupOptions::new(
            Upstreams::single(upstream),
            "cn=reader,dc=example",
            Secret::new("secret"),
            "dc=example",
            Schema::Rfc2307,
        );
        options.privileged_groups = vec!["admins".to_owned()];
        options.service_units = vec!["OU=Services, DC=example".to_owned()];
        options
    }
}

#[tokio::test]
async fn an_account_is_found_with_its_nested_groups() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    lookup.check().await.unwrap();
    for name in ["CN=alice\\2C a, OU=people,DC=example", "ALICE"] {
        let found = lookup.find(name).await.unwrap().expect("alice is there");
        assert_eq!(found.account.dn.as_deref(), Some("cn=Alice\\2C A,ou=People,dc=example"));
        assert_eq!((found.account.login.as_str(), found.account.kind), ("alice", AccountKind::Human));
        assert_eq!(found.account.mail.as_deref(), Some("alice@example.org"));
        assert!(found.account.privileged);
        assert_eq!(found.account.id.as_str().len(), 36);
        let groups: Vec<&str> = found.facts.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(groups, ["Admins", "inner", "outer", "posix"]);
        assert_eq!(found.facts.units, ["People"]);
        assert_eq!(found.facts.attributes["title"], ["Engineer"]);
    }
    let service = lookup.find("cn=print,ou=services,dc=example").await.unwrap().unwrap();
    assert_eq!((service.account.kind, service.account.privileged), (AccountKind::Service, false));
}

#[tokio::test]
async fn nobody_and_several_are_not_found() {
    let slapd = Slapd::start();
    let lookup = Lookup::new(slapd.options());
    for name in ["nobody", "twin", "*", "cn=nobody,dc=example", "a=b=c,,", "", "alice)(uid=*"] {
        assert_eq!(lookup.find(name).await, Ok(None), "{name}");
    }
}

#[tokio::test]
async fn limits_and_failures_are_errors() {
    let slapd = Slapd::start();
    let mut few = slapd.options();
    few.group_count = 2;
    assert!(matches!(Lookup::new(few).find("alice").await, Err(DirectoryError::Unreachable(_))));
    let mut shallow = slapd.options();
    shallow.group_depth = 1;
    assert!(matches!(Lookup::new(shallow).find("alice").await, Err(DirectoryError::Unreachable(_))));
    let mut wrong = slapd.options();
    wrong.password = Secret::new("wrong");
    let wrong = Lookup::new(wrong);
    assert!(matches!(wrong.find("alice").await, Err(DirectoryError::Refused(_))));
    assert!(matches!(wrong.check().await, Err(CheckError::Refused { .. })));
    let mut nowhere = slapd.options();
    nowhere.base = "dc=nowhere".to_owned();
    assert_eq!(Lookup::new(nowhere).check().await, Err(CheckError::NoBase("dc=nowhere".to_owned())));
    let mut empty = slapd.options();
    empty.base = "cn=posix,dc=example".to_owned();
    assert!(matches!(Lookup::new(empty).check().await, Err(CheckError::NoPerson(_))));

    let lookup = Lookup::new(slapd.options());
    assert!(lookup.find("alice").await.unwrap().is_some());
    drop(slapd);
    assert!(lookup.find("alice").await.unwrap().is_some(), "still remembered");
    assert!(matches!(lookup.find("bob").await, Err(DirectoryError::Unreachable(_))));
}

#[tokio::test]
async fn one_name_is_looked_for_once_at_a_time() {
    // A directory that accepts and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut upstream = Upstream::new("127.0.0.1", silent.local_addr().unwrap().port(), Security::Plain);
    upstream.connect_timeout = Duration::from_millis(200);
    let options = LookupOptions::new(Upstreams::single(upstream), "cn=x", Secret::new("x"), "dc=x", Schema::Rfc2307);
    let lookup = Lookup::new(options);
    let (one, other) = tokio::join!(lookup.find("alice"), lookup.find(" ALICE "));
    assert!(matches!(one, Err(DirectoryError::Unreachable(_))));
    assert_eq!(one, other);
    silent.accept().await.unwrap();
    let again = timeout(Duration::from_millis(50), silent.accept()).await;
    assert!(again.is_err(), "two connections for one name");
    assert!(lookup.find("alice").await.is_err(), "an error is never remembered as not found");
}
