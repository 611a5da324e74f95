//! A gateway with everything around it, ready for one test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::company::Company;
use portcullis_lab::net::own_address;
use portcullis_lab::okta::{Okta, OktaOptions};
use portcullis_lab::pki::Pki;
use portcullis_lab::process::Child;
use portcullis_lab::slapd::{Extras, Slapd};
use portcullis_lab::tools::Tools;
use serde_json::Value;
use tempfile::TempDir;

/// Whatever a gateway does, it does it within this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The policy of the main job: a person on an unusual machine is asked through Okta Verify.
pub(crate) const UNUSUAL_ENDPOINT: &str = r#"
[[policy]]
name = "unusual-endpoint"
plugin = "rules.wasm"
mode = "enforce"
fail = "closed"

[[policy.settings.rules]]
name = "A person on an unusual machine"
when = { signal = ["unusual-endpoint"], kind = ["human", "unknown"] }

[policy.settings.rules.then.challenge]
connector = "okta-verify"
timeout-seconds = 20
"#;

/// The part of `[directory]` that fits the company in OpenLDAP.
const OPENLDAP: &str = r#"
base = "dc=example,dc=com"
schema = "rfc2307"
service-account = "cn=portcullis,ou=services,dc=example,dc=com"
password = { plain-text = "portcullis-secret" }
privileged-groups = ["cn=admins,ou=groups,dc=example,dc=com"]
service-accounts-under = ["ou=services,dc=example,dc=com"]
"#;

/// What a test wants to be different.
pub(crate) struct Setup {
    /// Everything from the first `[[policy]]` on.
    pub(crate) policies: String,
    /// More lines for `[[listener]]`, `[directory]` and at the top level.
    pub(crate) listener: String,
    pub(crate) directory: Option<String>,
    /// What kind of directory it is, and as whom the gateway reads it.
    pub(crate) accounts: String,
    pub(crate) sections: String,
    pub(crate) learning_accesses: u32,
    pub(crate) okta: OktaOptions,
    /// What stands under `[connector.cloud]` of a connector `okta`, which is there with it only.
    pub(crate) cloud: Option<String>,
    /// Plugin folder; what `cargo xtask plugins` made unless given.
    pub(crate) plugins: Option<PathBuf>,
    /// What the directory has beyond the company.
    pub(crate) extras: Extras,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policies: UNUSUAL_ENDPOINT.to_owned(),
            listener: "tls = \"none\"".to_owned(),
            directory: None,
            accounts: OPENLDAP.to_owned(),
            sections: String::new(),
            learning_accesses: 1,
            okta: OktaOptions::default(),
            cloud: None,
            plugins: None,
            extras: Extras::default(),
        }
    }
}

/// The gateway and its world.
pub(crate) struct Stage {
    pub(crate) company: Company,
    pub(crate) slapd: Slapd,
    pub(crate) okta: Okta,
    pub(crate) pki: Pki,
    pub(crate) folder: TempDir,
    pub(crate) ldap: SocketAddr,
    pub(crate) web: SocketAddr,
    gateway: Option<Child>,
    password: Option<String>,
}

impl Stage {
    pub(crate) async fn new(setup: Setup) -> Result<Self> {
        let mut stage = Self::without_gateway(setup).await?;
        stage.start().await?;
        Ok(stage)
    }

    /// Everything but the gateway, with its configuration written.
    pub(crate) async fn without_gateway(setup: Setup) -> Result<Self> {
        // For reqwest; a second time it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let company = Company::generate();
        let slapd = {
            let (company, extras) = (company.clone(), setup.extras.clone());
            tokio::task::spawn_blocking(move || Slapd::start_with(&company, &extras)).await??
        };
        let okta = Okta::start(&company, setup.okta.clone()).await?;
        let certificates = folder.path().join("pki");
        std::fs::create_dir(&certificates)?;
        let pki = Pki::create(&certificates)?;
        let own: IpAddr = own_address().into();
        let port = || portcullis_lab::net::free_port(own).map(|port| SocketAddr::new(own, port));
        let (ldap, web) = (port()?, port()?);
        let stage = Self { company, slapd, okta, pki, folder, ldap, web, gateway: None, password: None };
        stage.pki.issue("gateway", &[&own.to_string(), "gateway.example.com"])?;
        std::fs::write(stage.folder.path().join("okta-token"), format!("{}\n", setup.okta.token))?;
        std::fs::write(stage.config_file(), stage.configuration(&setup)?)?;
        Ok(stage)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("portcullis.toml")
    }

    fn configuration(&self, setup: &Setup) -> Result<String> {
        let directory = setup.directory.clone().unwrap_or_else(|| {
            format!("url = \"{}\"\nca-file = \"{}\"", self.slapd.ldaps_uri(), self.slapd.ca_pem_path().display())
        });
        let plugins = setup.plugins.clone().unwrap_or_else(|| dist().join("plugins"));
        ensure!(
            setup.plugins.is_some() || plugins.join("rules.wasm").is_file(),
            "{} has no plugins: run `cargo xtask plugins` first",
            plugins.display()
        );
        let mut text = format!(
            r#"
data-folder = "data"
[log]
level = "debug"
[directory]
{directory}
{accounts}
cache-seconds = 1
[[listener]]
name = "wiki"
address = "{ldap}"
{listener}
[web]
address = "{web}"
public-url = "http://{web}"
[plugins]
folder = "{plugins}"
trusted-keys = ["{key}"]
[[connector]]
name = "okta-verify"
plugin = "okta-verify.wasm"
domain = "acme.okta.com"
base-url = "{okta}"
ca-file = "{okta_ca}"
token = {{ file = "okta-token" }}
[behavior]
learning-days = 0
learning-accesses = {learning}
[challenge]
timeout-seconds = 20
"#,
            accounts = setup.accounts,
            ldap = self.ldap,
            web = self.web,
            listener = setup.listener,
            plugins = plugins.display(),
            key = dist().join("keys/dev.pub").display(),
            okta = self.okta.base_url(),
            okta_ca = self.okta.ca_pem_path().display(),
            learning = setup.learning_accesses,
        );
        if let Some(cloud) = &setup.cloud {
            text.push_str(&format!(
                r#"
[[connector]]
name = "okta"
plugin = "okta-sso.wasm"
domain = "acme.okta.com"
base-url = "{}"
ca-file = "{}"
token = {{ file = "okta-token" }}
[connector.cloud]
{cloud}
[connector.settings]
poll-seconds = 2
"#,
                self.okta.base_url(),
                self.okta.ca_pem_path().display()
            ));
        }
        // Sections of the test's own can name the simulator, whose address nobody knows before.
        let ca = self.okta.ca_pem_path().display().to_string();
        text.push_str(&setup.sections.replace("@OKTA@", self.okta.base_url()).replace("@OKTA-CA@", &ca));
        text.push_str(&setup.policies);
        Ok(text)
    }

    pub(crate) async fn start(&mut self) -> Result<()> {
        let mut command = Command::new(binary()?);
        command.arg("run").arg("--config").arg(self.config_file());
        self.start_by(command).await
    }

    /// Starts the gateway by a command of the test's own.
    pub(crate) async fn start_by(&mut self, mut command: Command) -> Result<()> {
        command.env_remove("PORTCULLIS_LOG");
        // Large blocks go back to the system when they are freed, so that what is resident is what is used.
        command.env("MALLOC_MMAP_THRESHOLD_", "131072").env("MALLOC_TRIM_THRESHOLD_", "131072");
        let mut gateway = Child::spawn("portcullis", command)?;
        gateway.wait_for_line("portcullis is ready", PATIENCE).await?;
        if let Some(line) = gateway.output().find("console first sign-in: ") {
            self.password = line.rsplit(' ').next().map(str::to_owned);
        }
        self.gateway = Some(gateway);
        Ok(())
    }

    pub(crate) fn gateway(&mut self) -> &mut Child {
        self.gateway.as_mut().expect("the gateway runs")
    }

    /// Ends the gateway as an administrator does.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(mut gateway) = self.gateway.take() {
            gateway.stop(PATIENCE)?;
        }
        Ok(())
    }

    /// Ends the gateway with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut gateway) = self.gateway.take() {
            gateway.kill()?;
        }
        Ok(())
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.gateway.as_ref().map(|gateway| gateway.output().lines()).unwrap_or_default()
    }

    pub(crate) async fn wait_for_log(&self, needle: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.log().into_iter().find(|line| line.contains(needle)) {
                return Ok(line);
            }
            if begun.elapsed() > PATIENCE {
                bail!("the log never said {needle:?}:\n{}", self.log().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn dn(&self, uid: &str) -> String {
        self.company.person(uid).expect("one of the company").dn.clone()
    }

    pub(crate) async fn client(&self, from: IpAddr) -> Result<LdapClient> {
        let mut client = LdapClient::connect(self.ldap, from).await?;
        client.set_timeout(PATIENCE);
        Ok(client)
    }

    /// Binds from a machine and returns result code and diagnostic message.
    pub(crate) async fn bind_from(&self, from: IpAddr, uid: &str, password: &str) -> Result<(i64, String)> {
        let mut client = self.client(from).await?;
        let result = client.bind(&self.dn(uid), password).await?;
        client.unbind().await?;
        Ok((i64::from(result.code as i32), result.message))
    }

    /// A first bind from the machine that is then the usual one.
    pub(crate) async fn learn(&self, from: IpAddr, uid: &str) -> Result<()> {
        let (code, message) = self.bind_from(from, uid, &format!("{uid}-secret")).await?;
        ensure!(code == 0, "the first bind gave {code} {message}");
        Ok(())
    }

    /// OpenLDAP's command line clients at the gateway; they come from 127.0.0.1.
    pub(crate) fn tools(&self, uid: &str, password: &str) -> Tools {
        Tools::new(format!("ldap://{}", self.ldap)).bind(self.dn(uid), password).timeout(PATIENCE)
    }

    /// Runs the binary with these arguments and the configuration.
    pub(crate) async fn portcullis(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        run(arguments
            .iter()
            .map(|a| (*a).to_owned())
            .chain(["--config".to_owned(), self.config_file().display().to_string()])
            .collect())
        .await
    }

    /// All events, the oldest first, read from the file with the gateway running or not.
    pub(crate) async fn events(&self) -> Result<Vec<Value>> {
        let (code, out, err) = self.portcullis(&["events", "list", "--limit", "1000"]).await?;
        ensure!(code == 0, "events list: {err}");
        out.lines().map(|line| serde_json::from_str(line).context("an event is no JSON")).collect()
    }

    /// Waits until so many events of the gateway itself have this action, and makes sure that there are no more.
    pub(crate) async fn wait_for_event(&self, action: &str, wanted: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let events = self.events().await?;
            let count = events.iter().filter(|event| event["action"] == action).count();
            if count >= wanted {
                ensure!(count == wanted, "{action} happened {count} times: {events:?}");
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{action} happened {count} times only: {events:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Access events only.
    pub(crate) async fn accesses(&self) -> Result<Vec<Value>> {
        Ok(self.events().await?.into_iter().filter(|event| event["type"] == "access").collect())
    }

    pub(crate) async fn last_access(&self) -> Result<Value> {
        self.accesses().await?.pop().context("there is no access event")
    }

    /// Signs in to the console with the first password.
    pub(crate) async fn console(&self) -> Result<Console> {
        let password = self.password.clone().context("no first password was printed")?;
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build()?;
        let base = format!("http://{}", self.web);
        let body = format!("login=admin&password={password}");
        let answer = http
            .post(format!("{base}/sign-in"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await?;
        ensure!(answer.status().as_u16() == 303, "sign-in gave {}", answer.status());
        let cookie = answer.headers().get("set-cookie").context("no cookie")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Console { http, base, cookie })
    }

    /// Waits until there are so many pushes at the account's phone in all, and makes sure that there are no more.
    pub(crate) async fn wait_for_pushes(&self, login: &str, wanted: usize) -> Result<()> {
        let begun = Instant::now();
        while self.okta.pushes_started(login)? < wanted {
            ensure!(begun.elapsed() < PATIENCE, "the phone of {login} did not ring:\n{}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ensure!(self.okta.pushes_started(login)? == wanted, "the phone of {login} rang too often");
        Ok(())
    }
}

/// A signed-in console.
pub(crate) struct Console {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

impl Console {
    /// What a browser has to send to be signed in.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        let answer = self.http.get(format!("{}{path}", self.base)).header("cookie", &self.cookie).send().await?;
        ensure!(answer.status().is_success(), "{path} gave {}", answer.status());
        Ok(answer.text().await?)
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> Result<u16> {
        let request = self.http.post(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        Ok(request.send().await?.status().as_u16())
    }

    pub(crate) async fn incidents(&self) -> Result<Vec<Value>> {
        let body: Value = serde_json::from_str(&self.get("/api/v1/incidents").await?)?;
        body["incidents"].as_array().cloned().context("no list of incidents")
    }
}

/// A machine: an address of its own that nobody else in the tests has.
pub(crate) fn machine() -> IpAddr {
    IpAddr::V4(own_address())
}

/// Where OpenLDAP's clients come from.
pub(crate) const TOOLS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Runs the binary to its end.
pub(crate) async fn run(arguments: Vec<String>) -> Result<(i32, String, String)> {
    let mut command = tokio::process::Command::new(binary()?);
    command.args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.context("portcullis did not end")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
}

/// The gateway that `cargo build` put beside these tests.
pub(crate) fn binary() -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let binary = tests.parent().and_then(Path::parent).context("no target folder")?.join("portcullis");
    ensure!(binary.is_file(), "{} is missing: run `cargo build -p portcullis-gateway` first", binary.display());
    Ok(binary)
}

/// What `cargo xtask plugins` makes.
pub(crate) fn dist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist")
}
