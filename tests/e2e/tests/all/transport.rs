//! TLS on both sides, and the same bytes through them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use portcullis_lab::client::LdapClient;
use portcullis_lab::pki::Pki;
use portcullis_lab::tools::Tools;
use serde_json::Value;

use crate::stage::{PATIENCE, Setup, Stage, machine};

fn certificate(tls: &str) -> String {
    // Issued by the stage under this name.
    format!("tls = \"{tls}\"\ncertificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"")
}

fn tools(stage: &Stage, scheme: &str) -> Tools {
    let tools = Tools::new(format!("{scheme}://{}", stage.ldap)).trust(stage.pki.ca_pem_path());
    tools.bind(stage.dn("alice"), "alice-secret").timeout(PATIENCE)
}

#[tokio::test]
async fn ldaps_in_front_and_each_protection_behind() -> Result<()> {
    for behind in ["ldaps", "start-tls", "clear"] {
        let mut stage = Stage::without_gateway(Setup { listener: certificate("ldaps"), ..Setup::default() }).await?;
        let text = std::fs::read_to_string(stage.config_file())?;
        let url = |uri: String, more: &str| format!("url = \"{uri}\"\n{more}");
        let wanted = match behind {
            "ldaps" => url(stage.slapd.ldaps_uri(), ""),
            "start-tls" => url(stage.slapd.uri(), "start-tls = true"),
            _ => url(stage.slapd.uri(), "allow-cleartext = true"),
        };
        std::fs::write(
            stage.config_file(),
            text.replace(&url(stage.slapd.ldaps_uri(), "").trim_end().to_owned(), &wanted),
        )?;
        stage.start().await?;
        let whoami = tools(&stage, "ldaps").whoami().await?;
        assert_eq!(whoami.code, 0, "{behind}: {}", whoami.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn start_tls_in_front_and_nothing_before_it_where_required() -> Result<()> {
    let listener = format!("{}\nrequire-tls = true", certificate("start-tls"));
    let stage = Stage::new(Setup { listener, ..Setup::default() }).await?;
    assert_eq!(tools(&stage, "ldap").start_tls().whoami().await?.code, 0);
    assert_eq!(tools(&stage, "ldap").whoami().await?.code, 13, "confidentialityRequired");
    Ok(())
}

#[tokio::test]
async fn a_password_in_clear_text_is_refused_where_start_tls_is_offered() -> Result<()> {
    let stage = Stage::new(Setup { listener: certificate("start-tls"), ..Setup::default() }).await?;
    // The right password, and one that the directory would refuse: it is asked neither time.
    for password in ["alice-secret", "a-wrong-password"] {
        let refused = tools(&stage, "ldap").bind(stage.dn("alice"), password).whoami().await?;
        assert_eq!(refused.code, 13, "{}", refused.stderr);
        let event = stage.last_access().await?;
        assert_eq!(
            (&event["directory_result"], &event["access"]["outcome"]),
            (&Value::Null, &"failure".into()),
            "{event}"
        );
        assert_eq!(event["access"]["protection"], "cleartext", "{event}");
    }
    let line = stage.wait_for_log("a password came in clear text").await?;
    assert!(!line.contains("secret"), "{line}");
    assert_eq!(tools(&stage, "ldap").start_tls().whoami().await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_directory_with_a_certificate_that_nobody_vouches_for_is_not_spoken_to() -> Result<()> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    let text = std::fs::read_to_string(stage.config_file())?;
    let ca = format!("ca-file = \"{}\"", stage.slapd.ca_pem_path().display());
    assert!(text.contains(&ca));
    std::fs::write(stage.config_file(), text.replacen(&ca, "", 1))?;
    let mut stage = stage;
    stage.start().await?;
    assert_ne!(stage.tools("alice", "alice-secret").whoami().await?.code, 0);
    stage.wait_for_log("ertificate").await?;
    Ok(())
}

#[tokio::test]
async fn a_load_balancer_says_who_the_client_is_and_nobody_else_can() -> Result<()> {
    let (balancer, other) = (machine(), machine());
    let listener = format!("tls = \"none\"\nproxy-protocol-from = [\"{balancer}/32\"]");
    let stage = Stage::new(Setup { listener, ..Setup::default() }).await?;
    let header = b"PROXY TCP4 198.51.100.7 10.0.0.1 12345 389\r\n";
    let bind = async |from, first: &[u8]| {
        let mut client = LdapClient::connect_saying(stage.ldap, from, first).await?;
        client.set_timeout(PATIENCE);
        client.bind(&stage.dn("alice"), "alice-secret").await
    };
    assert_eq!(bind(balancer, header).await?.code as i32, 0);
    let event = stage.last_access().await?;
    assert_eq!(event["access"]["endpoint"]["address"], "198.51.100.7", "{event}");

    assert!(bind(balancer, b"").await.is_err(), "without a header, a load balancer's connection is closed");
    stage
        .wait_for_log("a load balancer's connection is closed: it does not begin with a PROXY protocol header")
        .await?;
    assert!(!bind(other, header).await.is_ok_and(|result| result.code as i32 == 0), "a header is no LDAP");
    assert_eq!(stage.accesses().await?.len(), 1, "neither was an access");

    let mut direct = stage.client(other).await?;
    direct.bind(&stage.dn("bob"), "bob-secret").await?;
    assert_eq!(stage.last_access().await?["access"]["endpoint"]["address"], other.to_string());
    Ok(())
}

#[tokio::test]
async fn a_client_cannot_tell_the_gateway_from_the_directory() -> Result<()> {
    let stage = Stage::new(Setup { policies: String::new(), ..Setup::default() }).await?;
    // Over TLS, as the gateway itself is connected: the root DSE tells which mechanisms go with it.
    let direct = Tools::new(stage.slapd.ldaps_uri()).trust(stage.slapd.ca_pem_path());
    let direct = direct.bind(stage.dn("alice"), "alice-secret").timeout(PATIENCE);
    let through = stage.tools("alice", "alice-secret");
    let searches: [(&str, &str, &str, &[&str]); 6] = [
        ("dc=example,dc=com", "sub", "(objectClass=inetOrgPerson)", &["*", "+"]),
        ("dc=example,dc=com", "one", "(objectClass=*)", &[]),
        ("", "base", "(objectClass=*)", &["*", "+"]),
        ("dc=example,dc=com", "sub", "(&(mail=a*)(!(uid=alice)))", &["mail"]),
        ("dc=nowhere", "sub", "(objectClass=*)", &[]),
        ("cn=subschema", "base", "(objectClass=*)", &["attributeTypes"]),
    ];
    for (base, scope, filter, attributes) in searches {
        let (there, here) = (
            direct.search(base, scope, filter, attributes).await?,
            through.search(base, scope, filter, attributes).await?,
        );
        assert_eq!(
            (here.code, &here.stdout, &here.stderr),
            (there.code, &there.stdout, &there.stderr),
            "{base} {filter}"
        );
    }
    let paged = |tools: &Tools| {
        let tools = tools.clone();
        async move { tools.search_with(&["-E", "pr=50/noprompt"], "dc=example,dc=com", "sub", "(uid=*)", &["uid"]).await }
    };
    let (there, here) = (paged(&direct).await?, paged(&through).await?);
    assert_eq!((here.code, here.sorted_ldif().len()), (there.code, there.sorted_ldif().len()));
    assert_eq!(
        through.compare(&stage.dn("bob"), "uid:bob").await?.code,
        direct.compare(&stage.dn("bob"), "uid:bob").await?.code
    );
    Ok(())
}

/// Whether listener and console show a certificate of this authority.
async fn shown(stage: &Stage, pki: &Pki) -> Result<(bool, bool)> {
    let host = stage.ldap.ip().to_string();
    let ldap = LdapClient::connect_tls(stage.ldap, machine(), pki.client_config()?, &host).await.is_ok();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(pki.ca_pem_path())?)?;
    let http = reqwest::Client::builder().tls_certs_only([ca]).timeout(PATIENCE).build()?;
    Ok((ldap, http.get(format!("https://{}/healthz", stage.web)).send().await.is_ok()))
}

async fn wait_until_shown(stage: &Stage, pki: &Pki) -> Result<()> {
    let begun = Instant::now();
    while shown(stage, pki).await? != (true, true) {
        ensure!(begun.elapsed() < PATIENCE, "the certificate is not shown:\n{}", stage.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_replaced_by_a_hang_up_and_broken_ones_are_not_taken() -> Result<()> {
    let mut stage = Stage::without_gateway(Setup { listener: certificate("ldaps"), ..Setup::default() }).await?;
    let (url, files) = (format!("//{}\"", stage.web), "certificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"");
    let text = std::fs::read_to_string(stage.config_file())?;
    std::fs::write(stage.config_file(), text.replace(&format!("http:{url}"), &format!("https:{url}\n{files}")))?;
    stage.start().await?;
    let host = stage.ldap.ip().to_string();
    let mut open = LdapClient::connect_tls(stage.ldap, machine(), stage.pki.client_config()?, &host).await?;
    assert_eq!(open.bind(&stage.dn("alice"), "alice-secret").await?.code as i32, 0);

    // Another authority's, so that clients can tell the certificates apart.
    let folder = tempfile::tempdir()?;
    let renewed = Pki::create(folder.path())?;
    renewed.issue("gateway", &[&host])?;
    let pki = stage.folder.path().join("pki");
    let replace = |file: &str| std::fs::copy(folder.path().join(file), pki.join(file));

    // Between the two copies, certificate and key do not belong together.
    replace("gateway.pem")?;
    stage.gateway().signal(Signal::SIGHUP)?;
    let line = stage.wait_for_log("cannot be used together").await?;
    assert!(line.contains("portcullis.toml:") && line.contains("pki/gateway.key"), "{line}");
    stage.wait_for_log("the old ones stay").await?;
    assert_eq!(shown(&stage, &stage.pki).await?, (true, true));

    replace("gateway.key")?;
    stage.gateway().signal(Signal::SIGHUP)?;
    wait_until_shown(&stage, &renewed).await?;
    assert_eq!(shown(&stage, &stage.pki).await?, (false, false));
    assert_eq!(open.bind(&stage.dn("alice"), "alice-secret").await?.code as i32, 0, "an open connection goes on");

    std::fs::write(pki.join("gateway.pem"), "no certificate\n")?;
    stage.gateway().signal(Signal::SIGHUP)?;
    let line = stage.wait_for_log("holds no certificate").await?;
    assert!(line.contains("pki/gateway.pem") && line.contains("PEM format"), "{line}");
    assert_eq!(shown(&stage, &renewed).await?, (true, true));

    stage.wait_for_event("certificates-not-reloaded", 2).await?;
    stage.wait_for_event("certificates-reloaded", 1).await?;
    Ok(())
}
