//! What other processes use, as the kernel tells it (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use nix::unistd::{SysconfVar, sysconf};

/// Processes whose use is added up.
pub(crate) struct Processes {
    pids: Vec<u32>,
    tick: Duration,
}

impl Processes {
    /// The process and those of its descendants that run now.
    pub(super) fn of(root: u32) -> anyhow::Result<Self> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may have ended since.
            if let Some(stat) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| stat(&text)) {
                parents.insert(pid, stat.parent);
            }
        }
        Ok(Self { pids: descendants(root, &parents), tick: tick()? })
    }

    /// One process without any that it has started.
    pub(crate) fn of_one(pid: u32) -> anyhow::Result<Self> {
        Ok(Self { pids: vec![pid], tick: tick()? })
    }

    /// Processor time so far, of all threads, in program and kernel.
    pub(crate) fn time(&self) -> anyhow::Result<Duration> {
        let mut ticks = 0;
        for pid in &self.pids {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("a process has ended")?;
            ticks += stat(&text).with_context(|| format!("/proc/{pid}/stat is not understood"))?.ticks;
        }
        Ok(self.tick.saturating_mul(u32::try_from(ticks)?))
    }

    /// Memory that is resident, in KiB.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for pid in &self.pids {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).context("a process has ended")?;
            total += resident(&text).with_context(|| format!("/proc/{pid}/status is not understood"))?;
        }
        Ok(total)
    }
}

/// Processor time that anybody on this machine has used so far.
pub(super) fn machine() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks = busy(&text).context("/proc/stat is not understood")?;
    Ok(Duration::from_secs_f64(tick()?.as_secs_f64() * ticks as f64))
}

fn tick() -> anyhow::Result<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u32::try_from(ticks).ok());
    Ok(Duration::from_secs(1) / per_second.filter(|ticks| *ticks > 0).context("no clock tick")?)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

/// Fields 4 (parent), 14 and 15 (time in program and kernel). The program's name, field 2, may contain anything.
fn stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(4)?).ok()?, ticks: number(14)? + number(15)? })
}

fn resident(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// All but idle and waiting for the disk; what guests use is in the first two already.
fn busy(text: &str) -> Option<u64> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = fields.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _, _, interrupts, soft, stolen, ..] = fields.as_slice() else { return None };
    Some(user + nice + system + interrupts + soft + stolen)
}

fn descendants(root: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 3 0 1000 1 2";
        let stat = stat(line).unwrap();
        assert_eq!((stat.parent, stat.ticks), (7, 300));
        assert!(super::stat("42 (cut off) S 7").is_none());
    }

    #[test]
    fn memory_and_the_machine_are_read() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t   999 kB\nVmRSS:\t   123 kB\n"), Some(123));
        assert_eq!(resident("Name:\tx\n"), None);
        assert_eq!(busy("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 1 2 3 4\n"), Some(21));
        assert_eq!(busy("cpu  1 2 3\n"), None);
    }

    #[test]
    fn children_of_children_belong_to_it() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1)]);
        assert_eq!(descendants(2, &parents), [2, 3, 4]);
        assert_eq!(descendants(5, &parents), [5]);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let own = Processes::of_one(std::process::id()).unwrap();
        assert!(own.resident().unwrap() > 100);
        let mut number = 1_u64;
        while own.time().unwrap().is_zero() {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(machine().unwrap() >= own.time().unwrap());
    }
}
