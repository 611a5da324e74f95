//! Tables for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::lab::Lab;
use super::statistics::{Rounds, Sample};
use super::{Arguments, Case, Peer, Workload};

/// On what and how the figures were measured.
///
/// # Errors
/// The number of processors is unknown.
pub(super) fn machine(arguments: &Arguments) -> anyhow::Result<String> {
    let processors = std::thread::available_parallelism()?;
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let Arguments { users, rounds, seconds, .. } = arguments;
    Ok(format!("{processors} × {model}; {users} people; medians of {rounds} rounds of {seconds} s\n"))
}

/// The figures of one case, with the ratios to whom it is compared with.
pub(super) fn table(case: Case, rounds: &Rounds, lab: &Lab) -> String {
    let Case { workload, tls, connections } = case;
    let unit = if workload == Workload::Dump { "entry" } else { "op" };
    let kind = if tls { "TLS on both sides" } else { "plain" };
    let title = format!("{workload}, {connections} connections, {kind}");
    let mut text = format!("{title:66}   {:>17}   {:>17}\n", "throughput", "processor time");
    // Writing into a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "  {:15}{:>9} {:>9} {:>9} {:>9} {:>9}   {:>8} {:>8}   {:>8} {:>8}   {:>5} {:>6}",
        "",
        format!("{unit}/s"),
        format!("µs/{unit}"),
        "slapd µs",
        "p50 ms",
        "p99 ms",
        "÷direct",
        "÷haproxy",
        "÷haproxy",
        "÷lloadd",
        "load",
        "others"
    );
    for peer in Peer::all(tls).iter().copied() {
        let line = if lab.has(peer) { line(rounds, peer) } else { " not installed".to_owned() };
        let _ = writeln!(text, "  {peer:15}{line}");
    }
    text
}

fn line(rounds: &Rounds, peer: Peer) -> String {
    let figure = |of: fn(&Sample) -> f64, digits| shown(rounds.figure(peer, of), digits);
    let ratio = |to: Peer, of: fn(&Sample) -> f64| shown(rounds.ratio(peer, to, of), 2);
    format!(
        "{:>9} {:>9} {:>9} {:>9} {:>9}   {:>8} {:>8}   {:>8} {:>8}   {:>5} {:>6}",
        figure(|sample| sample.rate, 0),
        figure(|sample| sample.cpu, 1),
        figure(|sample| sample.directory_cpu, 1),
        figure(|sample| sample.median, 2),
        figure(|sample| sample.slow, 2),
        ratio(Peer::Direct, |sample| sample.rate),
        ratio(Peer::Haproxy, |sample| sample.rate),
        ratio(Peer::Haproxy, |sample| sample.cpu),
        ratio(Peer::Lloadd, |sample| sample.cpu),
        figure(|sample| sample.generator, 2),
        figure(|sample| sample.others, 2),
    )
}

/// What idle connections take.
pub(super) fn memory(memory: &BTreeMap<(Peer, bool), f64>, connections: u32) -> String {
    let mut text = format!("{connections} idle connections, KiB for each\n  {:15}{:>9} {:>9}\n", "", "plain", "TLS");
    for peer in Peer::PLAIN {
        let (plain, tls) = (memory.get(&(peer, false)).copied(), memory.get(&(peer, true)).copied());
        if plain.is_some() || tls.is_some() {
            let _ = writeln!(text, "  {peer:15}{:>9} {:>9}", shown(plain, 1), shown(tls, 1));
        }
    }
    text
}

/// A number, or a stroke where there is none.
pub(super) fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_missing_ones_are_seen() {
        assert_eq!(shown(Some(12.345), 2), "12.35");
        assert_eq!(shown(Some(1234.5), 0), "1234");
        assert_eq!(shown(None, 2), "-");
        let memory = memory(&BTreeMap::from([((Peer::Haproxy, true), 33.0)]), 10);
        assert!(memory.contains("haproxy") && memory.contains("33.0") && !memory.contains("gateway"), "{memory}");
    }
}
