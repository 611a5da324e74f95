//! What an idle connection holds.

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::proto::LdapSearchScope;

use crate::stage::{PATIENCE, Setup, Stage, machine};

/// Connections that are measured, and those before, after which everything that is made once is there.
const CONNECTIONS: u64 = 300;
const BEFORE: u64 = 100;
/// KiB of resident memory that a bound LDAPS connection may hold, its own LDAPS connection to the directory included.
const MOST_KIB: u64 = 40;
/// KiB of a gateway that has not compiled plugins. What the compiler has given back hides what connections take.
const UNUSED_KIB: u64 = 80 * 1024;

/// Resident memory of a process in KiB (proc_pid_status(5)).
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A gateway that has its plugins from the cache.
async fn fresh() -> Result<Stage> {
    let listener = "tls = \"ldaps\"\ncertificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"".to_owned();
    let mut stage = Stage::new(Setup { listener, policies: String::new(), ..Setup::default() }).await?;
    for _ in 0..5 {
        stage.stop()?;
        stage.start().await?;
        let pid = stage.gateway().pid();
        if resident(pid)? < UNUSED_KIB {
            return Ok(stage);
        }
    }
    anyhow::bail!("the gateway takes more than {UNUSED_KIB} KiB before anybody has come")
}

/// KiB that each connection holds which has bound and, where asked for, read the whole directory.
async fn each(reads: bool) -> Result<u64> {
    let mut stage = fresh().await?;
    let (config, host, from) = (stage.pki.client_config()?, stage.ldap.ip().to_string(), machine());
    let (pid, dn) = (stage.gateway().pid(), stage.dn("alice"));
    let mut clients = Vec::new();
    let mut before = 0;
    for number in 0..BEFORE + CONNECTIONS {
        if number == BEFORE {
            before = resident(pid)?;
        }
        let mut client = LdapClient::connect_tls(stage.ldap, from, config.clone(), &host).await?;
        client.set_timeout(PATIENCE);
        ensure!(client.bind(&dn, "alice-secret").await?.code as i32 == 0, "bind {number}");
        if reads {
            let all = ["*", "+"];
            client.search("dc=example,dc=com", LdapSearchScope::Subtree, "(objectClass=*)", &all).await?;
        }
        clients.push(client);
    }
    Ok(resident(pid)?.saturating_sub(before) / CONNECTIONS)
}

#[tokio::test]
async fn an_idle_protected_connection_holds_little_whatever_it_has_done_before() -> Result<()> {
    for reads in [false, true] {
        let each = each(reads).await?;
        println!("{each} KiB for an idle connection that has read much: {reads}");
        ensure!((1..=MOST_KIB).contains(&each), "an idle connection holds {each} KiB, having read much: {reads}");
    }
    Ok(())
}
