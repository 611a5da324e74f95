//! Kerberos and NTLM through the gateway, at a real Active Directory domain controller.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use portcullis_lab::domain::{Person, Protection, SaslSearch};
use portcullis_lab::samba::{ALICE, BASE_DN, BOB, SERVICE, Samba, password};
use serde_json::Value;

use crate::stage::{Setup, Stage, machine};

/// Staff may not bind, alice may not see machines, and neither may anybody whom the gateway does not know.
const POLICY: &str = r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"
fail = "closed"
[[policy.settings.rules]]
name = "Staff"
when = { group = ["cn=staff,cn=users,dc=example,dc=test"] }
then = "block"
[[policy.settings.rules]]
name = "Machines"
operations = ["search"]
when = { entry-under = ["cn=computers,dc=example,dc=test"], any = [{ login = ["alice"] }, { account-known = false }] }
then = "block"
"#;

const PEOPLE: SaslSearch<'_> = SaslSearch {
    mechanism: "GSS-SPNEGO",
    protection: Protection::None,
    ca: None,
    base: BASE_DN,
    scope: "sub",
    filter: "(|(sAMAccountName=bob)(cn=engineers))",
    attributes: &["cn", "memberOf", "objectSid", "userPrincipalName"],
};

/// What the policy hides.
const MACHINES: SaslSearch<'_> =
    SaslSearch { base: "CN=Computers,DC=example,DC=test", filter: "(objectClass=*)", attributes: &["cn"], ..PEOPLE };

/// A domain with a gateway in front of it, and a second listener that lets nothing through unseen.
struct Scene {
    samba: Samba,
    stage: Stage,
    strict: SocketAddr,
}

impl Scene {
    /// `over_tls`: how the gateway speaks to the domain controller.
    async fn new(over_tls: bool) -> Result<Self> {
        let samba = tokio::task::spawn_blocking(Samba::start).await??;
        let directory = if over_tls {
            format!("url = \"{}\"\nca-file = \"{}\"", samba.ldaps_uri(), samba.ca_pem_path().display())
        } else {
            format!("url = \"{}\"\nallow-cleartext = true", samba.uri())
        };
        let accounts = format!(
            "base = \"{BASE_DN}\"\nschema = \"active-directory\"\nservice-account = \"{SERVICE}@example.test\"\n\
             password = {{ plain-text = \"{}\" }}",
            password(SERVICE)
        );
        let own = machine();
        let strict = SocketAddr::new(own, portcullis_lab::net::free_port(own)?);
        let setup = Setup {
            directory: Some(directory),
            accounts,
            policies: POLICY.to_owned(),
            listener: "tls = \"none\"\nrelay-opaque-sasl = true".to_owned(),
            sections: format!("[[listener]]\nname = \"strict\"\naddress = \"{strict}\"\ntls = \"none\"\n"),
            ..Setup::default()
        };
        let stage = Stage::new(setup).await?;
        for host in [samba.addr(), stage.ldap, strict] {
            samba.add_service_name(&host.ip().to_string())?;
        }
        Ok(Self { samba, stage, strict })
    }

    fn relaying(&self) -> String {
        format!("ldap://{}", self.stage.ldap)
    }

    fn strict(&self) -> String {
        format!("ldap://{}", self.strict)
    }

    /// Decision, bind method and login of the last bind.
    async fn last_bind(&self) -> Result<(Value, Value, Value)> {
        let is_bind = |event: &&Value| event["access"]["operation"]["bind"] != Value::Null;
        let events = self.stage.accesses().await?;
        let event = events.iter().rev().find(is_bind).context("no bind")?;
        let access = &event["access"];
        Ok((event["decision"].clone(), access["operation"]["bind"].clone(), access["account"]["login"].clone()))
    }
}

fn sasl(mechanism: &str) -> Value {
    serde_json::json!({ "sasl": mechanism })
}

fn opaque(mechanism: &str) -> Value {
    serde_json::json!({ "opaque-sasl": mechanism })
}

/// Over TLS, Active Directory has no security layers, so everything stays under the policies.
#[tokio::test]
async fn over_tls_sasl_leaves_a_stream_that_the_policies_see() -> Result<()> {
    let scene = Scene::new(true).await?;
    let (alice, bob) = (Person::new(&scene.samba, ALICE)?, Person::new(&scene.samba, BOB)?);

    // Samba's own client, under each name that it can bind with.
    for name in ["EXAMPLE\\alice", "alice@example.test"] {
        let direct = alice.ldbsearch(&scene.samba.ldaps_uri(), name, &PEOPLE).await?;
        let through = alice.ldbsearch(&scene.strict(), name, &PEOPLE).await?;
        assert_eq!(direct.code, 0, "{direct:?}");
        assert_eq!(through.stdout, direct.stdout, "{name}: {}", through.stderr);
        assert_eq!(scene.last_bind().await?, ("allow".into(), sasl("GSS-SPNEGO"), "alice".into()), "{name}");
        let hidden = alice.ldbsearch(&scene.strict(), name, &MACHINES).await?;
        assert_eq!(hidden.code, 50, "{name}: {hidden:?}");
    }
    let blocked = bob.ldbsearch(&scene.strict(), "EXAMPLE\\bob", &PEOPLE).await?;
    assert_ne!(blocked.code, 0, "{blocked:?}");
    assert_eq!(scene.last_bind().await?, ("block".into(), sasl("GSS-SPNEGO"), "bob".into()));
    let wrong = bob.ldbsearch(&scene.strict(), "EXAMPLE\\alice", &PEOPLE).await?;
    assert_ne!(wrong.code, 0, "{wrong:?}");
    assert_eq!(
        scene.last_bind().await?,
        ("refused".into(), sasl("GSS-SPNEGO"), "alice".into()),
        "it was tried as alice"
    );

    // Kerberos.
    alice.log_on().await?;
    bob.log_on().await?;
    let over_tls = SaslSearch { ca: Some(scene.samba.ca_pem_path()), ..PEOPLE };
    let direct = alice.ldapsearch(&scene.samba.ldaps_uri(), &over_tls).await?;
    assert_eq!(direct.code, 0, "{}", direct.stderr);
    for mechanism in ["GSS-SPNEGO", "GSSAPI"] {
        let through = alice.ldapsearch(&scene.strict(), &SaslSearch { mechanism, ..PEOPLE }).await?;
        assert_eq!((through.code, &through.stdout), (0, &direct.stdout), "{mechanism}: {}", through.stderr);
        assert_eq!(scene.last_bind().await?, ("allow".into(), sasl(mechanism), "alice".into()), "{mechanism}");
        let hidden = alice.ldapsearch(&scene.strict(), &SaslSearch { mechanism, ..MACHINES }).await?;
        assert_eq!(hidden.code, 50, "{mechanism}: {hidden:?}");
        let blocked = bob.ldapsearch(&scene.strict(), &SaslSearch { mechanism, ..PEOPLE }).await?;
        assert_eq!(blocked.code, 49, "{mechanism}: {blocked:?}");
        assert_eq!(scene.last_bind().await?, ("block".into(), sasl(mechanism), "bob".into()), "{mechanism}");
    }

    // The domain controller's own refusal of a layer over TLS.
    let sealed = SaslSearch { protection: Protection::Seal, ..PEOPLE };
    let through = alice.ldapsearch(&scene.strict(), &sealed).await?;
    let direct = SaslSearch { ca: over_tls.ca, ..sealed };
    let direct = alice.ldapsearch(&scene.samba.ldaps_uri(), &direct).await?;
    assert_eq!((through.code, &through.stderr), (53, &direct.stderr));
    Ok(())
}

/// In the clear, clients of a domain sign and seal, and the gateway sees nothing behind the bind.
#[tokio::test]
async fn a_security_layer_is_relayed_unseen_where_that_is_wanted_and_refused_elsewhere() -> Result<()> {
    let scene = Scene::new(false).await?;
    let (alice, bob) = (Person::new(&scene.samba, ALICE)?, Person::new(&scene.samba, BOB)?);
    let mut streams = 0;

    // Without a ticket, SPNEGO takes NTLM; this client always signs.
    let sealed = SaslSearch { protection: Protection::Seal, ..PEOPLE };
    let through = alice.ldapsearch(&scene.relaying(), &sealed).await?;
    assert_eq!(through.code, 0, "{}", through.stderr);
    assert_eq!(scene.last_bind().await?, ("allow".into(), opaque("GSS-SPNEGO"), "alice".into()));
    streams += 1;
    assert_eq!(alice.ldapsearch(&scene.strict(), &sealed).await?.code, 7);
    assert_eq!(scene.last_bind().await?, ("refused".into(), sasl("GSS-SPNEGO"), "alice".into()));

    alice.log_on().await?;
    let direct = alice.ldapsearch(&scene.samba.uri(), &PEOPLE).await?;
    assert_eq!((direct.code, &direct.stdout), (0, &through.stdout), "{}", direct.stderr);
    for (mechanism, protection) in [
        ("GSS-SPNEGO", Protection::Seal),
        ("GSS-SPNEGO", Protection::Sign),
        ("GSSAPI", Protection::Seal),
        ("GSSAPI", Protection::Sign),
    ] {
        let what = format!("{mechanism} {protection:?}");
        let search = SaslSearch { mechanism, protection, ..PEOPLE };
        let through = alice.ldapsearch(&scene.relaying(), &search).await?;
        assert_eq!((through.code, &through.stdout), (0, &direct.stdout), "{what}: {}", through.stderr);
        assert_eq!(scene.last_bind().await?, ("allow".into(), opaque(mechanism), Value::Null), "{what}");
        streams += 1;
        let refused = alice.ldapsearch(&scene.strict(), &search).await?;
        assert_eq!(refused.code, 7, "{what}: {refused:?}");
        assert_eq!(scene.last_bind().await?, ("refused".into(), sasl(mechanism), Value::Null), "{what}");
    }
    // NTLM says who it is, so the policy about bob's group holds.
    for protection in [Protection::Sign, Protection::Seal] {
        let search = SaslSearch { protection, ..PEOPLE };
        let direct = alice.ldbsearch(&scene.samba.uri(), "EXAMPLE\\alice", &search).await?;
        let through = alice.ldbsearch(&scene.relaying(), "EXAMPLE\\alice", &search).await?;
        assert_eq!((direct.code, &through.stdout), (0, &direct.stdout), "{protection:?}: {}", through.stderr);
        assert_eq!(scene.last_bind().await?, ("allow".into(), opaque("GSS-SPNEGO"), "alice".into()));
        streams += 1;
        let blocked = bob.ldbsearch(&scene.relaying(), "EXAMPLE\\bob", &search).await?;
        assert_ne!(blocked.code, 0, "{blocked:?}");
        assert_eq!(scene.last_bind().await?, ("block".into(), opaque("GSS-SPNEGO"), "bob".into()));
        let refused = alice.ldbsearch(&scene.strict(), "EXAMPLE\\alice", &search).await?;
        assert_ne!(refused.code, 0, "{refused:?}");
        assert_eq!(scene.last_bind().await?, ("refused".into(), sasl("GSS-SPNEGO"), "alice".into()));
    }
    // The log counts every stream that was not seen, and what passed on it.
    let line = scene.stage.wait_for_log("an opaque stream has ended").await?;
    assert!(line.contains("octets_to_directory=") && !line.contains("octets_to_directory=0 "), "{line}");
    let ended = |log: Vec<String>| log.iter().filter(|line| line.contains("an opaque stream has ended")).count();
    let begun = std::time::Instant::now();
    while ended(scene.stage.log()) < streams && begun.elapsed() < crate::stage::PATIENCE {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(ended(scene.stage.log()), streams);

    // Kerberos inside SPNEGO does not show that it will do without a layer; what the client sends next does.
    for mechanism in ["GSS-SPNEGO", "GSSAPI"] {
        let search = SaslSearch { mechanism, ..PEOPLE };
        let through = alice.ldapsearch(&scene.relaying(), &search).await?;
        assert_eq!((through.code, &through.stdout), (0, &direct.stdout), "{mechanism}: {}", through.stderr);
        let hidden = alice.ldapsearch(&scene.relaying(), &SaslSearch { mechanism, ..MACHINES }).await?;
        assert_eq!(hidden.code, 50, "{mechanism}: {hidden:?}");
    }
    assert_eq!(ended(scene.stage.log()), streams, "none of these was opaque");
    Ok(())
}
