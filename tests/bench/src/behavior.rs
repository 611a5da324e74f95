//! What it costs to look at an access with all detections and to learn from it, and what accounts take in memory.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use portcullis_behavior::memory::{Memory, Room};
use portcullis_behavior::seen::Seen;
use portcullis_behavior::{Observed, Settings, notice};
use portcullis_core::event::{AccessEvent, Decision};
use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::learned::{AccountHistory, Association, EndpointHistory};
use portcullis_core::{
    Access, Account, AccountId, AccountKind, BindMethod, Endpoint, EventId, Operation, Outcome, Search, SearchScope,
    Target, Timestamp,
};
use uuid::Uuid;

/// What learning and all detections may take for one access, in the median.
const MOST_TIME: Duration = Duration::from_micros(10);
/// What 100,000 accounts with five endpoints each may take.
const MOST_MEMORY: f64 = 400.0;
const MOST_MEMORY_ACCOUNTS: f64 = 100_000.0;
const BEGIN: u64 = 1_793_610_000_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many accounts there are; each uses five endpoints
    #[arg(long, default_value_t = 100_000)]
    accounts: u32,
    /// Accesses that are measured
    #[arg(long, default_value_t = 200_000)]
    accesses: u32,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = Settings::default();
    let accounts = arguments.accounts.max(1);
    let room = Room { accounts: accounts as usize, ..Room::default() };
    let before = resident()?;
    let mut memory = Memory::new(room);
    // Forty logins of each over ten days: what is usual is known.
    for round in 0..40 {
        for number in 0..accounts {
            let event = access(number, round % 5, round, Kind::Login);
            learn(&mut memory, &event, &settings, Tried::Nothing);
        }
    }
    let taken = resident()? - before;
    let most = MOST_MEMORY * f64::from(accounts) / MOST_MEMORY_ACCOUNTS;
    let [here, endpoints, _] = memory.len();
    println!(
        "{here} accounts with five endpoints each, {endpoints} endpoints: {taken:.0} MB, {:.2} of the limit",
        taken / most
    );

    for kind in [Kind::Login, Kind::Failure, Kind::Search] {
        let mut times: Vec<_> = (0..arguments.accesses)
            .map(|turn| {
                let number = turn.wrapping_mul(2_654_435_761) % accounts;
                let event = access(number, turn % 6, 40, kind);
                let tried = Tried::Password(PasswordTag(u64::from(turn % 7)));
                let history = history(&event, turn % 5);
                let start = Instant::now();
                black_box(look(&mut memory, &event, &settings, tried, &history));
                learn(&mut memory, &event, &settings, tried);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let quantile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        let (median, late) = (quantile(50), quantile(99));
        println!(
            "{kind:?}: median {:.2} µs, 99 % within {:.2} µs; the median is {:.2} of the limit",
            median.as_secs_f64() * 1e6,
            late.as_secs_f64() * 1e6,
            median.as_secs_f64() / MOST_TIME.as_secs_f64(),
        );
    }
    Ok(())
}

/// Memory of this process, in megabytes, with all that the allocator keeps beside what was asked of it.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel does not say")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes * 1_024.0 / 1e6)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Login,
    Failure,
    Search,
}

fn look(
    memory: &mut Memory,
    event: &AccessEvent,
    settings: &Settings,
    tried: Tried,
    history: &AccountHistory,
) -> usize {
    let access = &event.access;
    let address = access.endpoint.as_ref().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |endpoint| endpoint.address);
    let endpoint = EndpointHistory { accounts: 3 };
    let noticed = notice(Observed { at: access.at, address, account: history, endpoint }, settings);
    let seen = Seen { associated: noticed.associated, ..Seen::of(access, None, None, tried) };
    for subject in memory.missing(&seen) {
        memory.put(subject, None);
    }
    memory.look(&seen, settings, noticed.signals).signals.len()
}

fn learn(memory: &mut Memory, event: &AccessEvent, settings: &Settings, tried: Tried) {
    let seen = Seen::of(&event.access, None, None, tried);
    for subject in memory.missing(&seen) {
        memory.put(subject, None);
    }
    memory.learn(event, (tried, None), settings, &|_| false);
}

fn history(event: &AccessEvent, known: u32) -> AccountHistory {
    let seen = |other: u32| Association {
        address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | other)),
        first_seen: Timestamp(BEGIN),
        last_seen: event.access.at,
        count: 9,
    };
    AccountHistory { associations: (0..=known).map(seen).collect() }
}

/// One of an account's five machines, which it shares with few others; the sixth is new.
fn access(number: u32, machine: u32, round: u32, kind: Kind) -> AccessEvent {
    let operation = match kind {
        Kind::Login | Kind::Failure => Operation::Bind(BindMethod::Simple),
        Kind::Search => Operation::Search(Some(Search {
            base: "dc=example,dc=com".to_owned(),
            scope: SearchScope::Subtree,
            filter: format!("(&(objectClass=person)(|(uid=user{number})(mail=user{number}@example.com)))"),
            attributes: ["cn", "mail", "memberOf", "uid", "uidNumber"].map(str::to_owned).to_vec(),
        })),
    };
    let failed = kind == Kind::Failure;
    AccessEvent {
        access: Access {
            id: EventId(Uuid::from_u128(u128::from(number) << 64 | u128::from(round))),
            at: Timestamp(BEGIN + u64::from(round) * 21_600_000 + u64::from(number % 600) * 1_000),
            source: "ldap".to_owned(),
            account: Some(Account {
                id: AccountId::new(format!("7c9e6679-7425-40de-944b-{number:012}")),
                login: format!("user{number}"),
                dn: Some(format!("uid=user{number},ou=people,dc=example,dc=com")),
                mail: Some(format!("user{number}@example.com")),
                kind: AccountKind::Human,
                privileged: false,
                cloud_enabled: None,
                risk: 0,
            }),
            endpoint: Some(Endpoint {
                address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | ((number / 4 * 5 + machine) % 40_000))),
                name: None,
                site: None,
                shared: false,
                associated: machine < 5,
                risk: 0,
            }),
            protection: None,
            target: Target { application: format!("application {}", number % 20), entry: None },
            operation,
            outcome: match kind {
                Kind::Login => Outcome::Success,
                Kind::Failure => Outcome::Failure,
                Kind::Search => Outcome::Pending,
            },
            signals: Vec::new(),
        },
        directory_result: None,
        decision: if failed { Decision::Refused } else { Decision::Allow },
        decided_by: None,
        reason: String::new(),
        rulings: Vec::new(),
        challenges: Vec::new(),
        foreign: None,
    }
}
