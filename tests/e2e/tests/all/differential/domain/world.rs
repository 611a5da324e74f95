//! Three controllers of one domain, with equal databases: one alone, one behind gateways that no policy watches, one behind
//! gateways whose policy looks at every operation and allows it.

use std::fmt::Write as _;

use anyhow::Result;
use portcullis_lab::pki::client_config_from_pem;
use portcullis_lab::samba::{BASE_DN, SERVICE, Samba, encoded, password};

use super::super::script::{Front, Server};
use super::super::world::ALLOW_ALL;
use super::chosen::Before;
use crate::stage::{Setup, Stage};

/// How client and gateway, and gateway and controller, are connected. It is the same on both sides, because the controller's
/// references and what it lets people do depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    Plain,
    Ldaps,
    StartTls,
}

impl Protection {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Ldaps, Self::StartTls];

    fn front(self, ca: &std::path::Path) -> Result<Front> {
        Ok(match self {
            Self::Plain => Front::Plain,
            Self::Ldaps => Front::Ldaps(client_config_from_pem(ca)?),
            Self::StartTls => Front::StartTls(client_config_from_pem(ca)?),
        })
    }

    /// A controller as its clients reach it.
    pub(super) fn direct(self, samba: &Samba) -> Result<Server> {
        let addr = if self == Self::Ldaps { samba.ldaps_addr() } else { samba.addr() };
        Ok(Server { addr, front: self.front(samba.ca_pem_path())? })
    }

    /// A gateway as its clients reach it.
    pub(super) fn through(self, stage: &Stage) -> Result<Server> {
        Ok(Server { addr: stage.ldap, front: self.front(stage.pki.ca_pem_path())? })
    }
}

/// The controllers, and what was in all of them at first.
pub(super) struct Domain {
    pub(super) direct: Samba,
    pub(super) open: Samba,
    pub(super) held: Samba,
    pub(super) before: Before,
}

impl Domain {
    pub(super) async fn new() -> Result<Self> {
        let controllers = tokio::task::spawn_blocking(|| Samba::start_equal(3, &entries())).await??;
        let Ok([direct, open, held]) = <[Samba; 3]>::try_from(controllers) else {
            anyhow::bail!("there are not three controllers");
        };
        let before = Before::of(&Protection::Plain.direct(&direct)?).await?;
        Ok(Self { direct, open, held, before })
    }
}

/// A gateway without a policy in front of this controller.
pub(super) async fn open(samba: &Samba, protection: Protection) -> Result<Stage> {
    gateway(samba, protection, "").await
}

/// A gateway whose policy has to allow everything.
pub(super) async fn held(samba: &Samba, protection: Protection) -> Result<Stage> {
    gateway(samba, protection, ALLOW_ALL).await
}

async fn gateway(samba: &Samba, protection: Protection, policies: &str) -> Result<Stage> {
    let (url, tls) = match protection {
        Protection::Plain => (format!("url = \"{}\"\nallow-cleartext = true", samba.uri()), "none"),
        Protection::Ldaps => (format!("url = \"{}\"", samba.ldaps_uri()), "ldaps"),
        Protection::StartTls => (format!("url = \"{}\"\nstart-tls = true", samba.uri()), "start-tls"),
    };
    let mut listener = format!("tls = \"{tls}\"");
    if protection != Protection::Plain {
        listener.push_str("\ncertificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"");
    }
    let setup = Setup {
        // A connection that is handed on has bound as nobody, and Samba's token of that has more in it than one of no bind at all.
        directory: Some(format!("{url}\nca-file = \"{}\"\nspare-connections = 0", samba.ca_pem_path().display())),
        accounts: format!(
            "base = \"{BASE_DN}\"\nschema = \"active-directory\"\nservice-account = \"{SERVICE}@example.test\"\n\
             password = {{ plain-text = \"{}\" }}",
            password(SERVICE)
        ),
        listener,
        policies: policies.to_owned(),
        ..Setup::default()
    };
    let mut stage = Stage::without_gateway(setup).await?;
    stage.slapd.stop()?;
    stage.start().await?;
    Ok(stage)
}

/// What the scripts find in a domain, in the places that they know: the people and the lab of the OpenLDAP directory, as far as a
/// domain has such entries, and accounts that may not log on.
fn entries() -> String {
    let mut text = String::new();
    let mut entry = |dn: &str, lines: &str| {
        // Writing into a String cannot fail.
        let _ = write!(text, "dn: {dn},{BASE_DN}\n{lines}\n");
    };
    let person = |uid: &str, more: &str| {
        format!("objectClass: user\nuid: {uid}\nsn: Test\nsAMAccountName: lab-{uid}\nmail: {uid}@example.com\n{more}")
    };
    let with_password = |secret: &str| format!("userAccountControl: 512\nunicodePwd:: {}\n", encoded(secret));
    for unit in ["ou=people", "ou=groups", "ou=lab", "ou=tree,ou=lab", "ou=leaf,ou=tree,ou=lab"] {
        entry(unit, "objectClass: organizationalUnit\n");
    }
    for (unit, uid) in [("engineering", "alice"), ("sales", "bob"), ("finance", "carol")] {
        entry(&format!("ou={unit},ou=people"), "objectClass: organizationalUnit\n");
        let more = with_password(&format!("{uid}-secret"));
        entry(&format!("CN={uid},ou={unit},ou=people"), &person(uid, &format!("employeeNumber: 1001\n{more}")));
    }
    for nth in 0..120 {
        let more = format!("employeeNumber: {}\nuidNumber: {nth}\n", 1010 + nth);
        entry(&format!("CN=user{nth},ou=finance,ou=people"), &person(&format!("user{nth}"), &more));
    }
    let member = format!("member: CN=alice,ou=engineering,ou=people,{BASE_DN}\n");
    entry("CN=engineers,ou=groups", &format!("objectClass: group\nsAMAccountName: lab-engineers\n{member}"));
    let photo = "jpegPhoto:: AAEC/f7/gMP/\n";
    entry("CN=binary,ou=lab", &person("binary", &format!("{photo}{}", with_password("binary-secret"))));
    let long_name = "CN=Müller\\, Jürgen \\+ Sohn,ou=lab";
    entry(long_name, &format!("objectClass: user\nsAMAccountName: lab-sohn\n{}", with_password("pässwört")));
    entry("CN=counter,ou=lab", &person("counter", "uidNumber: 41\n"));
    entry("CN=proxy,ou=lab", &person("proxy", &with_password("proxy-secret")));
    let member = format!("member: CN=binary,ou=lab,{BASE_DN}\n");
    entry("CN=team,ou=lab", &format!("objectClass: group\nsAMAccountName: lab-team\n{member}"));
    let many: String = (0..120).fold(String::new(), |mut text, nth| {
        let _ = writeln!(text, "member: CN=user{nth},ou=finance,ou=people,{BASE_DN}");
        text
    });
    entry("CN=everybody,ou=groups", &format!("objectClass: group\nsAMAccountName: lab-everybody\n{many}"));
    let secret = encoded("binary-secret");
    for (name, more) in [
        ("disabled", "userAccountControl: 514\n"),
        ("expired", "userAccountControl: 512\naccountExpires: 125911584000000000\n"),
        ("must-change", "userAccountControl: 512\npwdLastSet: 0\n"),
        ("smartcard", "userAccountControl: 262656\n"),
    ] {
        entry(&format!("CN={name},ou=lab"), &person(name, &format!("unicodePwd:: {secret}\n{more}")));
    }
    text
}
