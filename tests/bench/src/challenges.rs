//! What challenges cost that wait at the same time: the guard and the store as they are, with a made-up directory, a policy that
//! asks for everybody, and a phone that nobody answers until it is told to.

mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use portcullis_core::challenge::ChallengeDesk as _;
use portcullis_core::gate::{Answer, Gate as _};
use portcullis_guard::Guard;
use portcullis_store::{Store, StoreOptions};
use tokio::task::JoinSet;

use self::world::{Phone, World};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many challenges wait at the same time
    #[arg(long, default_value_t = 10_000)]
    open: u32,
    /// How many of them begin at the same moment
    #[arg(long, default_value_t = 500)]
    at_once: u32,
    /// How often each thing is measured
    #[arg(long, default_value_t = 500)]
    samples: u32,
    /// How many people use one machine
    #[arg(long, default_value_t = 5)]
    people_of_machine: u32,
    /// Seconds during which the polls of the open challenges are counted
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Where the database is made, and removed again
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        arguments.open > 0 && arguments.at_once > 0 && arguments.samples > 0 && arguments.people_of_machine > 0,
        "nothing to measure"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(arguments))
}

/// Times of one kind, in milliseconds.
struct Times(Vec<Duration>);

impl Times {
    fn quantile(&self, percent: usize) -> f64 {
        self.0.get(self.0.len() * percent / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

impl From<Vec<Duration>> for Times {
    fn from(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }
}

/// What was measured at one time.
struct Figures {
    opening: Times,
    answering: Times,
    listing: Times,
    binding: Times,
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("bench.db"))).await?);
    let phone = Arc::new(Phone::default());
    let people = arguments.people_of_machine;
    let guard = Arc::new(world::guard(&store, &phone, Arc::new(World)));

    // Once unmeasured: the database's files have their size, and everything is known that is known of the accounts.
    figures(&guard, &phone, people, arguments.samples.min(100), 2_000_000).await?;
    let empty = figures(&guard, &phone, people, arguments.samples, 3_000_000).await?;
    let before = resident()?;
    let begun = Instant::now();
    let mut waiting = JoinSet::new();
    let already = phone.started();
    for number in 0..arguments.open {
        // As many at a time as clients that bind at the same moment; they then stay.
        while u64::from(number) >= phone.started() - already + u64::from(arguments.at_once) {
            ensure!(begun.elapsed() < Duration::from_secs(120), "only {} were opened", phone.started() - already);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let guard = Arc::clone(&guard);
        waiting.spawn(async move { guard.decide(world::bind(number, people, world::ASKED), ()).await });
    }
    while phone.started() - already < u64::from(arguments.open) {
        if let Some(early) = waiting.try_join_next() {
            bail!("one did not wait: {:?}", early?);
        }
        ensure!(begun.elapsed() < Duration::from_secs(120), "only {} were opened", phone.started() - already);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let opened = begun.elapsed();
    let after = resident()?;
    let (polls, busiest) = phone.count_polls(Duration::from_secs(arguments.seconds)).await;
    let full = figures(&guard, &phone, people, arguments.samples, 4_000_000).await?;
    ensure!(waiting.try_join_next().is_none(), "one of those that wait has ended");

    let asked_all = Instant::now();
    phone.approve_all();
    while let Some(done) = waiting.join_next().await {
        ensure!(matches!(done?, Answer::Permitted(_)), "one was refused");
    }
    let decided = asked_all.elapsed();

    let each = (after.saturating_sub(before)) as f64 / 1024.0 / f64::from(arguments.open);
    println!("open challenges: {}, {people} of them from one machine", arguments.open);
    println!("memory: {each:.1} KiB for each, the binds that wait included");
    println!("opening all: {:.2} s", opened.as_secs_f64());
    let mean = polls as f64 / arguments.seconds as f64;
    println!(
        "polls: {mean:.0} a second, {busiest} in the busiest tenth of a second ({:.1} × the mean)",
        busiest as f64 / mean * 10.0
    );
    println!("all answered: decided {:.2} s later (the phone is asked every 4 to 5 s)", decided.as_secs_f64());
    println!("{:34} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}", "milliseconds", "p50", "p99", "p50", "p99", "ratio", "ratio");
    println!("{:34} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}", "", "empty", "empty", "full", "full", "p50", "p99");
    for (name, empty, full) in [
        ("opening one more", &empty.opening, &full.opening),
        ("answer to decision", &empty.answering, &full.answering),
        ("listing by address", &empty.listing, &full.listing),
        ("bind without a challenge", &empty.binding, &full.binding),
    ] {
        let [e50, e99, f50, f99] = [empty.quantile(50), empty.quantile(99), full.quantile(50), full.quantile(99)];
        println!("{name:34} {e50:9.3} {e99:9.3} {f50:9.3} {f99:9.3} {:7.2} {:7.2}", f50 / e50, f99 / e99);
    }
    Arc::into_inner(guard).context("somebody still decides")?;
    store.as_ref().clone().close().await;
    Ok(())
}

/// Measures each thing, one after the other, with accounts of its own.
async fn figures(
    guard: &Arc<Guard>,
    phone: &Arc<Phone>,
    people: u32,
    samples: u32,
    first: u32,
) -> anyhow::Result<Figures> {
    let (mut opening, mut answering, mut listing, mut binding) = (vec![], vec![], vec![], vec![]);
    let desk = guard.desk();
    for number in first..first + samples {
        let asked = world::bind(number, people, world::ASKED);
        let address = asked.connection.client.ip();
        let begun = Instant::now();
        let task = tokio::spawn({
            let guard = Arc::clone(guard);
            async move { (guard.decide(asked, ()).await, Instant::now()) }
        });
        opening.push(phone.start_of(number).await?.saturating_duration_since(begun));
        let begun = Instant::now();
        let views = desk.of_address(address).await;
        listing.push(begun.elapsed());
        ensure!(!views.is_empty(), "it is not listed");
        phone.approve(number);
        let (answer, at) = task.await?;
        ensure!(matches!(answer, Answer::Permitted(_)), "it was refused");
        let said = phone.approved_at(number).context("it was never approved")?;
        answering.push(at.saturating_duration_since(said));
        let begun = Instant::now();
        let answer = guard.decide(world::bind(number, people, world::QUIET), ()).await;
        binding.push(begun.elapsed());
        ensure!(matches!(answer, Answer::Permitted(_)), "a bind without a challenge was refused");
    }
    Ok(Figures {
        opening: opening.into(),
        answering: answering.into(),
        listing: listing.into(),
        binding: binding.into(),
    })
}

/// What of this process is in memory, in octets.
fn resident() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}
