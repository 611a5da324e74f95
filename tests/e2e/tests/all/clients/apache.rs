//! Apache's `mod_authnz_ldap`: it searches with an account of its own, on connections that it keeps, and binds as whoever
//! logs in to a page on the same connections.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use portcullis_lab::net::{free_port, own_address, wait_listening};
use portcullis_lab::process::Child;
use tempfile::TempDir;

use super::{
    BASE_DN, BOB, BOTH, PATIENCE, Protection, SERVICE, SERVICE_PASSWORD, Server, Task, World, bob_is_elsewhere,
    command, is_the_same_through_the_gateway, require, waits_for_the_phone,
};

const APACHE: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// A web server in a folder of its own, whose pages are for people of the directory.
struct Apache {
    // Dropped first: the process ends before its folder goes.
    _child: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Apache {
    async fn start(server: &Server) -> Result<Self> {
        require(APACHE, "apache2-bin")?;
        let folder = tempfile::Builder::new().prefix("portcullis-apache-").tempdir()?;
        // Its workers run as another user and read the page and the certificate.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        std::fs::copy(&server.ca, folder.path().join("ca.pem"))?;
        for page in ["anybody", "engineers", "sales"] {
            std::fs::create_dir_all(folder.path().join("pages"))?;
            std::fs::write(folder.path().join("pages").join(page), page)?;
        }
        let ip = IpAddr::V4(own_address());
        let address = SocketAddr::new(ip, free_port(ip)?);
        let config = folder.path().join("apache.conf");
        std::fs::write(&config, configuration(&folder, address, server))?;
        let mut apache = command(APACHE);
        apache.arg("-DFOREGROUND").arg("-d").arg(folder.path()).arg("-f").arg(&config);
        let child = Child::spawn("apache2", apache.into_std())?;
        let this = Self { _child: child, folder, address };
        let listening = wait_listening(address, PATIENCE).await;
        ensure!(listening.is_ok(), "apache2 does not start: {:?}\n{}", this._child.output().lines(), this.log());
        Ok(this)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    /// Status and who Apache says it was.
    async fn get(&self, page: &str, user: &str, password: &str) -> Result<(u16, String)> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let request = http.get(format!("http://{}/{page}", self.address)).basic_auth(user, Some(password));
        let answer = request.send().await?;
        let user = answer.headers().get("x-user").and_then(|user| user.to_str().ok()).unwrap_or_default();
        Ok((answer.status().as_u16(), user.to_owned()))
    }
}

fn configuration(folder: &TempDir, address: SocketAddr, server: &Server) -> String {
    let mode = if server.protection == Protection::StartTls { " STARTTLS" } else { "" };
    let mut text = String::new();
    for module in
        ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "ldap", "authnz_ldap", "headers"]
    {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "LoadModule {module}_module {MODULES}/mod_{module}.so");
    }
    let _ = write!(
        text,
        r#"
Listen {address}
ServerName lab
PidFile apache.pid
ErrorLog error.log
LogLevel warn ldap:debug authnz_ldap:debug
Mutex file:{folder} default
<IfModule unixd_module>
User www-data
Group www-data
</IfModule>
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
MinSpareThreads 1
MaxSpareThreads 8
DocumentRoot "{folder}/pages"
LDAPTrustedGlobalCert CA_BASE64 "{folder}/ca.pem"
LDAPVerifyServerCert On
LDAPConnectionTimeout 20
LDAPTimeout 20
# Every page asks the directory anew.
LDAPCacheEntries 0
LDAPOpCacheEntries 0
<Location "/">
AuthType Basic
AuthName "lab"
AuthBasicProvider ldap
AuthLDAPURL "{uri}/{BASE_DN}?uid,mail?sub?(objectClass=inetOrgPerson)"{mode}
AuthLDAPBindDN "{SERVICE}"
AuthLDAPBindPassword "{SERVICE_PASSWORD}"
AuthLDAPRemoteUserAttribute mail
Header always set X-User "expr=%{{REMOTE_USER}}"
Require valid-user
</Location>
<Location "/engineers">
Require ldap-group cn=engineers,ou=groups,{BASE_DN}
</Location>
<Location "/sales">
Require ldap-attribute departmentNumber=200
</Location>
"#,
        folder = folder.path().display(),
        uri = server.uri(),
    );
    text
}

/// One line per page: what was asked, and what Apache said. A login to the page for anybody is told as a result code.
async fn run(_world: &World, server: &Server, uid: &str, task: Task) -> Result<String> {
    let apache = Apache::start(server).await?;
    let password = format!("{uid}-secret");
    let mut seen = String::new();
    let mut login = async |password: &str| {
        let (status, user) = apache.get("anybody", uid, password).await?;
        let code = match status {
            200 => "0".to_owned(),
            401 => "49".to_owned(),
            other => format!("HTTP {other}"),
        };
        let _ = writeln!(seen, "login {code} {user}");
        anyhow::Ok(())
    };
    login(&password).await?;
    if task == Task::Login {
        return Ok(seen);
    }
    login("wrong").await?;
    login("").await?;
    login(&password).await?;
    for (page, user, password) in [
        ("engineers", uid, password.as_str()),
        ("sales", uid, &password),
        ("sales", "bob", "bob-secret"),
        ("engineers", "bob", "bob-secret"),
        ("engineers", "bob", "wrong"),
        ("anybody", "nobody", "nothing"),
        ("anybody", "*", &password),
    ] {
        let (status, who) = apache.get(page, user, password).await?;
        let _ = writeln!(seen, "{page} for {user}: {status} {who}");
    }
    Ok(seen)
}

#[tokio::test]
async fn apache_sees_no_difference() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    let lines = [
        "login 0 alice@example.com",
        "login 49",
        "engineers for alice: 200 alice@example.com",
        "sales for alice: 401",
        "sales for bob: 200 bob@example.com",
        "engineers for bob: 401",
        "anybody for nobody: 401",
        "anybody for *: 401",
    ];
    is_the_same_through_the_gateway(&world, BOTH, client, &lines).await
}

#[tokio::test]
async fn apache_waits_for_the_phone() -> Result<()> {
    let world = World::new().await?;
    let client = async |server: &Server, uid: &str, task| run(&world, server, uid, task).await;
    waits_for_the_phone(&world, Protection::StartTls, client).await
}

#[tokio::test]
async fn apache_serves_others_while_one_waits_for_the_phone() -> Result<()> {
    let world = World::new().await?;
    bob_is_elsewhere(&world).await?;
    let apache = Apache::start(&world.through(Protection::Ldaps)).await?;
    let others = async {
        world.stage.wait_for_pushes(BOB, 1).await?;
        let alice = apache.get("anybody", "alice", "alice-secret").await?;
        ensure!(world.stage.okta.approve(BOB)? == 1, "bob's push is open until here");
        Ok(alice)
    };
    let (bob, alice) = tokio::try_join!(apache.get("anybody", "bob", "bob-secret"), others)?;
    assert_eq!((alice.0, bob.0), (200, 200));
    Ok(())
}
