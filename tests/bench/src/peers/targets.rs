//! What the project has set itself, and whether it is so.

use std::fmt::Write as _;

use super::report::shown;
use super::statistics::Sample;
use super::{Peer, Results, Workload};

/// What a ratio has to be.
#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most:.1}"),
            Self::AtLeast(least) => format!("≥ {least:.1}"),
        }
    }
}

struct Target {
    workload: Workload,
    tls: bool,
    peer: Peer,
    to: Peer,
    /// Processor time instead of throughput.
    cpu: bool,
    bound: Bound,
}

const fn target(workload: Workload, tls: bool, peer: Peer, cpu: bool, to: Peer, bound: Bound) -> Target {
    Target { workload, tls, peer, to, cpu, bound }
}

const TARGETS: [Target; 9] = [
    target(Workload::Search, false, Peer::Gateway, true, Peer::Haproxy, Bound::AtMost(2.0)),
    target(Workload::Search, false, Peer::Gateway, false, Peer::Haproxy, Bound::AtLeast(0.9)),
    target(Workload::Search, false, Peer::Policy, true, Peer::Lloadd, Bound::AtMost(1.0)),
    target(Workload::Search, false, Peer::Policy, false, Peer::Lloadd, Bound::AtLeast(1.0)),
    target(Workload::Bind, false, Peer::Policy, true, Peer::Lloadd, Bound::AtMost(1.0)),
    target(Workload::Bind, false, Peer::Policy, false, Peer::Lloadd, Bound::AtLeast(1.0)),
    target(Workload::Web, true, Peer::Gateway, false, Peer::Haproxy, Bound::AtLeast(2.0)),
    target(Workload::Web, true, Peer::Gateway, false, Peer::Direct, Bound::AtLeast(0.8)),
    target(Workload::Dump, false, Peer::Gateway, true, Peer::Haproxy, Bound::AtMost(2.0)),
];

/// KiB for each idle connection, without and with TLS.
const MEMORY: [(bool, f64); 2] = [(false, 16.0), (true, 40.0)];

/// A line for each target and number of connections.
pub(super) fn report(results: &Results) -> String {
    let mut text = "Targets\n".to_owned();
    for target in &TARGETS {
        let tls = if target.tls { " over TLS" } else { "" };
        let what = if target.cpu { "processor time" } else { "throughput" };
        let line = format!("{}{tls}: {what} of {} ÷ {}", target.workload, target.peer, target.to);
        let fits = results.cases.iter().filter(|(case, _)| case.workload == target.workload && case.tls == target.tls);
        let of: fn(&Sample) -> f64 = if target.cpu { |sample| sample.cpu } else { |sample| sample.rate };
        let mut measured = false;
        for (case, rounds) in fits {
            measured = true;
            let value = rounds.ratio(target.peer, target.to, of);
            add(&mut text, &line, &case.connections.to_string(), target.bound, value);
        }
        if !measured {
            add(&mut text, &line, "", target.bound, None);
        }
    }
    for (tls, most) in MEMORY {
        let line = format!("KiB of gateway for each idle connection{}", if tls { " over TLS" } else { "" });
        add(&mut text, &line, "", Bound::AtMost(most), results.memory.get(&(Peer::Gateway, tls)).copied());
    }
    text
}

fn add(text: &mut String, line: &str, connections: &str, bound: Bound, value: Option<f64>) {
    let verdict = match value {
        None => "not measured",
        Some(value) if bound.is_met(value) => "met",
        Some(_) => "NOT MET",
    };
    // Writing into a String cannot fail.
    let _ = writeln!(text, "  {line:60}{connections:>5} {:>7} {:>8}   {verdict}", bound.text(), shown(value, 2));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::peers::Case;
    use crate::peers::statistics::Rounds;

    #[test]
    fn a_target_is_met_up_to_its_bound_and_unknown_without_a_measurement() {
        let sample =
            |rate, cpu| Sample { rate, cpu, directory_cpu: 0.0, median: 0.0, slow: 0.0, generator: 0.0, others: 0.0 };
        let mut rounds = Rounds::default();
        rounds.push(BTreeMap::from([(Peer::Haproxy, sample(1000.0, 10.0)), (Peer::Gateway, sample(899.0, 20.0))]));
        let mut results = Results::default();
        results.cases.insert(Case { workload: Workload::Search, tls: false, connections: 16 }, rounds);
        results.memory.insert((Peer::Gateway, true), 40.1);
        let text = report(&results);
        let verdict = |start: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
            line.split("   ").last().unwrap().to_owned()
        };
        assert_eq!(verdict("search: processor time of gateway ÷ haproxy"), "met", "{text}");
        assert_eq!(verdict("search: throughput of gateway ÷ haproxy"), "NOT MET", "{text}");
        assert_eq!(verdict("search: throughput of gateway+policy ÷ lloadd"), "not measured", "{text}");
        assert_eq!(verdict("KiB of gateway for each idle connection over TLS"), "NOT MET", "{text}");
        assert_eq!(verdict("bind: throughput"), "not measured", "{text}");
    }
}
