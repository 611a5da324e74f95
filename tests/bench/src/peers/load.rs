//! The load: each client waits for its answer before it asks again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Address, Client};
use super::directory::{APPLICATION, SERVICE_PASSWORD, name, password};
use super::proc::{self, Processes};
use super::statistics::{Sample, quantile};
use super::{Case, Workload};

/// Longest wait for connections to open, and for answers after the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured.
pub(super) struct Load {
    pub(super) address: Address,
    pub(super) case: Case,
    /// How many people the directory has.
    pub(super) people: u32,
    pub(super) warm_up: Duration,
    pub(super) time: Duration,
    /// Process of the server that is measured.
    pub(super) server: u32,
    /// Process of the directory.
    pub(super) directory: u32,
}

/// What the clients have done so far.
#[derive(Default)]
struct Progress {
    operations: Cell<u64>,
    counts: Cell<bool>,
    ends: Cell<bool>,
    micros: RefCell<Vec<u32>>,
}

/// What had been used at one moment.
struct Moment {
    at: Instant,
    operations: u64,
    server: Duration,
    directory: Duration,
    generator: Duration,
    machine: Duration,
}

/// Runs the load. Has to be called within a `LocalSet`; everything happens in this thread, so that counts and times are
/// of the same moment.
///
/// # Errors
/// The first wrong answer of any client, or that there was none.
pub(super) async fn run(load: &Load) -> anyhow::Result<Sample> {
    let progress = Rc::new(Progress::default());
    let clients = load.case.connections;
    let ready = Rc::new(Barrier::new(usize::try_from(clients)? + 1));
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let (address, case, people) = (load.address.clone(), load.case, load.people);
        let (progress, ready) = (progress.clone(), ready.clone());
        tasks.spawn_local(async move {
            // Opened before it counts, unless opening is what is measured.
            let client = if case.workload == Workload::Web { None } else { Some(bound(&address).await?) };
            ready.wait().await;
            work(client, &address, case.workload, people, number, &progress).await
        });
    }
    tokio::select! {
        ended = tasks.join_next() => early(ended)?,
        waited = timeout(PATIENCE, ready.wait()) => { waited.context("the connections did not open")?; }
    }
    for_a_while(&mut tasks, load.warm_up).await?;
    let (server, directory) = (Processes::of(load.server)?, Processes::of(load.directory)?);
    let generator = Processes::of_one(std::process::id())?;
    let moment = || {
        Ok(Moment {
            at: Instant::now(),
            operations: progress.operations.get(),
            server: server.time()?,
            directory: directory.time()?,
            generator: generator.time()?,
            machine: proc::machine()?,
        })
    };
    let before: anyhow::Result<Moment> = moment();
    let before = before?;
    progress.counts.set(true);
    for_a_while(&mut tasks, load.time).await?;
    let after = moment()?;
    progress.counts.set(false);
    progress.ends.set(true);
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended.context("a client broke off")??;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, all).await.context("there was no answer")??;
    let shared = load.server == load.directory;
    Ok(sample(&before, &after, progress.micros.take(), shared))
}

/// Binds on one connection as everybody whom [`idle`] binds, so that whatever a server keeps of people and not of
/// connections is there before.
///
/// # Errors
/// One bind was refused.
pub(super) async fn introduce(address: &Address, people: u32, connections: u32) -> anyhow::Result<()> {
    let mut client = Client::connect(address).await?;
    for person in 0..connections.min(people) {
        client.bind(&name(person), &password(person)).await?;
    }
    client.close().await
}

/// Opens connections and binds each as somebody else.
///
/// # Errors
/// One of them was refused.
pub(super) async fn idle(address: &Address, people: u32, connections: u32) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for number in 0..connections {
        let person = number % people;
        let mut client = Client::connect(address).await?;
        client.bind(&name(person), &password(person)).await?;
        clients.push(client);
    }
    Ok(clients)
}

async fn bound(address: &Address) -> anyhow::Result<Client> {
    let mut client = Client::connect(address).await?;
    client.bind(APPLICATION, SERVICE_PASSWORD).await?;
    Ok(client)
}

async fn work(
    mut client: Option<Client>,
    address: &Address,
    workload: Workload,
    people: u32,
    number: u32,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut random = Random(u64::from(number));
    while !progress.ends.get() {
        let person = random.below(people);
        let start = Instant::now();
        match (workload, &mut client) {
            (Workload::Bind, Some(client)) => client.bind(&name(person), &password(person)).await?,
            (Workload::Search, Some(client)) => client.read(&name(person)).await?,
            // An operation is one entry there.
            (Workload::Dump, Some(client)) => client.dump(people, || progress.add()).await?,
            (Workload::Web, _) => {
                let mut client = Client::connect(address).await?;
                client.bind(&name(person), &password(person)).await?;
                client.read(&name(person)).await?;
                client.close().await?;
            }
            (_, None) => bail!("there is no connection"),
        }
        if progress.counts.get() {
            progress.micros.borrow_mut().push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        if workload != Workload::Dump {
            progress.add();
        }
    }
    match client {
        Some(client) => client.close().await,
        None => Ok(()),
    }
}

impl Progress {
    fn add(&self) {
        self.operations.set(self.operations.get() + 1);
    }
}

type Ended = Option<Result<anyhow::Result<()>, tokio::task::JoinError>>;

async fn for_a_while(tasks: &mut JoinSet<anyhow::Result<()>>, time: Duration) -> anyhow::Result<()> {
    match timeout(time, tasks.join_next()).await {
        Ok(ended) => early(ended),
        Err(_) => Ok(()),
    }
}

/// A client ends by itself only when something is wrong.
fn early(ended: Ended) -> anyhow::Result<()> {
    ended.context("there are no clients")?.context("a client broke off")??;
    bail!("a client ended early")
}

fn sample(before: &Moment, after: &Moment, mut micros: Vec<u32>, shared: bool) -> Sample {
    micros.sort_unstable();
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let operations = (after.operations - before.operations) as f64;
    let used = |of: fn(&Moment) -> Duration| of(after).saturating_sub(of(before)).as_secs_f64();
    let (server, directory, generator) = (used(|m| m.server), used(|m| m.directory), used(|m| m.generator));
    let known = server + generator + if shared { 0.0 } else { directory };
    Sample {
        rate: operations / seconds,
        cpu: server * 1e6 / operations,
        directory_cpu: directory * 1e6 / operations,
        median: f64::from(quantile(&micros, 50)) / 1e3,
        slow: f64::from(quantile(&micros, 99)) / 1e3,
        generator: generator / seconds,
        others: (used(|m| m.machine) - known).max(0.0) / seconds,
    }
}

/// `SplitMix64`: cheap, and the same people in each round.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The upper half, scaled: less than `end`.
        let scaled = ((mixed ^ (mixed >> 31)) >> 32) * u64::from(end);
        u32::try_from(scaled >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_chosen_and_nobody_else() {
        let mut random = Random(7);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_sample_is_what_lies_between_two_moments() {
        let now = Instant::now();
        let moment = |seconds: u64, operations| Moment {
            at: now + Duration::from_secs(seconds),
            operations,
            server: Duration::from_millis(100 * seconds),
            directory: Duration::from_millis(200 * seconds),
            generator: Duration::from_millis(300 * seconds),
            machine: Duration::from_millis(1000 * seconds),
        };
        let (before, after) = (moment(1, 500), moment(3, 2500));
        let apart = sample(&before, &after, vec![3000, 1000, 2000], false);
        assert!((apart.rate - 1000.0).abs() < 1e-9 && (apart.cpu - 100.0).abs() < 1e-6);
        assert!((apart.directory_cpu - 200.0).abs() < 1e-6 && (apart.others - 0.4).abs() < 1e-9);
        assert!((apart.median - 2.0).abs() < 1e-9 && (apart.slow - 3.0).abs() < 1e-9);
        let shared = sample(&before, &after, vec![], true);
        assert!((shared.others - 0.6).abs() < 1e-9, "the directory is not counted twice");
    }
}
