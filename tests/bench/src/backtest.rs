//! How fast recorded accesses go through a list of policies: the program itself, a real component, the sample directory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use portcullis_core::event::{AccessEvent, Event, Record};
use portcullis_core::store::EventStore as _;
use portcullis_core::{EventId, Timestamp};
use portcullis_lab::client::LdapClient;
use portcullis_lab::company::Company;
use portcullis_lab::directory::Directory;
use portcullis_lab::net::free_port;
use portcullis_lab::process::Child;
use portcullis_store::{Store, StoreOptions};
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::peers::Programs;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The first start of a gateway compiles its plugin.
const START: Duration = Duration::from_secs(120);
/// Accesses in a second; the target.
const TARGET: f64 = 50_000.0;
/// Events that wait for the store at the same time.
const AT_ONCE: u32 = 512;

/// What is tried on them: it looks at everybody's groups, at the machine and at the hour.
const DRAFT: &str = r#"
[[policy]]
name = "draft"
plugin = "rules.wasm"
[[policy.settings.rules]]
name = "Administrators on unusual machines"
operations = ["bind"]
when = { signal = ["unusual-endpoint"], group = ["admins"] }
then = "block"
[[policy.settings.rules]]
name = "Privileged accounts"
operations = ["bind"]
when = { privileged = true }
then = "block"
"#;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many accesses are recorded
    #[arg(long, default_value_t = 500_000)]
    events: u32,
    /// Threads of the backtest
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get))]
    threads: usize,
    /// Where the database is made, and removed again
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
    let listener: SocketAddr = (HERE, free_port(HERE)?).into();
    let (config, draft) = (folder.path().join("portcullis.toml"), folder.path().join("draft.toml"));
    write_secret(&folder.path().join("directory"), &company.service("portcullis")?.password)?;
    std::fs::write(&config, configuration(&programs, &directory, listener)?)?;
    std::fs::write(&draft, DRAFT)?;

    // Everybody signs in once, so that the accesses are as a gateway records them.
    let mut command = Command::new(&programs.gateway);
    command.arg("run").arg("--config").arg(&config);
    let mut gateway = Child::spawn("portcullis", command)?;
    gateway.wait_for_line("portcullis is ready", START).await?;
    for person in company.people() {
        let mut client = LdapClient::connect(listener, HERE).await?;
        client.bind(&person.dn, &person.password).await?;
    }
    gateway.stop(Duration::from_secs(20))?;
    record(&folder.path().join("data/portcullis.db"), arguments.events).await?;

    let mut last = None;
    for _ in 0..3 {
        let report = backtest(&programs, &config, &draft, arguments.threads)?;
        let number =
            |name: &str| report.get(name).and_then(Value::as_u64).with_context(|| format!("no {name} in the report"));
        ensure!(number("read")? >= u64::from(arguments.events), "not all was read: {report}");
        ensure!(number("not_evaluated")? == 0, "some could not be evaluated: {report}");
        let rate = number("accesses_per_second")?;
        println!(
            "{} accesses in {} ms by {} threads: {rate} a second, {:.2} x the target; {} touched, {} different",
            number("read")?,
            number("elapsed_ms")?,
            arguments.threads,
            rate as f64 / TARGET,
            number("touched")?,
            number("changed")?
        );
        last = Some(rate);
    }
    directory.stop().await;
    last.map(drop).context("nothing was measured")
}

/// Stores what there is again and again, each time with ids and times of its own.
async fn record(database: &Path, events: u32) -> anyhow::Result<()> {
    let store = Store::open(StoreOptions::new(database)).await?;
    let found = store.recent(None, 10_000).await?;
    let templates: Vec<AccessEvent> = found
        .into_iter()
        .filter_map(|stored| match stored.event {
            Event::Access(event) => Some(*event),
            Event::Administration(_) | Event::Summary(_) | Event::Imported(_) => None,
        })
        .collect();
    ensure!(!templates.is_empty(), "nobody has signed in");
    let mut waiting = JoinSet::new();
    for template in templates.iter().cycle().take(usize::try_from(events)?) {
        let (mut event, id) = (template.clone(), Uuid::now_v7());
        event.access.id = EventId(id);
        event.access.at = Timestamp(id.get_timestamp().map_or(0, |at| at.to_unix().0 * 1_000));
        let record = Record { event: Event::Access(Box::new(event)), learned: None, incidents: Vec::new() };
        waiting.spawn(store.append(record));
        while waiting.len() >= usize::try_from(AT_ONCE)? {
            waiting.join_next().await.context("nothing is waiting")???;
        }
    }
    while let Some(stored) = waiting.join_next().await {
        stored??;
    }
    store.close().await;
    Ok(())
}

fn backtest(programs: &Programs, config: &Path, draft: &Path, threads: usize) -> anyhow::Result<Value> {
    let mut command = Command::new(&programs.gateway);
    command.args(["policy", "backtest", "--json", "--threads", &threads.to_string()]);
    let output = command.arg("--config").arg(config).arg("--file").arg(draft).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(std::io::Write::write_all(&mut file, secret.as_bytes())?)
}

fn configuration(programs: &Programs, directory: &Directory, listener: SocketAddr) -> anyhow::Result<String> {
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
address = "{listener}"
tls = "none"
[web]
address = "127.0.0.1:{}"
public-url = "http://127.0.0.1:1"
[plugins]
folder = {}
trusted-keys = [{}]
"#,
        text(&directory.uri())?,
        free_port(HERE)?,
        path(&programs.plugins)?,
        path(&programs.key)?,
    ))
}
