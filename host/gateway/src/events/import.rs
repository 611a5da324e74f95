//! `portcullis events import`: what happened before, or at another gateway, becomes events that teach.
//!
//! Lines are read one by one, put into the order of their times as far as some thousands of them reach, and stored in parts, a
//! transaction each. A part that is stored is known by its ids, so an import that was broken off is simply begun again.
#![expect(clippy::print_stderr, reason = "where a command line says how far it is")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use portcullis_core::event::Record;
use portcullis_core::store::EventStore as _;
use portcullis_core::{Clock as _, EventId, Timestamp};
use portcullis_store::Store;

use super::line::{self, Line};
use super::lines::{LONGEST_LINE, Lines, Next};
use super::part::{Parts, Waiting};
use crate::accounts::person;
use crate::config::Loaded;
use crate::out::{harmless, say};
use crate::system::System;

/// Lines that wait to be put in order, and their octets.
const MOST_WAITING: usize = 8_192;
const MOST_OCTETS: usize = 64 << 20;
/// How far ahead a clock may be.
const AHEAD: Duration = Duration::from_secs(300);
/// Bad lines that are printed.
const MOST_SHOWN: u64 = 100;
/// How often it is said how far it is.
const TELL: Duration = Duration::from_secs(5);
/// The exit code where lines were left out that are no good.
const SOME_BAD: u8 = 3;

#[derive(Args)]
pub(crate) struct Import {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    config: PathBuf,
    /// A file with an event on each line: what `events export` has made, or the short form of the administrator's guide.
    /// `-` is standard input.
    file: PathBuf,
    /// Where it comes from, for those who read the events; the file's name unless given.
    #[arg(long)]
    origin: Option<String>,
    /// Store nothing when any line is no good. Reads the file twice.
    #[arg(long)]
    strict: bool,
}

/// What became of the lines.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) stored: u64,
    pub(super) known: u64,
    pub(super) administration: u64,
    pub(super) old: u64,
    pub(super) late: u64,
    pub(super) bad: u64,
}

impl Counts {
    /// A line is no good.
    pub(super) fn bad(&mut self, number: u64, problem: &str) {
        self.bad += 1;
        if self.bad <= MOST_SHOWN {
            eprintln!("line {number}: {}", harmless(problem));
        } else if self.bad == MOST_SHOWN + 1 {
            eprintln!("more lines are no good; they are counted");
        }
    }

    fn words(&self) -> String {
        let Self { lines, stored, known, administration, old, late, bad } = self;
        format!(
            "{lines} lines: {stored} stored, {known} there already, {administration} of administration and {old} too old \
             left out, {bad} no good; {late} were out of order"
        )
    }
}

pub(crate) async fn import(arguments: &Import) -> Result<ExitCode> {
    let from = origin(arguments)?;
    let loaded = Loaded::read(&arguments.config)?;
    let store = super::open(&arguments.config).await?;
    let done = in_store(arguments, &loaded, &store, &from).await;
    store.close().await;
    done
}

async fn in_store(arguments: &Import, loaded: &Loaded, store: &Store, from: &str) -> Result<ExitCode> {
    let file = &arguments.file;
    let mut seen = None;
    if arguments.strict {
        let (counts, hash) = run(file, Parts::judging(loaded, store).await?, loaded).await?;
        if counts.bad > 0 {
            bail!("{} of {} lines are no good; nothing was stored", counts.bad, counts.lines);
        }
        seen = Some(hash);
    }
    let begun = note(store, "import-started", format!("Events of {from} are being imported.")).await?;
    let parts = Parts::storing(loaded, store, begun, from.to_owned()).await?;
    let (counts, hash) = run(file, parts, loaded).await?;
    let words = counts.words();
    note(store, "import-finished", format!("Events of {from} were imported as {begun}. {words}. SHA-256 {hash}."))
        .await?;
    say(&words)?;
    say(format_args!("SHA-256 {hash}"))?;
    ensure!(
        seen.is_none_or(|seen| seen == hash),
        "the file has changed while it was read: it is not what was looked at"
    );
    Ok(if counts.bad > 0 { ExitCode::from(SOME_BAD) } else { ExitCode::SUCCESS })
}

/// What the import is called.
fn origin(arguments: &Import) -> Result<String> {
    let is_input = arguments.file == Path::new("-");
    ensure!(!(is_input && arguments.strict), "--strict reads the file twice, which standard input cannot be");
    let name = match &arguments.origin {
        Some(name) => name.clone(),
        None if is_input => "standard input".to_owned(),
        None => arguments.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    ensure!(
        (1..=128).contains(&name.len()) && !name.chars().any(char::is_control),
        "--origin has to be a name of 1 to 128 octets"
    );
    Ok(name)
}

/// Reads everything. Returns what became of it, and the hash of it.
async fn run(file: &Path, mut parts: Parts, loaded: &Loaded) -> Result<(Counts, String)> {
    let mut lines = Lines::open(file)?;
    let now = System.now();
    let ages = Ages {
        latest: now.plus(AHEAD),
        oldest: Timestamp(now.0.saturating_sub(u64::from(loaded.config.behavior.forget_after_days) * 86_400_000)),
    };
    let (mut counts, mut order, mut told) = (Counts::default(), Order::default(), Instant::now());
    while let Some(next) = lines.next()? {
        counts.lines += 1;
        let read = match next {
            Next::TooLong => Err(format!("is longer than {LONGEST_LINE} octets")),
            Next::Line(text) => line::read(text).map(|line| (line, text.len())),
        };
        let number = lines.number;
        match read.and_then(|(line, octets)| Ok((ages.judge(&line)?, line, octets))) {
            Err(problem) => counts.bad(number, &problem),
            Ok((_, Line::Administration, _)) => counts.administration += 1,
            Ok((None, ..)) => counts.old += 1,
            Ok((Some(at), line, octets)) => order.put(Waiting { at, number, octets, line }),
        }
        while order.is_full() {
            let Some(first) = order.take(&mut counts) else { break };
            parts.add(first, &mut counts).await?;
        }
        if told.elapsed() >= TELL {
            eprintln!("portcullis: {}", counts.words());
            told = Instant::now();
        }
    }
    while let Some(next) = order.take(&mut counts) {
        parts.add(next, &mut counts).await?;
    }
    parts.finish(&mut counts).await?;
    Ok((counts, lines.hash()))
}

/// Which times are good.
struct Ages {
    latest: Timestamp,
    oldest: Timestamp,
}

impl Ages {
    /// When the line was; none where that is so long ago that it is forgotten.
    fn judge(&self, line: &Line) -> Result<Option<Timestamp>, String> {
        let Some(at) = line.at() else { return Ok(None) };
        if at > self.latest {
            return Err("is of the future".to_owned());
        }
        Ok(Some(at).filter(|at| *at >= self.oldest))
    }
}

/// Lines on their way into the order of their times.
#[derive(Default)]
struct Order {
    waiting: BinaryHeap<Reverse<Waiting>>,
    octets: usize,
    /// The latest time that went through.
    last: u64,
}

impl Order {
    fn put(&mut self, waiting: Waiting) {
        self.octets += waiting.octets;
        self.waiting.push(Reverse(waiting));
    }

    fn is_full(&self) -> bool {
        self.waiting.len() > MOST_WAITING || self.octets > MOST_OCTETS
    }

    fn take(&mut self, counts: &mut Counts) -> Option<Waiting> {
        let Reverse(first) = self.waiting.pop()?;
        self.octets -= first.octets;
        counts.late += u64::from(first.at.0 < self.last);
        self.last = self.last.max(first.at.0);
        Some(first)
    }
}

/// Writes down what a person does with the log. Returns the event's id.
async fn note(store: &Store, action: &str, detail: String) -> Result<EventId> {
    let event = super::administration(System.now(), &person(), action, detail);
    let id = event.id();
    store.append(Record { event, learned: None, incidents: Vec::new() }).await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64, at: u64) -> Waiting {
        Waiting { at: Timestamp(at), number, octets: 100, line: Line::Administration }
    }

    #[test]
    fn lines_come_in_the_order_of_their_times() {
        let (mut order, mut counts) = (Order::default(), Counts::default());
        let times = [5, 3, 3, 9];
        (1..).zip(times).for_each(|(number, time)| order.put(at(number, time)));
        let mut taken = || order.take(&mut counts).map(|waiting| (waiting.at.0, waiting.number));
        assert_eq!([taken(), taken(), taken()], [Some((3, 2)), Some((3, 3)), Some((5, 1))]);
        order.put(at(5, 4));
        assert_eq!(order.take(&mut counts).map(|waiting| waiting.number), Some(5));
        assert_eq!(counts.late, 1, "5 went through before 4");
        assert_eq!(order.octets, 100);
        (0..=MOST_WAITING as u64).for_each(|number| order.put(at(number, number)));
        assert!(order.is_full());
    }

    #[test]
    fn a_time_is_neither_of_the_future_nor_forgotten() {
        let ages = Ages { latest: Timestamp(1_000), oldest: Timestamp(10) };
        let judge = |at: u64| {
            let line = format!(r#"{{"time":{at},"operation":"search","outcome":"success"}}"#);
            ages.judge(&line::read(line.as_bytes()).unwrap())
        };
        assert_eq!(judge(1_000), Ok(Some(Timestamp(1_000))));
        assert_eq!(judge(1_001), Err("is of the future".to_owned()));
        assert_eq!((judge(10), judge(9)), (Ok(Some(Timestamp(10))), Ok(None)));
    }
}
