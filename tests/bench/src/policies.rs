//! What policies cost: one `rules` policy with twenty rules, and a list of ten policies, as a guard asks them. Real component, real
//! engine, one thread.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use portcullis_core::plugin::Policy as _;
use portcullis_core::policy::Verdict;
use portcullis_core::{
    Access, Account, AccountFacts, AccountId, AccountKind, BindMethod, Clock, Endpoint, EventId, Group, Operation,
    Outcome, Signal, Target, Timestamp,
};
use portcullis_engine::{Engine, EngineOptions, LoadedPolicy, PolicyLimits, PolicySpec, TrustedKeys};
use portcullis_store::{Store, StoreOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::peers::Programs;

/// What one policy may take, and what ten may, in the median.
const MOST_TIME_OF_ONE: Duration = Duration::from_micros(10);
const MOST_TIME_OF_TEN: Duration = Duration::from_micros(60);
/// Rules of one policy alone, and of each in a list of several.
const RULES: usize = 20;
const RULES_OF_EACH: usize = 5;
const POLICIES: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Evaluations that are measured, each of one policy and of the list
    #[arg(long, default_value_t = 100_000)]
    evaluations: u32,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::find(None)?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = runtime.block_on(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))))?;
    let engine = Engine::new(EngineOptions {
        plugin_folder: programs.plugins,
        trusted_keys: TrustedKeys::from_files(&[programs.key])?,
        compile_cache: Some(folder.path().join("cache")),
        clock: Arc::new(SystemClock),
        plugin_state: Arc::new(store),
    })?;
    let load = |number: usize, rules: usize| {
        let (name, settings) = (format!("policy-{number}"), settings(number, rules));
        engine
            .load_policy(PolicySpec { name, file: "rules.wasm".to_owned(), settings, limits: PolicyLimits::default() })
            .context("`rules.wasm` cannot be loaded")
    };
    let (access, facts) = (access(), Arc::new(facts()));
    for (count, rules, most) in [
        (1, RULES, Some(MOST_TIME_OF_ONE)),
        (POLICIES, RULES_OF_EACH, Some(MOST_TIME_OF_TEN)),
        (POLICIES, RULES, None),
        (1, 1, None),
    ] {
        let list = (0..count).map(|number| load(number, rules)).collect::<anyhow::Result<Vec<_>>>()?;
        ask(&list, &access, &facts, 1_000)?;
        let mut times = ask(&list, &access, &facts, arguments.evaluations)?;
        times.sort_unstable();
        let quantile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        let (median, late) = (quantile(50).as_secs_f64(), quantile(99).as_secs_f64());
        let share = most.map(|most| format!("; the median is {:.2} of the limit", median / most.as_secs_f64()));
        println!(
            "policies {count}, rules of each {rules}: median {:.2} µs, 99 % within {:.2} µs{}",
            median * 1e6,
            late * 1e6,
            share.unwrap_or_default()
        );
    }
    Ok(())
}

/// How long the list takes each time. None of it has anything to say, so that all of its rules are gone through.
fn ask(
    list: &[LoadedPolicy],
    access: &Access,
    facts: &Arc<AccountFacts>,
    evaluations: u32,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(evaluations as usize);
    for _ in 0..evaluations {
        let start = Instant::now();
        for policy in list {
            let ruling = black_box(policy.evaluate(access, facts, &[]))?;
            ensure!(ruling.verdict == Verdict::Abstain, "a rule holds that should not: {ruling:?}");
        }
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Rules as administrators write them, of all kinds of condition. The last condition of each does not hold, so that
/// what is before it is looked at as well.
fn settings(policy: usize, rules: usize) -> Value {
    let when = |number: usize| match number % 10 {
        0 => json!({ "kind": ["human"], "signal": [format!("impossible-travel-{number}")] }),
        1 => json!({ "group": [format!("cn=team-{number},ou=groups,dc=example,dc=com")] }),
        2 => json!({ "unit": ["people"], "department": [format!("Department {number}")] }),
        3 => json!({ "address": [format!("10.{number}.0.0/16"), "192.168.0.0/16"] }),
        4 => json!({ "application": ["wiki"], "account-risk-at-least": 80 }),
        5 => {
            json!({ "any": [{ "site": [format!("site-{number}")] }, { "endpoint-name": [format!("host-{number}")] }] })
        }
        6 => json!({ "none": [{ "associated": true }], "privileged": false }),
        7 => json!({ "entry-under": [format!("ou=unit-{number},dc=example,dc=com")] }),
        8 => json!({ "attribute": { "name": "employeeType", "values": [format!("type-{number}")] } }),
        _ => json!({ "login": [format!("somebody-{number}"), "nobody"], "outcome": "success" }),
    };
    let rule = |number: usize| {
        json!({ "name": format!("Rule {number} of policy {policy}"), "operations": ["bind"], "when": when(number),
                "then": { "verdict": "block", "incident": { "severity": "high", "title": "It holds" } } })
    };
    json!({ "rules": (0..rules).map(rule).collect::<Vec<_>>() })
}

fn access() -> Access {
    Access {
        id: EventId(Uuid::from_u128(1)),
        at: Timestamp(1_793_610_000_000),
        source: "ldap".to_owned(),
        account: Some(Account {
            id: AccountId::new("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
            login: "alice".to_owned(),
            dn: Some("uid=alice,ou=people,dc=example,dc=com".to_owned()),
            mail: Some("alice@example.com".to_owned()),
            kind: AccountKind::Human,
            privileged: false,
            cloud_enabled: Some(true),
            risk: 12,
        }),
        endpoint: Some(Endpoint {
            address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(172, 16, 3, 77)),
            name: Some("laptop-77".to_owned()),
            site: Some("headquarters".to_owned()),
            shared: false,
            associated: true,
            risk: 3,
        }),
        protection: None,
        target: Target {
            application: "wiki".to_owned(),
            entry: Some("uid=alice,ou=people,dc=example,dc=com".to_owned()),
        },
        operation: Operation::Bind(BindMethod::Simple),
        outcome: Outcome::Success,
        signals: vec![Signal {
            name: "unusual-hour".to_owned(),
            score: 20,
            reason: "The account is not used at this hour.".to_owned(),
        }],
    }
}

/// Ten groups, and a few attributes.
fn facts() -> AccountFacts {
    let group = |number: usize| Group {
        dn: format!("cn=group-{number},ou=groups,dc=example,dc=com"),
        name: format!("group-{number}"),
    };
    let attributes = [("department", "Engineering"), ("title", "Engineer"), ("employeetype", "permanent")];
    AccountFacts {
        groups: (0..10).map(group).collect(),
        units: vec!["people".to_owned()],
        attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).collect(),
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
