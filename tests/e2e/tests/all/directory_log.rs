//! A directory that is told whose connections it gets, and writes that down.

use std::time::Instant;

use anyhow::{Result, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::company::Company;
use portcullis_lab::slapd::Slapd;

use crate::stage::{PATIENCE, Setup, Stage, machine};

async fn wait_for_line(slapd: &Slapd, needle: &str) -> Result<()> {
    let begun = Instant::now();
    while !slapd.log().iter().any(|line| line.contains(needle)) {
        ensure!(begun.elapsed() < PATIENCE, "slapd never wrote {needle:?}:\n{}", slapd.log().join("\n"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn openldap_s_log_shows_the_client_and_not_the_gateway() -> Result<()> {
    let slapd = tokio::task::spawn_blocking(|| Slapd::start_behind_proxies(&Company::generate())).await??;
    let ca = format!("ca-file = \"{}\"", slapd.ca_pem_path().display());
    // In the clear, with StartTLS and with TLS: the header comes before all of them.
    for url in [
        format!("url = \"{}\"\nallow-cleartext = true", slapd.uri()),
        format!("url = \"{}\"\nstart-tls = true\n{ca}", slapd.uri()),
        format!("url = \"{}\"\n{ca}", slapd.ldaps_uri()),
    ] {
        let balancer = machine();
        let setup = Setup {
            directory: Some(format!("{url}\nsend-proxy-protocol = true")),
            listener: format!("tls = \"none\"\nproxy-protocol-from = [\"{balancer}/32\"]"),
            ..Setup::default()
        };
        let stage = Stage::new(setup).await?;
        let mut client = stage.client(machine()).await?;
        assert_eq!(client.bind(&stage.dn("alice"), "alice-secret").await?.code as i32, 0, "{url}");
        assert_eq!(stage.last_access().await?["access"]["account"]["login"], "alice", "the look-up has worked: {url}");
        wait_for_line(&slapd, &format!("ACCEPT from IP={} ", client.local_addr())).await?;

        let port = stage.ldap.port();
        let header = format!("PROXY TCP4 198.51.100.7 10.0.0.1 {port} 389\r\n");
        let mut client = LdapClient::connect_saying(stage.ldap, balancer, header.as_bytes()).await?;
        client.set_timeout(PATIENCE);
        assert_eq!(client.bind(&stage.dn("bob"), "bob-secret").await?.code as i32, 0, "{url}");
        wait_for_line(&slapd, &format!("ACCEPT from IP=198.51.100.7:{port} ")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_directory_that_expects_no_header_is_an_error_and_lets_nobody_in() -> Result<()> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    let text = std::fs::read_to_string(stage.config_file())?;
    let changed = text.replacen("[directory]", "[directory]\nsend-proxy-protocol = true", 1);
    std::fs::write(stage.config_file(), changed)?;
    let mut stage = stage;
    stage.start().await?;
    let mut client = stage.client(machine()).await?;
    assert!(!client.bind(&stage.dn("alice"), "alice-secret").await.is_ok_and(|result| result.code as i32 == 0));
    Ok(())
}
