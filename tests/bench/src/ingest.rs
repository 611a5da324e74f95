//! How fast the events of a cloud service come in: the gateway with `okta-sso`, the simulated Okta and the sample directory.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use portcullis_lab::company::Company;
use portcullis_lab::directory::Directory;
use portcullis_lab::net::free_port;
use portcullis_lab::okta::{DEFAULT_TOKEN, Okta, OktaOptions};
use portcullis_lab::pki::Pki;
use portcullis_lab::process::Child;

use crate::peers::Programs;
use crate::peers::proc::Processes;
use crate::usage::Usage;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The first start of a gateway compiles its plugin.
const START: Duration = Duration::from_secs(120);
const LONGEST: Duration = Duration::from_secs(600);
/// What Okta's log would have to bring before the gateway were the slower of the two; the target.
const TARGET: f64 = 5_000.0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many sign-ins are in the log
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Where the database is made, and removed again; what the disk takes is part of the result
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::find(None)?;
    let folder = tempfile::Builder::new().prefix("portcullis-bench-").tempdir_in(&arguments.folder)?;
    let company = Company::generate();
    let directory = Directory::start(&company, (HERE, 0).into()).await?;
    let pki = Pki::create(folder.path())?;
    let options = OktaOptions { rate_limit: 1_000_000, ..OktaOptions::default() };
    let okta = Okta::start_with(&company, options, &pki).await?;
    okta.log_sign_ins(0, arguments.events);

    let metrics: SocketAddr = (HERE, free_port(HERE)?).into();
    let config = folder.path().join("portcullis.toml");
    write_secret(folder.path(), "okta-token", DEFAULT_TOKEN)?;
    write_secret(folder.path(), "directory", &company.service("portcullis")?.password)?;
    std::fs::write(&config, configuration(&programs, &directory, &okta, metrics)?)?;
    let mut command = Command::new(&programs.gateway);
    command.arg("run").arg("--config").arg(&config);
    let mut gateway = Child::spawn("portcullis", command)?;
    gateway.wait_for_line("portcullis is ready", START).await?;

    // Of the second half: by then everybody is known and the database has its usual form.
    let half = arguments.events / 2;
    wait_for(metrics, half).await?;
    let (first, begun, here) = (stored(metrics)?, Instant::now(), Usage::now()?);
    let process = Processes::of_one(gateway.pid())?;
    let before = process.time()?;
    wait_for(metrics, arguments.events).await?;
    let (elapsed, used) = (begun.elapsed(), process.time()?.saturating_sub(before));
    let simulator = Usage::now()?.since(&here);
    let events = (arguments.events - first) as f64;
    let rate = events / elapsed.as_secs_f64();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / events;
    println!(
        "{events:.0} events in {:.1} s: {rate:.0} a second, {:.2} x the target",
        elapsed.as_secs_f64(),
        rate / TARGET
    );
    println!("processor time of the gateway for each: {:.0} µs", each(used));
    println!("of the simulated Okta, on the same processors: {:.0} µs", each(simulator.user + simulator.system));
    gateway.stop(Duration::from_secs(20))?;
    okta.stop().await;
    directory.stop().await;
    Ok(())
}

fn write_secret(folder: &Path, name: &str, secret: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
    Ok(file.write_all(secret.as_bytes())?)
}

fn configuration(
    programs: &Programs,
    directory: &Directory,
    okta: &Okta,
    metrics: SocketAddr,
) -> anyhow::Result<String> {
    let text = |text: &str| serde_json::to_string(text);
    let path = |path: &Path| anyhow::Ok(text(path.to_str().context("a path is not Unicode")?)?);
    Ok(format!(
        r#"
data-folder = "data"
[directory]
url = {}
allow-cleartext = true
base = "dc=example,dc=com"
schema = "rfc2307"
service-account = "cn=portcullis,ou=services,dc=example,dc=com"
password = {{ file = "directory" }}
[[listener]]
name = "main"
address = "127.0.0.1:{}"
tls = "none"
[web]
address = "127.0.0.1:{}"
public-url = "http://127.0.0.1:1"
[metrics]
address = "{metrics}"
[plugins]
folder = {}
trusted-keys = [{}]
[[connector]]
name = "okta"
plugin = "okta-sso.wasm"
domain = "acme.okta.com"
base-url = {}
ca-file = {}
token = {{ file = "okta-token" }}
[connector.cloud]
on-block = "none"
"#,
        text(&directory.uri())?,
        free_port(HERE)?,
        free_port(HERE)?,
        path(&programs.plugins)?,
        path(&programs.key)?,
        text(okta.base_url())?,
        path(okta.ca_pem_path())?,
    ))
}

async fn wait_for(metrics: SocketAddr, events: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    while stored(metrics)? < events {
        ensure!(begun.elapsed() < LONGEST, "{} of {events} events after {LONGEST:?}", stored(metrics)?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// What the gateway says of itself.
fn stored(metrics: SocketAddr) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(metrics)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let line = page.lines().find(|line| line.starts_with("portcullis_source_events_total{"));
    let number = line.and_then(|line| line.rsplit_once(' ')).context("the gateway does not count stored events")?.1;
    Ok(number.parse()?)
}
