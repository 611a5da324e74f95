//! The directory is killed and started again while clients are at work: what they are told in the meantime is true.

mod worker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};

use self::worker::{Account, Attempt, Kind, Record, Saw, Worker};
use crate::stage::{Setup, Stage, machine};

const CLIENTS: usize = 40;
/// How long the directory is there before it is killed, and how long it is gone then.
const ROUNDS: [(Duration, Duration); 4] = [
    (Duration::from_millis(1500), Duration::from_millis(2000)),
    (Duration::from_millis(2500), Duration::ZERO),
    (Duration::from_millis(300), Duration::from_millis(500)),
    (Duration::from_millis(2000), Duration::from_millis(3000)),
];
/// After the last start, everybody's next login and search have to work within this.
const RECOVERY: Duration = Duration::from_secs(20);

/// What `events list` shows at most.
const MOST_EVENTS: usize = 10_000;

/// A time in which there was no directory, surely: it had ended before, and was started after.
#[derive(Clone, Copy)]
struct Outage {
    killed: Instant,
    starting: Instant,
}

impl Outage {
    fn spans(&self, begun: Instant, ended: Instant) -> bool {
        begun > self.killed && ended < self.starting
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_the_truth_while_the_directory_dies_and_comes_back() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    let accounts: Vec<Account> = stage.company.people().iter().take(CLIENTS).map(Account::of).collect();
    let (restarted, watching) = watch::channel(None);
    let mut workers = JoinSet::new();
    for (nth, own) in accounts.iter().enumerate() {
        // The wrong password is the right one of somebody who logs in at the same time.
        let other = accounts[(nth + 1) % CLIENTS].clone();
        let worker = Worker::new(stage.ldap, machine(), nth, own.clone(), other);
        workers.spawn(worker.run(watching.clone(), RECOVERY));
    }

    let mut outages = Vec::new();
    for (there, gone) in ROUNDS {
        tokio::time::sleep(there).await;
        block_in_place(|| stage.slapd.kill())?;
        let killed = Instant::now();
        tokio::time::sleep(gone).await;
        outages.push(Outage { killed, starting: Instant::now() });
        block_in_place(|| stage.slapd.restart())?;
    }
    let last_start = Instant::now();
    restarted.send_replace(Some(last_start));

    let mut records = Vec::new();
    while let Some(record) = workers.join_next().await {
        records.push(record?);
    }
    print_counts(&records, &outages, last_start);
    for record in &records {
        told_the_truth(record, &outages)?;
        let recovered = record.recovered.with_context(|| format!("{} did not get in again", record.uid))?;
        ensure!(recovered - last_start < RECOVERY, "{} waited {:?}", record.uid, recovered - last_start);
    }
    let begun_in = |outage: &Outage| {
        let attempts = records.iter().flat_map(|record| &record.attempts);
        attempts.filter(|attempt| attempt.begun > outage.killed && attempt.begun < outage.starting).count()
    };
    for outage in outages.iter().filter(|outage| outage.starting - outage.killed > Duration::from_secs(1)) {
        ensure!(begun_in(outage) > 0, "nobody wanted anything while the directory was gone");
    }

    stage.stop()?;
    let (code, out, err) = stage.portcullis(&["events", "verify"]).await?;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("intact: "), "{out}");
    every_success_is_stored(&stage, &records, &outages).await
}

fn told_the_truth(record: &Record, outages: &[Outage]) -> Result<()> {
    ensure!(record.faults.is_empty(), "{}: {:?}", record.uid, record.faults);
    for attempt in &record.attempts {
        let (kind, saw, uid) = (attempt.kind, attempt.saw, &record.uid);
        ensure!(saw != Saw::Hung, "{uid}: no answer to a {kind:?}");
        ensure!(kind != Kind::WrongBind || saw != Saw::Code(0), "{uid}: somebody else's password was taken");
        if outages.iter().any(|outage| outage.spans(attempt.begun, attempt.ended)) {
            let from_the_directory = matches!(saw, Saw::Code(0 | 32 | 49));
            ensure!(!from_the_directory, "{uid}: {saw:?} to a {kind:?}, and there was no directory to say so");
        }
        let expected: &[i64] = match kind {
            // 49 also when the gateway cannot find out whose policies apply.
            Kind::RightBind => &[0, 49, 51, 52],
            Kind::WrongBind => &[49, 51, 52],
            // Nobody may read people without a login.
            Kind::Search | Kind::WhoAmI => &[0, 32, 51, 52],
        };
        if let Saw::Code(code) = saw {
            ensure!(expected.contains(&code), "{uid}: result {code} to a {kind:?}");
        }
    }
    Ok(())
}

/// Each success that a client saw is an event, and there are no more than there were attempts that may have succeeded: a bind
/// that the directory had accepted before it died, and whose client was told that the directory is gone.
async fn every_success_is_stored(stage: &Stage, records: &[Record], outages: &[Outage]) -> Result<()> {
    let (code, out, err) = stage.portcullis(&["events", "list", "--limit", &MOST_EVENTS.to_string()]).await?;
    ensure!(code == 0, "events list: {err}");
    ensure!(out.lines().count() < MOST_EVENTS, "more events than can be listed: let the clients do less");
    let events: Vec<Value> = out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for record in records {
        let allowed = events.iter().filter(|event| {
            event["decision"] == "allow"
                && event["access"]["operation"].get("bind").is_some()
                && event["access"]["account"]["login"] == record.uid
                && event["access"]["endpoint"]["address"] == record.from.to_string()
        });
        let (allowed, seen) = (allowed.count(), record.count(Kind::RightBind, |saw| saw == Saw::Code(0)));
        let may_have_succeeded = |attempt: &&Attempt| {
            let lost = matches!(attempt.saw, Saw::Notice | Saw::Closed | Saw::Code(52));
            let asked_nobody = outages.iter().any(|outage| outage.spans(attempt.begun, attempt.ended));
            attempt.kind == Kind::RightBind && lost && !asked_nobody
        };
        let unanswered = record.attempts.iter().filter(may_have_succeeded).count();
        ensure!(allowed >= seen, "{}: {seen} successes were seen and {allowed} are stored", record.uid);
        ensure!(allowed <= seen + unanswered, "{}: {allowed} stored, {seen} seen, {unanswered} open", record.uid);
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "shown with --nocapture")]
fn print_counts(records: &[Record], outages: &[Outage], last_start: Instant) {
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for attempt in records.iter().flat_map(|record| &record.attempts) {
        let outside = !outages.iter().any(|outage| outage.spans(attempt.begun, attempt.ended));
        counts.entry(format!("{:?}: {}", attempt.kind, attempt.saw)).or_default()[usize::from(outside)] += 1;
    }
    println!("{:40} {:>8} {:>8}", "what clients saw", "no slapd", "else");
    for (what, [inside, outside]) in counts {
        println!("{what:40} {inside:>8} {outside:>8}");
    }
    let waits = records.iter().filter_map(|record| record.recovered).map(|at| at - last_start);
    println!("the last client was in again {:?} after the last start", waits.max());
}
