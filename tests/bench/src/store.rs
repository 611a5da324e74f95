//! What it costs to store an event durably.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use portcullis_core::event::{AccessEvent, Decision, Event, Record, RecordedRuling};
use portcullis_core::learned::Observation;
use portcullis_core::policy::{Mode, Verdict};
use portcullis_core::store::{EventStore as _, LearnedStore as _};
use portcullis_core::{
    Access, Account, AccountId, AccountKind, BindMethod, Endpoint, EventId, Operation, Outcome, PolicyName, Target,
    Timestamp,
};
use portcullis_store::{Store, StoreOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::usage::Usage;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many write at the same time; one measurement for each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    writers: Vec<u32>,
    /// How long each measurement takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many accounts the events are about; each uses two addresses
    #[arg(long, default_value_t = 5_000)]
    accounts: u32,
    /// Where the databases are made, and removed again; what the disk takes for a commit is part of the result
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "writers   events/s  per batch     p50 ms     p99 ms   cpu µs/event    user  system  making it  waits/event"
    );
    for writers in &arguments.writers {
        runtime.block_on(measure(arguments, *writers))?;
    }
    Ok(())
}

async fn measure(arguments: &Arguments, writers: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    let store = Store::open(StoreOptions::new(folder.path().join("bench.db"))).await?;
    let accounts = arguments.accounts.max(1);
    // A while before it counts: everything is known to the database, and the write-ahead log has its final size.
    write(&store, writers, accounts, Duration::from_secs(1)).await?;
    for number in 0..accounts {
        store.account_history(&account(number)).await?;
        store.endpoint_history(address(number)).await?;
        store.endpoint_history(address(number + 1)).await?;
    }
    let before = store.verify().await?;
    let (usage, start) = (Usage::now()?, Instant::now());
    let mut times = write(&store, writers, accounts, Duration::from_secs(arguments.seconds)).await?;
    let (used, elapsed) = (Usage::now()?.since(&usage), start.elapsed());
    let after = store.verify().await?;
    if let Some(damage) = after.damage {
        bail!("{damage}");
    }
    let events = after.events - before.events;
    if events != u64::try_from(times.len())? {
        bail!("{events} events were stored, {} were acknowledged", times.len());
    }
    times.sort_unstable();
    let quantile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    let batches = after.batches - before.batches;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / events as f64;
    println!(
        "{writers:7} {:10.0} {:10.1} {:10.2} {:10.2} {:14.1} {:7.1} {:7.1} {:10.1} {:12.2}",
        events as f64 / elapsed.as_secs_f64(),
        events as f64 / batches as f64,
        quantile(50).as_secs_f64() * 1e3,
        quantile(99).as_secs_f64() * 1e3,
        each(used.user + used.system),
        each(used.user),
        each(used.system),
        making()?.as_secs_f64() * 1e6,
        used.waits as f64 / events as f64,
    );
    store.close().await;
    Ok(())
}

/// Writes until the time is over. Returns how long each event took.
async fn write(store: &Store, writers: u32, accounts: u32, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            // Each goes through all accounts, from a place and with a step of its own.
            let mut number = writer.wrapping_mul(2_654_435_761);
            while Instant::now() < end {
                number = number.wrapping_add(7_919);
                let record = record(number % accounts, number >> 31);
                let start = Instant::now();
                store.append(record).await?;
                times.push(start.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.append(&mut times.context("a writer ended early")??);
    }
    Ok(all)
}

/// What it costs to make a record and to drop it, which is in the result and not the store's.
fn making() -> anyhow::Result<Duration> {
    const ROUNDS: u32 = 20_000;
    let usage = Usage::now()?;
    for number in 0..ROUNDS {
        std::hint::black_box(record(number, 0));
    }
    let used = Usage::now()?.since(&usage);
    Ok((used.user + used.system) / ROUNDS)
}

fn account(number: u32) -> AccountId {
    AccountId::new(format!(
        "entryUUID:{}",
        Uuid::from_u64_pair(0x5bd1_e995_0000_4000, 0x8000_0000_0000_0000 | u64::from(number))
    ))
}

/// Five accounts share an address, and each uses the next one too.
fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number / 5).into()
}

/// A bind that a policy looked at and let through, as the guard records it.
fn record(number: u32, place: u32) -> Record {
    let (account, address) = (account(number), address(number + place));
    let id = Uuid::now_v7();
    let at = Timestamp(id.get_timestamp().map_or(0, |at| at.to_unix().0 * 1_000));
    let login = format!("user{number:05}");
    let learned = Some(Observation { account: account.clone(), address, at });
    let access = Access {
        protection: None,
        id: EventId(id),
        at,
        source: "ldap".to_owned(),
        account: Some(Account {
            id: account,
            dn: Some(format!("uid={login},ou=people,dc=example,dc=com")),
            mail: Some(format!("{login}@example.com")),
            login: login.clone(),
            kind: AccountKind::Human,
            privileged: false,
            cloud_enabled: None,
            risk: 0,
        }),
        endpoint: Some(Endpoint {
            address,
            name: None,
            site: Some("headquarters".to_owned()),
            shared: false,
            associated: true,
            risk: 0,
        }),
        target: Target {
            application: "wiki".to_owned(),
            entry: Some(format!("uid={login},ou=people,dc=example,dc=com")),
        },
        operation: Operation::Bind(BindMethod::Simple),
        outcome: Outcome::Success,
        signals: vec![],
    };
    let event = AccessEvent {
        access,
        directory_result: Some(0),
        decision: Decision::Allow,
        decided_by: Some(PolicyName::new("second-factor")),
        reason: "The account uses a machine that it has used before.".to_owned(),
        rulings: vec![RecordedRuling {
            policy: PolicyName::new("second-factor"),
            mode: Mode::Enforce,
            verdict: Verdict::Allow,
            reason: "The account uses a machine that it has used before.".to_owned(),
            effects: vec![],
            fault: None,
        }],
        challenges: vec![],
        foreign: None,
    };
    Record { event: Event::Access(Box::new(event)), learned, incidents: vec![] }
}
