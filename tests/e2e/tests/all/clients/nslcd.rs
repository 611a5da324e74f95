//! nslcd, the daemon behind `nss-pam-ldapd`, by which Linux machines know people and check their passwords.
//!
//! It has its configuration at a fixed place in `/etc` and its socket at one in `/run`. Here it runs in a mount namespace of
//! its own, in which these places show the test's folder; the machine's own are not touched, and no other
//! process sees what is mounted. Chosen over SSSD because it needs no system bus and neither NSS nor PAM of the machine
//! has to be set up for it: its own `getent.ldap` and a request on its socket do what these would do.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::process::Child;
use tempfile::TempDir;

use super::{
    BASE_DN, BOTH, Ended, PATIENCE, Protection, SERVICE, SERVICE_PASSWORD, Server, Task, World, command, finish,
    folder, is_the_same_through_the_gateway, require, waits_for_the_phone,
};

/// `$1` is the configuration. Nothing of what is mounted is seen outside.
const START: &str = r#"
mount --bind "$1" /etc/nslcd.conf &&
mount -t tmpfs -o mode=0755 tmpfs /run &&
mkdir /run/nslcd &&
exec /usr/sbin/nslcd -d
"#;

struct Nslcd {
    // Dropped first: the process ends before its folder goes.
    child: Child,
    _folder: TempDir,
}

impl Nslcd {
    async fn start(server: &Server) -> Result<Self> {
        for (file, package) in [
            ("/usr/sbin/nslcd", "nslcd"),
            ("/etc/nslcd.conf", "nslcd"),
            ("/usr/bin/getent.ldap", "nslcd-utils"),
            ("/usr/bin/unshare", "util-linux"),
        ] {
            require(file, package)?;
        }
        let folder = tempfile::Builder::new().prefix("portcullis-nslcd-").tempdir()?;
        let config = folder.path().join("nslcd.conf");
        std::fs::write(&config, configuration(server))?;
        // There is a password in it; nslcd insists.
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600))?;
        let mut nslcd = command("/usr/bin/unshare");
        nslcd.args(["--mount", "--propagation", "private", "/bin/sh", "-c", START, "nslcd"]).arg(&config);
        let mut child = Child::spawn("nslcd", nslcd.into_std())?;
        let ready = child.wait_for_line("accepting connections", PATIENCE).await;
        ready.context("nslcd does not start in a mount namespace of its own (which only root may make)")?;
        Ok(Self { child, _folder: folder })
    }

    /// Runs a program that asks this nslcd.
    async fn ask(&self, program: &[&str]) -> Result<Ended> {
        let mut inside = command("/usr/bin/nsenter");
        inside.arg("--mount").arg("--target").arg(self.child.pid().to_string()).arg("--").args(program);
        finish(inside, "util-linux").await
    }

    /// What an application learns that looks people up.
    async fn getent(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.ask(&[&["/usr/bin/getent.ldap"], arguments].concat()).await?;
        Ok(format!("getent {}\n{}{}", ended.code, ended.stdout, ended.stderr))
    }

    /// What PAM asks for; the answer is one line.
    async fn pam(&self, arguments: &[&str]) -> Result<String> {
        let script = folder().join("nslcd_client.py").display().to_string();
        let ended = self.ask(&[&["/usr/bin/python3", "-B", &script], arguments].concat()).await?;
        let log = self.child.output().lines();
        ensure!(ended.code == 0, "{}\n{}", ended.stderr, log[log.len().saturating_sub(20)..].join("\n"));
        Ok(ended.stdout)
    }
}

fn configuration(server: &Server) -> String {
    let start_tls = if server.protection == Protection::StartTls { "ssl start_tls" } else { "" };
    format!(
        r#"uri {uri}
base {BASE_DN}
binddn {SERVICE}
bindpw {SERVICE_PASSWORD}
tls_cacertfile {ca}
tls_reqcert demand
{start_tls}
threads 2
pagesize 50
bind_timelimit 20
timelimit 20
reconnect_sleeptime 1
reconnect_retrytime 1
filter passwd (objectClass=inetOrgPerson)
map passwd uidNumber employeeNumber
map passwd gidNumber departmentNumber
map passwd homeDirectory "/home/$uid"
map passwd loginShell "/bin/sh"
map passwd gecos cn
"#,
        uri = server.uri(),
        ca = server.ca.display(),
    )
}

async fn run(_world: &World, server: &Server, uid: &str, task: Task) -> Result<String> {
    let nslcd = Nslcd::start(server).await?;
    let (old, new) = (format!("{uid}-secret"), "new, schön");
    let mut seen = nslcd.pam(&["login", uid, &old]).await?;
    if task == Task::Login {
        return Ok(seen);
    }
    seen += &nslcd.pam(&["login", uid, "wrong"]).await?;
    seen += &nslcd.pam(&["login", "nobody-of-the-company", "wrong"]).await?;
    let everybody = nslcd.getent(&["passwd"]).await?;
    let _ = writeln!(seen, "entries {}", everybody.lines().filter(|line| line.contains(":/home/")).count());
    seen += &everybody;
    seen += &nslcd.getent(&["passwd", "bob"]).await?;
    seen += &nslcd.getent(&["passwd", "nobody-of-the-company"]).await?;
    seen += &nslcd.pam(&["passwd", uid, "wrong", new]).await?;
    seen += &nslcd.pam(&["passwd", uid, &old, new]).await?;
    for password in [&old, new] {
        seen += &nslcd.pam(&["login", uid, password]).await?;
    }
    seen += &nslcd.pam(&["passwd", uid, new, &old]).await?;
    seen += &nslcd.pam(&["login", uid, &old]).await?;
    Ok(seen)
}

#[tokio::test]
async fn nslcd_sees_no_difference() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    let lines = [
        "login 0",
        "login 49",
        "login unknown",
        "entries 200",
        "getent 0",
        "bob:*:1002:200:Bob Baker:/home/bob:/bin/sh",
        "passwd 49",
        "passwd 0",
    ];
    is_the_same_through_the_gateway(&world, BOTH, client, &lines).await
}

#[tokio::test]
async fn nslcd_waits_for_the_phone() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    waits_for_the_phone(&world, Protection::Ldaps, client).await
}
