//! Clients that applications really use, in front of a real slapd: through the gateway they see what they see without it,
//! and a challenge on the phone is for them a bind that takes longer.

mod apache;
mod curl;
mod ldap_utils;
mod nslcd;
mod scripts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::company::BASE_DN;
use portcullis_lab::net::free_port;
use portcullis_lab::okta::Behaviour;
use portcullis_lab::proto::LdapResultCode;
use tokio::process::Command;

use crate::stage::{PATIENCE, Setup, Stage, machine};

/// The program's account, for those that look people up before they bind as them.
const SERVICE: &str = "cn=wiki,ou=services,dc=example,dc=com";
const SERVICE_PASSWORD: &str = "wiki-secret";

const BOB: &str = "bob@example.com";

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    Ldaps,
    StartTls,
}

const BOTH: &[Protection] = &[Protection::Ldaps, Protection::StartTls];

/// Where a client connects, and whom it trusts.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) protection: Protection,
    pub(crate) ca: PathBuf,
}

impl Server {
    pub(crate) fn uri(&self) -> String {
        match self.protection {
            Protection::Ldaps => format!("ldaps://{}", self.address),
            Protection::StartTls => format!("ldap://{}", self.address),
        }
    }
}

/// What a client is to do, as `tests/e2e/clients/README.md` describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Login,
    Tour,
}

/// A gateway with a listener for each protection, and a policy that challenges on unusual machines.
pub(crate) struct World {
    pub(crate) stage: Stage,
    start_tls: SocketAddr,
}

impl World {
    pub(crate) async fn new() -> Result<Self> {
        let files = "certificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"";
        let setup = Setup { listener: format!("tls = \"ldaps\"\n{files}"), ..Setup::default() };
        let mut stage = Stage::without_gateway(setup).await?;
        let start_tls = SocketAddr::new(stage.ldap.ip(), free_port(stage.ldap.ip())?);
        let mut text = std::fs::read_to_string(stage.config_file())?;
        text.push_str(&format!(
            "\n[[listener]]\nname = \"mail\"\naddress = \"{start_tls}\"\ntls = \"start-tls\"\nrequire-tls = true\n{files}\n"
        ));
        std::fs::write(stage.config_file(), text)?;
        stage.start().await?;
        Ok(Self { stage, start_tls })
    }

    /// The gateway.
    pub(crate) fn through(&self, protection: Protection) -> Server {
        let address = if protection == Protection::Ldaps { self.stage.ldap } else { self.start_tls };
        Server { address, protection, ca: self.stage.pki.ca_pem_path().to_owned() }
    }

    /// The directory itself.
    pub(crate) fn direct(&self, protection: Protection) -> Server {
        let slapd = &self.stage.slapd;
        let address = if protection == Protection::Ldaps { slapd.ldaps_addr() } else { slapd.addr() };
        Server { address, protection, ca: slapd.ca_pem_path().to_owned() }
    }

    /// The gateway, with somebody trusted who did not sign its certificate.
    pub(crate) fn mistrusted(&self, protection: Protection) -> Server {
        Server { ca: self.stage.slapd.ca_pem_path().to_owned(), ..self.through(protection) }
    }
}

/// Lets alice do everything with the client at the directory and through the gateway, and compares what it wrote. The client
/// must have seen all of the given lines, so that two equal failures are no success. Then it must not speak to a
/// gateway whose certificate it has no reason to trust.
async fn is_the_same_through_the_gateway(
    world: &World,
    protections: &[Protection],
    client: impl AsyncFn(&Server, &str, Task) -> Result<String>,
    lines: &[&str],
) -> Result<()> {
    for &protection in protections {
        let there = client(&world.direct(protection), "alice", Task::Tour).await?;
        let here = client(&world.through(protection), "alice", Task::Tour).await?;
        for (nth, (here, there)) in here.lines().zip(there.lines()).enumerate() {
            assert_eq!(here, there, "{protection:?}: line {}", nth + 1);
        }
        assert_eq!(here.lines().count(), there.lines().count(), "{protection:?}");
        for line in lines {
            let short: Vec<&str> = there.lines().filter(|line| !line.starts_with("uid=")).collect();
            let found = there.lines().any(|seen| seen.starts_with(line));
            assert!(found, "{protection:?}: no line {line:?}; people left out:\n{}", short.join("\n"));
        }
        // That it ends with an error of its own is as good as a result code.
        if let Ok(seen) = client(&world.mistrusted(protection), "alice", Task::Login).await {
            assert!(!seen.starts_with("login 0"), "{protection:?}: it took a stranger's certificate: {seen}");
        }
    }
    assert_eq!(world.stage.okta.pushes_started("alice@example.com")?, 0, "this machine is the usual one");
    let accesses = world.stage.accesses().await?;
    for (decision, login) in [("allow", "alice"), ("refused", "alice")] {
        let found = accesses.iter().any(|event| {
            event["decision"] == decision
                && event["access"]["account"]["login"] == login
                && event["access"]["endpoint"]["address"] == "127.0.0.1"
        });
        assert!(found, "no {decision} of {login} among {accesses:?}");
    }
    Ok(())
}

/// bob's usual machine is another one than that of these clients. He denies the first login on his phone and approves the second.
async fn waits_for_the_phone(
    world: &World,
    protection: Protection,
    client: impl AsyncFn(&Server, &str, Task) -> Result<String>,
) -> Result<()> {
    let stage = &world.stage;
    let server = world.through(protection);
    bob_is_elsewhere(world).await?;
    stage.okta.on_push(BOB, Behaviour::RejectAfter(Duration::from_millis(200)))?;
    let denied = client(&server, "bob", Task::Login).await?;
    assert!(denied.starts_with("login 49"), "denied: {denied}");
    let event = last_of_bob(stage).await?;
    assert_eq!((&event["decision"], &event["challenges"][0]["outcome"]), (&"block".into(), &"denied".into()));

    stage.okta.on_push(BOB, Behaviour::ApproveAfter(Duration::from_secs(1)))?;
    let approved = client(&server, "bob", Task::Login).await?;
    assert!(approved.starts_with("login 0"), "approved: {approved}");
    let event = last_of_bob(stage).await?;
    assert_eq!((&event["decision"], &event["access"]["endpoint"]["address"]), (&"allow".into(), &"127.0.0.1".into()));
    assert_eq!(stage.okta.pushes_started(BOB)?, 2, "one push for each login");
    Ok(())
}

async fn last_of_bob(stage: &Stage) -> Result<serde_json::Value> {
    let found = stage.accesses().await?.into_iter().rfind(|event| event["access"]["account"]["login"] == "bob");
    found.context("no event of bob")
}

/// A first bind teaches that bob's usual machine is one of his own.
async fn bob_is_elsewhere(world: &World) -> Result<()> {
    let (stage, host) = (&world.stage, world.stage.ldap.ip().to_string());
    let mut client = LdapClient::connect_tls(stage.ldap, machine(), stage.pki.client_config()?, &host).await?;
    let result = client.bind(&stage.dn("bob"), "bob-secret").await?;
    ensure!(result.code == LdapResultCode::Success, "the first bind gave {result:?}");
    client.unbind().await
}

/// A program with nothing in its environment that a user or a system could have changed.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    command.env("LDAPCONF", "/dev/null").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// How a client ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs a client to its end.
async fn finish(mut command: Command, package: &str) -> Result<Ended> {
    let program = command.as_std().get_program().display().to_string();
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => bail!("{}", advice(&program, package)),
        Ok(output) => output.with_context(|| format!("cannot run {program}"))?,
        Err(_) => bail!("{program} was still running after {PATIENCE:?}"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Ok(Ended { code, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

fn advice(program: &str, package: &str) -> String {
    format!("{program} is missing: run `cargo xtask test`, or apt-get install --no-install-recommends {package}")
}

fn require(file: &str, package: &str) -> Result<()> {
    ensure!(Path::new(file).exists(), "{}", advice(file, package));
    Ok(())
}

/// Where the clients are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}
