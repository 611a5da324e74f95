//! Certificates of clients, with OpenLDAP's own tools.

use anyhow::Result;
use nix::sys::signal::Signal;
use portcullis_lab::pki::{Pki, ServerCert};
use portcullis_lab::tools::Tools;

use crate::stage::{PATIENCE, Setup, Stage};

/// Binds are for machines of one unit, and for one other.
const SERVERS_ONLY: &str = r#"
[[policy]]
name = "servers-only"
plugin = "rules.wasm"

[[policy.settings.rules]]
name = "Servers"
when = { client-certificate-name = "CN=*,OU=Servers" }
then = "allow"

[[policy.settings.rules]]
name = "The printer"
when = { client-certificate-name = "dns:printer.example.com", tls = true }
then = "allow"

[[policy.settings.rules]]
name = "Everybody else"
then = { verdict = "block", reason = "This machine has shown no certificate of a server." }
"#;

fn listener(more: &str) -> String {
    format!(
        "tls = \"ldaps\"\ncertificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"\nclient-ca = \"pki/ca.pem\"\n{more}"
    )
}

fn tools(stage: &Stage) -> Tools {
    let tools = Tools::new(format!("ldaps://{}", stage.ldap)).trust(stage.pki.ca_pem_path());
    tools.bind(stage.dn("alice"), "alice-secret").timeout(PATIENCE)
}

async fn whoami(stage: &Stage, shown: Option<&ServerCert>) -> Result<i32> {
    let tools = tools(stage);
    let tools = match shown {
        Some(shown) => tools.certificate(shown.cert_path(), shown.key_path()),
        None => tools,
    };
    Ok(tools.whoami().await?.code)
}

#[tokio::test]
async fn a_policy_blocks_binds_of_machines_without_the_right_certificate() -> Result<()> {
    let setup = Setup {
        listener: listener("client-certificates = \"asked\""),
        policies: SERVERS_ONLY.to_owned(),
        ..Setup::default()
    };
    let stage = Stage::new(setup).await?;
    let web = stage.pki.issue_client("web-1", "Servers")?;
    assert_eq!(whoami(&stage, Some(&web)).await?, 0, "{}", stage.last_access().await?);
    let tls = &stage.last_access().await?["access"]["protection"]["tls"];
    let certificate = &tls["client_certificate"];
    assert_eq!(certificate["subject"], "CN=web-1,OU=Servers", "{tls}");
    assert_eq!(certificate["alternative_names"][0], "dns:web-1.example.com", "{tls}");
    assert_eq!(certificate["fingerprint"].as_str().map(str::len), Some(64), "{tls}");
    assert_eq!(tls["version"], "TLS 1.3", "{tls}");
    assert!(tls["cipher_suite"].as_str().is_some_and(|name| name.starts_with("TLS_AES_")), "{tls}");
    assert!(stage.console().await?.get("/activity").await?.contains("CN=web-1,OU=Servers"));

    assert_eq!(whoami(&stage, Some(&stage.pki.issue_client("printer", "Office")?)).await?, 0);
    for other in [None, Some(stage.pki.issue_client("laptop", "Office")?)] {
        assert_eq!(whoami(&stage, other.as_ref()).await?, 49);
        let event = stage.last_access().await?;
        assert_eq!(event["decision"], "block", "{event}");
        assert!(event["reason"].as_str().is_some_and(|why| why.contains("no certificate of a server")), "{event}");
    }
    Ok(())
}

#[tokio::test]
async fn where_certificates_are_required_nothing_is_served_without_and_a_revoked_one_is_none() -> Result<()> {
    let required = listener("client-certificates = \"required\"\nclient-crl = \"pki/crl.pem\"");
    let mut stage = Stage::without_gateway(Setup { listener: required, ..Setup::default() }).await?;
    stage.pki.revoke(&[])?;
    stage.start().await?;
    let web = stage.pki.issue_client("web-1", "Servers")?;
    assert_eq!(whoami(&stage, Some(&web)).await?, 0);
    let accesses = stage.accesses().await?.len();

    assert_ne!(whoami(&stage, None).await?, 0);
    stage.wait_for_log("it shows no certificate, and has to").await?;
    let folder = tempfile::tempdir()?;
    let foreign = Pki::create(folder.path())?.issue_client("web-1", "Servers")?;
    assert_ne!(whoami(&stage, Some(&foreign)).await?, 0);
    stage.wait_for_log("its certificate does not count").await?;

    stage.pki.revoke(&["web-1"])?;
    stage.gateway().signal(Signal::SIGHUP)?;
    stage.wait_for_log("the certificates were read again").await?;
    assert_ne!(whoami(&stage, Some(&web)).await?, 0);
    stage.wait_for_log("does not count: Revoked").await?;
    assert_eq!(whoami(&stage, Some(&stage.pki.issue_client("web-2", "Servers")?)).await?, 0);
    assert_eq!(stage.accesses().await?.len(), accesses + 1, "who was turned away had no access");

    std::fs::write(stage.folder.path().join("pki/crl.pem"), "no list\n")?;
    stage.gateway().signal(Signal::SIGHUP)?;
    let line = stage.wait_for_log("holds no certificate revocation list").await?;
    assert!(line.contains("client-crl"), "{line}");
    Ok(())
}
