//! Libraries of Python, Perl and JavaScript, each behind a small application in `tests/e2e/clients`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::OnceCell;

use super::{
    BASE_DN, BOTH, Protection, Server, Task, World, command, finish, folder, is_the_same_through_the_gateway,
    waits_for_the_phone,
};

/// What every application has to have seen on its tour.
const SEEN: [&str; 11] = [
    "login 0",
    "login 49",
    "whoami dn:uid=alice,ou=engineering,ou=people,dc=example,dc=com",
    "uid=bob,ou=sales,ou=people,dc=example,dc=com ",
    "change 0",
    "read ",
    "change other 50",
    "missing 32",
    "change password wrongly 53",
    "change password 0",
    "change password back 0",
];

/// An interpreter with the application that it runs.
struct Script {
    interpreter: &'static str,
    file: PathBuf,
    package: &'static str,
}

impl Script {
    fn new(interpreter: &'static str, file: &str, package: &'static str) -> Self {
        Self { interpreter, file: folder().join(file), package }
    }

    async fn run(&self, world: &World, server: &Server, uid: &str, task: Task) -> Result<String> {
        let mut command = command(self.interpreter);
        command.arg(&self.file).arg(if task == Task::Tour { "tour" } else { "login" });
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("LAB_URI", server.uri()).env("LAB_CA", &server.ca);
        command.env("LAB_START_TLS", if server.protection == Protection::StartTls { "yes" } else { "no" });
        command.env("LAB_BASE", BASE_DN).env("LAB_DN", world.stage.dn(uid));
        command.env("LAB_OTHER_DN", world.stage.dn("carol")).env("LAB_PASSWORD", format!("{uid}-secret"));
        let ended = finish(command, self.package).await?;
        let name = self.file.display();
        ensure!(
            ended.code == 0,
            "{name} ended with {} (it needs {}):\n{}\n{}",
            ended.code,
            self.package,
            ended.stdout,
            ended.stderr
        );
        Ok(ended.stdout)
    }

    async fn tour(&self, more: &[&str]) -> Result<()> {
        let world = World::new().await?;
        let client = async |server: &Server, uid: &str, task| self.run(&world, server, uid, task).await;
        is_the_same_through_the_gateway(&world, BOTH, client, &[&SEEN, more].concat()).await
    }

    async fn challenge(&self, protection: Protection) -> Result<()> {
        let world = World::new().await?;
        let client = async |server: &Server, uid: &str, task| self.run(&world, server, uid, task).await;
        waits_for_the_phone(&world, protection, client).await
    }
}

fn python_ldap() -> Script {
    // Debian's own interpreter, because the library is Debian's.
    Script::new("/usr/bin/python3", "python_ldap.py", "python3-ldap")
}

fn ldap3() -> Script {
    Script::new("/usr/bin/python3", "ldap3_client.py", "python3-ldap3")
}

fn net_ldap() -> Script {
    Script::new("/usr/bin/perl", "net_ldap.pl", "libnet-ldap-perl libio-socket-ssl-perl")
}

/// Installs the library where the tests keep what they make, once for all tests; what is there already is taken.
async fn ldapts() -> Result<Script> {
    static READY: OnceCell<PathBuf> = OnceCell::const_new();
    let file = READY.get_or_try_init(install_ldapts).await?;
    Ok(Script { interpreter: "node", file: file.clone(), package: "nodejs npm" })
}

async fn install_ldapts() -> Result<PathBuf> {
    let (source, folder) = (folder().join("ldapts"), PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ldapts"));
    let lock = std::fs::read(source.join("package-lock.json"))?;
    // Written last, so a folder with this file in it is complete and of these versions.
    let complete = folder.join("installed.json");
    if std::fs::read(&complete).is_ok_and(|installed| installed == lock) {
        std::fs::copy(source.join("client.mjs"), folder.join("client.mjs"))?;
        return Ok(folder.join("client.mjs"));
    }
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json", "client.mjs"] {
        std::fs::copy(source.join(file), folder.join(file))?;
    }
    let mut npm = command("npm");
    // `ci` takes the versions of the lock file only, and only with the content of its checksums.
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    // Without a network it has to end before patience does.
    npm.args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=10000"]);
    npm.arg("--cache").arg(folder.join("cache")).current_dir(&folder).env("HOME", &folder);
    for (name, value) in std::env::vars_os() {
        let lower = name.to_string_lossy().to_lowercase();
        // A mirror, a proxy or a company's own authority are the machine's business.
        if lower.starts_with("npm_config_") || lower.ends_with("_proxy") || lower == "node_extra_ca_certs" {
            npm.env(name, value);
        }
    }
    let ended = finish(npm, "nodejs npm").await?;
    ensure!(
        ended.code == 0,
        "npm cannot install ldapts; with the network there, `npm ci` in {} has to work:\n{}",
        folder.display(),
        ended.stderr
    );
    // Nothing asks npm a second time.
    std::fs::remove_dir_all(folder.join("cache"))?;
    std::fs::write(&complete, lock).context("cannot write the mark of a complete installation")?;
    Ok(folder.join("client.mjs"))
}

#[tokio::test]
async fn python_ldap_sees_no_difference() -> Result<()> {
    python_ldap().tour(&["pages 4 entries 200", "compare True"]).await
}

#[tokio::test]
async fn python_ldap_waits_for_the_phone() -> Result<()> {
    python_ldap().challenge(Protection::Ldaps).await
}

#[tokio::test]
async fn ldap3_sees_no_difference() -> Result<()> {
    ldap3().tour(&["entries 200", "compare True", "rebind 49", "rebind 0"]).await
}

#[tokio::test]
async fn ldap3_waits_for_the_phone() -> Result<()> {
    ldap3().challenge(Protection::StartTls).await
}

#[tokio::test]
async fn net_ldap_sees_no_difference() -> Result<()> {
    net_ldap().tour(&["pages 4 entries 200", "compare 6"]).await
}

#[tokio::test]
async fn net_ldap_waits_for_the_phone() -> Result<()> {
    net_ldap().challenge(Protection::Ldaps).await
}

#[tokio::test]
async fn ldapts_sees_no_difference() -> Result<()> {
    ldapts().await?.tour(&["pages 4 entries 200", "compare true"]).await
}

#[tokio::test]
async fn ldapts_waits_for_the_phone() -> Result<()> {
    ldapts().await?.challenge(Protection::StartTls).await
}
