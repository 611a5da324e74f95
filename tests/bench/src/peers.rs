//! The gateway beside its peers: the same load, in front of the same directory, on the same machine, in turn.

mod client;
mod configuration;
mod directory;
mod lab;
mod load;
mod message;
pub(crate) mod proc;
mod report;
mod statistics;
mod targets;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};

use self::lab::Lab;
pub(crate) use self::lab::Programs;
use self::load::Load;
use self::proc::Processes;
use self::statistics::{Rounds, Sample, median};

/// At most so many people are listed at once; with more, hardly a listing would end within the time.
const DUMPS: u32 = 4;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is measured; everything, unless given
    #[arg(long, value_delimiter = ',', value_enum)]
    workloads: Vec<Workload>,
    /// Who is measured; everybody, unless given
    #[arg(long, value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// How many connections there are; one measurement for each
    #[arg(long, value_delimiter = ',', default_values_t = [16, 256])]
    connections: Vec<u32>,
    /// How long each measurement takes
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How long the load runs before each measurement, in milliseconds
    #[arg(long, default_value_t = 700)]
    warm_up: u64,
    /// How often everything is measured; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many people the directory has
    #[arg(long, default_value_t = 10_000)]
    users: u32,
    /// How many connections idle; 0 leaves memory out
    #[arg(long, default_value_t = 1000)]
    idle: u32,
    /// OpenLDAP's balancer, where it is not found by itself; Debian 12 has no package of it
    #[arg(long)]
    lloadd: Option<PathBuf>,
    /// Where the servers' data is kept meanwhile; what the disk takes for a commit is part of the result
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Workload {
    /// Bind again and again as somebody else, on a connection that stays
    Bind,
    /// Read one person's entry, on a connection that stays
    Search,
    /// Connect, bind, read the own entry, unbind; plain, and with TLS on both sides
    Web,
    /// List everybody; an operation is one entry
    Dump,
}

impl fmt::Display for Workload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bind => "bind",
            Self::Search => "search",
            Self::Web => "web",
            Self::Dump => "dump",
        })
    }
}

/// Whom the load reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Peer {
    /// The directory itself
    Direct,
    /// slapd with back-ldap
    BackLdap,
    Lloadd,
    Haproxy,
    /// The gateway without a policy
    Gateway,
    /// The gateway with one enforced policy, which sees binds and searches and applies to nobody
    #[value(name = "gateway+policy")]
    Policy,
}

impl Arguments {
    fn wants(&self, peer: Peer) -> bool {
        self.peers.is_empty() || self.peers.contains(&peer)
    }
}

impl Peer {
    /// In front of the plain port, and with TLS on both sides.
    const PLAIN: [Self; 6] = [Self::Direct, Self::BackLdap, Self::Lloadd, Self::Haproxy, Self::Gateway, Self::Policy];
    const TLS: [Self; 4] = [Self::Direct, Self::Haproxy, Self::Gateway, Self::Policy];

    /// In one word.
    fn short(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::BackLdap => "back-ldap",
            Self::Lloadd => "lloadd",
            Self::Haproxy => "haproxy",
            Self::Gateway => "gateway",
            Self::Policy => "gateway+policy",
        }
    }

    /// Refuses some of the load with busy or unavailable, so that there is nothing to compare: back-ldap does when it gets
    /// more binds at a time than its own connections take.
    fn gives_up(self, case: Case) -> bool {
        self == Self::BackLdap && case.workload == Workload::Bind && case.connections > 64
    }

    fn all(tls: bool) -> &'static [Self] {
        if tls { &Self::TLS } else { &Self::PLAIN }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.short())
    }
}

/// One table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    workload: Workload,
    /// On both sides.
    tls: bool,
    connections: u32,
}

/// Everything that was measured.
#[derive(Default)]
struct Results {
    cases: BTreeMap<Case, Rounds>,
    /// KiB for each idle connection, with and without TLS.
    memory: BTreeMap<(Peer, bool), f64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.users > 0 && arguments.rounds > 0 && arguments.seconds > 0, "nothing would be measured");
    ensure!(arguments.connections.iter().all(|number| (1..=4000).contains(number)), "1 to 4000 connections");
    ensure!(arguments.idle <= 4000, "at most 4000 idle connections");
    let programs = Programs::find(arguments.lloadd.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        // Whatever ends this, the servers end with it.
        let mut end = signal(SignalKind::terminate())?;
        tokio::select! {
            done = measure(arguments, programs) => done,
            pressed = tokio::signal::ctrl_c() => { pressed?; bail!("interrupted") }
            _ = end.recv() => bail!("told to end"),
        }
    })
}

async fn measure(arguments: &Arguments, programs: Programs) -> anyhow::Result<()> {
    let mut lab = Lab::start(programs, arguments.users, &arguments.folder).await?;
    println!("{}", report::machine(arguments)?);
    let mut results = Results::default();
    for case in cases(arguments) {
        let rounds = in_turn(&mut lab, arguments, case).await?;
        println!("{}", report::table(case, &rounds, &lab));
        results.cases.insert(case, rounds);
    }
    if arguments.idle > 0 {
        for tls in [false, true] {
            for peer in Peer::all(tls)
                .iter()
                .copied()
                .filter(|peer| *peer != Peer::Direct && arguments.wants(*peer) && lab.has(*peer))
                .collect::<Vec<_>>()
            {
                let memory = memory(&mut lab, peer, tls, arguments).await;
                results.memory.insert((peer, tls), memory.with_context(|| format!("{peer}, idle connections"))?);
            }
        }
        println!("{}", report::memory(&results.memory, arguments.idle));
    }
    println!("{}", targets::report(&results));
    Ok(())
}

fn cases(arguments: &Arguments) -> Vec<Case> {
    let mut cases = Vec::new();
    for workload in Workload::value_variants().iter().copied() {
        if !arguments.workloads.is_empty() && !arguments.workloads.contains(&workload) {
            continue;
        }
        let tls: &[bool] = if workload == Workload::Web { &[false, true] } else { &[false] };
        for tls in tls.iter().copied() {
            for connections in arguments.connections.iter().copied() {
                let connections = if workload == Workload::Dump { connections.min(DUMPS) } else { connections };
                let case = Case { workload, tls, connections };
                if !cases.contains(&case) {
                    cases.push(case);
                }
            }
        }
    }
    cases
}

/// Measures one peer after the other, again and again.
async fn in_turn(lab: &mut Lab, arguments: &Arguments, case: Case) -> anyhow::Result<Rounds> {
    let takes_part = |peer: &Peer| lab.has(*peer) && arguments.wants(*peer) && !peer.gives_up(case);
    let peers: Vec<Peer> = Peer::all(case.tls).iter().copied().filter(takes_part).collect();
    for peer in &peers {
        lab.ensure(*peer, case.tls).await?;
    }
    let mut rounds = Rounds::default();
    for _ in 0..arguments.rounds {
        let mut round = BTreeMap::new();
        for peer in peers.iter().copied() {
            round.insert(peer, one(lab, arguments, case, peer).await?);
        }
        rounds.push(round);
    }
    Ok(rounds)
}

async fn one(lab: &Lab, arguments: &Arguments, case: Case, peer: Peer) -> anyhow::Result<Sample> {
    let (server, address) = lab.server(peer, case.tls)?;
    let load = Load {
        address,
        case,
        people: arguments.users,
        warm_up: Duration::from_millis(arguments.warm_up),
        time: Duration::from_secs(arguments.seconds),
        server: server.pid(),
        directory: lab.directory().pid(),
    };
    load::run(&load).await.with_context(|| {
        let Case { workload, connections, .. } = case;
        format!("{peer}, {workload} with {connections} connections; the server wrote:\n{}", server.complaint())
    })
}

/// KiB for each connection that is bound and idle, of a server that was just started; the median of three.
async fn memory(lab: &mut Lab, peer: Peer, tls: bool, arguments: &Arguments) -> anyhow::Result<f64> {
    const SETTLE: Duration = Duration::from_secs(2);
    let mut values = Vec::new();
    for _ in 0..3 {
        let server = lab.launch(peer, tls).await?;
        let address = lab.address(&server, tls)?;
        load::introduce(&address, arguments.users, arguments.idle).await?;
        tokio::time::sleep(SETTLE).await;
        let before = Processes::of(server.pid())?.resident()?;
        let mut clients = load::idle(&address, arguments.users, arguments.idle).await?;
        tokio::time::sleep(SETTLE).await;
        let after = Processes::of(server.pid())?.resident()?;
        // They have to be alive, or it was not their memory.
        for client in clients.iter_mut().step_by(20) {
            client.read(&directory::name(0)).await?;
        }
        values.push(after.saturating_sub(before) as f64 / f64::from(arguments.idle));
    }
    median(values).context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn cases_of(words: &[&str]) -> Vec<Case> {
        let words = ["bench"].iter().chain(words);
        cases(&Line::try_parse_from(words).unwrap().arguments)
    }

    #[test]
    fn every_workload_has_a_case_for_each_number_of_connections() {
        let all = cases_of(&[]);
        assert_eq!(all.len(), 9, "{all:?}");
        assert_eq!(all.iter().filter(|case| case.tls).count(), 2);
        let dump = Case { workload: Workload::Dump, tls: false, connections: DUMPS };
        assert_eq!(cases_of(&["--workloads", "dump"]), [dump]);
        let search = Case { workload: Workload::Search, tls: false, connections: 3 };
        assert_eq!(cases_of(&["--workloads", "search", "--connections", "3"]), [search]);
    }
}
